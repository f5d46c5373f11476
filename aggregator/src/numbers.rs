//! Media's own numbers: impressions and clicks that a medium says it delivered, for each placement and day, beside ours.
//!
//! They are kept on the desk, for each campaign one document that leads to the numbers themselves, which are kept in parts:
//!
//! ```text
//! numbers/<campaign>.json   {"form":2,"campaign":"…","media":[{"medium":"…","versions":[…]}]}, newest version last
//! parts/n-<campaign>-…      a piece for each medium of an upload, all that it says, compressed (zstd): lines of
//!                           placement, day (days since 1970-01-01), impressions, clicks (nothing where it gave none), with tabs between
//! ```
//!
//! `<campaign>` is a hash of the name, for that may hold any sign. Each version is whole: what came before and what was given on top of it. The document
//! is written last, and all media of one upload stand in it, so that an upload is in force as a whole or not at all. Of each medium the newest versions
//! stay: what is listed can be read. An upload builds on what is in force then, not on what was heard of last, and looks again before it is written.
//!
//! Must never: take one of these for a figure of ours.

pub(crate) mod read;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::ops::RangeInclusive;
use std::sync::{Mutex, PoisonError};

use desk::{DOCUMENT_BYTES_MAX, Desk, Kind, Piece, Stack};
use event::clock::UnixMs;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::orphans;

/// Most versions of a medium's numbers that stay.
pub(crate) const VERSIONS_MAX: usize = 9;
/// Most placements and days of one medium, over all its uploads for a campaign.
pub(crate) const ROWS_MAX: usize = 100_000;
/// The form of the document.
const FORM: u32 = 2;
/// How often an upload is tried if others are given meanwhile.
const TRIES_MAX: u32 = 3;
/// How hard the numbers are compressed.
const LEVEL: i32 = 3;
/// Most bytes of the numbers of a version, unpacked: [`ROWS_MAX`] of the longest rows.
const UNPACKED_BYTES_MAX: u64 = 16 << 20;

/// What a medium says of one placement on one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    /// Impressions.
    pub(crate) impressions: u64,
    /// Clicks, where it says any.
    pub(crate) clicks: Option<u64>,
}

/// By placement and day (days since 1970-01-01).
pub(crate) type Cells = BTreeMap<(String, u16), Said>;

/// One version of what a medium says of a campaign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Version {
    /// From 1.
    #[serde(rename = "version")]
    pub(crate) number: u64,
    /// When it was given.
    pub(crate) at_ms: UnixMs,
    /// By whom: the token's role, id and name.
    pub(crate) by: String,
    /// Rows that were given.
    pub(crate) given_rows: usize,
    /// Whether all that was there before went.
    pub(crate) replaced: bool,
    /// Rows in force with it.
    pub(crate) rows: usize,
    /// First day of these.
    pub(crate) first_day: Option<u16>,
    /// Last day of these.
    pub(crate) last_day: Option<u16>,
    /// Impressions of these.
    pub(crate) impressions: u64,
    /// Clicks of these.
    pub(crate) clicks: u64,
    piece: Piece,
}

/// What one medium gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OfMedium {
    /// Its name in the catalog when it was given.
    pub(crate) medium: String,
    /// Newest last; never empty.
    pub(crate) versions: Vec<Version>,
}

#[derive(Serialize, Deserialize)]
struct Document {
    form: u32,
    campaign: String,
    media: Vec<OfMedium>,
}

/// Why numbers cannot be kept or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NumbersError {
    /// Caller: a medium would have too many.
    #[error(
        "with these the medium {medium} would have numbers for {rows} placements and days of this campaign; at most {ROWS_MAX} are kept"
    )]
    TooMany {
        /// The medium.
        medium: String,
        /// How many there would be.
        rows: usize,
    },
    /// Ours, or whoever changed the desk by hand.
    #[error("the numbers of {campaign} are of a form that this program does not know")]
    Form {
        /// The campaign.
        campaign: String,
    },
    /// Passes by itself.
    #[error("other numbers of {campaign} are being given at the same time")]
    Changing {
        /// The campaign.
        campaign: String,
    },
    /// The desk.
    #[error(transparent)]
    Desk(#[from] desk::Error),
}

/// An upload, checked.
#[derive(Clone, Debug)]
pub(crate) struct Upload {
    /// The campaign.
    pub(crate) campaign: String,
    /// What is said, by medium.
    pub(crate) media: BTreeMap<String, Cells>,
    /// Whether all that these media gave before goes.
    pub(crate) replaces: bool,
    /// By whom.
    pub(crate) by: String,
    /// When.
    pub(crate) at_ms: UnixMs,
}

/// All media with their versions, and those media whose newest version is of an upload.
type Given = (Vec<OfMedium>, Vec<(String, Version)>);

/// Media's own numbers, as they are kept.
pub(crate) struct Numbers {
    desk: Desk,
    /// One upload at a time: each builds on the one before.
    writing: Mutex<()>,
}

impl Numbers {
    pub(crate) fn new(desk: Desk) -> Self {
        Self { desk, writing: Mutex::default() }
    }

    /// Who gave what when, by medium.
    ///
    /// # Errors
    /// See [`NumbersError`].
    pub(crate) fn media(&self, campaign: &str) -> Result<Vec<OfMedium>, NumbersError> {
        read_document(campaign, self.desk.get_heard(Kind::Numbers, &hash(campaign, 16))?.as_deref())
    }

    /// The same, by who has heard everything: for what is written on top of it.
    fn media_now(&self, campaign: &str) -> Result<Vec<OfMedium>, NumbersError> {
        read_document(campaign, self.desk.get(Kind::Numbers, &hash(campaign, 16))?.as_deref())
    }

    /// What a version says of some days.
    ///
    /// # Errors
    /// See [`NumbersError`].
    pub(crate) fn cells_of(
        &self,
        campaign: &str,
        version: &Version,
        days: &RangeInclusive<u16>,
    ) -> Result<Cells, NumbersError> {
        let bytes = self.desk.get_piece(&version.piece)?;
        unpack(&bytes, days).ok_or_else(|| NumbersError::Form { campaign: campaign.to_owned() })
    }

    /// What is in force on some days, of those media and placements (in this order) that are heard. Of two media that say something of one placement,
    /// which happens where it was given to another one in between, the later word counts.
    ///
    /// # Errors
    /// See [`NumbersError`].
    pub(crate) fn in_force(
        &self,
        campaign: &str,
        days: RangeInclusive<u16>,
        is_heard: impl Fn(&str, &str) -> bool,
    ) -> Result<Cells, NumbersError> {
        let media = self.media(campaign)?;
        let mut newest: Vec<(&str, &Version)> =
            media.iter().filter_map(|of| Some((of.medium.as_str(), of.versions.last()?))).collect();
        newest.sort_by_key(|(_, version)| (version.at_ms, version.number));
        let mut cells = Cells::new();
        for (medium, version) in newest {
            let is_outside = version.last_day.is_none_or(|last| last < *days.start())
                || version.first_day.is_none_or(|first| first > *days.end());
            if !is_outside {
                let said = self.cells_of(campaign, version, &days)?;
                cells.extend(said.into_iter().filter(|((placement, _), _)| is_heard(medium, placement)));
            }
        }
        Ok(cells)
    }

    /// Puts an upload in force, whole. Blocks. Answers the media with their versions.
    ///
    /// # Errors
    /// See [`NumbersError`]; after the desk's it may be in force all the same.
    pub(crate) fn give(&self, upload: &Upload) -> Result<Vec<(String, Version)>, NumbersError> {
        let _turn = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        orphans::sweep(&self.desk);
        for _ in 0..TRIES_MAX {
            let before = self.media_now(&upload.campaign)?;
            let (media, given) = self.with(upload, before.clone())?;
            // Whoever settled until a moment ago may have taken an upload too.
            if self.media_now(&upload.campaign)? == before {
                let document = document(&upload.campaign, media);
                self.desk.put(Kind::Numbers, &hash(&upload.campaign, 16), &document)?;
                return Ok(given);
            }
        }
        Err(NumbersError::Changing { campaign: upload.campaign.clone() })
    }

    /// Keeps what an upload says on top of what is in force: all media with their versions, and those of the upload.
    fn with(&self, upload: &Upload, mut media: Vec<OfMedium>) -> Result<Given, NumbersError> {
        let mut given = Vec::new();
        let mut stack = self.desk.stack(&format!("n-{}", hash(&upload.campaign, 16)))?;
        for (medium, cells) in &upload.media {
            let before = media.iter().find(|of| of.medium == *medium).and_then(|of| of.versions.last());
            let mut all = match before {
                Some(before) if !upload.replaces => {
                    self.cells_of(&upload.campaign, before, &(0..=u16::MAX))?
                }
                _ => Cells::new(),
            };
            all.extend(cells.iter().map(|(cell, said)| (cell.clone(), *said)));
            if all.len() > ROWS_MAX {
                return Err(NumbersError::TooMany { medium: medium.clone(), rows: all.len() });
            }
            let number = before.map_or(1, |before| before.number + 1);
            let version = version(upload, (number, cells.len()), &all, &mut stack)?;
            match media.iter_mut().find(|of| of.medium == *medium) {
                Some(of) => of.versions.push(version.clone()),
                None => media.push(OfMedium { medium: medium.clone(), versions: vec![version.clone()] }),
            }
            given.push((medium.clone(), version));
        }
        stack.finish()?;
        Ok((media, given))
    }
}

/// Keeps what a medium says, and what leads to it.
fn version(
    upload: &Upload,
    (number, given_rows): (u64, usize),
    all: &Cells,
    stack: &mut Stack<'_>,
) -> Result<Version, NumbersError> {
    Ok(Version {
        number,
        at_ms: upload.at_ms,
        by: upload.by.clone(),
        given_rows,
        replaced: upload.replaces,
        rows: all.len(),
        first_day: all.keys().map(|(_, day)| *day).min(),
        last_day: all.keys().map(|(_, day)| *day).max(),
        impressions: all.values().map(|said| said.impressions).sum(),
        clicks: all.values().filter_map(|said| said.clicks).sum(),
        piece: stack.add(&pack(all)?)?,
    })
}

fn read_document(campaign: &str, bytes: Option<&[u8]>) -> Result<Vec<OfMedium>, NumbersError> {
    let Some(bytes) = bytes else { return Ok(Vec::new()) };
    let known = known(bytes).filter(|document| document.campaign == campaign);
    known.map(|document| document.media).ok_or_else(|| NumbersError::Form { campaign: campaign.to_owned() })
}

fn known(bytes: &[u8]) -> Option<Document> {
    serde_json::from_slice(bytes).ok().filter(|document: &Document| document.form == FORM)
}

/// The stacks that a document of numbers leads to; `None` for one of another form.
pub(crate) fn stacks(bytes: &[u8]) -> Option<Vec<String>> {
    let media = known(bytes)?.media.into_iter();
    Some(media.flat_map(|of| of.versions).map(|version| version.piece.stack).collect())
}

/// The document, without the oldest versions: those that are too many, and those for which it has no room.
fn document(campaign: &str, mut media: Vec<OfMedium>) -> Vec<u8> {
    for of in &mut media {
        let surplus = of.versions.len().saturating_sub(VERSIONS_MAX);
        of.versions.drain(..surplus);
    }
    let mut document = Document { form: FORM, campaign: campaign.to_owned(), media };
    loop {
        let bytes = serde_json::to_vec(&document).expect("a document can always be written");
        let longest = document.media.iter_mut().max_by_key(|of| of.versions.len());
        match longest {
            Some(of) if bytes.len() > DOCUMENT_BYTES_MAX && of.versions.len() > 1 => {
                of.versions.remove(0);
            }
            _ => return bytes,
        }
    }
}

fn pack(cells: &Cells) -> Result<Vec<u8>, desk::Error> {
    use std::fmt::Write as _;
    let mut text = String::new();
    for ((placement, day), said) in cells {
        let clicks = said.clicks.map(|clicks| clicks.to_string()).unwrap_or_default();
        let _ = writeln!(text, "{placement}\t{day}\t{}\t{clicks}", said.impressions);
    }
    let failed = |error| desk::Error::File { path: "numbers".into(), error };
    zstd::bulk::compress(text.as_bytes(), LEVEL).map_err(failed)
}

/// What is said of some days.
fn unpack(bytes: &[u8], days: &RangeInclusive<u16>) -> Option<Cells> {
    let mut reader = BufReader::new(zstd::Decoder::new(bytes).ok()?.take(UNPACKED_BYTES_MAX));
    let (mut cells, mut line) = (Cells::new(), String::new());
    while reader.read_line(&mut line).ok()? > 0 {
        let mut fields = line.trim_end_matches('\n').split('\t');
        let (placement, day) = (fields.next()?, fields.next()?.parse().ok()?);
        let impressions = fields.next()?.parse().ok()?;
        let clicks = match fields.next()? {
            "" => None,
            clicks => Some(clicks.parse().ok()?),
        };
        if fields.next().is_some() {
            return None;
        }
        if days.contains(&day) {
            cells.insert((placement.to_owned(), day), Said { impressions, clicks });
        }
        line.clear();
    }
    Some(cells)
}

/// The first bytes of a name's SHA-256, as hexadecimal digits: an id of the desk, whatever the name holds.
pub(crate) fn hash(name: &str, bytes: usize) -> String {
    let hash = Sha256::digest(name.as_bytes());
    crate::tokens::hex(hash.get(..bytes).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(rows: &[(&str, u16, u64, Option<u64>)]) -> Cells {
        rows.iter()
            .map(|(placement, day, impressions, clicks)| {
                (((*placement).to_owned(), *day), Said { impressions: *impressions, clicks: *clicks })
            })
            .collect()
    }

    fn upload(media: &[(&str, Cells)], at_ms: i64) -> Upload {
        Upload {
            campaign: "c.1".to_owned(),
            media: media.iter().map(|(medium, cells)| ((*medium).to_owned(), cells.clone())).collect(),
            replaces: false,
            by: "operator".to_owned(),
            at_ms,
        }
    }

    #[test]
    fn each_version_is_whole_and_old_ones_can_be_read_as_long_as_they_are_listed() {
        let dir = tempfile::tempdir().expect("a folder");
        let numbers = Numbers::new(Desk::folder(dir.path()).expect("a desk"));
        numbers.give(&upload(&[("A", cells(&[("p1", 7, 100, Some(3))]))], 1)).expect("kept");
        for day in 8..40 {
            numbers
                .give(&upload(&[("A", cells(&[("p1", day, u64::from(day), None)]))], i64::from(day)))
                .expect("kept");
        }
        let numbers = Numbers::new(Desk::folder(dir.path()).expect("opened again"));
        let media = numbers.media("c.1").expect("known");
        let versions = &media[0].versions;
        assert_eq!((versions.len(), versions[0].number, versions[8].number), (9, 25, 33));
        for version in versions {
            let said = numbers.cells_of("c.1", version, &(0..=u16::MAX)).expect("readable");
            assert_eq!((said.len(), version.rows), (version.number as usize, version.number as usize));
            assert_eq!(said[&("p1".to_owned(), 7)], Said { impressions: 100, clicks: Some(3) });
        }
        let some = numbers.in_force("c.1", 8..=9, |_, _| true).expect("known");
        assert_eq!(some, cells(&[("p1", 8, 8, None), ("p1", 9, 9, None)]));
        assert!(numbers.in_force("c.1", 100..=200, |_, _| true).expect("known").is_empty());
        assert!(numbers.media("c.2").expect("known").is_empty());
    }

    #[test]
    fn the_later_word_on_a_cell_counts_and_a_new_beginning_drops_what_was_before() {
        let dir = tempfile::tempdir().expect("a folder");
        let numbers = Numbers::new(Desk::folder(dir.path()).expect("a desk"));
        let (a, b) = (cells(&[("p1", 7, 1, None), ("p2", 7, 1, None)]), cells(&[("p1", 7, 2, None)]));
        numbers.give(&upload(&[("A", a), ("B", b)], 1)).expect("kept");
        numbers.give(&upload(&[("A", cells(&[("p1", 7, 3, None)]))], 2)).expect("kept");
        let now = |numbers: &Numbers| numbers.in_force("c.1", 0..=u16::MAX, |_, _| true).expect("known");
        assert_eq!(now(&numbers), cells(&[("p1", 7, 3, None), ("p2", 7, 1, None)]));
        let replaces = Upload { replaces: true, ..upload(&[("A", cells(&[("p3", 9, 5, None)]))], 3) };
        numbers.give(&replaces).expect("kept");
        assert_eq!(now(&numbers), cells(&[("p1", 7, 2, None), ("p3", 9, 5, None)]));
    }

    #[test]
    fn there_is_a_limit_and_beyond_it_nothing_is_taken() {
        let dir = tempfile::tempdir().expect("a folder");
        let numbers = Numbers::new(Desk::folder(dir.path()).expect("a desk"));
        let many: Cells = (0..=ROWS_MAX)
            .map(|n| {
                ((format!("p{}", n / 60_000), (n % 60_000) as u16), Said { impressions: 1, clicks: None })
            })
            .collect();
        let refused = numbers.give(&upload(&[("A", cells(&[("p1", 1, 1, None)])), ("B", many)], 1));
        assert!(matches!(refused, Err(NumbersError::TooMany { rows: 100_001, .. })));
        assert!(numbers.media("c.1").expect("known").is_empty());
    }

    #[test]
    fn many_media_have_fewer_versions_each_and_the_document_fits() {
        let dir = tempfile::tempdir().expect("a folder");
        let numbers = Numbers::new(Desk::folder(dir.path()).expect("a desk"));
        let names: Vec<String> = (0..60).map(|n| format!("Medium number {n}")).collect();
        for at_ms in 1..8 {
            let media: Vec<(&str, Cells)> =
                names.iter().map(|name| (name.as_str(), cells(&[("p1", 1, 1, None)]))).collect();
            numbers.give(&upload(&media, at_ms)).expect("fits");
        }
        let media = numbers.media("c.1").expect("known");
        assert_eq!(media.len(), 60);
        assert!(media.iter().all(|of| of.versions.last().is_some_and(|last| last.number == 7)));
    }

    #[test]
    fn a_document_of_another_form_is_told_and_nothing_is_written_over_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let desk = Desk::folder(dir.path()).expect("a desk");
        let numbers = Numbers::new(desk.clone());
        let other = br#"{"form":9,"campaign":"c.1","media":[]}"#;
        desk.put(Kind::Numbers, &hash("c.1", 16), other).expect("put");
        assert!(matches!(numbers.media("c.1"), Err(NumbersError::Form { .. })));
        let refused = numbers.give(&upload(&[("A", cells(&[("p1", 7, 1, None)]))], 1));
        assert!(matches!(refused, Err(NumbersError::Form { .. })));
        assert_eq!(desk.get(Kind::Numbers, &hash("c.1", 16)).expect("known").as_deref(), Some(&other[..]));
    }
}
