INSERT INTO id_days
SELECT campaign, day, {generation:UInt64} AS generation, placement, platform, class, device_kind,
    {{id_counts}}
FROM judged
WHERE stage IN (2, 11)
GROUP BY {{id_cells}}
