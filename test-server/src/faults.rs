//! What the server does wrong on demand, and what it was asked.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Statements that are remembered.
const SEEN_MAX: usize = 100_000;
/// Bytes of each that are kept.
const SEEN_BYTES_MAX: usize = 300;

/// One thing that goes wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 503 of something before the server; the statement is not run.
    Unavailable,
    /// The server answers an exception of this code; the statement is not run.
    Exception(u32),
    /// The connection is cut before the statement is run.
    CutBefore,
    /// The statement is run and the connection cut without an answer.
    CutAfter,
    /// The statement is run and the connection cut in the middle of the answer.
    CutAnswer,
    /// The statement is run after this time.
    LateBefore(Duration),
    /// The statement is run at once and answered after this time.
    LateAfter(Duration),
}

struct Rule {
    needle: String,
    fault: Fault,
    /// How many times more; `None`: until it is cleared.
    left: Option<u64>,
}

#[derive(Default)]
struct State {
    refuses: AtomicBool,
    requests: AtomicU64,
    rules: Mutex<Vec<Rule>>,
    seen: Mutex<VecDeque<String>>,
}

/// Switches, which can be turned at any time and from any thread.
///
/// A statement is known by its text with the request's database and a space before it: `INSERT INTO events` means those of all databases,
/// `mine INSERT INTO events` those of one.
#[derive(Clone, Default)]
pub struct Faults(Arc<State>);

impl Faults {
    /// Closes every connection without an answer, as a server does that is going down; `false`: serves again.
    pub fn refuse(&self, refuses: bool) {
        self.0.refuses.store(refuses, Ordering::Release);
    }

    /// From now on `fault` befalls each statement in which `needle` stands (an empty one: every statement).
    pub fn set(&self, needle: &str, fault: Fault) {
        self.rules().push(Rule { needle: needle.to_owned(), fault, left: None });
    }

    /// `fault` befalls the next `times` statements in which `needle` stands.
    pub fn next(&self, needle: &str, fault: Fault, times: u64) {
        self.rules().push(Rule { needle: needle.to_owned(), fault, left: Some(times) });
    }

    /// No fault befalls anything any more.
    pub fn clear(&self) {
        self.refuse(false);
        self.rules().clear();
    }

    /// Requests that were read, those to `/ping` left out.
    pub fn requests(&self) -> u64 {
        self.0.requests.load(Ordering::Acquire)
    }

    /// How many statements with `needle` in them were read; of the last 100,000, by their first 300 bytes.
    pub fn seen(&self, needle: &str) -> usize {
        let seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().filter(|sql| sql.contains(needle)).count()
    }

    pub(crate) fn refuses(&self) -> bool {
        self.0.refuses.load(Ordering::Acquire)
    }

    /// Counts a statement, and says what befalls it.
    pub(crate) fn meet(&self, sql: &str) -> Option<Fault> {
        self.0.requests.fetch_add(1, Ordering::AcqRel);
        let kept = sql.char_indices().take_while(|(at, _)| *at < SEEN_BYTES_MAX).map(|(_, c)| c).collect();
        {
            let mut seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if seen.len() >= SEEN_MAX {
                seen.pop_front();
            }
            seen.push_back(kept);
        }
        let mut rules = self.rules();
        let at = rules.iter().position(|rule| sql.contains(&rule.needle))?;
        let rule = rules.get_mut(at)?;
        let fault = rule.fault.clone();
        if let Some(left) = &mut rule.left {
            *left -= 1;
            if *left == 0 {
                rules.remove(at);
            }
        }
        Some(fault)
    }

    fn rules(&self) -> MutexGuard<'_, Vec<Rule>> {
        self.0.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_befalls_what_it_was_set_for_as_often_as_was_said() {
        let faults = Faults::default();
        faults.next("INSERT INTO events", Fault::CutAfter, 2);
        faults.set("books", Fault::Unavailable);
        let met: Vec<_> = [
            "SELECT 1",
            "INSERT INTO events",
            "INSERT INTO events x",
            "INSERT INTO events",
            "books",
            "books",
        ]
        .map(|sql| faults.meet(sql))
        .into();
        let expected = [
            None,
            Some(Fault::CutAfter),
            Some(Fault::CutAfter),
            None,
            Some(Fault::Unavailable),
            Some(Fault::Unavailable),
        ];
        assert_eq!(met, expected);
        assert_eq!((faults.requests(), faults.seen("INSERT")), (6, 3));
        faults.clear();
        assert_eq!(faults.meet("books"), None);
    }
}
