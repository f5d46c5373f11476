//! Who must not be measured. (Skeleton.)
