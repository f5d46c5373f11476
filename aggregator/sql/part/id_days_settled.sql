SELECT * FROM id_days
    WHERE campaign = {campaign:String} AND (day, generation) IN {published:Array(Tuple(Date, UInt64))} AND {{seen}}
