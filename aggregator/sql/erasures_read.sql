SELECT version, events, unresolved, trial_events, salt, arrayMap(one -> toUInt16(one), erasures.days) AS days,
    arrayMap(one -> toUInt16(one), erasures.days_standing) AS days_standing
FROM erasures WHERE request = {request:UInt64} ORDER BY version DESC LIMIT 1
