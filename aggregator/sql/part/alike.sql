-- Equal for impressions of a view that repeat each other: the rest of the duplicate key.
cityHash64(placement, device, if(bitTest(flags, 11), client_time, 0))
