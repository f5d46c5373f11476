//! The requests as they stand, in memory.

use std::collections::{BTreeMap, HashMap, HashSet};

use event::clock::UnixMs;

use super::record::{Key, Kind, Proof, Request, State};
use super::{COPY_AGAIN_MS, ERASURE_AGAIN_MS};
use crate::receipt::ReceiptId;

/// The requests as they are.
#[derive(Default)]
pub(super) struct Book {
    pub(super) by_number: BTreeMap<u32, Request>,
    pub(super) by_receipt: HashMap<ReceiptId, u32, ahash::RandomState>,
    /// The newest number of all, whether or not its request is still in the book: none is given twice.
    pub(super) last: u32,
    /// Requests that were here and are not.
    pub(super) lost: u32,
    /// Keys of all requests.
    pub(super) keys: usize,
}

/// How much of the room is taken.
#[derive(Clone, Copy, Default)]
pub(super) struct Held {
    pub(super) requests: usize,
    pub(super) waiting: usize,
    pub(super) keys: usize,
}

/// Whether an app or another company asked, not a person himself.
pub(super) fn of_party(request: &Request) -> bool {
    request.proof.app().is_some()
}

impl Book {
    pub(super) fn put(&mut self, request: Request) {
        self.last = self.last.max(request.number);
        self.by_receipt.insert(request.receipt, request.number);
        self.keys += request.keys.len();
        let before = self.by_number.insert(request.number, request);
        self.keys -= before.map_or(0, |before| before.keys.len());
    }

    fn forget(&mut self, number: u32) {
        if let Some(request) = self.by_number.remove(&number) {
            self.keys -= request.keys.len();
            self.by_receipt.remove(&request.receipt);
        }
    }

    /// Drops the keys of copies that were finished before a moment: their files are gone.
    pub(super) fn drop_keys_of_copies(&mut self, before_ms: UnixMs) {
        let copies = self.by_number.values_mut().filter(|request| request.kind == Kind::Copy);
        for copy in copies.filter(|copy| copy.finished_ms.is_some_and(|at_ms| at_ms <= before_ms)) {
            self.keys -= copy.keys.len();
            copy.keys = Box::default();
        }
    }

    /// The receipts of finished copies that hold a device of these keys.
    pub(super) fn copies_of(&self, keys: &[Key]) -> Vec<ReceiptId> {
        let erased: HashSet<_, ahash::RandomState> = keys.iter().map(|key| key.device).collect();
        let copies = self.by_number.values().filter(|request| {
            request.kind == Kind::Copy && request.keys.iter().any(|key| erased.contains(&key.device))
        });
        copies.filter(|copy| copy.state == State::Done).map(|copy| copy.receipt).collect()
    }

    /// Forgets the erasures that were accepted before a moment and are done.
    pub(super) fn forget_erased(&mut self, before_ms: UnixMs) {
        let is_old = |request: &&Request| {
            (request.kind, request.state) == (Kind::Erasure, State::Done)
                && request.until_ms().is_some_and(|until_ms| until_ms < before_ms)
        };
        let old: Vec<u32> = self.by_number.values().filter(is_old).map(|request| request.number).collect();
        for number in old {
            self.forget(number);
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

    /// What is held of the requests that a choice takes.
    pub(super) fn held(&self, chosen: impl Fn(&Request) -> bool) -> Held {
        let mut held = Held::default();
        for request in self.by_number.values().filter(|request| chosen(request)) {
            held.requests += 1;
            held.waiting += usize::from(request.state == State::Waiting);
            held.keys += request.keys.len();
        }
        held
    }

    /// Forgets the oldest of those that are answered while there are more than a number, of all and of the parties'.
    pub(super) fn shrink(&mut self, requests_max: usize, of_parties_max: usize) {
        let own = self.held(of_party).requests.saturating_sub(of_parties_max);
        self.forget_oldest(own, of_party);
        self.forget_oldest(self.by_number.len().saturating_sub(requests_max), |_| true);
    }

    fn forget_oldest(&mut self, excess: usize, chosen: impl Fn(&Request) -> bool) {
        if excess == 0 {
            return;
        }
        let is_chosen = |number: &u32| self.by_number.get(number).is_some_and(&chosen);
        let numbers = self.answered().map(|(number, _)| number);
        let old: Vec<u32> = numbers.filter(is_chosen).take(excess).collect();
        for number in old {
            self.forget(number);
        }
    }

    /// A browser's request for the same that is not done yet, or was done just now.
    pub(super) fn same(&self, kind: Kind, keys: &[Key], now_ms: UnixMs) -> Option<Request> {
        let again_ms = match kind {
            Kind::Erasure => ERASURE_AGAIN_MS,
            Kind::Copy => COPY_AGAIN_MS,
        };
        let mut requests = self.by_number.values().rev();
        let same = requests.find(|request| {
            let is_recent = match request.state {
                State::Running => true,
                State::Done | State::NotLinkable => {
                    request.finished_ms.is_some_and(|at_ms| now_ms - at_ms < again_ms)
                }
                State::Waiting | State::Refused => false,
            };
            is_recent && request.kind == kind && request.proof == Proof::Browser && *request.keys == *keys
        });
        same.cloned()
    }
}
