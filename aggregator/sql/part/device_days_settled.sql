-- Each part of the table is of one day and generation, so that they are told apart by the name of its partition: a tuple of the two would be looked up
-- for every row, which takes as long as reading them.
SELECT device, placement, day, device_kind, impressions_gross, impressions, clicks_gross, clicks FROM device_days
    WHERE campaign = {campaign:String} AND _partition_id IN {partitions:Array(String)} AND {{seen}} AND {{sampled}}
