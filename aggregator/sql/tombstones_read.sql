SELECT device, toUnixTimestamp64Milli(max(tombstones.until)) AS until_ms, toUnixTimestamp64Milli(max(tombstones.made)) AS made_ms FROM tombstones
WHERE toUnixTimestamp64Milli(until) > {since_ms:Int64} AND toUnixTimestamp64Milli(made) > {made_ms:Int64}
GROUP BY device
