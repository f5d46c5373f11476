INSERT INTO devices_set_aside
SELECT day, {generation:UInt64} AS generation, device, device_kind, impressions, placements FROM (
    {{over_ceiling}}
)
