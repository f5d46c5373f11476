SELECT count() AS hits, countIf(day IN {days:Array(Date)}) AS own_hits, toUnixTimestamp64Milli(min(received)) AS oldest_ms
FROM events WHERE day IN {around:Array(Date)}
