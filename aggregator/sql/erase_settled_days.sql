-- Of the generations in force, those that still hold one of the devices: their events have expired, so they are not made again.
SELECT toUInt16(day) AS day, generation FROM device_days
WHERE device IN {devices:Array(UInt64)} AND {{in_force}}
GROUP BY day, generation ORDER BY day
