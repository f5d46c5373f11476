//! The task that drives a lane from its runtime: hands batches over and wakes, on the runtime's own thread, those whose group has ended.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use crate::commit::Group;
use crate::mailbox::State;
use crate::writer::{Shared, lock};

/// See [`Writer::drive`].
pub(crate) struct Drive {
    shared: Arc<Shared>,
    finished: Vec<Arc<Group>>,
}

impl Drive {
    pub(crate) fn new(shared: Arc<Shared>) -> Drive {
        shared.driven.store(true, Ordering::Relaxed);
        Drive { shared, finished: Vec::new() }
    }
}

impl Future for Drive {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut mailbox = lock(&this.shared.mailbox);
        match &mut mailbox.driver {
            Some(driver) => driver.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        mem::swap(&mut mailbox.finished, &mut this.finished);
        let hand_over = mailbox.flush();
        let closed = mailbox.state == State::Closed;
        drop(mailbox);
        if hand_over {
            this.shared.work.notify_one();
        }
        for group in this.finished.drain(..) {
            group.wake();
        }
        if closed { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Drive {
    fn drop(&mut self) {
        let mut mailbox = lock(&self.shared.mailbox);
        self.shared.driven.store(false, Ordering::Relaxed);
        mailbox.driver = None;
        self.finished.append(&mut mailbox.finished);
        let hand_over = mailbox.flush();
        drop(mailbox);
        if hand_over {
            self.shared.work.notify_one();
        }
        for group in self.finished.drain(..) {
            group.wake();
        }
    }
}
