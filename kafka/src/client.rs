//! What every client has in common: connection properties, secrets, and where librdkafka's messages go.

use std::path::Path;

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;

use crate::error::{Error, SettingsError};
use crate::settings::Settings;

/// Longest pause before a broker that was lost is tried again, milliseconds. Opt-outs have a second to get everywhere.
const RECONNECT_MS_MAX: u32 = 500;

/// The properties of any client.
pub(crate) fn config(settings: &Settings) -> Result<ClientConfig, Error> {
    settings.check()?;
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", settings.brokers.join(","))
        .set("client.id", "sightline")
        .set("socket.keepalive.enable", "true")
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", RECONNECT_MS_MAX.to_string())
        // A leader that moved is looked for at once.
        .set("topic.metadata.refresh.fast.interval.ms", "100")
        .set("log.connection.close", "false")
        .set_log_level(RDKafkaLogLevel::Warning);
    for (name, value) in &settings.properties {
        config.set(name, value);
    }
    let secrets = [
        ("sasl_password_file", "sasl.password", &settings.sasl_password_file),
        ("ssl_key_password_file", "ssl.key.password", &settings.ssl_key_password_file),
    ];
    for (key, property, file) in secrets {
        if let Some(file) = file {
            config.set(property, secret(key, file)?);
        }
    }
    Ok(config)
}

/// A secret's file, which only its owner may read.
fn secret(key: &'static str, file: &Path) -> Result<String, SettingsError> {
    use std::os::unix::fs::PermissionsExt;
    let refuse = |problem| SettingsError { key, problem };
    let read = |error| refuse(format!("cannot read {}: {error}", file.display()));
    let mode = std::fs::metadata(file).map_err(read)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let name = file.display();
        return Err(refuse(format!(
            "{name} has mode {mode:04o}: only its owner may have rights to it; run chmod 600 {name}"
        )));
    }
    let text = std::fs::read_to_string(file).map_err(read)?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(refuse(format!("{} is empty", file.display())));
    }
    Ok(text.to_owned())
}

/// Hands librdkafka's own messages to the log.
pub(crate) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg
        | RDKafkaLogLevel::Alert
        | RDKafkaLogLevel::Critical
        | RDKafkaLogLevel::Error => {
            tracing::warn!(facility, text = message, "kafka");
        }
        RDKafkaLogLevel::Warning | RDKafkaLogLevel::Notice => {
            tracing::info!(facility, text = message, "kafka");
        }
        RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => tracing::debug!(facility, text = message, "kafka"),
    }
}

/// Hands a client's error to the log. Whoever called hears of it by the fate of the call: this is for the person who looks why.
pub(crate) fn log_error(error: &KafkaError, reason: &str) {
    tracing::info!(%error, reason, "kafka");
}

/// A context that only logs.
pub(crate) struct Logging;

impl ClientContext for Logging {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log_error(&error, reason);
    }
}

impl ConsumerContext for Logging {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_only_from_a_file_of_its_owner() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("password");
        std::fs::write(&file, "hunter2\n").expect("written");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).expect("chmod");
        let error = secret("sasl_password_file", &file).expect_err("others may read it").to_string();
        assert!(error.contains("chmod 600") && !error.contains("hunter2"), "{error}");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("chmod");
        assert_eq!(secret("sasl_password_file", &file).expect("read"), "hunter2");
        std::fs::write(&file, "\n").expect("written");
        assert!(secret("sasl_password_file", &file).expect_err("empty").to_string().contains("is empty"));
    }
}
