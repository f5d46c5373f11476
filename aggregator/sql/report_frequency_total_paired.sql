-- As `report_frequency_paired`, for one row over all: see `report_frequency_total`.
SELECT '' AS key, least(impressions_of_device, {frequency_max:UInt64}) AS frequency, count() AS devices, sum(impressions_of_device) AS impressions
FROM (
    SELECT if(present = 0, half, present) AS one, sum(impressions_of_half) AS impressions_of_device
    FROM (
        SELECT device AS half, sum(if({net:UInt8} = 1, impressions, impressions_gross)) AS impressions_of_half
        FROM (
    {{device_days_now}}
        )
        GROUP BY half
        HAVING impressions_of_half > 0
    ) AS halves
    LEFT ANY JOIN (
        {{pairs}}
    ) AS pair ON halves.half = pair.former
    WHERE {{sampled_one}}
    GROUP BY one
)
GROUP BY frequency ORDER BY frequency
