-- Hits that were unresolved and are events now. Unresolved hits are kept for seven days since their receipt: no older ones are looked for.
SELECT journal, seq FROM events
    WHERE campaign = {campaign:String} AND bitTest(flags, 10) AND toUnixTimestamp64Milli(received) >= {since_ms:Int64}
    UNION ALL
    SELECT journal, seq FROM trial_events
    WHERE campaign = {campaign:String} AND bitTest(flags, 10) AND toUnixTimestamp64Milli(received) >= {since_ms:Int64}
