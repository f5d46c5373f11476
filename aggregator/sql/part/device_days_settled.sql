SELECT device, placement, day, device_kind, impressions_gross, impressions, clicks_gross, clicks FROM device_days
    WHERE campaign = {campaign:String} AND {{in_force}} AND {{seen}} AND {{sampled}}
