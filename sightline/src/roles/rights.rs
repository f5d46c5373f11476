//! Persons' requests, from the opt-out role that keeps them to the aggregator that does them: in this process, or behind another one's admin port
//! ([`crate::admin::rights`]).
//!
//! It owns the thread between the two. A request is done, then noted as done; whatever breaks off in between is done again at the next look, or at
//! the next start, which changes nothing.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use aggregator::{Copied, Erased, Erasure, Rights};
use anyhow::{Context, bail};
use event::clock::Clock;
use event::key::DeviceKey;
use opt_out::requests::{Counts, Kind, Request};
use opt_out::{RequestSettings, Requests};

use crate::admin::rights::{Asked, COPIES, Done, ERASURES, copied};
use crate::client::Client;
use crate::data_dir::read_secret;

/// Between two looks for new requests.
const LOOK: Duration = Duration::from_millis(500);
/// Longest pause after a failure; it is doubled up to here.
const PAUSE_MAX: Duration = Duration::from_mins(1);
/// Longest that a stop waits for an aggregator elsewhere.
const ELSEWHERE_MAX: Duration = Duration::from_secs(5);
/// Days after the last event that an erasure may have blanked has expired until it is forgotten: expiry is not punctual.
const FORGET_MARGIN_DAYS: i64 = 30;
/// How often copies that were kept long enough are removed.
const REMOVE: Duration = Duration::from_mins(10);

/// The running thread.
pub(super) struct Runner {
    stop: Sender<()>,
    /// Whether an answer from elsewhere may be waited for: nothing here depends on it.
    is_elsewhere: bool,
    thread: JoinHandle<()>,
}

impl Runner {
    /// Starts it. `retention_days` says how long events are kept.
    pub(super) fn start(requests: Requests, doer: Doer, retention_days: u16) -> anyhow::Result<Self> {
        let (stop, stopped) = channel();
        let is_elsewhere = matches!(doer, Doer::There(_));
        let thread = std::thread::Builder::new()
            .name("requests".to_owned())
            .spawn(move || run(&requests, (&doer, retention_days), &stopped))
            .context("cannot start the thread of persons' requests")?;
        Ok(Self { stop, is_elsewhere, thread })
    }

    /// Whether it still runs. It ends by itself only if it panics.
    pub(super) fn is_running(&self) -> bool {
        !self.thread.is_finished()
    }

    /// Ends it after what it has in hand. Blocks until then; for an answer from elsewhere only a while: it is asked for again at the next start.
    pub(super) fn stop(self) {
        drop(self.stop);
        let until = Instant::now() + ELSEWHERE_MAX;
        while self.is_elsewhere && !self.thread.is_finished() {
            if Instant::now() >= until {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        if self.thread.join().is_err() {
            tracing::error!("the thread of persons' requests panicked");
        }
    }
}

fn run(requests: &Requests, (doer, retention_days): (&Doer, u16), stopped: &Receiver<()>) {
    let mut pause = LOOK;
    let mut remove_at = Instant::now();
    while matches!(stopped.recv_timeout(pause), Err(RecvTimeoutError::Timeout)) {
        let mut is_failing = false;
        let mut last = 0;
        while let Some(request) = requests.next_after(last) {
            last = request.number;
            if let Err(error) = perform(requests, doer, &request) {
                is_failing = true;
                tracing::error!(
                    request = request.number,
                    error = format_args!("{error:#}"),
                    "a person's request failed; it is tried again"
                );
            }
            if !matches!(stopped.try_recv(), Err(std::sync::mpsc::TryRecvError::Empty)) {
                return;
            }
        }
        pause = if is_failing { (pause * 2).min(PAUSE_MAX) } else { LOOK };
        if remove_at <= Instant::now() {
            remove_at = Instant::now() + REMOVE;
            let kept_days = i64::from(retention_days) + FORGET_MARGIN_DAYS;
            requests.forget_erased(Clock::System.now_ms() - kept_days * 86_400_000);
            match requests.remove_old_copies() {
                Ok(0) => {}
                Ok(removed) => tracing::info!(removed, "copies of data removed"),
                Err(error) => tracing::error!(%error, "copies of data cannot be removed"),
            }
        }
    }
}

fn perform(requests: &Requests, doer: &Doer, request: &Request) -> anyhow::Result<()> {
    let counts = match request.kind {
        Kind::Erasure => erase(doer, request)?,
        Kind::Copy => copy(requests, doer, request)?,
    };
    requests.finish(request.number, counts)?;
    Ok(())
}

fn devices(request: &Request) -> Vec<DeviceKey> {
    request.keys.iter().map(|key| key.device).collect()
}

/// Who carries requests out.
pub(super) enum Doer {
    /// The aggregator of this process.
    Here(Rights),
    /// Another one, at its admin port.
    There(Client),
}

impl Doer {
    /// The one of this process if there is one, else the one of the settings.
    pub(super) fn of(here: Option<Rights>, settings: &RequestSettings) -> anyhow::Result<Self> {
        if let Some(rights) = here {
            return Ok(Self::Here(rights));
        }
        let file = settings.aggregator_token_file.as_deref().context("no aggregator_token_file is given")?;
        let token = read_secret(file)?;
        Ok(Self::There(Client::new(&settings.aggregator_url, Some(token))?))
    }

    fn erase(&self, number: u64, devices: &[DeviceKey], until_ms: i64) -> anyhow::Result<Erased> {
        match self {
            Self::Here(rights) => Ok(rights.erase(&Erasure { request: number, devices, until_ms })?),
            Self::There(client) => {
                let done = ask(client, ERASURES, &Asked::of(number, devices, until_ms))?;
                let done: Done = serde_json::from_slice(&done).context("the aggregator's answer is none")?;
                Ok(done.into())
            }
        }
    }

    fn copy(&self, number: u64, devices: &[DeviceKey], path: &Path) -> anyhow::Result<Copied> {
        match self {
            Self::Here(rights) => Ok(rights.copy(devices, path)?),
            Self::There(client) => {
                let file = ask(client, COPIES, &Asked::of(number, devices, 0))?;
                let copied = copied(&file).context("the aggregator's answer is no copy")?;
                write_private(path, &file).context("the copy cannot be written")?;
                Ok(copied)
            }
        }
    }
}

fn ask(client: &Client, path: &str, asked: &Asked) -> anyhow::Result<Vec<u8>> {
    let answer = client.post(path, "application/json", &serde_json::to_vec(asked)?);
    let answer = answer.with_context(|| format!("{} does not answer", client.base()))?;
    if answer.status != 200 {
        bail!("{} answered {}: {}", client.base(), answer.status, String::from_utf8_lossy(&answer.body));
    }
    Ok(answer.body)
}

/// Writes a file that only its owner may read, whole or not at all.
fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let unfinished = path.with_extension("unfinished");
    // What a crash left may be readable by others.
    match std::fs::remove_file(&unfinished) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// The request's number for the aggregator: of its receipt, so that no two roles have the same.
fn number(request: &Request) -> u64 {
    request.receipt.0.first_chunk().copied().map_or(0, u64::from_be_bytes)
}

/// What was erased; `None` for nothing.
fn erase(doer: &Doer, request: &Request) -> anyhow::Result<Option<Counts>> {
    let until_ms = request.until_ms().unwrap_or(request.asked_ms);
    let erased = doer.erase(number(request), &devices(request), until_ms)?;
    Ok((!erased.is_nothing()).then_some(Counts {
        events: erased.events,
        unresolved: erased.unresolved,
        trial_events: erased.trial_events,
        days_settled: erased.days_settled,
        days_standing: erased.days_standing,
        ..Counts::default()
    }))
}

/// What was copied; `None` for nothing.
fn copy(requests: &Requests, doer: &Doer, request: &Request) -> anyhow::Result<Option<Counts>> {
    let path = requests.copy_path(request.receipt);
    let copied = doer.copy(number(request), &devices(request), &path)?;
    if copied.rows == 0 {
        std::fs::remove_file(&path).context("an empty copy cannot be removed")?;
        return Ok(None);
    }
    Ok(Some(Counts { rows: copied.rows, is_complete: copied.is_complete, ..Counts::default() }))
}
