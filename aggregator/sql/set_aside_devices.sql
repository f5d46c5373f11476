-- Devices that are set aside in the figures in force.
SELECT toUInt16(day) AS day, generation, toString(device) AS device, device_kind, impressions, placements.1 AS campaigns,
    placements.2 AS placement_ids, placements.3 AS hits
FROM devices_set_aside WHERE {{in_force}}
ORDER BY day DESC, impressions DESC, device LIMIT {limit:UInt64}
