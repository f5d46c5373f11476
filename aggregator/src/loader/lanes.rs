//! The lanes of the journal on this machine, as a feed.

use std::time::{Duration, Instant};

use journal::{Position, Reader, Writer};

use super::feed::{Reading, Taker};
use crate::metrics;

/// Name of the cursor with which every lane of the journal is read.
pub const CURSOR: &str = "aggregator";

/// Every lane in turn, each in order.
pub(super) struct Lanes {
    lanes: Vec<Lane>,
    has_taken: bool,
}

struct Lane {
    writer: Writer,
    reader: Reader,
    /// Everything before is in the batch or in the store.
    read: Position,
    target: Position,
}

impl Lanes {
    pub(super) fn open(writers: &[Writer]) -> Result<Self, journal::Error> {
        let open = |writer: &Writer| {
            let reader = writer.reader(CURSOR)?;
            Ok(Lane { writer: writer.clone(), read: reader.position(), reader, target: Position::START })
        };
        let lanes = writers.iter().map(open).collect::<Result<_, journal::Error>>()?;
        Ok(Self { lanes, has_taken: false })
    }

    pub(super) fn read(&mut self, taker: &mut Taker<'_>) -> Reading {
        let mut reading = Reading { caught_up: true, trouble: None };
        for lane in &mut self.lanes {
            let committed = lane.writer.committed();
            loop {
                if taker.is_full() {
                    reading.caught_up = false;
                    break;
                }
                match lane.reader.next_frame() {
                    Ok(Some(frame)) => {
                        taker.take(frame.journal_id.0, frame.records());
                        taker.batch.lost += frame.lost_before;
                        lane.read = frame.end();
                        self.has_taken = true;
                    }
                    Ok(None) => {
                        lane.read = lane.read.max(committed);
                        break;
                    }
                    Err(error) => {
                        tracing::error!(%error, "reading the journal failed");
                        reading.trouble = Some(error.to_string());
                        break;
                    }
                }
            }
        }
        reading
    }

    pub(super) fn has_taken(&self) -> bool {
        self.has_taken
    }

    pub(super) fn advance(&mut self) -> Result<(), String> {
        self.has_taken = false;
        let mut result = Ok(());
        for lane in &mut self.lanes {
            let position = lane.reader.position();
            if let Err(error) = lane.reader.commit(position) {
                result = Err(format!("moving the cursor failed: {error}"));
            }
        }
        result
    }

    pub(super) fn aim(&mut self) {
        for lane in &mut self.lanes {
            lane.target = lane.writer.committed();
        }
    }

    pub(super) fn has_reached(&self) -> bool {
        self.lanes.iter().all(|lane| lane.read >= lane.target)
    }

    pub(super) fn measure(&self) {
        metrics::journal_lag_bytes(self.lanes.iter().map(|lane| lane.reader.lag_bytes()).sum());
    }

    pub(super) fn wait(&self, length: Duration) {
        // Lanes are looked at in turn; with several, each gets its share of the pause. A closed lane does not wait.
        let until = Instant::now() + length;
        let share = length / self.lanes.len().max(1) as u32;
        if !self.lanes.iter().any(|lane| lane.reader.wait(share)) {
            std::thread::sleep(until.saturating_duration_since(Instant::now()));
        }
    }
}
