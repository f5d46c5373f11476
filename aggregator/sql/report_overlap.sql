-- Devices by the members of the overlap that they are of: each member has a bit in the mask, and who is of none is left out.
SELECT mask, count() AS devices
FROM (
    SELECT device, groupBitOr({{member_bit}}) AS mask
    FROM (
    {{device_days_now}}
    )
    WHERE if({net:UInt8} = 1, impressions, impressions_gross) > 0
    GROUP BY device
)
WHERE mask != 0
GROUP BY mask ORDER BY mask
