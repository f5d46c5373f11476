-- The creatives with a row of their own, as numbers, which are short whatever strangers send: those of the catalog, and those of the others with the most
-- impressions and clicks. It is a choice of rows and no figure, so that hits of live days are taken as they are stored, judged or not.
SELECT cityHash64(name) AS code
FROM (
    SELECT arrayJoin({known:Array(String)}) AS name
    UNION ALL
    SELECT name
    FROM (
        SELECT toString(creative) AS name, sum(hits_of_creative) AS hits
        FROM (
            SELECT creative, sum(impressions + clicks) AS hits_of_creative
            FROM deliveries
            WHERE campaign = {campaign:String} AND {{in_force}} AND {{seen}}
            GROUP BY creative
            UNION ALL
            SELECT creative, countIf(stage IN (2, 11)) AS hits_of_creative
            FROM events
            WHERE {{scope}} AND {{countable}} AND {{seen}}
            GROUP BY creative
        )
        WHERE creative NOT IN ('', 'unknown') AND creative NOT IN {known:Array(String)}
        GROUP BY name
        ORDER BY hits DESC, name LIMIT {rows:UInt64}
    )
)
