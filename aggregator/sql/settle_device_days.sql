INSERT INTO device_days
SELECT campaign, device, placement, day, {generation:UInt64} AS generation,
    {{device_counts}}
FROM judged
WHERE device != 0 AND stage IN (2, 11)
GROUP BY campaign, device, placement, day
