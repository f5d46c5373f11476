-- Whether a device is in the sample by the key that it stands under. Device keys are keyed hashes: a range of them is a random choice of devices, and the
-- table is ordered by them. Where two keys overlap the choice is made once they are one (`sampled_one`), and this takes in all.
device <= {half_last:UInt64}
