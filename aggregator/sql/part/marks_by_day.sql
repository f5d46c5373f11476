-- The state of each day's marks: a number that changes whenever one of them does, and how many are open.
SELECT day, groupBitXor(sipHash64(writer, newest, ended)) AS marks, countIf(newest > ended) AS open
    FROM (
    {{marks_by_writer}}
    )
    GROUP BY day
