SELECT toUInt16(day) AS day, max(generation) AS generation, toUnixTimestamp64Milli(argMax(as_of, settled.generation)) AS as_of_ms,
    argMax(marks_until, settled.generation) AS marks_until, argMax(oldest, settled.generation) AS oldest
FROM settled GROUP BY day ORDER BY day
