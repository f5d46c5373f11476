-- Figures that stand for good keep their counts; the device in them becomes one that nobody can tell. What was done before it was broken off is
-- not done again.
INSERT INTO device_days
SELECT campaign, bitXor(device, {salt:UInt64}) AS unknown, placement, day, generation, device_kind, impressions_gross, impressions, clicks_gross,
    clicks
FROM device_days
WHERE device IN {devices:Array(UInt64)} AND (day, generation) IN {published:Array(Tuple(Date, UInt64))} AND (day, generation) NOT IN (
    SELECT day, generation FROM device_days
    WHERE device IN {salted:Array(UInt64)} AND (day, generation) IN {published:Array(Tuple(Date, UInt64))}
)
