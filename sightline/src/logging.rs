//! Where log lines go and how they look: to standard error, as text in a terminal, as one JSON object a line otherwise.
//! Nothing per beacon is logged above TRACE, and never an identifier, a full address or a query string.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::config::ConfigError;

/// Sets up logging for the process.
///
/// # Errors
/// A level or directive that is none.
pub(crate) fn init(directives: &str) -> Result<(), ConfigError> {
    let filter = EnvFilter::try_new(directives).map_err(|error| {
        ConfigError::usage(format!(
            "--log {directives}: {error}; allowed are error, warn, info, debug, trace, or directives such as info,ingest=debug"
        ))
    })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    // A second subscriber can only be set by a test in the same process; the first one stays.
    let _ = if io::stderr().is_terminal() {
        builder.with_target(false).try_init()
    } else {
        builder.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
    };
    Ok(())
}
