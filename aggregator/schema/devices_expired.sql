-- Days whose devices are no longer kept: their first event expires, the counts stay. Written before the devices go.
CREATE TABLE IF NOT EXISTS devices_expired (
    day Date,
    at DateTime64(3, 'UTC')
) ENGINE = ReplacingMergeTree(at)
ORDER BY day
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 0
