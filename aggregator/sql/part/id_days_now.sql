SELECT campaign, day, toUInt64(0) AS generation, placement, platform, class, device_kind,
        {{id_counts}}
    FROM (
    {{judged}}
    )
    WHERE stage IN (2, 11) AND {{seen}}
    GROUP BY {{id_cells}}
    UNION ALL
    {{id_days_settled}}
