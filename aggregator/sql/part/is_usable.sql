-- An id that identifies a device stood in the hit, whether or not a signal withholds its key.
(NOT is_set_aside AND (device != 0 OR bitTest(flags, 15)))
