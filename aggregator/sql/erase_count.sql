-- What an erasure will change, by table. A row that is stored twice is one.
SELECT kept_in, uniqExact(journal, seq) AS hits, groupUniqArray(toUInt16(day)) AS days
FROM (
    SELECT 'events' AS kept_in, journal, seq, day FROM events WHERE {{erasable}}
    UNION ALL
    SELECT 'unresolved' AS kept_in, journal, seq, day FROM unresolved WHERE {{erasable}}
    UNION ALL
    SELECT 'trial_events' AS kept_in, journal, seq, day FROM trial_events WHERE {{erasable}}
)
GROUP BY kept_in
