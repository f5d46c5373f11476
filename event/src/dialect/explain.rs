//! A target taken apart for people: every part of it with what it means. For whoever sets up a campaign, never for the way of a beacon: the
//! values that are handed out may be raw identifiers.

use super::lexer::{Lexer, PAD_BYTES};
use super::{Entry, Meaning, Scratch, is_unreplaced_macro, value};
use crate::hit::Field;

/// One part of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Name of the parameter; empty for a part that has none.
    pub name: String,
    /// The value as it stands; bytes that are no text are replaced.
    pub value: String,
    /// The value with its escapes undone; `None` where one is broken, or where nobody reads it.
    pub decoded: Option<String>,
    /// What it is to the dialect.
    pub meaning: PartMeaning,
    /// Whether it says anything.
    pub state: PartState,
}

/// What a part is to its dialect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartMeaning {
    /// It fills a field.
    Field(Field),
    /// It holds several fields, in this order.
    Fields(Vec<Field>),
    /// A mark that the stage is decided by.
    Mark,
    /// A list of words, some of which are privacy signals.
    Signals,
    /// The dialect knows it and nobody needs it: dropped unread.
    Dropped,
    /// In no table: dropped unread.
    Unknown,
}

/// Whether a part says anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartState {
    /// It has a value.
    Given,
    /// It is empty.
    Empty,
    /// Its value is a macro that nobody replaced.
    Macro,
    /// A percent escape in it is broken.
    Broken,
}

impl Entry<'_, '_> {
    /// Every part of the target's parameters, in the order in which they stand.
    pub fn explain(&self) -> Vec<Part> {
        let mut scratch = Scratch::new();
        let joint = self.write_text(&mut scratch);
        scratch.bytes.extend_from_slice(&[0; PAD_BYTES]);
        let mut lexer = Lexer::new(self.table, scratch.bytes.as_mut_slice(), joint);
        let mut parts = Vec::new();
        if let Some(pattern) = self.table.positional {
            let item = lexer.take_first();
            let fields = self.table.patterns.get(pattern).map(|pattern| pattern.fields().collect());
            parts.push(part("", item.value, PartMeaning::Fields(fields.unwrap_or_default()), false, false));
        }
        while let Some(item) = lexer.next() {
            let parameter = item.number.and_then(|number| self.table.parameters.get(number));
            let parameter = parameter.filter(|parameter| !parameter.json_only);
            let meaning = match parameter.map(|parameter| parameter.meaning) {
                Some(Meaning::Field(field)) => PartMeaning::Field(field),
                Some(Meaning::Pattern(number)) => {
                    let pattern = self.table.patterns.get(usize::from(number));
                    PartMeaning::Fields(pattern.map(|pattern| pattern.fields().collect()).unwrap_or_default())
                }
                Some(Meaning::Mark(_)) => PartMeaning::Mark,
                Some(Meaning::Words(_)) => PartMeaning::Signals,
                Some(Meaning::Dropped(_)) => PartMeaning::Dropped,
                None => PartMeaning::Unknown,
            };
            let name = String::from_utf8_lossy(item.name);
            // A glued item that begins with no known name is a value without one.
            let is_nameless = item.number.is_none() && self.table.grammar.equalizer.is_none();
            parts.push(if is_nameless {
                part("", item.name, meaning, false, false)
            } else {
                let plus_is_space = parameter.is_some_and(|parameter| parameter.plus_is_space);
                let is_rest = parameter.is_some_and(|parameter| parameter.is_rest);
                part(&name, item.value, meaning, plus_is_space, is_rest)
            });
        }
        parts
    }
}

fn part(name: &str, raw: &[u8], meaning: PartMeaning, plus_is_space: bool, is_rest: bool) -> Part {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut copy = raw.to_vec();
    // An object of one flag looks like a macro.
    let is_object = meaning == PartMeaning::Field(Field::DeviceRisk)
        && (copy.contains(&b':') || value::has_escaped(&copy, b':'));
    let is_read = !matches!(meaning, PartMeaning::Dropped | PartMeaning::Unknown);
    let decoded = if is_unreplaced_macro(raw) || (is_rest && value::is_plain_url(raw)) {
        Some(raw)
    } else {
        value::decode(&mut copy, plus_is_space)
    };
    let state = match decoded.map(<[u8]>::trim_ascii) {
        None if is_read => PartState::Broken,
        Some([]) => PartState::Empty,
        Some(value) if is_unreplaced_macro(value) && !is_object => PartState::Macro,
        None | Some(_) => PartState::Given,
    };
    let decoded = decoded.filter(|_| is_read).map(text);
    Part { name: name.to_owned(), value: text(raw), decoded, meaning, state }
}
