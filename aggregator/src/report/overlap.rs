//! Overlap of media, placements or kinds of id: what each reaches alone, what two share, what each adds to those before it.
//!
//! One statement counts devices by the set of members that they are of; all figures are sums over these counts ([`masks`]), so that every identity between
//! reach, shared, unique and incremental holds to the digit, and a sample of devices serves all of them.

mod masks;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::Deserialize;

pub(super) use self::masks::Masks;
use super::cells::{key_text, stored_key};
use super::reach::Totals;
use super::request::{By, Members, Refused, Request};
use super::{Days, ReportError, Reporter};
use crate::statement;
use crate::store::{StoreError, Value};
use event::identifier::IdKind;

/// Most members of one overlap.
pub(super) const MEMBERS_MAX: usize = 20;
/// Members where none are named: the largest.
const MEMBERS_DEFAULT: usize = 10;

/// One row of an overlap report.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct OverlapRow {
    /// The member, or the two with a plus between them; `all`.
    pub key: String,
    /// `member`, `pair` or `all`.
    pub kind: &'static str,
    /// Whose devices they are.
    pub members: Vec<String>,
    /// Devices of any of them.
    pub reach: u64,
    /// Of a member: its devices that are of no other member.
    pub unique: Option<u64>,
    /// Of a member: its place in the stack, from 1.
    pub stack_position: Option<u64>,
    /// Of a member: devices of it and all before it in the stack.
    pub stacked_reach: Option<u64>,
    /// Of a member: its devices that none before it in the stack has.
    pub incremental_reach: Option<u64>,
    /// Of a pair: devices of both.
    pub shared: Option<u64>,
    /// Of `reach`: 0 where it is counted.
    pub standard_error: f64,
    /// The lower ends of the 95 % intervals.
    pub interval_low: Ends,
    /// The upper ends.
    pub interval_high: Ends,
    /// Whether the figures are counted, not estimated.
    pub exact: bool,
    /// See [`super::rows::Report::settled_until`].
    pub settled_until: Option<String>,
}

/// One end of the 95 % interval of each figure; the figure itself where it is counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ends {
    /// Of `reach`.
    pub reach: u64,
    /// Of `unique`.
    pub unique: Option<u64>,
    /// Of `stacked_reach`.
    pub stacked_reach: Option<u64>,
    /// Of `incremental_reach`.
    pub incremental_reach: Option<u64>,
    /// Of `shared`.
    pub shared: Option<u64>,
}

/// Members that a report may have, as it names them, with the keys that they have in the store.
type Known = BTreeMap<String, String>;

impl Reporter {
    pub(super) fn overlap(&self, request: &Request, days: &Days) -> Result<Masks, ReportError> {
        let (masks, is_chosen) = self.masks(request, days)?;
        Ok(if is_chosen { masks } else { masks.largest(MEMBERS_DEFAULT) })
    }

    /// Of the members that are named, or of as many as there may be; and whether they are named.
    pub(super) fn masks(&self, request: &Request, days: &Days) -> Result<(Masks, bool), ReportError> {
        let impressions = self.totals(request, days, &BTreeMap::new())?;
        let mut known: Known = self.members_of_catalog(request);
        // What the catalog no longer has, too.
        known.extend(impressions.keys().map(|key| (key_text(request.by, key.clone()), key.clone())));
        if request.by == By::IdKind {
            // Hits without a device are of nobody.
            known.retain(|_, key| key != "0");
        }
        let of = |parameter, members: &Option<Members>| {
            members.as_ref().map(|members| named(parameter, members, &known)).transpose()
        };
        let (members, stack) =
            (of("members", &request.members)?, of("stack", &request.stack)?.unwrap_or_default());
        let is_chosen = members.is_some();
        let members = members.unwrap_or_else(|| candidates(&known, &impressions, &stack));
        if let Some(other) = stack.iter().find(|one| !members.contains(one)) {
            return Err(refused(format!("stack names {other}, which members does not")));
        }
        if members.len() > MEMBERS_MAX {
            return Err(refused(format!("an overlap has at most {MEMBERS_MAX} members")));
        }
        let keys: Vec<String> = members.iter().filter_map(|name| known.get(name).cloned()).collect();
        let counts = self.mask_counts(request, days, &keys)?;
        let first = stack.iter().filter_map(|name| members.iter().position(|one| one == name)).collect();
        Ok((Masks::new(members, first, counts), is_chosen))
    }

    /// What the catalog has that the token sees.
    fn members_of_catalog(&self, request: &Request) -> Known {
        let catalog = self.catalog.load();
        let Some(campaign) = catalog.campaigns.get(&request.campaign) else { return Known::new() };
        let seen = campaign.placements.values().filter(|placement| request.sight.sees(placement));
        match request.by {
            By::Placement => seen.map(|placement| (placement.id.clone(), placement.id.clone())).collect(),
            By::Medium => seen
                .map(|placement| (placement.medium.clone(), stored_key(&placement.medium).to_owned()))
                .collect(),
            By::IdKind => {
                IdKind::ALL.iter().map(|kind| (kind.name().to_owned(), (*kind as u8).to_string())).collect()
            }
            _ => Known::new(),
        }
    }

    /// Devices by mask; member n has the bit n.
    fn mask_counts(
        &self,
        request: &Request,
        days: &Days,
        members: &[String],
    ) -> Result<Vec<(u32, u64)>, StoreError> {
        #[derive(Deserialize)]
        struct Row {
            mask: u32,
            devices: u64,
        }
        let bit = |key: &str| members.iter().position(|member| member == key).map_or(0, |n| 1_u64 << n);
        let (keys, bits): (Vec<String>, Vec<u64>) = if request.by == By::Medium {
            let catalog = self.catalog.load();
            let placements =
                catalog.campaigns.get(&request.campaign).map(|campaign| campaign.placements.values());
            let placements = placements.into_iter().flatten();
            placements.map(|placement| (placement.id.clone(), bit(stored_key(&placement.medium)))).unzip()
        } else {
            members.iter().map(|key| (key.clone(), bit(key))).unzip()
        };
        // Placements that the catalog no longer has are of the medium without a name.
        let other = if request.by == By::Medium { bit("") } else { 0 };
        let mut values = self.values(
            request,
            days,
            &days.live,
            &[event::stage::Stage::Impression, event::stage::Stage::Click],
        )?;
        values.extend([
            ("member_keys", Value::Texts(keys)),
            ("member_bits", Value::Numbers(bits)),
            ("member_other", Value::Number(other)),
        ]);
        let rows: Vec<Row> = if Self::is_of_settled_devices(request, days) {
            self.of_settled_devices(statement::REPORT_OVERLAP, days, values)?
        } else if days.keys.overlaps.is_empty() {
            self.figures(statement::REPORT_OVERLAP, &days.live, &values)?
        } else {
            self.figures(statement::REPORT_OVERLAP_PAIRED, &days.live, &values)?
        };
        Ok(rows.into_iter().map(|row| (row.mask, days.sample.estimate(row.devices))).collect())
    }
}

/// The members that are asked for, of all that are held; `None` where some are not.
pub(super) fn chosen(masks: Masks, (members, stack): (&Option<Members>, &Option<Members>)) -> Option<Masks> {
    let known: Known = masks.names().iter().map(|name| (name.clone(), name.clone())).collect();
    let places = |members: &Option<Members>| {
        let names = members.as_ref().map(|members| named("", members, &known).ok());
        let place = |name: String| masks.names().iter().position(|one| *one == name);
        names.map(|names| names?.into_iter().map(place).collect::<Option<Vec<usize>>>())
    };
    let (members, stack) = (places(members), places(stack).unwrap_or_else(|| Some(Vec::new()))?);
    match members {
        None => Some(masks.stacked(stack).largest(MEMBERS_DEFAULT)),
        Some(members) => {
            let members = members?;
            stack.iter().all(|one| members.contains(one)).then(|| masks.stacked(stack).of(&members))
        }
    }
}

/// Where no members are named: those of the stack, and those with the most impressions.
fn candidates(known: &Known, impressions: &Totals, stack: &[String]) -> Vec<String> {
    let shown = |key: &String| impressions.get(key).map_or(0, |hits| hits.impressions);
    let others = known.iter().filter(|(name, key)| shown(key) > 0 && !stack.contains(name));
    let mut others: Vec<(u64, &String)> = others.map(|(name, key)| (shown(key), name)).collect();
    others.sort_by_key(|(shown, name)| (Reverse(*shown), *name));
    let room = MEMBERS_MAX.saturating_sub(stack.len());
    stack.iter().chain(others.into_iter().map(|(_, name)| name).take(room)).cloned().collect()
}

fn refused(words: String) -> ReportError {
    ReportError::Refused(Refused::Bad(words))
}

fn named(parameter: &str, members: &Members, known: &Known) -> Result<Vec<String>, ReportError> {
    match members {
        Members::Text(text) => named_in(parameter, text, known),
        Members::Names(names) if names.iter().all(|name| known.contains_key(name)) => Ok(names.clone()),
        Members::Names(_) => Err(ReportError::OtherMembers),
    }
}

/// The members that a parameter names, each once. A name may hold commas itself: the longest that is known is taken.
fn named_in(parameter: &str, text: &str, known: &Known) -> Result<Vec<String>, ReportError> {
    let pieces: Vec<&str> = text.split(',').collect();
    let mut names = Vec::new();
    let mut rest = pieces.as_slice();
    while !rest.is_empty() {
        let longest = (1..=rest.len()).rev().find_map(|length| {
            let name = rest.get(..length)?.join(",");
            known.contains_key(name.trim()).then(|| (length, name.trim().to_owned()))
        });
        let Some((length, name)) = longest else {
            return Err(refused(format!(
                "{parameter} names what has no part in this campaign; there are {}",
                listed(known)
            )));
        };
        if names.contains(&name) {
            return Err(refused(format!("{parameter} names {name} twice")));
        }
        names.push(name);
        rest = rest.get(length..).unwrap_or_default();
    }
    Ok(names)
}

/// Some names of what there is.
fn listed(known: &Known) -> String {
    let mut names: Vec<&str> = known.keys().map(String::as_str).take(MEMBERS_MAX).collect();
    if known.len() > MEMBERS_MAX {
        names.push("…");
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_hold_commas_and_each_stands_once() {
        let known: Known =
            ["A", "B", "A,B", "Video, One"].map(|name| (name.to_owned(), name.to_owned())).into();
        let names = |text: &str| named_in("members", text, &known).ok();
        let some = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(names("B,A"), some(&["B", "A"]));
        assert_eq!(names("A,B"), some(&["A,B"]), "the longest");
        assert_eq!(names("Video, One,A"), some(&["Video, One", "A"]));
        assert_eq!(names("B, A"), some(&["B", "A"]));
        for bad in ["", "C", "A,C", "A,,B", "B,B"] {
            assert_eq!(names(bad), None, "{bad}");
        }
    }
}
