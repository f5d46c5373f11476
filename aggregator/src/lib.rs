//! From the journal to reach and frequency. (Skeleton.)
