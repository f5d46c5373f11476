SELECT toUInt16(toDate(toTimeZone(counted, {zone:String}))) AS day, count() AS hits FROM ({{adoptable}}) GROUP BY day ORDER BY day
