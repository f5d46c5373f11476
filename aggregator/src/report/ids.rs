//! What the ids of impressions were like: id coverage, device-id return rate, kinds, and the devices that were set aside.
//!
//! impressions = usable + bad + absent + set aside. The return rate counts an id that identifies a device whether or not a signal withholds its
//! key: what a medium sends is one thing, what a viewer allows another. A device that is set aside had no usable id. Days whose events were gone
//! before ids were counted have no rows here.

use std::collections::BTreeMap;

use event::identifier::IdKind;
use event::stage::Stage;
use serde::{Deserialize, Serialize};

use super::cells::{key_text, ratio};
use super::request::{By, Filter, Request};
use super::{Days, ReportError, Reporter};
use crate::settle::Published;
use crate::statement;
use crate::store::{StoreError, Value, Work, day_text, partitions};

/// Most devices that one list of those set aside holds.
pub(crate) const SET_ASIDE_ROWS_MAX: usize = 1000;

/// Counts of one key, class and kind of id, as the store answers them.
#[derive(Deserialize)]
pub(super) struct IdCellRow {
    key: String,
    class: String,
    pub(super) device_kind: u8,
    pub(super) impressions: u64,
    pub(super) clicks: u64,
    usable: u64,
    withheld: u64,
    bad: u64,
    absent: u64,
    set_aside: u64,
    macros_unreplaced: u64,
    sha_only: u64,
    root: u64,
    emulator: u64,
    hook: u64,
    adb: u64,
}

/// One row of a report of ids. Everything counts impressions in the report's filter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct IdsRow {
    /// Day, placement …; `total`.
    pub key: String,
    /// Impressions.
    pub impressions: u64,
    /// With a device.
    pub identified: u64,
    /// identified / impressions; `None` without impressions.
    pub id_coverage: Option<f64>,
    /// With an id that identifies a device, whether or not a signal withholds its key.
    pub usable: u64,
    /// The device-id return rate: usable / impressions; `None` without impressions.
    pub return_rate: Option<f64>,
    /// Whose key a privacy signal withheld, whether or not there was one.
    pub withheld: u64,
    /// With bad values only: unreplaced macros, zeros, hashes of nothing.
    pub bad: u64,
    /// Without any id.
    pub absent: u64,
    /// With the id of a device that was set aside.
    pub set_aside: u64,
    /// With an unreplaced macro in any parameter.
    pub macros_unreplaced: u64,
    /// With a device, known only by a form that cannot meet the others (SHA-1, SHA-256).
    pub sha_only: u64,
    /// The identified ones by kind of id.
    pub identified_by_kind: Kinds,
    /// What SDKs say of devices.
    pub device_risks: DeviceRisks,
    /// See [`super::Report::settled_until`].
    pub settled_until: Option<String>,
}

/// Impressions by kind of id: an object with every kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<String, u64>", into = "BTreeMap<String, u64>")]
pub(crate) struct Kinds([u64; IdKind::ALL.len()]);

/// Impressions on devices of which an SDK says so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct DeviceRisks {
    /// Rooted.
    pub root: u64,
    /// An emulator.
    pub emulator: u64,
    /// With a hooking framework at work.
    pub hook: u64,
    /// With ADB on.
    pub adb: u64,
}

/// A device that was set aside on a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct SetAsideRow {
    /// Day on the campaigns' clocks.
    pub day: String,
    /// Generation of the day's figures.
    pub generation: u64,
    /// The first 8 bytes of its key, as hexadecimal digits.
    pub device: String,
    /// Kind of its id.
    pub kind: &'static str,
    /// Impressions of that day, over all campaigns.
    pub impressions: u64,
    /// The placements with most of them, at most five.
    pub placements: Vec<SetAsidePlacement>,
}

/// A placement of [`SetAsideRow`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct SetAsidePlacement {
    /// Campaign id.
    pub campaign: String,
    /// Placement id.
    pub placement: String,
    /// Its medium, by the catalog; empty if the catalog no longer has it.
    pub medium: String,
    /// Impressions.
    pub impressions: u64,
}

/// By name, so that a kind that is added later finds its place.
impl From<BTreeMap<String, u64>> for Kinds {
    fn from(by_name: BTreeMap<String, u64>) -> Self {
        Self(IdKind::ALL.map(|kind| by_name.get(kind.name()).copied().unwrap_or(0)))
    }
}

impl From<Kinds> for BTreeMap<String, u64> {
    fn from(kinds: Kinds) -> Self {
        kinds.iter().map(|(kind, hits)| (kind.to_owned(), hits)).collect()
    }
}

impl Kinds {
    /// Every kind with its impressions.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        IdKind::ALL.iter().map(|kind| kind.name()).zip(self.0)
    }

    /// Changes every count.
    pub(super) fn change(&mut self, change: impl Fn(u64) -> u64) {
        self.0.iter_mut().for_each(|count| *count = change(*count));
    }

    pub(super) fn add(&mut self, number: u8, impressions: u64) {
        let place = IdKind::ALL.iter().position(|kind| *kind as u8 == number);
        if let Some(count) = place.and_then(|place| self.0.get_mut(place)) {
            *count += impressions;
        }
    }

    /// Those of a kind.
    pub(super) fn of(&self, kind: IdKind) -> u64 {
        IdKind::ALL
            .iter()
            .zip(self.0)
            .find(|(one, _)| **one == kind)
            .map_or(0, |(_, impressions)| impressions)
    }
}

impl IdCellRow {
    pub(super) fn counts(&self, filter: Filter) -> bool {
        filter == Filter::Gross || self.class == "valid"
    }
}

impl IdsRow {
    fn add(&mut self, cell: &IdCellRow) {
        self.impressions += cell.impressions;
        if cell.device_kind != 0 {
            self.identified += cell.impressions;
        }
        self.usable += cell.usable;
        self.withheld += cell.withheld;
        self.bad += cell.bad;
        self.absent += cell.absent;
        self.set_aside += cell.set_aside;
        self.macros_unreplaced += cell.macros_unreplaced;
        self.sha_only += cell.sha_only;
        self.identified_by_kind.add(cell.device_kind, cell.impressions);
        self.device_risks.root += cell.root;
        self.device_risks.emulator += cell.emulator;
        self.device_risks.hook += cell.hook;
        self.device_risks.adb += cell.adb;
    }
}

impl Reporter {
    pub(super) fn ids(&self, request: &Request, days: &Days) -> Result<Vec<IdsRow>, ReportError> {
        let cells: Vec<IdCellRow> = self.cells(statement::REPORT_IDS, request, days, &[Stage::Impression])?;
        let mut rows: BTreeMap<String, IdsRow> = BTreeMap::new();
        if request.by == By::Total {
            rows.entry(String::new()).or_default();
        }
        for cell in cells.iter().filter(|cell| cell.impressions > 0 && cell.counts(request.filter)) {
            rows.entry(cell.key.clone()).or_default().add(cell);
        }
        let finish = |(key, mut row): (String, IdsRow)| {
            row.key = key_text(request.by, key);
            row.id_coverage = ratio(row.identified, row.impressions);
            row.return_rate = ratio(row.usable, row.impressions);
            row.settled_until = days.settled_until.map(day_text);
            row
        };
        Ok(rows.into_iter().map(finish).collect())
    }

    /// Devices that are set aside in the figures in force, newest day first, and whether there are more.
    ///
    /// # Errors
    /// The store's.
    pub(crate) fn set_aside(
        &self,
        from: Option<u16>,
        to: Option<u16>,
    ) -> Result<(Vec<SetAsideRow>, bool), StoreError> {
        #[derive(Deserialize)]
        struct Row {
            day: u16,
            generation: u64,
            device: String,
            device_kind: u8,
            impressions: u64,
            campaigns: Vec<String>,
            placement_ids: Vec<String>,
            hits: Vec<u64>,
        }
        let published: Vec<Published> = self.store.rows(Work::Report, statement::PUBLISHED, &Vec::new())?;
        let wanted = published
            .iter()
            .filter(|p| from.is_none_or(|from| from <= p.day) && to.is_none_or(|to| p.day <= to));
        let wanted: Vec<(u16, u64)> = wanted.map(|p| (p.day, p.generation)).collect();
        let values =
            vec![("published", partitions(&wanted)), ("limit", Value::Number(SET_ASIDE_ROWS_MAX as u64 + 1))];
        let mut rows: Vec<Row> = self.store.rows(Work::Report, statement::SET_ASIDE_DEVICES, &values)?;
        let has_more = rows.len() > SET_ASIDE_ROWS_MAX;
        rows.truncate(SET_ASIDE_ROWS_MAX);
        let catalog = self.catalog.load();
        let placement = |((campaign, placement), impressions): ((String, String), u64)| SetAsidePlacement {
            medium: catalog
                .campaigns
                .get(&campaign)
                .and_then(|campaign| campaign.placements.get(&placement))
                .map(|placement| placement.medium.clone())
                .unwrap_or_default(),
            campaign,
            placement,
            impressions,
        };
        let shown = |row: Row| SetAsideRow {
            day: day_text(row.day),
            generation: row.generation,
            device: row.device.parse().map_or_else(|_| row.device.clone(), |key: u64| format!("{key:016x}")),
            kind: IdKind::from_number(row.device_kind).map_or("unknown", IdKind::name),
            impressions: row.impressions,
            placements: row
                .campaigns
                .into_iter()
                .zip(row.placement_ids)
                .zip(row.hits)
                .map(placement)
                .collect(),
        };
        Ok((rows.into_iter().map(shown).collect(), has_more))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_place_of_its_own() {
        let mut kinds = Kinds::default();
        for kind in IdKind::ALL {
            kinds.add(kind as u8, kind as u64);
        }
        kinds.add(0, 1000);
        for kind in IdKind::ALL {
            assert_eq!(kinds.of(kind), kind as u64);
        }
    }
}
