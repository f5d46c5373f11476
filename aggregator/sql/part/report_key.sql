multiIf({by:String} = 'day', toString(day), {by:String} = 'placement', toString(placement), {by:String} = 'medium', {{medium}},
        {by:String} = 'creative', multiIf(creative IN ('', 'unknown'), '', cityHash64(toString(creative)) IN {creatives:Array(UInt64)}, toString(creative), {others:String}),
        {by:String} = 'region', if(region = 'unknown', '', toString(region)), {by:String} = 'platform', toString(platform),
        {by:String} = 'hour', leftPad(toString(hour), 2, '0'), {by:String} = 'placement_day', concat(toString(day), ' ', toString(placement)), '')
