SELECT device, placement, day, device_kind, impressions_gross, impressions, clicks_gross, clicks FROM device_days
    WHERE campaign = {campaign:String} AND (day, generation) IN {published:Array(Tuple(Date, UInt64))} AND {{seen}} AND {{sampled}}
