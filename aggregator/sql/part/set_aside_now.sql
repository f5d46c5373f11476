-- Devices that are set aside, by day: those of settled generations, and those of the days that are looked at now.
SELECT day, device FROM devices_set_aside WHERE _partition_id IN {aside_published:Array(String)}
        UNION ALL
        SELECT day, device FROM (
        {{over_ceiling}}
        )
