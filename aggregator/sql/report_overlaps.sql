-- Overlaps of two keys that are not over, whether pairs of each are missing, and how many there are, repeats included.
SELECT epoch_former, epoch, toUInt16(until) AS until_day, max(former = 0) AS has_gaps, count() AS pairs FROM device_pairs
WHERE until > {today:Date}
GROUP BY epoch_former, epoch, until ORDER BY epoch, until_day
