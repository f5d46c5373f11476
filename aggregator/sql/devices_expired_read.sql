SELECT toUInt16(day) AS day FROM devices_expired GROUP BY day ORDER BY day
