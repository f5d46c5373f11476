//! `sightline links`: the tracking URLs to hand to media, from the catalog. `catalog::links` makes them; here they are chosen and printed.

use std::io::{self, Write};

use anyhow::{Context, bail};
use catalog::links::{DialectLinks, LinkMaker, Purposes, Wanted};
use catalog::{Campaign, Catalog, Placement};
use event::clock::Clock;
use serde_json::json;

use crate::cli::{LinksArgs, OutputFormat};
use crate::config::{ConfigError, nearest};
use crate::place::Place;
use crate::table;

const DAY_SECONDS: i64 = 86_400;
const HOUR_SECONDS: i64 = 3_600;

/// The links of one placement.
struct Row<'c> {
    campaign: &'c Campaign,
    placement: &'c Placement,
    dialects: Vec<DialectLinks>,
}

/// Runs the command.
pub(crate) fn run(args: &LinksArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let place = Place::open(&args.place)?;
    let catalog = place.catalog()?;
    let base = place.base(args.base.as_deref())?;
    let now = Clock::System.now_ms().div_euclid(1000);
    let expires = args.expires.as_deref().map(|text| end(text, now)).transpose()?;
    let purposes = match args.stages.as_deref() {
        None => Purposes::Usual,
        Some(text) => {
            Purposes::parse(text).map_err(|error| ConfigError::usage(format!("--stages: {error}")))?
        }
    };
    let maker = LinkMaker {
        base: &base,
        dialects: &place.grammars.dialects,
        profiles: &place.grammars.profiles,
        purposes: &purposes,
        keys: &place.link_keys()?,
        sign: args.sign,
        expires,
    };
    let wanted = match args.dialect.as_deref() {
        None => Wanted::Usual,
        Some("all") => Wanted::All,
        Some(name) => Wanted::Named(name.to_owned()),
    };
    let rows = rows(&catalog, args, &maker, &wanted)?;
    if expires.is_some() && !args.sign && !rows.iter().any(|row| row.placement.signed_links) {
        let why = "none of these links is signed, so none would end: add --sign, or signed_links = true in the catalog";
        return Err(ConfigError::usage(format!("--expires: {why}")).into());
    }
    match args.format {
        OutputFormat::Json => print_json(&rows, out),
        OutputFormat::Csv => print_csv(&rows, out),
        OutputFormat::Table => print_table(&rows, out),
    }
    .context("cannot print")?;
    // For people and in a stream of their own: the output of a program stays what it is.
    for warning in unprofiled(&rows, &maker).into_iter().chain(warnings(&rows)) {
        eprintln!("warning: {warning}");
    }
    if wanted == Wanted::All && purposes == Purposes::Usual {
        let left_out = left_out(&rows, &maker);
        if !left_out.is_empty() {
            eprintln!(
                "warning: left out where their grammar takes other ids (AdMaster's and Adbug's are numbers), or no signature: {}",
                left_out.join(" ")
            );
        }
    }
    Ok(())
}

/// What whoever hands the links out should know: each warning of a dialect once, with the first placement that it is of.
fn warnings(rows: &[Row<'_>]) -> Vec<String> {
    let mut found: Vec<(&Row<'_>, &str, &str, usize)> = Vec::new();
    for (row, links) in rows.iter().flat_map(|row| row.dialects.iter().map(move |links| (row, links))) {
        for warning in &links.warnings {
            let same = |(_, dialect, text, _): &&mut (_, &str, &str, usize)| {
                *dialect == links.dialect && *text == warning
            };
            match found.iter_mut().find(same) {
                Some((_, _, _, more)) => *more += 1,
                None => found.push((row, &links.dialect, warning, 0)),
            }
        }
    }
    let line = |(row, dialect, warning, more): (&Row<'_>, &str, &str, usize)| {
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{} / {}{more} ({dialect}): {warning}", row.campaign.id, row.placement.id)
    };
    found.into_iter().map(line).collect()
}

/// Placements that name no profile although one goes by their medium's name, by that.
fn unprofiled(rows: &[Row<'_>], maker: &LinkMaker<'_>) -> Vec<String> {
    let mut found: Vec<(&str, Vec<String>)> = Vec::new();
    for row in rows {
        let Some(profile) = maker.proposed_profile(row.placement) else { continue };
        let id = format!("{} / {}", row.campaign.id, row.placement.id);
        match found.iter_mut().find(|(known, _)| *known == profile) {
            Some((_, ids)) => ids.push(id),
            None => found.push((profile, vec![id])),
        }
    }
    let line = |(profile, ids): (&str, Vec<String>)| {
        let more = if ids.len() > 1 { format!(" and {} more", ids.len() - 1) } else { String::new() };
        let first = ids.first().map(String::as_str).unwrap_or_default();
        format!(
            "{first}{more}: no macro profile, so the links hold the standard macros; by the medium's name it is profile = \"{profile}\""
        )
    };
    found.into_iter().map(line).collect()
}

/// Dialects that some placement got no link of.
fn left_out<'m>(rows: &[Row<'_>], maker: &LinkMaker<'m>) -> Vec<&'m str> {
    let lacks = |name: &str| rows.iter().any(|row| row.dialects.iter().all(|links| links.dialect != name));
    maker.dialects.tables().iter().map(event::dialect::Table::name).filter(|name| lacks(name)).collect()
}

/// The end of links: the last second of a day in UTC, or a time from `now` on; Unix seconds.
fn end(text: &str, now: i64) -> Result<i64, ConfigError> {
    let wrong = || {
        ConfigError::usage(format!(
            "--expires {text}: a day such as 2026-12-31, or a time from now on such as 30d or 12h"
        ))
    };
    let seconds = if let Ok(day) = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        day.and_hms_opt(23, 59, 59).ok_or_else(wrong)?.and_utc().timestamp()
    } else {
        let (number, unit) = [('d', DAY_SECONDS), ('h', HOUR_SECONDS)]
            .into_iter()
            .find_map(|(sign, unit)| Some((text.strip_suffix(sign)?, unit)))
            .ok_or_else(wrong)?;
        let number: i64 = number.parse().ok().filter(|n| (1..=36_500).contains(n)).ok_or_else(wrong)?;
        now + number * unit
    };
    if seconds <= now {
        return Err(ConfigError::usage(format!("--expires {text} has passed already")));
    }
    Ok(seconds)
}

fn rows<'c>(
    catalog: &'c Catalog,
    args: &LinksArgs,
    maker: &LinkMaker<'_>,
    wanted: &Wanted,
) -> anyhow::Result<Vec<Row<'c>>> {
    let mut campaigns: Vec<&Campaign> = catalog.campaigns.values().map(AsRef::as_ref).collect();
    campaigns.sort_by(|a, b| a.id.cmp(&b.id));
    if let Some(id) = &args.campaign {
        known("campaign", id, campaigns.iter().map(|c| c.id.as_str()))?;
        campaigns.retain(|c| c.id == *id);
    }
    if let Some(id) = &args.placement {
        let ids = campaigns.iter().flat_map(|c| c.placements.values()).map(|p| p.id.as_str());
        known("placement", id, ids)?;
    }
    let mut rows = Vec::new();
    for campaign in campaigns {
        let mut placements: Vec<&Placement> = campaign.placements.values().map(AsRef::as_ref).collect();
        placements.retain(|placement| args.placement.as_ref().is_none_or(|id| placement.id == *id));
        placements.sort_by(|a, b| a.id.cmp(&b.id));
        for placement in placements {
            let dialects = maker
                .links(campaign, placement, wanted)
                .map_err(|error| ConfigError::usage(error.to_string()))?;
            rows.push(Row { campaign, placement, dialects });
        }
    }
    if rows.is_empty() {
        bail!("the catalog has no placement: add [[campaign.placement]] to it");
    }
    Ok(rows)
}

/// Whether the catalog has an id; if not, what was meant and what there is.
fn known<'i>(what: &str, id: &str, ids: impl Iterator<Item = &'i str>) -> Result<(), ConfigError> {
    let mut ids: Vec<&str> = ids.collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.contains(&id) {
        return Ok(());
    }
    let meant =
        nearest(id, ids.iter().copied()).map_or_else(String::new, |meant| format!("; did you mean {meant}?"));
    let ids = ids.join(" ");
    Err(ConfigError::usage(format!("the catalog has no {what} {id}{meant}\n  {what}s: {ids}")))
}

fn print_json(rows: &[Row<'_>], out: &mut dyn Write) -> io::Result<()> {
    let links: Vec<_> = rows
        .iter()
        .flat_map(|row| row.dialects.iter().map(move |links| (row, links)))
        .flat_map(|(row, links)| {
            links.links.iter().map(move |link| {
                json!({"campaign": row.campaign.id, "placement": row.placement.id, "medium": row.placement.medium,
                       "name": row.placement.name, "dialect": link.dialect, "stage": link.purpose.name(),
                       "profile": links.profile, "recommended": link.is_recommended, "url": link.url, "warnings": links.warnings})
            })
        })
        .collect();
    serde_json::to_writer_pretty(&mut *out, &links)?;
    writeln!(out)
}

fn print_csv(rows: &[Row<'_>], out: &mut dyn Write) -> io::Result<()> {
    // A byte order mark, so that a spreadsheet reads Chinese names as UTF-8.
    writeln!(out, "\u{feff}campaign,placement,medium,name,dialect,stage,recommended,url")?;
    for row in rows {
        for link in row.dialects.iter().flat_map(|links| &links.links) {
            let placement = row.placement;
            let cells = [
                row.campaign.id.as_str(),
                &placement.id,
                &placement.medium,
                &placement.name,
                &link.dialect,
                link.purpose.name(),
                if link.is_recommended { "yes" } else { "no" },
                &link.url,
            ]
            .map(table::csv_cell);
            writeln!(out, "{}", cells.join(","))?;
        }
    }
    Ok(())
}

/// Each URL on a line of its own, so that a double click or a terminal's link takes the whole of it.
fn print_table(rows: &[Row<'_>], out: &mut dyn Write) -> io::Result<()> {
    for row in rows {
        let placement = row.placement;
        let own = placement.profile.as_ref().map(|profile| format!(", macros of {}", profile.name()));
        let profile = own.unwrap_or_else(|| ", no macro profile: standard macros".to_owned());
        writeln!(
            out,
            "{} / {}  {} ({}, {}{profile})",
            row.campaign.id,
            placement.id,
            placement.name,
            placement.medium,
            placement.source.name()
        )?;
        if row.dialects.is_empty() {
            writeln!(out, "  no dialect has such a URL for these ids")?;
        }
        for links in &row.dialects {
            for link in &links.links {
                let is = if link.is_recommended { " (recommended)" } else { "" };
                writeln!(out, "  {} {}{is}\n{}", link.dialect, link.purpose.name(), link.url)?;
            }
        }
        writeln!(out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use event::dialect::Dialects;
    use event::link::LinkKeys;
    use event::profile::Profiles;

    use super::*;
    use crate::cli::{Cli, Command};

    const CATALOG: &str = r#"
[[campaign]]
id = "spring"
name = "K"
time_zone = "UTC"
landing_hosts = ["www.example.org"]
[[campaign.placement]]
id = "b"
name = "Server, side"
medium = "=M"
source = "s2s"
[[campaign.placement]]
id = "a"
name = "Client"
medium = "M"
landing_page = "https://www.example.org/"
"#;

    fn printed(
        arguments: &[&str],
        print: fn(&[Row<'_>], &mut dyn Write) -> io::Result<()>,
    ) -> Result<String, String> {
        let catalog = Catalog::parse(CATALOG, "c").expect("is right");
        let cli = Cli::try_parse_from(["sightline", "links"].iter().chain(arguments)).expect("parses");
        let Command::Links(args) = cli.command else { panic!("another command") };
        let maker = LinkMaker {
            base: "https://t.example",
            dialects: Dialects::built_in(),
            profiles: Profiles::built_in(),
            purposes: &Purposes::Usual,
            keys: &LinkKeys::default(),
            sign: false,
            expires: None,
        };
        let rows = rows(&catalog, &args, &maker, &Wanted::Usual).map_err(|error| error.to_string())?;
        let mut out = Vec::new();
        print(&rows, &mut out).expect("prints");
        Ok(String::from_utf8(out).expect("text"))
    }

    #[test]
    fn each_placement_gets_its_urls_on_lines_of_their_own() {
        let text = printed(&[], print_table).expect("has links");
        let first =
            text.find("spring / a  Client (M, c2s, no macro profile: standard macros)").expect("is there");
        assert!(text.find("spring / b").is_some_and(|second| second > first), "{text}");
        assert!(text.contains("\nhttps://t.example/i?c=spring&p=a&t=__TS__"), "{text}");
        assert!(text.contains("\nhttps://t.example/x/k=spring&p=b&"), "{text}");
        assert_eq!(text.matches(" (recommended)\n").count(), 4, "an impression and a click of each: {text}");
        let one = printed(&["--placement", "b"], print_table).expect("has links");
        assert!(!one.contains("spring / a"));
    }

    #[test]
    fn a_spreadsheet_runs_no_formula_and_splits_no_name() {
        let text = printed(&[], print_csv).expect("has links");
        assert!(text.starts_with("\u{feff}campaign,placement,"));
        assert!(text.contains("\"Server, side\"") && text.contains(", =M,"), "{text}");
    }

    #[test]
    fn json_holds_a_row_for_each_url() {
        let text = printed(&["--placement", "a"], print_json).expect("has links");
        let rows: Vec<serde_json::Value> = serde_json::from_str(&text).expect("JSON");
        assert!(rows.iter().any(|row| row["dialect"] == "miaozhen" && row["stage"] == "click"));
    }

    #[test]
    fn an_unknown_id_is_answered_with_the_known_ones() {
        let error = printed(&["--campaign", "sprng"], print_table).expect_err("is unknown");
        assert!(error.contains("did you mean spring?") && error.contains("campaigns: spring"), "{error}");
        let error = printed(&["--placement", "c"], print_table).expect_err("is unknown");
        assert!(error.contains("placements: a b"), "{error}");
    }

    #[test]
    fn a_warning_is_said_once_and_a_dialect_that_is_left_out_too() {
        let catalog = Catalog::parse(CATALOG, "c").expect("is right");
        let cli = Cli::try_parse_from(["sightline", "links"]).expect("parses");
        let Command::Links(args) = cli.command else { panic!("another command") };
        let maker = LinkMaker {
            base: "https://t.example",
            dialects: Dialects::built_in(),
            profiles: Profiles::built_in(),
            purposes: &Purposes::Usual,
            keys: &LinkKeys::default(),
            sign: false,
            expires: None,
        };
        let rows = rows(&catalog, &args, &maker, &Wanted::All).expect("are made");
        let left_out = left_out(&rows, &maker);
        assert!(left_out.contains(&"admaster") && !left_out.contains(&"native"), "{left_out:?}");
        let warnings = warnings(&rows);
        let of_cm360: Vec<_> =
            warnings.iter().filter(|text| text.contains("(cm360): no identifier")).collect();
        assert!(of_cm360.len() == 1 && of_cm360[0].starts_with("spring / a and 1 more"), "{warnings:?}");
    }

    #[test]
    fn an_end_is_a_day_or_a_time_from_now_on() {
        let now = 1_795_305_600;
        assert_eq!(end("30d", now).expect("is one"), now + 30 * 86_400);
        assert_eq!(end("12h", now).expect("is one"), now + 12 * 3_600);
        assert_eq!(end("2026-12-31", now).expect("is one"), 1_798_761_599);
        for text in ["", "d", "0d", "-1d", "30", "soon", "2026-13-01", "2026-01-01", "999999d"] {
            assert!(end(text, now).is_err(), "{text}");
        }
    }
}
