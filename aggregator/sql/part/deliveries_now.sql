SELECT campaign, day, toUInt64(0) AS generation, placement, hour, creative, region, platform, source, class,
        {{delivery_counts}}
    FROM (
    {{judged}}
    )
    WHERE {{seen}}
    GROUP BY {{delivery_cells}}
    UNION ALL
    {{deliveries_settled}}
