INSERT INTO deliveries
SELECT campaign, day, {generation:UInt64} AS generation, placement, hour, creative, region, platform, source, class,
    {{delivery_counts}}
FROM judged
GROUP BY {{delivery_cells}}
