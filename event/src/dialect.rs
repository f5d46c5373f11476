//! Dialects as data: a table says how a grammar separates its parameters and which field of a [`Hit`] each one fills
//! (`dialects/README.md` describes the form). Reading is one pass; a known parameter costs no allocation.
//!
//! ```text
//! GET /x/k=1&p=2&o=http://…      path ──[Dialects::route]──► Entry: which table, which stage, where the parameters are
//!                                Entry ──[Entry::read]─────► Reading: the Hit, and the first thing that is wrong with it
//! ```
//!
//! Rules that hold in every dialect:
//!
//! * A parameter that is in no table is dropped unread (its escapes too) and only counted; one that the table lists as dropped is dropped
//!   unread, and its number kept: nothing that nobody asked for is kept.
//! * An empty value is an absent one. So is an unreplaced macro of any style ([`is_unreplaced_macro`]), which is counted.
//! * ASCII blanks around a value are not part of it.
//! * The same parameter twice with one value is fine. With two values it is [`Outcome::Contradictory`], or, where the table says
//!   `repeats = "last"`, the last usable one counts; of identifiers the others are kept beside it, to be looked up for opt-out. A privacy
//!   signal that stands twice there, or in two parameters, is or-ed: whichever says yes wins.
//! * A broken escape in a known parameter, or a value that its field cannot take, is [`Outcome::Malformed`]; a value over its field's
//!   limit is [`Outcome::TooLong`].
//! * The whole string is read even after a defect, because a click lands whatever else is wrong with it ([`Table::read`]).

mod explain;
mod field;
mod lexer;
mod link;
mod load;
mod macros;
mod names;
mod pattern;
mod risk;
mod route;
mod rules;
mod shape;
#[cfg(test)]
mod tests;
mod value;

pub use explain::{Part, PartMeaning, PartState};
pub use field::limit;
pub use link::{LinkFor, ParameterOf};
pub use load::{Problem, TableError};
pub use macros::is_unreplaced_macro;
pub use route::{Dialects, Entry};

use lexer::{Item, Lexer};
use names::Names;
use pattern::Pattern;
use route::{Path, PathStage};
use rules::{Marks, Rule};
use shape::Shape;

use crate::hit::{Field, Hit};
use crate::outcome::Outcome;
use crate::stage::Stage;

/// A dialect, ready for look-ups.
pub struct Table {
    name: String,
    title: String,
    grammar: Grammar,
    names: Names,
    /// What the table says of each name, by its number.
    parameters: Vec<Parameter>,
    /// Values that hold several fields.
    patterns: Vec<Pattern>,
    /// Values that are lists of words.
    words: Vec<Words>,
    /// What the first item holds, by its number in `patterns`, where it is no parameter.
    positional: Option<usize>,
    /// The parameter that takes a landing URL in the query.
    landing: Option<usize>,
    dropped: Vec<Box<str>>,
    rules: Vec<Rule>,
    /// Names of events in a path; `None` is one that no figure counts.
    events: Vec<(Box<str>, Option<Stage>)>,
    paths: Vec<Path>,
    /// By how much formatted times without an offset of their own are ahead of UTC.
    time_offset_minutes: Option<i16>,
    /// Values that say that the value is not known.
    missing: Vec<Box<[u8]>>,
    /// Values that say that it is known and withheld.
    withheld: Vec<Box<[u8]>>,
}

/// How a dialect separates its parameters.
#[derive(Clone, Copy, Debug)]
struct Grammar {
    separator: u8,
    /// `None`: names are glued to their values.
    equalizer: Option<u8>,
    /// `&amp;` is `&`.
    amp_entity: bool,
    /// Of a repeated parameter the last usable value counts; otherwise repeats may not differ.
    last_wins: bool,
    /// A string that was percent-encoded as a whole is recognised.
    whole_encoded: bool,
}

/// What a table says of one parameter.
#[derive(Clone, Debug)]
struct Parameter {
    meaning: Meaning,
    plus_is_space: bool,
    json_only: bool,
    /// It takes the rest of the string.
    is_rest: bool,
    /// What a second value does.
    repeats: field::Repeats,
    /// Where a value of 32 hexadecimal digits goes instead.
    digest: Option<Field>,
    /// What its value looks like: where names are glued to values, an item that goes on otherwise is another one.
    shape: Shape,
    /// The macro that stands for it in templates.
    template_macro: Option<Box<str>>,
}

/// What becomes of a parameter's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// It fills a field.
    Field(Field),
    /// It holds several fields: a number in [`Table::patterns`].
    Pattern(u8),
    /// It is a mark that the stage is decided by: a number in [`Table::marks`].
    Mark(u8),
    /// It is dropped unread: a number in [`Table::dropped`].
    Dropped(u8),
    /// It is a list of words, and some of them say yes to a signal: a number in [`Table::words`].
    Words(u8),
}

/// Which words of a list say yes to which signal.
type Words = Box<[(Box<[u8]>, Field)]>;

/// The buffer in which a query is taken apart; its owner keeps it from one query to the next, so that it need not grow again.
/// It holds raw identifiers until then and therefore cannot be printed.
#[derive(Default)]
pub struct Scratch {
    bytes: Vec<u8>,
}

impl Scratch {
    /// An empty buffer; it grows to the longest query that it has seen.
    pub fn new() -> Self {
        Self::default()
    }
}

/// What a query said, also when it is to be rejected: a click lands even then.
pub struct Reading<'a> {
    /// The fields that could be read. After [`Outcome::Contradictory`] a field holds its first value.
    pub hit: Hit<'a>,
    /// The first reason to reject the hit, if there is one.
    pub defect: Option<Outcome>,
}

/// Where the query of a target begins in the text that is read.
#[derive(Clone, Copy, Debug, Default)]
struct Joint {
    /// How many bytes stand behind the byte that joins path and query; 0 where they are not joined.
    bytes_after: usize,
    /// The query is the landing URL itself.
    is_landing: bool,
}

impl Table {
    /// The native dialect (DESIGN §9).
    ///
    /// # Panics
    /// Never in a build whose tests are green: the table is part of the program.
    pub fn native() -> &'static Self {
        static NATIVE: std::sync::LazyLock<&'static Table> =
            std::sync::LazyLock::new(|| Dialects::built_in().get("native").expect("checked by a test"));
        *NATIVE
    }

    /// Name of the dialect.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the dialect is, in a few words for people.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The names that are dropped unread, by the numbers in [`Hit::parameters_dropped`].
    pub fn dropped_names(&self) -> &[Box<str>] {
        &self.dropped
    }

    /// Reads a query in one pass, or says why the hit is rejected.
    ///
    /// # Errors
    /// The first defect: malformed, contradictory, too long. A missing campaign or placement is not judged here.
    pub fn parse<'a>(&self, query: &[u8], scratch: &'a mut Scratch) -> Result<Hit<'a>, Outcome> {
        let reading = self.read(query, scratch);
        reading.defect.map_or(Ok(reading.hit), Err)
    }

    /// As [`parse`](Self::parse), but hands out what could be read beside the first defect. Says nothing of the stage: that is said by
    /// a path, see [`Entry::read`].
    pub fn read<'a>(&self, query: &[u8], scratch: &'a mut Scratch) -> Reading<'a> {
        scratch.bytes.clear();
        scratch.bytes.extend_from_slice(query);
        self.read_text(scratch, Joint::default(), PathStage::None)
    }

    /// Reads what stands in the buffer.
    fn read_text<'a>(&self, scratch: &'a mut Scratch, joint: Joint, stage: PathStage) -> Reading<'a> {
        scratch.bytes.extend_from_slice(&[0; lexer::PAD_BYTES]);
        let mut reading = Reading { hit: Hit::default(), defect: None };
        reading.hit.time_offset_minutes = self.time_offset_minutes;
        let mut marks = Marks::default();
        let mut lexer = Lexer::new(self, scratch.bytes.as_mut_slice(), joint);
        if let Some(first) = self.positional {
            let item = lexer.take_first();
            if let Err(defect) = self.take_apart(&mut reading.hit, first, item) {
                reading.defect.get_or_insert(defect);
            }
        }
        while let Some(item) = lexer.next() {
            if let Err(defect) = self.take(&mut reading.hit, &mut marks, item) {
                reading.defect.get_or_insert(defect);
            }
        }
        let decided = match stage {
            PathStage::None => return reading,
            PathStage::Fixed(stage) => Ok(stage),
            PathStage::Refused(outcome) => Err(outcome),
            PathStage::Rules => rules::stage(&self.rules, &marks),
        };
        match decided {
            Ok(stage) => reading.hit.stage = Some(stage),
            Err(outcome) => {
                reading.defect.get_or_insert(outcome);
            }
        }
        reading
    }

    /// Fills one field of a JSON item: the same names, the same rules, the value already decoded.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), and [`Outcome::UnknownStage`].
    pub fn set<'a>(&self, hit: &mut Hit<'a>, name: &str, value: &'a [u8]) -> Result<(), Outcome> {
        let parameter = self.names.find(name.as_bytes()).and_then(|number| self.parameters.get(number));
        match parameter.map(|parameter| (parameter, parameter.meaning)) {
            Some((parameter, Meaning::Field(field))) => self.fill(hit, parameter, field, value),
            Some((_, Meaning::Dropped(number))) => {
                hit.parameters_dropped.insert(number);
                Ok(())
            }
            Some((_, Meaning::Pattern(_) | Meaning::Mark(_) | Meaning::Words(_))) | None => {
                hit.parameters_unknown = hit.parameters_unknown.saturating_add(1);
                Ok(())
            }
        }
    }

    /// Takes one item of the text.
    #[inline]
    fn take<'a>(&self, hit: &mut Hit<'a>, marks: &mut Marks<'a>, item: Item<'a>) -> Result<(), Outcome> {
        let parameter = item.number.and_then(|number| self.parameters.get(number));
        let Some(parameter) = parameter.filter(|parameter| !parameter.json_only) else {
            if self.grammar.equalizer.is_none() && is_unreplaced_macro(item.name) {
                hit.macros_unreplaced = hit.macros_unreplaced.saturating_add(1);
            } else {
                hit.parameters_unknown = hit.parameters_unknown.saturating_add(1);
            }
            return Ok(());
        };
        match parameter.meaning {
            Meaning::Dropped(number) => {
                hit.parameters_dropped.insert(number);
                Ok(())
            }
            // Flags beside the hit, in an object that SDKs write without escapes: what cannot be read of it costs no impression.
            Meaning::Field(Field::DeviceRisk) => {
                if let Ok(Some(value)) = decoded(hit, item, parameter) {
                    let _ = field::fill(hit, Field::DeviceRisk, value, parameter.repeats);
                }
                Ok(())
            }
            Meaning::Field(Field::LandingUrl) => {
                let Some(value) = self.landing_url(hit, item, parameter)? else { return Ok(()) };
                self.fill(hit, parameter, Field::LandingUrl, value)
            }
            Meaning::Field(field) => {
                let Some(value) = decoded(hit, item, parameter)? else { return Ok(()) };
                self.fill(hit, parameter, field, value)
            }
            Meaning::Words(number) => {
                if let Some(value) = decoded(hit, item, parameter)? {
                    self.take_words(hit, number, value);
                }
                Ok(())
            }
            Meaning::Mark(number) => {
                let Some(value) = decoded(hit, item, parameter)? else { return Ok(()) };
                if let Some(value) = field::usable(hit, value) {
                    marks.set(number, value);
                }
                Ok(())
            }
            Meaning::Pattern(number) => self.take_apart(hit, usize::from(number), item),
        }
    }

    /// A landing URL as it is to be gone to. As it stands if it takes the rest of the string and is plain (`&amp;` of what was copied out of HTML
    /// is `&`); else with its escapes undone, twice if it was encoded twice.
    fn landing_url<'a>(
        &self,
        hit: &mut Hit<'a>,
        item: Item<'a>,
        parameter: &Parameter,
    ) -> Result<Option<&'a [u8]>, Outcome> {
        let Item { value, .. } = item;
        if is_escape_like_macro(hit, value) {
            return Ok(None);
        }
        if parameter.is_rest && value::is_plain_url(value) {
            return Ok(Some(if self.grammar.amp_entity { value::decode_amp(value) } else { value }));
        }
        let value = value::decode_mut(value, parameter.plus_is_space).ok_or(Outcome::Malformed)?;
        Ok(Some(value::decode_again(value)))
    }

    /// Puts a decoded value where its parameter says: of a URL and of JSON alike.
    #[inline]
    fn fill<'a>(
        &self,
        hit: &mut Hit<'a>,
        parameter: &Parameter,
        field: Field,
        value: &'a [u8],
    ) -> Result<(), Outcome> {
        if !(self.missing.is_empty() && self.withheld.is_empty()) && self.is_absent(hit, field, value) {
            return Ok(());
        }
        let field = parameter.digest.filter(|_| value::is_md5(value.trim_ascii())).unwrap_or(field);
        field::fill(hit, field, value, parameter.repeats)
    }

    /// Fills the fields of a value that holds several.
    fn take_apart<'a>(&self, hit: &mut Hit<'a>, pattern: usize, item: Item<'a>) -> Result<(), Outcome> {
        let Some(pattern) = self.patterns.get(pattern) else { return Ok(()) };
        if is_escape_like_macro(hit, item.value) {
            return Ok(());
        }
        let value = if item.is_clean {
            item.value
        } else {
            value::decode_mut(item.value, false).ok_or(Outcome::Malformed)?
        };
        if field::usable(hit, value).is_none() {
            return Ok(());
        }
        let value =
            if pattern.is_base64 { value::decode_base64(value).ok_or(Outcome::Malformed)? } else { value };
        let value = value.trim_ascii();
        let repeats = if self.grammar.last_wins { field::Repeats::Last } else { field::Repeats::Equal };
        pattern.split(value, |field, part| field::fill(hit, field, part, repeats))
    }

    /// Sets the signals that the words of a list say yes to.
    fn take_words<'a>(&self, hit: &mut Hit<'a>, number: u8, value: &'a [u8]) {
        let Some(words) = self.words.get(usize::from(number)) else { return };
        let Some(value) = field::usable(hit, value) else { return };
        for word in value.split(|byte| !byte.is_ascii_alphanumeric()) {
            for (_, field) in words.iter().filter(|(known, _)| known.eq_ignore_ascii_case(word)) {
                // It fits: a signal takes a 1, and says no more than yes.
                let _ = field::fill(hit, *field, b"1", field::Repeats::Either);
            }
        }
    }

    /// Whether the value says that there is none. One that is withheld from an identifier's field is taken as the wish not to be tracked. To
    /// `gpp_sid` -1 says something itself, and sections that may not be told are sections that apply.
    fn is_absent(&self, hit: &mut Hit<'_>, field: Field, value: &[u8]) -> bool {
        if field == Field::GppSid {
            return false;
        }
        let is_one_of = |values: &[Box<[u8]>]| values.iter().any(|known| **known == *value.trim_ascii());
        let is_withheld = is_one_of(&self.withheld);
        if is_withheld && matches!(field, Field::Id(_)) {
            hit.limit_ad_tracking = Some(b"1");
        }
        is_withheld || is_one_of(&self.missing)
    }
}

/// The value of an item with its escapes undone; `None` for a macro that is also a broken escape (`%%X%%`), which is counted.
#[inline]
fn decoded<'a>(
    hit: &mut Hit<'a>,
    item: Item<'a>,
    parameter: &Parameter,
) -> Result<Option<&'a [u8]>, Outcome> {
    let Item { value, is_clean, .. } = item;
    if is_clean && !parameter.plus_is_space {
        return Ok(Some(value));
    }
    if is_escape_like_macro(hit, value) {
        return Ok(None);
    }
    value::decode(value, parameter.plus_is_space).map(Some).ok_or(Outcome::Malformed)
}

/// Whether the value is a macro that is also a broken escape; if so it is counted. It has to be looked at before decoding.
fn is_escape_like_macro(hit: &mut Hit<'_>, value: &[u8]) -> bool {
    let is_macro = value.starts_with(b"%%") && is_unreplaced_macro(value);
    if is_macro {
        hit.macros_unreplaced = hit.macros_unreplaced.saturating_add(1);
    }
    is_macro
}

/// Value of a hexadecimal digit of either case. By table: identifiers are read digit by digit several times for each beacon.
#[inline]
pub(crate) fn hex_digit(byte: u8) -> Option<u8> {
    HEX_DIGITS.get(usize::from(byte)).copied().filter(|value| *value < 16)
}

/// Value of each byte as a hexadecimal digit; 16 for those that are none.
const HEX_DIGITS: [u8; 256] = {
    let mut table = [16; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::indexing_slicing, reason = "a constant, checked when it is compiled")]
        {
            table[byte] = match byte as u8 {
                digit @ b'0'..=b'9' => digit - b'0',
                digit @ b'a'..=b'f' => digit - b'a' + 10,
                digit @ b'A'..=b'F' => digit - b'A' + 10,
                _ => 16,
            };
        }
        byte += 1;
    }
    table
};
