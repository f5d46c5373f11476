-- The same for the hours on either side of a midnight: those a later stage on the other side may belong to. Of a view that is on more than eight
-- placements and devices at once, eight are looked at.
SELECT view, day, hour >= 12 AS evening, min(toUnixTimestamp64Milli(time) * 32 + hour) AS moment,
                arraySlice(arraySort(groupUniqArray({{alike}})), 1, 8) AS alikes
            FROM events
            WHERE {{impression_scope}} AND {{near_midnight}} AND day IN {around:Array(Date)} AND view IN (
                SELECT view FROM events WHERE {{scope}} AND {{later_stage}} AND {{near_midnight}} AND day IN {around:Array(Date)}
            )
            GROUP BY view, day, evening
