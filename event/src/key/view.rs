//! What ties the hits of one ad view, as it is stored: a keyed hash of the id that a hit was sent with, or of the place of an item that names none.
//!
//! ```text
//! key  = first 16 bytes of HMAC-SHA-256(opt-out key, label)     one label, so one key, for each of the three below
//! view = SipHash-2-4(key, message), 0 taken for 1
//!
//! what names the view          label                          message
//! request or group id          sightline view key 1           the id as it was sent (decoded, without blanks around it)
//! batch, Idempotency-Key       sightline batch item key 1     server length u64 · server · key length u64 · key · place u64
//! batch or hit, its signature  sightline signed item key 1    the same with the signature in place of the key
//! ```
//!
//! Lengths and places are little-endian. Three keys keep the three apart: no request id, and no key or signature, meets what another kind gives.
//!
//! A medium may put a device's identifier into its request id, so whoever holds what is stored must not be able to test a guess. The keys come from the
//! one secret of the ring that never rotates: a view may straddle a rotation, a batch may come again after one, and every node that shares the ring gives
//! the same. No label begins with the version byte of an opt-out's message, so none of these keys is the hash of anything that can be lodged.
//!
//! `SipHash` is a keyed function made for short messages (Aumasson and Bernstein, 2012), and 2-4 the form that its authors advise: from any number of
//! ids and their hashes, neither the key nor the hash of another id can be told. It takes a third of the time of SHA-256 without a key; HMAC-SHA-256 would
//! take twice as long as that. `tests.rs` holds golden values, for these are stored for months.

use std::hash::Hasher as _;

use siphasher::sip::SipHasher24;
use zeroize::Zeroizing;

use super::{KeyRing, Secret};

/// Length of a key of `SipHash`, bytes.
const SIP_KEY_BYTES: usize = 16;

pub(super) const REQUEST: &[u8] = b"sightline view key 1";
pub(super) const BATCH_ITEM: &[u8] = b"sightline batch item key 1";
pub(super) const SIGNED_ITEM: &[u8] = b"sightline signed item key 1";

/// The keys of views, all made from one secret. Wiped when dropped.
pub(super) struct ViewKeys {
    request: SipKey,
    batch_item: SipKey,
    signed_item: SipKey,
}

impl ViewKeys {
    pub(super) fn of(secret: &Secret) -> Self {
        let key = |label: &[u8]| SipKey(Zeroizing::new(secret.state.hash(&[label])));
        Self { request: key(REQUEST), batch_item: key(BATCH_ITEM), signed_item: key(SIGNED_ITEM) }
    }
}

struct SipKey(Zeroizing<[u8; SIP_KEY_BYTES]>);

impl SipKey {
    fn hasher(&self) -> SipHasher24 {
        SipHasher24::new_with_key(&self.0)
    }

    fn item(&self, server: &str, name: &[u8], place: usize) -> u64 {
        let mut hasher = self.hasher();
        for part in [server.as_bytes(), name] {
            hasher.write(&(part.len() as u64).to_le_bytes());
            hasher.write(part);
        }
        hasher.write(&(place as u64).to_le_bytes());
        hasher.finish().max(1)
    }
}

impl KeyRing {
    /// The request or group id that ties the hits of one view, as it is kept. The same for all time and on all nodes of one ring. Never 0: that says
    /// *no view*, and the one id in 2⁶⁴ that would give it gets 1.
    ///
    /// Two of 10⁹ views of a campaign collide with probability 0.03.
    pub fn view_hash(&self, request_id: &[u8]) -> u64 {
        self.views.request.hasher().hash(request_id).max(1)
    }

    /// The view of an item that names none, in a batch that a registered server sends under an `Idempotency-Key`: its name, its key and the item's place
    /// in the batch. As [`view_hash`](Self::view_hash), and apart from it.
    pub fn batch_item_hash(&self, server: &str, key: &[u8], index: usize) -> u64 {
        self.views.batch_item.item(server, key, index)
    }

    /// The view of a hit that names none, in a request that is recognised by its signature: as [`batch_item_hash`](Self::batch_item_hash), with the
    /// signature in place of the key, and apart from it. A single hit stands at place 0.
    pub fn signed_item_hash(&self, server: &str, signature: &[u8], index: usize) -> u64 {
        self.views.signed_item.item(server, signature, index)
    }
}
