//! The renewal of certificates while the process runs: the files are looked at every few seconds, and at once after SIGHUP.
//!
//! It must never end the process: a certificate that cannot be used is the old one's prolongation, a log line and a metric.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tls::Certificates;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

/// How often the files are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// Keeps the newest good pair in force until the task is dropped. SIGHUP is caught from the call on.
///
/// # Errors
/// SIGHUP cannot be caught.
pub(crate) fn follow(certificates: Arc<Certificates>) -> anyhow::Result<impl Future<Output = ()> + Send> {
    let mut hangups = signal(SignalKind::hangup()).context("cannot catch SIGHUP")?;
    Ok(async move {
        let mut looks = interval(LOOK_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_asked = tokio::select! {
                _ = looks.tick() => false,
                _ = hangups.recv() => true,
            };
            let certificates = Arc::clone(&certificates);
            // Its log line and its metric are all that comes of it.
            let _ = tokio::task::spawn_blocking(move || certificates.look(is_asked)).await;
        }
    })
}
