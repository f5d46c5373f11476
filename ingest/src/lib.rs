//! The tracker. (Skeleton.)
