//! Keyed hashing: from a canonical identifier to what may be stored (DESIGN §6).

/// 16 bytes of HMAC-SHA-256 under the epoch's device key: what stands for a device in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceKey(pub [u8; 16]);

/// 16 bytes of HMAC-SHA-256 under the opt-out key, which does not rotate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OptOutHash(pub [u8; 16]);

use crate::identifier::{Form, IdKind};

/// The secret keys. Neither printed, nor copied, nor serialised.
pub struct KeyRing {}

/// Why a key file was refused.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A line is not what the format says.
    #[error("line {line}: {problem}")]
    Line {
        /// Line number from 1.
        line: usize,
        /// What is wrong.
        problem: &'static str,
    },
}

impl KeyRing {
    /// New keys from `random`, which fills its slice with random bytes.
    pub fn generate(_random: impl FnMut(&mut [u8])) -> Self {
        todo!()
    }
    /// Text of the key file.
    pub fn to_file_text(&self) -> zeroize::Zeroizing<String> {
        todo!()
    }
    /// Reads a key file's text.
    ///
    /// # Errors
    /// When the text is damaged or not of this format.
    pub fn from_file_text(_text: &str) -> Result<Self, KeyError> {
        todo!()
    }
    /// The current epoch.
    pub fn epoch(&self) -> u16 {
        todo!()
    }
    /// Keyed hash of a canonical digest under the current epoch.
    pub fn device_key(&self, _kind: IdKind, _form: Form, _hex: &[u8], _caid_version: &[u8]) -> DeviceKey {
        todo!()
    }
    /// Keyed hash of a canonical digest under the opt-out key.
    pub fn opt_out_hash(&self, _kind: IdKind, _form: Form, _hex: &[u8]) -> OptOutHash {
        todo!()
    }
}
