//! Taking a registry from one machine into a cluster: every receipt of the journal into a topic that has none.
//!
//! It owns nothing for longer than the copy lasts. It must never write over a registry that was begun: a receipt that was taken back there since would be
//! in force again.
//!
//! The receipts go first and the beginning last, so that a copy which was cut short is seen as such: nobody follows a registry without a beginning, and the
//! copy is made again from its start, with the same result.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use kafka::{Cluster, Delivery, Producer, SendError, Topic};

use super::{Log, Registry, RegistryError, unavailable};
use crate::record::Record;

/// Messages on their way at the same time.
const PENDING_MAX: usize = 10_000;

/// Longest wait for Kafka's next answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Longest wait for one message when the topic is looked through.
const TICK: Duration = Duration::from_millis(100);

impl Registry {
    /// Copies the receipts of this registry into the topic of a cluster, where no registry was begun yet. Returns how many, or `None` if one was begun
    /// there: then nothing is done. Blocks. Call it before the first opt-out role of the cluster is started; a copy that failed may be repeated.
    ///
    /// # Errors
    /// [`RegistryError::NotBound`] for a registry that is not bound to its key, or is itself in a topic. [`RegistryError::Unavailable`],
    /// [`RegistryError::Kafka`]: Kafka.
    pub fn copy_to_topic(&self, cluster: &Cluster) -> Result<Option<u64>, RegistryError> {
        let Log::Journal { .. } = &self.0.log else { return Err(RegistryError::NotBound) };
        if is_begun(cluster)? {
            return Ok(None);
        }
        let mut copy = Copy { producer: cluster.producer()?, pending: VecDeque::new() };
        let (records, begun) = {
            let ledger = self.ledger();
            let key_check = ledger.key_check.ok_or(RegistryError::NotBound)?;
            let begun = Record::Begun { key_check, at_ms: self.0.clock.now_ms() };
            (ledger.records().collect::<Vec<_>>(), begun)
        };
        for record in &records {
            copy.send(record)?;
        }
        copy.settle(0)?;
        copy.send(&begun)?;
        copy.settle(0)?;
        tracing::info!(receipts = records.len(), "opt-out registry copied into its topic");
        Ok(Some(records.len() as u64))
    }
}

/// Whether the topic holds a beginning.
fn is_begun(cluster: &Cluster) -> Result<bool, RegistryError> {
    let mut follower = cluster.follow(Topic::OptOuts)?;
    let end = follower.end(ANSWER_TIMEOUT)?;
    let mut heard = Instant::now();
    while follower.position() < end {
        match follower.next(TICK) {
            Ok(Some(message)) => {
                heard = Instant::now();
                if let Some(Record::Begun { .. }) = Record::of_topic(&message.key, &message.value)? {
                    return Ok(true);
                }
            }
            Err(error) if error.is_final() => return Err(error.into()),
            Err(error) if heard.elapsed() > ANSWER_TIMEOUT => return Err(error.into()),
            Ok(None) if heard.elapsed() > ANSWER_TIMEOUT => {
                return Err(RegistryError::Unavailable("the topic cannot be read to its end".to_owned()));
            }
            Ok(None) | Err(_) => {}
        }
    }
    Ok(false)
}

struct Copy {
    producer: Producer,
    pending: VecDeque<Delivery>,
}

impl Copy {
    fn send(&mut self, record: &Record) -> Result<(), RegistryError> {
        let key = record.topic_key().ok_or(RegistryError::NotBound)?;
        self.settle(PENDING_MAX)?;
        loop {
            match self.producer.send(Topic::OptOuts, key.as_bytes(), &record.encode(), &[]) {
                Ok(delivery) => {
                    self.pending.push_back(delivery);
                    return Ok(());
                }
                Err(SendError::QueueFull) if !self.pending.is_empty() => {
                    self.settle(self.pending.len() - 1)?;
                }
                Err(error) => return Err(unavailable(error)),
            }
        }
    }

    /// Waits until at most so many are on their way.
    fn settle(&mut self, rest: usize) -> Result<(), RegistryError> {
        while self.pending.len() > rest
            && let Some(mut delivery) = self.pending.pop_front()
        {
            match delivery.wait(ANSWER_TIMEOUT) {
                Some(delivered) => drop(delivered.map_err(unavailable)?),
                None => return Err(RegistryError::Unavailable("Kafka does not answer".to_owned())),
            }
        }
        Ok(())
    }
}
