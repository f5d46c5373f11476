SELECT toString(journal) AS journal, toUnixTimestamp64Milli(at) AS at_ms, built, version, name
FROM region_libraries
ORDER BY journal, seq
LIMIT 1 BY journal, seq
