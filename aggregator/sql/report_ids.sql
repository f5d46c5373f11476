SELECT {{id_key}} AS key, toString(class) AS class, device_kind,
    sum(impressions) AS impressions, sum(clicks) AS clicks, sum(usable) AS usable, sum(withheld) AS withheld, sum(bad) AS bad,
    sum(absent) AS absent, sum(set_aside) AS set_aside, sum(macros_unreplaced) AS macros_unreplaced, sum(sha_only) AS sha_only,
    sum(root) AS root, sum(emulator) AS emulator, sum(hook) AS hook, sum(adb) AS adb
FROM (
    {{id_days_now}}
)
GROUP BY key, class, device_kind ORDER BY key, class, device_kind
