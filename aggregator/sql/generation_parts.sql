SELECT DISTINCT table, toUInt16(toDate(extract(partition, '\'([0-9-]+)\''))) AS day, toUInt64(extract(partition, ',([0-9]+)')) AS generation
FROM (
    {{stored_parts}}
)
WHERE table IN ('deliveries', 'device_days', 'id_days', 'devices_set_aside')
