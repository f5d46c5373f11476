-- Every hit that counts on the wanted days, once, with its class: `valid`, or the first reason that takes it out of net.
SELECT counted_day AS day, counted_hour AS hour, campaign, placement, creative, region, stage, source, platform, device_kind, flags, device,
        multiIf(
            repeats != toDate(0) AND repeats >= counted_day - 1, 'duplicate',
            agent IN {robots:Array(String)} OR (notEmpty({robot_patterns:Array(String)}) AND NOT {{app_agent}} AND multiMatchAny(lower(agent), {robot_patterns:Array(String)})), 'robot',
            agent IN {non_browsers:Array(String)} OR (notEmpty({non_browser_patterns:Array(String)}) AND NOT {{app_agent}} AND multiMatchAny(lower(agent), {non_browser_patterns:Array(String)})), 'non_browser',
            network IN {data_centers:Array(UInt64)}, 'data_center',
            stage = 11 AND (journal, seq) IN (
            {{double_clicks}}
            ), 'double_click',
            'valid') AS class,
        repeats = toDate(0) AND conflicts != toDate(0) AND conflicts >= counted_day - 1 AS conflict
    FROM (
    {{counted}}
    )
