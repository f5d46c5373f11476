-- Impressions, clicks and identified impressions by key and class: the part of `report_delivery` that reports of devices need.
SELECT {{report_key}} AS key, toString(class) AS class, sum(impressions) AS impressions, sum(clicks) AS clicks, sum(identified) AS identified
FROM (
    {{deliveries_now}}
)
GROUP BY key, class ORDER BY key, class
