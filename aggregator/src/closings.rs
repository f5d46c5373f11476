//! Closed periods, as they are kept: figures of a range of days that stay as they were when somebody closed it.
//!
//! ```text
//! closings/<campaign>.json    {"form":1,"campaign":"…","count":n,"closings":[…]}, in the order in which they were made
//! parts/c-<campaign>-<n>-i    what the n-th closing holds: for whom, and what leads to each kind of report
//! parts/c-<campaign>-<n>-<m>  its m-th report kind of somebody's: all rows, counted and not yet shaped, JSON, compressed (zstd)
//! ```
//!
//! `<campaign>` is a hash of the id. The document is written last: a closing is there whole or not at all, and is never changed or taken away. Closing the
//! same range again makes another version, beside the one before.
//!
//! Figures of a closing are sums: no device stands in them, so that neither an erasure nor the end of the devices' retention touches them.

use std::io::Read as _;
use std::sync::{Mutex, PoisonError};

use desk::{Desk, Kind, Parts};
use event::clock::UnixMs;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Most closings of one campaign.
pub(crate) const CLOSINGS_MAX: usize = 60;
/// Longest note, bytes.
pub(crate) const NOTE_BYTES_MAX: usize = 200;
/// Most rows of all reports of one closing.
pub(crate) const ROWS_MAX: usize = 1_000_000;
/// Most bytes of one kind of report in a closing, unpacked.
const UNPACKED_BYTES_MAX: u64 = 512 << 20;
/// The form of the document.
const FORM: u32 = 1;
/// How hard rows are compressed.
const LEVEL: i32 = 6;

/// A closing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Closing {
    /// First day, days since 1970-01-01.
    pub(crate) from: u16,
    /// Last day.
    pub(crate) to: u16,
    /// Which closing of this range, from 1.
    pub(crate) version: u64,
    /// When.
    pub(crate) at_ms: UnixMs,
    /// The token's role, id and name.
    pub(crate) by: String,
    /// Why; empty for none.
    pub(crate) note: String,
    /// Rows of all its reports.
    pub(crate) rows: usize,
    /// Time zone of its days.
    pub(crate) time_zone: String,
    /// What its figures were made by.
    pub(crate) program: String,
    /// The catalog in force.
    pub(crate) catalog: String,
    /// The rules.
    pub(crate) rules: String,
    /// The campaign's limit between two clicks.
    pub(crate) double_click_seconds: u32,
    /// Hits of erased devices in it.
    pub(crate) erased_hits: u64,
    /// Leads to what it holds.
    index: Parts,
}

/// What a closing holds for one who looks at it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Held {
    /// For whom.
    pub(crate) viewer: Viewer,
    /// The last day with anything on it.
    pub(crate) last_day: Option<u16>,
    /// By the name of the kind of report, what leads to it.
    pub(crate) reports: Vec<(String, Parts)>,
}

/// Over what figures were computed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Viewer {
    /// The whole campaign: for operators, auditors and its advertiser.
    Whole,
    /// A medium's placements at the time.
    Medium {
        /// Its name.
        name: String,
        /// Their ids, in their order.
        placements: Vec<String>,
    },
}

impl Viewer {
    /// The only placements that count; `None` for all.
    pub(crate) fn placements(&self) -> Option<&[String]> {
        match self {
            Self::Whole => None,
            Self::Medium { placements, .. } => Some(placements),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Document {
    form: u32,
    campaign: String,
    /// How many there are.
    count: u64,
    closings: Vec<Closing>,
}

/// Why a closing cannot be kept or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClosingError {
    /// Caller: there are as many as there may be.
    #[error("this campaign has {CLOSINGS_MAX} closings, the most that are kept")]
    TooMany,
    /// Caller: it would be too large.
    #[error("this period has more than {ROWS_MAX} rows in all reports: close it in shorter parts")]
    TooLarge,
    /// Ours, or whoever changed the desk by hand.
    #[error("a closing of {campaign} is of a form that this program does not know")]
    Form {
        /// The campaign.
        campaign: String,
    },
    /// Machine.
    #[error("a closing cannot be packed: {0}")]
    Pack(std::io::Error),
    /// The desk.
    #[error(transparent)]
    Desk(#[from] desk::Error),
}

/// Closed periods.
pub(crate) struct Closings {
    desk: Desk,
    /// One closing at a time.
    writing: Mutex<()>,
}

impl Closings {
    pub(crate) fn new(desk: Desk) -> Self {
        Self { desk, writing: Mutex::default() }
    }

    /// All closings of a campaign, in the order in which they were made.
    ///
    /// # Errors
    /// See [`ClosingError`].
    pub(crate) fn list(&self, campaign: &str) -> Result<Vec<Closing>, ClosingError> {
        let Some(bytes) = self.desk.get_heard(Kind::Closings, &crate::numbers::hash(campaign, 16))? else {
            return Ok(Vec::new());
        };
        let document: Option<Document> = serde_json::from_slice(&bytes).ok();
        let known = document.filter(|document| document.form == FORM && document.campaign == campaign);
        known
            .map(|document| document.closings)
            .ok_or_else(|| ClosingError::Form { campaign: campaign.to_owned() })
    }

    /// The closing of a range: of a version, or the newest.
    ///
    /// # Errors
    /// See [`ClosingError`].
    pub(crate) fn find(
        &self,
        campaign: &str,
        (from, to): (u16, u16),
        version: Option<u64>,
    ) -> Result<Option<Closing>, ClosingError> {
        let list = self.list(campaign)?.into_iter();
        let of_range = list.filter(|one| (one.from, one.to) == (from, to));
        Ok(of_range.rev().find(|one| version.is_none_or(|version| one.version == version)))
    }

    /// What a closing holds.
    ///
    /// # Errors
    /// See [`ClosingError`].
    pub(crate) fn held(&self, campaign: &str, closing: &Closing) -> Result<Vec<Held>, ClosingError> {
        self.read(campaign, &closing.index)
    }

    /// One kind of report.
    ///
    /// # Errors
    /// See [`ClosingError`].
    pub(crate) fn read<T: DeserializeOwned>(&self, campaign: &str, parts: &Parts) -> Result<T, ClosingError> {
        let bytes = self.desk.get_parts(parts)?;
        let mut json = Vec::new();
        let unpacked = zstd::Decoder::new(bytes.as_slice())
            .and_then(|decoder| decoder.take(UNPACKED_BYTES_MAX).read_to_end(&mut json));
        let read = unpacked.ok().and_then(|_| serde_json::from_slice(&json).ok());
        read.ok_or_else(|| ClosingError::Form { campaign: campaign.to_owned() })
    }

    /// Keeps a closing. `fill` makes what it holds, and is given where to put each kind of report. Blocks.
    ///
    /// # Errors
    /// Those of `fill`, and see [`ClosingError`]; after the desk's it may be there all the same.
    pub(crate) fn close<E: From<ClosingError>>(
        &self,
        campaign: &str,
        fill: impl FnOnce(u64, &mut Writer<'_>) -> Result<Draft, E>,
    ) -> Result<Closing, E> {
        let _turn = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut closings = self.list(campaign)?;
        if closings.len() >= CLOSINGS_MAX {
            return Err(ClosingError::TooMany.into());
        }
        let number = closings.len() as u64 + 1;
        let id = format!("c-{}-{number}", crate::numbers::hash(campaign, 16));
        let mut writer = Writer { desk: &self.desk, id, held: Vec::new(), next: 0, rows: 0 };
        let draft = fill(number, &mut writer)?;
        let index = writer.put("i", &writer.held)?;
        let of_range = closings.iter().filter(|one| (one.from, one.to) == (draft.from, draft.to));
        let version = of_range.map(|one| one.version).max().unwrap_or(0) + 1;
        let closing = Closing {
            from: draft.from,
            to: draft.to,
            version,
            at_ms: draft.at_ms,
            by: draft.by,
            note: draft.note,
            rows: writer.rows,
            time_zone: draft.time_zone,
            program: draft.program,
            catalog: draft.catalog,
            rules: draft.rules,
            double_click_seconds: draft.double_click_seconds,
            erased_hits: draft.erased_hits,
            index,
        };
        closings.push(closing.clone());
        let document = Document { form: FORM, campaign: campaign.to_owned(), count: number, closings };
        let bytes = serde_json::to_vec(&document).expect("a document can always be written");
        self.desk
            .put(Kind::Closings, &crate::numbers::hash(campaign, 16), &bytes)
            .map_err(ClosingError::from)?;
        Ok(closing)
    }
}

/// What is said of a closing that is being made.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) from: u16,
    pub(crate) to: u16,
    pub(crate) at_ms: UnixMs,
    pub(crate) by: String,
    pub(crate) note: String,
    pub(crate) time_zone: String,
    pub(crate) program: String,
    pub(crate) catalog: String,
    pub(crate) rules: String,
    pub(crate) double_click_seconds: u32,
    pub(crate) erased_hits: u64,
}

/// Takes what a closing holds, one kind of report at a time.
pub(crate) struct Writer<'d> {
    desk: &'d Desk,
    id: String,
    held: Vec<Held>,
    next: usize,
    rows: usize,
}

impl Writer<'_> {
    /// Begins anew: what was given is written over.
    pub(crate) fn restart(&mut self) {
        (self.held, self.next, self.rows) = (Vec::new(), 0, 0);
    }

    /// Keeps one kind of report of a viewer's, of so many rows.
    ///
    /// # Errors
    /// See [`ClosingError`].
    pub(crate) fn give(
        &mut self,
        (viewer, last_day): (&Viewer, Option<u16>),
        kind: &str,
        (reports, rows): (&impl Serialize, usize),
    ) -> Result<(), ClosingError> {
        self.rows += rows;
        if self.rows > ROWS_MAX {
            return Err(ClosingError::TooLarge);
        }
        let parts = self.put(&self.next.to_string(), reports)?;
        self.next += 1;
        let reported = (kind.to_owned(), parts);
        if let Some(held) = self.held.iter_mut().find(|held| held.viewer == *viewer) {
            held.reports.push(reported);
        } else {
            self.held.push(Held { viewer: viewer.clone(), last_day, reports: vec![reported] });
        }
        Ok(())
    }

    fn put(&self, name: &str, what: &impl Serialize) -> Result<Parts, ClosingError> {
        let mut encoder = zstd::Encoder::new(Vec::new(), LEVEL).map_err(ClosingError::Pack)?;
        serde_json::to_writer(&mut encoder, what).map_err(|error| ClosingError::Pack(error.into()))?;
        let bytes = encoder.finish().map_err(ClosingError::Pack)?;
        Ok(self.desk.put_parts(&format!("{}-{name}", self.id), &bytes)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(from: u16, at_ms: i64) -> Draft {
        Draft {
            from,
            to: 9,
            at_ms,
            by: "operator".to_owned(),
            note: String::new(),
            time_zone: "UTC".to_owned(),
            program: "1".to_owned(),
            catalog: "0000002a".to_owned(),
            rules: "07".to_owned(),
            double_click_seconds: 0,
            erased_hits: 0,
        }
    }

    fn close(closings: &Closings, draft: &Draft, what: &str) -> Result<Closing, ClosingError> {
        closings.close("c", |_, writer| {
            writer.give((&Viewer::Whole, None), "reach", (&what, 3))?;
            Ok(draft.clone())
        })
    }

    fn says(closings: &Closings, closing: &Closing) -> String {
        let held = closings.held("c", closing).expect("readable");
        closings.read("c", &held[0].reports[0].1).expect("readable")
    }

    #[test]
    fn every_version_stays_what_it_was() {
        let dir = tempfile::tempdir().expect("a folder");
        let closings = Closings::new(Desk::folder(dir.path()).expect("a desk"));
        for (draft, what) in [(draft(7, 1), "one"), (draft(8, 2), "other"), (draft(7, 3), "two")] {
            close(&closings, &draft, what).expect("kept");
        }
        let closings = Closings::new(Desk::folder(dir.path()).expect("opened again"));
        let found = |from, version| closings.find("c", (from, 9), version).expect("known");
        for (from, version, expected, words) in
            [(7, None, 2, "two"), (7, Some(1), 1, "one"), (7, Some(2), 2, "two"), (8, None, 1, "other")]
        {
            let closing = found(from, version).expect("is there");
            assert_eq!(
                (closing.version, closing.rows, says(&closings, &closing).as_str()),
                (expected, 3, words)
            );
        }
        assert_eq!((found(7, Some(3)), found(6, None)), (None, None));
        assert!(closings.list("d").expect("known").is_empty());
    }

    #[test]
    fn what_fails_on_the_way_is_not_there_and_takes_nothing_away() {
        let dir = tempfile::tempdir().expect("a folder");
        let closings = Closings::new(Desk::folder(dir.path()).expect("a desk"));
        let failed = closings.close("c", |_, writer| {
            writer.give((&Viewer::Whole, None), "reach", (&"half", ROWS_MAX))?;
            writer.give((&Viewer::Whole, None), "ids", (&"more", 1))?;
            Ok(draft(7, 1))
        });
        assert!(matches!(failed, Err(ClosingError::TooLarge)));
        assert!(closings.list("c").expect("known").is_empty());
        let first = close(&closings, &draft(7, 1), "one").expect("kept");
        assert_eq!(says(&closings, &first), "one");
        for at_ms in 2..=CLOSINGS_MAX as i64 {
            close(&closings, &draft(7, at_ms), "more").expect("kept");
        }
        assert!(matches!(close(&closings, &draft(7, 99), "too many"), Err(ClosingError::TooMany)));
        assert_eq!(says(&closings, &first), "one");
    }
}
