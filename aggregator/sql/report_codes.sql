-- The texts of the numbers that stand for them in `report_frequency_coded`.
SELECT {{report_key}} AS key, cityHash64(key) AS code
FROM (
    {{deliveries_settled}}
)
GROUP BY key
