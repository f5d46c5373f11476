CREATE TABLE IF NOT EXISTS deliveries (
    campaign LowCardinality(String) CODEC(ZSTD(1)),
    day Date CODEC(ZSTD(1)),
    generation UInt64 CODEC(ZSTD(1)),
    placement LowCardinality(String) CODEC(ZSTD(1)),
    hour UInt8 CODEC(ZSTD(1)),
    creative LowCardinality(String) CODEC(ZSTD(1)),
    region LowCardinality(String) CODEC(ZSTD(1)),
    platform UInt8 CODEC(ZSTD(1)),
    source UInt8 CODEC(ZSTD(1)),
    class LowCardinality(String) CODEC(ZSTD(1)),
    tracked UInt64 CODEC(T64, ZSTD(1)),
    impressions UInt64 CODEC(T64, ZSTD(1)),
    viewable UInt64 CODEC(T64, ZSTD(1)),
    not_viewable UInt64 CODEC(T64, ZSTD(1)),
    not_measurable UInt64 CODEC(T64, ZSTD(1)),
    starts UInt64 CODEC(T64, ZSTD(1)),
    first_quartiles UInt64 CODEC(T64, ZSTD(1)),
    midpoints UInt64 CODEC(T64, ZSTD(1)),
    third_quartiles UInt64 CODEC(T64, ZSTD(1)),
    completes UInt64 CODEC(T64, ZSTD(1)),
    clicks UInt64 CODEC(T64, ZSTD(1)),
    conversions UInt64 CODEC(T64, ZSTD(1)),
    identified UInt64 CODEC(T64, ZSTD(1)),
    withheld UInt64 CODEC(T64, ZSTD(1)),
    bad_ids UInt64 CODEC(T64, ZSTD(1)),
    macros_unreplaced UInt64 CODEC(T64, ZSTD(1)),
    conflicts UInt64 CODEC(T64, ZSTD(1))
) ENGINE = MergeTree
PARTITION BY (day, generation)
ORDER BY (campaign, placement, hour)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 0
