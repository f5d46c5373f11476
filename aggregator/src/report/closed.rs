//! Reports of a period that is closed.
//!
//! A closing ([`super::closing`]) holds every report of its range that is offered, as it was counted. A report of exactly such a range is answered from it,
//! whatever came since; what it would be now stands beside it as an adjustment ([`super::adjustment`]). Where that cannot be had, because the store is
//! away or has no such devices any more, the closed figures are answered all the same, and the head says so.
//!
//! Whoever is not among those that it holds figures for (a token of several media, a medium that has other placements or another name now, members of an
//! overlap that are not held) is shown present figures, and told so: the head says `closed: null`.
//!
//! Must never: answer a closed figure from the store.

use std::collections::BTreeMap;

use event::clock::UnixMs;
use event::record::flag;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::adjustment::{Changed, Since};
use super::cells::exactly;
use super::keys::KeyChange;
use super::overlap::{self, Masks};
use super::privacy::{self, Shaped};
use super::regions::RegionLibrary;
use super::reported::Behind;
use super::request::{By, Filter, Kind, LEVELS_MAX, Members, Precision, Request, State};
use super::rows::{FrequencyRow, ReachRow, Report, Rows, Versions};
use super::sample::Sample;
use super::{ReportError, Reporter, seen};
use crate::closings::{Closing, Held};
use crate::statement;
use crate::store::{self, Work, day_text};
use crate::view::Sight;

/// The key of the row of a report by total.
const TOTAL: &str = "total";
/// What a report of a period is answered from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum ClosedBy {
    /// The store: the period is not closed, or figures of now were asked for.
    #[default]
    Nothing,
    /// The store, for the closing of the period holds no figures for whoever asks.
    NotForThis,
    /// A closing.
    Closing(ClosedHead),
}

impl ClosedBy {
    /// Whether the head says nothing of it.
    pub(super) fn is_nothing(&self) -> bool {
        *self == Self::Nothing
    }
}

/// The closing behind a report, in its head.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ClosedHead {
    /// Which closing of the range.
    pub(crate) version: u64,
    /// When it was made.
    pub(crate) closed_at: String,
    /// Why; not told to media.
    pub(crate) note: Option<String>,
}

/// One report of a closing.
#[derive(Serialize, Deserialize)]
pub(super) struct Stored {
    pub(super) key_changes: Vec<KeyChange>,
    pub(super) universe: Option<Value>,
    pub(super) universes: Vec<Value>,
    pub(super) region_libraries: Option<Vec<RegionLibrary>>,
    pub(super) compared: Behind,
    pub(super) figures: Figures,
}

/// What its figures are read off.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Figures {
    /// They stand in rows.
    Rows(Rows),
    /// Of an overlap: sums over these, by whichever members are asked for.
    Masks(Masks),
}

impl Stored {
    /// Figures with nothing beside them.
    pub(super) fn of(figures: Figures) -> Self {
        Self {
            key_changes: Vec::new(),
            universe: None,
            universes: Vec::new(),
            region_libraries: None,
            compared: Behind::default(),
            figures,
        }
    }

    /// What a report is held under.
    pub(super) fn name(kind: Kind, request: &Request) -> String {
        [kind.name(), request.by.name(), request.filter.name()].join("/")
    }
}

/// What is answered out of a closing.
struct Answered {
    stored: Stored,
    rows: Rows,
    /// Of an overlap, what its rows are made of.
    masks: Option<Masks>,
    /// Devices of each row of a report that does not count them, where it is to be shaped.
    devices: BTreeMap<String, u64>,
    /// The last day with anything on it.
    last_day: Option<u16>,
}

impl Reporter {
    /// The report of a closed period, if that is what is asked for.
    ///
    /// # Errors
    /// The desk's, the store's, or a version that there is not.
    pub(super) fn closed(&self, request: &Request) -> Result<Option<Shaped>, ReportError> {
        let is_named = request.version.is_some();
        let range = request.from.zip(request.to).filter(|_| request.state == State::Closed);
        let closing = match range {
            Some(range) => self.closings.find(&request.campaign, range, request.version)?,
            None => None,
        };
        let Some(closing) = closing else {
            return if is_named { Err(ReportError::NotClosed) } else { Ok(None) };
        };
        let Some(answered) = self.answered(request, &closing)? else {
            let mut report = self.present(request)?;
            report.closed = ClosedBy::NotForThis;
            return Ok(Some(privacy::shape(report, self.limits)));
        };
        let last_day = answered.last_day.map(day_text);
        let mut now = request.clone();
        // Estimates would differ by their errors, and other members are not to be held against these.
        now.precision = Precision::Exact;
        if let Some(masks) = answered.masks.as_ref().filter(|masks| masks.members() > 0) {
            now.members = Some(Members::Names(masks.names().to_vec()));
            if request.sight.is_exact() {
                // What each adds is held against what it adds to the same ones. Where it is shaped, who is named here is kept rather than others, so that it would
                // tell more than the present report does.
                now.stack = Some(Members::Names(masks.stack_names()));
            }
        }
        let mut report = report_of(request, &closing, answered);
        let present = self.present_beside(&now, (closing.from, closing.to));
        report.adjustment = Some(self.changed_since(request, &closing, present.as_ref()));
        // Where not all of the range is offered now, nothing can be held against it.
        let is_offered = |present: &Report| request.sight.is_exact() || present.to >= last_day;
        let present = present.ok().filter(is_offered).map(|present| privacy::shape(present, self.limits));
        Ok(Some(privacy::shape(report, self.limits).beside(present)))
    }

    /// What a closing holds of a report for whoever asks.
    fn answered(&self, request: &Request, closing: &Closing) -> Result<Option<Answered>, ReportError> {
        // A closing holds reach against the universe of everybody alone.
        if request.audience != catalog::ALL {
            return Ok(None);
        }
        let held = self.closings.held(&request.campaign, closing)?;
        let Some(held) = held.iter().find(|held| held.viewer.is_of(&request.sight)) else {
            return Ok(None);
        };
        let kind = if request.kind == Kind::Frequency { Kind::Reach } else { request.kind };
        let Some(mut stored) = self.stored(request, held, kind)? else { return Ok(None) };
        let until = day_text(closing.to);
        let figures = std::mem::replace(&mut stored.figures, Figures::Rows(Rows::Ids(Vec::new())));
        let (rows, masks) = match figures {
            Figures::Rows(Rows::Reach(rows)) if request.kind == Kind::Frequency => {
                (Rows::Frequency(frequencies(&rows, request.by)), None)
            }
            Figures::Rows(rows) if request.sight.is_exact() => (rows, None),
            Figures::Rows(rows) => (as_seen(rows), None),
            Figures::Masks(masks) => {
                let chosen = overlap::chosen(masks, (&request.members, &request.stack));
                let Some(masks) = chosen else { return Ok(None) };
                (Rows::Overlap(masks.rows(Sample::ALL, Some(&until))), Some(masks))
            }
        };
        let devices = self.devices_held(request, held)?;
        Ok(Some(Answered { stored, rows, masks, devices, last_day: held.last_day }))
    }

    /// Devices of each row of a report that does not count them, where it is to be shaped.
    fn devices_held(&self, request: &Request, held: &Held) -> Result<BTreeMap<String, u64>, ReportError> {
        if request.sight.is_exact() || request.kind.is_of_devices() {
            return Ok(BTreeMap::new());
        }
        // Net is what stands in each row of a delivery report, in either filter.
        let filter = if request.kind == Kind::Delivery { Filter::Net } else { request.filter };
        let reach = self.stored(&Request { filter, ..request.clone() }, held, Kind::Reach)?;
        let rows = match reach.map(|stored| stored.figures) {
            Some(Figures::Rows(Rows::Reach(rows))) => rows,
            _ => Vec::new(),
        };
        Ok(rows.into_iter().map(|row| (row.key, row.reach)).collect())
    }

    fn stored(&self, request: &Request, held: &Held, kind: Kind) -> Result<Option<Stored>, ReportError> {
        let name = Stored::name(kind, request);
        let found = held.reports.iter().find(|(held, _)| *held == name);
        Ok(found.map(|(_, piece)| self.closings.read(&request.campaign, piece)).transpose()?)
    }

    /// What can be told of why figures would be other ones now.
    fn changed_since(
        &self,
        request: &Request,
        closing: &Closing,
        present: Result<&Report, &ReportError>,
    ) -> Since {
        let range = (closing.from, closing.to);
        let since = self.since_beside(&request.campaign, range, (&request.sight, closing.at_ms));
        let devices_expired = matches!(present, Err(ReportError::DevicesExpired { .. }));
        let members_changed = matches!(present, Err(ReportError::OtherMembers));
        let failed = present.err().filter(|_| !devices_expired && !members_changed);
        if let Some(error) = failed.or(since.as_ref().err()) {
            tracing::warn!(%error, campaign = request.campaign, "what became of closed figures cannot be said at present");
        }
        let unavailable = failed.is_some() || since.is_err();
        let (late, erased) = since.ok().unzip();
        let erased = erased.map(|erased: u64| erased.saturating_sub(closing.erased_hits));
        let is_exact = request.sight.is_exact();
        let now = self.versions();
        let seconds = self.double_click_seconds(&request.campaign);
        Since {
            late_hits: late.and_then(|hits| if is_exact { Some(hits) } else { self.limits.roughly(hits) }),
            // One person's at a time.
            erased_hits: erased.filter(|_| is_exact),
            double_click_seconds: Changed::of(closing.double_click_seconds, seconds),
            rules: Changed::of(closing.rules.clone(), now.rules),
            // It changes with everybody's campaigns.
            catalog: Changed::of(closing.catalog.clone(), now.catalog).filter(|_| is_exact),
            devices_expired,
            members_changed,
            unavailable,
            provisional_days: present.map(|present| present.provisional_days.clone()).unwrap_or_default(),
        }
    }

    pub(super) fn double_click_seconds(&self, campaign: &str) -> u32 {
        self.catalog.load().campaigns.get(campaign).map_or(0, |campaign| campaign.double_click_seconds)
    }

    /// Hits that came to a period since a moment, and those in it whose device was erased.
    pub(super) fn since(
        &self,
        campaign: &str,
        (from, to): (u16, u16),
        (sight, since_ms): (&Sight, UnixMs),
    ) -> Result<(u64, u64), ReportError> {
        #[derive(Deserialize)]
        struct Row {
            late: u64,
            erased: u64,
        }
        let mut values = vec![
            ("campaign", store::Value::Text(campaign.to_owned())),
            ("from", store::Value::Text(day_text(from))),
            ("to", store::Value::Text(day_text(to))),
            ("since_ms", store::Value::Signed(since_ms)),
            ("erased", store::Value::Number(u64::from(flag::ERASED))),
        ];
        values.extend(seen(sight));
        let rows: Vec<Row> = self.store.rows(Work::Report, statement::CLOSED_SINCE, &values)?;
        Ok(rows.first().map_or((0, 0), |row| (row.late, row.erased)))
    }
}

/// The report as it was when the period was closed, with as many frequencies as are asked for now.
fn report_of(request: &Request, closing: &Closing, answered: Answered) -> Report {
    let Answered { stored, rows, masks, devices, .. } = answered;
    let rows = cut(rows, request.levels);
    let note = Some(closing.note.clone()).filter(|note| request.sight.only().is_none() && !note.is_empty());
    Report {
        campaign: request.campaign.clone(),
        kind: request.kind.name(),
        from: Some(day_text(closing.from)),
        to: Some(day_text(closing.to)),
        time_zone: closing.time_zone.clone(),
        by: request.by.name(),
        filter: request.filter.name(),
        settled_until: Some(day_text(closing.to)),
        provisional_days: Vec::new(),
        key_changes: stored.key_changes,
        identified_impressions: rows.identified_impressions(),
        share: request.kind.is_of_devices().then_some(Value::Null),
        universe: stored.universe.filter(|_| request.kind == Kind::Reach),
        universes: if request.kind == Kind::Reach { stored.universes } else { Vec::new() },
        region_libraries: stored.region_libraries,
        versions: Versions {
            program: closing.program.clone().into(),
            catalog: closing.catalog.clone(),
            rules: closing.rules.clone(),
        },
        closed: ClosedBy::Closing(ClosedHead {
            version: closing.version,
            closed_at: moment(closing.at_ms),
            note,
        }),
        adjustment: None,
        levels: request.levels,
        sight: request.sight.clone(),
        sample: Sample::ALL,
        masks,
        devices,
        compared: stored.compared,
        rows,
    }
}

/// Rows as who does not see everything is shown them: nobody's placements are nobody's.
fn as_seen(rows: Rows) -> Rows {
    match rows {
        Rows::Delivery(mut rows) => {
            rows.retain_mut(|row| {
                let is_nobodys = row.unresolved.take().is_some_and(|hits| hits > 0);
                let is_bare = privacy::is_empty(row) && row.reported_impressions.is_none();
                row.key == TOTAL || !(is_nobodys && is_bare)
            });
            Rows::Delivery(rows)
        }
        Rows::Reach(mut rows) => {
            for row in &mut rows {
                // It is not kept, for it follows where every device was counted.
                row.without_device = row.impressions.saturating_sub(row.identified_impressions);
            }
            Rows::Reach(rows)
        }
        rows => rows,
    }
}

/// The rows of a frequency report, read off those of reach with all frequencies. Where they come from events, a key without a device has a row too.
fn frequencies(rows: &[ReachRow], by: By) -> Vec<FrequencyRow> {
    let mut frequencies = Vec::new();
    for row in rows.iter().filter(|row| row.reach > 0 || !by.is_settled_by_device()) {
        let mut left = row.identified_impressions;
        for (index, (n_plus, devices)) in row.n_plus.iter().zip(exactly(&row.n_plus)).enumerate() {
            let frequency = index + 1;
            let is_last = frequency == LEVELS_MAX;
            if *n_plus == 0 && frequency > 1 {
                break;
            }
            let impressions = if is_last { left } else { devices * frequency as u64 };
            left = left.saturating_sub(impressions);
            frequencies.push(FrequencyRow {
                key: row.key.clone(),
                frequency,
                or_more: is_last,
                devices,
                n_plus: *n_plus,
                impressions,
                standard_error: 0.0,
                interval_low: *n_plus,
                interval_high: *n_plus,
                exact: true,
                settled_until: row.settled_until.clone(),
            });
        }
    }
    frequencies
}

/// Rows with all frequencies as rows with fewer, the last one open-ended.
fn cut(rows: Rows, levels: usize) -> Rows {
    match rows {
        Rows::Reach(mut rows) => {
            for row in &mut rows {
                row.n_plus.truncate(levels);
                row.standard_error.truncate(levels);
                row.interval_low.truncate(levels);
                row.interval_high.truncate(levels);
                row.exactly = exactly(&row.n_plus);
            }
            Rows::Reach(rows)
        }
        Rows::Frequency(rows) => {
            let mut kept: Vec<FrequencyRow> = Vec::new();
            for row in rows {
                if row.frequency < levels {
                    kept.push(row);
                } else if row.frequency == levels {
                    kept.push(FrequencyRow { or_more: true, devices: row.n_plus, ..row });
                } else if let Some(last) = kept.last_mut() {
                    // Of the same key: every frequency below stands before it.
                    last.impressions += row.impressions;
                }
            }
            Rows::Frequency(kept)
        }
        Rows::Delivery(_) | Rows::Ids(_) | Rows::Overlap(_) => rows,
    }
}

/// A moment as answers say it.
pub(crate) fn moment(at_ms: UnixMs) -> String {
    let time = chrono::DateTime::from_timestamp_millis(at_ms);
    time.map_or_else(String::new, |time| time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_frequencies_are_cut_from_all_of_them() {
        let row = |frequency: usize, or_more, devices, n_plus| FrequencyRow {
            key: "total".to_owned(),
            frequency,
            or_more,
            devices,
            n_plus,
            impressions: devices * frequency as u64,
            ..FrequencyRow::default()
        };
        let all = vec![row(1, false, 5, 9), row(2, false, 1, 4), row(3, false, 0, 3), row(4, false, 3, 3)];
        let Rows::Frequency(rows) = cut(Rows::Frequency(all.clone()), 2) else { panic!("other rows") };
        let last = FrequencyRow { or_more: true, devices: 4, impressions: 14, ..all[1].clone() };
        assert_eq!(rows, [all[0].clone(), last]);
        assert_eq!(cut(Rows::Frequency(all.clone()), 80), Rows::Frequency(all));
    }
}
