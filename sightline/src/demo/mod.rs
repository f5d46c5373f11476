//! `sightline demo`: everything on this machine, a few thousand generated beacons through the real HTTP port, the reports beside
//! the truth that the generator knows, and then an instance that stays up to be tried.
//!
//! The beacons of a folder are remembered in `DATA/demo.json`, so that a second start shows the same figures and sends nothing twice.

mod plan;

use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use event::clock::Clock;
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::catalog_file;
use crate::cli::{By, DemoArgs, Filter, ReportKind};
use crate::client::Client;
use crate::config::{Config, ConfigError};
use crate::data_dir::{DataDir, write_durably};
use crate::grammars::Grammars;
use crate::instance::{Instance, http_url};
use crate::report::{self, Question};
use crate::roles::{Roles, Running, Signals, runtime};
use crate::table::{self, thousands};
use plan::{CAMPAIGN, PLACEMENTS, Request, Truth};

/// Connections that send at once.
const CONNECTIONS: usize = 8;
/// Tries of one request before the demo gives up.
const TRIES_MAX: u32 = 20;
/// Wait between two tries.
const TRY_WAIT: Duration = Duration::from_millis(250);
/// Beacons older than this are refused as too late; a half-sent demo cannot be finished then.
const AGE_MS_MAX: u64 = 4 * 86_400_000;

/// The agent of a browser, short enough for a command line.
const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";

/// `demo.json`: what was generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Drawn {
    seed: u64,
    views: u32,
    now_ms: u64,
}

/// What the running instance is asked and shown with.
struct Shop {
    data: DataDir,
    instance: Instance,
    token: String,
}

/// Runs the command.
pub(crate) fn run(args: &DemoArgs, out: &mut dyn Write) -> anyhow::Result<bool> {
    let runtime = runtime()?;
    let done = runtime.block_on(async {
        let mut signals = Signals::listen()?;
        let running = Running::start(Roles::Standalone, &args.role).await?;
        let shown = tokio::select! {
            shown = open_shop(args, &running, out) => shown,
            name = signals.next() => {
                tracing::info!(signal = name, "stopping");
                running.stop().await?;
                return Ok(true);
            }
        };
        let why = if args.exit || shown.is_err() { Ok(()) } else { running.until(signals).await };
        running.stop().await?;
        why.and(shown)
    });
    // A demo that was broken off may still be sending.
    runtime.shutdown_background();
    done
}

/// Sends and shows; answers whether report and truth agree.
async fn open_shop(args: &DemoArgs, running: &Running, out: &mut dyn Write) -> anyhow::Result<bool> {
    check_catalog(&args.role)?;
    running.print_addresses(out).context("cannot print the addresses")?;
    let shop = Shop {
        data: running.data().clone(),
        instance: running.instance().clone(),
        token: running.operator_token().to_owned(),
    };
    let wanted = Drawn { seed: args.seed, views: args.views, now_ms: Clock::System.now_ms().max(0) as u64 };
    let stays = !args.exit;
    let (text, is_right) = tokio::task::spawn_blocking(move || show(&shop, wanted, stays))
        .await
        .context("the demo failed")??;
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("cannot print")?;
    Ok(is_right)
}

/// The demo needs its campaign; the example catalog has it, a catalog of somebody's own may not.
fn check_catalog(args: &crate::cli::RoleArgs) -> anyhow::Result<()> {
    let config = Config::load(args.config.as_deref(), args.data.as_deref())?;
    let path: PathBuf = config.catalog_path();
    let catalog = catalog_file::read(&path, &Grammars::load(config.grammars.as_deref())?.profiles)?;
    let is_there = catalog.campaigns.get(CAMPAIGN).is_some_and(|campaign| {
        PLACEMENTS.iter().all(|placement| campaign.placements.contains_key(*placement))
    });
    if is_there {
        return Ok(());
    }
    Err(ConfigError::in_file(
        &path,
        format!(
            "has no campaign \"{CAMPAIGN}\" with the placements {}: the demo needs them. Use another folder with --data",
            PLACEMENTS.join(", ")
        ),
    )
    .into())
}

/// Sends what is missing, asks for the reports and puts them beside the truth. `stays`: the instance stays up to be tried.
fn show(shop: &Shop, wanted: Drawn, stays: bool) -> anyhow::Result<(String, bool)> {
    let tracker = Client::new(&address(shop.instance.tracker)?, None)?;
    let reports = Client::new(&address(shop.instance.reports)?, Some(shop.token.clone()))?;
    let drawn = remembered(shop, wanted)?;
    let (requests, truth) = plan::plan(drawn.seed, drawn.views, drawn.now_ms);
    report::settle(&reports, None)?;
    let mut text = String::new();
    if impressions(&reports, Filter::Gross)? >= truth.gross {
        let _ = writeln!(text, "\nthe beacons of an earlier demo are in this folder; none was sent again");
    } else {
        if wanted.now_ms.saturating_sub(drawn.now_ms) > AGE_MS_MAX {
            bail!(
                "an earlier demo in {} was not finished, and its beacons are too late now: use another folder with --data",
                shop.data.root().display()
            );
        }
        let begun = Instant::now();
        send(&tracker, &requests)?;
        let _ = writeln!(
            text,
            "\nsent {} beacons to {}/i and /c in {:.1} s",
            thousands(requests.len() as u64),
            tracker.base(),
            begun.elapsed().as_secs_f64()
        );
        report::settle(&reports, None)?;
    }
    let figures = report::fetch(&reports, &question(ReportKind::Reach, Filter::Net))?;
    let row = first_row(&figures).context("the report has no row")?;
    let gross = impressions(&reports, Filter::Gross)?;
    let is_right = compare(&mut text, row, gross, &truth);
    addresses(&mut text, shop, stays)?;
    Ok((text, is_right))
}

/// The demo that this folder holds, or the one that is wanted, written down before anything is sent.
fn remembered(shop: &Shop, wanted: Drawn) -> anyhow::Result<Drawn> {
    let path = shop.data.root().join("demo.json");
    if let Ok(bytes) = std::fs::read(&path) {
        return serde_json::from_slice(&bytes)
            .with_context(|| format!("{} is damaged: remove it", path.display()));
    }
    let bytes = serde_json::to_vec(&wanted).context("cannot encode demo.json")?;
    write_durably(&path, 0o644, &bytes).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(wanted)
}

fn address(address: Option<std::net::SocketAddr>) -> anyhow::Result<String> {
    address.map(http_url).context("a listener is missing")
}

fn question(kind: ReportKind, filter: Filter) -> Question<'static> {
    Question { kind, campaign: CAMPAIGN, from: None, to: None, by: By::Total, filter, more: Vec::new() }
}

fn first_row(report: &Value) -> Option<&Value> {
    report.get("rows")?.get(0)
}

/// Impressions of the campaign so far.
fn impressions(reports: &Client, filter: Filter) -> anyhow::Result<u64> {
    let report = report::fetch(reports, &question(ReportKind::Delivery, filter))?;
    Ok(first_row(&report).and_then(|row| row.get("impressions")).and_then(Value::as_u64).unwrap_or(0))
}

/// Sends every request over a few connections, in order as far as that goes, with a progress bar.
fn send(tracker: &Client, requests: &[Request]) -> anyhow::Result<()> {
    let bar = ProgressBar::new(requests.len() as u64).with_style(
        ProgressStyle::with_template("{bar:40} {pos} of {len} beacons  {per_sec}  {eta} left")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let next = AtomicUsize::new(0);
    let failed: Mutex<Option<anyhow::Error>> = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(error) = send_one(tracker, request) {
                        next.store(requests.len(), Ordering::Relaxed);
                        failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                        return;
                    }
                    bar.inc(1);
                }
            });
        }
    });
    bar.finish_and_clear();
    failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

fn send_one(tracker: &Client, request: &Request) -> anyhow::Result<()> {
    let expected = if request.is_click { 302 } else { 200 };
    let mut last = String::new();
    for _ in 0..TRIES_MAX {
        match tracker.get_as_viewer(&request.target, request.agent) {
            Ok(answer) if answer.status == expected => return Ok(()),
            Ok(answer) if answer.status == 503 => "503: the journal takes nothing".clone_into(&mut last),
            Ok(answer) => bail!("the tracker answered {} instead of {expected}", answer.status),
            Err(error) => last = error.to_string(),
        }
        std::thread::sleep(TRY_WAIT);
    }
    bail!("the tracker did not take a beacon after {TRIES_MAX} tries: {last}")
}

/// Report and truth side by side. Answers whether they are the same.
fn compare(text: &mut String, row: &Value, gross: u64, truth: &Truth) -> bool {
    let number = |name: &str| row.get(name).and_then(Value::as_u64).unwrap_or(0);
    let exactly: Vec<u64> = row
        .get("exactly")
        .and_then(Value::as_array)
        .map(|list| list.iter().filter_map(Value::as_u64).collect())
        .unwrap_or_default();
    let mut lines = vec![
        ("impressions, gross".to_owned(), gross, truth.gross),
        ("impressions, net".to_owned(), number("impressions"), truth.net),
        ("  of them identified".to_owned(), number("identified_impressions"), truth.identified),
        ("clicks".to_owned(), number("clicks"), truth.clicks),
        ("reach".to_owned(), number("reach"), truth.reach),
    ];
    for (index, reported) in exactly.iter().enumerate() {
        let times = index as u64 + 1;
        let is_open = index + 1 == exactly.len();
        let true_count = truth
            .exactly
            .iter()
            .filter(|(n, _)| **n == times || (is_open && **n > times))
            .map(|(_, count)| count)
            .sum();
        if *reported > 0 || true_count > 0 {
            let name = if is_open { format!("  {times} times or more") } else { format!("  {times} times") };
            lines.push((name, *reported, true_count));
        }
    }
    let mut shown = table::plain(&["", "report", "truth", ""]);
    for (name, reported, is_true) in &lines {
        let mark = if reported == is_true { "" } else { "differs" };
        shown.add_row([name.as_str(), &thousands(*reported), &thousands(*is_true), mark]);
    }
    table::right_align(&mut shown, &[1, 2]);
    let _ = writeln!(
        text,
        "\ncampaign {CAMPAIGN}, {} repeats and {} hits of robots removed from gross",
        truth.repeats, truth.robots
    );
    for line in shown.lines() {
        let _ = writeln!(text, "{}", line.trim_end());
    }
    lines.iter().all(|(_, reported, is_true)| reported == is_true)
}

/// What to try next.
fn addresses(text: &mut String, shop: &Shop, stays: bool) -> anyhow::Result<()> {
    if !stays {
        let _ = writeln!(text, "\nwithout --exit the instance stays up to be tried");
        return Ok(());
    }
    let (tracker, opt_out, reports) =
        (address(shop.instance.tracker)?, address(shop.instance.opt_out)?, address(shop.instance.reports)?);
    let data = shop.data.root().display();
    // As it was called, so that the lines can be pasted.
    let program = std::env::args().next().unwrap_or_else(|| "sightline".to_owned());
    let _ = write!(
        text,
        "\na beacon of your own, with a browser's agent (net leaves out curl's own):\n  \
         curl -sD- -o /dev/null -A '{BROWSER}' '{tracker}/i?c={CAMPAIGN}&p=p1&rid=my-first&cookie=my-browser'\n\
         the URLs to hand to media:\n  {program} links --data {data}\n\
         the dashboard, to sign in with the token in {data}/keys/operator.token:\n  {reports}/\n\
         the opt-out page:\n  {opt_out}/opt-out\n\
         the reports (again, with the beacon above in them):\n  {program} report reach --campaign {CAMPAIGN} --settle --data {data}\n  \
         curl -H \"Authorization: Bearer $(cat {data}/keys/operator.token)\" '{reports}/v1/campaigns/{CAMPAIGN}/reach'\n",
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_truth_stands_beside_the_report_and_a_difference_is_marked() {
        let truth = Truth {
            gross: 6,
            net: 5,
            identified: 4,
            repeats: 1,
            reach: 2,
            exactly: [(1, 1), (3, 1)].into(),
            ..Truth::default()
        };
        let row = json!({"impressions": 5, "identified_impressions": 4, "clicks": 0, "reach": 2, "exactly": [1, 1]});
        let mut text = String::new();
        assert!(compare(&mut text, &row, 6, &truth), "{text}");
        assert!(text.contains("2 times or more"), "{text}");
        let row = json!({"impressions": 5, "identified_impressions": 4, "clicks": 0, "reach": 3, "exactly": [1, 1]});
        let mut text = String::new();
        assert!(!compare(&mut text, &row, 6, &truth) && text.contains("differs"), "{text}");
    }
}
