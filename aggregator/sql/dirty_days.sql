-- Days with an open mark, or whose marks are not those that their published figures were made under.
SELECT toUInt16(marked.day) AS day, marked.marks AS marks, published.generation = 0 OR marked.marks != published.marks AS moved,
    toUnixTimestamp64Milli(published.oldest) AS oldest_ms, published.generation AS generation, published.events AS events, stored.hits AS hits
FROM (
    {{marks_by_day}}
) AS marked
LEFT JOIN (
    SELECT day, max(generation) AS generation, argMax(marks, settled.generation) AS marks, argMax(oldest, settled.generation) AS oldest,
        argMax(events, settled.generation) AS events
    FROM settled GROUP BY day
) AS published ON marked.day = published.day
LEFT JOIN (
    SELECT toDate(partition) AS day, hits FROM (
        {{stored_parts}}
    ) WHERE table = 'events'
) AS stored ON marked.day = stored.day
WHERE (marked.open > 0 OR moved) AND (published.generation > 0 OR stored.hits > 0)
ORDER BY marked.day
