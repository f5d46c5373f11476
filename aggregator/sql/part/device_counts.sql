any(device_kind) AS device_kind,
    countIf(stage = 2) AS impressions_gross,
    countIf(stage = 2 AND class = 'valid') AS impressions,
    countIf(stage = 11) AS clicks_gross,
    countIf(stage = 11 AND class = 'valid') AS clicks
