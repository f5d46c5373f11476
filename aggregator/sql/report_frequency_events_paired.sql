-- As `report_frequency_events`, while two keys overlap: see `report_frequency_paired`.
SELECT key, if(one = 0, 0, least(impressions_of_device, {frequency_max:UInt64})) AS frequency,
    count() AS devices, sum(impressions_of_device) AS impressions, sum(clicks_of_device) AS clicks
FROM (
    SELECT key, if(present = 0, half, present) AS one, sum(impressions_of_half) AS impressions_of_device, sum(clicks_of_half) AS clicks_of_device
    FROM (
        SELECT {{report_key}} AS key, device AS half,
            countIf(stage = 2 AND ({net:UInt8} = 0 OR class = 'valid')) AS impressions_of_half,
            countIf(stage = 11 AND ({net:UInt8} = 0 OR class = 'valid')) AS clicks_of_half
        FROM (
    {{judged}}
        )
        WHERE {{seen}}
        GROUP BY key, half
    ) AS halves
    LEFT ANY JOIN (
        {{pairs}}
    ) AS pair ON halves.half = pair.former
    GROUP BY key, one
)
GROUP BY key, frequency ORDER BY key, frequency
