-- As `report_frequency`, while two keys overlap: a device of the key before is the one of the present key that it is paired with.
SELECT key, least(impressions_of_device, {frequency_max:UInt64}) AS frequency, count() AS devices, sum(impressions_of_device) AS impressions
FROM (
    SELECT key, if(present = 0, half, present) AS one, sum(impressions_of_half) AS impressions_of_device
    FROM (
        SELECT {{device_key}} AS key, device AS half, sum(if({net:UInt8} = 1, impressions, impressions_gross)) AS impressions_of_half
        FROM (
    {{device_days_now}}
        )
        GROUP BY key, half
        HAVING impressions_of_half > 0
    ) AS halves
    LEFT ANY JOIN (
        {{pairs}}
    ) AS pair ON halves.half = pair.former
    WHERE {{sampled_one}}
    GROUP BY key, one
)
GROUP BY key, frequency ORDER BY key, frequency
