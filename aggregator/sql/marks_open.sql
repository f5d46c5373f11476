-- Open marks that were opened before a moment.
SELECT toUInt16(day) AS day, writer, newest AS opened FROM (
    {{marks_by_writer}}
)
WHERE newest > ended AND toUnixTimestamp64Milli(since) < {before_ms:Int64}
ORDER BY day, writer
