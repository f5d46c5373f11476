-- All campaigns when the list is empty.
SELECT toUInt16(day) AS day FROM events
WHERE empty({campaigns:Array(String)}) OR campaign IN {campaigns:Array(String)}
GROUP BY day ORDER BY day
