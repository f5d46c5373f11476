SELECT toString(journal) AS journal, seq, toUnixTimestamp64Milli(received) AS received_ms, has_clock, clock_ms, toString(dialect) AS dialect, stage,
    outcome, source, platform, flags, ids_present, ids_usable, macros_unreplaced, parameters_unknown, dropped
FROM trial_hits
WHERE campaign = {campaign:String} AND placement = {placement:String}
ORDER BY received DESC, journal DESC, seq DESC
LIMIT 1 BY journal, seq
LIMIT {limit:UInt64}
