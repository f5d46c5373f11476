-- Hits whose campaign or placement the catalog does not have, for seven days from their receipt. Day and hour are 0 until they are adopted.
CREATE TABLE IF NOT EXISTS unresolved (
{{event_fields}}
) ENGINE = MergeTree
PARTITION BY toDate(received, 'UTC')
ORDER BY (campaign, placement, journal, seq)
TTL toDateTime(received) + INTERVAL 7 DAY
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 0, ttl_only_drop_parts = 1
