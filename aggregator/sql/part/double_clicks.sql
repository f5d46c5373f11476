-- Clicks of one device on one placement within the campaign's window after another such click.
SELECT journal, seq
            FROM (
                SELECT journal, seq, time, campaign, any(time) OVER (
                    PARTITION BY campaign, placement, device
                    ORDER BY {{order}}
                    ROWS BETWEEN 1 PRECEDING AND 1 PRECEDING) AS before
                FROM (
                    SELECT * FROM events
                    WHERE ({campaign:String} = '' OR campaign = {campaign:String}) AND campaign IN {window_campaigns:Array(String)}
                        AND stage = 11 AND device != 0 AND day IN {back:Array(Date)}
                    LIMIT 1 BY journal, seq
                )
            )
            WHERE before != toDateTime64(0, 3, 'UTC') AND dateDiff('millisecond', before, time) <= 1000 * transform(
                campaign, {window_campaigns:Array(String)}, {window_seconds:Array(UInt32)}, toUInt32(0))
