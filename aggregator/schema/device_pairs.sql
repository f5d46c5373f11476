-- During an overlap of two device keys: which device of the key before is which of the present one. Reports look it up; events and settled figures
-- never do. A pair may stand more than once. The partition of an overlap is dropped when it ends.
--
-- former, device: first 8 bytes of the device keys; both 0 in a row that says that pairs are missing, for the table was full. epoch_former, epoch: the
-- keys' epochs. until: the first day in UTC on which they overlap no more.
CREATE TABLE IF NOT EXISTS device_pairs (
    former UInt64 CODEC(NONE),
    device UInt64 CODEC(NONE),
    epoch_former UInt16 CODEC(ZSTD(1)),
    epoch UInt16 CODEC(ZSTD(1)),
    until Date CODEC(ZSTD(1))
) ENGINE = ReplacingMergeTree
PARTITION BY until
ORDER BY (former, epoch_former)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 0
