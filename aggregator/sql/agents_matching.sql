SELECT DISTINCT agent FROM events
WHERE ({campaign:String} = '' OR campaign = {campaign:String}) AND day IN {around:Array(Date)} AND match(agent, {pattern:String})
LIMIT {limit:UInt64}
