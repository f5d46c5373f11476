//! What changed on the list since its last rebuild: a pile of immutable layers.
//!
//! It owns their order. It must never change a layer that somebody may be reading, nor one that a rebuild has in hand.
//!
//! A change lays a small layer on top; one that is not [four times](LAYER_RATIO) as large as the one above it is made one with it, so that there are few, and
//! each entry is copied a few times in all. A rebuild takes the pile as it is then, which is frozen meanwhile, and in the end is cut off from
//! below. So a change costs what it changes, also beside a rebuild that takes seconds, and an import of millions delays nobody's own opt-out.
//!
//! Each layer has a filter of its own, so that a look-up of a stranger costs some bits of each and no search.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use crate::exact::Key;
use crate::filter::Filter;

/// A layer is made one with the one above it unless it is larger by more than this.
const LAYER_RATIO: usize = 4;

/// Bits of a layer's filter for each entry.
const FILTER_BITS: u32 = 16;

/// Changes since the base was built, in layers, oldest first.
#[derive(Clone, Default)]
pub(super) struct Overlay {
    pub(super) layers: Vec<Arc<Layer>>,
    /// So many of the oldest are being merged into a new base, and stay as they are.
    pub(super) frozen: usize,
}

/// Some changes, and a filter of them.
pub(super) struct Layer {
    changes: Changes,
    filter: Filter,
}

/// Some changes: `true` listed, `false` removed.
pub(super) type Changes = HashMap<Key, bool, BuildHasherDefault<OwnBits>>;

impl Layer {
    fn new(changes: Changes) -> Self {
        let mut filter = Filter::with_capacity(changes.len() as u64, FILTER_BITS, u32::MAX);
        for key in changes.keys() {
            filter.insert(key.leading_u64());
        }
        Self { changes, filter }
    }

    #[inline]
    fn get(&self, key: Key) -> Option<bool> {
        if self.filter.may_contain(key.leading_u64()) { self.changes.get(&key).copied() } else { None }
    }
}

impl Overlay {
    #[inline]
    pub(super) fn get(&self, key: Key) -> Option<bool> {
        self.layers.iter().rev().find_map(|layer| layer.get(key))
    }

    /// Entries of all layers; one that was changed again may count more than once.
    pub(super) fn len(&self) -> usize {
        self.layers.iter().map(|layer| layer.changes.len()).sum()
    }

    /// This one with changes on top.
    pub(super) fn with(&self, mut top: Changes) -> Self {
        let mut layers = self.layers.clone();
        while layers.len() > self.frozen
            && let Some(below) = layers.pop_if(|below| below.changes.len() <= LAYER_RATIO * top.len())
        {
            let mut merged = below.changes.clone();
            merged.extend(top);
            top = merged;
        }
        if !top.is_empty() {
            layers.push(Arc::new(Layer::new(top)));
        }
        Self { layers, frozen: self.frozen }
    }

    /// Every changed key once, ascending, as it is now.
    pub(super) fn changes(&self) -> Vec<(Key, bool)> {
        let newest_first = self.layers.iter().rev().enumerate();
        let mut changes: Vec<(Key, usize, bool)> = newest_first
            .flat_map(|(age, layer)| layer.changes.iter().map(move |(key, listed)| (*key, age, *listed)))
            .collect();
        changes.sort_unstable();
        changes.dedup_by_key(|(key, _, _)| *key);
        changes.into_iter().map(|(key, _, listed)| (key, listed)).collect()
    }
}

/// A hasher that passes a [`Key`]'s own bits through: they are a keyed hash already, which nobody without the key can aim.
#[derive(Default)]
pub(super) struct OwnBits(u64);

impl Hasher for OwnBits {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    #[inline]
    fn write_u128(&mut self, bits: u128) {
        self.0 = bits as u64;
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}
