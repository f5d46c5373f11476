//! Keyed hashing: from a canonical identifier to what may be stored (DESIGN §6).
//!
//! ```text
//! message    = version u8 (1) · kind u8 · form u8 · lower-case hex of the digest (32, 40 or 64 bytes) · [CAID's version]
//! device key = first 16 bytes of HMAC-SHA-256(key of the epoch, message)
//! opt-out    = first 16 bytes of HMAC-SHA-256(opt-out key, message without CAID's version)
//! cookie tag = first 6 bytes of HMAC-SHA-256(opt-out key, 0xc0 · the id's 10 random bytes)
//! ```
//!
//! Both are stored for years: `tests.rs` holds golden values. A CAID's value is itself 32 hex of a digest that no other version shares,
//! so an opt-out need not know the version; the device key does, so that two versions of one device are never taken for one value.
//! The opt-out key never rotates: lodged identifiers are not kept, so the list could not be made anew. The keys of request ids are made from it ([`view`]).
//!
//! Nothing in here may print, copy out or serialise a key. The one way out is [`KeyRing::to_file_text`], for the key file.

mod file;
pub(crate) mod hmac;
pub mod signature;
#[cfg(test)]
mod tests;
mod view;

use zeroize::Zeroizing;

use crate::identifier::Canonical;
use crate::record::Former;
pub use file::KeyError;

/// Length of a secret key, bytes.
pub const KEY_BYTES: usize = 32;
/// Version of the hashed message.
const MESSAGE_VERSION: u8 = 1;
/// First byte of the message that makes an id cookie's tag: no version of the other messages.
const ID_COOKIE_MESSAGE: u8 = 0xc0;
/// Seconds of a day.
const DAY_SECONDS: u64 = 24 * 60 * 60;

/// 16 bytes of HMAC-SHA-256 under the epoch's device key: what stands for a device in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceKey(pub [u8; 16]);

/// 16 bytes of HMAC-SHA-256 under the opt-out key, which does not rotate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OptOutHash(pub [u8; 16]);

/// The secret keys: one current epoch, sealed former ones (for erasures and copies), and the opt-out key.
///
/// It cannot be printed, copied or serialised, and is wiped when dropped:
///
/// ```compile_fail,E0277
/// fn print(keys: &event::key::KeyRing) -> String { format!("{keys:?}") }
/// ```
/// ```compile_fail,E0277
/// fn print(keys: &event::key::KeyRing) -> String { format!("{keys}") }
/// ```
/// ```compile_fail,E0277
/// fn copy(keys: &event::key::KeyRing) -> event::key::KeyRing { fn f<T: Clone>(t: &T) -> T { t.clone() } f(keys) }
/// ```
/// ```compile_fail,E0277
/// fn write<T: serde::Serialize>(_: T) {}
/// fn leak(keys: &event::key::KeyRing) { write(keys) }
/// ```
pub struct KeyRing {
    current: Epoch,
    /// Former epochs, oldest first.
    sealed: Vec<Epoch>,
    opt_out: Secret,
    /// Made from the opt-out key.
    views: view::ViewKeys,
}

struct Epoch {
    number: u16,
    secret: Secret,
    /// When it was or will be sealed, Unix seconds; `None` for the current one, and where an earlier program sealed it without noting that.
    sealed_at: Option<u64>,
    /// Whether it overlaps with the one behind it until it is sealed. Then `sealed_at` is a midnight in UTC.
    overlaps: bool,
}

/// The key before the current one, while the two overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// Its epoch.
    pub epoch: u16,
    /// The first day, in UTC, on which it is sealed; days since 1970-01-01.
    pub until_day: u16,
}

impl Overlap {
    /// When it ends, Unix seconds.
    pub fn ends_at(&self) -> u64 {
        u64::from(self.until_day) * DAY_SECONDS
    }
}

impl Epoch {
    /// A current one.
    fn new(number: u16, secret: Secret) -> Self {
        Self { number, secret, sealed_at: None, overlaps: false }
    }

    fn copy(&self) -> Self {
        Self {
            number: self.number,
            secret: self.secret.copy(),
            sealed_at: self.sealed_at,
            overlaps: self.overlaps,
        }
    }

    /// The same, sealed at this time at the latest.
    fn sealed_by(&self, now_seconds: u64) -> Self {
        let sealed_at =
            if self.overlaps { self.sealed_at.map(|at| at.min(now_seconds)) } else { self.sealed_at };
        Self { sealed_at, overlaps: false, ..self.copy() }
    }

    fn overlap(&self) -> Option<Overlap> {
        let until = self.sealed_at.filter(|_| self.overlaps)?;
        Some(Overlap { epoch: self.number, until_day: u16::try_from(until / DAY_SECONDS).ok()? })
    }
}

/// A key and the keyed state made from it. Both are wiped when dropped.
struct Secret {
    bytes: Zeroizing<[u8; KEY_BYTES]>,
    state: hmac::Keyed,
}

impl Secret {
    fn new(bytes: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        let state = hmac::Keyed::new(&bytes);
        Self { bytes, state }
    }

    /// # Panics
    /// When the source gives the same byte 32 times: a key of nothing would make every hash guessable, so nothing may start with it.
    fn random(random: &mut impl FnMut(&mut [u8])) -> Self {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        random(bytes.as_mut_slice());
        assert!(!is_weak(&bytes), "the source of randomness gave none");
        Self::new(bytes)
    }

    fn copy(&self) -> Self {
        Self::new(self.bytes.clone())
    }
}

/// A key of one repeated byte is none: a placeholder or a failed source.
pub(crate) fn is_weak(key: &[u8; KEY_BYTES]) -> bool {
    let [first, ..] = *key;
    key.iter().all(|byte| *byte == first)
}

impl KeyRing {
    /// New keys from `random`, which fills the slice that it is given with random bytes of the system. Epoch 1.
    ///
    /// # Panics
    /// When `random` gives the same byte 32 times.
    pub fn generate(mut random: impl FnMut(&mut [u8])) -> Self {
        let current = Epoch::new(1, Secret::random(&mut random));
        Self::of(current, Vec::new(), Secret::random(&mut random))
    }

    fn of(current: Epoch, sealed: Vec<Epoch>, opt_out: Secret) -> Self {
        let views = view::ViewKeys::of(&opt_out);
        Self { current, sealed, opt_out, views }
    }

    /// The same keys with a new current epoch; the one that was current is sealed at `now_seconds`, and an overlap that it has ends. The opt-out
    /// key stays, and the hashes of views with it. Another overlap may begin at once: it is of two later keys, so that the pairs of the one that was
    /// broken off and its own have no key in common.
    ///
    /// # Errors
    /// [`KeyError::TooManyEpochs`] when no epoch number or no room is left: destroy sealed ones whose last event has expired.
    ///
    /// # Panics
    /// When `random` gives the same byte 32 times.
    pub fn rotated_at(&self, now_seconds: u64, random: impl FnMut(&mut [u8])) -> Result<Self, KeyError> {
        self.rotated(now_seconds, None, random)
    }

    /// The same keys with a new current epoch; the one that was current overlaps with it until a day begins in UTC, and is sealed then.
    ///
    /// # Errors
    /// As [`Self::rotated_at`]; [`KeyError::Overlapping`] while an earlier overlap runs: a device would have to be tied over two rotations.
    ///
    /// # Panics
    /// When `random` gives the same byte 32 times.
    pub fn rotated_with_overlap(
        &self,
        now_seconds: u64,
        until_day: u16,
        random: impl FnMut(&mut [u8]),
    ) -> Result<Self, KeyError> {
        match self.running_overlap(now_seconds) {
            Some(Overlap { epoch, .. }) => Err(KeyError::Overlapping { epoch }),
            None => self.rotated(now_seconds, Some(until_day), random),
        }
    }

    fn rotated(
        &self,
        now_seconds: u64,
        until_day: Option<u16>,
        mut random: impl FnMut(&mut [u8]),
    ) -> Result<Self, KeyError> {
        let number = self.current.number.checked_add(1).ok_or(KeyError::TooManyEpochs)?;
        if self.sealed.len() + 2 > file::EPOCHS_MAX {
            return Err(KeyError::TooManyEpochs);
        }
        let sealed_at = until_day.map_or(now_seconds, |day| u64::from(day) * DAY_SECONDS);
        let now_sealed =
            Epoch { sealed_at: Some(sealed_at), overlaps: until_day.is_some(), ..self.current.copy() };
        let before = self.sealed.iter().map(|epoch| epoch.sealed_by(now_seconds));
        let sealed = before.chain([now_sealed]).collect();
        let current = Epoch::new(number, Secret::random(&mut random));
        Ok(Self::of(current, sealed, self.opt_out.copy()))
    }

    /// The same keys without a sealed epoch: what was stored under it is nobody's from then on.
    ///
    /// # Errors
    /// [`KeyError::NotSealed`] when there is no sealed epoch of that number. [`KeyError::Overlapping`] while it overlaps with the current one: without it
    /// another overlap could begin beside the pairs of this one, and tie a device over two rotations. A cut ([`Self::rotated_at`]) ends the overlap.
    pub fn without(&self, epoch: u16, now_seconds: u64) -> Result<Self, KeyError> {
        if !self.sealed.iter().any(|sealed| sealed.number == epoch) {
            return Err(KeyError::NotSealed { epoch });
        }
        if self.running_overlap(now_seconds).is_some_and(|overlap| overlap.epoch == epoch) {
            return Err(KeyError::Overlapping { epoch });
        }
        let sealed = self.sealed.iter().filter(|sealed| sealed.number != epoch).map(Epoch::copy).collect();
        Ok(Self::of(self.current.copy(), sealed, self.opt_out.copy()))
    }

    /// The same keys; an overlap that is over by now is none any more, so that nothing is hashed for it. For the start of a process.
    #[must_use]
    pub fn without_ended_overlap(self, now_seconds: u64) -> Self {
        let is_over = |epoch: &Epoch| epoch.sealed_at.is_some_and(|at| at <= now_seconds);
        let sealed = self
            .sealed
            .iter()
            .map(|epoch| Epoch { overlaps: epoch.overlaps && !is_over(epoch), ..epoch.copy() });
        let sealed = sealed.collect();
        Self { sealed, ..self }
    }

    /// The key before the current one, if the two overlap; it stays here after the overlap's end, until the next rotation or
    /// [`Self::without_ended_overlap`].
    pub fn overlap(&self) -> Option<Overlap> {
        self.overlapping().and_then(Epoch::overlap)
    }

    /// The same, if it is not over.
    pub fn running_overlap(&self, now_seconds: u64) -> Option<Overlap> {
        self.overlap().filter(|overlap| now_seconds < overlap.ends_at())
    }

    fn overlapping(&self) -> Option<&Epoch> {
        let before = self.sealed.last()?;
        (before.overlaps && before.number.checked_add(1) == Some(self.current.number)).then_some(before)
    }

    /// What stood for the device of this identifier under the key before, if the two overlap. Whether the overlap is over is the caller's to look at.
    pub fn former(&self, id: &Canonical<'_>) -> Option<Former> {
        let before = self.overlapping()?;
        let Overlap { epoch, until_day } = before.overlap()?;
        Some(Former { key: device_key(before, id), epoch, until_day })
    }

    /// Sealed epochs, oldest first, with the time at which each was sealed (or will be, of one that overlaps with the current one), Unix seconds, if that was noted.
    pub fn sealed(&self) -> impl Iterator<Item = (u16, Option<u64>)> {
        self.sealed.iter().map(|epoch| (epoch.number, epoch.sealed_at))
    }

    /// The current epoch: stamped on every device.
    pub fn epoch(&self) -> u16 {
        self.current.number
    }

    /// Every epoch whose key is still here, oldest first; the last is the current one.
    pub fn epochs(&self) -> impl Iterator<Item = u16> {
        self.sealed.iter().chain([&self.current]).map(|epoch| epoch.number)
    }

    /// What stands for the device of this identifier under the current epoch.
    pub fn device_key(&self, id: &Canonical<'_>) -> DeviceKey {
        device_key(&self.current, id)
    }

    /// The same under another epoch: for erasures and copies. `None` when its key is not (or no longer) here.
    pub fn device_key_of(&self, epoch: u16, id: &Canonical<'_>) -> Option<DeviceKey> {
        let found = self.sealed.iter().chain([&self.current]).find(|one| one.number == epoch)?;
        Some(device_key(found, id))
    }

    /// What stands for the device of this identifier under every epoch whose key is still here, with the epoch's number, oldest first: what an
    /// erasure or a copy looks for. An epoch whose key was destroyed is not among them: nothing of it can be found any more.
    pub fn device_keys(&self, id: &Canonical<'_>) -> impl Iterator<Item = (u16, DeviceKey)> {
        self.sealed.iter().chain([&self.current]).map(|epoch| (epoch.number, device_key(epoch, id)))
    }

    /// What shows that an id of the tracker's id cookie is one that we gave. Under the opt-out key, which does not rotate: a cookie lives longer
    /// than an epoch.
    pub(crate) fn id_cookie_tag(&self, random: &[u8]) -> [u8; 6] {
        let hash = self.opt_out.state.hash(&[&[ID_COOKIE_MESSAGE], random]);
        hash.first_chunk().copied().unwrap_or_default()
    }

    /// What stands for this identifier in the opt-out list.
    pub fn opt_out_hash(&self, id: &Canonical<'_>) -> OptOutHash {
        let [kind, form] = [id.kind() as u8, id.form() as u8];
        OptOutHash(self.opt_out.state.hash(&[&[MESSAGE_VERSION, kind, form], id.hex()]))
    }
}

fn device_key(epoch: &Epoch, id: &Canonical<'_>) -> DeviceKey {
    let [kind, form] = [id.kind() as u8, id.form() as u8];
    DeviceKey(epoch.secret.state.hash(&[&[MESSAGE_VERSION, kind, form], id.hex(), id.caid_version()]))
}
