SELECT network FROM (
    SELECT DISTINCT network FROM events
    WHERE ({campaign:String} = '' OR campaign = {campaign:String}) AND day IN {around:Array(Date)} AND network != 0
)
WHERE arrayExists((low, high) -> network BETWEEN low AND high, {lows:Array(UInt64)}, {highs:Array(UInt64)})
