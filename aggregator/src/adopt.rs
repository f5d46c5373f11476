//! What a new catalog or new rules change in events that are stored already.
//!
//! Owns adoption (an unresolved hit becomes an event when the catalog knows its campaign and placement) and the marking of days whose rules
//! changed (robot lists, double-click windows). Both can be run again at any time: a hit that is an event already is not adopted twice, and a day
//! that is marked twice is settled once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use catalog::{Campaign, Catalog, Placement, PlacementState};
use event::record::flag;
use serde::Deserialize;

use crate::batch::{put, put_length, put_text};
use crate::judge;
use crate::metrics;
use crate::settle::Settler;
use crate::statement;
use crate::store::{INSERT_DAYS_MAX, Store, StoreError, Value, Values, Work};

/// How far back unresolved hits are looked for, milliseconds since their receipt: the store keeps them for seven days, and lets them go some
/// time after that.
pub(crate) const UNRESOLVED_MS: i64 = 8 * 24 * 60 * 60 * 1000;

#[derive(Deserialize)]
struct Id {
    id: String,
}

#[derive(Deserialize)]
struct Day {
    day: u16,
}

/// Turns unresolved hits into events where the catalog knows them now. How many.
///
/// # Errors
/// The store's: what was not adopted can be adopted later.
pub(crate) fn adopt(settler: &Settler) -> Result<u64, StoreError> {
    let catalog = settler.catalog.load_full();
    let all = vec![("campaigns", Value::Texts(catalog.campaigns.keys().cloned().collect()))];
    let campaigns: Vec<Id> = settler.store.rows(Work::Settle, statement::UNRESOLVED_CAMPAIGNS, &all)?;
    let mut adopted = 0;
    for Id { id } in campaigns {
        if let Some(campaign) = catalog.campaigns.get(&id) {
            adopted += adopt_campaign(settler, &catalog, campaign)?;
        }
    }
    if adopted > 0 {
        tracing::info!(hits = adopted, "unresolved hits adopted");
        metrics::events_adopted(adopted);
    }
    Ok(adopted)
}

fn adopt_campaign(settler: &Settler, catalog: &Catalog, campaign: &Campaign) -> Result<u64, StoreError> {
    let of_campaign: Values = vec![
        ("campaign", Value::Text(campaign.id.clone())),
        ("placements", Value::Texts(campaign.placements.keys().cloned().collect())),
    ];
    let found: Vec<Id> = settler.store.rows(Work::Settle, statement::UNRESOLVED_PLACEMENTS, &of_campaign)?;
    let known: Vec<&Arc<Placement>> =
        found.iter().filter_map(|Id { id }| campaign.placements.get(id)).collect();
    let mut adopted = 0;
    for state in [PlacementState::Live, PlacementState::Trial] {
        let of_state: Vec<_> = known.iter().filter(|placement| placement.state == state).copied().collect();
        if !of_state.is_empty() {
            adopted += adopt_placements(settler, catalog, campaign, state, &of_state)?;
        }
    }
    Ok(adopted)
}

/// Adopts the hits of some placements in one state; those in their trial state become events that no figure counts.
fn adopt_placements(
    settler: &Settler,
    catalog: &Catalog,
    campaign: &Campaign,
    state: PlacementState,
    placements: &[&Arc<Placement>],
) -> Result<u64, StoreError> {
    #[derive(Deserialize)]
    struct DayHits {
        day: u16,
        hits: u64,
    }
    let values: Values = vec![
        ("campaign", Value::Text(campaign.id.clone())),
        ("since_ms", Value::Signed(settler.clock.now_ms() - UNRESOLVED_MS)),
        ("zone", Value::Text(campaign.time_zone.name().to_owned())),
        ("start_ms", Value::Signed(campaign.campaign_start_ms().unwrap_or(i64::MIN / 2))),
        ("placements", Value::Texts(placements.iter().map(|placement| placement.id.clone()).collect())),
        ("sources", Value::Numbers(placements.iter().map(|placement| placement.source as u64).collect())),
        ("catalog_version", Value::Number(u64::from(catalog.version))),
        ("clock_broken", Value::Number(u64::from(flag::CLIENT_CLOCK_BROKEN))),
    ];
    let days: Vec<DayHits> = settler.store.rows(Work::Settle, statement::ADOPT_DAYS, &values)?;
    for days in days.chunks(INSERT_DAYS_MAX) {
        let days: Vec<u16> = days.iter().map(|day| day.day).collect();
        let changed: BTreeSet<u16> = judge::around(&days).into_iter().collect();
        let mut values = values.clone();
        values.push(("days", Value::Days(days)));
        let heard = settler.tombstones.heard();
        let adopt = |store: &Store, statement| {
            store.execute(Work::Settle, statement, &values)?;
            settler.tombstones.since(store, heard)
        };
        match state {
            PlacementState::Live => settler.change(&changed, |store| adopt(store, statement::ADOPT))?,
            PlacementState::Trial => adopt(&settler.store, statement::ADOPT_TRIAL)?,
        }
    }
    Ok(days.iter().map(|day| day.hits).sum())
}

/// Marks the days whose figures the rules change, if the rules are others than those that days were marked for last.
///
/// # Errors
/// The store's: the next run marks them again.
pub(crate) fn mark_for_rules(settler: &Settler) -> Result<(), StoreError> {
    #[derive(Deserialize)]
    struct Last {
        at: u64,
        lists: u64,
        campaigns: Vec<String>,
        seconds: Vec<u64>,
    }
    let last: Vec<Last> = settler.store.rows(Work::Settle, statement::RULES_READ, &Vec::new())?;
    let (campaigns, seconds) = judge::windows(&settler.catalog.load());
    let lists = settler.rules.version;
    // Newer than the row in the store even if the clock was set back.
    let at = last.first().map_or(0, |last| last.at + 1).max(settler.clock.now_ms().unsigned_abs());
    if let Some(last) = last.first() {
        let was: BTreeMap<_, _> = last.campaigns.iter().zip(&last.seconds).collect();
        let is: BTreeMap<_, _> = campaigns.iter().zip(&seconds).collect();
        if last.lists == lists && was == is {
            return Ok(());
        }
        let changed: Vec<String> = was
            .keys()
            .chain(is.keys())
            .filter(|campaign| was.get(*campaign) != is.get(*campaign))
            .map(|campaign| (*campaign).clone())
            .collect();
        // An empty list means every campaign.
        let of = if last.lists == lists { changed } else { Vec::new() };
        let values = vec![("campaigns", Value::Texts(of))];
        let days: Vec<Day> = settler.store.rows(Work::Settle, statement::DAYS_OF_CAMPAIGNS, &values)?;
        let days: BTreeSet<u16> = days.into_iter().map(|day| day.day).collect();
        if !days.is_empty() {
            // The mark alone: there is nothing to insert.
            settler.change(&days, |_| Ok(()))?;
        }
        tracing::info!(days = days.len(), "rules changed; days are settled again");
    }
    let mut row = vec![0];
    put(&mut row, at);
    put(&mut row, lists);
    put_length(&mut row, campaigns.len());
    for campaign in &campaigns {
        put_text(&mut row, campaign.as_bytes());
    }
    put_length(&mut row, seconds.len());
    for seconds in &seconds {
        row.extend_from_slice(&(*seconds as u32).to_le_bytes());
    }
    settler.store.insert(Work::Settle, statement::RULES, &row)
}
