SELECT toUInt16(day) AS day, sum(hits) AS events
FROM (
    SELECT day, count() AS hits FROM events WHERE campaign = {campaign:String} AND {{seen}} GROUP BY day
    UNION ALL
    SELECT day, 0 AS hits FROM deliveries WHERE campaign = {campaign:String} AND {{seen}} GROUP BY day
)
GROUP BY day ORDER BY day
