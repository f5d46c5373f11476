//! A lane under random actions against a model that a child could check: what was sent, what was answered, what each reader took over.
//!
//! The seed is printed with every failure; `SIGHTLINE_SEED` runs that one alone, `SIGHTLINE_SOAK` multiplies the number of seeds.

#![allow(clippy::indexing_slicing, reason = "a test that fails should say where")]

mod support;

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use journal::storage::lossy::{Dice, Loss, LossyStorage};
use journal::{Commit, Compression, Durability, Lane, Position, Reader, Settings, Writer};
use support::{HandClock, Identity, Records, dir, soak};

/// Seeds of one run.
const SEEDS: u64 = 150;
/// Actions under each seed.
const ACTIONS: u64 = 120;
/// Cursors that read along.
const NAMES: [&str; 2] = ["store", "forwarder"];

/// One reader as the outside knows it.
#[derive(Default)]
struct Consumer {
    /// Open readers do not survive the lane.
    reader: Option<Reader>,
    /// Everything ever returned to it.
    taken: BTreeSet<Identity>,
    /// What it had taken when it last moved its cursor, and that worked.
    committed: BTreeSet<Identity>,
    /// What it had taken when it last tried to move its cursor: after a failure the cursor may stand there as well.
    attempted: BTreeSet<Identity>,
    /// It has a cursor, durably: from then on nothing is removed that it did not pass.
    known: bool,
    /// What was gone before it had one.
    came_too_late_for: BTreeSet<Identity>,
}

struct World {
    dice: Dice,
    storage: LossyStorage,
    clock: HandClock,
    settings: Settings,
    writer: Option<Writer>,
    waiting: Vec<(Identity, Commit)>,
    sent: Records,
    answered: BTreeSet<Identity>,
    consumers: Vec<Consumer>,
    next_record: u64,
}

impl World {
    fn new(seed: u64) -> World {
        let mut dice = Dice::new(seed);
        let settings = Settings {
            durability: Durability::Fsync,
            frame_bytes_max: 512,
            segment_bytes_max: 600 + dice.below(2000),
            queue_bytes_max: 512 + dice.below(2000) as usize,
            disk_bytes_max: 4000 + dice.below(20_000),
            retention_age: Duration::from_secs(dice.below(100)),
            segment_age_max: Duration::from_secs(1 + dice.below(100)),
            compression: if dice.one_in(2) {
                Compression::Off
            } else {
                Compression::Zstd { level: 1, payload_bytes_min: dice.below(300) as usize }
            },
            probe_interval: Duration::from_millis(1),
        };
        World {
            dice,
            storage: LossyStorage::new(),
            clock: HandClock::new(),
            settings,
            writer: None,
            waiting: Vec::new(),
            sent: Records::new(),
            answered: BTreeSet::new(),
            consumers: NAMES.iter().map(|_| Consumer::default()).collect(),
            next_record: 0,
        }
    }

    fn open(&mut self) {
        let storage = std::sync::Arc::new(self.storage.clone());
        let opened = Lane::open_on(storage, &dir(), self.settings.clone(), self.clock.clock());
        let Ok((writer, recovery)) = opened else { return };
        assert!(recovery.damaged.is_empty(), "a crash is no damage: {recovery:?}");
        assert!(recovery.missing_segments.is_empty(), "a crash leaves no hole: {recovery:?}");
        assert!(recovery.cursors_lost.is_empty(), "a crash spoils no cursor: {recovery:?}");
        self.writer = Some(writer);
    }

    fn act(&mut self) {
        if self.writer.is_none() {
            self.storage.set_capacity(None);
            self.open();
            return;
        }
        match self.dice.below(100) {
            0..=39 => self.append(),
            40..=59 => self.wait_for_all(),
            60..=64 => self.writer.iter().for_each(Writer::flush),
            65..=79 => self.read(),
            80..=84 => self.move_cursor(),
            85..=86 => drop(self.writer.as_ref().map(Writer::retain)),
            87..=89 => self.clock.advance(Duration::from_secs(self.dice.below(60))),
            90..=91 => {
                let kind =
                    if self.dice.one_in(2) { io::ErrorKind::Other } else { io::ErrorKind::StorageFull };
                self.storage.fail_at(self.storage.operations() + self.dice.below(6) as usize, kind);
            }
            92..=93 => {
                let used: usize = self.storage.files().values().map(Vec::len).sum();
                let capacity = self.dice.one_in(2).then(|| used as u64 + self.dice.below(2000));
                self.storage.set_capacity(capacity);
            }
            94..=95 => self.close(),
            96 => self.seek_to_start(),
            _ => self.crash(),
        }
    }

    fn append(&mut self) {
        let Some(writer) = &self.writer else { return };
        for _ in 0..=self.dice.below(6) {
            self.next_record += 1;
            let n = self.next_record;
            let record = format!("{n},").repeat(1 + self.dice.below(40) as usize).into_bytes();
            let Ok(commit) = writer.append(&record) else { continue };
            // The id changes only with the lane refusing in between, so that it is this record's.
            let identity = (commit.journal_id(), commit.seq());
            assert_eq!(self.sent.insert(identity, record), None, "an identity is used once");
            self.waiting.push((identity, commit));
        }
    }

    fn wait_for_all(&mut self) {
        for (identity, commit) in self.waiting.drain(..) {
            if let Ok(seq) = commit.wait() {
                assert_eq!(seq, identity.1);
                self.answered.insert(identity);
            }
        }
    }

    fn read(&mut self) {
        let which = self.dice.below(NAMES.len() as u64) as usize;
        let frames = self.dice.below(8);
        let (Some(writer), consumer) = (&self.writer, &mut self.consumers[which]) else { return };
        if consumer.reader.is_none() {
            consumer.reader = writer.reader(NAMES[which]).ok();
            if consumer.reader.is_some() && !consumer.known {
                consumer.known = true;
                let there = support::replay(writer);
                consumer.came_too_late_for =
                    self.answered.iter().filter(|identity| !there.contains_key(identity)).copied().collect();
            }
        }
        let Some(reader) = &mut consumer.reader else { return };
        for _ in 0..frames {
            let before = reader.position();
            let Some(frame) = reader.next_frame().expect("the disk reads") else { break };
            assert!(frame.start() >= before && frame.end() > frame.start(), "a reader goes forward");
            assert_eq!(frame.lost_before, 0, "nothing is missing in between");
            for (seq, record) in frame.records() {
                let identity = (frame.journal_id, seq);
                assert_eq!(
                    self.sent.get(&identity).map(Vec::as_slice),
                    Some(record),
                    "what is read was sent"
                );
                consumer.taken.insert(identity);
            }
        }
    }

    fn move_cursor(&mut self) {
        let which = self.dice.below(NAMES.len() as u64) as usize;
        let consumer = &mut self.consumers[which];
        let Some(reader) = &mut consumer.reader else { return };
        consumer.attempted.extend(&consumer.taken);
        if reader.commit(reader.position()).is_ok() {
            consumer.committed.clone_from(&consumer.taken);
        }
    }

    fn seek_to_start(&mut self) {
        for consumer in &mut self.consumers {
            consumer.reader.iter_mut().for_each(|reader| reader.seek(Position::START));
        }
    }

    fn close(&mut self) {
        self.writer.iter().for_each(Writer::close);
        // Closing commits what is queued.
        self.wait_for_all();
        self.leave();
    }

    fn crash(&mut self) {
        let loss = match self.dice.below(4) {
            0 => Loss::Nothing,
            1 => Loss::Everything,
            _ => Loss::Some(self.dice.below(1 << 32)),
        };
        let survivors = self.storage.crash(loss);
        self.wait_for_all();
        self.leave();
        self.storage = survivors;
    }

    fn leave(&mut self) {
        self.writer = None;
        for consumer in &mut self.consumers {
            consumer.reader = None;
        }
    }

    /// With everything quiet and whole again: each consumer has taken, or can still read, everything that was answered.
    fn check(&mut self) {
        self.crash();
        self.storage.set_capacity(None);
        self.open();
        let writer = self.writer.clone().expect("a whole disk opens");
        for (which, name) in NAMES.iter().enumerate() {
            let mut reader = writer.reader(name).expect("a reader");
            let rest = support::drain(&mut reader);
            assert_eq!(reader.position(), writer.committed());
            for (identity, record) in &rest {
                assert_eq!(self.sent.get(identity), Some(record), "what is read was sent");
            }
            let consumer = &self.consumers[which];
            for identity in self.answered.difference(&consumer.came_too_late_for).filter(|_| consumer.known) {
                let passed = consumer.committed.contains(identity) || consumer.attempted.contains(identity);
                assert!(passed || rest.contains_key(identity), "{name} loses {identity:?}");
            }
        }
        let bytes: usize =
            self.storage.files().iter().filter(|(path, _)| is_segment(path)).map(|(_, b)| b.len()).sum();
        let stats = writer.stats();
        assert_eq!(stats.disk_bytes, bytes as u64, "the lane knows what it takes on the disk");
        let limit = self.settings.disk_bytes_max;
        assert!(stats.disk_bytes <= limit + EMPTY_SEGMENTS_BYTES, "{} of {limit}", stats.disk_bytes);
    }
}

/// Each opening begins a segment of 64 bytes, whether the limit is reached or not.
const EMPTY_SEGMENTS_BYTES: u64 = 64 * ACTIONS;

fn is_segment(path: &std::path::Path) -> bool {
    path.extension().is_some_and(|extension| extension == "segment")
}

#[test]
fn random_actions_agree_with_the_model() {
    let only = std::env::var("SIGHTLINE_SEED").ok().and_then(|seed| seed.parse().ok());
    let (first, count) = only.map_or((0, SEEDS * soak()), |seed: u64| (seed, 1));
    for seed in first..first + count {
        let run = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            for _ in 0..ACTIONS {
                world.act();
            }
            world.check();
            world.sent.len()
        });
        match run {
            Ok(sent) => assert!(sent > 0, "seed {seed} sends something"),
            Err(panic) => {
                eprintln!("SIGHTLINE_SEED={seed}");
                std::panic::resume_unwind(panic);
            }
        }
    }
}
