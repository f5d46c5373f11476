//! Starting the roles, alone or together, and stopping them in an order that loses nothing.
//!
//! Start: ground (folder, keys, catalog, lanes) → opt-out list → tracker → forwarder → aggregator → admin port → `instance.json`.
//! Stop: the tracker first, so that nothing new is answered; then the page, the forwarder and the aggregator, which read what is left.
//!
//! Two values of the configuration decide what stands behind the roles: with `[kafka] brokers` the journal goes to Kafka, and opt-outs and catalog
//! come from there; with `[store] servers` the events go to ClickHouse servers in place of the engine inside. Each works without the other.

mod alerts;
mod certificates;
mod deletions;
mod ground;
mod listening;
mod registry;
mod requests;
mod rights;
mod running;
mod upkeep;

use std::io::Write;

use anyhow::Context;

pub(crate) use ground::{Ground, Want, drawn_token, open_audit};
pub(crate) use running::Running;

use crate::cli::RoleArgs;

/// Which roles run in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Roles {
    /// All of them.
    Standalone,
    /// The tracker.
    Ingest,
    /// The opt-out page.
    OptOut,
    /// The aggregator and the report API.
    Aggregator,
}

impl Roles {
    /// As the command line names it.
    fn name(self) -> &'static str {
        match self {
            Self::Standalone => "standalone",
            Self::Ingest => "ingest",
            Self::OptOut => "opt-out",
            Self::Aggregator => "aggregator",
        }
    }

    fn want(self) -> Want {
        match self {
            Self::Standalone => {
                Want { lanes: true, opt_out: true, page: true, tracker: true, aggregator: true }
            }
            Self::Ingest => {
                Want { lanes: true, opt_out: true, page: false, tracker: true, aggregator: false }
            }
            Self::OptOut => {
                Want { lanes: false, opt_out: true, page: true, tracker: false, aggregator: false }
            }
            Self::Aggregator => {
                Want { lanes: true, opt_out: false, page: false, tracker: false, aggregator: true }
            }
        }
    }
}

/// Runs roles until SIGTERM or SIGINT, then drains them.
pub(crate) fn run(roles: Roles, args: &RoleArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let runtime = runtime()?;
    runtime.block_on(async {
        let signals = Signals::listen()?;
        let running = Running::start(roles, args).await?;
        if let Err(error) = running.print_addresses(out) {
            // Nobody reads them; that is no reason to stop measuring.
            tracing::warn!(%error, "addresses not printed");
        }
        let why = running.until(signals).await;
        running.stop().await?;
        why
    })
}

/// The runtime of the process's own work: admin port, catalog watch, signals. The roles bring threads of their own.
pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")
}

/// SIGTERM and SIGINT, caught from the first moment on, so that a stop during the start is clean too.
pub(crate) struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    /// Begins to catch them.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("cannot catch SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("cannot catch SIGINT")?,
        })
    }

    /// Resolves with the name of the first one that arrives.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
