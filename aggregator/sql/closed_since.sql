-- What came to some days of a campaign since a moment, and how many hits of theirs stand for a device that was erased.
SELECT countIf(toUnixTimestamp64Milli(at) >= {since_ms:Int64}) AS late, countIf(bitAnd(signs, {erased:UInt32}) != 0) AS erased
FROM (
    SELECT journal, seq, any(received) AS at, any(flags) AS signs FROM events
    WHERE campaign = {campaign:String} AND day BETWEEN toDate({from:String}) AND toDate({to:String}) AND {{seen}}
    GROUP BY journal, seq
)
