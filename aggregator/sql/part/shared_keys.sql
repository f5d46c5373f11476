SELECT {{key}} AS shared_key FROM events
            WHERE {{scope}} AND {{comparable}}
            GROUP BY shared_key HAVING count() > 1
