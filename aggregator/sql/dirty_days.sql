-- Days with a mark newer than their published figures, or whose figures were made by other lists.
SELECT toUInt16(marked.day) AS day, marked.mark AS mark, toUnixTimestamp64Milli(published.oldest) AS oldest_ms, published.generation AS generation
FROM (SELECT day, max(mark) AS mark FROM changed GROUP BY day) AS marked
LEFT JOIN (
    SELECT day, max(generation) AS generation, argMax(marks_until, settled.generation) AS marks_until, argMax(oldest, settled.generation) AS oldest
    FROM settled GROUP BY day
) AS published ON marked.day = published.day
WHERE marked.mark > published.marks_until
    AND (published.generation > 0 OR marked.day IN (SELECT day FROM events GROUP BY day))
ORDER BY marked.day
