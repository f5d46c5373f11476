-- Devices with more impressions on a day than one device sees: whatever stands behind the id, it is no device. One row for each, and for each
-- settled generation of the day.
--
-- day: of the hits, on their campaigns' clocks. placements: the ones with most of them, as (campaign, placement, impressions).
CREATE TABLE IF NOT EXISTS devices_set_aside (
    day Date CODEC(ZSTD(1)),
    generation UInt64 CODEC(ZSTD(1)),
    device UInt64 CODEC(NONE),
    device_kind UInt8 CODEC(ZSTD(1)),
    impressions UInt64 CODEC(ZSTD(1)),
    placements Array(Tuple(String, String, UInt64)) CODEC(ZSTD(1))
) ENGINE = MergeTree
PARTITION BY (day, generation)
ORDER BY device
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 0
