//! `sightline requests`: the queue of persons' requests for erasure and for copies, and the operator's yes or no. A client of the admin port.
//!
//! It must never take an identifier from an argument, or write one anywhere.

use std::io::{IsTerminal, Read, Write};

use anyhow::{Context, bail};
use serde_json::{Value, json};

use crate::cli::{RequestsArgs, RequestsCommand};
use crate::client::{Answer, Client, Listener, report_token, unreachable};
use crate::data_dir::DataDir;
use crate::table;

/// Runs the command. False if something is overdue.
pub(crate) fn run(command: &RequestsCommand, out: &mut dyn Write) -> anyhow::Result<bool> {
    match command {
        RequestsCommand::List { all, instance } => list(*all, instance, out),
        RequestsCommand::Show { number, instance } => {
            let (client, _) = client(instance)?;
            let request = read(&client, client.get(&format!("/v1/requests/{number}")))?;
            show(&request, out).map(|()| true)
        }
        RequestsCommand::Match { number, kind, version, instance } => {
            let value = shown_value()?;
            let body = json!({ "kind": kind, "value": value, "version": version });
            let matching = decide(instance, *number, "match", &body)?;
            tell_match(*number, kind, &matching, out)
        }
        RequestsCommand::Accept { number, instance } => {
            let request = decide(instance, *number, "accept", &json!({}))?;
            writeln!(out, "request {number} is accepted: {} runs", text(&request, "kind"))?;
            Ok(true)
        }
        RequestsCommand::Refuse { numbers, older_than, why, instance } => match older_than {
            Some(days) => refuse_old(*days, why, instance, out),
            None => refuse(numbers, why, instance, out).map(|()| true),
        },
    }
}

/// Refuses each of them; stops at the first that cannot be.
fn refuse(numbers: &[u32], why: &str, args: &RequestsArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    for number in numbers {
        let request = decide(args, *number, "refuse", &json!({ "why": why }))
            .with_context(|| format!("request {number} was not refused"))?;
        writeln!(out, "request {number} is refused; the person reads: {}", text(&request, "why"))?;
    }
    Ok(())
}

/// Refuses all that have waited so long and of which nothing was shown. Of those the list holds the oldest, so it is asked for until it has none.
fn refuse_old(days: u32, why: &str, args: &RequestsArgs, out: &mut dyn Write) -> anyhow::Result<bool> {
    let before = chrono::Utc::now() - chrono::TimeDelta::days(i64::from(days));
    let (client, _) = client(args)?;
    let mut refused = 0;
    loop {
        let answer = read(&client, client.get("/v1/requests"))?;
        let rows = answer.get("requests").and_then(Value::as_array).context("the answer is no list")?;
        let is_old = |row: &&Value| {
            let asked = chrono::DateTime::parse_from_rfc3339(&text(row, "asked_at"));
            text(row, "state") == "waiting"
                && row.get("ids_matched").and_then(Value::as_u64) == Some(0)
                && asked.is_ok_and(|at| at < before)
        };
        let number = |row: &Value| row.get("number").and_then(Value::as_u64).and_then(|n| n.try_into().ok());
        let numbers: Vec<u32> = rows.iter().filter(is_old).filter_map(number).collect();
        if numbers.is_empty() {
            writeln!(out, "{refused} refused")?;
            return Ok(true);
        }
        refuse(&numbers, why, args, out)?;
        refused += numbers.len();
    }
}

/// Longest line that is read, bytes: longer than any identifier.
const VALUE_BYTES_MAX: u64 = 4_096;

/// The identifier, from standard input.
fn shown_value() -> anyhow::Result<String> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        eprintln!("type the identifier as the device or its papers show it, and end the line:");
        let mut line = String::new();
        stdin.read_line(&mut line).context("standard input cannot be read")?;
        return Ok(line.trim().to_owned());
    }
    let mut text = String::new();
    let read = stdin.lock().take(VALUE_BYTES_MAX).read_to_string(&mut text);
    // Not the error: it may hold what was read.
    read.ok().context("standard input is no text")?;
    Ok(text.trim().to_owned())
}

/// Says what came of showing an identifier. False where it is none of the request's.
fn tell_match(number: u32, kind: &str, matching: &Value, out: &mut dyn Write) -> anyhow::Result<bool> {
    let count = |name: &str| matching.get(name).and_then(Value::as_u64).unwrap_or(0);
    let (ids, matched, now, in_part) =
        (count("ids"), count("ids_matched"), count("ids_this"), count("ids_this_in_part"));
    if now > 0 {
        writeln!(out, "this {kind} is one that request {number} names")?;
    } else if in_part > 0 {
        writeln!(
            out,
            "this {kind} is a part of one that request {number} names: it was typed with another version, beside another, or with a slip"
        )?;
    } else {
        writeln!(out, "this {kind} is none that request {number} names")?;
    }
    writeln!(out, "{matched} of its {ids} identifiers shown, {} left", ids.saturating_sub(matched))?;
    if ids == matched {
        writeln!(out, "sightline requests accept {number}")?;
    }
    Ok(now > 0)
}

fn client(args: &RequestsArgs) -> anyhow::Result<(Client, DataDir)> {
    let data = DataDir::new(&args.instance.data);
    let client = Client::find(&data, args.instance.url.as_deref(), Listener::Admin)?;
    let token = report_token(&data, args.token_file.as_deref())?;
    Ok((client.with_bearer(token), data))
}

fn list(all: bool, args: &RequestsArgs, out: &mut dyn Write) -> anyhow::Result<bool> {
    let (client, _) = client(args)?;
    let path = if all { "/v1/requests?all=1" } else { "/v1/requests" };
    let answer = read(&client, client.get(path))?;
    let rows =
        answer.get("requests").and_then(Value::as_array).context("the answer is no list of requests")?;
    let overdue = answer.get("overdue").and_then(Value::as_u64).unwrap_or(0);
    if rows.is_empty() {
        writeln!(out, "{}", if all { "no request was made yet" } else { "no request waits" })?;
        return Ok(overdue == 0);
    }
    let mut printed =
        table::plain(&["number", "receipt", "kind", "state", "proof", "shown", "asked", "due", ""]);
    for row in rows {
        let is_overdue = row.get("overdue") == Some(&Value::Bool(true));
        let number = row.get("number").map(ToString::to_string).unwrap_or_default();
        printed.add_row([
            number,
            text(row, "receipt"),
            text(row, "kind"),
            text(row, "state"),
            text(row, "proof"),
            shown(row),
            text(row, "asked_at"),
            text(row, "due_on"),
            if is_overdue { "OVERDUE".to_owned() } else { String::new() },
        ]);
    }
    table::right_align(&mut printed, &[0]);
    table::print(&printed, out)?;
    let number = answer.get("number").and_then(Value::as_u64).unwrap_or(0);
    if number > rows.len() as u64 {
        writeln!(out, "… {} of {number}", rows.len())?;
    }
    if overdue > 0 {
        writeln!(out, "{overdue} overdue")?;
    }
    Ok(overdue == 0)
}

/// How many of a typed request's identifiers were shown, of how many.
fn shown(row: &Value) -> String {
    let count = |name: &str| row.get(name).and_then(Value::as_u64).unwrap_or(0);
    match row.get("proof").and_then(Value::as_str) {
        Some("none") => format!("{} of {}", count("ids_matched"), count("ids")),
        _ => String::new(),
    }
}

fn show(request: &Value, out: &mut dyn Write) -> anyhow::Result<()> {
    let fields = request.as_object().context("the answer is no request")?;
    for (name, value) in fields {
        let value = match value {
            Value::Null => continue,
            Value::String(text) if text.is_empty() => continue,
            Value::String(text) => text.clone(),
            Value::Array(list) => list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
            other => other.to_string(),
        };
        writeln!(out, "{name:<16} {value}")?;
    }
    Ok(())
}

fn decide(args: &RequestsArgs, number: u32, act: &str, body: &Value) -> anyhow::Result<Value> {
    let (client, _) = client(args)?;
    let path = format!("/v1/requests/{number}/{act}");
    read(&client, client.post(&path, "application/json", body.to_string().as_bytes()))
}

fn read(client: &Client, answer: std::io::Result<Answer>) -> anyhow::Result<Value> {
    let answer = answer.map_err(|error| unreachable(client, &error))?;
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if answer.status != 200 {
        let said = body.get("error").and_then(Value::as_str).unwrap_or("no reason was given");
        bail!("the instance answered {}: {said}", answer.status);
    }
    Ok(body)
}

fn text(row: &Value, name: &str) -> String {
    row.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}
