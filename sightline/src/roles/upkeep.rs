//! What the audit log needs now and then while the process runs: its head kept, its old files removed.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

/// How often it is looked after.
const INTERVAL: Duration = Duration::from_mins(1);

/// Looks after the log until the task is dropped.
pub(crate) async fn look_after(audit: audit::Log) {
    let mut looks = interval(INTERVAL);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let audit = audit.clone();
        match tokio::task::spawn_blocking(move || audit.upkeep()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "old files of the audit log were not removed"),
            Err(error) => tracing::error!(%error, "nobody looked after the audit log"),
        }
    }
}
