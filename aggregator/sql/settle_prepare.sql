-- The hits of the settle step in hand: seen by its session alone.
CREATE TEMPORARY TABLE IF NOT EXISTS judged (
    day Date,
    hour UInt8,
    campaign LowCardinality(String),
    placement LowCardinality(String),
    creative LowCardinality(String),
    region LowCardinality(String),
    stage UInt8,
    source UInt8,
    platform UInt8,
    device_kind UInt8,
    flags UInt32,
    device UInt64,
    is_set_aside UInt8,
    class LowCardinality(String),
    conflict UInt8
) ENGINE = Memory
