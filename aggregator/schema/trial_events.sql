-- Events of placements in their trial state, for ten days from their receipt (unresolved hits, some of which they were, go before). They stand in a table of their own, so that no figure can count them.
CREATE TABLE IF NOT EXISTS trial_events (
{{event_fields}}
) ENGINE = MergeTree
PARTITION BY toDate(received, 'UTC')
ORDER BY (campaign, placement, journal, seq)
TTL toDateTime(received) + INTERVAL 10 DAY
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 0, ttl_only_drop_parts = 1
