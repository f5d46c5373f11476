-- The first impression of each view on each day, as milliseconds × 32 + hour, and what it is alike to.
SELECT view, day, min(toUnixTimestamp64Milli(time) * 32 + hour) AS moment,
                argMin({{alike}}, (toUnixTimestamp64Milli(time) * 32 + hour, {{alike}})) AS alike
            FROM events
            WHERE {{impression_scope}} AND (day IN {days:Array(Date)} OR (day IN {around:Array(Date)} AND view IN (
                SELECT view FROM events WHERE {{scope}} AND {{later_stage}} AND {{near_midnight}} AND day IN {around:Array(Date)}
            )))
            GROUP BY view, day
