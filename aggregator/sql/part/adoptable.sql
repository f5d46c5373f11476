SELECT * EXCEPT (time), time != received AND toUnixTimestamp64Milli(time) < {start_ms:Int64} AS broken, if(broken, received, time) AS counted
FROM unresolved
WHERE campaign = {campaign:String} AND placement IN {placements:Array(String)}
    AND (journal, seq) NOT IN (
    {{adopted}}
    )
LIMIT 1 BY journal, seq
