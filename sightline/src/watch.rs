//! `sightline watch`: the hits of a placement in its trial state, live, for whoever integrates it. The report API lists them without any value
//! that was sent; here each becomes a line with what to do about it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write;
use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use event::outcome::Outcome;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::cli::WatchArgs;
use crate::client::{Client, Listener, report_token, unreachable};
use crate::config::ConfigError;
use crate::data_dir::DataDir;
use crate::hints::hint;
use crate::report::{is_api, judged, known_campaigns, known_placements, unknown};

/// Hits that are asked for at a time.
const HITS: usize = 100;
/// Flags that say something that the line does not say already, in words.
const TOLD: [(&str, &str); 12] = [
    ("agent_robot", "net leaves it out: the agent is a robot's"),
    ("agent_no_browser", "net leaves it out: the agent is a program's and no browser's"),
    ("client_time_absent", "no client time"),
    ("client_clock_broken", "the client's time cannot be: receipt counts"),
    ("id_sha_only", "id as SHA only: it meets no other form"),
    ("landing_refused", "landing host not registered"),
    ("withheld_lmt", "no device: limits ad tracking"),
    ("withheld_consent", "no device: no consent"),
    ("withheld_gpp", "no device: opted out by GPP"),
    ("withheld_child", "no device: directed to children"),
    ("withheld_gpc", "no device: global privacy control"),
    ("withheld_dnt", "no device: do not track"),
];
/// A client's clock that is further off than this is shown as the time that it said.
const CLOCK_MS_SHOWN_MAX: i64 = 24 * 60 * 60 * 1000;
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
    let mut day = None;
    loop {
        let answer = ask(&client, &path, &args.campaign)?;
        let hits = answer.get("hits").and_then(Value::as_array).context("the answer is no list of hits")?;
        let state = answer.get("state").and_then(Value::as_str).unwrap_or_default();
        if hits.is_empty() && noted.is_empty() {
            refuse(args, &client, state)?;
        }
        let mut fresh: Vec<&Value> = hits.iter().filter(|hit| seen.insert(id_of(hit))).collect();
        // Newest first in the answer, newest last on the screen; those of one second in the order in which they came.
        fresh.reverse();
        fresh.sort_by_key(|hit| received(hit));
        for hit in fresh {
            let today = received(hit).map(|at| at.date_naive());
            if today != day {
                let shown = today.map(|today| today.to_string()).unwrap_or_default();
                writeln!(out, "{shown} (times in UTC)")?;
                day = today;
            }
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

/// Refuses a placement of which no hit will come: one that is live, or that the catalog does not have.
fn refuse(args: &WatchArgs, client: &Client, state: &str) -> anyhow::Result<()> {
    match state {
        "unknown" => {
            let known = known_placements(client, &args.campaign)?;
            Err(unknown("placement", &args.placement, &known).into())
        }
        "live" => Err(ConfigError::usage(format!(
            "placement {} is live: single hits are listed of placements with `state = \"trial\"` in the catalog; for this one see `sightline report delivery --campaign {} --by placement`",
            args.placement, args.campaign
        ))
        .into()),
        _ => Ok(()),
    }
}

/// What names a hit and no other.
fn id_of(hit: &Value) -> String {
    hit.get("id").map_or_else(String::new, Value::to_string)
}

fn received(hit: &Value) -> Option<DateTime<Utc>> {
    hit.get("received_ms").and_then(Value::as_i64).and_then(DateTime::from_timestamp_millis)
}

fn ask(client: &Client, path: &str, campaign: &str) -> anyhow::Result<Value> {
    let answer = client.get(path).map_err(|error| unreachable(client, &error))?;
    if answer.status == 404 && is_api(&answer) {
        return Err(unknown("campaign", campaign, &known_campaigns(client)?).into());
    }
    let answer = judged(client, answer)?;
    serde_json::from_slice(&answer.body).context("the answer is no list of hits")
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
    let at = received(hit).map_or_else(String::new, |at| at.format("%H:%M:%S").to_string());
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
    if let Some(clock) =
        hit.get("client_clock_ms").and_then(Value::as_i64).and_then(|ms| clock(ms, received(hit)))
    {
        let _ = write!(line, "  clock {clock}");
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
    let flags = names("flags");
    let told: Vec<&str> =
        TOLD.iter().filter(|(flag, _)| flags.contains(flag)).map(|(_, words)| *words).collect();
    if !told.is_empty() {
        let _ = write!(line, "\n    {}", told.join("; "));
    }
    let known = Outcome::ALL.into_iter().find(|known| known.name() == outcome);
    if let Some(outcome) = known.filter(|outcome| *outcome != Outcome::Accepted) {
        let _ = write!(line, "\n    {}", hint(outcome));
    }
    line
}

/// How far the client's clock is off, or what it said where that is far.
fn clock(off_ms: i64, received: Option<DateTime<Utc>>) -> Option<String> {
    let seconds = off_ms / 1000;
    if off_ms.abs() <= CLOCK_MS_SHOWN_MAX {
        return (seconds.abs() > 1).then(|| format!("{seconds:+} s"));
    }
    let said = received?.checked_add_signed(TimeDelta::milliseconds(off_ms))?;
    Some(format!("says {}", said.format("%Y-%m-%d %H:%M")))
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
            "12:00:00  miaozhen   impression     accepted  ids: oaid, imei_md5 (no use)  clock -5 s  macros left: 3  dropped: mn mp"
        );
        let bad = line(&json!({"received_ms": 0, "dialect": "native", "outcome": "too_late"}));
        assert!(bad.contains('?') && bad.contains("ids: none"), "{bad}");
        assert!(
            bad.ends_with("\n    the client's time lies 7 to 30 days back: too late to be counted"),
            "{bad}"
        );
    }

    #[test]
    fn what_net_leaves_out_and_a_clock_that_cannot_be_are_told_in_words() {
        let told = line(
            &json!({"received_ms": 1_795_262_400_000_i64, "dialect": "native", "stage": "impression", "outcome": "accepted",
            "client_clock_ms": -412_911_057_377_i64, "flags": ["trial", "client_clock_broken", "agent_no_browser"]}),
        );
        assert!(told.contains("clock says 2013-10-21 10:29"), "{told}");
        assert!(
            told.ends_with("\n    net leaves it out: the agent is a program's and no browser's; the client's time cannot be: receipt counts"),
            "{told}"
        );
        assert_eq!(clock(1_999, None), None);
        assert_eq!(clock(-86_400_000, None).as_deref(), Some("-86400 s"));
    }
}
