//! What a table may say, beyond the form: names that can be found, paths that can be reached and told apart.

use super::text::Text;
use super::{
    DROPPED_MAX, LIST_MAX, MARKS_MAX, NAME_BYTES_MAX, PARAMETERS_MAX, Problem, TableError, UNCOUNTED,
};
use crate::dialect::route::{Path, Tail, When};
use crate::dialect::{Grammar, Table};
use crate::hit::Field;
use crate::stage::Stage;

/// Longest name of a dialect, bytes: it is a label in metrics.
const TABLE_NAME_BYTES_MAX: usize = 32;

/// Paths of the tracker that are no dialect's: a table's path that is or begins with one of them would never be reached.
const RESERVED: [&str; 9] = [
    "/v1/",
    "/tag.js",
    "/vast",
    "/sdkconfig.xml",
    "/openapi.yaml",
    "/opt-out",
    "/dsrdelete.json",
    "/robots.txt",
    "/favicon.ico",
];

/// An error about a value, with what is allowed.
pub(super) fn not_allowed(key: &str, value: &str, allowed: &str) -> Problem {
    Problem::Value { key: key.to_owned(), value: value.to_owned(), allowed: allowed.to_owned() }
}

/// An error about a stage.
pub(super) fn not_a_stage(key: &str, value: &str, may_be_uncounted: bool) -> Problem {
    let names = Stage::ALL.map(Stage::name).join(", ");
    not_allowed(key, value, &if may_be_uncounted { format!("{names}, {UNCOUNTED}") } else { names })
}

pub(super) fn name_of_table(name: &str) -> Result<(), Problem> {
    let fits = (1..=TABLE_NAME_BYTES_MAX).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_'));
    let allowed = format!("1 to {TABLE_NAME_BYTES_MAX} of a-z, 0-9, - and _");
    if fits { Ok(()) } else { Err(not_allowed("name", name, &allowed)) }
}

/// Limits of the lists.
pub(super) fn lists(text: &Text) -> Result<(), Problem> {
    let count = text.parameters.len() + text.marks.len() + text.dropped.len();
    for (what, count, max) in [
        ("parameters", count, PARAMETERS_MAX),
        ("dropped names", text.dropped.len(), DROPPED_MAX),
        ("marks", text.marks.len(), MARKS_MAX),
        ("paths", text.paths.len(), LIST_MAX),
        ("rules in [[stages]]", text.stages.len(), LIST_MAX),
        ("events", text.events.len(), LIST_MAX),
        ("missing values", text.missing.len(), LIST_MAX),
        ("withheld values", text.withheld.len(), LIST_MAX),
    ] {
        if count > max {
            return Err(Problem::TooMany { what, max });
        }
    }
    Ok(())
}

/// The names of a table: each can be carried by the grammar, and means one thing.
pub(super) fn names(names: &[Box<[u8]>], grammar: Grammar) -> Result<(), Problem> {
    let shown = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    let mut seen = std::collections::BTreeSet::new();
    for name in names {
        let fits = (1..=NAME_BYTES_MAX).contains(&name.len())
            && name.iter().all(|byte| {
                byte.is_ascii_graphic()
                    && *byte != b'%'
                    && *byte != grammar.separator
                    && Some(*byte) != grammar.equalizer
                    && (grammar.equalizer.is_some() || *byte != b'=')
            })
            && !(grammar.amp_entity && name.starts_with(b"amp;"));
        if !fits {
            return Err(Problem::Name(shown(name)));
        }
        if !seen.insert(name) {
            return Err(Problem::Twice(shown(name)));
        }
    }
    if grammar.equalizer.is_some() {
        return Ok(());
    }
    // The longest known name is taken. That is no guess where the longer one goes on with a letter; one that goes on with a digit
    // looks like the shorter one with a number for its value.
    for longer in names {
        let shorter = names.iter().find(|shorter| {
            longer.len() > shorter.len()
                && longer.starts_with(shorter)
                && longer.get(shorter.len()).is_some_and(u8::is_ascii_digit)
        });
        if let Some(shorter) = shorter {
            return Err(Problem::Other(format!(
                "the glued names `{}` and `{}` cannot be told apart: the longer one looks like the shorter one with a number behind it",
                shown(shorter),
                shown(longer)
            )));
        }
    }
    Ok(())
}

/// The field of a name, or an error with the nearest.
pub(super) fn field(parameter: &str, name: &str) -> Result<Field, Problem> {
    Field::from_name(name).ok_or_else(|| Problem::UnknownField {
        parameter: parameter.to_owned(),
        field: name.to_owned(),
        nearest: Field::all().map(Field::name).min_by_key(|known| distance(known, name)).unwrap_or_default(),
    })
}

/// How many bytes have to be changed, added or removed to get from one name to the other.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (place, byte) in one.bytes().enumerate() {
        let mut before = place;
        let mut left = place + 1;
        for (above, also) in row.iter_mut().skip(1).zip(other.bytes()) {
            let best = (before + usize::from(byte != also)).min(left + 1).min(*above + 1);
            before = *above;
            *above = best;
            left = best;
        }
        if let Some(first) = row.first_mut() {
            *first = place + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

/// The literal of a path.
pub(super) fn literal(path: &str, literal: &str, tail: Tail) -> Result<(), Problem> {
    let is_clean = literal.starts_with('/')
        && literal
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'%' | b'{' | b'}'));
    // A path is found by its first part: a tail must begin behind a slash.
    let has_part = tail == Tail::None || (literal.len() > 1 && literal.ends_with('/'));
    if !is_clean || !has_part {
        return Err(not_allowed(
            "path",
            path,
            "an absolute path without `?`, `#` and `%`; a placeholder stands behind a slash, and not behind the first",
        ));
    }
    let reserved = RESERVED.iter().find(|reserved| match reserved.strip_suffix('/') {
        Some(_) => literal.starts_with(**reserved),
        None => literal == **reserved,
    });
    if literal == "/" || reserved.is_some() {
        return Err(Problem::Other(format!(
            "path `{path}` is never reached: the tracker itself answers there"
        )));
    }
    Ok(())
}

/// A marker: `name` or `name=value`.
pub(super) fn when(text: &str) -> Result<When, Problem> {
    let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
    let fits = |text: &str| {
        !text.is_empty()
            && text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'&' | b'=' | b'%' | b'#'))
    };
    if !fits(name) || !value.is_none_or(fits) {
        return Err(not_allowed(
            "when",
            text,
            "`name` (the query has the parameter) or `name=value` (with this value)",
        ));
    }
    Ok(When { name: name.into(), value: value.map(Into::into), until: Box::default() })
}

/// Whether every path of every table can be reached and is told apart from the others.
pub(in crate::dialect) fn check_paths(files: &[(String, Table)]) -> Result<(), TableError> {
    let all =
        || files.iter().flat_map(|(file, table)| table.paths.iter().map(move |path| (file, table, path)));
    for (place, (file, table, path)) in all().enumerate() {
        let clash = all().take(place).find(|(.., other)| {
            let same =
                other.literal == path.literal && (other.tail == Tail::None) == (path.tail == Tail::None);
            same && other.when == path.when
        });
        if let Some((other_file, other, _)) = clash {
            let problem = Problem::Other(format!(
                "path `{}` with {} is also that of the dialect `{}` ({other_file}): the two need a marker (`when`) that tells them apart",
                shown(path),
                path.when
                    .as_ref()
                    .map_or("no marker".to_owned(), |when| format!("the marker `{}`", when.name)),
                if other.name() == table.name() { "itself" } else { other.name() },
            ));
            return Err(TableError { file: file.clone(), problem });
        }
    }
    Ok(())
}

fn shown(path: &Path) -> String {
    let tail = match path.tail {
        Tail::None => "",
        Tail::Parameters => "{parameters}",
        Tail::Stage => "{stage}",
        Tail::Event => "{event}",
    };
    format!("{}{tail}", path.literal)
}
