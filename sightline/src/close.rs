//! `sightline close`: closes a period, so that its figures stay. A client of the report API with the operator's token.

use std::io::Write;

use anyhow::Context;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::cli::CloseArgs;
use crate::client::{Client, Listener, report_token};
use crate::data_dir::DataDir;
use crate::tokens::read;

/// Runs the command.
pub(crate) fn run(args: &CloseArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let data = DataDir::new(&args.instance.data);
    let client = Client::find(&data, args.instance.url.as_deref(), Listener::Reports)?
        .with_bearer(report_token(&data, args.token_file.as_deref())?);
    let path = format!("/v1/campaigns/{}/closings", utf8_percent_encode(&args.campaign, NON_ALPHANUMERIC));
    let wanted = json!({
        "from": args.from.to_string(), "to": args.to.to_string(), "note": args.note.as_deref().unwrap_or_default()
    });
    let answer = client.post(&path, "application/json", wanted.to_string().as_bytes());
    let closed = read(&client, answer)?;
    let number = |name: &str| closed.get(name).and_then(Value::as_u64).context("the answer cannot be read");
    let (version, rows) = (number("version")?, number("rows")?);
    writeln!(
        out,
        "{} from {} to {} is closed, version {version}: {rows} rows of its reports stay as they are",
        args.campaign, args.from, args.to
    )?;
    Ok(())
}
