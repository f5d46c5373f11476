//! Reading one placement.

use std::sync::Arc;

use chrono::NaiveDate;
use event::profile::{Profile, Profiles};
use event::record::SourceKind;

use super::table::{Table, wrong};
use super::{Checked, limit, nearest};
use crate::planning::Planned;
use crate::{Placement, PlacementState, landing, mistake};

const PLACEMENT_KEYS: &[&str] = &[
    "id",
    "name",
    "medium",
    "source",
    "landing_hosts",
    "landing_page",
    "profile",
    "state",
    "signed_links",
    "vast_tag",
    "dialect",
    "plan",
    "cost",
];
const PLAN_KEYS: &[&str] = &["from", "to", "impressions"];

/// What a placement is held against.
pub(super) struct Around<'a> {
    /// Hosts of its campaign.
    pub(super) landing_hosts: &'a [String],
    /// First day of the flight.
    pub(super) starts: Option<NaiveDate>,
    /// Last day of the flight.
    pub(super) ends: Option<NaiveDate>,
    /// Whether the campaign names a currency.
    pub(super) has_currency: bool,
    /// Profiles of media.
    pub(super) profiles: &'a Profiles,
}

pub(super) fn read(table: &Table<'_>, around: &Around<'_>) -> Checked<Placement> {
    table.allow(PLACEMENT_KEYS)?;
    let id = table.id("placement")?;
    let landing_hosts = table.hosts("landing_hosts")?;
    let landing_page = match table.text("landing_page")? {
        None => None,
        Some((page, at)) => {
            Some(read_landing_page(page, at, around.landing_hosts.iter().chain(&landing_hosts))?)
        }
    };
    let source = match table.text("source")? {
        None => SourceKind::Client,
        Some((name, at)) => match SourceKind::from_name(name) {
            Some(source) => source,
            None => return wrong(at, format!("`{name}` is no kind of source: c2s, s2s or ssai")),
        },
    };
    Ok(Placement {
        id,
        name: table.name("name")?,
        medium: table.name("medium")?,
        source,
        landing_hosts,
        landing_page,
        profile: read_profile(table, around.profiles)?,
        state: match table.text("state")? {
            None => PlacementState::Live,
            Some((name, at)) => match PlacementState::from_name(name) {
                Some(state) => state,
                None => return wrong(at, format!("`{name}` is no state of a placement: live or trial")),
            },
        },
        signed_links: table.flag("signed_links")?,
        vast_tag: read_vast_tag(table)?,
        dialect: read_dialect(table)?,
        plan: read_plan(table, around)?,
        cost: table.cost(around.has_currency)?,
    })
}

/// The dialects themselves are not known here: whoever makes links, or checks the file, holds the name against them.
fn read_dialect(table: &Table<'_>) -> Checked<Option<String>> {
    let Some((name, at)) = table.text("dialect")? else { return Ok(None) };
    let is_name =
        |name: &str| name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'));
    if name.is_empty() || name.len() > limit::DIALECT_BYTES_MAX || !is_name(name) {
        let problem =
            mistake!("dialect_form", "`{name}` is no name of a dialect, such as native or admaster", name);
        return wrong(at, problem);
    }
    Ok(Some(name.to_owned()))
}

fn read_profile(table: &Table<'_>, profiles: &Profiles) -> Checked<Option<Arc<Profile>>> {
    let Some((name, at)) = table.text("profile")? else { return Ok(None) };
    if let Some(profile) = profiles.get(name) {
        return Ok(Some(Arc::clone(profile)));
    }
    let names: Vec<&str> = profiles.iter().map(|profile| profile.name()).collect();
    let known = names.join(", ");
    let problem = match nearest(name, names.iter().copied()) {
        Some(near) => mistake!(
            "profile_near",
            "there is no profile of a medium `{name}`; did you mean `{near}`? There are: {known}",
            name,
            near,
            known
        ),
        None => {
            mistake!("profile", "there is no profile of a medium `{name}`. There are: {known}", name, known)
        }
    };
    wrong(at, problem)
}

fn read_vast_tag(table: &Table<'_>) -> Checked<Option<String>> {
    let Some((tag, at)) = table.text("vast_tag")? else { return Ok(None) };
    if tag.len() > limit::VAST_TAG_BYTES_MAX {
        let max = limit::VAST_TAG_BYTES_MAX;
        return wrong(at, mistake!("too_long", "`vast_tag` is longer than {max} bytes", max));
    }
    match landing::host_of(tag.as_bytes()) {
        Some((url, _)) if !url.contains(char::is_whitespace) => Ok(Some(url.to_owned())),
        _ => wrong(
            at,
            mistake!(
                "url_form",
                "`vast_tag` must be an http or https URL with a plain host name, for example \"https://ads.example.com/vast?id=7\""
            ),
        ),
    }
}

fn read_landing_page<'h>(
    page: &str,
    at: usize,
    registered: impl IntoIterator<Item = &'h String>,
) -> Checked<String> {
    if page.len() > limit::LANDING_PAGE_BYTES_MAX {
        let max = limit::LANDING_PAGE_BYTES_MAX;
        return wrong(at, mistake!("too_long", "`landing_page` is longer than {max} bytes", max));
    }
    let Some((url, host)) = landing::host_of(page.as_bytes()) else {
        return wrong(
            at,
            mistake!(
                "url_form",
                "`landing_page` must be an http or https URL with a plain host name, for example \"https://www.example.com/\""
            ),
        );
    };
    if !landing::is_among(host, registered) {
        let problem = mistake!(
            "host_unregistered",
            "the host of `landing_page` is not registered: add \"{host}\" to `landing_hosts`",
            host
        );
        return wrong(at, problem);
    }
    Ok(url.to_owned())
}

/// The plan, by day. Its days lie in the flight, where there is one: what lies outside of it is a slip of the pen more often than a wish.
fn read_plan(table: &Table<'_>, around: &Around<'_>) -> Checked<Vec<Planned>> {
    let mut plan: Vec<Planned> = Vec::new();
    for table in table.tables("plan", limit::PLAN_RANGES_MAX)? {
        table.allow(PLAN_KEYS)?;
        let planned = Planned {
            from: table.required_date("from")?,
            to: table.required_date("to")?,
            impressions: table.whole("impressions", 0..=limit::IMPRESSIONS_A_DAY_MAX)?,
        };
        let Planned { from, to, .. } = planned;
        if to < from {
            let problem = mistake!("to_first", "`to` ({to}) is before `from` ({from})", to, from);
            return wrong(table.at_key("to"), problem);
        }
        if planned.days() > limit::PLAN_DAYS_MAX {
            let max = limit::PLAN_DAYS_MAX;
            let problem = mistake!("range_long", "{from} to {to} is more than {max} days", from, to, max);
            return wrong(table.at_key("to"), problem);
        }
        if let Some(starts) = around.starts.filter(|starts| from < *starts) {
            let problem = mistake!(
                "plan_before",
                "the plan has {from}, which is before the campaign's first day (`starts`, {starts})",
                from,
                starts
            );
            return wrong(table.at_key("from"), problem);
        }
        if let Some(ends) = around.ends.filter(|ends| to > *ends) {
            let problem = mistake!(
                "plan_behind",
                "the plan has {to}, which is behind the campaign's last day (`ends`, {ends})",
                to,
                ends
            );
            return wrong(table.at_key("to"), problem);
        }
        plan.push(planned);
    }
    plan.sort_by_key(|planned| planned.from);
    for (before, behind) in plan.iter().zip(plan.iter().skip(1)) {
        if behind.from <= before.to {
            let day = behind.from;
            return wrong(
                table.at_key("plan"),
                mistake!("plan_twice", "two ranges of the plan have {day}: days may not overlap", day),
            );
        }
    }
    Ok(plan)
}
