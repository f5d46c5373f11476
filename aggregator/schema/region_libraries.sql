-- Which region library came into force in which journal when: the events behind it were looked up in it. built: Unix seconds; version: first 32
-- bits of its file's SHA-256. Perhaps twice after a crash: whoever reads drops repeats of (journal, seq).
CREATE TABLE IF NOT EXISTS region_libraries (
    journal UInt64,
    seq UInt64,
    at DateTime64(3, 'UTC'),
    built UInt64,
    version UInt32,
    name String
) ENGINE = ReplacingMergeTree
ORDER BY (journal, seq)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 0
