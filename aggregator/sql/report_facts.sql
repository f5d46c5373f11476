-- What a campaign has on some days: events, settled figures, settled device days, and the keys under which those stand whom it reached. An erased hit (bit 24)
-- keeps the epoch and has no device.
SELECT toUInt16(day) AS day, sum(hits) AS events, sum(devices) AS device_days, groupUniqArrayArray(keys) AS epochs
FROM (
    SELECT day, count() AS hits, 0 AS devices, groupUniqArrayIf(epoch, stage IN (2, 11) AND epoch != 0 AND NOT bitTest(flags, 24)) AS keys
    FROM events
    WHERE campaign = {campaign:String} AND day IN {asked:Array(Date)} AND {{seen}}
    GROUP BY day
    UNION ALL
    SELECT day, 0, 0, []
    FROM deliveries
    WHERE campaign = {campaign:String} AND day IN {asked:Array(Date)} AND {{seen}}
    GROUP BY day
    UNION ALL
    SELECT day, 0, count(), []
    FROM device_days
    WHERE campaign = {campaign:String} AND {{in_force}} AND {{seen}}
    GROUP BY day
)
GROUP BY day ORDER BY day
