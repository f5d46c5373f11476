SELECT key, least(impressions_of_device, {frequency_max:UInt64}) AS frequency, count() AS devices, sum(impressions_of_device) AS impressions
FROM (
    SELECT {{device_key}} AS key, device, sum(if({net:UInt8} = 1, impressions, impressions_gross)) AS impressions_of_device
    FROM (
    {{device_days_now}}
    )
    GROUP BY key, device
    HAVING impressions_of_device > 0
)
GROUP BY key, frequency ORDER BY key, frequency
