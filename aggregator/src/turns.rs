//! Whose turn it is where only so many can be served at a time.
//!
//! Of one party no more are served or next in line than can be served at all; the others of it wait among themselves. So whoever asks for much makes itself
//! wait, and another party's request is served when the next one ends.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use crate::view::View;

/// Parties remembered before those are forgotten that have no request.
const PARTIES_MAX: usize = 1000;

/// Turns of all parties.
pub(crate) struct Turns {
    /// Served at the same time, of all parties and of each.
    at_once: usize,
    all: Arc<Semaphore>,
    each: Mutex<HashMap<View, Arc<Semaphore>>>,
}

/// A turn; it ends when this is dropped.
pub(crate) struct Turn {
    _of_all: OwnedSemaphorePermit,
    _of_party: OwnedSemaphorePermit,
}

impl Turns {
    /// `at_once` are served at the same time, at least one.
    pub(crate) fn new(at_once: usize) -> Self {
        let at_once = at_once.max(1);
        Self { at_once, all: Arc::new(Semaphore::new(at_once)), each: Mutex::default() }
    }

    /// Waits for a turn. All tokens that see the same are one party.
    ///
    /// # Errors
    /// Never: nothing closes what is waited for.
    pub(crate) async fn take(&self, party: &View) -> Result<Turn, AcquireError> {
        let of_party = self.of(party).acquire_owned().await?;
        let of_all = Arc::clone(&self.all).acquire_owned().await?;
        Ok(Turn { _of_all: of_all, _of_party: of_party })
    }

    fn of(&self, party: &View) -> Arc<Semaphore> {
        let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
        if each.len() >= PARTIES_MAX {
            // A permit and one who waits for it hold on to theirs.
            each.retain(|_, turns| Arc::strong_count(turns) > 1);
        }
        Arc::clone(each.entry(party.clone()).or_insert_with(|| Arc::new(Semaphore::new(self.at_once))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advertiser(n: usize) -> View {
        View::Advertiser(vec![n.to_string()])
    }

    /// Lets the other tasks go on until each waits.
    async fn settle() {
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn who_asks_for_much_keeps_no_other_waiting() {
        let (turns, ends) = (Arc::new(Turns::new(2)), Arc::new(Semaphore::new(0)));
        let served = Arc::new(Mutex::new(Vec::new()));
        let ask = |party: View, name: &'static str| {
            let (turns, ends, served) = (Arc::clone(&turns), Arc::clone(&ends), Arc::clone(&served));
            tokio::spawn(async move {
                let _turn = turns.take(&party).await.expect("open");
                served.lock().expect("not poisoned").push(name);
                ends.acquire().await.expect("open").forget();
            })
        };
        let mut asked: Vec<_> = (0..60).map(|_| ask(advertiser(1), "greedy")).collect();
        settle().await;
        assert_eq!(*served.lock().expect("not poisoned"), ["greedy"; 2]);
        asked.push(ask(advertiser(2), "other"));
        settle().await;
        ends.add_permits(1);
        settle().await;
        assert_eq!(*served.lock().expect("not poisoned"), ["greedy", "greedy", "other"]);
        ends.add_permits(60);
        for one in asked {
            one.await.expect("served");
        }
        assert_eq!(served.lock().expect("not poisoned").len(), 61);
    }

    #[tokio::test]
    async fn a_party_without_a_request_is_forgotten_and_one_with_is_not() {
        let turns = Turns::new(1);
        let kept = turns.take(&advertiser(0)).await.expect("open");
        for n in 1..=PARTIES_MAX {
            let _ = turns.of(&advertiser(n));
        }
        let each = turns.each.lock().expect("not poisoned");
        assert!(each.len() < PARTIES_MAX && each.contains_key(&advertiser(0)), "{}", each.len());
        drop(kept);
    }
}
