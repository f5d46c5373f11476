SELECT toUInt16(day) AS day, marks, open FROM (
    {{marks_by_day}}
)
ORDER BY day
