//! `sightline tokens`: who may read reports. A client of the report API with the operator's token.
//!
//! Must never: print a token anywhere but to standard output, once, when it was made.

use std::io::{self, IsTerminal, Write};

use anyhow::{Context, bail};
use serde_json::{Value, json};

use crate::cli::{OutputFormat, TokenRole, TokensArgs, TokensCommand};
use crate::client::{Answer, Client, Listener, report_token, unreachable};
use crate::data_dir::DataDir;
use crate::table;

/// Columns of the list: what the API calls them, and their heads.
const COLUMNS: [(&str, &str); 8] = [
    ("id", "id"),
    ("name", "name"),
    ("role", "role"),
    ("scope", "sees"),
    ("state", "state"),
    ("made", "made"),
    ("expires", "expires"),
    ("last_used", "last used"),
];

/// Runs the command.
pub(crate) fn run(command: &TokensCommand, out: &mut dyn Write) -> anyhow::Result<()> {
    match command {
        TokensCommand::Create { name, role, advertiser, medium, expires, args } => {
            let wanted = json!({
                "name": name, "role": role_name(*role), "advertisers": advertiser, "media": medium, "expires_days": expires
            });
            create(&wanted, args, out)
        }
        TokensCommand::List { format, args } => list(*format, args, out),
        TokensCommand::Revoke { id, args } => revoke(id, args, out),
    }
}

fn role_name(role: TokenRole) -> &'static str {
    match role {
        TokenRole::Operator => "operator",
        TokenRole::Auditor => "auditor",
        TokenRole::Advertiser => "advertiser",
        TokenRole::Medium => "medium",
    }
}

fn create(wanted: &Value, args: &TokensArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let client = client(args)?;
    let made = read(&client, client.post("/v1/tokens", "application/json", wanted.to_string().as_bytes()))?;
    let token = made.get("token").and_then(Value::as_str).context("the answer holds no token")?;
    // To standard output goes the token alone, so that it can be sent into a file.
    writeln!(out, "{token}")?;
    out.flush()?;
    let mut notes = vec![format!(
        "token {} for {}: shown this once, and kept nowhere",
        cell(&made, "id"),
        cell(&made, "role")
    )];
    let unknown = cell(&made, "not_in_catalog");
    if !unknown.is_empty() {
        notes.push(format!(
            "no campaign or placement has this yet: {unknown}. It sees nothing until one does"
        ));
    }
    if io::stderr().is_terminal() || !unknown.is_empty() {
        for note in notes {
            eprintln!("{note}");
        }
    }
    Ok(())
}

fn list(format: OutputFormat, args: &TokensArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let client = client(args)?;
    let answer = read(&client, client.get("/v1/tokens"))?;
    let rows = answer.get("tokens").and_then(Value::as_array).context("the answer is no list of tokens")?;
    let cells = |row: &Value| COLUMNS.map(|(name, _)| cell(row, name));
    match format {
        OutputFormat::Json => writeln!(out, "{answer}")?,
        OutputFormat::Csv => {
            writeln!(out, "{}", COLUMNS.map(|(name, _)| name).join(","))?;
            rows.iter().try_for_each(|row| writeln!(out, "{}", cells(row).map(table::csv_cell).join(",")))?;
        }
        OutputFormat::Table if rows.is_empty() => {
            writeln!(out, "no token was made yet; the operator's own lies in the data folder")?;
        }
        OutputFormat::Table => {
            let mut shown = table::plain(&COLUMNS.map(|(_, head)| head));
            for row in rows {
                shown.add_row(cells(row));
            }
            table::print(&shown, out)?;
        }
    }
    Ok(())
}

fn revoke(id: &str, args: &TokensArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    if !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) || id.is_empty() {
        bail!("`{id}` is no id of a token: take it from `sightline tokens list`");
    }
    let client = client(args)?;
    let row = read(&client, client.delete(&format!("/v1/tokens/{id}")))?;
    writeln!(out, "token {id} ({}) is revoked since {}", cell(&row, "name"), cell(&row, "revoked"))?;
    Ok(())
}

fn client(args: &TokensArgs) -> anyhow::Result<Client> {
    let data = DataDir::new(&args.instance.data);
    let client = Client::find(&data, args.instance.url.as_deref(), Listener::Reports)?;
    Ok(client.with_bearer(report_token(&data, args.token_file.as_deref())?))
}

/// What the instance answered.
pub(crate) fn read(client: &Client, answer: io::Result<Answer>) -> anyhow::Result<Value> {
    let answer = answer.map_err(|error| unreachable(client, &error))?;
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if !matches!(answer.status, 200 | 201) {
        let said = body.pointer("/error/message").and_then(Value::as_str).unwrap_or("no reason was given");
        bail!("the instance answered {}: {said}", answer.status);
    }
    Ok(body)
}

fn cell(row: &Value, name: &str) -> String {
    match row.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
        _ => String::new(),
    }
}
