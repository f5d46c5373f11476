SELECT count() AS devices FROM devices_set_aside WHERE (day, generation) IN {published:Array(Tuple(Date, UInt64))}
