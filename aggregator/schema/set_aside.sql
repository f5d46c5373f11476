-- Records of the journal in a version that this program does not know: kept as they are, for a later program.
CREATE TABLE IF NOT EXISTS set_aside (
    journal UInt64 CODEC(ZSTD(1)),
    seq UInt64 CODEC(Delta(8), ZSTD(1)),
    at DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    version UInt8,
    record String CODEC(ZSTD(1))
) ENGINE = ReplacingMergeTree
PARTITION BY toDate(at, 'UTC')
ORDER BY (journal, seq)
TTL toDateTime(at) + INTERVAL RETENTION_DAYS DAY
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 0
