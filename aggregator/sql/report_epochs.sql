-- The keys under which those stand whom a campaign reached on some days, and the first of the days of each. An erased hit (bit 24) keeps the epoch and has
-- no device.
SELECT epoch, toUInt16(min(day)) AS first_day FROM events
WHERE campaign = {campaign:String} AND stage IN (2, 11) AND day IN {with_events:Array(Date)} AND epoch != 0 AND {{seen}} AND NOT bitTest(flags, 24)
GROUP BY epoch ORDER BY epoch
