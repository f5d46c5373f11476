multiIf({by:String} = 'day', toString(day), {by:String} = 'placement', toString(placement), {by:String} = 'medium', {{medium}},
        {by:String} = 'creative', toString(creative), {by:String} = 'region', toString(region), {by:String} = 'platform', toString(platform),
        {by:String} = 'hour', leftPad(toString(hour), 2, '0'), {by:String} = 'placement_day', concat(toString(day), ' ', toString(placement)), '')
