//! What others see of the loader: whether it keeps up, what troubles it, whether this aggregator settles.
//!
//! Must never: be asked anything that waits for the store or for Kafka while its lock is held.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Shared between the loader, the background work and the API.
pub(crate) struct Progress {
    state: Mutex<State>,
    moved: Condvar,
    settler: AtomicBool,
    /// Lets adoption know that there is something to adopt.
    pub(crate) unresolved: AtomicBool,
}

#[derive(Default)]
struct State {
    /// How often somebody asked for everything that had come by then.
    asked: u64,
    /// Up to which of these askings it is in the store.
    answered: u64,
    trouble: [Option<String>; 3],
    stop: bool,
    ended: bool,
}

/// Where trouble is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trouble {
    /// Reading the journal or Kafka.
    Source,
    /// Inserting what was read.
    Insert,
    /// The store, whatever is asked of it.
    Store,
}

impl Progress {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            moved: Condvar::new(),
            settler: AtomicBool::new(false),
            unresolved: AtomicBool::new(true),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until everything that has come by now is in the store; false when it takes longer than `timeout` or loading has ended.
    pub(crate) fn catch_up(&self, timeout: Duration) -> bool {
        let mut state = self.state();
        state.asked += 1;
        let asked = state.asked;
        let behind = |state: &mut State| !state.ended && state.answered < asked;
        let (state, _) =
            self.moved.wait_timeout_while(state, timeout, behind).unwrap_or_else(PoisonError::into_inner);
        state.answered >= asked
    }

    /// How often it was asked for, and up to which asking it was answered.
    pub(super) fn asked(&self) -> (u64, u64) {
        let state = self.state();
        (state.asked, state.answered)
    }

    pub(super) fn answer(&self, asked: u64) {
        self.state().answered = asked;
        self.moved.notify_all();
    }

    /// Ends the loader after what it has read.
    pub(crate) fn stop(&self) {
        self.state().stop = true;
        self.moved.notify_all();
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.state().stop
    }

    /// Waits, but not beyond the call to stop.
    pub(super) fn pause(&self, length: Duration) {
        let waited = self.moved.wait_timeout_while(self.state(), length, |state| !state.stop);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn end(&self) {
        self.state().ended = true;
        self.moved.notify_all();
    }

    /// What does not work at present, if anything.
    pub(crate) fn failing(&self) -> Option<String> {
        let state = self.state();
        if state.ended {
            return Some("the loader has ended".to_owned());
        }
        let all: Vec<&str> = state.trouble.iter().flatten().map(String::as_str).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    /// Tells of trouble, or that there is none any more.
    pub(crate) fn set(&self, of: Trouble, trouble: Option<String>) {
        let [source, insert, store] = &mut self.state().trouble;
        *match of {
            Trouble::Source => source,
            Trouble::Insert => insert,
            Trouble::Store => store,
        } = trouble;
    }

    /// Whether this aggregator is the one that settles.
    pub(crate) fn is_settler(&self) -> bool {
        self.settler.load(Ordering::Acquire)
    }

    pub(super) fn set_settler(&self, is_settler: bool) {
        self.settler.store(is_settler, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_told_until_it_is_over() {
        let progress = Progress::new();
        assert_eq!(progress.failing(), None);
        progress.set(Trouble::Store, Some("no store".to_owned()));
        progress.set(Trouble::Source, Some("no journal".to_owned()));
        assert_eq!(progress.failing().as_deref(), Some("no journal; no store"));
        progress.set(Trouble::Source, None);
        assert_eq!(progress.failing().as_deref(), Some("no store"));
        progress.set(Trouble::Store, None);
        assert_eq!(progress.failing(), None);
        progress.end();
        assert!(progress.failing().is_some());
    }

    #[test]
    fn who_asks_is_answered_for_what_came_before() {
        let progress = Progress::new();
        assert!(!progress.catch_up(Duration::ZERO));
        assert_eq!(progress.asked(), (1, 0));
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| progress.catch_up(Duration::from_mins(1)));
            while progress.asked().0 < 2 {
                std::thread::yield_now();
            }
            progress.answer(1);
            assert!(!waits.is_finished(), "an earlier answer is not for this asking");
            progress.answer(2);
            assert!(waits.join().expect("no panic"));
        });
        progress.end();
        assert!(!progress.catch_up(Duration::from_mins(1)));
    }
}
