SELECT shared_key FROM (
            SELECT {{key}} AS shared_key, count() AS hits FROM events
            WHERE {{scope}} AND {{comparable}}
            GROUP BY shared_key
            ) WHERE hits > 1
