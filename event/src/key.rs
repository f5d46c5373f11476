//! Keyed hashing: from a canonical identifier to what may be stored (DESIGN §6).

/// 16 bytes of HMAC-SHA-256 under the epoch's device key: what stands for a device in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceKey(pub [u8; 16]);

/// 16 bytes of HMAC-SHA-256 under the opt-out key, which does not rotate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OptOutHash(pub [u8; 16]);
