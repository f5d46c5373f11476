-- How each day stands: the state of its marks, its figures in force, how many events are stored, whether its devices are no longer kept. All of it in one
-- statement, for every report asks it first. A day is up to date where the state of its marks is the one that its figures were made under, whichever of
-- the two was read first.
SELECT toUInt16(day) AS day, max(marked) AS is_marked, max(state) AS marks, max(opened) AS open, max(number) AS generation,
    is_marked = 1 AND (generation = 0 OR marks != max(published_state)) AS moved, max(moment) AS as_of_ms, max(counted) AS events,
    max(first_received) AS oldest_ms, max(stored) AS hits, max(gone) AS is_gone
FROM (
    SELECT day, 1 AS marked, marks AS state, open AS opened, 0 AS number, 0 AS published_state, 0 AS moment, 0 AS counted, 0 AS first_received, 0 AS stored,
        0 AS gone
    FROM (
    {{marks_by_day}}
    )
    UNION ALL
    SELECT day, 0, 0, 0, max(generation), argMax(marks, generation), toUnixTimestamp64Milli(argMax(as_of, generation)), argMax(events, generation),
        toUnixTimestamp64Milli(argMax(oldest, generation)), 0, 0
    FROM settled GROUP BY day
    UNION ALL
    SELECT day, 0, 0, 0, 0, 0, 0, 0, 0, count(), 0 FROM events GROUP BY day
    UNION ALL
    SELECT day, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 FROM devices_expired GROUP BY day
)
GROUP BY day ORDER BY day
