SELECT toString(placement) AS id FROM unresolved
WHERE campaign = {campaign:String} AND placement IN {placements:Array(String)}
GROUP BY id ORDER BY id
