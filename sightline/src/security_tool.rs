//! `sightline security-log read`: printing the security log, for who holds its private key. Needs no running instance.
//!
//! That somebody reads it is entered in the audit log first: by the running instance, which alone writes that log, else by the command itself. A folder
//! that holds only a copy of the security log has no audit log to enter it in, and the command says so.

use std::io::Write;

use anyhow::{Context, bail};
use chrono::NaiveDate;
use event::clock::Clock;
use security_log::{Entry, PrivateKey, Summary};

use crate::admin::acts;
use crate::cli::{OutputFormat, SecurityLogCommand};
use crate::client::{Client, Listener, unreachable};
use crate::config::Config;
use crate::data_dir::{DataDir, read_secret};
use crate::roles::open_audit;
use crate::table::{csv_cell, thousands};

/// Runs the command. False if the end of a file could not be read.
pub(crate) fn run(command: &SecurityLogCommand, out: &mut dyn Write) -> anyhow::Result<bool> {
    let SecurityLogCommand::Read { key, since, format, args } = command;
    let config = Config::load(args.config.as_deref(), args.config.is_none().then_some(args.data.as_path()))?;
    let data = config.data_dir();
    let key_file = key.clone().unwrap_or_else(|| data.security_private_key());
    let key = PrivateKey::from_text(&read_secret(&key_file)?)?;
    if !data.security().is_dir() {
        bail!("there is no security log in {}: name the data folder with --data", data.root().display());
    }
    enter(&config, &data, *since)?;
    let since = since.map_or(0, |day| {
        day.and_time(chrono::NaiveTime::MIN).and_utc().timestamp().clamp(0, u32::MAX.into()) as u32
    });
    if *format == OutputFormat::Csv {
        writeln!(out, "time,address,role,route,method,status,bytes")?;
    }
    let read = security_log::read(&data.security(), &key, since, |entry| print(&entry, *format, out));
    let Summary { files, entries, torn, unended } = read.context("cannot read the security log")?;
    eprintln!("{} requests in {} files", thousands(entries), thousands(files));
    if torn > 0 {
        eprintln!(
            "{torn} files whose end cannot be read: cut by a crash, being written just now, or changed"
        );
    }
    for file in unended {
        eprintln!(
            "{}: without the mark that ends a file. It is being written, or its process was killed (then `sightline audit list --act process` shows a start \
             without a stop), or somebody cut it",
            file.display()
        );
    }
    Ok(torn == 0)
}

/// Enters that the log is read; without that it is not.
fn enter(config: &Config, data: &DataDir, since: Option<NaiveDate>) -> anyhow::Result<()> {
    if !data.audit().is_dir() {
        eprintln!("there is no audit log in {}: this reading is entered nowhere", data.root().display());
        return Ok(());
    }
    let cannot = "reading the security log has to be entered in the audit log, and cannot be";
    let Ok(_lock) = data.open() else {
        let token = read_secret(&data.operator_token()).context(cannot)?;
        let client = Client::find(data, None, Listener::Admin).context(cannot)?.with_bearer(token);
        let query = since.map(|day| format!("?since={day}")).unwrap_or_default();
        let answer = client.post(&format!("{}{query}", acts::SECURITY_LOG_READ), "application/json", b"");
        let answer = answer.map_err(|error| unreachable(&client, &error)).context(cannot)?;
        if answer.status != 200 {
            bail!("{cannot}: the instance answered {}", answer.status);
        }
        return Ok(());
    };
    let audit = open_audit(config, data, &Clock::System).context(cannot)?;
    audit.append(&acts::security_log_read(since)).context(cannot)?;
    audit.close();
    Ok(())
}

fn print(entry: &Entry, format: OutputFormat, out: &mut dyn Write) -> std::io::Result<()> {
    let time = chrono::DateTime::from_timestamp(entry.time_seconds.into(), 0).unwrap_or_default();
    let time = time.format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let address = entry.address.map(|address| address.to_string()).unwrap_or_default();
    let Entry { role, route, method, status, bytes, .. } = entry;
    let role = role.name();
    match format {
        OutputFormat::Json => {
            let line = serde_json::json!({
                "time": time, "address": address, "role": role, "route": route, "method": method, "status": status, "bytes": bytes
            });
            writeln!(out, "{line}")
        }
        OutputFormat::Csv => {
            writeln!(out, "{time},{},{role},{route},{method},{status},{bytes}", csv_cell(address))
        }
        OutputFormat::Table => {
            writeln!(out, "{time}  {address:<39}  {role:<8}  {route:<12}  {method:<7}  {status}  {bytes:>9}")
        }
    }
}
