//! `sightline explain URL`: what a tracking URL means to us, part by part, and what would become of it. Offline: it reads the grammars, the
//! catalog and the link keys, and contacts nobody.
//!
//! Every answer comes from the code that decides about beacons: the dialect routes and reads ([`event::dialect`]), the profile and
//! [`event::identifier`] say whose device it is, [`ingest::DryRun`] is the tracker's decision, [`catalog::Catalog::landing`] says where a click
//! goes, [`event::link`] judges the signature. Nothing is decided here.
//!
//! Values are shown by their beginning, because people paste the output into tickets; ids of the catalog, times, flags and marks in full.

mod parts;
mod print;
mod target;

use std::io::{self, Read, Write};

use anyhow::Context;
use catalog::{Campaign, Catalog, Found, Landing, Placement};
use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use event::agent;
use event::clock::Clock;
use event::dialect::{Entry, Scratch};
use event::givt::{self, Automated};
use event::hit::{Field, Hit};
use event::identifier::{IdField, identify, stands_for_nothing};
use event::key::KeyRing;
use event::link::{LinkKeys, Signed};
use event::outcome::Outcome;
use event::profile::Remap;
use event::record::{Platform, SourceKind, flag};
use ingest::{DryRun, Verdict};
use serde::Serialize;

use crate::cli::ExplainArgs;
use crate::config::ConfigError;
use crate::data_dir;
use crate::hints::hint;
use crate::place::Place;
use parts::Part;
use target::Target;

/// Most that is read from standard input, bytes: some thousand URLs, one a line.
const INPUT_BYTES_MAX: u64 = 4 << 20;

/// Everything that is said of a URL.
#[derive(Debug, Serialize)]
struct Explanation {
    /// Where in the URL ours was found, if it stood inside another.
    found: Option<String>,
    /// Name and title of the dialect; absent if no path of ours fits.
    dialect: Option<String>,
    /// What is answered: pixel or redirect.
    answer: &'static str,
    stage: Option<&'static str>,
    /// Why that stage.
    stage_because: String,
    parts: Vec<Part>,
    campaign: String,
    placement: String,
    time: String,
    device: Vec<String>,
    signals: Vec<String>,
    view: String,
    signature: Option<String>,
    landing: Option<String>,
    missing: Vec<String>,
    notes: Vec<String>,
    outcome: &'static str,
    hint: String,
    /// It would be in the figures, as far as can be told.
    counted: bool,
}

/// What the explanation is made by.
struct Ground<'a> {
    place: &'a Place,
    /// Absent where there is none: then nothing is known to be unknown.
    catalog: Option<&'a Catalog>,
    keys: KeyRing,
    agent: &'a str,
    received_ms: i64,
    show_values: bool,
}

/// Runs the command. `Ok(false)` if the URL would not be counted.
pub(crate) fn run(args: &ExplainArgs, out: &mut dyn Write) -> anyhow::Result<bool> {
    let urls = read_urls(&args.url)?;
    let place = Place::open(&args.place)?;
    let catalog = place.catalog_if_there()?;
    let received_ms = match args.received.as_deref() {
        Some(text) => moment(text)?,
        None => Clock::System.now_ms(),
    };
    // Keys of this moment: nobody can compare what comes of them with anything.
    data_dir::random(&mut [0; 32])?;
    let keys = KeyRing::generate(|bytes| {
        let _ = data_dir::random(bytes);
    });
    let ground = Ground {
        place: &place,
        catalog: catalog.as_ref(),
        keys,
        agent: args.agent.as_deref().unwrap_or_default(),
        received_ms,
        show_values: args.show_values,
    };
    let mut are_counted = true;
    for (index, url) in urls.iter().enumerate() {
        let explanation = ground.explain(url)?;
        if args.json {
            serde_json::to_writer_pretty(&mut *out, &explanation).context("cannot print")?;
            writeln!(out)?;
        } else {
            if index > 0 {
                writeln!(out)?;
            }
            if urls.len() > 1 {
                writeln!(out, "URL {} of {}", index + 1, urls.len())?;
            }
            print::print(&explanation, out).context("cannot print")?;
        }
        are_counted &= explanation.counted;
    }
    Ok(are_counted)
}

/// The URL of the command line, or one of each line of standard input.
fn read_urls(url: &str) -> anyhow::Result<Vec<String>> {
    let mut text = String::new();
    if url == "-" {
        io::stdin()
            .lock()
            .take(INPUT_BYTES_MAX + 1)
            .read_to_string(&mut text)
            .context("cannot read the URL")?;
        if text.len() as u64 > INPUT_BYTES_MAX {
            return Err(ConfigError::usage(format!(
                "standard input has more than {INPUT_BYTES_MAX} bytes: give it in parts"
            ))
            .into());
        }
    } else {
        text.push_str(url);
    }
    let urls: Vec<String> =
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    if urls.is_empty() {
        return Err(
            ConfigError::usage("the URL is empty: put it in quotes, for it holds `&`".to_owned()).into()
        );
    }
    Ok(urls)
}

/// A moment as people and logs write it; Unix milliseconds.
fn moment(text: &str) -> Result<i64, ConfigError> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(at.timestamp_millis());
    }
    let number: Option<i64> = text.parse().ok().filter(|number| *number > 0);
    let milliseconds =
        |n: i64| if n < event::time::MILLISECONDS_FROM { n.checked_mul(1000) } else { Some(n) };
    number.and_then(milliseconds).ok_or_else(|| {
        ConfigError::usage(format!(
            "--received {text}: a time such as 2026-11-22T12:00:00Z, or Unix seconds or milliseconds"
        ))
    })
}

impl Ground<'_> {
    fn explain(&self, url: &str) -> anyhow::Result<Explanation> {
        let dialects = &self.place.grammars.dialects;
        let target = target::find(url, dialects, self.catalog);
        let found = target.inside.as_ref().map(|(host, layers)| match layers {
            0 => format!("inside a URL of {host}, as it stands"),
            1 => format!("inside a URL of {host}, percent-encoded"),
            n => format!("inside a URL of {host}, percent-encoded {n} times"),
        });
        let mut explanation = if let Some(entry) = dialects.route(&target.path, target.query.as_deref()) {
            self.of_hit(&entry)?
        } else {
            let names: Vec<&str> = dialects.tables().iter().map(event::dialect::Table::name).collect();
            let mut explanation = none_of_ours(&target, &names);
            if target.path == "/vast" {
                self.of_wrapper(target.query.as_deref().unwrap_or_default(), &mut explanation)?;
            }
            explanation
        };
        explanation.found = found;
        if target.had_fragment {
            explanation.notes.push(
                "what stands behind # is never sent: encode it as %23 if it belongs to a value".to_owned(),
            );
        }
        Ok(explanation)
    }

    /// What the VAST wrapper of a placement would be answered with.
    fn of_wrapper(&self, query: &str, explanation: &mut Explanation) -> anyhow::Result<()> {
        explanation.missing.clear();
        let Some(catalog) = self.catalog else {
            explanation.notes.extend(notes(None, None));
            return Ok(());
        };
        let link_keys = self.place.link_keys()?;
        let run = self.dry_run(catalog, &link_keys);
        explanation.notes.push(match run.wrapper(query) {
            Ok(()) => "answered with 200 and the wrapper, whose own URLs count".to_owned(),
            Err((status, words)) => format!("answered with {status}: {}", words.trim()),
        });
        Ok(())
    }

    fn dry_run<'a>(&'a self, catalog: &'a Catalog, link_keys: &'a LinkKeys) -> DryRun<'a> {
        DryRun {
            catalog,
            keys: &self.keys,
            link_keys: Some(link_keys).filter(|keys| !keys.is_empty()),
            tcf_vendor: self.place.tcf_vendor(),
            agent: self.agent.as_bytes(),
            received_ms: self.received_ms,
        }
    }

    /// What becomes of it in the end, and whether it is in the figures.
    fn ending(&self, verdict: &Verdict) -> (String, bool) {
        let automated =
            givt::automated(self.agent.as_bytes()).filter(|_| verdict.source == SourceKind::Client);
        let is_trial = verdict.flags & flag::TRIAL != 0;
        match (verdict.outcome, automated) {
            (Outcome::Accepted, Some(automated)) => {
                let whose = match automated {
                    Automated::Robot => "a robot's",
                    Automated::NonBrowser => "that of a program and no browser",
                };
                (format!("stored, and left out of net figures: the agent is {whose}"), false)
            }
            (Outcome::Accepted, None) if is_trial => {
                ("would be counted once the placement is live".to_owned(), true)
            }
            (outcome, _) => {
                let is_counted = outcome == Outcome::Accepted
                    || (self.catalog.is_none() && outcome == Outcome::Unresolved);
                (hint(outcome).to_owned(), is_counted)
            }
        }
    }

    fn of_hit(&self, entry: &Entry<'_, '_>) -> anyhow::Result<Explanation> {
        let mut scratch = Scratch::new();
        let reading = entry.read(&mut scratch);
        let hit = &reading.hit;
        let nothing = Catalog::default();
        let catalog = self.catalog.unwrap_or(&nothing);
        let found = catalog.find(hit.campaign.unwrap_or_default(), hit.placement.unwrap_or_default());
        let placement = match found {
            Found::Known(_, placement) => Some(placement.as_ref()),
            Found::UnknownPlacement(_) | Found::UnknownCampaign => None,
        };
        let link_keys = self.place.link_keys()?;
        let verdict = self.dry_run(catalog, &link_keys).decide(entry);
        let platform = agent::platform(hit.os, self.agent.as_bytes());
        let remap = placement.map_or(Remap::none(), |placement| placement.remap(entry.number));
        let parts = parts::explain(entry, hit, remap, platform, self.show_values);
        let outcome = verdict.outcome;
        let (ending, counted) = self.ending(&verdict);
        Ok(Explanation {
            found: None,
            dialect: Some(format!("{}, {}", entry.table.name(), entry.table.title())),
            answer: if entry.is_click { "redirect" } else { "pixel" },
            stage: hit.stage.map(event::stage::Stage::name),
            stage_because: parts::why_stage(&parts, hit.stage, verdict.outcome),
            campaign: self.campaign(hit, found),
            placement: describe(hit, found, placement),
            time: self.time(hit, found, &verdict),
            device: self.device(entry, (hit, remap, platform), &verdict),
            signals: signals(hit, verdict.flags, &verdict),
            view: view(hit),
            signature: self.signature(hit, placement, &link_keys),
            landing: entry.is_click.then(|| landing(catalog, found, hit, self.show_values)),
            missing: parts::missing(entry, hit, &parts, placement),
            notes: notes(placement, self.catalog.is_some().then_some(&verdict)),
            outcome: outcome.name(),
            hint: ending,
            counted,
            parts,
        })
    }

    fn campaign(&self, hit: &Hit<'_>, found: Found<'_>) -> String {
        let Some(id) = hit.campaign.map(String::from_utf8_lossy) else { return "none".to_owned() };
        match found {
            Found::Known(campaign, _) | Found::UnknownPlacement(campaign) => {
                format!("{id}: {}", campaign.name)
            }
            Found::UnknownCampaign if self.catalog.is_none() => format!("{id} (no catalog to look it up in)"),
            Found::UnknownCampaign => format!("{id}: not in the catalog"),
        }
    }

    fn time(&self, hit: &Hit<'_>, found: Found<'_>, verdict: &Verdict) -> String {
        let start = match found {
            Found::Known(campaign, _) | Found::UnknownPlacement(campaign) => campaign.campaign_start_ms(),
            Found::UnknownCampaign => None,
        };
        let judged =
            event::time::judge_at_offset(hit.time, hit.time_offset_minutes, self.received_ms, start, false);
        let received = shown(self.received_ms);
        let text = match judged {
            Err(_) => "7 to 30 days before receipt: too late".to_owned(),
            Ok(judged) if judged.flags & flag::CLIENT_TIME_ABSENT != 0 => {
                format!("not sent: receipt counts, {received}")
            }
            Ok(judged) if judged.flags & flag::CLIENT_CLOCK_BROKEN != 0 => {
                let sent = match judged.client_time_ms {
                    Some(sent) => format!(
                        "sent as {}, which cannot be (ahead, older than 30 days, or before the campaign)",
                        shown(sent)
                    ),
                    None => "what was sent is no time from 2000 to 2100 (Unix seconds or milliseconds, or ISO 8601 with an offset)".to_owned(),
                };
                format!("{sent}: receipt counts, {received}")
            }
            Ok(judged) => format!("{}, {}", shown(judged.time_ms), age(self.received_ms - judged.time_ms)),
        };
        match (verdict.counted.and_then(|counted| counted.day), found) {
            (Some(day), Found::Known(campaign, _)) => {
                let day = NaiveDate::from_epoch_days(i32::from(day));
                let day = day.map_or_else(String::new, |day| day.to_string());
                format!("{text}; day {day} of {}", time_zone(campaign))
            }
            _ => text,
        }
    }

    /// Which identifier stands for the device, found by asking for each one alone, and why the others do not.
    fn device(
        &self,
        entry: &Entry<'_, '_>,
        (hit, remap, platform): (&Hit<'_>, &Remap, Platform),
        verdict: &Verdict,
    ) -> Vec<String> {
        let is_withheld = verdict.flags & flag::WITHHELD != 0;
        let whole = identify(hit, platform, &self.keys, remap);
        let mut lines = Vec::new();
        for (field, value) in IdField::ALL.into_iter().zip(hit.ids) {
            if value.is_none() {
                continue;
            }
            let mut alone = hit.clone();
            alone.ids = [None; IdField::COUNT];
            if let Some(slot) = alone.ids.get_mut(field as usize) {
                *slot = value;
            }
            let one = identify(&alone, platform, &self.keys, remap);
            let name = parts::name_of(entry.table, Field::Id(field));
            let is_device = one.device.is_some() && one.device.map(|d| d.key) == whole.device.map(|d| d.key);
            let kind = one.device.map_or(field.kind().name(), |device| device.kind.name());
            lines.push(if is_device {
                let apart = if whole.flags & flag::ID_SHA_ONLY != 0 {
                    "; it is a digest that meets no other form, so it keeps a key space of its own"
                } else {
                    ""
                };
                if is_withheld {
                    format!("{name}: usable ({kind}), and no device is kept, see privacy")
                } else {
                    format!("{name}: the device ({kind}, on {}){apart}", platform.name())
                }
            } else if one.flags & flag::ID_USABLE == 0 {
                format!("{name}: not usable")
            } else if whole.device.is_none() {
                format!("{name}: usable, but the device limits tracking (a zero OAID or IDFA was sent)")
            } else {
                format!("{name}: usable, checked against opt-outs; {} prefers another", platform.name())
            });
        }
        if lines.is_empty() {
            let what = hit.stage.map_or("hit", event::stage::Stage::name);
            lines.push(format!("none: the {what} counts without a device, and is in no reach"));
        }
        lines
    }

    /// What the signature is worth; `None` where there is none and none is asked for.
    fn signature(&self, hit: &Hit<'_>, placement: Option<&Placement>, keys: &LinkKeys) -> Option<String> {
        let is_asked = placement.is_some_and(|placement| placement.signed_links);
        if !is_asked && hit.link_signature.is_none() {
            return None;
        }
        if keys.is_empty() {
            return Some("cannot be checked: no link key is here".to_owned());
        }
        let link = Signed {
            campaign: hit.campaign.unwrap_or_default(),
            placement: hit.placement.unwrap_or_default(),
            expires: hit.link_expires,
            signature: hit.link_signature,
        };
        let text = match (keys.verify(&link, self.received_ms), hit.link_signature) {
            (Ok(()), _) => "ours, and good",
            (Err(Outcome::LinkExpired), _) => "ours, and ended",
            (Err(_), None) => "none",
            (Err(_), Some(_)) => "wrong: not of this campaign, placement and end, or of a key that is gone",
        };
        let needed =
            if is_asked { "; the placement takes no other" } else { "; the placement does not ask for one" };
        Some(format!("{text}{needed}"))
    }
}

/// The placement, for people.
fn describe(hit: &Hit<'_>, found: Found<'_>, placement: Option<&Placement>) -> String {
    let Some(id) = hit.placement.map(String::from_utf8_lossy) else { return "none".to_owned() };
    match (placement, found) {
        (Some(placement), _) => {
            let profile = placement.profile.as_ref();
            format!(
                "{id}: {}, medium {}, {}, {}{}{}",
                placement.name,
                placement.medium,
                placement.source.name(),
                placement.state.name(),
                profile.map_or_else(String::new, |profile| format!(", macros of {}", profile.name())),
                if placement.signed_links { ", signed links only" } else { "" },
            )
        }
        (None, Found::UnknownPlacement(_)) => format!("{id}: the campaign has no such placement"),
        (None, _) => id.into_owned(),
    }
}

fn time_zone(campaign: &Campaign) -> &'static str {
    campaign.time_zone.name()
}

fn none_of_ours(target: &Target, dialects: &[&str]) -> Explanation {
    let what = match target.path.as_str() {
        "/vast" => "the VAST wrapper of a placement: answered with XML, counts nothing by itself",
        "/tag.js" => "the page tag: answered with JavaScript, counts nothing by itself",
        "/sdkconfig.xml" => "the configuration of the MMA China SDK: counts nothing by itself",
        "/v1/events" => "the batch: takes POST with JSON, see the API's description",
        _ => "no path of ours: answered with 404",
    };
    Explanation {
        found: None,
        dialect: None,
        answer: "other",
        stage: None,
        stage_because: what.to_owned(),
        parts: Vec::new(),
        campaign: "none".to_owned(),
        placement: "none".to_owned(),
        time: "none".to_owned(),
        device: Vec::new(),
        signals: Vec::new(),
        view: "none".to_owned(),
        signature: None,
        landing: None,
        missing: vec![format!(
            "a path of one of the dialects: {} (see `sightline links --dialect all`)",
            dialects.join(", ")
        )],
        notes: Vec::new(),
        outcome: "not_a_beacon",
        hint: "nothing is counted".to_owned(),
        counted: false,
    }
}

/// Where a click goes.
fn landing(catalog: &Catalog, found: Found<'_>, hit: &Hit<'_>, show_values: bool) -> String {
    let shown = |url: &str| {
        if show_values { url.to_owned() } else { parts::url_without_values(url) }
    };
    match catalog.landing(found, hit.landing_url) {
        Landing::To(url) => format!("redirected to {}", shown(url)),
        Landing::Page { url, refused: false } => format!("redirected to the placement's page, {url}"),
        Landing::Page { url, refused: true } => {
            format!("{}: redirected to the placement's page, {url}", refused(hit.landing_url))
        }
        Landing::Refused => {
            format!("{}, and the placement has no page: a plain page is shown", refused(hit.landing_url))
        }
        Landing::Nothing => {
            "nowhere: no landing URL was sent and the placement has no page; answered with the pixel"
                .to_owned()
        }
    }
}

/// Why a landing URL is not followed.
fn refused(url: Option<&[u8]>) -> &'static str {
    let url = url.unwrap_or_default();
    let begins =
        |scheme: &[u8]| url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    if !begins(b"https://") && !begins(b"http://") {
        "asked for what does not begin with https:// or http://"
    } else if catalog::host_of(url).is_none() {
        "asked for what is no URL with one meaning (a user name, a backslash or an escape in the host?)"
    } else {
        "asked for a host that is not registered"
    }
}

/// Which privacy signals hold.
fn signals(hit: &Hit<'_>, flags: u32, verdict: &Verdict) -> Vec<String> {
    let mut lines: Vec<String> = [
        (flag::WITHHELD_LMT, "the person limits ad tracking"),
        (flag::WITHHELD_CHILD, "directed to children"),
        (
            flag::WITHHELD_CONSENT,
            "GDPR applies, and no consent for [tracker] tcf_vendor_id can be read (purposes 1 and 7)",
        ),
        (flag::WITHHELD_GPP, "a GPP section applies that opts out or cannot be read"),
        (flag::WITHHELD_GPC, "global privacy control"),
        (flag::WITHHELD_DNT, "do not track"),
    ]
    .into_iter()
    .filter(|(bit, _)| flags & bit != 0)
    .map(|(_, text)| format!("{text}: no device is kept"))
    .collect();
    if hit.gdpr_consent.is_some() && flags & flag::WITHHELD_CONSENT == 0 {
        lines.push("a TCF string was sent, and GDPR is not said to apply".to_owned());
    }
    if lines.is_empty() && verdict.outcome.is_stored() {
        lines.push("none in the URL (the browser's headers and cookies are not known here)".to_owned());
    }
    lines
}

/// What ties the hit to others of its view and tells its repeats.
fn view(hit: &Hit<'_>) -> String {
    let is_named = |id: Option<&[u8]>| id.is_some_and(|id| !stands_for_nothing(id));
    if is_named(hit.group_id) {
        "repeats are told by group id, stage and client time; the group id ties the hits of one view"
    } else if is_named(hit.request_id) {
        "repeats are told by request id and stage; the request id ties the hits of one view"
    } else if hit.group_id.or(hit.request_id).is_some() {
        "its id is one that many send who have none: no repeat can be told, and nothing is tied to a view"
    } else {
        "neither group id nor request id: no repeat can be told, and nothing is tied to a view"
    }
    .to_owned()
}

/// What else to know. `verdict` is absent where there is no catalog.
fn notes(placement: Option<&Placement>, verdict: Option<&Verdict>) -> Vec<String> {
    let mut notes = Vec::new();
    if verdict.is_some_and(|verdict| verdict.flags & flag::TRIAL != 0) {
        notes.push(
            "the placement is in its trial state: its hits can be watched and are in no figure".to_owned(),
        );
    }
    if placement.is_some_and(|placement| placement.source != SourceKind::Client) {
        notes.push(
            "a server-to-server placement: address and agent are believed with a registered server's key only".to_owned(),
        );
    }
    if verdict.is_none() {
        notes.push("no catalog was found: campaign, placement, medium and landing are not looked up (--catalog FILE)".to_owned());
    }
    notes
}

fn shown(ms: i64) -> String {
    DateTime::<Utc>::from_timestamp_millis(ms).map_or_else(
        || "a time beyond the calendar".to_owned(),
        |at| at.to_rfc3339_opts(SecondsFormat::Secs, true),
    )
}

fn age(ms: i64) -> String {
    let (size, when) = (ms.abs(), if ms < 0 { "after" } else { "before" });
    match size {
        0..1_000 => "at receipt".to_owned(),
        1_000..7_200_000 => format!("{} s {when} receipt", size / 1_000),
        7_200_000..172_800_000 => format!("{} h {when} receipt", size / 3_600_000),
        _ => format!("{} days {when} receipt", size / 86_400_000),
    }
}

#[cfg(test)]
mod tests;
