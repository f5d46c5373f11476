-- As `report_first_days`, while two keys overlap: see `report_frequency_paired`.
SELECT toUInt16(first) AS day, count() AS devices
FROM (
    SELECT if(present = 0, half, present) AS one, min(first_of_half) AS first
    FROM (
        SELECT device AS half, min(day) AS first_of_half
        FROM (
    {{device_days_now}}
        )
        WHERE if({net:UInt8} = 1, impressions, impressions_gross) > 0
        GROUP BY half
    ) AS halves
    LEFT ANY JOIN (
        {{pairs}}
    ) AS pair ON halves.half = pair.former
    WHERE {{sampled_one}}
    GROUP BY one
)
GROUP BY first ORDER BY first
