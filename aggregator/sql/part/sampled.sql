-- Whether a device is in the sample by the key that it stands under. Device keys are keyed hashes: a range of them is a random choice of devices, and the
-- table is ordered by them. A sample that is counted in portions is a range for each. Where two keys overlap the choice is made once they are one (`sampled_one`), and this takes in all.
device BETWEEN {half_first:UInt64} AND {half_last:UInt64}
