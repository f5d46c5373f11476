SELECT toString(journal) AS journal, toUnixTimestamp64Milli(at) AS at_ms, received, pending, outcomes FROM books ORDER BY seq DESC LIMIT 1 BY journal
