//! The event store as the rest of this crate speaks to it: statements by name, bound values, typed rows, batches of rows.
//!
//! Owns the sessions of the store and the settings they run with. Today the store is the embedded engine ([`crate::engine`]); the statements,
//! the row formats (RowBinary in, JSONEachRow out) and the settings are the same for a server over HTTP.
//!
//! Must never: put a value into a statement's text, or let two kinds of work wait for each other (loading, settling and reporting have
//! sessions of their own).

mod place;

use std::sync::Arc;
use std::time::Instant;

use serde::de::DeserializeOwned;

use crate::engine::{self, Bound, Connection, Engine, EngineError};
use crate::statement::{self, Statement};

pub use place::{Password, Servers, StoreAt, StoreSettings};

/// Most partitions (days) that one insert may touch; the engine refuses more than 100.
pub(crate) const INSERT_DAYS_MAX: usize = 90;
/// Longest a report's statement may run, seconds.
pub(crate) const REPORT_SECONDS_MAX: u32 = 120;

/// What goes wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The engine's own.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Us: a statement answered rows of another shape than we read.
    #[error("the answer of {statement} cannot be read: {reason}")]
    Answer {
        /// The statement.
        statement: &'static str,
        /// What does not fit.
        reason: String,
    },
}

/// A kind of work; each has sessions of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Journal to tables.
    Load,
    /// Settling, adoption, housekeeping.
    Settle,
    /// Reports.
    Report,
}

/// A value to bind.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// `String`
    Text(String),
    /// Any unsigned integer type.
    Number(u64),
    /// Any signed integer type.
    Signed(i64),
    /// `Array(Date)`, days since 1970-01-01.
    Days(Vec<u16>),
    /// `Array(String)`
    Texts(Vec<String>),
    /// `Array(UInt…)`
    Numbers(Vec<u64>),
    /// `Array(Tuple(Date, UInt64))`: days and generations.
    Generations(Vec<(u16, u64)>),
}

impl Value {
    /// The value in the engine's escaped text form: what stands in a field of a TSV file.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Text(text) => escape(text),
            Self::Number(n) => n.to_string(),
            Self::Signed(n) => n.to_string(),
            Self::Days(days) => list(days, |day| format!("'{}'", day_text(*day))),
            Self::Texts(texts) => list(texts, |text| format!("'{}'", escape(text))),
            Self::Numbers(numbers) => list(numbers, u64::to_string),
            Self::Generations(pairs) => list(pairs, |(day, n)| format!("('{}',{n})", day_text(*day))),
        }
    }
}

fn list<T>(items: &[T], text: impl Fn(&T) -> String) -> String {
    format!("[{}]", items.iter().map(text).collect::<Vec<_>>().join(","))
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\0' => out.push_str("\\0"),
            other => out.push(other),
        }
    }
    out
}

/// `2026-11-21` of days since 1970-01-01.
pub(crate) fn day_text(day: u16) -> String {
    day_date(day).to_string()
}

/// The calendar day of days since 1970-01-01.
pub(crate) fn day_date(day: u16) -> chrono::NaiveDate {
    chrono::NaiveDate::default() + chrono::Days::new(u64::from(day))
}

/// Days since 1970-01-01 of a calendar day; `None` outside 1970–2149.
pub(crate) fn day_number(date: chrono::NaiveDate) -> Option<u16> {
    u16::try_from(date.signed_duration_since(chrono::NaiveDate::default()).num_days()).ok()
}

/// Bound values by name.
pub(crate) type Values = Vec<(&'static str, Value)>;

/// How much of the machine the store may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Memory of one statement of each kind, bytes.
    pub statement_bytes: u64,
    /// Threads of one statement.
    pub threads: u32,
    /// Reports that run at the same time.
    pub reports: usize,
}

/// The store, open.
pub(crate) struct Store {
    load: Connection,
    settle: Connection,
    reports: Vec<Connection>,
    next_report: std::sync::atomic::AtomicUsize,
}

impl Store {
    /// Opens the embedded engine on `path` and the database in it, creating both where missing. Tables come with [`crate::migrate`].
    ///
    /// # Errors
    /// The engine's.
    pub(crate) fn open(at: StoreAt, database: &str, limits: Limits) -> Result<Self, StoreError> {
        let engine = match at {
            StoreAt::Embedded { engine, path } => {
                Engine::open(&engine::find_library(engine.as_deref())?, &path)?
            }
            StoreAt::Servers(_) => return Err(EngineError::ZeroByte { what: "a server's name" }.into()),
        };
        let create = format!("CREATE DATABASE IF NOT EXISTS {database}");
        debug_assert!(
            database.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'),
            "a database's name is ours"
        );
        engine.connect(&[])?.query(&create, "Null", &[])?;
        let connect = |work| connect(&engine, database, work, limits);
        let reports = (0..limits.reports.max(1)).map(|_| connect(Work::Report)).collect::<Result<_, _>>()?;
        Ok(Self {
            load: connect(Work::Load)?,
            settle: connect(Work::Settle)?,
            reports,
            next_report: std::sync::atomic::AtomicUsize::new(0),
        })
    }

    /// Runs a statement without a result.
    ///
    /// # Errors
    /// The engine's.
    pub(crate) fn execute(
        &self,
        work: Work,
        statement: Statement,
        values: &Values,
    ) -> Result<(), StoreError> {
        let started = Instant::now();
        self.execute_text(work, statement.sql(), values)?;
        tracing::debug!(
            statement = statement.file,
            seconds = started.elapsed().as_secs_f64(),
            "statement run"
        );
        Ok(())
    }

    /// Runs a statement whose text was made from our own words only (a table's name, a number of the settings).
    pub(crate) fn execute_text(&self, work: Work, sql: &str, values: &Values) -> Result<(), StoreError> {
        self.session(work).query(sql, "Null", &bound(values))?;
        Ok(())
    }

    /// Runs a query and reads its rows by their columns' names.
    ///
    /// # Errors
    /// The engine's, or rows that do not fit `Row`.
    pub(crate) fn rows<Row: DeserializeOwned>(
        &self,
        work: Work,
        statement: Statement,
        values: &Values,
    ) -> Result<Vec<Row>, StoreError> {
        self.rows_of(work, statement, statement.sql(), values)
    }

    /// The same for a report that needs settled figures only.
    pub(crate) fn rows_settled<Row: DeserializeOwned>(
        &self,
        statement: Statement,
        values: &Values,
    ) -> Result<Vec<Row>, StoreError> {
        self.rows_of(Work::Report, statement, statement.sql_settled(), values)
    }

    fn rows_of<Row: DeserializeOwned>(
        &self,
        work: Work,
        statement: Statement,
        sql: &str,
        values: &Values,
    ) -> Result<Vec<Row>, StoreError> {
        let started = Instant::now();
        let answer = self.session(work).query(sql, "JSONEachRow", &bound(values))?;
        tracing::debug!(
            statement = statement.file,
            seconds = started.elapsed().as_secs_f64(),
            bytes = answer.len(),
            "query run"
        );
        let wrong = |error: serde_json::Error| StoreError::Answer {
            statement: statement.file,
            reason: error.to_string(),
        };
        serde_json::Deserializer::from_slice(&answer).into_iter().map(|row| row.map_err(wrong)).collect()
    }

    /// Appends rows in RowBinary, columns in the order of the table's file. When this has answered, they are on the disk.
    ///
    /// # Errors
    /// The engine's: some of the rows may be in the table then.
    pub(crate) fn insert(&self, work: Work, table: Statement, rows: &[u8]) -> Result<(), StoreError> {
        let started = Instant::now();
        self.session(work).insert(&format!("INSERT INTO {}", table.file), "RowBinary", rows)?;
        tracing::debug!(
            table = table.file,
            seconds = started.elapsed().as_secs_f64(),
            bytes = rows.len(),
            "rows inserted"
        );
        Ok(())
    }

    fn session(&self, work: Work) -> &Connection {
        match work {
            Work::Load => &self.load,
            Work::Settle => &self.settle,
            Work::Report => {
                let turn = self.next_report.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                self.reports.get(turn % self.reports.len().max(1)).unwrap_or(&self.settle)
            }
        }
    }
}

fn bound(values: &Values) -> Vec<Bound> {
    values.iter().map(|(name, value)| Bound { name, text: value.text() }).collect()
}

fn connect(
    engine: &Arc<Engine>,
    database: &str,
    work: Work,
    limits: Limits,
) -> Result<Connection, EngineError> {
    let bytes = limits.statement_bytes;
    let mut settings = vec![
        // What is answered as stored is stored; repeats are dropped by identity when figures are made.
        "async_insert=0".to_owned(),
        "insert_deduplicate=0".to_owned(),
        format!("max_threads={}", limits.threads.max(1)),
        format!("max_memory_usage={bytes}"),
        // Beyond these a statement goes on on the disk.
        format!("max_bytes_before_external_group_by={}", bytes / 3),
        format!("max_bytes_before_external_sort={}", bytes / 3),
        "output_format_json_quote_64bit_integers=0".to_owned(),
        "output_format_json_escape_forward_slashes=0".to_owned(),
        "mutations_sync=1".to_owned(),
        // Sets of views are no help to the index, and would be made once more for it.
        "use_index_for_in_with_subqueries=0".to_owned(),
    ];
    if work == Work::Settle {
        // What a settle step inserts was grouped by the table's key just now: summing it again on the way in only takes time.
        settings.push("optimize_on_insert=0".to_owned());
    }
    if work == Work::Report {
        settings.push(format!("max_execution_time={REPORT_SECONDS_MAX}"));
    }
    let connection = engine.connect(&settings)?;
    connection.query(&format!("USE {database}"), "Null", &[])?;
    Ok(connection)
}

/// Creates the tables. Safe to run at every start.
///
/// # Errors
/// The engine's.
pub(crate) fn migrate(store: &Store, retention_days: u16) -> Result<(), StoreError> {
    for table in statement::TABLES {
        // A number of our settings, from 1 to 65,535: the engine takes no bound values in a table's definition.
        let sql = table.sql().replace("RETENTION_DAYS", &retention_days.to_string());
        store.execute_text(Work::Settle, &sql, &Vec::new())?;
    }
    let ttl = format!("ALTER TABLE events MODIFY TTL toDateTime(received) + INTERVAL {retention_days} DAY");
    let defined: Vec<Defined> = store.rows(Work::Settle, statement::EVENTS_DEFINED, &Vec::new())?;
    let wanted = format!("toIntervalDay({retention_days})");
    if !defined.iter().any(|table| table.definition.contains(&wanted)) {
        store.execute_text(Work::Settle, &ttl, &Vec::new())?;
    }
    Ok(())
}

#[derive(serde::Deserialize)]
struct Defined {
    definition: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped_as_fields_of_a_tsv_file() {
        assert_eq!(Value::Text("a\tb\\c\n'".to_owned()).text(), "a\\tb\\\\c\\n\\'");
        assert_eq!(Value::Texts(vec!["x','y".to_owned(), String::new()]).text(), "['x\\',\\'y','']");
        assert_eq!(Value::Days(vec![0, 20_778]).text(), "['1970-01-01','2026-11-21']");
        assert_eq!(Value::Generations(vec![(1, 7)]).text(), "[('1970-01-02',7)]");
        assert_eq!(Value::Numbers(vec![1, u64::MAX]).text(), "[1,18446744073709551615]");
    }

    #[test]
    fn days_go_there_and_back() {
        for day in [0, 1, 20_778, u16::MAX] {
            assert_eq!(day_number(day_date(day)), Some(day));
        }
    }
}
