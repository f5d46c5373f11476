SELECT toUnixTimestamp64Milli(min(received)) AS oldest_ms, countIf(toUnixTimestamp64Milli(received) <= {as_of_ms:UInt64}) AS hits
FROM events WHERE day IN {days:Array(Date)}
