multiIf({by:String} = 'day', toString(day), {by:String} = 'placement', toString(placement), {by:String} = 'medium', {{medium}},
        {by:String} = 'id_kind', toString(device_kind), {by:String} = 'placement_day', concat(toString(day), ' ', toString(placement)), '')
