//! What names a line of a register of opt-outs, for good.
//!
//! Not by the hashes that are derived from it ([`super::lodge`]): a later program may know more forms in which it arrives, and would then take the same
//! line for another. So it is made of the line itself, as it is written: but for its case where that means nothing and, in kinds whose values are set in
//! groups, its separators.
//!
//! ```text
//! text = "sightline register line 1" LF kind LF value      the value trimmed; of an imei, a mac without blanks, dashes, colons; in lower case, but
//!                                                          for a cookie and an oaid of both cases, which are another in another case
//! hash = opt-out hash (kind, SHA-256) of the SHA-256 of text
//! ```
//!
//! Under the opt-out key, so nobody without it can test a guess. It must never change: registries hold what is made of it.

use sha2::{Digest, Sha256};

use super::canonical::Canonical;
use super::{Form, IdKind};
use crate::key::{KeyRing, OptOutHash};

/// The first line of what is hashed.
const LABEL: &[u8] = b"sightline register line 1\n";

/// What names the line of a register that holds this value. Never the hash under which an identifier arrives.
pub fn line_hash(kind: IdKind, value: &[u8], keys: &KeyRing) -> OptOutHash {
    let is_grouped = matches!(kind, IdKind::Imei | IdKind::Mac | IdKind::MacColons);
    let is_kept = |byte: &u8| !(is_grouped && matches!(byte, b' ' | b'-' | b':'));
    let value: Vec<u8> = value.trim_ascii().iter().copied().filter(is_kept).collect();
    let mut digest = Sha256::new();
    digest.update(LABEL);
    digest.update(kind.name());
    digest.update(b"\n");
    let has_both_cases = value.iter().any(u8::is_ascii_lowercase) && value.iter().any(u8::is_ascii_uppercase);
    let is_exact = kind == IdKind::Cookie || kind == IdKind::Oaid && has_both_cases;
    digest.update(if is_exact { value } else { value.to_ascii_lowercase() });
    keys.opt_out_hash(&Canonical::new(kind, Form::Sha256, &digest.finalize()))
}
