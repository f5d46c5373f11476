SELECT DISTINCT table, toUInt16(toDate(extract(partition, '\'([0-9-]+)\''))) AS day, toUInt64(extract(partition, ',([0-9]+)')) AS generation
FROM system.parts WHERE database = currentDatabase() AND table IN ('deliveries', 'device_days') AND active
