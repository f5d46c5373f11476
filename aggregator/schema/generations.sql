-- Generation numbers that were given out: none is given out twice, whatever became of it.
CREATE TABLE IF NOT EXISTS generations (
    one UInt8,
    generation SimpleAggregateFunction(max, UInt64)
) ENGINE = AggregatingMergeTree
ORDER BY one
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 0
