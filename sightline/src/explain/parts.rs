//! The parts of a hit: what each parameter is, what became of its value, and what is not there.

use catalog::Placement;
use event::dialect::{Entry, PartMeaning, PartState, Table};
use event::hit::{Field, Hit};
use event::identifier::{Form, IdField, IdKind, RawId, Unusable};
use event::outcome::Outcome;
use event::profile::Remap;
use event::record::{Platform, SourceKind};
use event::stage::Stage;
use serde::Serialize;

use crate::config::nearest;

/// Characters of a value that are shown, if it has at least [`SHOWN_FROM`].
const SHOWN: usize = 4;
/// A shorter value is not shown at all: four characters would be half of it.
const SHOWN_FROM: usize = 12;
/// Characters of a name from which on a like one is offered: of two letters any is like any other.
const NAME_MEANT_MIN: usize = 3;

/// One parameter.
#[derive(Debug, Serialize)]
pub(super) struct Part {
    /// Its name, empty where its place is its name.
    pub(super) name: String,
    /// Its value, as far as it is shown.
    pub(super) value: String,
    /// What it is.
    pub(super) meaning: String,
    /// What became of it.
    pub(super) state: String,
    #[serde(skip)]
    pub(super) is_mark: bool,
    #[serde(skip)]
    pub(super) is_macro: bool,
    /// The one field that it is for.
    #[serde(skip)]
    pub(super) field: Option<Field>,
}

/// Every parameter of a hit.
pub(super) fn explain(
    entry: &Entry<'_, '_>,
    hit: &Hit<'_>,
    remap: &Remap,
    platform: Platform,
    show_values: bool,
) -> Vec<Part> {
    entry
        .explain()
        .into_iter()
        .map(|part| {
            let is_macro = part.state == PartState::Macro;
            let text = part.decoded.as_deref().unwrap_or(&part.value);
            let value = if show_values
                || is_macro
                || (is_open(&part.meaning) && (is_ours(&part.meaning) || is_harmless(text)))
            {
                part.decoded.clone().unwrap_or_else(|| part.value.clone())
            } else {
                redacted(text)
            };
            let state = match part.state {
                PartState::Empty => "empty: as if it were not there".to_owned(),
                PartState::Macro => "macro not replaced: as if it were not there".to_owned(),
                PartState::Broken => "a percent escape is broken: the hit is rejected".to_owned(),
                PartState::Given if part.meaning == PartMeaning::Unknown => unknown(entry.table, &part.name),
                PartState::Given => given(&part.meaning, text, hit, remap, platform),
            };
            let field = match part.meaning {
                PartMeaning::Field(field) => Some(field),
                PartMeaning::Fields(_)
                | PartMeaning::Mark
                | PartMeaning::Signals
                | PartMeaning::Dropped
                | PartMeaning::Unknown => None,
            };
            // The name of what no table knows may be a value that has none.
            let is_unknown = part.meaning == PartMeaning::Unknown;
            let name = if is_unknown && !show_values && (part.name.len() > 24 || !is_harmless(&part.name)) {
                redacted(&part.name)
            } else {
                part.name
            };
            Part {
                name,
                value,
                meaning: meaning(&part.meaning),
                state,
                is_mark: part.meaning == PartMeaning::Mark,
                is_macro: is_macro && !matches!(part.meaning, PartMeaning::Dropped | PartMeaning::Unknown),
                field,
            }
        })
        .collect()
}

/// Whether the value is one that we gave out.
fn is_ours(meaning: &PartMeaning) -> bool {
    matches!(meaning, PartMeaning::Field(Field::Campaign | Field::Placement | Field::LinkExpires))
}

/// Whether a value of an open meaning can be nobody's identifier: media put all kinds of things into all kinds of places. Words and short values are
/// harmless, and so is a time: as many digits as one has in seconds, in milliseconds, or written out.
fn is_harmless(text: &str) -> bool {
    const SHORT: usize = 12;
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let is_time = digits == text.len() && matches!(digits, 10 | 13 | 14 | 17);
    text.chars().count() < SHORT || digits == 0 || is_time
}

/// Whether a value is meant to say nothing of a person.
fn is_open(meaning: &PartMeaning) -> bool {
    match meaning {
        PartMeaning::Mark | PartMeaning::Signals => true,
        PartMeaning::Fields(_) | PartMeaning::Dropped | PartMeaning::Unknown => false,
        PartMeaning::Field(field) => match field {
            Field::Campaign
            | Field::Placement
            | Field::Creative
            | Field::Time
            | Field::Os
            | Field::Stage
            | Field::Gdpr
            | Field::GppSid
            | Field::LimitAdTracking
            | Field::ChildDirected
            | Field::CaidVersion
            | Field::IfaType
            | Field::LinkExpires => true,
            Field::RequestId
            | Field::GroupId
            | Field::Ip
            | Field::UserAgent
            | Field::LandingUrl
            | Field::GdprConsent
            | Field::Gpp
            | Field::DeviceRisk
            | Field::LinkSignature
            | Field::Id(_) => false,
        },
    }
}

/// The beginning of a value and its length.
pub(super) fn redacted(text: &str) -> String {
    let count = text.chars().count();
    if count == 0 {
        return String::new();
    }
    let characters = if count == 1 { "character" } else { "characters" };
    if count < SHOWN_FROM {
        return format!("… ({count} {characters})");
    }
    let beginning: String = text.chars().take(SHOWN).collect();
    format!("{beginning}… ({count} characters)")
}

/// A URL down to its host and path: identifiers stand in queries.
pub(super) fn url_without_values(url: &str) -> String {
    let end = url.find(['?', '#', ';', '&']).unwrap_or(url.len());
    let shown = url.get(..end).unwrap_or_default();
    if end < url.len() {
        format!("{shown}… ({} characters)", url.chars().count())
    } else {
        shown.to_owned()
    }
}

fn meaning(meaning: &PartMeaning) -> String {
    match meaning {
        PartMeaning::Field(field) => words(*field),
        PartMeaning::Fields(fields) => {
            fields.iter().map(|field| words(*field)).collect::<Vec<_>>().join(" and ")
        }
        PartMeaning::Mark => "mark of the stage".to_owned(),
        PartMeaning::Signals => "privacy signals".to_owned(),
        PartMeaning::Dropped => "known, not used".to_owned(),
        PartMeaning::Unknown => "not known".to_owned(),
    }
}

/// A field, for people.
fn words(field: Field) -> String {
    let text = match field {
        Field::Campaign => "campaign",
        Field::Placement => "placement",
        Field::Creative => "creative",
        Field::Time => "client time",
        Field::RequestId => "request id",
        Field::GroupId => "group id of the view",
        Field::Ip => "viewer's address",
        Field::UserAgent => "viewer's agent",
        Field::Os => "operating system",
        Field::LandingUrl => "landing URL",
        Field::Stage => "stage",
        Field::Gdpr => "whether GDPR applies",
        Field::GdprConsent => "TCF consent",
        Field::Gpp => "GPP string",
        Field::GppSid => "GPP sections",
        Field::LimitAdTracking => "limit ad tracking",
        Field::ChildDirected => "child-directed",
        Field::CaidVersion => "version of the CAID",
        Field::IfaType => "kind of the advertising id",
        Field::DeviceRisk => "the device's integrity",
        Field::LinkExpires => "end of the signed link",
        Field::LinkSignature => "signature of the link",
        Field::Id(id) => return format!("identifier {}", id.name()),
    };
    text.to_owned()
}

/// What is said of a parameter that no table knows, with the known name that is probably meant.
fn unknown(table: &Table, name: &str) -> String {
    let known: Vec<&str> = table
        .parameters()
        .filter(|parameter| !parameter.is_json_only)
        .map(|parameter| parameter.name)
        .collect();
    let meant = known.iter().find(|known| known.eq_ignore_ascii_case(name)).copied().or_else(|| {
        let long = known.iter().copied().filter(|known| known.len() >= NAME_MEANT_MIN);
        nearest(name, long).filter(|_| name.len() >= NAME_MEANT_MIN)
    });
    let meant = meant.map_or_else(String::new, |meant| format!("; did you mean {meant}?"));
    format!("dropped unread; counted as unknown{meant}")
}

/// What became of a value that was given.
fn given(meaning: &PartMeaning, text: &str, hit: &Hit<'_>, remap: &Remap, platform: Platform) -> String {
    match meaning {
        PartMeaning::Dropped => "dropped unread; its name is counted".to_owned(),
        PartMeaning::Unknown => "dropped unread; counted as unknown".to_owned(),
        PartMeaning::Field(Field::Id(id)) => identifier(*id, text, hit, remap, platform),
        PartMeaning::Field(Field::DeviceRisk) => {
            format!("four flags are read, the rest is dropped; said: {}", risks(hit.device_risk))
        }
        PartMeaning::Field(Field::Ip | Field::UserAgent) => {
            "read; believed from registered servers only".to_owned()
        }
        PartMeaning::Mark | PartMeaning::Signals | PartMeaning::Fields(_) | PartMeaning::Field(_) => {
            "read".to_owned()
        }
    }
}

/// The form that an identifier was recognised as, and whether it can be used.
fn identifier(id: IdField, text: &str, hit: &Hit<'_>, remap: &Remap, platform: Platform) -> String {
    let Some(held) = remap.field(id, platform) else {
        return "the medium's macro holds no identifier here: not read".to_owned();
    };
    let as_held =
        if held == id { String::new() } else { format!(" (this medium puts {} there)", held.name()) };
    if matches!(held, IdField::Ifa | IdField::Caid | IdField::CaidMd5) {
        // A list of versions, or a kind that stands elsewhere: what the device line says of it is the answer.
        return format!("read as {}{as_held}: see the device", held.name());
    }
    match RawId::new(held, text.as_bytes(), hit.caid_version).reduce() {
        _ if held.kind() != IdKind::Imei && is_imei(text) => {
            format!("looks like an IMEI, and is read as {}{as_held}", held.name())
        }
        Ok(canonical) => {
            let form = match canonical.form() {
                Form::Sha1 => "SHA-1",
                Form::Sha256 => "SHA-256",
                Form::Md5 if is_digest(held, text) => "MD5",
                Form::Md5 => "raw",
            };
            let doubt = if held.kind() == IdKind::Imei && is_fifteen_digits(text) && !is_imei(text) {
                "; its check digit is wrong"
            } else {
                ""
            };
            format!("usable, recognised as {form}{as_held}{doubt}")
        }
        Err(Unusable::Zero) => format!("zeros, or their digest: the system withholds it{as_held}"),
        Err(Unusable::Bad) => format!("a value that many devices send: never a device{as_held}"),
        Err(Unusable::Shape) => format!("neither such an identifier nor a digest of one{as_held}"),
    }
}

fn is_fifteen_digits(text: &str) -> bool {
    text.len() == 15 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether this is an IMEI with a right check digit (3GPP TS 23.003 annex B: Luhn's, every second digit from the right doubled).
fn is_imei(text: &str) -> bool {
    let doubled = |digit: u32| if digit > 4 { 2 * digit - 9 } else { 2 * digit };
    let digits = text.bytes().rev().map(|byte| u32::from(byte.wrapping_sub(b'0')));
    let sum: u32 =
        digits.enumerate().map(|(at, digit)| if at % 2 == 1 { doubled(digit) } else { digit }).sum();
    is_fifteen_digits(text) && sum.is_multiple_of(10) && text.bytes().any(|byte| byte != b'0')
}

/// Whether a value that was reduced to an MD5 was one already: 32 hexadecimal digits (31 where a leading zero was lost) where no raw value
/// of the kind looks like that.
fn is_digest(held: IdField, text: &str) -> bool {
    let text = text.trim();
    matches!(text.len(), 31 | 32)
        && text.bytes().all(|byte| byte.is_ascii_hexdigit())
        && !matches!(held, IdField::Oaid | IdField::Caid | IdField::Cookie)
}

fn risks(bits: u8) -> String {
    use event::hit::risk;
    let names: Vec<&str> =
        [(risk::ROOT, "root"), (risk::EMULATOR, "emulator"), (risk::HOOK, "hook"), (risk::ADB, "adb")]
            .into_iter()
            .filter_map(|(bit, name)| (bits & bit != 0).then_some(name))
            .collect();
    if names.is_empty() { "none of them".to_owned() } else { names.join(", ") }
}

/// Why the hit has its stage.
pub(super) fn why_stage(parts: &[Part], stage: Option<Stage>, outcome: Outcome) -> String {
    let marks: Vec<String> = parts
        .iter()
        .filter(|part| part.is_mark)
        .map(|part| format!("{}={}", part.name, part.value))
        .collect();
    match (stage, marks.is_empty()) {
        (Some(_), true) => "by the path, no mark says otherwise".to_owned(),
        (Some(_), false) => format!("by {}", marks.join(", ")),
        (None, _) if outcome == Outcome::UncountedEvent => "an event that no figure counts".to_owned(),
        (None, true) => "the path names none that is known".to_owned(),
        (None, false) => format!("{} says none that is known", marks.join(", ")),
    }
}

/// The dialect's name for a field, with the field's own where the dialect has none.
pub(super) fn name_of(table: &Table, field: Field) -> String {
    let named =
        table.parameters().find(|parameter| parameter.field == Some(field) && !parameter.is_json_only);
    named.map_or_else(|| field.name().to_owned(), |parameter| parameter.name.to_owned())
}

/// The macros that stand there as they are, and those among them that the placement's medium does not fill.
fn macros_left(
    entry: &Entry<'_, '_>,
    hit: &Hit<'_>,
    parts: &[Part],
    placement: Option<&Placement>,
) -> Vec<String> {
    let left: Vec<&Part> = parts.iter().filter(|part| part.is_macro).collect();
    let values: Vec<&str> = left.iter().map(|part| part.value.as_str()).collect();
    if left.is_empty() {
        return Vec::new();
    }
    let has_value = hit.ids.iter().any(Option::is_some)
        || [hit.time, hit.request_id, hit.group_id].iter().any(Option::is_some);
    let what = if left.len() > 1 && !has_value {
        "this is a template, with no macro replaced"
    } else {
        "the medium left these macros as they are"
    };
    let mut lines = vec![format!("values for {}: {what}", values.join(" "))];
    let Some(profile) = placement.and_then(|placement| placement.profile.as_ref()) else { return lines };
    for part in left {
        let name = part.value.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        if profile.macros().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
            continue;
        }
        let field = part.field;
        let template = entry.table.macros().find(|(_, of)| Some(*of) == field).map(|(template, _)| template);
        let filled = field.and_then(|field| profile.macro_for(template, field));
        let instead = filled.map_or_else(
            || "and nothing like it".to_owned(),
            |(name, _)| format!("it fills {}", profile.written(name)),
        );
        lines.push(format!("profile {} has no {}: {instead}", profile.name(), part.value));
    }
    lines
}

/// What the medium could send and does not.
pub(super) fn missing(
    entry: &Entry<'_, '_>,
    hit: &Hit<'_>,
    parts: &[Part],
    placement: Option<&Placement>,
) -> Vec<String> {
    let table = entry.table;
    let has =
        |field| table.parameters().any(|parameter| parameter.field == Some(field) && !parameter.is_json_only);
    let name = |field| name_of(table, field);
    let mut missing = Vec::new();
    if hit.campaign.is_none() {
        missing.push("the campaign: nothing can be counted without".to_owned());
    }
    if hit.placement.is_none() {
        missing.push("the placement: nothing can be counted without".to_owned());
    }
    missing.extend(macros_left(entry, hit, parts, placement));
    // What a macro stands for was said with the macros.
    let is_asked = |field: &dyn Fn(Field) -> bool| {
        parts.iter().any(|part| part.is_macro && part.field.is_some_and(field))
    };
    if hit.ids.iter().all(Option::is_none) && !is_asked(&|field| matches!(field, Field::Id(_))) {
        let names: Vec<&str> = table
            .parameters()
            .filter(|parameter| matches!(parameter.field, Some(Field::Id(_))) && !parameter.is_json_only)
            .map(|parameter| parameter.name)
            .collect();
        missing.push(if names.is_empty() {
            "an identifier: this dialect carries none".to_owned()
        } else {
            format!("an identifier, for reach and frequency: one of {}", names.join(" "))
        });
    }
    for (field, is_there, why) in [
        (Field::Time, hit.time.is_some(), "so that late hits count on the right day"),
        (Field::Os, hit.os.is_some(), "so that the right identifier is taken for the device"),
    ] {
        if !is_there && has(field) && !is_asked(&|asked| asked == field) {
            missing.push(format!("{} ({}), {why}", words(field), name(field)));
        }
    }
    let is_view = |field| matches!(field, Field::RequestId | Field::GroupId);
    if hit.request_id.is_none() && hit.group_id.is_none() && !is_asked(&is_view) {
        let names: Vec<String> =
            [Field::RequestId, Field::GroupId].into_iter().filter(|field| has(*field)).map(name).collect();
        if !names.is_empty() {
            missing
                .push(format!("a request id ({}), so that retries are told from views", names.join(" or ")));
        }
    }
    if placement.is_some_and(|placement| placement.source != SourceKind::Client) {
        for (field, is_there) in [(Field::Ip, hit.ip.is_some()), (Field::UserAgent, hit.user_agent.is_some())]
        {
            if !is_there && has(field) && !is_asked(&|asked| asked == field) {
                missing.push(format!(
                    "{} ({}), which only the medium's server knows",
                    words(field),
                    name(field)
                ));
            }
        }
    }
    missing
}
