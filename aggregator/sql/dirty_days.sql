-- Days with a mark newer than their published figures, or whose figures were made by other lists.
SELECT toUInt16(marked.day) AS day, marked.mark AS mark, toUnixTimestamp64Milli(published.oldest) AS oldest_ms, published.generation AS generation,
    published.events AS events, stored.hits AS hits
FROM (SELECT day, max(mark) AS mark FROM changed GROUP BY day) AS marked
LEFT JOIN (
    SELECT day, max(generation) AS generation, argMax(marks_until, settled.generation) AS marks_until, argMax(oldest, settled.generation) AS oldest,
        argMax(events, settled.generation) AS events
    FROM settled GROUP BY day
) AS published ON marked.day = published.day
LEFT JOIN (
    SELECT toDate(partition) AS day, sum(rows) AS hits FROM system.parts
    WHERE database = currentDatabase() AND table = 'events' AND active GROUP BY day
) AS stored ON marked.day = stored.day
WHERE marked.mark > published.marks_until AND (published.generation > 0 OR stored.hits > 0)
ORDER BY marked.day
