-- Devices that a generation sets aside and the one before does not.
SELECT device_kind AS kind, impressions, devices_set_aside.placements.1 AS campaigns, devices_set_aside.placements.2 AS placements
FROM devices_set_aside
WHERE day IN {day:Array(Date)} AND generation = {generation:UInt64} AND device NOT IN (
    SELECT device FROM devices_set_aside WHERE day IN {day:Array(Date)} AND generation = {before:UInt64}
)
ORDER BY impressions DESC, device LIMIT {limit:UInt64}
