-- Which days change, by writer. A writer is whatever inserts, one insert at a time, under a number drawn at its start. It opens a mark before the
-- rows that change a day and closes it when they are on the disk.
--
-- opened: twice the number of the writer's newest insert. closed: one more than that when the writer says that the insert is complete; the same
-- when somebody else gave it up. A mark is open while opened > closed; a writer that was given up and completes after all changes the row again.
CREATE TABLE IF NOT EXISTS marks (
    day Date,
    writer UInt64,
    opened SimpleAggregateFunction(max, UInt64),
    closed SimpleAggregateFunction(max, UInt64),
    opened_at SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
) ENGINE = AggregatingMergeTree
ORDER BY (day, writer)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 0
