//! Reading a dialect table's text: strict, so that a typing error in a table is found when it is loaded and not by a beacon.
//! `dialects/README.md` describes the form.

mod check;
mod text;

use super::field;
use super::names::Names;
use super::pattern::Pattern;
use super::route::{Path, PathStage, QueryUse, Tail};
use super::rules::{Condition, MARKS_MAX, Rule};
use super::shape::Shape;
use super::{Grammar, Meaning, Parameter, Table, Words};
use crate::hit::Field;
use crate::stage::Stage;

pub(super) use check::check_paths;
use text::{Long, Named, PathText, StageText, Text};

/// Most parameters of one table, dropped ones and marks included.
const PARAMETERS_MAX: usize = 512;
/// Most dropped names of one table: their numbers have eight bits.
const DROPPED_MAX: usize = 256;
/// Most paths, rules, events, missing or withheld values of one table.
const LIST_MAX: usize = 64;
/// Longest name of a parameter, bytes.
const NAME_BYTES_MAX: usize = 64;
/// Most bytes of a table's text.
const TEXT_BYTES_MAX: usize = 256 * 1024;
/// Stage of a rule or event that no figure counts.
const UNCOUNTED: &str = "uncounted";

/// Why a dialect table was refused: whoever wrote the table has to mend it.
#[derive(Debug, thiserror::Error)]
#[error("dialect table {file}: {problem}")]
pub struct TableError {
    /// The file, as its reader named it.
    pub file: String,
    /// What is wrong.
    #[source]
    pub problem: Problem,
}

/// What is wrong with a dialect table.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// Not TOML, or with keys that a table does not have; says where.
    #[error("{0}")]
    Form(#[from] toml::de::Error),
    /// Something fills a field that does not exist.
    #[error(
        "parameter `{parameter}`: field `{field}` does not exist; the nearest of the fields is `{nearest}`, all of them: {}",
        field_names()
    )]
    UnknownField {
        /// Name of the parameter.
        parameter: String,
        /// The field that it names.
        field: String,
        /// The field that it may have meant.
        nearest: &'static str,
    },
    /// A separator or equalizer that is not what the grammar allows.
    #[error(
        "the separator must be one ASCII character, the equalizer another one or nothing (names glued to values); neither may be a letter, a digit, `%` or a blank"
    )]
    Separators,
    /// A name that could never be found: empty, too long, or holding a separator.
    #[error(
        "parameter `{0}` has a name that the grammar cannot carry: 1 to {NAME_BYTES_MAX} printable ASCII characters without separator, equalizer or `%` are allowed"
    )]
    Name(String),
    /// One name with two meanings.
    #[error("the name `{0}` stands twice: a name is a parameter, a mark or dropped, once")]
    Twice(String),
    /// A value that is not one of those that are allowed.
    #[error("{key} `{value}` is not allowed; allowed: {allowed}")]
    Value {
        /// What is set.
        key: String,
        /// To what.
        value: String,
        /// What it can be set to.
        allowed: String,
    },
    /// More of something than the limit.
    #[error("more than {max} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// Anything else, in words.
    #[error("{0}")]
    Other(String),
}

fn field_names() -> String {
    Field::all().map(Field::name).collect::<Vec<_>>().join(" ")
}

/// Two files with tables of one name.
pub(super) fn twice(file: &str, name: &str, other: &str) -> TableError {
    let problem = Problem::Other(format!("the dialect `{name}` is also in {other}: a name may stand once"));
    TableError { file: file.to_owned(), problem }
}

/// More tables than the limit.
pub(super) fn too_many_tables(file: &str, max: usize) -> TableError {
    TableError { file: file.to_owned(), problem: Problem::TooMany { what: "dialect tables", max } }
}

impl Table {
    /// Reads and checks a table of the form that `dialects/README.md` describes. The file is for the error alone.
    ///
    /// # Errors
    /// When the text is not such a table; says what and where.
    pub fn parse_toml(file: &str, text: &str) -> Result<Self, TableError> {
        let error = |problem| TableError { file: file.to_owned(), problem };
        if text.len() > TEXT_BYTES_MAX {
            return Err(error(Problem::TooMany { what: "bytes", max: TEXT_BYTES_MAX }));
        }
        let text: Text = toml::from_str(text).map_err(|problem| error(problem.into()))?;
        Builder::default().build(text).map_err(error)
    }
}

/// What a table is gathered in.
#[derive(Default)]
struct Builder {
    names: Vec<Box<[u8]>>,
    parameters: Vec<Parameter>,
    patterns: Vec<Pattern>,
    words: Vec<Words>,
}

impl Builder {
    fn build(mut self, text: Text) -> Result<Table, Problem> {
        check::name_of_table(&text.name)?;
        let grammar = grammar(&text)?;
        check::lists(&text)?;
        for (name, named) in &text.parameters {
            self.parameter(name, named, &text)?;
        }
        for (number, name) in text.marks.iter().enumerate() {
            self.add(name, Meaning::Mark(number as u8), text.plus_is_space);
        }
        for (number, name) in text.dropped.iter().enumerate() {
            self.add(name, Meaning::Dropped(number as u8), false);
        }
        check::names(&self.names, grammar)?;
        let positional = match &text.positional {
            None => None,
            Some(pattern) => Some(self.pattern(pattern, false)?),
        };
        if grammar.last_wins {
            self.parameters.iter_mut().for_each(|parameter| parameter.repeats = on_repeat(parameter.meaning));
        }
        self.mark_ored(!text.withheld.is_empty());
        let landing = self.landing(&text)?;
        let events: Vec<_> = text
            .events
            .iter()
            .map(|(name, stage)| Ok((name.as_str().into(), stage_or_uncounted("events", stage)?)))
            .collect::<Result<_, Problem>>()?;
        let rules = rules(&text.marks, &text.stages)?;
        let paths: Vec<_> =
            text.paths.iter().map(|path| path_of(path, &text)).collect::<Result<_, Problem>>()?;
        if paths.iter().any(|path| path.stage == PathStage::Rules) && rules.is_empty() {
            return Err(Problem::Other(
                "a path without `stage` goes by the rules of [[stages]], and there are none".to_owned(),
            ));
        }
        Ok(Table {
            title: text.title.clone().unwrap_or_else(|| text.name.clone()),
            grammar,
            names: Names::new(self.names),
            parameters: self.parameters,
            patterns: self.patterns,
            words: self.words,
            positional,
            landing,
            dropped: text.dropped.iter().map(|name| name.as_str().into()).collect(),
            rules,
            events,
            paths,
            time_offset_minutes: text.time_offset.as_deref().map(offset).transpose()?,
            missing: text.missing.iter().map(|value| value.as_bytes().into()).collect(),
            withheld: text.withheld.iter().map(|value| value.as_bytes().into()).collect(),
            name: text.name,
        })
    }

    fn add(&mut self, name: &str, meaning: Meaning, plus_is_space: bool) {
        self.names.push(name.as_bytes().into());
        self.parameters.push(Parameter {
            meaning,
            plus_is_space,
            json_only: false,
            is_rest: false,
            repeats: field::Repeats::Equal,
            digest: None,
            shape: Shape::Any,
            template_macro: None,
        });
    }

    fn parameter(&mut self, name: &str, named: &Named, text: &Text) -> Result<(), Problem> {
        let long = match named {
            Named::Short(field) => Long { field: Some(field.clone()), ..Long::default() },
            Named::Long(long) => long.clone(),
        };
        let meaning = self.meaning(name, &long)?;
        self.add(name, meaning, long.plus_is_space.unwrap_or(text.plus_is_space));
        if let Some(parameter) = self.parameters.last_mut() {
            parameter.json_only = long.json_only;
            parameter.digest = long.digest.as_deref().map(|field| check::field(name, field)).transpose()?;
            parameter.shape = match meaning {
                Meaning::Field(field) => Shape::of(field, long.number),
                _ => Shape::of(Field::Os, long.number),
            };
            parameter.is_rest = text.rest.as_deref() == Some(name);
            parameter.template_macro = long.template_macro.as_deref().map(Into::into);
        }
        Ok(())
    }

    fn meaning(&mut self, name: &str, long: &Long) -> Result<Meaning, Problem> {
        if long.encoding.is_some() && long.pattern.is_none() {
            return Err(Problem::Other(format!("parameter `{name}`: `encoding` needs `pattern`")));
        }
        if long.digest.is_some() && long.field.is_none() {
            return Err(Problem::Other(format!("parameter `{name}`: `digest` needs `field`")));
        }
        match (&long.field, &long.pattern, &long.words) {
            (Some(field), None, None) => Ok(Meaning::Field(check::field(name, field)?)),
            (None, Some(pattern), None) => {
                let is_base64 = match long.encoding.as_deref() {
                    None => false,
                    Some("base64") => true,
                    Some(other) => return Err(check::not_allowed("encoding", other, "base64")),
                };
                Ok(Meaning::Pattern(self.pattern(pattern, is_base64)? as u8))
            }
            (None, None, Some(words)) => {
                let signal = |(word, field): (&String, &String)| match check::field(name, field)? {
                    field @ (Field::Gdpr | Field::ChildDirected | Field::LimitAdTracking) => {
                        Ok((word.as_bytes().into(), field))
                    }
                    _ => Err(check::not_allowed("words", field, "gdpr, child_directed, limit_ad_tracking")),
                };
                self.words.push(words.iter().map(signal).collect::<Result<_, Problem>>()?);
                Ok(Meaning::Words((self.words.len() - 1) as u8))
            }
            _ => {
                Err(Problem::Other(format!("parameter `{name}` needs either `field`, `pattern` or `words`")))
            }
        }
    }

    fn pattern(&mut self, text: &str, is_base64: bool) -> Result<usize, Problem> {
        if self.patterns.len() >= LIST_MAX {
            return Err(Problem::TooMany { what: "patterns", max: LIST_MAX });
        }
        self.patterns.push(Pattern::new(text, is_base64).map_err(Problem::Other)?);
        Ok(self.patterns.len() - 1)
    }

    /// Marks the parameters that share a privacy signal: with others, with a list of words, or with what is withheld.
    fn mark_ored(&mut self, withholds: bool) {
        for signal in [Field::LimitAdTracking, Field::ChildDirected, Field::Gdpr] {
            let fills = |parameter: &Parameter| parameter.meaning == Meaning::Field(signal);
            let in_words =
                self.words.iter().filter(|words| words.iter().any(|(_, field)| *field == signal)).count();
            let others = in_words + usize::from(withholds && signal == Field::LimitAdTracking);
            if self.parameters.iter().filter(|parameter| fills(parameter)).count() + others > 1 {
                for parameter in self.parameters.iter_mut().filter(|parameter| fills(parameter)) {
                    parameter.repeats = field::Repeats::Either;
                }
            }
        }
    }

    /// The parameter that takes a landing URL in the query of a path: the one that takes the rest, or one without a name.
    fn landing(&mut self, text: &Text) -> Result<Option<usize>, Problem> {
        if let Some(rest) = &text.rest
            && !self.parameters.iter().any(|parameter| parameter.is_rest)
        {
            return Err(check::not_allowed("rest", rest, "the name of a parameter"));
        }
        if !text.paths.iter().any(|path| path.query.as_deref() == Some("landing_url")) {
            return Ok(None);
        }
        if let Some(rest) = self.parameters.iter().position(|parameter| parameter.is_rest) {
            return Ok(Some(rest));
        }
        self.parameters.push(Parameter {
            meaning: Meaning::Field(Field::LandingUrl),
            plus_is_space: false,
            json_only: false,
            is_rest: true,
            repeats: field::Repeats::Equal,
            digest: None,
            shape: Shape::Any,
            template_macro: None,
        });
        Ok(Some(self.parameters.len() - 1))
    }
}

/// What a second value of a parameter does where the last one counts. A yes to a privacy signal is not taken back by what somebody appends.
fn on_repeat(meaning: Meaning) -> field::Repeats {
    match meaning {
        Meaning::Field(Field::LimitAdTracking | Field::ChildDirected | Field::Gdpr | Field::GppSid) => {
            field::Repeats::Either
        }
        _ => field::Repeats::Last,
    }
}

fn grammar(text: &Text) -> Result<Grammar, Problem> {
    let fits = |byte: &u8| byte.is_ascii_graphic() && !byte.is_ascii_alphanumeric() && *byte != b'%';
    let single = |text: &str| match text.as_bytes() {
        [byte] if fits(byte) => Some(*byte),
        _ => None,
    };
    let separator = single(&text.separator).ok_or(Problem::Separators)?;
    let equalizer = match text.equalizer.as_str() {
        "" => None,
        equalizer => Some(single(equalizer).filter(|byte| *byte != separator).ok_or(Problem::Separators)?),
    };
    let last_wins = match text.repeats.as_deref() {
        None | Some("contradiction") => false,
        Some("last") => true,
        Some(other) => return Err(check::not_allowed("repeats", other, "contradiction, last")),
    };
    if text.amp_entity && separator != b'&' {
        return Err(Problem::Other("`amp_entity` goes with the separator `&` alone".to_owned()));
    }
    Ok(Grammar {
        separator,
        equalizer,
        amp_entity: text.amp_entity,
        last_wins,
        whole_encoded: text.whole_encoded,
    })
}

fn rules(marks: &[String], stages: &[StageText]) -> Result<Vec<Rule>, Problem> {
    let mut rules: Vec<Rule> = Vec::new();
    for (place, text) in stages.iter().enumerate() {
        let mut conditions = Vec::new();
        for (mark, values) in &text.marks {
            let number = marks.iter().position(|known| known == mark);
            let number = number.ok_or_else(|| check::not_allowed("mark", mark, &marks.join(", ")))?;
            conditions.push(Condition {
                mark: number as u8,
                values: values.all().iter().map(|value| value.as_bytes().into()).collect(),
            });
        }
        let rule = Rule { stage: stage_or_uncounted("stages", &text.stage)?, conditions: conditions.into() };
        if rules.iter().any(|earlier| earlier.covers(&rule)) {
            return Err(Problem::Other(format!(
                "rule {} of [[stages]] (`{}`) is never reached: an earlier one holds wherever it does",
                place + 1,
                text.stage
            )));
        }
        rules.push(rule);
    }
    if !marks.is_empty() && rules.is_empty() {
        return Err(Problem::Other("there are marks and no [[stages]] that look at them".to_owned()));
    }
    Ok(rules)
}

fn path_of(text: &PathText, table: &Text) -> Result<Path, Problem> {
    let (literal, tail) = match text.path.split_once('{') {
        None => (text.path.as_str(), Tail::None),
        Some((literal, "parameters}")) => (literal, Tail::Parameters),
        Some((literal, "stage}")) => (literal, Tail::Stage),
        Some((literal, "event}")) => (literal, Tail::Event),
        Some(_) => {
            return Err(check::not_allowed(
                "path",
                &text.path,
                "/literal, /literal/{parameters}, /literal/{stage}, /literal/{event}",
            ));
        }
    };
    check::literal(&text.path, literal, tail)?;
    let stage = match (&text.stage, tail) {
        (Some(stage), Tail::None | Tail::Parameters) => PathStage::Fixed(
            Stage::from_name(stage.as_bytes()).ok_or_else(|| check::not_a_stage("stage", stage, false))?,
        ),
        (Some(_), Tail::Stage | Tail::Event) => {
            return Err(Problem::Other(format!("path `{}` says the stage itself", text.path)));
        }
        (None, _) => PathStage::Rules,
    };
    if tail == Tail::Event && table.events.is_empty() {
        return Err(Problem::Other(format!("path `{}` names events, and [events] is empty", text.path)));
    }
    // What the tail says does not go by rules.
    let stage = if matches!(tail, Tail::Stage | Tail::Event) { PathStage::None } else { stage };
    let is_click = match text.answer.as_deref() {
        None => stage == PathStage::Fixed(Stage::Click),
        Some("pixel") => false,
        Some("redirect") => true,
        Some(other) => return Err(check::not_allowed("answer", other, "pixel, redirect")),
    };
    let query = match text.query.as_deref() {
        None | Some("parameters") => QueryUse::Parameters,
        Some("landing_url") => QueryUse::LandingUrl,
        Some("ignored") => QueryUse::Ignored,
        Some(other) => {
            return Err(check::not_allowed("query", other, "parameters, landing_url, ignored"));
        }
    };
    if tail != Tail::Parameters && query != QueryUse::Parameters {
        return Err(Problem::Other(format!("path `{}` has its parameters in the query alone", text.path)));
    }
    let when = text.when.as_deref().map(check::when).transpose()?;
    Ok(Path { literal: literal.into(), tail, stage, is_click, when, query })
}

fn stage_or_uncounted(key: &str, name: &str) -> Result<Option<Stage>, Problem> {
    if name == UNCOUNTED {
        return Ok(None);
    }
    Stage::from_name(name.as_bytes()).map(Some).ok_or_else(|| check::not_a_stage(key, name, true))
}

/// Minutes of `+08:00`.
fn offset(text: &str) -> Result<i16, Problem> {
    crate::time::offset_minutes(text.as_bytes())
        .ok_or_else(|| check::not_allowed("time_offset", text, "-14:00 to +14:00"))
}
