-- As `report_frequency`, for one row over all: by the device alone, which takes half the time of grouping by a text beside it.
SELECT '' AS key, least(impressions_of_device, {frequency_max:UInt64}) AS frequency, count() AS devices, sum(impressions_of_device) AS impressions
FROM (
    SELECT device, sum(if({net:UInt8} = 1, impressions, impressions_gross)) AS impressions_of_device
    FROM (
    {{device_days_now}}
    )
    GROUP BY device
    HAVING impressions_of_device > 0
)
GROUP BY frequency ORDER BY frequency
