//! Sessions of the embedded engine: one connection for each kind of work, so that they do not wait for each other.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Limits, Values, Work, settings};
use crate::engine::{Bound, Connection, Engine, EngineError};

/// The engine's connections.
pub(super) struct Embedded {
    load: Connection,
    settle: Connection,
    reports: Vec<Connection>,
    next_report: AtomicUsize,
}

impl Embedded {
    /// Opens the engine on `path` and the database in it, creating both where missing.
    pub(super) fn open(
        library: &Path,
        path: &Path,
        database: &str,
        limits: Limits,
    ) -> Result<Self, EngineError> {
        let engine = Engine::open(library, path)?;
        engine.connect(&[])?.query(&format!("CREATE DATABASE IF NOT EXISTS {database}"), "Null", &[])?;
        let connect = |work| connect(&engine, database, work, limits);
        Ok(Self {
            load: connect(Work::Load)?,
            settle: connect(Work::Settle)?,
            reports: (0..limits.reports.max(1)).map(|_| connect(Work::Report)).collect::<Result<_, _>>()?,
            next_report: AtomicUsize::new(0),
        })
    }

    pub(super) fn query(
        &self,
        work: Work,
        sql: &str,
        format: &str,
        values: &Values,
    ) -> Result<Vec<u8>, EngineError> {
        let bound: Vec<Bound> =
            values.iter().map(|(name, value)| Bound { name: (*name).into(), text: value.text() }).collect();
        self.session(work).query(sql, format, &bound)
    }

    pub(super) fn insert(&self, work: Work, table: &str, rows: &[u8]) -> Result<(), EngineError> {
        self.session(work).insert(&format!("INSERT INTO {table}"), "RowBinary", rows)
    }

    fn session(&self, work: Work) -> &Connection {
        match work {
            Work::Load => &self.load,
            Work::Settle => &self.settle,
            Work::Report => {
                let turn = self.next_report.fetch_add(1, Ordering::Relaxed);
                self.reports.get(turn % self.reports.len().max(1)).unwrap_or(&self.settle)
            }
        }
    }
}

fn connect(
    engine: &Arc<Engine>,
    database: &str,
    work: Work,
    limits: Limits,
) -> Result<Connection, EngineError> {
    let settings: Vec<String> =
        settings(work, limits).into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    let connection = engine.connect(&settings)?;
    connection.query(&format!("USE {database}"), "Null", &[])?;
    Ok(connection)
}
