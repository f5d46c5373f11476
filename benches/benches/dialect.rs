//! What a grammar that is data costs: a real hit of the MMA China SDK in Miaozhen's grammar, with six identifiers, read by its table and read by
//! a parser that was written by hand for this grammar alone. Both end in the same [`Hit`], which is checked first.

// A step that fails here ends the measurement.
#![allow(clippy::expect_used, missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use event::dialect::{Dialects, Scratch, is_unreplaced_macro, limit};
use event::hit::{Hit, is_catalog_id};
use event::identifier::{IdField, identify};
use event::key::KeyRing;
use event::outcome::Outcome;
use event::profile::Remap;
use event::record::Platform;
use event::stage::Stage;

/// The hit when an ad begins to render, as the Android SDK writes it: the template's macros, then its own parameters, then `o`.
const PATH: &str = "/x/k=2070777&p=7CmBF&dx=__IPDX__&rt=2&ns=__IP__&ni=__IESID__&v=__LOC__&xa=__ADPLATFORM__&tr=__REQUESTID__\
    &vg=__AUTOPLAY__&nh=__AUTOREFRESH__&m0a=__DUID__&va=1&mo=0&mt=1795219187&m6a=9e86b8c4f1d47bb33dd48ebd0e47aaf4\
    &m1a=d82d3ef1b3d2a5a9a4d7a14f0c9b73a1&m2=5ccdba2dda1f5d2c5b5d8dd3dcd6ec22&m11=3f8a2c1de54b7a90\
    &m11a=0f3c81d17ae95b53f8a9ff2c94f2ba7b&m10=6f1e9d3c2b5a4f70&mw=1&mp=com.example.video&mn=%E8%A7%86%E9%A2%91&mh=1080x2340\
    &m4=6a0f4f2b71c1e5b9d2b6c0a7e8d9f013&md=PEXM00&me=13&mv=V2.2.5&svl=%7B%22l1%22%3A%220%22%2C%22l2%22%3A%220%22%2C%22l3%22%3A%220%22%2C%22l4%22%3A0%7D\
    &mf=c1d8f7a4&vx=0&br=1&vf=d57b5b1c0b8f4c0b8d7f1f8c6a4f2e91&o=";

/// Names that the hand-written parser drops.
const DROPPED: [&str; 35] = [
    "dx", "rt", "ni", "v", "xa", "vg", "nh", "m0a", "va", "m10", "mw", "mp", "mn", "mh", "md", "me", "mv",
    "mf", "mj", "ml", "mm", "nx", "nd", "nn", "ng", "nc", "nt", "np", "nf", "ne", "tr2", "tr3", "vo", "vr",
    "vv",
];

/// Place of a name among [`DROPPED`].
fn dropped(name: &[u8]) -> Option<usize> {
    Some(match name {
        b"dx" => 0,
        b"rt" => 1,
        b"ni" => 2,
        b"v" => 3,
        b"xa" => 4,
        b"vg" => 5,
        b"nh" => 6,
        b"m0a" => 7,
        b"va" => 8,
        b"m10" => 9,
        b"mw" => 10,
        b"mp" => 11,
        b"mn" => 12,
        b"mh" => 13,
        b"md" => 14,
        b"me" => 15,
        b"mv" => 16,
        b"mf" => 17,
        b"mj" => 18,
        b"ml" => 19,
        b"mm" => 20,
        b"nx" => 21,
        b"nd" => 22,
        b"nn" => 23,
        b"ng" => 24,
        b"nc" => 25,
        b"nt" => 26,
        b"np" => 27,
        b"nf" => 28,
        b"ne" => 29,
        b"tr2" => 30,
        b"tr3" => 31,
        b"vo" => 32,
        b"vr" => 33,
        b"vv" => 34,
        _ => return None,
    })
}

/// The grammar by hand: one match on the name, each field filled where it stands.
#[derive(Default)]
struct ByHand<'a> {
    hit: Hit<'a>,
    marks: [&'a [u8]; 3],
    defect: Option<Outcome>,
    /// The table's numbers of [`DROPPED`], so that both end in the same hit.
    numbers: &'a [u8],
}

/// As `read`, from a path into a buffer that is kept.
fn by_hand<'a>(path: &str, scratch: &'a mut Vec<u8>, numbers: &'a [u8]) -> (Hit<'a>, Option<Outcome>) {
    let parameters = path.strip_prefix("/x/").unwrap_or_default();
    scratch.clear();
    scratch.extend_from_slice(parameters.as_bytes());
    ByHand::read(scratch, numbers)
}

impl<'a> ByHand<'a> {
    fn read(text: &'a mut [u8], numbers: &'a [u8]) -> (Hit<'a>, Option<Outcome>) {
        let mut this = Self { numbers, ..Self::default() };
        let mut rest = text;
        while !rest.is_empty() {
            if rest.starts_with(b"o=") {
                let url = rest.get_mut(2..).unwrap_or_default();
                let is_plain = url.starts_with(b"http://") || url.starts_with(b"https://");
                let url = if is_plain { Some(&*url) } else { decode(url) };
                this.hit.landing_url = url.filter(|url| !url.is_empty());
                break;
            }
            let end = memchr::memchr(b'&', rest).unwrap_or(rest.len());
            let (item, tail) = rest.split_at_mut(end);
            rest = tail.get_mut(1..).unwrap_or_default();
            if let Err(defect) = this.item(item) {
                this.defect.get_or_insert(defect);
            }
        }
        this.hit.stage = this.stage();
        if this.hit.stage.is_none() {
            this.defect.get_or_insert(Outcome::UnknownStage);
        }
        (this.hit, this.defect)
    }

    fn stage(&self) -> Option<Stage> {
        let [br, vx, vc] = self.marks;
        Some(match (br, vc, vx) {
            (b"1", ..) | (b"", b"", b"" | b"0") => Stage::Impression,
            (_, b"25", _) => Stage::FirstQuartile,
            (_, b"50", _) => Stage::Midpoint,
            (_, b"75", _) => Stage::ThirdQuartile,
            (_, b"100", _) => Stage::Complete,
            (.., b"1") => Stage::Viewable,
            (.., b"4") => Stage::NotViewable,
            (.., b"2") => Stage::NotMeasurable,
            (b"0", ..) => Stage::Tracked,
            _ => return None,
        })
    }

    fn item(&mut self, item: &'a mut [u8]) -> Result<(), Outcome> {
        let Some(name_len) = memchr::memchr(b'=', item) else { return Ok(()) };
        let (name, value) = item.split_at_mut(name_len);
        let value = value.get_mut(1..).unwrap_or_default();
        let hit = &mut self.hit;
        let macros = &mut hit.macros_unreplaced;
        match &*name {
            b"k" => put_catalog_id(&mut hit.campaign, macros, value),
            b"p" => put_catalog_id(&mut hit.placement, macros, value),
            b"tr" => put(&mut hit.request_id, macros, value, limit::REQUEST_ID_BYTES_MAX),
            b"vf" => put(&mut hit.group_id, macros, value, limit::REQUEST_ID_BYTES_MAX),
            b"mt" => put(&mut hit.time, macros, value, limit::TIME_BYTES_MAX),
            b"ns" => put(&mut hit.ip, macros, value, limit::IP_BYTES_MAX),
            b"mo" => put(&mut hit.os, macros, value, limit::OS_BYTES_MAX),
            b"m0" => self.id(IdField::OpenUdid, value),
            b"m1" => self.id(IdField::AndroidId, value),
            b"m1a" => self.id(IdField::AndroidIdMd5, value),
            b"m2" => self.id(IdField::ImeiMd5, value),
            b"m3" => self.id(IdField::Imei, value),
            b"m4" => self.id(IdField::Aaid, value),
            b"m5" => self.id(IdField::Idfa, value),
            b"m5a" => self.id(IdField::Idfv, value),
            b"m5b" => self.id(IdField::IdfaMd5, value),
            b"m6" => self.id(IdField::MacColonsMd5, value),
            b"m6a" => self.id(IdField::MacMd5, value),
            b"m11" => self.id(IdField::Oaid, value),
            b"m11a" => self.id(IdField::OaidMd5, value),
            b"m14" => self.id(IdField::Caid, value),
            b"m14a" => self.id(IdField::CaidMd5, value),
            b"br" => self.mark(0, value),
            b"vx" => self.mark(1, value),
            b"vc" => self.mark(2, value),
            b"svl" => self.risk(value),
            name => {
                match dropped(name).and_then(|place| self.numbers.get(place)) {
                    Some(number) => self.hit.parameters_dropped.insert(*number),
                    None => self.hit.parameters_unknown = self.hit.parameters_unknown.saturating_add(1),
                }
                Ok(())
            }
        }
    }

    fn id(&mut self, field: IdField, value: &'a mut [u8]) -> Result<(), Outcome> {
        let Some(slot) = self.hit.ids.get_mut(field as usize) else { return Ok(()) };
        put(slot, &mut self.hit.macros_unreplaced, value, limit::ID_BYTES_MAX)
    }

    fn mark(&mut self, number: usize, value: &'a mut [u8]) -> Result<(), Outcome> {
        if let Some(value) = usable(&mut self.hit.macros_unreplaced, value)?
            && let Some(mark) = self.marks.get_mut(number)
        {
            *mark = value;
        }
        Ok(())
    }

    fn risk(&mut self, value: &'a mut [u8]) -> Result<(), Outcome> {
        let value = decode(value).ok_or(Outcome::Malformed)?;
        for (flag, bit) in
            [(&b"\"l1\":\"1\""[..], 1), (b"\"l2\":\"1\"", 2), (b"\"l3\":\"1\"", 4), (b"\"l4\":1", 8)]
        {
            let is_set = memchr::memmem::find(value, flag).is_some();
            self.hit.device_risk |= if is_set { bit } else { 0 };
        }
        Ok(())
    }
}

fn put<'a>(
    slot: &mut Option<&'a [u8]>,
    macros: &mut u8,
    value: &'a mut [u8],
    bytes_max: usize,
) -> Result<(), Outcome> {
    let Some(value) = usable(macros, value)? else { return Ok(()) };
    if value.len() > bytes_max {
        return Err(Outcome::TooLong);
    }
    *slot = Some(value);
    Ok(())
}

fn put_catalog_id<'a>(
    slot: &mut Option<&'a [u8]>,
    macros: &mut u8,
    value: &'a mut [u8],
) -> Result<(), Outcome> {
    let Some(value) = usable(macros, value)? else { return Ok(()) };
    if value.len() > limit::CATALOG_ID_BYTES_MAX {
        return Err(Outcome::TooLong);
    }
    *slot = Some(value).filter(|value| is_catalog_id(value));
    if slot.is_some() { Ok(()) } else { Err(Outcome::Malformed) }
}

fn usable<'a>(macros: &mut u8, value: &'a mut [u8]) -> Result<Option<&'a [u8]>, Outcome> {
    let value = decode(value).ok_or(Outcome::Malformed)?.trim_ascii();
    if value.is_empty() {
        return Ok(None);
    }
    if is_unreplaced_macro(value) {
        *macros = macros.saturating_add(1);
        return Ok(None);
    }
    Ok(Some(value))
}

fn decode(value: &mut [u8]) -> Option<&[u8]> {
    let Some(first) = memchr::memchr(b'%', value) else { return Some(value) };
    let (mut from, mut to) = (first, first);
    while let Some(&byte) = value.get(from) {
        let decoded = if byte == b'%' {
            let digit = |at: usize| value.get(at).and_then(|digit| char::from(*digit).to_digit(16));
            let (high, low) = (digit(from + 1)?, digit(from + 2)?);
            from += 3;
            (high << 4 | low) as u8
        } else {
            from += 1;
            byte
        };
        *value.get_mut(to)? = decoded;
        to += 1;
    }
    value.get(..to)
}

fn keys() -> KeyRing {
    let mut next = 0_u8;
    KeyRing::generate(|bytes| {
        bytes.fill_with(|| {
            next = next.wrapping_mul(37).wrapping_add(11);
            next
        });
    })
}

/// Both parsers say the same of the hit, or the comparison is of no use.
fn check(numbers: &[u8]) {
    let (mut scratch, mut bytes) = (Scratch::new(), Vec::new());
    let by_table = Dialects::built_in().route(PATH, None).expect("it is Miaozhen's").read(&mut scratch);
    let (by_hand, defect) = by_hand(PATH, &mut bytes, numbers);
    let table = by_table.hit;
    assert_eq!((by_table.defect, defect), (None, None));
    assert_eq!(table.ids, by_hand.ids);
    assert_eq!(table.ids.iter().flatten().count(), 6);
    assert_eq!(
        (table.campaign, table.placement, table.stage),
        (by_hand.campaign, by_hand.placement, by_hand.stage)
    );
    assert_eq!((table.time, table.os, table.group_id), (by_hand.time, by_hand.os, by_hand.group_id));
    assert_eq!(
        (table.device_risk, table.macros_unreplaced),
        (by_hand.device_risk, by_hand.macros_unreplaced)
    );
    assert_eq!(table.parameters_dropped, by_hand.parameters_dropped);
    assert_eq!(table.parameters_unknown, by_hand.parameters_unknown);
}

fn dialect(criterion: &mut Criterion) {
    event::prepare();
    let set = Dialects::built_in();
    let table = set.get("miaozhen").expect("it is built in");
    let number_of = |name: &&str| table.dropped_names().iter().position(|known| **known == **name);
    let numbers: Vec<u8> =
        DROPPED.iter().map(|name| number_of(name).expect("the table drops it") as u8).collect();
    check(&numbers);

    let mut group = criterion.benchmark_group("dialect");
    group.throughput(Throughput::Elements(1));
    let mut scratch = Scratch::new();
    group.bench_function(format!("by table ({} bytes, six ids)", PATH.len()), |bench| {
        bench.iter(|| {
            let entry = set.route(black_box(PATH), None).expect("it is Miaozhen's");
            black_box(entry.read(&mut scratch)).defect
        });
    });
    let mut bytes = Vec::new();
    group.bench_function("by hand", |bench| {
        bench.iter(|| black_box(by_hand(black_box(PATH), &mut bytes, &numbers)).1);
    });
    group.bench_function("route alone", |bench| {
        bench.iter(|| set.route(black_box(PATH), None).is_some());
    });
    let keys = keys();
    group.bench_function("by table, and identify", |bench| {
        bench.iter(|| {
            let entry = set.route(black_box(PATH), None).expect("it is Miaozhen's");
            let reading = entry.read(&mut scratch);
            identify(&reading.hit, Platform::Android, &keys, Remap::none())
        });
    });
    group.finish();
}

criterion_group!(benches, dialect);
criterion_main!(benches);
