//! Closing a period, and reports of one that is closed.
//!
//! A closing holds every report of its range that is offered, as it was counted and not yet shaped: over the whole campaign, for the house and its
//! advertiser, and over the placements of each medium. A report of exactly such a range is answered from it, whatever came since;
//! what it would be now stands beside it as an adjustment ([`super::adjustment`]).
//!
//! Whoever is not among those that it holds figures for (a token of several media, a medium that has other placements now) is shown present figures, and
//! told so: the head says `closed: null`.
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
use super::privacy::{self, Shaped};
use super::regions::RegionLibrary;
use super::reported::Behind;
use super::request::{By, Filter, Kind, LEVELS_MAX, Precision, Request, State};
use super::rows::{FrequencyRow, ReachRow, Report, Rows, Versions};
use super::sample::Sample;
use super::{Days, ReportError, Reporter, seen};
use crate::closings::{Closing, ClosingError, Draft, Held, Viewer, Writer};
use crate::form::Form;
use crate::statement;
use crate::store::{self, Work, day_text};
use crate::view::Sight;

/// How often a period is computed at most, if it changed meanwhile.
const TRIES_MAX: u32 = 3;
/// The key of the row of a report by total.
const TOTAL: &str = "total";
/// Most media that a closing holds figures for, each over its own placements.
const MEDIA_MAX: usize = 50;
/// Kinds of report that a closing holds. Frequencies are read off the rows of reach, which hold all of them.
const KINDS: [Kind; 3] = [Kind::Delivery, Kind::Reach, Kind::Ids];

/// What is to be closed.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// The campaign.
    pub(crate) campaign: String,
    /// First day.
    pub(crate) from: u16,
    /// Last day.
    pub(crate) to: u16,
    /// Why.
    pub(crate) note: String,
    /// The token's role, id and name.
    pub(crate) by: String,
}

/// Why a period is not closed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CloseError {
    /// Caller: some of its days may still change.
    #[error("these days are not over, not settled, or changed since they were settled: {}; settle them first (POST /v1/settle), or close what is before them", days.join(", "))]
    NotSettled {
        /// The first of them.
        days: Vec<String>,
    },
    /// Passes by itself.
    #[error("figures of this period changed while it was being closed; try again")]
    Changing,
    /// Its figures.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// Keeping them.
    #[error(transparent)]
    Closing(#[from] ClosingError),
}

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
struct Stored {
    by: String,
    filter: String,
    key_changes: Vec<KeyChange>,
    universe: Option<Value>,
    universes: Vec<Value>,
    region_libraries: Option<Vec<RegionLibrary>>,
    compared: Behind,
    rows: Rows,
}

/// What is answered out of a closing.
struct Answered {
    stored: Stored,
    /// Devices of each row of a report that does not count them, where it is to be shaped.
    devices: BTreeMap<String, u64>,
    /// The last day with anything on it.
    last_day: Option<u16>,
}

impl Reporter {
    /// Closes a period. Blocks for as long as computing all its reports takes.
    ///
    /// # Errors
    /// See [`CloseError`].
    pub(crate) fn close(&self, wanted: &Wanted) -> Result<Closing, CloseError> {
        self.closings.close(&wanted.campaign, |_, writer| {
            for _ in 0..TRIES_MAX {
                writer.restart();
                let at_ms = self.clock.now_ms();
                let before = self.settled_figures(wanted)?;
                for viewer in self.viewers(&wanted.campaign) {
                    self.fill(wanted, &viewer, writer)?;
                }
                let (_, erased_hits) =
                    self.since(&wanted.campaign, (wanted.from, wanted.to), (&Sight::exact(), at_ms))?;
                if self.settled_figures(wanted)? == before {
                    return Ok(self.draft(wanted, at_ms, erased_hits));
                }
            }
            Err(CloseError::Changing)
        })
    }

    fn draft(&self, wanted: &Wanted, at_ms: UnixMs, erased_hits: u64) -> Draft {
        let Versions { program, catalog, rules } = self.versions();
        Draft {
            from: wanted.from,
            to: wanted.to,
            at_ms,
            by: wanted.by.clone(),
            note: wanted.note.clone(),
            time_zone: self.time_zone(&wanted.campaign).name().to_owned(),
            program: program.into_owned(),
            catalog,
            rules,
            double_click_seconds: self.double_click_seconds(&wanted.campaign),
            erased_hits,
        }
    }

    fn double_click_seconds(&self, campaign: &str) -> u32 {
        self.catalog.load().campaigns.get(campaign).map_or(0, |campaign| campaign.double_click_seconds)
    }

    /// The generations of the settled figures of a period, every day of which is settled.
    fn settled_figures(&self, wanted: &Wanted) -> Result<Vec<(u16, u64)>, CloseError> {
        const DAYS_SHOWN: usize = 5;
        let request = asked(wanted, (Kind::Reach, By::Total, Filter::Net), &Sight::exact());
        let days = self.days(&request)?;
        if days.provisional.is_empty() && days.settled_until == Some(wanted.to) {
            return Ok(days.published);
        }
        let first = days.settled_until.map_or(wanted.from, |day| day.saturating_add(1));
        let mut not_settled: Vec<u16> = days.provisional.iter().copied().take(DAYS_SHOWN).collect();
        if not_settled.is_empty() {
            not_settled.push(first);
        }
        Err(CloseError::NotSettled { days: not_settled.into_iter().map(day_text).collect() })
    }

    /// For whom figures are held.
    fn viewers(&self, campaign: &str) -> Vec<Viewer> {
        let catalog = self.catalog.load();
        let mut media: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for placement in
            catalog.campaigns.get(campaign).into_iter().flat_map(|found| found.placements.values())
        {
            media.entry(&placement.medium).or_default().push(placement.id.clone());
        }
        let of_medium = |(name, mut placements): (&str, Vec<String>)| {
            placements.sort();
            Viewer::Medium { name: name.to_owned(), placements }
        };
        [Viewer::Whole].into_iter().chain(media.into_iter().take(MEDIA_MAX).map(of_medium)).collect()
    }

    /// Computes and keeps every report of a viewer's, as it is counted.
    fn fill(&self, wanted: &Wanted, viewer: &Viewer, writer: &mut Writer<'_>) -> Result<(), CloseError> {
        let sight = Sight::counted(viewer.placements().map(<[String]>::to_vec));
        let of_hits = asked(wanted, (Kind::Delivery, By::Total, Filter::Net), &sight);
        let of_devices = Request { kind: Kind::Reach, ..of_hits.clone() };
        let (days, mut device_days) = (self.days(&of_hits)?, self.days(&of_devices)?);
        device_days.keys = self.keys(&of_devices, &device_days)?;
        let last_day = days.published.iter().map(|(day, _)| *day).chain(days.live.iter().copied()).max();
        for kind in KINDS {
            let mut reports = Vec::new();
            let mut rows = 0;
            for (by, filter) in By::of(kind).flat_map(|by| [(by, Filter::Net), (by, Filter::Gross)]) {
                let request = asked(wanted, (kind, by, filter), &sight);
                let report =
                    self.report_of(&request, if kind == Kind::Reach { &device_days } else { &days })?;
                let compared =
                    if kind == Kind::Delivery { self.behind(&request, &days)? } else { Behind::default() };
                rows += report.rows.len();
                reports.push(Stored {
                    by: by.name().to_owned(),
                    filter: filter.name().to_owned(),
                    key_changes: report.key_changes,
                    universe: report.universe,
                    universes: report.universes,
                    region_libraries: report.region_libraries,
                    compared,
                    rows: report.rows,
                });
            }
            writer.give((viewer, last_day), kind.name(), (&reports, rows))?;
        }
        Ok(())
    }

    /// What stands behind the comparison with what media say, as it has to be known where a report is shaped.
    fn behind(&self, request: &Request, days: &Days) -> Result<Behind, ReportError> {
        let sight = match request.sight.only() {
            Some(only) => Sight::of_placements(only.to_vec()),
            None => Sight::shaped(),
        };
        self.compare(&Request { sight, ..request.clone() }, days, &mut BTreeMap::new())
    }

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
        let mut report = report_of(request, &closing, answered);
        // Estimates would differ by their errors.
        let present = match self.present(&Request { precision: Precision::Exact, ..request.clone() }) {
            Ok(present) => Some(present),
            Err(ReportError::DevicesExpired { .. }) => None,
            Err(error) => return Err(error),
        };
        report.adjustment = Some(self.changed_since(request, &closing, present.as_ref())?);
        // Where not all of the range is offered now, nothing can be held against it.
        let is_offered = |present: &Report| request.sight.is_exact() || present.to >= last_day;
        let present = present.filter(is_offered).map(|present| privacy::shape(present, self.limits));
        Ok(Some(privacy::shape(report, self.limits).beside(present)))
    }

    /// What a closing holds of a report for whoever asks.
    fn answered(&self, request: &Request, closing: &Closing) -> Result<Option<Answered>, ReportError> {
        // A closing holds reach against the universe of everybody alone.
        if request.audience != catalog::ALL {
            return Ok(None);
        }
        let held = self.closings.held(&request.campaign, closing)?;
        let Some(held) = held.iter().find(|held| held.viewer.placements() == request.sight.only()) else {
            return Ok(None);
        };
        let kind = if request.kind == Kind::Frequency { Kind::Reach } else { request.kind };
        let Some(mut stored) = self.stored(request, held, (kind, request.filter))? else { return Ok(None) };
        let mut devices = BTreeMap::new();
        if !request.sight.is_exact() {
            stored.rows = as_seen(stored.rows);
            // Net is what stands in each row of a delivery report, in either filter.
            let filter = if kind == Kind::Delivery { Filter::Net } else { request.filter };
            let reach = self.stored(request, held, (Kind::Reach, filter))?;
            if let (Some(Stored { rows: Rows::Reach(rows), .. }), false) = (reach, kind == Kind::Reach) {
                devices = rows.into_iter().map(|row| (row.key, row.reach)).collect();
            }
        }
        if let (Kind::Frequency, Rows::Reach(rows)) = (request.kind, &stored.rows) {
            stored.rows = Rows::Frequency(frequencies(rows, request.by));
        }
        Ok(Some(Answered { stored, devices, last_day: held.last_day }))
    }

    fn stored(
        &self,
        request: &Request,
        held: &Held,
        (kind, filter): (Kind, Filter),
    ) -> Result<Option<Stored>, ReportError> {
        let Some((_, parts)) = held.reports.iter().find(|(name, _)| name == kind.name()) else {
            return Ok(None);
        };
        let reports: Vec<Stored> = self.closings.read(&request.campaign, parts)?;
        let (by, filter) = (request.by.name(), filter.name());
        Ok(reports.into_iter().find(|stored| stored.by == by && stored.filter == filter))
    }

    /// What can be told of why figures would be other ones now.
    fn changed_since(
        &self,
        request: &Request,
        closing: &Closing,
        present: Option<&Report>,
    ) -> Result<Since, ReportError> {
        let (late, erased) =
            self.since(&request.campaign, (closing.from, closing.to), (&request.sight, closing.at_ms))?;
        let erased = erased.saturating_sub(closing.erased_hits);
        // Few hits may be one person's.
        let shown = |hits: u64| (request.sight.is_exact() || !self.limits.is_few(hits)).then_some(hits);
        let now = self.versions();
        let seconds = self.double_click_seconds(&request.campaign);
        Ok(Since {
            late_hits: shown(late),
            erased_hits: if request.sight.only().is_some() { None } else { shown(erased) },
            double_click_seconds: Changed::of(closing.double_click_seconds, seconds),
            rules: Changed::of(closing.rules.clone(), now.rules),
            catalog: Changed::of(closing.catalog.clone(), now.catalog),
            devices_expired: present.is_none(),
            provisional_days: present.map(|present| present.provisional_days.clone()).unwrap_or_default(),
        })
    }

    /// Hits that came to a period since a moment, and those in it whose device was erased.
    fn since(
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

fn asked(wanted: &Wanted, (kind, by, filter): (Kind, By, Filter), sight: &Sight) -> Request {
    Request {
        kind,
        campaign: wanted.campaign.clone(),
        sight: sight.clone(),
        from: Some(wanted.from),
        to: Some(wanted.to),
        by,
        filter,
        form: Form::Json,
        levels: LEVELS_MAX,
        precision: Precision::Exact,
        audience: catalog::ALL.to_owned(),
        members: None,
        stack: None,
        state: State::Present,
        version: None,
    }
}

/// The report as it was when the period was closed, with as many frequencies as are asked for now.
fn report_of(request: &Request, closing: &Closing, answered: Answered) -> Report {
    let Answered { stored, devices, .. } = answered;
    let rows = cut(stored.rows, request.levels);
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
        masks: None,
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
