//! `sightline sdk-config`: the MMA China SDK's configuration, printed. `ingest` makes it, and serves the same.

use std::io::Write;

use crate::cli::SdkConfigArgs;
use crate::config::ConfigError;
use crate::place::Place;

/// Runs the command.
pub(crate) fn run(args: &SdkConfigArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let place = Place::open(&args.place)?;
    let base = place.base(args.base.as_deref())?;
    let dialects = &place.grammars.dialects;
    let made = if args.company_only {
        ingest::sdk_company(&base, dialects)
    } else {
        ingest::sdk_config(&base, dialects)
    };
    let xml = made.map_err(|error| ConfigError::usage(error.to_string()))?;
    Ok(out.write_all(xml.as_bytes())?)
}
