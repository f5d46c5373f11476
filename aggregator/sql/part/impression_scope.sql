({campaign:String} = '' OR campaign = {campaign:String}) AND bucket IN {buckets:Array(UInt8)} AND stage = 2 AND view != 0
                AND arrayExists(s -> s BETWEEN 3 AND 10, {stages:Array(UInt8)})
