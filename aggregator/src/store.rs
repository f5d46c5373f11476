//! The event store as the rest of this crate speaks to it: statements by name, bound values, typed rows, batches of rows.
//!
//! Owns the sessions of the store and the settings they run with. The store is the embedded engine ([`crate::engine`]) or ClickHouse servers over
//! HTTP; the statements, the row formats (RowBinary in, JSONEachRow out), the values' text and the settings are the same for both.
//!
//! Must never: put a value into a statement's text, or let two kinds of work wait for each other (loading, settling and reporting have
//! sessions of their own).
//!
//! Public for tests and measurements; within the product only this crate uses it.

mod cluster;
mod embedded;
mod error;
mod migrate;
mod place;
mod server;
mod value;
mod wire;

use std::time::Instant;

use serde::de::DeserializeOwned;

use self::cluster::Cluster;
use self::embedded::Embedded;
use self::server::Server;
use crate::engine;
use crate::statement::{self, Statement};

pub(crate) use error::{MEMORY_LIMIT_EXCEEDED, TIMEOUT_EXCEEDED};
pub use error::{ServerError, StoreError};
pub use migrate::migrate;
pub use place::{Password, Servers, StoreAt, StoreSettings};
pub use value::{Value, Values};
pub(crate) use value::{day_number, day_text, partitions};

/// Most partitions (days) that one insert may touch; the engine refuses more than 100.
pub(crate) const INSERT_DAYS_MAX: usize = 90;
/// Longest a report's statement may run, seconds.
pub(crate) const REPORT_SECONDS_MAX: u32 = 120;

/// A kind of work; each has sessions of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Journal to tables.
    Load,
    /// Settling, adoption, housekeeping: one session, in which temporary tables live.
    Settle,
    /// Reports.
    Report,
}

/// How much of the machine the store may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Memory of one statement of each kind, bytes.
    pub statement_bytes: u64,
    /// Threads of one statement.
    pub threads: u32,
    /// Reports that run at the same time.
    pub reports: usize,
}

/// The store, open.
pub struct Store {
    sessions: Sessions,
    database: String,
    cluster: Option<Cluster>,
}

enum Sessions {
    Embedded(Box<Embedded>),
    Server(Box<Server>),
}

impl Store {
    /// Opens the store and the database in it, creating both where missing. Tables come with [`migrate`].
    ///
    /// # Errors
    /// The engine's, or the servers'.
    pub fn open(at: StoreAt, database: &str, limits: Limits) -> Result<Self, StoreError> {
        debug_assert!(
            database.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'),
            "a database's name is ours"
        );
        match at {
            StoreAt::Embedded { engine, path } => {
                let library = engine::find_library(engine.as_deref())?;
                let embedded = Embedded::open(&library, &path, database, limits)?;
                let sessions = Sessions::Embedded(Box::new(embedded));
                Ok(Self { sessions, database: database.to_owned(), cluster: None })
            }
            StoreAt::Servers(servers) => {
                let cluster = (!servers.cluster.is_empty())
                    .then(|| Cluster { name: servers.cluster.clone(), database: database.to_owned() });
                let on = cluster.as_ref().map(Cluster::on).unwrap_or_default();
                let create = format!("CREATE DATABASE IF NOT EXISTS {database}{on}");
                let server = Server::open(*servers, database, limits, &create)?;
                Ok(Self {
                    sessions: Sessions::Server(Box::new(server)),
                    database: database.to_owned(),
                    cluster,
                })
            }
        }
    }

    /// Whether a value is short enough to be bound.
    pub(crate) fn takes(&self, value: &Value) -> bool {
        match &self.sessions {
            Sessions::Embedded(_) => true,
            Sessions::Server(server) => server.takes(value),
        }
    }

    /// Runs a statement without a result.
    ///
    /// # Errors
    /// The store's.
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
    ///
    /// # Errors
    /// The store's.
    pub fn execute_text(&self, work: Work, sql: &str, values: &Values) -> Result<(), StoreError> {
        self.query(work, sql, "Null", values).map(drop)
    }

    /// Runs a query and reads its rows by their columns' names.
    ///
    /// # Errors
    /// The store's, or rows that do not fit `Row`.
    pub(crate) fn rows<Row: DeserializeOwned>(
        &self,
        work: Work,
        statement: Statement,
        values: &Values,
    ) -> Result<Vec<Row>, StoreError> {
        self.rows_text(work, statement.file, statement.sql(), values)
    }

    /// The same for a report that needs settled figures only.
    pub(crate) fn rows_settled<Row: DeserializeOwned>(
        &self,
        statement: Statement,
        values: &Values,
    ) -> Result<Vec<Row>, StoreError> {
        self.rows_text(Work::Report, statement.file, statement.sql_settled(), values)
    }

    /// The same for a text of our own words; `name` is what errors and logs call it.
    ///
    /// # Errors
    /// The store's, or rows that do not fit `Row`.
    pub fn rows_text<Row: DeserializeOwned>(
        &self,
        work: Work,
        name: &'static str,
        sql: &str,
        values: &Values,
    ) -> Result<Vec<Row>, StoreError> {
        let started = Instant::now();
        let answer = self.query(work, sql, "JSONEachRow", values)?;
        tracing::debug!(
            statement = name,
            seconds = started.elapsed().as_secs_f64(),
            bytes = answer.len(),
            "query run"
        );
        let wrong =
            |error: serde_json::Error| StoreError::Answer { statement: name, reason: error.to_string() };
        serde_json::Deserializer::from_slice(&answer).into_iter().map(|row| row.map_err(wrong)).collect()
    }

    /// Appends rows in RowBinary, with the columns of the table's file in their order. When this has answered, they are on the disk.
    ///
    /// # Errors
    /// The store's: some or all of the rows may be in the table then.
    pub(crate) fn insert(&self, work: Work, table: Statement, rows: &[u8]) -> Result<(), StoreError> {
        self.insert_as(work, table.file, &table.target(), rows)
    }

    /// The same by a table's name, with the columns of the store's table.
    ///
    /// # Errors
    /// The store's: some or all of the rows may be in the table then.
    pub fn insert_into(&self, work: Work, table: &'static str, rows: &[u8]) -> Result<(), StoreError> {
        self.insert_as(work, table, table, rows)
    }

    fn insert_as(
        &self,
        work: Work,
        table: &'static str,
        target: &str,
        rows: &[u8],
    ) -> Result<(), StoreError> {
        let started = Instant::now();
        match &self.sessions {
            Sessions::Embedded(embedded) => embedded.insert(work, target, rows)?,
            Sessions::Server(server) => server.insert(work, target, rows)?,
        }
        tracing::debug!(
            table,
            seconds = started.elapsed().as_secs_f64(),
            bytes = rows.len(),
            "rows inserted"
        );
        Ok(())
    }

    /// Holds that all addresses serve the same tables: rows that went to one server would be missed on another.
    ///
    /// # Errors
    /// Two that can be reached have different ones.
    fn check_one_store(&self) -> Result<(), StoreError> {
        let Sessions::Server(server) = &self.sessions else { return Ok(()) };
        if self.cluster.is_some() {
            return Ok(());
        }
        let table = statement::EVENTS.file;
        let sql = format!(
            "SELECT uuid FROM system.tables WHERE database = '{}' AND name = '{table}'",
            self.database
        );
        let told: Vec<_> = server.each(&sql).into_iter().filter_map(|(name, id)| Some((name, id?))).collect();
        let Some((one, id)) = told.first() else { return Ok(()) };
        match told.iter().find(|(_, other)| other != id) {
            None => Ok(()),
            Some((other, _)) => {
                Err(ServerError::Apart { one: (*one).to_owned(), other: (*other).to_owned() }.into())
            }
        }
    }

    /// Changes a table: `change` is what follows `ALTER TABLE name`, of our own words.
    ///
    /// # Errors
    /// The store's.
    pub(crate) fn alter(&self, work: Work, table: &str, change: &str) -> Result<(), StoreError> {
        self.alter_by(work, table, change, &Values::new())
    }

    /// The same with bound values: for changes of rows. Answers when they are done.
    ///
    /// # Errors
    /// The store's: the change may go on by itself, and can be asked for again.
    pub(crate) fn alter_by(
        &self,
        work: Work,
        table: &str,
        change: &str,
        values: &Values,
    ) -> Result<(), StoreError> {
        let name = match &self.cluster {
            None => table.to_owned(),
            Some(cluster) => Cluster::local(table) + &cluster.on(),
        };
        self.execute_text(work, &format!("ALTER TABLE {name} {change}"), values)
    }

    /// Drops one generation of a day from a settled table.
    ///
    /// # Errors
    /// The store's.
    pub(crate) fn drop_generation(&self, table: &str, day: u16, generation: u64) -> Result<(), StoreError> {
        let change = format!("DROP PARTITION ('{}', {generation})", day_text(day));
        self.alter(Work::Settle, table, &change)
    }

    /// Waits until every replica has what any replica has taken, so that what is read next misses nothing that was answered as stored. Only
    /// replicated tables have anything to wait for.
    ///
    /// # Errors
    /// The store's: a replica that is up did not catch up in time.
    pub(crate) fn catch_up_replicas(&self) -> Result<(), StoreError> {
        let Some(cluster) = &self.cluster else { return Ok(()) };
        let tables =
            statement::TABLES.iter().filter(|table| cluster.definitions(table.file, table.sql()).is_some());
        for table in tables {
            self.execute_text(Work::Settle, &cluster.catch_up(table), &Values::new())?;
        }
        Ok(())
    }

    fn query(&self, work: Work, sql: &str, format: &str, values: &Values) -> Result<Vec<u8>, StoreError> {
        let formed = self.cluster.as_ref().map(|cluster| cluster.form(sql));
        let sql = formed.as_deref().unwrap_or(sql);
        Ok(match &self.sessions {
            Sessions::Embedded(embedded) => embedded.query(work, sql, format, values)?,
            Sessions::Server(server) => server.query(work, sql, format, values)?,
        })
    }
}

/// What every session sets, of either kind.
fn settings(work: Work, limits: Limits) -> Vec<(&'static str, String)> {
    let bytes = limits.statement_bytes;
    let mut settings = vec![
        // What is answered as stored is stored; repeats are dropped by identity when figures are made.
        ("async_insert", "0".to_owned()),
        ("insert_deduplicate", "0".to_owned()),
        ("max_threads", limits.threads.max(1).to_string()),
        ("max_memory_usage", bytes.to_string()),
        // Beyond these a statement goes on on the disk.
        ("max_bytes_before_external_group_by", (bytes / 3).to_string()),
        ("max_bytes_before_external_sort", (bytes / 3).to_string()),
        ("output_format_json_quote_64bit_integers", "0".to_owned()),
        ("output_format_json_escape_forward_slashes", "0".to_owned()),
        // On every replica: one that is read next must not have what was erased.
        ("mutations_sync", "2".to_owned()),
        // Sets of views are no help to the index, and would be made once more for it.
        ("use_index_for_in_with_subqueries", "0".to_owned()),
    ];
    if work == Work::Settle {
        // What a settle step inserts was grouped by the table's key just now: summing it again on the way in only takes time.
        settings.push(("optimize_on_insert", "0".to_owned()));
    }
    if work == Work::Report {
        settings.push(("max_execution_time", REPORT_SECONDS_MAX.to_string()));
    }
    settings
}
