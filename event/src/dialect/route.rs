//! Which dialect a path belongs to, and what it says of the hit. It owns the paths of all tables; it must never read a parameter but those
//! that tell two dialects of one path apart.

use std::sync::{Arc, LazyLock};

use super::load::{self, TableError};
use super::{Joint, Reading, Scratch, Table, lexer, value};
use crate::outcome::Outcome;
use crate::stage::Stage;

/// The tables that are part of the program: file and text.
const BUILT_IN: &[(&str, &str)] = &[
    ("native.toml", include_str!("../../dialects/native.toml")),
    ("miaozhen.toml", include_str!("../../dialects/miaozhen.toml")),
    ("admaster.toml", include_str!("../../dialects/admaster.toml")),
    ("cm360.toml", include_str!("../../dialects/cm360.toml")),
    ("nielsen.toml", include_str!("../../dialects/nielsen.toml")),
    ("gridsum.toml", include_str!("../../dialects/gridsum.toml")),
    ("talkingdata.toml", include_str!("../../dialects/talkingdata.toml")),
    ("rtbasia.toml", include_str!("../../dialects/rtbasia.toml")),
    ("adbug.toml", include_str!("../../dialects/adbug.toml")),
    ("vast.toml", include_str!("../../dialects/vast.toml")),
];

/// Most tables of one set.
const TABLES_MAX: usize = 64;

/// A path of a table.
#[derive(Debug)]
pub(super) struct Path {
    /// What the path is, or begins with.
    pub(super) literal: Box<str>,
    pub(super) tail: Tail,
    pub(super) stage: PathStage,
    /// A click: answered with a redirect.
    pub(super) is_click: bool,
    pub(super) when: Option<When>,
    pub(super) query: QueryUse,
}

/// What stands behind the literal of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tail {
    /// Nothing.
    None,
    /// Parameters.
    Parameters,
    /// The name of a stage.
    Stage,
    /// The name of an event of the table.
    Event,
}

/// What says the stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PathStage {
    /// Nothing: what is read has no path.
    None,
    /// The path.
    Fixed(Stage),
    /// The path, which is none.
    Refused(Outcome),
    /// The table's rules.
    Rules,
}

/// What the query is to a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum QueryUse {
    /// Parameters, behind those of the path.
    Parameters,
    /// The landing URL.
    LandingUrl,
    /// Nothing.
    Ignored,
}

/// What has to be in the query for the path to be the table's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct When {
    pub(super) name: Box<str>,
    /// `None`: any value.
    pub(super) value: Option<Box<str>>,
    /// Parameters that take the rest of the query, in this table or in another of the same path: what stands behind them is a landing URL's own.
    pub(super) until: Box<[Box<str>]>,
}

/// An immutable set of tables.
pub struct Dialects {
    tables: Vec<Table>,
    /// The paths by their first part, up to and with its second slash; among those of one, in the order in which they are tried.
    heads: ahash::HashMap<Box<str>, Vec<(usize, usize)>>,
}

/// A target whose path is of a dialect.
pub struct Entry<'d, 'u> {
    /// The dialect.
    pub table: &'d Table,
    /// The dialect's number in its set.
    pub number: usize,
    /// Whether it is answered as a click, with a redirect; otherwise with the pixel.
    pub is_click: bool,
    stage: PathStage,
    /// Parameters in the path.
    in_path: &'u str,
    query: Option<&'u str>,
    query_use: QueryUse,
}

impl Dialects {
    /// The dialects that are part of the program.
    ///
    /// # Panics
    /// Never in a build whose tests are green: the tables are part of the program.
    pub fn built_in() -> &'static Arc<Self> {
        static SET: LazyLock<Arc<Dialects>> =
            LazyLock::new(|| Arc::new(Dialects::with([]).expect("checked by a test")));
        &SET
    }

    /// The built-in dialects and further ones: file and text of each. One with the name of a built-in one takes its place.
    ///
    /// # Errors
    /// When a text is no table, a name stands twice, or two tables cannot be told apart; says the file, what is wrong and what is allowed.
    pub fn with(extra: impl IntoIterator<Item = (String, String)>) -> Result<Self, TableError> {
        let mut tables: Vec<(String, Table)> = Vec::new();
        for (file, text) in BUILT_IN {
            tables.push(((*file).to_owned(), Table::parse_toml(file, text)?));
        }
        let built_in = tables.len();
        for (file, text) in extra {
            let table = Table::parse_toml(&file, &text)?;
            if let Some((other, _)) = tables.iter().skip(built_in).find(|(_, known)| known.name == table.name)
            {
                return Err(load::twice(&file, &table.name, other));
            }
            match tables.iter_mut().take(built_in).find(|(_, known)| known.name == table.name) {
                Some(place) => *place = (file, table),
                None => tables.push((file, table)),
            }
        }
        if let Some((file, _)) = tables.get(TABLES_MAX) {
            return Err(load::too_many_tables(file, TABLES_MAX));
        }
        Self::of(tables)
    }

    fn of(files: Vec<(String, Table)>) -> Result<Self, TableError> {
        load::check_paths(&files)?;
        let mut tables: Vec<Table> = files.into_iter().map(|(_, table)| table).collect();
        bound_markers(&mut tables);
        let mut heads: ahash::HashMap<Box<str>, Vec<(usize, usize)>> = ahash::HashMap::default();
        for (number, table) in tables.iter().enumerate() {
            for (place, path) in table.paths.iter().enumerate() {
                heads.entry(head(&path.literal).into()).or_default().push((number, place));
            }
        }
        let mut set = Self { tables, heads: ahash::HashMap::default() };
        for (head, mut places) in heads {
            // The longer literal first; of two equal ones the one with a marker, and the more particular marker.
            places.sort_by_key(|(number, place)| {
                let path = set.path(*number, *place);
                let particular = path
                    .and_then(|path| path.when.as_ref())
                    .map_or(0, |when| 1 + usize::from(when.value.is_some()));
                let literal = path.map_or((0, false), |path| (path.literal.len(), path.tail == Tail::None));
                std::cmp::Reverse((particular > 0, literal, particular))
            });
            set.heads.insert(head, places);
        }
        Ok(set)
    }

    /// Every table, by number.
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// The table of a name.
    pub fn get(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.name == name)
    }

    /// The dialect of a target, given its path as it stands and the query behind the `?`; `None` if the path is of none.
    pub fn route<'d, 'u>(&'d self, path: &'u str, query: Option<&'u str>) -> Option<Entry<'d, 'u>> {
        let places = self.heads.get(head(path))?;
        let find = |of: fn(&Path, &'d Table, usize, &'u str, Option<&'u str>) -> Option<Entry<'d, 'u>>| {
            places.iter().find_map(|(number, place)| {
                let table = self.tables.get(*number)?;
                of(table.paths.get(*place)?, table, *number, path, query)
            })
        };
        find(Path::entry).or_else(|| find(Path::unmarked_entry))
    }

    fn path(&self, table: usize, place: usize) -> Option<&Path> {
        self.tables.get(table)?.paths.get(place)
    }
}

impl Path {
    /// The target, if its path is this one.
    pub(super) fn entry<'d, 'u>(
        &self,
        table: &'d Table,
        number: usize,
        path: &'u str,
        query: Option<&'u str>,
    ) -> Option<Entry<'d, 'u>> {
        let tail = self.tail_of(path).filter(|_| self.when.as_ref().is_none_or(|when| when.holds(query)))?;
        let stage = match self.tail {
            Tail::Stage => Stage::from_name(tail.as_bytes())
                .map_or(PathStage::Refused(Outcome::UnknownStage), PathStage::Fixed),
            Tail::Event => table.event(tail),
            Tail::None | Tail::Parameters => self.stage,
        };
        let in_path = if self.tail == Tail::Parameters { tail } else { "" };
        Some(Entry { table, number, is_click: self.is_click, stage, in_path, query, query_use: self.query })
    }

    /// The target, if its path is this one but for the marker: a hit that does not say what it is. It is answered with the pixel, as what is
    /// rejected: its sender would send it again otherwise.
    fn unmarked_entry<'d, 'u>(
        &self,
        table: &'d Table,
        number: usize,
        path: &'u str,
        query: Option<&'u str>,
    ) -> Option<Entry<'d, 'u>> {
        let in_path = self.tail_of(path).filter(|_| self.when.is_some())?;
        let stage = PathStage::Refused(Outcome::UnknownStage);
        Some(Entry { table, number, is_click: false, stage, in_path, query, query_use: self.query })
    }

    /// What stands behind the literal, if the path is this one.
    fn tail_of<'u>(&self, path: &'u str) -> Option<&'u str> {
        path.strip_prefix(&*self.literal).filter(|tail| match self.tail {
            Tail::None => tail.is_empty(),
            Tail::Parameters => true,
            Tail::Stage | Tail::Event => !tail.contains('/'),
        })
    }
}

/// Tells each marker where the query ends in which it is looked for.
fn bound_markers(tables: &mut [Table]) {
    let rests: Vec<(Box<str>, Box<str>)> = tables
        .iter()
        .flat_map(|table| {
            let rest = table.parameters.iter().position(|parameter| parameter.is_rest);
            let rest = rest.map(|number| table.name_of(number)).filter(|name| !name.is_empty());
            table.paths.iter().filter_map(move |path| Some((path.literal.clone(), rest?.into())))
        })
        .collect();
    for path in tables.iter_mut().flat_map(|table| table.paths.iter_mut()) {
        let Some(when) = &mut path.when else { continue };
        let of_path = rests.iter().filter(|(literal, _)| *literal == path.literal);
        when.until = of_path.map(|(_, rest)| rest.clone()).collect();
    }
}

impl When {
    fn holds(&self, query: Option<&str>) -> bool {
        for item in query.unwrap_or_default().split('&') {
            let item = item.strip_prefix("amp;").unwrap_or(item);
            let Some((name, value)) = item.split_once('=') else { continue };
            if name == &*self.name && self.value.as_ref().is_none_or(|known| **known == *value) {
                return true;
            }
            if self.until.iter().any(|rest| **rest == *name) && !lexer::says_nothing(value.as_bytes()) {
                return false;
            }
        }
        false
    }
}

impl Table {
    fn event(&self, name: &str) -> PathStage {
        match self.events.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            Some((_, Some(stage))) => PathStage::Fixed(*stage),
            Some((_, None)) => PathStage::Refused(Outcome::UncountedEvent),
            None => PathStage::Refused(Outcome::UnknownStage),
        }
    }
}

impl Entry<'_, '_> {
    /// Reads the hit. Its stage is the one that the path or the table's rules say; if they say none, that is a defect.
    pub fn read<'a>(&self, scratch: &'a mut Scratch) -> Reading<'a> {
        let joint = self.write_text(scratch);
        self.table.read_text(scratch, joint, self.stage)
    }

    /// Writes what is to be read into the buffer.
    pub(super) fn write_text(&self, scratch: &mut Scratch) -> Joint {
        let grammar = self.table.grammar;
        let text = &mut scratch.bytes;
        text.clear();
        let query = self.query.filter(|query| match self.query_use {
            QueryUse::Parameters => true,
            QueryUse::LandingUrl => value::begins_as_url(query.as_bytes()),
            QueryUse::Ignored => false,
        });
        let is_joined = !self.in_path.is_empty();
        let first = if is_joined { self.in_path } else { query.unwrap_or_default() };
        text.extend_from_slice(first.as_bytes());
        if grammar.whole_encoded {
            let sign = grammar.equalizer.unwrap_or(grammar.separator);
            if memchr::memchr(sign, text).is_none() && value::has_escaped(text, sign) {
                let len = value::decode_whole(text);
                text.truncate(len);
            }
        }
        let Some(query) = query.filter(|query| is_joined && !query.is_empty()) else {
            return Joint::default();
        };
        text.push(grammar.separator);
        text.extend_from_slice(query.as_bytes());
        Joint {
            bytes_after: query.len() + lexer::PAD_BYTES,
            is_landing: self.query_use == QueryUse::LandingUrl,
        }
    }
}

/// The first part of a path, with the slash behind it.
fn head(path: &str) -> &str {
    let end = path.get(1..).and_then(|rest| memchr::memchr(b'/', rest.as_bytes()));
    end.and_then(|end| path.get(..end + 2)).unwrap_or(path)
}
