-- One row for each accepted event, perhaps twice after a crash: whoever counts drops repeats of (journal, seq).
--
-- day, hour: on the campaign's clock. client_time: milliseconds, only where it is part of the duplicate key, else 0. device: first 8 bytes of the
-- device key, 0 = none. view: hash of (campaign, request or group id), 0 = none. bucket: (view, or seq where there is none) % 16: the portions in
-- which a day is settled. network: 4 << 56 | the first 3 bytes of an IPv4 address, 6 << 56 | the first 6 of an IPv6 address, 0 = none.
-- site: host of the page, empty = none. Rows leave by their age since receipt.
CREATE TABLE IF NOT EXISTS events (
{{event_fields}}
) ENGINE = MergeTree
PARTITION BY day
ORDER BY (campaign, stage, bucket, journal, seq)
TTL toDateTime(received) + INTERVAL RETENTION_DAYS DAY
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 0
