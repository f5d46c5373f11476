-- Every hit that may count on the wanted days, once, with three findings: the last day before or on which an earlier hit of the same key,
-- placement and party stands (this one repeats it), the day of the hit just before it with the same key but another placement or
-- party (a conflict), and whether it is a verdict that another one of the same view stands above. Day 0 says that there is none.
--
-- The party is the device where a view was seen on two, and 0 where it was not: a repeat whose device is withheld or not yet known (a signal of
-- privacy, a cookie just given), or that was hashed after a change of keys, is a repeat and no second device. A device that was erased (bit 24) is the device 1
-- in this: it stays apart from the other one of its view, whose hits would count as repeats of its else.
--
-- Of a view's verdicts within three hours of each other one counts: viewable before not viewable before not measurable, then the first.
--
-- Nearly all hits share their key with nobody and pass straight through; only the others are sorted.
SELECT day, hour, time, campaign, placement, creative, region, stage, source, platform, device_kind, flags, device, view, network,
            agent, journal, seq, toDate(0) AS repeats, toDate(0) AS conflicts, toUInt8(0) AS is_outdone
        FROM events
        WHERE {{scope}} AND {{countable}} AND {{key}} NOT IN (
            {{shared_keys}}
        )
        UNION ALL
        SELECT day, hour, time, campaign, placement, creative, region, stage, source, platform, device_kind, flags, device, view, network,
            agent, journal, seq,
            if(view = 0, toDate(0), max(day) OVER (
                PARTITION BY campaign, stage, view, hit_time, placement, party
                ORDER BY {{order}}
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) AS repeats,
            if(view = 0 OR (before.1 = placement AND before.2 = party), toDate(0), before.3) AS conflicts,
            {{is_verdict}} AND (
                minIf(stage, {{is_verdict}}) OVER (
                    PARTITION BY campaign, view, placement, party
                    ORDER BY moment
                    RANGE BETWEEN 10800000 PRECEDING AND 10800000 FOLLOWING) < stage
                OR moment <= 10800000 + any(moment) OVER (
                    PARTITION BY campaign, stage, view, placement, party
                    ORDER BY {{order}}
                    ROWS BETWEEN 1 PRECEDING AND 1 PRECEDING)) AS is_outdone
        FROM (
            SELECT *, any((placement, party, day)) OVER (
                PARTITION BY campaign, stage, view, hit_time
                ORDER BY {{order}}
                ROWS BETWEEN 1 PRECEDING AND 1 PRECEDING) AS before
            FROM (
                SELECT *, if(
                    max(known) OVER view_of_epoch = min(if(known = 0, 18446744073709551615, known)) OVER view_of_epoch,
                    0, known) AS party
                FROM (
                    SELECT *, if(bitTest(flags, 24), 1, device) AS known, if(bitTest(flags, 11), client_time, 0) AS hit_time, toUnixTimestamp64Milli(time) AS moment
                    FROM events
                    WHERE {{scope}} AND {{comparable}} AND {{key}} IN (
            {{shared_keys}}
                    )
                    LIMIT 1 BY journal, seq
                )
                WINDOW view_of_epoch AS (PARTITION BY campaign, view, placement, epoch)
            )
        )
