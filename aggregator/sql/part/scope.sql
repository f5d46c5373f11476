({campaign:String} = '' OR campaign = {campaign:String}) AND bucket IN {buckets:Array(UInt8)} AND stage IN {stages:Array(UInt8)}
