-- One portion of what is stored of some devices, in the order of receipt. A hit that stands in several tables is shown once.
SELECT kept_in, toString(journal) AS journal_text, seq, received_ms, toUnixTimestamp64Milli(time) AS time_ms, toString(campaign) AS campaign_id,
    toString(placement) AS placement_id, toString(creative) AS creative_id, toString(region) AS region_code, stage, source, platform, device_kind,
    epoch, flags, network, agent, toString(site) AS site_host
FROM (
    SELECT 'events' AS kept_in, {{copied_columns}} FROM events WHERE {{copied_scope}}
    UNION ALL
    SELECT 'trial_events' AS kept_in, {{copied_columns}} FROM trial_events WHERE {{copied_scope}}
    UNION ALL
    SELECT 'unresolved' AS kept_in, {{copied_columns}} FROM unresolved WHERE {{copied_scope}}
)
ORDER BY received_ms, journal, seq, kept_in
LIMIT 1 BY journal, seq
LIMIT {limit:UInt64}
