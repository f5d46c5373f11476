-- One row for each accepted event, perhaps twice after a crash: whoever counts drops repeats of (journal, seq).
--
-- day, hour: on the campaign's clock. client_time: milliseconds, only where it is part of the duplicate key, else 0. device: first 8 bytes of the
-- device key, 0 = none. view: hash of (campaign, request or group id), 0 = none. bucket: (view, or seq where there is none) % 16: the portions in
-- which a day is settled. network: 4 << 56 | the first 3 bytes of an IPv4 address, 6 << 56 | the first 6 of an IPv6 address, 0 = none.
-- site: host of the page, empty = none. Rows leave by their age since receipt.
CREATE TABLE IF NOT EXISTS events (
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
    agent String CODEC(ZSTD(1)),
    site LowCardinality(String) CODEC(ZSTD(1))
) ENGINE = MergeTree
PARTITION BY day
ORDER BY (campaign, stage, bucket, journal, seq)
TTL toDateTime(received) + INTERVAL RETENTION_DAYS DAY
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 0
