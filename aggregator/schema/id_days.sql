-- Settled counts of impressions and clicks by what their ids were like. device_kind: 0 where they count without a device.
--
-- impressions = usable + bad + absent + set_aside. usable: an id that identifies a device, whether or not a signal withholds its key.
CREATE TABLE IF NOT EXISTS id_days (
    campaign LowCardinality(String) CODEC(ZSTD(1)),
    day Date CODEC(ZSTD(1)),
    generation UInt64 CODEC(ZSTD(1)),
    placement LowCardinality(String) CODEC(ZSTD(1)),
    platform UInt8 CODEC(ZSTD(1)),
    class LowCardinality(String) CODEC(ZSTD(1)),
    device_kind UInt8 CODEC(ZSTD(1)),
    impressions UInt64 CODEC(T64, ZSTD(1)),
    clicks UInt64 CODEC(T64, ZSTD(1)),
    usable UInt64 CODEC(T64, ZSTD(1)),
    withheld UInt64 CODEC(T64, ZSTD(1)),
    bad UInt64 CODEC(T64, ZSTD(1)),
    absent UInt64 CODEC(T64, ZSTD(1)),
    set_aside UInt64 CODEC(T64, ZSTD(1)),
    macros_unreplaced UInt64 CODEC(T64, ZSTD(1)),
    sha_only UInt64 CODEC(T64, ZSTD(1)),
    root UInt64 CODEC(T64, ZSTD(1)),
    emulator UInt64 CODEC(T64, ZSTD(1)),
    hook UInt64 CODEC(T64, ZSTD(1)),
    adb UInt64 CODEC(T64, ZSTD(1))
) ENGINE = MergeTree
PARTITION BY (day, generation)
ORDER BY (campaign, placement, platform)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 0
