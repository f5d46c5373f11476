-- With the day and hour of the campaign's clock and the placement's kind of source. A time before the campaign is a broken clock, as it would
-- have been at receipt. Hits that are events already stay out.
SELECT journal, seq, received, counted AS time, client_time,
    toDate(toTimeZone(counted, {zone:String})) AS day, toHour(toTimeZone(counted, {zone:String})) AS hour,
    campaign, placement, creative, region, stage,
    transform(placement, {placements:Array(String)}, {sources:Array(UInt8)}, source) AS source,
    platform, device_kind, epoch,
    if(broken, bitOr(flags, {clock_broken:UInt32}), flags) AS flags,
    {catalog_version:UInt32} AS catalog_version, device, view, bucket, network, agent, site
FROM ({{adoptable}})
WHERE toDate(toTimeZone(counted, {zone:String})) IN {days:Array(Date)}
