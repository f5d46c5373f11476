//! Where records come from: the lanes of the journal on this machine, or the frames that Kafka carries.
//!
//! Owns what both have in common for the loader. What was taken from a feed stays in it until [`Feed::advance`]: a process that ends before
//! reads it again.

use std::time::Duration;

use super::lanes::Lanes;
use super::topic::Topic;
use crate::batch::{Batch, Context};

/// Bytes of rows in one batch.
const BATCH_BYTES_MAX: usize = 64 << 20;

/// See the module.
pub(super) enum Feed {
    /// In this process.
    Lanes(Lanes),
    /// Over Kafka. The larger one: it stands apart.
    Topic(Box<Topic>),
}

/// A batch that takes records in.
pub(super) struct Taker<'a> {
    pub(super) batch: &'a mut Batch,
    pub(super) context: Context<'a>,
    pub(super) events_max: usize,
}

/// How reading went.
#[derive(Debug)]
pub(super) struct Reading {
    /// Nothing more is there now.
    pub(super) caught_up: bool,
    pub(super) trouble: Option<String>,
}

impl Taker<'_> {
    pub(super) fn is_full(&self) -> bool {
        self.batch.records as usize >= self.events_max || self.batch.bytes() >= BATCH_BYTES_MAX
    }

    /// Takes in the records of a frame.
    pub(super) fn take<'r>(&mut self, journal: u64, records: impl Iterator<Item = (u64, &'r [u8])>) {
        for (seq, record) in records {
            self.batch.add(&mut self.context, (journal, seq), record);
        }
    }
}

impl Feed {
    /// Takes what is there, up to a full batch. Does not wait.
    pub(super) fn read(&mut self, taker: &mut Taker<'_>) -> Reading {
        match self {
            Self::Lanes(lanes) => lanes.read(taker),
            Self::Topic(topic) => topic.read(taker),
        }
    }

    /// Whether more has to be stored before more can be read, for a reason of the feed's own.
    pub(super) fn is_full(&self) -> bool {
        match self {
            Self::Lanes(_) => false,
            Self::Topic(topic) => topic.is_full(),
        }
    }

    /// Whether anything was taken that is not behind [`Self::advance`] yet.
    pub(super) fn has_taken(&self) -> bool {
        match self {
            Self::Lanes(lanes) => lanes.has_taken(),
            Self::Topic(topic) => topic.has_taken(),
        }
    }

    /// Makes durable what cannot go into the store.
    ///
    /// # Errors
    /// What is in the way; to be tried again before [`Self::advance`].
    pub(super) fn secure(&mut self) -> Result<(), String> {
        match self {
            Self::Lanes(_) => Ok(()),
            Self::Topic(topic) => topic.secure(),
        }
    }

    /// Goes on behind what was taken: it is durable elsewhere now.
    ///
    /// # Errors
    /// What is in the way. It is tried again with what is taken next; a process that ends before reads the same again.
    pub(super) fn advance(&mut self) -> Result<(), String> {
        match self {
            Self::Lanes(lanes) => lanes.advance(),
            Self::Topic(topic) => {
                topic.advance();
                Ok(())
            }
        }
    }

    /// Remembers where everything ends now.
    ///
    /// # Errors
    /// Kafka's.
    pub(super) fn aim(&mut self) -> Result<(), String> {
        match self {
            Self::Lanes(lanes) => {
                lanes.aim();
                Ok(())
            }
            Self::Topic(topic) => topic.aim(),
        }
    }

    /// Whether everything up to what [`Self::aim`] remembered is in the store, whoever put it there. To be asked when nothing is left in hand.
    ///
    /// # Errors
    /// Kafka's.
    pub(super) fn has_reached(&mut self) -> Result<bool, String> {
        match self {
            Self::Lanes(lanes) => Ok(lanes.has_reached()),
            Self::Topic(topic) => topic.has_reached(),
        }
    }

    /// What is in the way of reading at present.
    pub(super) fn trouble(&self) -> Option<String> {
        match self {
            Self::Lanes(_) => None,
            Self::Topic(topic) => topic.trouble(),
        }
    }

    /// Whether this aggregator is the one that settles.
    pub(super) fn is_settler(&self) -> bool {
        match self {
            Self::Lanes(_) => true,
            Self::Topic(topic) => topic.is_settler(),
        }
    }

    /// Tells how far it is.
    pub(super) fn measure(&self) {
        match self {
            Self::Lanes(lanes) => lanes.measure(),
            Self::Topic(topic) => topic.measure(),
        }
    }

    /// Waits for news, for this long at most.
    pub(super) fn wait(&mut self, length: Duration) {
        match self {
            Self::Lanes(lanes) => lanes.wait(length),
            Self::Topic(topic) => topic.wait(length),
        }
    }

    /// Whether it is to be read to its end before the loader ends.
    pub(super) fn is_finite(&self) -> bool {
        match self {
            Self::Lanes(_) => true,
            Self::Topic(_) => false,
        }
    }

    /// Lets go. Blocks until that is done.
    pub(super) fn close(self) {
        match self {
            Self::Lanes(_) => {}
            Self::Topic(topic) => topic.close(),
        }
    }
}
