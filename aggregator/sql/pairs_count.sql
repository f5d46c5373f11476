-- How many pairs there are, repeats included.
SELECT count() AS pairs FROM device_pairs
