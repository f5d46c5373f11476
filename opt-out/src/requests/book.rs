//! The requests as they stand, in memory.

use std::collections::{BTreeMap, HashMap};

use event::clock::UnixMs;

use super::record::{Key, Kind, Proof, Request, State};
use crate::receipt::ReceiptId;

/// The requests as they are.
#[derive(Default)]
pub(super) struct Book {
    pub(super) by_number: BTreeMap<u32, Request>,
    pub(super) by_receipt: HashMap<ReceiptId, u32, ahash::RandomState>,
    /// The newest number of all, whether or not its request is still in the book: none is given twice.
    pub(super) last: u32,
}

impl Book {
    pub(super) fn put(&mut self, request: Request) {
        self.last = self.last.max(request.number);
        self.by_receipt.insert(request.receipt, request.number);
        self.by_number.insert(request.number, request);
    }

    fn forget(&mut self, number: u32) {
        if let Some(request) = self.by_number.remove(&number) {
            self.by_receipt.remove(&request.receipt);
        }
    }

    /// Those that nobody needs any more if their asker does not, oldest first, and when they were answered. An erasure that was done is none.
    fn answered(&self) -> impl Iterator<Item = (u32, UnixMs)> {
        self.by_number.values().filter_map(|request| {
            let at_ms = request.finished_ms.or(request.decided_ms)?;
            match (request.state, request.kind) {
                (State::Refused | State::NotLinkable, _) | (State::Done, Kind::Copy) => {
                    Some((request.number, at_ms))
                }
                (State::Waiting | State::Running, _) | (State::Done, Kind::Erasure) => None,
            }
        })
    }

    /// Forgets what was answered before a moment.
    pub(super) fn forget_answered(&mut self, before_ms: UnixMs) {
        let old: Vec<u32> =
            self.answered().filter(|(_, at_ms)| *at_ms < before_ms).map(|(one, _)| one).collect();
        for number in old {
            self.forget(number);
        }
    }

    /// Forgets the oldest of those that are answered while there are more than a number.
    pub(super) fn shrink(&mut self, requests_max: usize) {
        let excess = self.by_number.len().saturating_sub(requests_max);
        let old: Vec<u32> = self.answered().take(excess).map(|(number, _)| number).collect();
        for number in old {
            self.forget(number);
        }
    }

    /// The request for the same that is not done yet.
    pub(super) fn running(&self, kind: Kind, proof: &Proof, keys: &[Key]) -> Option<Request> {
        let mut requests = self.by_number.values();
        let same = requests.find(|request| {
            request.state == State::Running
                && request.kind == kind
                && request.proof == *proof
                && *request.keys == *keys
        });
        same.cloned()
    }
}
