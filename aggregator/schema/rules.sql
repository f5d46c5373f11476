-- The rules in force when days were last marked for them: a number that stands for the lists, and each campaign's double-click window.
CREATE TABLE IF NOT EXISTS rules (
    one UInt8,
    at UInt64,
    lists UInt64,
    campaigns Array(String),
    seconds Array(UInt32)
) ENGINE = ReplacingMergeTree(at)
ORDER BY one
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 0
