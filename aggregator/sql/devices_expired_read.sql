SELECT toUInt16(day) AS day, toUnixTimestamp64Milli(min(at)) AS at_ms FROM devices_expired GROUP BY day ORDER BY day
