SELECT device, placement, day,
        {{device_counts}}
    FROM (
    {{judged}}
    )
    WHERE device != 0 AND stage IN (2, 11) AND {{seen}} AND {{sampled}}
    GROUP BY device, placement, day
    UNION ALL
    {{device_days_settled}}
