//! Whether an identifier that a person shows to the operator is one that his request names.
//!
//! A request holds keys and no identifier, so nobody can read from it whose device it is about. What the person shows (the box of the phone, its
//! settings page) goes through the same hashing as what he typed, and the keys are compared: the value is used for that alone and kept nowhere.
//!
//! # When an identifier counts as shown
//!
//! When all of its keys are covered: by what the identifier shown gives, or any digest of it does, for he may have typed a digest. Keys of an epoch that was
//! destroyed since are left out: nothing is stored under them any more. Then the keys of the identifier shown are looked for too: those of an epoch
//! that began since the request was made, and of the forms that a digest did not give.
//!
//! It must never take a digest for an identifier that was shown: whoever holds a list of them has all of its digests and none of its devices. Where a
//! kind's raw form can look like a digest (an OAID, a CAID, an `OpenUDID`, a cookie's id), only the operator's eye can tell.

use std::collections::HashSet;

use event::identifier::{IdKind, LodgeError, devices_of_digests, lodge};
use event::key::{DeviceKey, KeyRing};
use thiserror::Error;

use super::record::{Key, NamedId, Request};
use super::{KEYS_MAX, RequestError, Requests};

/// Why a value is no identifier that a person can have shown. Never holds the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotShown {
    /// It identifies nobody.
    #[error(transparent)]
    Id(#[from] LodgeError),
    /// A digest.
    #[error("this is a digest of a {}: what counts is the identifier itself, as the device or its papers show it", .0.name())]
    Digest(IdKind),
}

/// An identifier that was shown, as what it covers of a request. Holds keys alone.
pub struct Shown {
    /// Those of the identifier itself, under every epoch whose key is here.
    own: Vec<Key>,
    named: NamedId,
    /// Those, and what was typed as a digest of it gives.
    covers: HashSet<(u16, DeviceKey), ahash::RandomState>,
    epochs: Vec<u16>,
}

impl Shown {
    /// What a value gives. `version` is that of a CAID.
    ///
    /// # Errors
    /// [`NotShown`].
    pub fn of(kind: IdKind, value: &[u8], version: Option<&[u8]>, keys: &KeyRing) -> Result<Self, NotShown> {
        let lodged = lodge(kind, value, keys)?;
        if !(lodged.ambiguous || lodged.uncovered.is_empty()) {
            return Err(NotShown::Digest(kind));
        }
        let own = event::identifier::devices(kind, value, version, keys)?;
        let digests = devices_of_digests(kind, value, version, keys)?;
        let covers = own.iter().chain(&digests).copied().collect();
        let own = own.into_iter().map(|(epoch, device)| Key { epoch, kind, device }).collect();
        let named = NamedId::of_lodged(kind, &lodged);
        Ok(Self { own, named, covers, epochs: keys.epochs().collect() })
    }

    /// For tests: one that covers these.
    #[cfg(test)]
    pub(super) fn of_keys(keys: &[Key]) -> Self {
        let covers = keys.iter().map(|key| (key.epoch, key.device)).collect();
        let named = NamedId::of_kind(IdKind::Oaid);
        Self { own: keys.to_vec(), named, covers, epochs: keys.iter().map(|key| key.epoch).collect() }
    }

    fn covers(&self, key: &Key) -> bool {
        self.covers.contains(&(key.epoch, key.device))
    }
}

/// What came of showing an identifier.
pub struct Matching {
    /// The request, as it is now.
    pub request: Request,
    /// Its identifiers that this one is.
    pub ids: usize,
    /// Its identifiers of which this one covers some keys, and others are not covered: a CAID of another version, two CAIDs of which one was shown, an IMEI
    /// whose last digit was typed wrong.
    pub ids_in_part: usize,
}

impl Requests {
    /// Compares an identifier that was shown with those of a request that waits, and notes durably which it is.
    ///
    /// # Errors
    /// [`RequestError::Unknown`], [`RequestError::NotWaiting`], [`RequestError::TooManyKeys`], [`RequestError::Unavailable`].
    pub fn match_shown(&self, number: u32, shown: &Shown) -> Result<Matching, RequestError> {
        let _turn = self.turn();
        let mut request = self.waiting(number)?;
        let Covered { ids, ids_in_part } = cover(&mut request, shown);
        if request.keys.len() > KEYS_MAX {
            return Err(RequestError::TooManyKeys);
        }
        if ids + ids_in_part == 0 {
            self.enter("operator", "request.not_matched", &request)?;
        } else {
            request.matched_ms = Some(self.0.clock.now_ms());
            self.write("operator", "request.matched", &request)?;
        }
        Ok(Matching { request, ids, ids_in_part })
    }
}

/// Identifiers of a request that one is, wholly or in part.
#[derive(Default)]
struct Covered {
    ids: usize,
    ids_in_part: usize,
}

/// Marks the keys that an identifier covers, and takes in its own where it is one of those that were named.
fn cover(request: &mut Request, shown: &Shown) -> Covered {
    let mut covered = Covered::default();
    let (mut keys, mut matched, mut ids) = (Vec::new(), Vec::new(), Vec::new());
    let mut rest = (&*request.keys, &*request.matched);
    for id in &request.ids {
        let mut id = *id;
        let (own, later) = rest.0.split_at_checked(usize::from(id.keys)).unwrap_or_default();
        let (flags, later_flags) = rest.1.split_at_checked(usize::from(id.keys)).unwrap_or_default();
        rest = (later, later_flags);
        let mut own: Vec<(Key, bool)> = own
            .iter()
            .enumerate()
            .map(|(at, key)| (*key, shown.covers(key) || flags.get(at).is_some_and(|flag| *flag)))
            .collect();
        if own.iter().any(|(key, _)| shown.covers(key)) {
            if own.iter().all(|(key, is_covered)| *is_covered || !shown.epochs.contains(&key.epoch)) {
                covered.ids += 1;
                id = id.with(shown.named);
                for (_, is_covered) in &mut own {
                    *is_covered = true;
                }
                for key in &shown.own {
                    let is_there =
                        own.iter().any(|(known, _)| (known.epoch, known.device) == (key.epoch, key.device));
                    own.extend((!is_there).then_some((*key, true)));
                }
            } else {
                covered.ids_in_part += 1;
            }
        }
        ids.push(NamedId { keys: own.len() as u16, ..id });
        keys.extend(own.iter().map(|(key, _)| *key));
        matched.extend(own.iter().map(|(_, is_covered)| *is_covered));
    }
    request.keys = keys.into();
    request.ids = ids.into();
    if matched.contains(&true) {
        request.matched = matched.into();
    }
    covered
}

/// Whether a request can be accepted: every identifier was shown, and each is looked for under the newest epoch.
pub(super) fn check(request: &Request, epoch: u16) -> Result<(), RequestError> {
    let ids = request.ids.len();
    let left = ids - request.ids_matched();
    if ids == 0 || left > 0 {
        return Err(RequestError::NotMatched { ids, left });
    }
    let mut keys = &*request.keys;
    for id in &request.ids {
        let (own, later) = keys.split_at_checked(usize::from(id.keys)).unwrap_or_default();
        keys = later;
        if !own.iter().any(|key| key.epoch == epoch) {
            return Err(RequestError::Rotated);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
