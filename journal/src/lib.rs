//! A durable, ordered, append-only log of opaque records. (Skeleton: see the crate's plan.)
