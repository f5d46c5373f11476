-- A number for the text of `device_key`: day and kind of id are numbers, placement and medium are hashed, once for each that there is.
multiIf({by:String} = 'day', toUInt64(toUInt16(day)), {by:String} = 'id_kind', toUInt64(device_kind),
        {by:String} = 'medium', cityHash64(transform(placement, {placements:Array(String)}, {media:Array(String)}, '')), cityHash64(placement))
