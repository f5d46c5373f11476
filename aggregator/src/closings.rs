//! Closed periods, as they are kept: figures of a range of days that stay as they were when somebody closed it.
//!
//! ```text
//! closings/<campaign>.json   {"form":2,"campaign":"…","closings":[…]}, in the order in which they were made
//! parts/c-<campaign>-…       of one closing: a piece for each report, all its rows, counted and not yet shaped, JSON, compressed (zstd); the last piece
//!                            says for whom they are, and what leads to each
//! ```
//!
//! `<campaign>` is a hash of the id. The document is written last: a closing is there whole or not at all, and is never changed or taken away. Closing the
//! same range again makes another version, beside the one before. What is written builds on what is in force then, not on what was heard of last.
//!
//! Figures of a closing are sums: no device stands in them, so that neither an erasure nor the end of the devices' retention touches them.

use std::io::{self, Read as _, Write};
use std::sync::{Mutex, PoisonError};

use desk::{Desk, Kind, Piece, Stack};
use event::clock::UnixMs;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::numbers::hash;
use crate::orphans;
use crate::view::Sight;

/// Most closings of one campaign.
pub(crate) const CLOSINGS_MAX: usize = 60;
/// Longest note, bytes.
pub(crate) const NOTE_BYTES_MAX: usize = 200;
/// Most rows of all reports of one closing.
pub(crate) const ROWS_MAX: usize = 1_000_000;
/// Most bytes of one report of a closing, unpacked: neither written nor read.
const UNPACKED_BYTES_MAX: usize = 256 << 20;
/// The form of the document.
const FORM: u32 = 2;
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
    index: Piece,
}

/// What a closing holds for one who looks at it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Held {
    /// For whom.
    pub(crate) viewer: Viewer,
    /// The last day with anything on it.
    pub(crate) last_day: Option<u16>,
    /// By name, what leads to each report.
    pub(crate) reports: Vec<(String, Piece)>,
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

    /// Whether it is who sees the campaign so: by the medium's name too, for the same placements may be another one's by now.
    pub(crate) fn is_of(&self, sight: &Sight) -> bool {
        let is_its_own = match self {
            Self::Whole => true,
            Self::Medium { name, .. } => sight.medium() == Some(name),
        };
        is_its_own && self.placements() == sight.only()
    }
}

#[derive(Serialize, Deserialize)]
struct Document {
    form: u32,
    campaign: String,
    closings: Vec<Closing>,
}

/// Why a closing cannot be kept or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClosingError {
    /// Caller: there are as many as there may be.
    #[error("this campaign has {CLOSINGS_MAX} closings, the most that are kept")]
    TooMany,
    /// Caller: it would be too large.
    #[error(
        "this period has more than {ROWS_MAX} rows in all reports, or a report of more than {UNPACKED_BYTES_MAX} bytes: close it in shorter parts"
    )]
    TooLarge,
    /// Caller: it is closed, and nothing says why it is closed again.
    #[error("this range is closed already: say in note why it is closed again")]
    NeedsNote,
    /// Passes by itself.
    #[error("another period of {campaign} was closed at the same time; try again")]
    Changing {
        /// The campaign.
        campaign: String,
    },
    /// Ours, or whoever changed the desk by hand.
    #[error("a closing of {campaign} is of a form that this program does not know")]
    Form {
        /// The campaign.
        campaign: String,
    },
    /// Machine.
    #[error("a closing cannot be packed: {0}")]
    Pack(io::Error),
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
        read_document(campaign, self.desk.get_heard(Kind::Closings, &hash(campaign, 16))?.as_deref())
    }

    /// The same, by who has heard everything: for what is written on top of it.
    fn list_now(&self, campaign: &str) -> Result<Vec<Closing>, ClosingError> {
        read_document(campaign, self.desk.get(Kind::Closings, &hash(campaign, 16))?.as_deref())
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

    /// One report.
    ///
    /// # Errors
    /// See [`ClosingError`].
    pub(crate) fn read<T: DeserializeOwned>(&self, campaign: &str, piece: &Piece) -> Result<T, ClosingError> {
        let bytes = self.desk.get_piece(piece)?;
        let unpacked = zstd::Decoder::new(bytes.as_slice()).ok().and_then(|decoder| {
            // In portions: who reads is as large as one report, and not twice that.
            let reader = io::BufReader::new(decoder.take(UNPACKED_BYTES_MAX as u64));
            serde_json::from_reader(reader).ok()
        });
        unpacked.ok_or_else(|| ClosingError::Form { campaign: campaign.to_owned() })
    }

    /// Keeps a closing. `fill` makes what it holds, and gives it report by report. Blocks.
    ///
    /// # Errors
    /// Those of `fill`, and see [`ClosingError`]; after the desk's it may be there all the same.
    pub(crate) fn close<E: From<ClosingError>>(
        &self,
        campaign: &str,
        (range, note): ((u16, u16), &str),
        fill: impl FnOnce(&mut Writer<'_>) -> Result<Draft, E>,
    ) -> Result<Closing, E> {
        let _turn = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.list_now(campaign)?;
        may_close(&before, range, note)?;
        orphans::sweep(&self.desk);
        let mut writer = Writer::new(&self.desk, format!("c-{}", hash(campaign, 16)))?;
        let draft = fill(&mut writer)?;
        let (rows, index) = writer.finish()?;
        let of_range = before.iter().filter(|one| (one.from, one.to) == range);
        let closing = Closing {
            from: range.0,
            to: range.1,
            version: of_range.map(|one| one.version).max().unwrap_or(0) + 1,
            at_ms: draft.at_ms,
            by: draft.by,
            note: note.to_owned(),
            rows,
            time_zone: draft.time_zone,
            program: draft.program,
            catalog: draft.catalog,
            rules: draft.rules,
            double_click_seconds: draft.double_click_seconds,
            erased_hits: draft.erased_hits,
            index,
        };
        // Whoever settled until a moment ago may have closed something too.
        if self.list_now(campaign)? != before {
            return Err(ClosingError::Changing { campaign: campaign.to_owned() }.into());
        }
        let closings = before.into_iter().chain([closing.clone()]).collect();
        let document = Document { form: FORM, campaign: campaign.to_owned(), closings };
        let bytes = serde_json::to_vec(&document).expect("a document can always be written");
        self.desk.put(Kind::Closings, &hash(campaign, 16), &bytes).map_err(ClosingError::from)?;
        Ok(closing)
    }
}

/// Whether a range may be closed beside these.
///
/// # Errors
/// [`ClosingError::TooMany`], [`ClosingError::NeedsNote`].
pub(crate) fn may_close(closings: &[Closing], range: (u16, u16), note: &str) -> Result<(), ClosingError> {
    if closings.len() >= CLOSINGS_MAX {
        return Err(ClosingError::TooMany);
    }
    let is_closed = closings.iter().any(|one| (one.from, one.to) == range);
    if is_closed && note.is_empty() { Err(ClosingError::NeedsNote) } else { Ok(()) }
}

fn read_document(campaign: &str, bytes: Option<&[u8]>) -> Result<Vec<Closing>, ClosingError> {
    let Some(bytes) = bytes else { return Ok(Vec::new()) };
    let known = known(bytes).filter(|document| document.campaign == campaign);
    known
        .map(|document| document.closings)
        .ok_or_else(|| ClosingError::Form { campaign: campaign.to_owned() })
}

fn known(bytes: &[u8]) -> Option<Document> {
    serde_json::from_slice(bytes).ok().filter(|document: &Document| document.form == FORM)
}

/// The stacks that a document of closings leads to; `None` for one of another form.
pub(crate) fn stacks(bytes: &[u8]) -> Option<Vec<String>> {
    Some(known(bytes)?.closings.into_iter().map(|closing| closing.index.stack).collect())
}

/// What is said of a closing that is being made.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) at_ms: UnixMs,
    pub(crate) by: String,
    pub(crate) time_zone: String,
    pub(crate) program: String,
    pub(crate) catalog: String,
    pub(crate) rules: String,
    pub(crate) double_click_seconds: u32,
    pub(crate) erased_hits: u64,
}

/// Takes what a closing holds, one report at a time.
pub(crate) struct Writer<'d> {
    desk: &'d Desk,
    name: String,
    stack: Stack<'d>,
    held: Vec<Held>,
    rows: usize,
}

impl<'d> Writer<'d> {
    fn new(desk: &'d Desk, name: String) -> Result<Self, ClosingError> {
        Ok(Self { desk, stack: desk.stack(&name)?, name, held: Vec::new(), rows: 0 })
    }

    /// Begins anew: nothing leads to what was given.
    ///
    /// # Errors
    /// See [`ClosingError`].
    pub(crate) fn restart(&mut self) -> Result<(), ClosingError> {
        *self = Self::new(self.desk, std::mem::take(&mut self.name))?;
        Ok(())
    }

    /// Keeps a report of a viewer's, of so many rows, under a name.
    ///
    /// # Errors
    /// See [`ClosingError`].
    pub(crate) fn give(
        &mut self,
        (viewer, last_day): (&Viewer, Option<u16>),
        name: &str,
        (report, rows): (&impl Serialize, usize),
    ) -> Result<(), ClosingError> {
        self.rows += rows;
        if self.rows > ROWS_MAX {
            return Err(ClosingError::TooLarge);
        }
        let named = (name.to_owned(), add(&mut self.stack, report)?);
        if let Some(held) = self.held.iter_mut().find(|held| held.viewer == *viewer) {
            held.reports.push(named);
        } else {
            self.held.push(Held { viewer: viewer.clone(), last_day, reports: vec![named] });
        }
        Ok(())
    }

    /// How many rows were given, and what leads to all of them.
    fn finish(mut self) -> Result<(usize, Piece), ClosingError> {
        let index = add(&mut self.stack, &self.held)?;
        self.stack.finish()?;
        Ok((self.rows, index))
    }
}

/// Puts something as a piece.
fn add(stack: &mut Stack<'_>, what: &impl Serialize) -> Result<Piece, ClosingError> {
    let encoder = zstd::Encoder::new(Vec::new(), LEVEL).map_err(ClosingError::Pack)?;
    let mut counted = Counted { inner: encoder, left: UNPACKED_BYTES_MAX };
    serde_json::to_writer(&mut counted, what).map_err(|error| match io::Error::from(error) {
        error if error.kind() == io::ErrorKind::FileTooLarge => ClosingError::TooLarge,
        error => ClosingError::Pack(error),
    })?;
    let bytes = counted.inner.finish().map_err(ClosingError::Pack)?;
    stack.add(&bytes).map_err(|error| match error {
        desk::Error::TooLong { .. } => ClosingError::TooLarge,
        error => error.into(),
    })
}

/// Passes so many bytes on and no more.
struct Counted<W> {
    inner: W,
    left: usize,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.left = self.left.checked_sub(bytes.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        self.inner.write_all(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(at_ms: i64) -> Draft {
        Draft {
            at_ms,
            by: "operator".to_owned(),
            time_zone: "UTC".to_owned(),
            program: "1".to_owned(),
            catalog: "0000002a".to_owned(),
            rules: "07".to_owned(),
            double_click_seconds: 0,
            erased_hits: 0,
        }
    }

    fn close(
        closings: &Closings,
        (from, note): (u16, &str),
        (at_ms, what): (i64, &str),
    ) -> Result<Closing, ClosingError> {
        closings.close("c", ((from, 9), note), |writer| {
            writer.give((&Viewer::Whole, None), "reach", (&what, 3))?;
            Ok(draft(at_ms))
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
        for (from, at_ms, what) in [(7, 1, "one"), (8, 2, "other"), (7, 3, "two")] {
            close(&closings, (from, "why"), (at_ms, what)).expect("kept");
        }
        assert!(matches!(close(&closings, (7, ""), (4, "three")), Err(ClosingError::NeedsNote)));
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
        let fill = |writer: &mut Writer<'_>| {
            writer.give((&Viewer::Whole, None), "reach", (&"half", ROWS_MAX))?;
            writer.give((&Viewer::Whole, None), "ids", (&"more", 1))?;
            Ok(draft(1))
        };
        assert!(matches!(closings.close("c", ((7, 9), ""), fill), Err(ClosingError::TooLarge)));
        assert!(closings.list("c").expect("known").is_empty());
        let first = close(&closings, (7, ""), (1, "one")).expect("kept");
        assert_eq!(says(&closings, &first), "one");
        for at_ms in 2..=CLOSINGS_MAX as i64 {
            close(&closings, (7, "why"), (at_ms, "more")).expect("kept");
        }
        assert!(matches!(close(&closings, (7, "why"), (99, "too many")), Err(ClosingError::TooMany)));
        assert_eq!(says(&closings, &first), "one");
    }

    #[test]
    fn what_reading_refuses_is_not_written() {
        let dir = tempfile::tempdir().expect("a folder");
        let desk = Desk::folder(dir.path()).expect("a desk");
        let mut stack = desk.stack("c").expect("begun");
        let long = "x".repeat(UNPACKED_BYTES_MAX - 1);
        assert!(matches!(add(&mut stack, &long), Err(ClosingError::TooLarge)));
        assert!(add(&mut stack, &&long[..UNPACKED_BYTES_MAX - 2]).is_ok());
    }

    #[test]
    fn a_document_of_another_form_is_told_and_keeps_what_may_be_its() {
        let dir = tempfile::tempdir().expect("a folder");
        let files = || std::fs::read_dir(dir.path().join("parts")).expect("a folder").count();
        let open = || Desk::folder(dir.path()).expect("a desk");
        let failed: Result<Closing, ClosingError> =
            Closings::new(open()).close("c", ((7, 9), ""), |writer| {
                let noise: Vec<u64> =
                    (0..60_000).map(|n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
                writer.give((&Viewer::Whole, None), "reach", (&noise, 1))?;
                Err(ClosingError::TooLarge)
            });
        assert!(failed.is_err());
        assert!(files() > 0, "what was begun lies there");
        let desk = open();
        desk.put(Kind::Closings, &hash("d", 16), br#"{"form":9}"#).expect("put");
        let closings = Closings::new(desk.clone());
        assert!(matches!(closings.list("d"), Err(ClosingError::Form { .. })));
        let left = files();
        close(&closings, (7, ""), (1, "one")).expect("kept");
        assert!(files() > left, "whose they are is not known");
        desk.put(Kind::Closings, &hash("d", 16), br#"{"form":2,"campaign":"d","closings":[]}"#).expect("put");
        let first = close(&closings, (8, ""), (2, "two")).expect("kept");
        assert_eq!((files(), says(&closings, &first)), (2, "two".to_owned()));
    }
}
