-- The hits on the day and hour on which they count: the later stages of a view with its impression, all else where it stands. A view's
-- impression is the first one on the hit's own day; failing that, the first one just across the nearer midnight. After midnight the one of the
-- evening comes first where that of the own day is later than the hit or repeats one of the evening.
SELECT hit.campaign AS campaign, hit.placement AS placement, hit.creative AS creative, hit.region AS region, hit.stage AS stage,
        hit.source AS source, hit.platform AS platform, hit.device_kind AS device_kind, hit.flags AS flags, hit.device AS device,
        hit.network AS network, hit.agent AS agent, hit.journal AS journal, hit.seq AS seq, hit.repeats AS repeats, hit.conflicts AS conflicts,
        hit.is_outdone AS is_outdone,
        own.moment != 0 AND NOT (across.moment != 0 AND hit.hour < 12 AND (
            intDiv(own.moment, 32) > toUnixTimestamp64Milli(hit.time) OR has(across.alikes, own.alike))) AS with_own,
        multiIf(with_own, toUInt8(own.moment % 32), across.moment != 0, toUInt8(across.moment % 32), hit.hour) AS counted_hour,
        multiIf(with_own OR across.moment = 0, hit.day, hit.hour < 12, hit.day - 1, hit.day + 1) AS counted_day
        FROM (
        {{hits}}
        ) AS hit
        LEFT ANY JOIN (
            {{own_impressions}}
        ) AS own ON if(hit.stage BETWEEN 3 AND 10, hit.view, 0) = own.view AND hit.day = own.day
        LEFT ANY JOIN (
            {{neighbour_impressions}}
        ) AS across ON if(hit.stage BETWEEN 3 AND 10 AND (hit.hour < {straddle_hours:UInt8} OR hit.hour >= 24 - {straddle_hours:UInt8}), hit.view, 0) = across.view
            AND if(hit.hour < 12, hit.day - 1, hit.day + 1) = across.day AND (hit.hour < 12) = across.evening
        WHERE counted_day IN {days:Array(Date)}
