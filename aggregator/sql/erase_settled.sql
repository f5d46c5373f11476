-- Figures that stand for good keep their counts; the device in them becomes one that nobody can tell: a keyed hash, whose key is forgotten with the
-- erasure. (An exclusive or with one number for all would keep the difference of two devices of a person, and so tell one by the other.) What was
-- done before it was broken off is not done again.
INSERT INTO device_days
SELECT campaign, sipHash64Keyed(({salt:UInt64}, {request:UInt64}), device) AS unknown, placement, day, generation, device_kind, impressions_gross, impressions, clicks_gross,
    clicks
FROM device_days
WHERE device IN {devices:Array(UInt64)} AND {{in_force}} AND (day, generation) NOT IN (
    SELECT day, generation FROM device_days
    WHERE device IN (SELECT sipHash64Keyed(({salt:UInt64}, {request:UInt64}), arrayJoin({devices:Array(UInt64)}))) AND {{in_force}}
)
