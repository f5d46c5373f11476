-- Devices with more impressions on a day than the ceiling, over all campaigns, and the five placements with most of them. An impression that is
-- stored twice or sent again is one: an SDK that retries in a storm is no sentinel.
SELECT day, device, any(kind) AS device_kind, sum(hits) AS impressions,
            arraySlice(arraySort(p -> (-toInt64(p.3), p.1, p.2), groupArray((toString(campaign), toString(placement), hits))), 1, 5) AS placements
        FROM (
            SELECT day, device, any(kind) AS kind, campaign, placement, count() AS hits
            FROM (
                SELECT day, device, any(device_kind) AS kind, campaign, placement FROM events
                WHERE {{ceiling_scope}} AND {{ceiling_slot}} IN (
                    SELECT slot FROM (
                        SELECT {{ceiling_slot}} AS slot, count() AS hits FROM events WHERE {{ceiling_scope}} GROUP BY slot
                    ) WHERE hits > {ceiling:UInt64}
                )
                GROUP BY day, device, campaign, placement, if(view = 0, journal, view),
                    if(view = 0, toInt64(seq), if(bitTest(flags, 11), client_time, 0))
            )
            GROUP BY day, device, campaign, placement
        )
        GROUP BY day, device
        HAVING impressions > {ceiling:UInt64}
