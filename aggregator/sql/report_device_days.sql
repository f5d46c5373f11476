-- How many settled device days a report reads.
SELECT count() AS device_days FROM device_days
WHERE campaign = {campaign:String} AND (day, generation) IN {published:Array(Tuple(Date, UInt64))} AND {{seen}}
