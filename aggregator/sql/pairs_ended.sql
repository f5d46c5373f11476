-- Overlaps that are over by a day, and of which there are pairs.
SELECT toUInt16(toDateOrZero(partition)) AS until_day FROM (
    {{stored_parts}}
)
WHERE table = 'device_pairs' AND toDateOrZero(partition) <= {today:Date}
GROUP BY until_day ORDER BY until_day
