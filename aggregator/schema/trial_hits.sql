-- What became of hits on placements in their trial state, for whoever integrates them, for seven days from their receipt. No value that was sent
-- but the ids of the catalog. Perhaps twice after a crash: whoever reads drops repeats of (journal, seq).
--
-- clock_ms: the client's time less receipt, where has_clock. stage: 0 = none said. outcome: its number, as a caller may be told. ids_present,
-- ids_usable: bit n for the identifier with number n.
CREATE TABLE IF NOT EXISTS trial_hits (
    journal UInt64 CODEC(ZSTD(1)),
    seq UInt64 CODEC(Delta(8), ZSTD(1)),
    received DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    has_clock UInt8 CODEC(ZSTD(1)),
    clock_ms Int64 CODEC(ZSTD(1)),
    campaign LowCardinality(String) CODEC(ZSTD(1)),
    placement LowCardinality(String) CODEC(ZSTD(1)),
    dialect LowCardinality(String) CODEC(ZSTD(1)),
    stage UInt8 CODEC(ZSTD(1)),
    outcome UInt8 CODEC(ZSTD(1)),
    source UInt8 CODEC(ZSTD(1)),
    platform UInt8 CODEC(ZSTD(1)),
    flags UInt32 CODEC(ZSTD(1)),
    ids_present UInt32 CODEC(ZSTD(1)),
    ids_usable UInt32 CODEC(ZSTD(1)),
    macros_unreplaced UInt8 CODEC(ZSTD(1)),
    parameters_unknown UInt8 CODEC(ZSTD(1)),
    dropped String CODEC(ZSTD(1))
) ENGINE = MergeTree
PARTITION BY toDate(received, 'UTC')
ORDER BY (campaign, placement, received, journal, seq)
TTL toDateTime(received) + INTERVAL 7 DAY
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 0, ttl_only_drop_parts = 1
