SELECT {{report_key}} AS key, toString(class) AS class,
    sum(tracked) AS tracked, sum(impressions) AS impressions, sum(viewable) AS viewable, sum(not_viewable) AS not_viewable,
    sum(not_measurable) AS not_measurable, sum(starts) AS starts, sum(first_quartiles) AS first_quartiles, sum(midpoints) AS midpoints,
    sum(third_quartiles) AS third_quartiles, sum(completes) AS completes, sum(clicks) AS clicks, sum(conversions) AS conversions,
    sum(identified) AS identified, sum(withheld) AS withheld, sum(bad_ids) AS bad_ids, sum(macros_unreplaced) AS macros_unreplaced,
    sum(conflicts) AS conflicts, sum(signal_gpc) AS signal_gpc, sum(signal_dnt) AS signal_dnt, sum(signal_lmt) AS signal_lmt,
    sum(signal_consent) AS signal_consent, sum(signal_gpp) AS signal_gpp, sum(signal_child) AS signal_child
FROM (
    {{deliveries_now}}
)
GROUP BY key, class ORDER BY key, class
