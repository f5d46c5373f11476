//! Who must not be measured. (Skeleton.)
pub mod exact;
pub mod filter;
pub mod list;
#[cfg(test)]
mod testing;

pub use list::{List, ListError, ListSettings, ListStats};
