SELECT toString(placement) AS placement, uniqExact(journal, seq) AS hits
FROM unresolved
WHERE campaign = {campaign:String} AND toDate(toTimeZone(time, {zone:String})) BETWEEN {from:Date} AND {to:Date}
    AND (journal, seq) NOT IN (SELECT journal, seq FROM events WHERE campaign = {campaign:String} AND bitTest(flags, 10))
GROUP BY placement ORDER BY placement
