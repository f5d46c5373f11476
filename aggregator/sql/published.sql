SELECT toUInt16(day) AS day, max(generation) AS generation, toUnixTimestamp64Milli(argMax(as_of, settled.generation)) AS as_of_ms,
    argMax(events, settled.generation) AS events
FROM settled GROUP BY day ORDER BY day
