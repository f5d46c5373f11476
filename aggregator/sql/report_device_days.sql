-- How many settled device days a report reads. Of a large campaign they are counted for one device in 64, which takes a quarter of the time and is right to a hundredth.
SELECT count() * any(one_in) AS device_days
FROM (
    SELECT if((SELECT count() FROM device_days WHERE campaign = {campaign:String}) > 2000000, 64, 1) AS one_in FROM device_days
    WHERE campaign = {campaign:String} AND (day, generation) IN {published:Array(Tuple(Date, UInt64))} AND {{seen}}
        AND device <= intDiv(18446744073709551615, one_in)
)
