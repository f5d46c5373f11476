CREATE TABLE IF NOT EXISTS unresolved (
    journal UInt64 CODEC(ZSTD(1)),
    seq UInt64 CODEC(Delta(8), ZSTD(1)),
    received DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    time DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    client_time Int64 CODEC(Delta(8), ZSTD(1)),
    day Date CODEC(ZSTD(1)),
    hour UInt8 CODEC(ZSTD(1)),
    campaign LowCardinality(String) CODEC(ZSTD(1)),
    placement LowCardinality(String) CODEC(ZSTD(1)),
    creative LowCardinality(String) CODEC(ZSTD(1)),
    region LowCardinality(String) CODEC(ZSTD(1)),
    stage UInt8 CODEC(ZSTD(1)),
    source UInt8 CODEC(ZSTD(1)),
    platform UInt8 CODEC(ZSTD(1)),
    device_kind UInt8 CODEC(ZSTD(1)),
    epoch UInt16 CODEC(ZSTD(1)),
    flags UInt32 CODEC(ZSTD(1)),
    catalog_version UInt32 CODEC(ZSTD(1)),
    device UInt64 CODEC(NONE),
    view UInt64 CODEC(NONE),
    bucket UInt8 CODEC(ZSTD(1)),
    network UInt64 CODEC(ZSTD(1)),
    agent String CODEC(ZSTD(1))
) ENGINE = MergeTree
PARTITION BY toDate(received, 'UTC')
ORDER BY (campaign, placement, journal, seq)
TTL toDateTime(received) + INTERVAL 7 DAY
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 0, ttl_only_drop_parts = 1
