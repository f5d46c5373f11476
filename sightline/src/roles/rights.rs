//! Persons' requests, from the opt-out role that keeps them to the aggregator that does them; both in this process.
//!
//! It owns the thread between the two. A request is done, then noted as done; whatever breaks off in between is done again at the next look, or at
//! the next start, which changes nothing. Where the roles stand on different machines there is no such way yet, and the opt-out role answers
//! 501.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use aggregator::{Erasure, Rights, RightsError};
use anyhow::Context;
use event::key::DeviceKey;
use opt_out::Requests;
use opt_out::requests::{Counts, Kind, Request};

/// Between two looks for new requests.
const LOOK: Duration = Duration::from_millis(500);
/// Longest pause after a failure; it is doubled up to here.
const PAUSE_MAX: Duration = Duration::from_mins(1);
/// How often copies that were kept long enough are removed.
const REMOVE: Duration = Duration::from_mins(10);

/// The running thread.
pub(super) struct Runner {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Runner {
    /// Starts it.
    pub(super) fn start(requests: Requests, rights: Rights) -> anyhow::Result<Self> {
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new()
            .name("requests".to_owned())
            .spawn(move || run(&requests, &rights, &stopped))
            .context("cannot start the thread of persons' requests")?;
        Ok(Self { stop, thread })
    }

    /// Whether it still runs. It ends by itself only if it panics.
    pub(super) fn is_running(&self) -> bool {
        !self.thread.is_finished()
    }

    /// Ends it after what it has in hand. Blocks until then.
    pub(super) fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!("the thread of persons' requests panicked");
        }
    }
}

fn run(requests: &Requests, rights: &Rights, stopped: &Receiver<()>) {
    let mut pause = LOOK;
    let mut remove_at = Instant::now();
    while matches!(stopped.recv_timeout(pause), Err(RecvTimeoutError::Timeout)) {
        let mut is_failing = false;
        let mut last = 0;
        while let Some(request) = requests.next_after(last) {
            last = request.number;
            if let Err(error) = perform(requests, rights, &request) {
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
            match requests.remove_old_copies() {
                Ok(0) => {}
                Ok(removed) => tracing::info!(removed, "copies of data removed"),
                Err(error) => tracing::error!(%error, "copies of data cannot be removed"),
            }
        }
    }
}

fn perform(requests: &Requests, rights: &Rights, request: &Request) -> anyhow::Result<()> {
    let counts = match request.kind {
        Kind::Erasure => erase(rights, request)?,
        Kind::Copy => copy(requests, rights, request)?,
    };
    requests.finish(request.number, counts)?;
    Ok(())
}

fn devices(request: &Request) -> Vec<DeviceKey> {
    request.keys.iter().map(|key| key.device).collect()
}

/// What was erased; `None` for nothing.
fn erase(rights: &Rights, request: &Request) -> Result<Option<Counts>, RightsError> {
    let devices = devices(request);
    let until_ms = request.until_ms().unwrap_or(request.asked_ms);
    let number = request.receipt.0.first_chunk().copied().map_or(0, u64::from_be_bytes);
    let erased = rights.erase(&Erasure { request: number, devices: &devices, until_ms })?;
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
fn copy(requests: &Requests, rights: &Rights, request: &Request) -> anyhow::Result<Option<Counts>> {
    let path = requests.copy_path(request.receipt);
    let copied = rights.copy(&devices(request), &path)?;
    if copied.rows == 0 {
        std::fs::remove_file(&path).context("an empty copy cannot be removed")?;
        return Ok(None);
    }
    Ok(Some(Counts { rows: copied.rows, is_complete: copied.is_complete, ..Counts::default() }))
}
