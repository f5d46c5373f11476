-- When the newest hit of each placement came, on the days from one on.
SELECT toString(placement) AS placement, toInt64(toUnixTimestamp64Milli(max(received))) AS last_ms
FROM events
WHERE campaign = {campaign:String} AND day >= {from:Date}
GROUP BY placement
