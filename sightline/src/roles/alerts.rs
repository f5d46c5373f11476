//! How alerts are looked for, with the secret by which the webhook's messages are signed.

use anyhow::Context;

use crate::config::Config;
use crate::data_dir::read_secret;

/// What the aggregator is given.
///
/// # Errors
/// The secret's file cannot be read, or others may read it.
pub(super) fn alerts(config: &Config) -> anyhow::Result<aggregator::Alerts> {
    let file = config.alerts.secret_file.as_deref();
    let secret = file.map(read_secret).transpose().context("[alerts] secret_file")?;
    Ok(config.alerts.with_secret(secret))
}
