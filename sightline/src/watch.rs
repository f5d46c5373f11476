//! `sightline watch`: the hits of a placement in its trial state, live, for whoever integrates it. The report API lists them without any value
//! that was sent; here each becomes a line with what to do about it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write;
use std::time::Duration;

use anyhow::{Context, bail};
use chrono::DateTime;
use event::outcome::Outcome;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::cli::WatchArgs;
use crate::client::{Client, Listener, report_token, unreachable};
use crate::data_dir::DataDir;
use crate::hints::hint;

/// Hits that are asked for at a time.
const HITS: usize = 100;
/// Flags that say something that the line does not say already.
const TOLD: [&str; 9] = [
    "client_time_absent",
    "client_clock_broken",
    "id_sha_only",
    "landing_refused",
    "withheld_lmt",
    "withheld_consent",
    "withheld_child",
    "withheld_gpc",
    "withheld_dnt",
];
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Runs the command, until Ctrl-C or `--once`.
pub(crate) fn run(args: &WatchArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let data = DataDir::new(&args.instance.data);
    let client = Client::find(&data, args.instance.url.as_deref(), Listener::Reports)?
        .with_bearer(report_token(&data, args.token_file.as_deref())?);
    let encoded = |id: &str| utf8_percent_encode(id, NON_ALPHANUMERIC).to_string();
    let path = format!(
        "/v1/campaigns/{}/placements/{}/hits?limit={HITS}",
        encoded(&args.campaign),
        encoded(&args.placement)
    );
    let mut seen = BTreeSet::new();
    let mut noted = String::new();
    loop {
        let answer = ask(&client, &path)?;
        let hits = answer.get("hits").and_then(Value::as_array).context("the answer is no list of hits")?;
        let fresh: Vec<&Value> = hits.iter().filter(|hit| seen.insert(id_of(hit))).collect();
        // Newest first in the answer, newest last on the screen.
        for hit in fresh.into_iter().rev() {
            writeln!(out, "{}", line(hit))?;
        }
        out.flush()?;
        // What is no longer among the last hits cannot come again.
        let last: BTreeSet<String> = hits.iter().map(id_of).collect();
        seen.retain(|hit| last.contains(hit));
        // Once: it does not change from look to look.
        if let Some(note) = answer.get("note").and_then(Value::as_str).filter(|note| *note != noted) {
            eprintln!("{note}");
            noted = note.to_owned();
        }
        if args.once {
            return Ok(());
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// What names a hit and no other.
fn id_of(hit: &Value) -> String {
    hit.get("id").map_or_else(String::new, Value::to_string)
}

fn ask(client: &Client, path: &str) -> anyhow::Result<Value> {
    let answer = client.get(path).map_err(|error| unreachable(client, &error))?;
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if answer.status != 200 {
        let said = body.pointer("/error/message").and_then(Value::as_str).unwrap_or("no reason was given");
        bail!("the report API answered {}: {said}", answer.status);
    }
    Ok(body)
}

/// One hit on one line.
fn line(hit: &Value) -> String {
    let text = |name: &str| hit.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let number = |name: &str| hit.get(name).and_then(Value::as_u64).unwrap_or(0);
    let names = |name: &str| -> Vec<&str> {
        match hit.get(name) {
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    };
    let at = hit.get("received_ms").and_then(Value::as_i64).and_then(DateTime::from_timestamp_millis);
    let at = at.map_or_else(String::new, |at| at.format("%H:%M:%S%.3fZ").to_string());
    let outcome = text("outcome");
    let stage = Some(text("stage")).filter(|stage| !stage.is_empty()).unwrap_or_else(|| "?".to_owned());
    let mut line = format!("{at}  {:<10} {stage:<14} {outcome}", text("dialect"));
    let ids: Vec<String> = hit
        .get("identifiers")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
        .iter()
        .map(|id| {
            let name = id.get("name").and_then(Value::as_str).unwrap_or_default();
            if id.get("usable") == Some(&Value::Bool(true)) {
                name.to_owned()
            } else {
                format!("{name} (no use)")
            }
        })
        .collect();
    let ids = if ids.is_empty() { "none".to_owned() } else { ids.join(", ") };
    let _ = write!(line, "  ids: {ids}");
    if let Some(seconds) =
        hit.get("client_clock_ms").and_then(Value::as_i64).map(|ms| ms / 1000).filter(|s| s.abs() > 1)
    {
        let _ = write!(line, "  clock {seconds:+} s");
    }
    for (name, what) in [("macros_unreplaced", "macros left"), ("parameters_unknown", "unknown")] {
        if number(name) > 0 {
            let _ = write!(line, "  {what}: {}", number(name));
        }
    }
    let dropped = names("dropped");
    if !dropped.is_empty() {
        let _ = write!(line, "  dropped: {}", dropped.join(" "));
    }
    let flags: Vec<&str> = names("flags").into_iter().filter(|flag| TOLD.contains(flag)).collect();
    if !flags.is_empty() {
        let _ = write!(line, "  {}", flags.join(" "));
    }
    let known = Outcome::ALL.into_iter().find(|known| known.name() == outcome);
    if let Some(outcome) = known.filter(|outcome| *outcome != Outcome::Accepted) {
        let _ = write!(line, "\n    {}", hint(outcome));
    }
    line
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_hit_is_a_line_and_a_rejected_one_says_what_to_do() {
        let good = line(
            &json!({"received_ms": 1_795_262_400_123_i64, "dialect": "miaozhen", "stage": "impression",
            "outcome": "accepted", "identifiers": [{"name": "oaid", "usable": true}, {"name": "imei_md5", "usable": false}],
            "client_clock_ms": -5000, "macros_unreplaced": 3, "parameters_unknown": 0, "dropped": ["mn", "mp"]}),
        );
        assert_eq!(
            good,
            "12:00:00.123Z  miaozhen   impression     accepted  ids: oaid, imei_md5 (no use)  clock -5 s  macros left: 3  dropped: mn mp"
        );
        let bad = line(&json!({"received_ms": 0, "dialect": "native", "outcome": "too_late"}));
        assert!(bad.contains('?') && bad.contains("ids: none"), "{bad}");
        assert!(
            bad.ends_with("\n    the client's time lies 7 to 30 days back: too late to be counted"),
            "{bad}"
        );
    }
}
