-- As `report_overlap`, while two keys overlap: see `report_frequency_paired`.
SELECT mask, count() AS devices
FROM (
    SELECT if(present = 0, half, present) AS one, groupBitOr(mask_of_half) AS mask
    FROM (
        SELECT device AS half, groupBitOr({{member_bit}}) AS mask_of_half
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
WHERE mask != 0
GROUP BY mask ORDER BY mask
