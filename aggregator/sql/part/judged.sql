-- Every hit that counts on the wanted days, once, with its class: `valid`, or the first reason that takes it out of net. Where its device is set
-- aside it has none.
SELECT counted_day AS day, counted_hour AS hour, campaign, placement, creative, region, stage, source, platform,
        if(is_set_aside, 0, hit_kind) AS device_kind, flags, if(is_set_aside, 0, hit_device) AS device, is_set_aside,
        multiIf(
            repeats != toDate(0) AND repeats >= counted_day - 1, 'duplicate',
            agent IN {robots:Array(String)} OR (notEmpty({robot_patterns:Array(String)}) AND NOT {{app_agent}} AND multiMatchAny(lower(agent), {robot_patterns:Array(String)})), 'robot',
            agent IN {non_browsers:Array(String)} OR (notEmpty({non_browser_patterns:Array(String)}) AND NOT {{app_agent}} AND multiMatchAny(lower(agent), {non_browser_patterns:Array(String)})), 'non_browser',
            network IN {data_centers:Array(UInt64)}, 'data_center',
            stage = 11 AND NOT is_set_aside AND (journal, seq) IN (
            {{double_clicks}}
            ), 'double_click',
            is_outdone, 'outdone_verdict',
            'valid') AS class,
        repeats = toDate(0) AND conflicts != toDate(0) AND conflicts >= counted_day - 1 AS conflict
    FROM (
    SELECT * EXCEPT (device, device_kind), device AS hit_device, device_kind AS hit_kind,
        device != 0 AND stage IN (2, 11) AND (counted_day, device) IN (
        {{set_aside_now}}
        ) AS is_set_aside
    FROM (
    {{counted}}
    )
    )
