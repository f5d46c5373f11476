//! Reading one campaign: who and when, and what it is planned with.

use std::collections::HashSet;
use std::sync::Arc;

use event::profile::Profiles;

use super::table::{Table, wrong};
use super::{Checked, Wrong, limit, nearest, placement};
use crate::planning::{ALL, Alerts, Creative, Universe, UniverseUnit};
use crate::{Campaign, day_start_ms, mistake};

const CAMPAIGN_KEYS: &[&str] = &[
    "id",
    "name",
    "advertiser",
    "time_zone",
    "starts",
    "ends",
    "double_click_seconds",
    "landing_hosts",
    "cost",
    "currency",
    "universe",
    "creative",
    "alerts",
    "placement",
];
const UNIVERSE_KEYS: &[&str] = &["region", "audience", "persons", "unit", "source", "date"];
const CREATIVE_KEYS: &[&str] = &["id", "name"];
const ALERT_KEYS: &[&str] = &["id_coverage_min", "gap_max", "over_delivery_max", "silent_hours"];
/// Longest code of a currency (ISO 4217).
const CURRENCY_BYTES: usize = 3;

pub(super) fn read(table: &Table<'_>, profiles: &Profiles) -> Checked<Campaign> {
    table.allow(CAMPAIGN_KEYS)?;
    let id = table.id("campaign")?;
    let time_zone = read_time_zone(table)?;
    let starts = table.date("starts")?;
    let ends = table.date("ends")?;
    if let (Some(starts), Some(ends)) = (starts, ends)
        && ends < starts
    {
        let problem = mistake!("ends_first", "`ends` ({ends}) is before `starts` ({starts})", ends, starts);
        return wrong(table.at_key("ends"), problem);
    }
    let start_ms = starts.and_then(|date| day_start_ms(time_zone, date));
    let landing_hosts = table.hosts("landing_hosts")?;
    let currency = read_currency(table)?;
    let around = placement::Around {
        landing_hosts: &landing_hosts,
        starts,
        ends,
        has_currency: currency.is_some(),
        profiles,
    };
    let mut placements = ahash::HashMap::default();
    for table in table.tables("placement", limit::PLACEMENTS_MAX)? {
        let placement = placement::read(&table, &around)?;
        if let Some(twice) = placements.insert(placement.id.clone(), Arc::new(placement)) {
            let problem = format!("placement `{}` of campaign `{id}` stands twice", twice.id);
            return wrong(table.at_key("id"), problem);
        }
    }
    Ok(Campaign {
        id,
        name: table.name("name")?,
        advertiser: read_advertiser(table)?,
        time_zone,
        starts,
        ends,
        double_click_seconds: table.seconds("double_click_seconds", limit::DOUBLE_CLICK_SECONDS_MAX)?,
        landing_hosts,
        cost: table.cost(currency.is_some())?,
        currency,
        universe: read_universe(table)?,
        creatives: read_creatives(table)?,
        alerts: read_alerts(table)?,
        placements,
        start_ms,
    })
}

fn read_time_zone(table: &Table<'_>) -> Checked<chrono_tz::Tz> {
    let (name, at) = table.required("time_zone", "time_zone = \"Asia/Shanghai\"")?;
    name.parse().map_err(|_| {
        let known = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name());
        let problem = match nearest(name, known) {
            Some(near) => mistake!(
                "time_zone_near",
                "time zone `{name}` is not in the IANA time zone database; did you mean `{near}`?",
                name,
                near
            ),
            None => mistake!("time_zone", "time zone `{name}` is not in the IANA time zone database", name),
        };
        Wrong { at, problem }
    })
}

fn read_advertiser(table: &Table<'_>) -> Checked<Option<String>> {
    let Some((id, at)) = table.text("advertiser")? else { return Ok(None) };
    if event::hit::is_catalog_id(id.as_bytes()) {
        return Ok(Some(id.to_owned()));
    }
    wrong(at, mistake!("advertiser_form", "an advertiser's id has 1 to 64 characters of A-Z a-z 0-9 . _ -"))
}

fn read_currency(table: &Table<'_>) -> Checked<Option<String>> {
    let Some((code, at)) = table.text("currency")? else { return Ok(None) };
    if code.len() == CURRENCY_BYTES && code.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Ok(Some(code.to_owned()));
    }
    wrong(at, mistake!("currency_form", "`currency` is a code of three capital letters, such as \"CNY\""))
}

fn read_universe(table: &Table<'_>) -> Checked<Vec<Universe>> {
    let mut seen = HashSet::new();
    let mut all = Vec::new();
    for table in table.tables("universe", limit::UNIVERSES_MAX)? {
        table.allow(UNIVERSE_KEYS)?;
        let universe = Universe {
            region: read_region(&table)?,
            audience: table.name_or("audience", ALL)?,
            persons: table.whole("persons", 1..=limit::PERSONS_MAX)?,
            unit: match table.text("unit")? {
                None => UniverseUnit::default(),
                Some((name, at)) => match UniverseUnit::from_name(name) {
                    Some(unit) => unit,
                    None => {
                        return wrong(at, format!("`{name}` is no unit of a universe: persons or devices"));
                    }
                },
            },
            source: table.name("source")?,
            date: table.required_date("date")?,
        };
        if !seen.insert((universe.region.clone(), universe.audience.clone())) {
            let (region, audience) = (&universe.region, &universe.audience);
            let problem = mistake!(
                "universe_twice",
                "there is another universe of region `{region}` and audience `{audience}`",
                region,
                audience
            );
            return wrong(table.at, problem);
        }
        all.push(universe);
    }
    Ok(all)
}

fn read_region(table: &Table<'_>) -> Checked<String> {
    match table.text("region")? {
        None => Ok(ALL.to_owned()),
        Some((region, _)) if event::hit::is_catalog_id(region.as_bytes()) => Ok(region.to_owned()),
        Some((_, at)) => wrong(
            at,
            mistake!("region_form", "`region` is a code as reports name it, such as \"CN-31\", or \"all\""),
        ),
    }
}

fn read_creatives(table: &Table<'_>) -> Checked<Vec<Creative>> {
    let mut seen = HashSet::new();
    let mut all = Vec::new();
    for table in table.tables("creative", limit::CREATIVES_MAX)? {
        table.allow(CREATIVE_KEYS)?;
        let (id, at) = table.required("id", "id = \"…\"")?;
        if id.is_empty() || id.len() > limit::CREATIVE_BYTES_MAX || id.chars().any(char::is_control) {
            let max = limit::CREATIVE_BYTES_MAX;
            let problem = mistake!(
                "creative_form",
                "a creative's id has 1 to {max} bytes and no control character",
                max
            );
            return wrong(at, problem);
        }
        if !seen.insert(id) {
            return wrong(at, mistake!("creative_twice", "creative `{id}` stands twice", id));
        }
        all.push(Creative { id: id.to_owned(), name: table.name("name")? });
    }
    Ok(all)
}

fn read_alerts(table: &Table<'_>) -> Checked<Alerts> {
    let Some(table) = table.table("alerts")? else { return Ok(Alerts::default()) };
    table.allow(ALERT_KEYS)?;
    let silent_hours = if table.has("silent_hours") {
        Some(table.whole("silent_hours", 1..=limit::SILENT_HOURS_MAX)? as u32)
    } else {
        None
    };
    Ok(Alerts {
        id_coverage_min: table.share("id_coverage_min", 1.0)?,
        gap_max: table.share("gap_max", 1.0)?,
        over_delivery_max: table.share("over_delivery_max", limit::OVER_DELIVERY_MAX)?,
        silent_hours,
    })
}
