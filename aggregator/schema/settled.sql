-- One row publishes the figures of a day. The newest generation of a day is in force.
-- marks: the state of the day's marks before its events were looked at. oldest: receipt of the oldest event they were made from.
CREATE TABLE IF NOT EXISTS settled (
    day Date,
    generation UInt64,
    as_of DateTime64(3, 'UTC'),
    marks UInt64,
    rules UInt64,
    events UInt64,
    oldest DateTime64(3, 'UTC')
) ENGINE = ReplacingMergeTree(generation)
ORDER BY day
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 0
