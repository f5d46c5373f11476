SELECT DISTINCT agent FROM events
WHERE ({campaign:String} = '' OR campaign = {campaign:String}) AND day IN {around:Array(Date)} AND multiMatchAny(lower(agent), {patterns:Array(String)})
    AND NOT {{app_agent}}
LIMIT {limit:UInt64}
