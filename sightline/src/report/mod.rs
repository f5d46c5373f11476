//! `sightline report` and `sightline settle`: clients of the report API, and their tables.
//! It must never compute a figure: what stands in a table came from the API.

mod render;

use std::fmt::Write as _;
use std::io::{IsTerminal, Write};

use anyhow::{Context, bail};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::cli::{By, Filter, ReportArgs, ReportFormat, ReportKind, SettleArgs};
use crate::client::{Answer, Client, Listener, report_token, unreachable};
use crate::config::{ConfigError, nearest};
use crate::data_dir::DataDir;

/// What a report is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Question<'a> {
    /// Which report.
    pub(crate) kind: ReportKind,
    /// Which campaign.
    pub(crate) campaign: &'a str,
    /// First day.
    pub(crate) from: Option<chrono::NaiveDate>,
    /// Last day.
    pub(crate) to: Option<chrono::NaiveDate>,
    /// Broken down by.
    pub(crate) by: By,
    /// Which impressions.
    pub(crate) filter: Filter,
    /// Further parameters of the API, with their values.
    pub(crate) more: Vec<(&'static str, &'a str)>,
}

impl Question<'_> {
    fn path(&self, format: &str) -> String {
        use clap::ValueEnum;
        let name = |value: Option<clap::builder::PossibleValue>| {
            value.map(|v| v.get_name().to_owned()).unwrap_or_default()
        };
        // An overlap has no total: it is one of media unless something else is asked for.
        let by = if (self.kind, self.by) == (ReportKind::Overlap, By::Total) { By::Medium } else { self.by };
        let mut path = format!(
            "/v1/campaigns/{}/{}?by={}&filter={}&format={format}",
            utf8_percent_encode(self.campaign, NON_ALPHANUMERIC),
            self.kind.name(),
            name(by.to_possible_value()),
            name(self.filter.to_possible_value()),
        );
        for (key, value) in &self.more {
            let _ = write!(path, "&{key}={}", utf8_percent_encode(value, NON_ALPHANUMERIC));
        }
        for (key, day) in [("from", self.from), ("to", self.to)] {
            if let Some(day) = day {
                let _ = write!(path, "&{key}={day}");
            }
        }
        path
    }
}

/// Runs `report`.
pub(crate) fn run(args: &ReportArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let data = DataDir::new(&args.instance.data);
    let client = Client::find(&data, args.instance.url.as_deref(), Listener::Reports)?
        .with_bearer(report_token(&data, args.token_file.as_deref())?);
    if let (Some(from), Some(to)) = (args.from, args.to)
        && from > to
    {
        return Err(ConfigError::usage(format!("--from {from} lies after --to {to}")).into());
    }
    if args.kind == ReportKind::SetAside {
        return set_aside(args, &client, out);
    }
    let campaign = campaign(args, &client)?;
    if args.settle {
        settle(&client, None)?;
    }
    let question = Question {
        kind: args.kind,
        campaign: &campaign,
        from: args.from,
        to: args.to,
        by: args.by,
        filter: args.filter,
        more: [
            ("precision", &args.precision),
            ("audience", &args.audience),
            ("members", &args.members),
            ("stack", &args.stack),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.as_deref()?)))
        .collect(),
    };
    let answer = ask(&client, &question, asked(args.format)?)?;
    if args.format == ReportFormat::Table {
        let report: Value = serde_json::from_slice(&answer.body).context("the report cannot be read")?;
        render::print(&question, &report, args.settle, out).and_then(|()| {
            match why_nothing(&client, &question, &report) {
                Some(why) => writeln!(out, "\n{why}"),
                None => Ok(()),
            }
        })
    } else {
        let lacks_end = args.format == ReportFormat::Json;
        out.write_all(&answer.body).and_then(|()| if lacks_end { writeln!(out) } else { Ok(()) })
    }
    .context("cannot print the report")
}

/// The form that the API is asked for.
fn asked(format: ReportFormat) -> anyhow::Result<&'static str> {
    let name = match format {
        ReportFormat::Table | ReportFormat::Json => return Ok("json"),
        ReportFormat::Csv => return Ok("csv&bom=false"),
        ReportFormat::Xlsx => "xlsx",
        ReportFormat::Parquet => "parquet",
    };
    if std::io::stdout().is_terminal() {
        return Err(ConfigError::usage(format!(
            "{name} is nothing for a terminal: write it into a file, as in `sightline report … --format {name} > report.{name}`"
        ))
        .into());
    }
    Ok(name)
}

/// Why a report has nothing in it, where the API knows: everything was removed, nothing had an id, or the placements are in trial.
fn why_nothing(client: &Client, question: &Question<'_>, report: &Value) -> Option<String> {
    let rows = report.get("rows").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let is_empty = match question.kind {
        ReportKind::Reach | ReportKind::Frequency | ReportKind::Ids => {
            rows.iter().all(|row| count(row, "impressions") == 0)
        }
        ReportKind::Overlap => rows.iter().all(|row| count(row, "reach") == 0),
        ReportKind::Delivery => rows.iter().all(|row| count(row, "gross_impressions") == 0),
        ReportKind::SetAside => false,
    };
    if !is_empty {
        return None;
    }
    let delivery =
        Question { kind: ReportKind::Delivery, by: By::Total, more: Vec::new(), ..question.clone() };
    // A hint that cannot be had is none: the report itself was printed.
    let delivery = fetch(client, &delivery).ok()?;
    let row = delivery.pointer("/rows/0").unwrap_or(&Value::Null);
    let trial = trial_placements(client, question.campaign).unwrap_or_default();
    reason(question.campaign, (count(row, "gross_impressions"), count(row, "net_impressions")), &trial)
}

/// In words: `gross` and `net` impressions of the period, and which placements of the campaign are in trial.
fn reason(campaign: &str, (gross, net): (u64, u64), trial: &[String]) -> Option<String> {
    let hits = if gross == 1 { "1 impression was" } else { &format!("{gross} impressions were") };
    match (gross, net, trial) {
        (1.., 0, _) => Some(format!(
            "{hits} received, and all removed: see `sightline report delivery --campaign {campaign}`"
        )),
        (1.., _, _) => Some(format!(
            "{hits} received, and none has a device: see `sightline report ids --campaign {campaign}`"
        )),
        (0, _, [first, ..]) => Some(format!(
            "in trial, so their hits are in no figure: {}; see `sightline watch --campaign {campaign} --placement {first}`",
            trial.join(" ")
        )),
        (0, _, []) => None,
    }
}

fn count(row: &Value, name: &str) -> u64 {
    row.get(name).and_then(Value::as_u64).unwrap_or(0)
}

fn trial_placements(client: &Client, campaign: &str) -> anyhow::Result<Vec<String>> {
    let rows = campaigns(client)?;
    let of_it = rows.iter().filter(|row| row.get("id").and_then(Value::as_str) == Some(campaign));
    let placements = of_it.filter_map(|row| row.get("placements")?.as_array()).flatten();
    let in_trial = placements.filter(|place| place.get("state").and_then(Value::as_str) == Some("trial"));
    Ok(in_trial.filter_map(|place| Some(place.get("id")?.as_str()?.to_owned())).collect())
}

/// Runs `report set-aside`, which is of all campaigns.
fn set_aside(args: &ReportArgs, client: &Client, out: &mut dyn Write) -> anyhow::Result<()> {
    if !matches!(args.format, ReportFormat::Table | ReportFormat::Json) {
        return Err(ConfigError::usage("set-aside is printed as table or json".to_owned()).into());
    }
    if args.settle {
        settle(client, None)?;
    }
    let ends = [("from", args.from), ("to", args.to)];
    let query: Vec<String> =
        ends.iter().filter_map(|(name, day)| day.map(|day| format!("{name}={day}"))).collect();
    let answer = client
        .get(&format!("/v1/set-aside?{}", query.join("&")))
        .map_err(|error| unreachable(client, &error))?;
    let answer = judged(client, answer)?;
    if args.format == ReportFormat::Table {
        let list: Value = serde_json::from_slice(&answer.body).context("the list cannot be read")?;
        render::print_set_aside(&list, out)
    } else {
        out.write_all(&answer.body).and_then(|()| writeln!(out))
    }
    .context("cannot print the list")
}

/// Runs `settle`.
pub(crate) fn run_settle(args: &SettleArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let data = DataDir::new(&args.instance.data);
    let client = Client::find(&data, args.instance.url.as_deref(), Listener::Reports)?
        .with_bearer(report_token(&data, args.token_file.as_deref())?);
    let done = settle(&client, args.day)?;
    render::print_settled(&done, out).context("cannot print what was settled")
}

/// Has changed days brought up to date; answers what was done.
pub(crate) fn settle(client: &Client, day: Option<chrono::NaiveDate>) -> anyhow::Result<Value> {
    let path = day.map_or_else(|| "/v1/settle".to_owned(), |day| format!("/v1/settle?day={day}"));
    let answer = client.post(&path, "application/json", b"").map_err(|error| unreachable(client, &error))?;
    let answer = judged(client, answer)?;
    serde_json::from_slice(&answer.body).context("the answer to settle cannot be read")
}

/// A report as JSON.
pub(crate) fn fetch(client: &Client, question: &Question<'_>) -> anyhow::Result<Value> {
    let answer = ask(client, question, "json")?;
    serde_json::from_slice(&answer.body).context("the report cannot be read")
}

fn ask(client: &Client, question: &Question<'_>, format: &str) -> anyhow::Result<Answer> {
    let answer = client.get(&question.path(format)).map_err(|error| unreachable(client, &error))?;
    if answer.status == 404 {
        let known = known_campaigns(client)?;
        let wanted = question.campaign;
        if known.iter().any(|id| id == wanted) {
            bail!("the API has no report {} for campaign {wanted}: {}", question.kind.name(), said(&answer));
        }
        return Err(unknown("campaign", wanted, &known).into());
    }
    judged(client, answer)
}

/// The campaign asked for, or the only one that there is.
fn campaign(args: &ReportArgs, client: &Client) -> anyhow::Result<String> {
    if let Some(campaign) = &args.campaign {
        return Ok(campaign.clone());
    }
    let known = known_campaigns(client)?;
    match known.as_slice() {
        [only] => Ok(only.clone()),
        [] => bail!("the catalog has no campaign yet: add one to catalog.toml in the data folder"),
        several => {
            Err(ConfigError::usage(format!("say which campaign with --campaign: {}", several.join(" ")))
                .into())
        }
    }
}

/// What is said about an id that the catalog does not have: the nearest that it has, and all.
pub(crate) fn unknown(what: &str, wanted: &str, known: &[String]) -> ConfigError {
    let meant = nearest(wanted, known.iter().map(String::as_str))
        .map_or_else(String::new, |name| format!("; did you mean {name}?"));
    ConfigError::usage(format!("there is no {what} {wanted}{meant}\n  {what}s: {}", known.join(" ")))
}

/// The ids of every campaign.
pub(crate) fn known_campaigns(client: &Client) -> anyhow::Result<Vec<String>> {
    Ok(ids(&campaigns(client)?))
}

/// The ids of a campaign's placements.
pub(crate) fn known_placements(client: &Client, campaign: &str) -> anyhow::Result<Vec<String>> {
    let rows = campaigns(client)?;
    let row = rows.iter().find(|row| row.get("id").and_then(Value::as_str) == Some(campaign));
    let placements = row.and_then(|row| row.get("placements")).and_then(Value::as_array);
    Ok(placements.map(|placements| ids(placements)).unwrap_or_default())
}

fn ids(rows: &[Value]) -> Vec<String> {
    rows.iter().filter_map(|row| Some(row.get("id")?.as_str()?.to_owned())).collect()
}

fn campaigns(client: &Client) -> anyhow::Result<Vec<Value>> {
    let answer = client.get("/v1/campaigns").map_err(|error| unreachable(client, &error))?;
    let answer = judged(client, answer)?;
    let list: Value = serde_json::from_slice(&answer.body).context("the list of campaigns cannot be read")?;
    let rows = list.get("campaigns").and_then(Value::as_array).context("the list of campaigns is none")?;
    Ok(rows.clone())
}

/// Turns an answer that is no success into what to do about it.
pub(crate) fn judged(client: &Client, answer: Answer) -> anyhow::Result<Answer> {
    match answer.status {
        200 => Ok(answer),
        401 => bail!(
            "the report API at {} does not take this token (401): use one that is in force, such as the operator.token of its own data folder",
            client.base()
        ),
        403 => bail!("the report API at {} refuses this to the token: {}", client.base(), said(&answer)),
        404 if !is_api(&answer) => Err(ConfigError::usage(format!(
            "{} answered 404, and not as the report API does: is that the reports port (8082 by default)?",
            client.base()
        ))
        .into()),
        400 | 422 => Err(ConfigError::usage(said(&answer)).into()),
        503 => bail!(
            "the report API is not ready ({}): look at /ready of the admin port, or try again",
            said(&answer)
        ),
        status => bail!("the report API answered {status}: {}", said(&answer)),
    }
}

/// Whether an error answer is of the report API.
pub(crate) fn is_api(answer: &Answer) -> bool {
    serde_json::from_slice::<Value>(&answer.body).is_ok_and(|body| body.pointer("/error/message").is_some())
}

/// The words of an error answer.
pub(crate) fn said(answer: &Answer) -> String {
    let text = String::from_utf8_lossy(&answer.body);
    let parsed: Option<Value> = serde_json::from_str(&text).ok();
    let words = parsed.as_ref().and_then(|v| v.get("error")?.get("message")?.as_str()).map(str::to_owned);
    words.unwrap_or_else(|| text.trim().chars().take(300).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question() -> Question<'static> {
        Question {
            kind: ReportKind::Reach,
            campaign: "spring 26",
            from: chrono::NaiveDate::from_ymd_opt(2026, 11, 1),
            to: None,
            by: By::Day,
            filter: Filter::Gross,
            more: Vec::new(),
        }
    }

    #[test]
    fn a_question_becomes_a_path_of_the_api() {
        assert_eq!(
            question().path("json"),
            "/v1/campaigns/spring%2026/reach?by=day&filter=gross&format=json&from=2026-11-01"
        );
    }

    #[test]
    fn nothing_in_a_report_has_a_reason() {
        let trial = ["p1".to_owned(), "p2".to_owned()];
        let reason = |figures, trial: &[String]| reason("demo", figures, trial);
        for (figures, in_trial, wanted) in [
            (
                (3, 0),
                &trial[..0],
                "3 impressions were received, and all removed: see `sightline report delivery",
            ),
            ((1, 0), &trial, "1 impression was received, and all removed"),
            ((3, 3), &[], "3 impressions were received, and none has a device: see `sightline report ids"),
            ((0, 0), &trial, "no figure: p1 p2; see `sightline watch --campaign demo --placement p1`"),
        ] {
            let said = reason(figures, in_trial).expect("a reason");
            assert!(said.contains(wanted), "{said}");
        }
        assert_eq!(reason((0, 0), &[]), None);
    }

    #[test]
    fn the_words_of_an_error_are_taken_out() {
        let answer =
            |body: &str| Answer { status: 400, retry_after_seconds: None, body: body.as_bytes().to_vec() };
        let body = r#"{"error":{"code":"bad_parameter","message":"from is after to"}}"#;
        assert_eq!(said(&answer(body)), "from is after to");
        assert_eq!(said(&answer("plain\n")), "plain");
    }
}
