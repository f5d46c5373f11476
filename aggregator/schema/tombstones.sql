-- Devices that were erased: whatever was received of them before `until` is kept without device, address and agent, in every table and however
-- often it is read again from the journal or from Kafka. A row goes when the last such event has expired.
--
-- device: first 8 bytes of the device key, never 0.
CREATE TABLE IF NOT EXISTS tombstones (
    device UInt64,
    until DateTime64(3, 'UTC'),
    made DateTime64(3, 'UTC')
) ENGINE = ReplacingMergeTree(until)
ORDER BY device
TTL toDateTime(until) + INTERVAL RETENTION_DAYS DAY
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 0
