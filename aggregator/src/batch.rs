//! A batch of decoded records on its way into the store: rows in RowBinary, by table and day.
//!
//! Owns the byte form of a row (the columns in the order of `sql/part/event_fields.sql`) and what a batch changes. Must never guess: a record that
//! cannot be decoded is set aside as it is.
//!
//! RowBinary: integers little-endian; `Date` as u16 days; `DateTime64(3)` as i64 milliseconds; `String` as a LEB128 length and its bytes.

use std::collections::{BTreeMap, BTreeSet};

use catalog::{Catalog, Found};
use event::key::DeviceKey;
use event::outcome::Outcome;
use event::record::{self, Event, OutcomeCounts, Record, RegionLibrary, TrialHit, flag};
use sha2::{Digest, Sha256};

use crate::changed;
use crate::pairs::Paired;
use crate::rights::tombstones::Erased;
use crate::rules::network_number;

/// Portions in which a day is settled; see `schema/events.sql`.
pub(crate) const BUCKETS: u64 = 16;
/// Campaigns whose hash is remembered; strangers can name any number of unknown ones.
const CAMPAIGNS_REMEMBERED_MAX: usize = 4096;

/// Rows that go in together.
#[derive(Default)]
pub(crate) struct Batch {
    /// Events by campaign-local day.
    pub(crate) events: BTreeMap<u16, Vec<u8>>,
    pub(crate) unresolved: Vec<u8>,
    /// Events of placements in their trial state: in no figure.
    pub(crate) trial_events: Vec<u8>,
    pub(crate) trial_hits: Vec<u8>,
    /// Pairs of devices while two keys overlap.
    pub(crate) pairs: Vec<u8>,
    pub(crate) set_aside: Vec<u8>,
    /// The newest outcome counts of each journal, with their sequence numbers: frames may come again after newer ones.
    pub(crate) books: BTreeMap<u64, (u64, Vec<u8>)>,
    pub(crate) region_libraries: Vec<u8>,
    /// Days whose figures change.
    pub(crate) days: BTreeSet<u16>,
    /// Records taken in, of any kind.
    pub(crate) records: u64,
    pub(crate) records_set_aside: u64,
    /// Whether the catalog knows an unresolved hit by now.
    pub(crate) adoptable: bool,
    /// Versions of the catalogs in which unresolved hits were looked up.
    pub(crate) catalogs: BTreeSet<u32>,
    /// Records that damage took out of the journal before these.
    pub(crate) lost: u64,
    bytes: usize,
}

/// What a record is taken in by.
pub(crate) struct Context<'a> {
    pub(crate) keys: &'a mut ViewKeys,
    /// Pairs that were written.
    pub(crate) paired: &'a mut Paired,
    /// Tells which unresolved hits can be adopted at once.
    pub(crate) catalog: &'a Catalog,
    /// Dates what has to be set aside.
    pub(crate) now_ms: i64,
    /// What may not be kept as it came.
    pub(crate) erased: &'a Erased,
}

/// Keys a view by its campaign, so that one request id in two campaigns ties nothing.
#[derive(Default)]
pub(crate) struct ViewKeys {
    campaigns: ahash::HashMap<String, u64>,
}

impl ViewKeys {
    fn key(&mut self, campaign: &str, view: u64) -> u64 {
        if view == 0 {
            return 0;
        }
        let salt = if let Some(salt) = self.campaigns.get(campaign) {
            *salt
        } else {
            if self.campaigns.len() >= CAMPAIGNS_REMEMBERED_MAX {
                self.campaigns.clear();
            }
            let salt = first_eight(&Sha256::digest(campaign.as_bytes()));
            self.campaigns.insert(campaign.to_owned(), salt);
            salt
        };
        mix(view ^ salt).max(1)
    }
}

/// SplitMix64's finalizer: a bijection, so that views of one campaign stay apart. Stored values depend on it: never change it.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn first_eight(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

impl Batch {
    /// Bytes of the records taken in.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes in one record of the journal.
    pub(crate) fn add(&mut self, context: &mut Context<'_>, identity: (u64, u64), bytes: &[u8]) {
        self.records += 1;
        self.bytes += bytes.len();
        match record::decode(bytes) {
            Ok(Record::Event(event)) => {
                // Of what is erased too: it tells the devices of a view apart.
                let epoch = event.device.map_or(0, |device| device.epoch);
                let event = context.erased.blank(event);
                self.add_event(context, identity, (&event, epoch));
            }
            Ok(Record::Outcomes(counts)) => {
                let newest = self.books.entry(identity.0).or_default();
                if newest.1.is_empty() || newest.0 < identity.1 {
                    *newest = (identity.1, books_row(identity, &counts));
                }
            }
            Ok(Record::TrialHit(hit)) => trial_row(&mut self.trial_hits, identity, &hit),
            Ok(Record::RegionLibrary(library)) => library_row(&mut self.region_libraries, identity, &library),
            Err(_) => {
                self.records_set_aside += 1;
                let out = &mut self.set_aside;
                put(out, identity.0);
                put(out, identity.1);
                out.extend_from_slice(&context.now_ms.to_le_bytes());
                out.push(bytes.first().copied().unwrap_or(0));
                put_text(out, bytes);
            }
        }
    }

    fn add_event(&mut self, context: &mut Context<'_>, identity: (u64, u64), hit: (&Event<'_>, u16)) {
        let (event, _) = hit;
        let catalog = context.catalog;
        let view = context.keys.key(event.campaign, event.view);
        if let Some(device) = event.device.as_ref().filter(|_| event.flags & flag::TRIAL == 0) {
            context.paired.take(&mut self.pairs, device, context.now_ms);
        }
        if let Some(day) = event.day.filter(|_| event.flags & flag::UNRESOLVED == 0) {
            if event.flags & flag::TRIAL != 0 {
                event_row(&mut self.trial_events, identity, hit, day, view);
                return;
            }
            changed::add_days(&mut self.days, day, event.hour, event.stage, view);
            event_row(self.events.entry(day).or_default(), identity, hit, day, view);
        } else {
            let found = catalog.find(event.campaign.as_bytes(), event.placement.as_bytes());
            self.adoptable |= matches!(found, Found::Known(..));
            self.catalogs.insert(catalog.version);
            event_row(&mut self.unresolved, identity, hit, 0, view);
        }
    }
}

/// What stands for a device in the store. 0 says "no device"; the one key in 2⁶⁴ that would read so gets 1.
pub(crate) fn device_number(key: &DeviceKey) -> u64 {
    first_eight(&key.0).max(1)
}

fn event_row(
    out: &mut Vec<u8>,
    (journal, seq): (u64, u64),
    (event, epoch): (&Event<'_>, u16),
    day: u16,
    view: u64,
) {
    put(out, journal);
    put(out, seq);
    out.extend_from_slice(&event.received_ms.to_le_bytes());
    out.extend_from_slice(&event.time_ms.to_le_bytes());
    let key_time =
        if event.flags & flag::DUPLICATE_BY_TIME == 0 { 0 } else { event.client_time_ms.unwrap_or(0) };
    out.extend_from_slice(&key_time.to_le_bytes());
    out.extend_from_slice(&day.to_le_bytes());
    out.push(event.hour);
    for text in [event.campaign, event.placement, event.creative, event.region] {
        put_text(out, text.as_bytes());
    }
    out.extend_from_slice(&[event.stage as u8, event.source as u8, event.platform as u8]);
    out.push(event.device.map_or(0, |device| device.kind as u8));
    out.extend_from_slice(&epoch.to_le_bytes());
    out.extend_from_slice(&event.flags.to_le_bytes());
    out.extend_from_slice(&event.catalog_version.to_le_bytes());
    put(out, event.device.map_or(0, |device| device_number(&device.key)));
    put(out, view);
    out.push(((if view == 0 { seq } else { view }) % BUCKETS) as u8);
    put(out, network_number(event.network));
    put_text(out, event.agent.as_bytes());
    put_text(out, event.site.as_bytes());
}

fn trial_row(out: &mut Vec<u8>, (journal, seq): (u64, u64), hit: &TrialHit<'_>) {
    put(out, journal);
    put(out, seq);
    out.extend_from_slice(&hit.received_ms.to_le_bytes());
    out.push(u8::from(hit.client_clock_ms.is_some()));
    out.extend_from_slice(&hit.client_clock_ms.unwrap_or(0).to_le_bytes());
    for text in [hit.campaign, hit.placement, hit.dialect] {
        put_text(out, text.as_bytes());
    }
    out.push(hit.stage.map_or(0, |stage| stage as u8));
    out.extend_from_slice(&[hit.outcome as u8, hit.source as u8, hit.platform as u8]);
    for bits in [hit.flags, hit.ids_present, hit.ids_usable] {
        out.extend_from_slice(&bits.to_le_bytes());
    }
    out.extend_from_slice(&[hit.macros_unreplaced, hit.parameters_unknown]);
    put_text(out, hit.dropped.as_bytes());
}

fn library_row(out: &mut Vec<u8>, (journal, seq): (u64, u64), library: &RegionLibrary<'_>) {
    put(out, journal);
    put(out, seq);
    out.extend_from_slice(&library.at_ms.to_le_bytes());
    put(out, library.built);
    out.extend_from_slice(&library.version.to_le_bytes());
    put_text(out, library.name.as_bytes());
}

fn books_row((journal, seq): (u64, u64), counts: &OutcomeCounts) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + 8 * Outcome::COUNT);
    put(&mut out, journal);
    put(&mut out, seq);
    out.extend_from_slice(&counts.at_ms.to_le_bytes());
    put(&mut out, counts.received);
    put(&mut out, counts.pending);
    put_length(&mut out, counts.outcomes.len());
    for count in counts.outcomes {
        put(&mut out, count);
    }
    out
}

pub(crate) fn put(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}

pub(crate) fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    put_length(out, text.len());
    out.extend_from_slice(text);
}

pub(crate) fn put_length(out: &mut Vec<u8>, mut length: usize) {
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_is_keyed_by_its_campaign_and_stays_as_it_is() {
        let mut keys = ViewKeys::default();
        assert_eq!(keys.key("demo", 0), 0);
        let one = keys.key("demo", 7);
        assert_eq!(one, ViewKeys::default().key("demo", 7));
        assert_ne!(one, keys.key("other", 7));
        // Stored rows depend on this number.
        assert_eq!(one, 4_289_643_823_956_108_908);
    }

    #[test]
    fn what_cannot_be_decoded_is_set_aside_whole() {
        let mut batch = Batch::default();
        let catalog = Catalog::parse("", "catalog.toml").expect("an empty catalog");
        let erased = Erased::default();
        let context = &mut Context {
            keys: &mut ViewKeys::default(),
            paired: &mut Paired::default(),
            catalog: &catalog,
            now_ms: 9,
            erased: &erased,
        };
        batch.add(context, (1, 2), &[250, 1, 2, 3]);
        assert_eq!((batch.records, batch.records_set_aside), (1, 1));
        assert!(batch.set_aside.ends_with(&[250, 4, 250, 1, 2, 3]));
        assert!(batch.events.is_empty() && batch.days.is_empty());
    }

    #[test]
    fn lengths_are_leb128() {
        let mut out = Vec::new();
        put_length(&mut out, 127);
        put_length(&mut out, 300);
        assert_eq!(out, [127, 0xac, 2]);
    }
}
