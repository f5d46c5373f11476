//! The catalog of a cluster: a topic with every version that was published; the newest record is in force on every node.
//!
//! A record's key is the version as eight hex digits, its value the form's version (1) and the catalog file's text. A node keeps the last one that
//! it took in its data folder, so that clicks land while Kafka is away. A wrong one is refused with what is wrong with it in the log and a metric,
//! and the one before it stays in force.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use catalog::Catalog;
use event::profile::Profiles;
use kafka::{Cluster, Error, Follower, Message, Topic};

use crate::catalog_file::{self, Taken};
use crate::data_dir::write_durably;
use crate::metrics;

/// Version of a record's form.
const FORM: u8 = 1;
/// Longest wait for one message.
const STEP: Duration = Duration::from_millis(200);
/// Longest wait for an answer about the end of the topic.
const ANSWER: Duration = Duration::from_secs(5);
/// Pause after Kafka could not be reached.
const PAUSE: Duration = Duration::from_secs(1);
/// How many wrong records at the end of the topic a starting node looks behind for a right one.
const WRONG_MAX: usize = 7;
/// Longest that a command tries.
const COMMAND: Duration = Duration::from_secs(30);

/// The thread that follows the topic.
pub(crate) struct Following {
    state: Arc<State>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    stop: AtomicBool,
    seen: Mutex<Seen>,
    changed: Condvar,
}

#[derive(Default)]
struct Seen {
    /// The topic was read to its end once.
    caught_up: bool,
    /// A catalog is in force: from the topic, or the one that was kept.
    has_catalog: bool,
    /// Why the topic cannot be followed at present.
    failure: Option<String>,
    /// That only a person can mend.
    is_final: bool,
}

impl State {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen());
        self.changed.notify_all();
    }
}

/// The catalog that was taken last, or an empty one.
pub(crate) fn kept(path: &Path, profiles: &Profiles) -> Option<Catalog> {
    let text = catalog_file::text(path).ok()?;
    match Catalog::parse_with(&text, &path.display().to_string(), profiles) {
        Ok(catalog) => Some(catalog),
        Err(error) => {
            tracing::warn!(%error, "the catalog that was kept cannot be used");
            None
        }
    }
}

impl Following {
    /// Follows the topic into `shared`, and makes the cluster's topics where they are missing. `keep` is where the last catalog is kept;
    /// `has_kept` says that it is in force already.
    ///
    /// # Errors
    /// No thread.
    pub(crate) fn start(
        cluster: Cluster,
        taken: Taken,
        profiles: Arc<Profiles>,
        keep: PathBuf,
        has_kept: bool,
    ) -> anyhow::Result<Self> {
        let state = Arc::new(State::default());
        state.note(|seen| seen.has_catalog = has_kept);
        let mut node = Node { cluster, taken, profiles, keep, state: Arc::clone(&state) };
        let thread = std::thread::Builder::new()
            .name("catalog".to_owned())
            .spawn(move || node.run())
            .context("cannot start the catalog's thread")?;
        Ok(Self { state, thread })
    }

    /// Waits until the topic was read to its end. False if that takes longer than `patience`.
    ///
    /// # Errors
    /// What only a person can mend.
    pub(crate) fn wait(&self, patience: Duration) -> anyhow::Result<bool> {
        let seen = self.state.seen();
        let (seen, _) = self
            .state
            .changed
            .wait_timeout_while(seen, patience, |seen| !seen.caught_up && !seen.is_final)
            .unwrap_or_else(PoisonError::into_inner);
        match &seen.failure {
            Some(why) if seen.is_final => bail!("{why}"),
            _ => Ok(seen.caught_up),
        }
    }

    /// Why this node must not get traffic for want of a catalog, if so.
    pub(crate) fn not_ready(&self) -> Option<String> {
        let seen = self.state.seen();
        if seen.has_catalog {
            return None;
        }
        Some(match &seen.failure {
            Some(why) => format!("no catalog yet: {why}"),
            None if seen.caught_up => {
                "no catalog was published yet: run `sightline catalog publish FILE --config CONFIG`"
                    .to_owned()
            }
            None => "the catalog's topic is being read".to_owned(),
        })
    }

    /// Whether the thread is there.
    pub(crate) fn is_running(&self) -> bool {
        !self.thread.is_finished()
    }

    /// Ends the thread. Blocks for a moment.
    pub(crate) fn stop(self) {
        self.state.stop.store(true, Ordering::Release);
        if self.thread.join().is_err() {
            tracing::error!("the catalog's thread panicked");
        }
    }
}

/// The thread's own.
struct Node {
    cluster: Cluster,
    taken: Taken,
    profiles: Arc<Profiles>,
    keep: PathBuf,
    state: Arc<State>,
}

impl Node {
    fn run(&mut self) {
        while !self.stopping() {
            let ended = self.cluster.create_topics().and_then(|()| self.follow());
            if let Err(error) = ended {
                let is_final = error.is_final() && !matches!(error, Error::Gone { .. });
                if is_final {
                    tracing::error!(%error, "the catalog's topic cannot be followed");
                } else {
                    tracing::warn!(%error, "the catalog's topic cannot be followed; it is tried again");
                }
                self.state.note(|seen| {
                    seen.failure = Some(error.to_string());
                    seen.is_final = is_final;
                });
            }
            let until = Instant::now() + PAUSE;
            while !self.stopping() && Instant::now() < until {
                std::thread::sleep(STEP / 4);
            }
        }
    }

    fn stopping(&self) -> bool {
        self.state.stop.load(Ordering::Acquire)
    }

    fn follow(&self) -> Result<(), Error> {
        let mut follower = self.cluster.follow(Topic::Catalog)?;
        let end = follower.end(ANSWER)?;
        // Of what is there already only the newest counts; the one before it, if it is wrong, as on the nodes that were there when it came.
        let mut newest = VecDeque::new();
        while follower.position() < end {
            if self.stopping() {
                return Ok(());
            }
            hold(&mut newest, step(&mut follower)?);
        }
        while newest.pop_back().is_some_and(|message| !self.take(&message)) {}
        self.state.note(|seen| {
            seen.caught_up = true;
            seen.failure = None;
            seen.is_final = false;
        });
        while !self.stopping() {
            if let Some(message) = step(&mut follower)? {
                self.take(&message);
            }
        }
        Ok(())
    }

    /// Puts a record's catalog in force; false if it is wrong.
    fn take(&self, message: &Message) -> bool {
        match read(message, &self.profiles) {
            Ok((catalog, _)) if catalog.version == self.taken.shared.load().version => {
                self.state.note(|seen| seen.has_catalog = true);
            }
            Ok((catalog, text)) => {
                tracing::info!(
                    version = format_args!("{:08x}", catalog.version),
                    offset = message.offset,
                    campaigns = catalog.campaigns.len(),
                    "catalog taken"
                );
                // It was put in force by whoever published it, and a node that went on with another would count otherwise than the rest.
                if let Err(error) = self.taken.enter(&catalog, "the catalog topic") {
                    tracing::error!(%error, "a catalog that was taken is not in the audit log");
                }
                self.taken.store(catalog);
                if let Err(error) = write_durably(&self.keep, 0o644, text.as_bytes()) {
                    tracing::error!(%error, path = %self.keep.display(), "the catalog could not be kept");
                }
                self.state.note(|seen| seen.has_catalog = true);
            }
            Err(error) => {
                tracing::error!(
                    error = format_args!("{error:#}"),
                    offset = message.offset,
                    "catalog refused; the one before it stays in force"
                );
                metrics::catalog_refused();
                return false;
            }
        }
        true
    }
}

/// The next message; a Kafka that is away for a while is no end.
fn step(follower: &mut Follower) -> Result<Option<Message>, Error> {
    match follower.next(STEP) {
        Err(error) if !error.is_final() => {
            tracing::debug!(%error, "the catalog's topic gives nothing");
            Ok(None)
        }
        other => other,
    }
}

fn write(text: &str) -> Vec<u8> {
    [&[FORM], text.as_bytes()].concat()
}

/// A record's catalog and its text.
fn read<'m>(message: &'m Message, profiles: &Profiles) -> anyhow::Result<(Catalog, &'m str)> {
    let (form, text) = message.value.split_first().context("the record is empty")?;
    if *form != FORM {
        bail!(
            "the record has form {form}, this program knows {FORM}: run the version that wrote it, or a newer one"
        );
    }
    let text = std::str::from_utf8(text).context("the record is not text")?;
    let catalog = Catalog::parse_with(text, "catalog", profiles)?;
    if message.key != key(&catalog) {
        bail!(
            "the record's key is not its catalog's version: write catalogs with `sightline catalog publish` only"
        );
    }
    Ok((catalog, text))
}

/// Longest catalog that a record takes, bytes.
pub(crate) fn text_bytes_max(cluster: &Cluster) -> usize {
    cluster.value_bytes_max().saturating_sub(write("").len())
}

fn key(catalog: &Catalog) -> Vec<u8> {
    format!("{:08x}", catalog.version).into_bytes()
}

/// Of the newest records as many as may have to be looked at.
fn hold(newest: &mut VecDeque<Message>, message: Option<Message>) {
    newest.extend(message);
    if newest.len() > WRONG_MAX + 1 {
        newest.pop_front();
    }
}

/// Text and version of the catalog in force, if one was published: as on a node, a wrong record leaves the one before it in force.
///
/// # Errors
/// Kafka, or what is wrong with the newest record where none can be read.
pub(crate) fn in_force(cluster: &Cluster, profiles: &Profiles) -> anyhow::Result<Option<(u32, String)>> {
    newest_right(&newest(cluster)?, profiles)
}

fn newest_right(newest: &VecDeque<Message>, profiles: &Profiles) -> anyhow::Result<Option<(u32, String)>> {
    let mut wrong = None;
    for message in newest.iter().rev() {
        match read(message, profiles) {
            Ok((catalog, text)) => return Ok(Some((catalog.version, text.to_owned()))),
            Err(error) => wrong = wrong.or(Some(error)),
        }
    }
    wrong.map_or(Ok(None), Err)
}

/// The records that were published last, the newest behind.
fn newest(cluster: &Cluster) -> anyhow::Result<VecDeque<Message>> {
    let until = Instant::now() + COMMAND;
    cluster.create_topics()?;
    let mut follower = cluster.follow(Topic::Catalog)?;
    // A topic that was made a moment ago has no leader yet.
    let end = loop {
        match follower.end(ANSWER) {
            Err(error) if !error.is_final() && Instant::now() < until => std::thread::sleep(STEP),
            other => break other?,
        }
    };
    let mut newest = VecDeque::new();
    while follower.position() < end {
        if Instant::now() > until {
            bail!("the catalog's topic was not read within {} s", COMMAND.as_secs());
        }
        hold(&mut newest, step(&mut follower)?);
    }
    Ok(newest)
}

/// What became of a catalog that was to be published.
pub(crate) enum Published {
    /// It is in force as soon as the nodes have read it.
    New,
    /// It was in force already.
    Already,
}

/// Puts a checked catalog in force on every node.
///
/// # Errors
/// Kafka, or the catalog is longer than a record; the catalog before it stays in force.
pub(crate) fn publish(
    cluster: &Cluster,
    catalog: &Catalog,
    text: &str,
    profiles: &Profiles,
) -> anyhow::Result<Published> {
    let (bytes, bytes_max) = (text.len(), text_bytes_max(cluster));
    if bytes > bytes_max {
        bail!("the catalog has {bytes} bytes, and at most {bytes_max} go into a record of the topic");
    }
    // A record that cannot be read must not keep a right one from coming after it.
    let is_newest = |message: &Message| {
        read(message, profiles).is_ok_and(|(newest, _)| newest.version == catalog.version)
    };
    if newest(cluster)?.back().is_some_and(is_newest) {
        return Ok(Published::Already);
    }
    let mut delivery = cluster
        .producer()
        .map(|producer| {
            let sent = producer.send(Topic::Catalog, &key(catalog), &write(text), &[]);
            producer.flush(COMMAND);
            sent
        })?
        .context("the catalog cannot be sent")?;
    match delivery.wait(Duration::ZERO) {
        Some(Ok(_)) => Ok(Published::New),
        Some(Err(error)) => Err(error).context("Kafka did not confirm the catalog; run the command again"),
        None => {
            bail!("Kafka did not confirm the catalog within {} s; run the command again", COMMAND.as_secs())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "[[campaign]]\nid = \"a\"\nname = \"A\"\ntime_zone = \"UTC\"\n";

    fn message(key: &[u8], value: Vec<u8>) -> Message {
        Message { partition: 0, offset: 0, key: key.to_vec(), value, timestamp_ms: 0 }
    }

    #[test]
    fn a_record_is_read_back_and_a_wrong_one_says_why() {
        let catalog = Catalog::parse(ONE, "a").expect("is right");
        let (read_back, text) = {
            let message = message(&key(&catalog), write(ONE));
            let (catalog, text) = read(&message, Profiles::built_in()).expect("is right");
            (catalog, text.to_owned())
        };
        assert_eq!((read_back.version, text.as_str()), (catalog.version, ONE));
        let why = |key: &[u8], value: Vec<u8>| {
            let message = message(key, value);
            format!("{:#}", read(&message, Profiles::built_in()).map(|_| ()).expect_err("is refused"))
        };
        assert!(why(b"", Vec::new()).contains("empty"));
        assert!(why(b"", [&[9], ONE.as_bytes()].concat()).contains("form 9"));
        assert!(why(b"00000000", write(ONE)).contains("catalog publish"));
        assert!(why(b"", write("[[campaign]]\nid = 5\n")).contains("catalog:"));
    }

    #[test]
    fn commands_look_behind_wrong_records_as_nodes_do() {
        let one = Catalog::parse(ONE, "a").expect("is right");
        let (right, wrong) = (message(&key(&one), write(ONE)), message(&key(&one), write("")));
        let found = |records: &[&Message]| {
            let mut newest = VecDeque::new();
            for record in records {
                hold(&mut newest, Some((*record).clone()));
            }
            newest_right(&newest, Profiles::built_in())
        };
        assert_eq!(found(&[]).ok(), Some(None));
        let mut records = vec![&right];
        for _ in 0..WRONG_MAX {
            records.push(&wrong);
            assert_eq!(found(&records).ok(), Some(Some((one.version, ONE.to_owned()))));
        }
        records.push(&wrong);
        assert!(found(&records).is_err(), "as a node that starts would have none");
    }

    #[test]
    fn a_wrong_record_leaves_the_catalog_in_force() {
        let dir = tempfile::tempdir().expect("a folder");
        let nowhere =
            kafka::Settings { brokers: vec!["127.0.0.1:1".to_owned()], ..kafka::Settings::default() };
        let node = Node {
            profiles: Arc::clone(Profiles::built_in()),
            cluster: Cluster::new(&nowhere).expect("settings"),
            taken: Taken {
                shared: Catalog::default().into_shared(),
                audit: audit::Log::scratch(&dir.path().join("audit")).expect("a log"),
            },
            keep: dir.path().join("catalog.kept.toml"),
            state: Arc::default(),
        };
        let one = Catalog::parse(ONE, "a").expect("is right");
        // What a publisher that lost the text would send.
        let cut = message(&key(&one), write(""));
        assert!(!node.take(&cut), "so a starting node looks at the record before it");
        assert!(node.take(&message(&key(&one), write(ONE))));
        assert!(!node.take(&cut));
        assert_eq!(node.taken.shared.load().version, one.version);
        assert_eq!(kept(&node.keep, Profiles::built_in()).map(|kept| kept.version), Some(one.version));
    }
}
