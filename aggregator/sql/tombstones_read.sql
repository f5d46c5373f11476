SELECT device, toUnixTimestamp64Milli(max(tombstones.until)) AS until_ms FROM tombstones
WHERE toUnixTimestamp64Milli(until) > {since_ms:Int64}
GROUP BY device
