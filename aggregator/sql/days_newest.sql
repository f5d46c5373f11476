SELECT toUInt16(day) AS day, toUnixTimestamp64Milli(max(received)) AS newest_ms FROM events WHERE day IN {days:Array(Date)} GROUP BY day
