//! Closing a period: every report of its range that is offered, computed and kept as it was counted and not yet shaped: over the whole campaign, for the
//! house and its advertiser, and over the placements of each medium. [`super::closed`] answers from it.
//!
//! Must never: keep figures that were made of more than one state of the store, the catalog or media's numbers.

use std::collections::BTreeMap;

use event::clock::UnixMs;

use super::closed::{Figures, Stored};
use super::reported::Behind;
use super::request::{By, Filter, Kind, LEVELS_MAX, Precision, Request, State};
use super::rows::{Rows, Versions};
use super::{Days, ReportError, Reporter};
use crate::closings::{Closing, ClosingError, Draft, Viewer, Writer};
use crate::form::Form;
use crate::numbers::OfMedium;
use crate::store::day_text;
use crate::view::Sight;

/// How often a period is computed at most, if it changed meanwhile.
const TRIES_MAX: u32 = 3;
/// Most media that a closing holds figures for, each over its own placements.
const MEDIA_MAX: usize = 50;
/// Kinds of report that a closing holds. Frequencies are read off the rows of reach, which hold all of them.
const KINDS: [Kind; 4] = [Kind::Delivery, Kind::Reach, Kind::Ids, Kind::Overlap];

/// What the figures of a period are made of.
#[derive(PartialEq)]
struct Ground {
    /// Generations of the settled days.
    published: Vec<(u16, u64)>,
    /// Version of the catalog.
    catalog: u32,
    /// Media's own numbers.
    numbers: Vec<OfMedium>,
}

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

impl Reporter {
    /// Closes a period. Blocks for as long as computing all its reports takes.
    ///
    /// # Errors
    /// See [`CloseError`].
    pub(crate) fn close(&self, wanted: &Wanted) -> Result<Closing, CloseError> {
        let range = (wanted.from, wanted.to);
        self.closings.close(&wanted.campaign, (range, &wanted.note), |writer| {
            for n in 0..TRIES_MAX {
                if n > 0 {
                    writer.restart()?;
                }
                let at_ms = self.clock.now_ms();
                let before = self.ground(wanted)?;
                let mut stood_still = true;
                for viewer in self.viewers(&wanted.campaign) {
                    stood_still &= self.fill(wanted, &viewer, writer)?;
                }
                let draft = self.draft(wanted, at_ms)?;
                if stood_still && self.ground(wanted)? == before {
                    return Ok(draft);
                }
            }
            Err(CloseError::Changing)
        })
    }

    fn draft(&self, wanted: &Wanted, at_ms: UnixMs) -> Result<Draft, ReportError> {
        let Versions { program, catalog, rules } = self.versions();
        let range = (wanted.from, wanted.to);
        let (_, erased_hits) = self.since(&wanted.campaign, range, (&Sight::exact(), at_ms))?;
        Ok(Draft {
            at_ms,
            by: wanted.by.clone(),
            time_zone: self.time_zone(&wanted.campaign).name().to_owned(),
            program: program.into_owned(),
            catalog,
            rules,
            double_click_seconds: self.double_click_seconds(&wanted.campaign),
            erased_hits,
        })
    }

    /// What the figures of a period are made of, every day of which is settled.
    fn ground(&self, wanted: &Wanted) -> Result<Ground, CloseError> {
        Ok(Ground {
            published: self.settled_figures(wanted)?,
            catalog: self.catalog.load().version,
            numbers: self.numbers.media(&wanted.campaign).map_err(ReportError::from)?,
        })
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

    /// Computes and keeps every report of a viewer's, as it is counted. Whether the pairs that devices were tied by stood still.
    fn fill(&self, wanted: &Wanted, viewer: &Viewer, writer: &mut Writer<'_>) -> Result<bool, CloseError> {
        let sight = Sight::counted(viewer.placements().map(<[String]>::to_vec));
        let of_hits = asked(wanted, (Kind::Delivery, By::Total, Filter::Net), &sight);
        let of_devices = Request { kind: Kind::Reach, ..of_hits.clone() };
        let (days, mut device_days) = (self.days(&of_hits)?, self.days(&of_devices)?);
        device_days.keys = self.keys(&device_days)?;
        let last_day = days.published.iter().map(|(day, _)| *day).chain(days.live.iter().copied()).max();
        for kind in KINDS {
            for (by, filter) in By::of(kind).flat_map(|by| [(by, Filter::Net), (by, Filter::Gross)]) {
                let request = asked(wanted, (kind, by, filter), &sight);
                let days = if kind.is_of_devices() { &device_days } else { &days };
                let (stored, rows) = if kind == Kind::Overlap {
                    self.overlap_to_keep(&request, days)?
                } else {
                    self.rows_to_keep(&request, (days, &device_days))?
                };
                writer.give((viewer, last_day), &Stored::name(kind, &request), (&stored, rows))?;
            }
        }
        Ok(self.pairs_stood_still(&device_days.keys).map_err(ReportError::from)?)
    }

    fn rows_to_keep(
        &self,
        request: &Request,
        (days, device_days): (&Days, &Days),
    ) -> Result<(Stored, usize), ReportError> {
        let report = self.report_of(request, days)?;
        let compared = match report.rows {
            Rows::Delivery(_) => self.behind(request, device_days)?,
            _ => Behind::default(),
        };
        let rows = report.rows.len();
        let stored = Stored {
            key_changes: report.key_changes,
            universe: report.universe,
            universes: report.universes,
            region_libraries: report.region_libraries,
            compared,
            figures: Figures::Rows(report.rows),
        };
        Ok((stored, rows))
    }

    fn overlap_to_keep(&self, request: &Request, days: &Days) -> Result<(Stored, usize), ReportError> {
        let (masks, _) = self.masks(request, days)?;
        let rows = masks.sets();
        let key_changes = days.keys.changes.clone();
        Ok((Stored { key_changes, ..Stored::of(Figures::Masks(masks)) }, rows))
    }

    /// What stands behind the comparison with what media say, as it has to be known where a report is shaped.
    fn behind(&self, request: &Request, days: &Days) -> Result<Behind, ReportError> {
        let sight = match request.sight.only() {
            Some(only) => Sight::of_placements(only.to_vec()),
            None => Sight::shaped(),
        };
        self.compare(&Request { sight, ..request.clone() }, days, &mut BTreeMap::new())
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
        language: None,
        levels: LEVELS_MAX,
        precision: Precision::Exact,
        audience: catalog::ALL.to_owned(),
        members: None,
        stack: None,
        state: State::Present,
        version: None,
        is_present_word: false,
    }
}
