-- As `report_frequency`, of settled devices alone: keyed by a number, which takes half the time of grouping by a text.
SELECT code, least(impressions_of_device, {frequency_max:UInt64}) AS frequency, count() AS devices, sum(impressions_of_device) AS impressions
FROM (
    SELECT {{device_code}} AS code, device, sum(if({net:UInt8} = 1, impressions, impressions_gross)) AS impressions_of_device
    FROM (
    {{device_days_settled}}
    )
    GROUP BY code, device
    HAVING impressions_of_device > 0
)
GROUP BY code, frequency ORDER BY code, frequency
