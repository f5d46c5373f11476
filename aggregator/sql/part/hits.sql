-- Every hit that may count on the wanted days, once, with two findings: the last day before or on which an earlier hit of the same key,
-- placement and device stands (this one repeats it), and the day of the hit just before it with the same key but another placement or
-- device (a conflict). Day 0 says that there is none.
--
-- Nearly all hits share their key with nobody and pass straight through; only the others are sorted.
SELECT day, hour, time, campaign, placement, creative, region, stage, source, platform, device_kind, flags, device, view, network,
            agent, journal, seq, toDate(0) AS repeats, toDate(0) AS conflicts
        FROM events
        WHERE {{scope}} AND {{countable}} AND {{key}} NOT IN (
            {{shared_keys}}
        )
        UNION ALL
        SELECT day, hour, time, campaign, placement, creative, region, stage, source, platform, device_kind, flags, device, view, network,
            agent, journal, seq,
            if(view = 0, toDate(0), max(day) OVER (
                PARTITION BY campaign, stage, view, hit_time, placement, device
                ORDER BY {{order}}
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) AS repeats,
            if(view = 0 OR (before.1 = placement AND before.2 = device), toDate(0), before.3) AS conflicts
        FROM (
            SELECT *, any((placement, device, day)) OVER (
                PARTITION BY campaign, stage, view, hit_time
                ORDER BY {{order}}
                ROWS BETWEEN 1 PRECEDING AND 1 PRECEDING) AS before
            FROM (
                SELECT *, if(bitTest(flags, 11), client_time, 0) AS hit_time
                FROM events
                WHERE {{scope}} AND {{comparable}} AND {{key}} IN (
            {{shared_keys}}
                )
                LIMIT 1 BY journal, seq
            )
        )
