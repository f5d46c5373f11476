-- Devices that are set aside, by day: those of settled generations, and those of the days that are looked at now.
SELECT day, device FROM devices_set_aside WHERE (day, generation) IN {aside_published:Array(Tuple(Date, UInt64))}
        UNION ALL
        SELECT day, device FROM (
        {{over_ceiling}}
        )
