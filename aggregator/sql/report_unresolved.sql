-- The placements with the most hits, and the sum of all others: strangers can name any number of placements.
SELECT if(number > {rows:UInt64}, '', name) AS placement, toUInt8(number > {rows:UInt64}) AS is_rest, sum(hits_of_name) AS hits
FROM (
    SELECT toString(placement) AS name, uniqExact(journal, seq) AS hits_of_name, row_number() OVER (ORDER BY hits_of_name DESC, name) AS number
    FROM unresolved
    WHERE campaign = {campaign:String} AND toDate(toTimeZone(time, {zone:String})) BETWEEN {from:Date} AND {to:Date}
        AND (journal, seq) NOT IN (
            {{adopted}}
        )
    GROUP BY name
)
GROUP BY placement, is_rest ORDER BY is_rest, placement
