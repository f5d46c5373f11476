-- Which days changed, by marks that only grow. A day's mark is on the disk before the rows that change it.
CREATE TABLE IF NOT EXISTS changed (
    day Date,
    mark SimpleAggregateFunction(max, UInt64)
) ENGINE = AggregatingMergeTree
ORDER BY day
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 0
