SELECT toUInt16(first) AS day, count() AS devices
FROM (
    SELECT device, min(day) AS first
    FROM (
    {{device_days_now}}
    )
    WHERE if({net:UInt8} = 1, impressions, impressions_gross) > 0
    GROUP BY device
)
GROUP BY first ORDER BY first
