-- The newest outcome counts of each journal; `outcomes` in the order of their numbers.
CREATE TABLE IF NOT EXISTS books (
    journal UInt64,
    seq UInt64,
    at DateTime64(3, 'UTC'),
    received UInt64,
    pending UInt64,
    outcomes Array(UInt64)
) ENGINE = ReplacingMergeTree(seq)
ORDER BY journal
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 0
