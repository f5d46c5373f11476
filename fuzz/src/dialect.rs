//! The way of a target in each dialect: route, grammar, fields, stage. The first byte of an input says which of the dialect's paths, the rest is
//! what stands behind it, `?` and query included. Any bytes give a hit or a reason, and:
//!
//! * reading again with a used buffer gives the same;
//! * no field is longer than its limit, is not trimmed, or holds an unreplaced macro; flags are flags;
//! * a hit without a defect has a stage, a click on a click's path;
//! * a landing URL stands in the target as it is, where nothing in it is escaped;
//! * an identifier is found in the fields of identifiers and nowhere else;
//! * what is explained are the parts that were read.

use event::dialect::{Dialects, Entry, PartMeaning, PartState, Scratch, is_unreplaced_macro, limit};
use event::hit::{Field, Hit};
use event::identifier::IdField;
use event::stage::Stage;

use crate::parser;

/// An identifier that no input holds by chance.
const SENTINEL: &str = "feedfacecafebeef0badf00d5eaf00d5";

/// A dialect: its paths, and an item with [`SENTINEL`] for an identifier, with the separator behind it; none where the first item has no name.
struct Dialect {
    name: &'static str,
    paths: &'static [&'static str],
    id: Option<(&'static str, char)>,
}

const DIALECTS: [Dialect; 10] = [
    Dialect { name: "native", paths: &["/i?", "/c?", "/e/viewable?", "/e/"], id: Some(("oaid=", '&')) },
    Dialect { name: "miaozhen", paths: &["/x/", "/r/", "/x?", "/r.gif?"], id: Some(("m2=", '&')) },
    Dialect { name: "admaster", paths: &["/i/", "/c/", "/w/"], id: Some(("0c", ',')) },
    Dialect {
        name: "cm360",
        paths: &["/ddm/trackimp/", "/ddm/trackclk/", "/ddm/trackimp/N1/B1.2;"],
        id: None,
    },
    Dialect { name: "nielsen", paths: &["/hat?_t=i&", "/hat?_t=r&"], id: Some(("imei=", '&')) },
    Dialect { name: "gridsum", paths: &["/v/?", "/r/?gid=gad_1_2&"], id: Some(("im=", '&')) },
    Dialect {
        name: "talkingdata",
        paths: &["/talkingdata/i?", "/talkingdata/c?"],
        id: Some(("imei_md5=", '&')),
    },
    Dialect { name: "rtbasia", paths: &["/rtbasia/i?", "/rtbasia/c?"], id: Some(("rim=", '&')) },
    Dialect { name: "adbug", paths: &["/adbug/i/", "/adbug/c?"], id: Some(("n", '&')) },
    Dialect {
        name: "vast",
        paths: &["/vast/start?", "/vast/", "/vast/clickThrough?"],
        id: Some(("ifa=", '&')),
    },
];

/// One target of a dialect.
pub fn run(name: &str, input: &[u8]) {
    let dialect = DIALECTS.iter().find(|dialect| dialect.name == name).expect("a dialect of the list");
    let Some((choice, rest)) = input.split_first() else { return };
    // A target that comes through HTTP is text.
    let rest = String::from_utf8_lossy(rest);
    let path = dialect.paths[usize::from(*choice) % dialect.paths.len()];
    let target = format!("{path}{rest}");
    let Some(entry) = route(&target) else { return };
    if entry.table.name() != name {
        return;
    }
    read(&entry, &target);
    if let Some((id, separator)) = dialect.id
        && !rest.contains("feedface")
    {
        let target = match path.split_once('?') {
            Some((path, query)) => format!("{path}?{query}{id}{SENTINEL}{separator}{rest}"),
            None => format!("{path}{id}{SENTINEL}{separator}{rest}"),
        };
        identified(&target);
    }
}

fn route(target: &str) -> Option<Entry<'static, '_>> {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    Dialects::built_in().route(path, query)
}

fn read(entry: &Entry<'_, '_>, target: &str) {
    let (mut scratch, mut again) = (Scratch::new(), Scratch::new());
    let _ = route("/x/k=another&m2=%41&o=https://example.com/").expect("Miaozhen's").read(&mut again);
    let reading = entry.read(&mut scratch);
    let second = entry.read(&mut again);
    assert_eq!((reading.defect, reading.hit.stage), (second.defect, second.hit.stage));
    assert_eq!(parser::fields(&reading.hit), parser::fields(&second.hit));
    let hit = &reading.hit;
    for (name, value) in fields(hit) {
        assert!(!value.is_empty() && value == value.trim_ascii(), "{name} is trimmed");
        assert!(!is_unreplaced_macro(value), "{name} holds a macro");
        assert!(
            value.len() <= parser::longest(name).max(limit::REQUEST_ID_BYTES_MAX),
            "{name} has {} bytes",
            value.len()
        );
    }
    assert!(hit.device_risk < 16);
    assert!(reading.defect.is_some() || hit.stage.is_some(), "a hit has a stage");
    assert!(!entry.is_click || hit.stage == Some(Stage::Click));
    for number in hit.parameters_dropped.iter() {
        assert!(
            entry.table.dropped_names().get(usize::from(number)).is_some(),
            "a dropped name has a number"
        );
    }
    if let Some(url) = hit.landing_url.filter(|_| !target.contains('%')) {
        let url = String::from_utf8_lossy(url);
        // What was copied out of HTML has its entities undone.
        let plain = target.replace("&amp;", "&");
        assert!(target.contains(&*url) || plain.contains(&*url), "{url} is not in {target}");
    }
    parser::judge(hit);
    explained(entry, hit);
}

/// What people are told agrees with what was read.
fn explained(entry: &Entry<'_, '_>, hit: &Hit<'_>) {
    let parts = entry.explain();
    let count = |state: PartState| parts.iter().filter(|part| part.state == state).count();
    let unknown =
        parts.iter().filter(|part| part.meaning == PartMeaning::Unknown && part.state != PartState::Macro);
    assert!(usize::from(hit.parameters_unknown) <= unknown.count().max(255) + count(PartState::Macro));
    for field in Field::all() {
        if let Field::Id(id) = field
            && let Some(value) = hit.ids[id as usize]
        {
            let value = String::from_utf8_lossy(value);
            let is_said = parts.iter().any(|part| {
                let fits = match &part.meaning {
                    PartMeaning::Field(Field::Id(other)) => other.kind() == id.kind(),
                    PartMeaning::Fields(fields) => fields.contains(&field),
                    _ => false,
                };
                fits && part.decoded.as_ref().is_some_and(|decoded| decoded.trim_ascii().contains(&*value))
            });
            assert!(is_said, "{} is explained by no part", id.name());
        }
    }
}

/// An identifier goes where identifiers go.
fn identified(target: &str) {
    let Some(entry) = route(target) else { return };
    let mut scratch = Scratch::new();
    let reading = entry.read(&mut scratch);
    for (name, value) in fields(&reading.hit) {
        let holds = memchr_find(value, SENTINEL.as_bytes());
        assert!(!holds || IdField::from_name(name).is_some(), "{name} holds an identifier");
    }
}

fn memchr_find(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// The fields that are set: those that the native dialect names, and those of the others.
fn fields<'a>(hit: &Hit<'a>) -> Vec<(&'static str, &'a [u8])> {
    let more = [
        ("gid", hit.group_id),
        ("ifa_type", hit.ifa_type),
        ("exp", hit.link_expires),
        ("sig", hit.link_signature),
    ];
    let more = more.into_iter().filter_map(|(name, value)| Some((name, value?)));
    parser::fields(hit).into_iter().chain(more).collect()
}
