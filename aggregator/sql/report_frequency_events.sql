-- Frequency 0 holds the hits without a device, and devices that only clicked.
SELECT key, if(device = 0, 0, least(impressions_of_device, {frequency_max:UInt64})) AS frequency,
    count() AS devices, sum(impressions_of_device) AS impressions, sum(clicks_of_device) AS clicks
FROM (
    SELECT {{report_key}} AS key, device,
        countIf(stage = 2 AND ({net:UInt8} = 0 OR class = 'valid')) AS impressions_of_device,
        countIf(stage = 11 AND ({net:UInt8} = 0 OR class = 'valid')) AS clicks_of_device
    FROM (
    {{judged}}
    )
    WHERE {{seen}}
    GROUP BY key, device
)
GROUP BY key, frequency ORDER BY key, frequency
