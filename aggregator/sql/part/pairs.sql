-- Of the devices under the key before that the campaign has on the wanted days: which ones of the present key they are. One may stand twice.
SELECT former, device AS present FROM device_pairs
        WHERE until IN {overlaps:Array(Date)} AND former IN (
            SELECT device FROM device_days WHERE campaign = {campaign:String} AND {{in_force}}
            UNION ALL
            SELECT device FROM events WHERE campaign = {campaign:String} AND device != 0 AND day IN {days:Array(Date)}
        )
