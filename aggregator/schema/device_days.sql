CREATE TABLE IF NOT EXISTS device_days (
    campaign LowCardinality(String) CODEC(ZSTD(1)),
    device UInt64 CODEC(Delta(8), ZSTD(1)),
    placement LowCardinality(String) CODEC(ZSTD(1)),
    day Date CODEC(ZSTD(1)),
    generation UInt64 CODEC(ZSTD(1)),
    device_kind UInt8 CODEC(ZSTD(1)),
    impressions_gross UInt32 CODEC(T64, ZSTD(1)),
    impressions UInt32 CODEC(T64, ZSTD(1)),
    clicks_gross UInt32 CODEC(T64, ZSTD(1)),
    clicks UInt32 CODEC(T64, ZSTD(1))
) ENGINE = SummingMergeTree((impressions_gross, impressions, clicks_gross, clicks))
PARTITION BY (day, generation)
PRIMARY KEY (campaign, device)
ORDER BY (campaign, device, placement)
SAMPLE BY device
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 0
