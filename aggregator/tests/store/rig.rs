//! Stores to test, each with a database of its own that is dropped at the end.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use aggregator::engine::find_library;
use aggregator::store::{Limits, Servers, Store, StoreAt, StoreError, StoreSettings, Values, Work};
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use test_server::{Place, TestServer};

pub(crate) const LIMITS: Limits = Limits { statement_bytes: 1 << 30, threads: 2, reports: 2 };

/// A store with a database of its own.
pub(crate) struct Rig {
    pub(crate) store: Store,
    pub(crate) name: &'static str,
    pub(crate) database: String,
    /// A stand-in that serves this store only. Both end after the database was dropped.
    server: Option<TestServer>,
    place: Option<Arc<Place>>,
}

pub(crate) fn library() -> PathBuf {
    match find_library(None) {
        Ok(path) => path,
        Err(error) => panic!("{error}"),
    }
}

/// The engine serves one folder in a process: all tests share it.
pub(crate) fn folder() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    FOLDER.get_or_init(|| tempfile::tempdir().expect("a folder for the store")).path()
}

/// The server, while anybody uses it: an engine that is open when the process ends takes it down.
pub(crate) fn place() -> Arc<Place> {
    static PLACE: Mutex<Weak<Place>> = Mutex::new(Weak::new());
    let mut place = PLACE.lock().unwrap_or_else(PoisonError::into_inner);
    place.upgrade().unwrap_or_else(|| {
        let found = Arc::new(Place::find(&library(), folder()).expect("a server"));
        *place = Arc::downgrade(&found);
        found
    })
}

/// A name that no other test has, nor an earlier run on the same server.
pub(crate) fn database() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("store_test_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

impl Rig {
    pub(crate) fn embedded() -> Self {
        let at = StoreAt::Embedded { engine: Some(library()), path: folder().to_path_buf() };
        Self::open("embedded", at, database()).expect("the engine opens")
    }

    pub(crate) fn server() -> Self {
        let (place, database) = (place(), database());
        let at = place.settings(&database).at(PathBuf::new()).expect("settings that fit");
        let mut rig = Self::open("server", at, database).expect("the server answers");
        rig.place = Some(place);
        rig
    }

    pub(crate) fn both() -> [Self; 2] {
        [Self::embedded(), Self::server()]
    }

    /// A stand-in of its own, so that its faults befall nobody else, and a store on it that gives up after `retry`.
    pub(crate) fn faulty(retry: Duration) -> Self {
        let server = TestServer::start(&library(), folder()).expect("the stand-in starts");
        let at = StoreAt::Servers(servers(&[server.url()], retry));
        let mut rig = Self::open("faulty", at, database()).expect("it answers");
        rig.server = Some(server);
        rig
    }

    /// The stand-in of [`Self::faulty`].
    pub(crate) fn own(&self) -> &TestServer {
        self.server.as_ref().expect("a store with a stand-in of its own")
    }

    pub(crate) fn open(name: &'static str, at: StoreAt, database: String) -> Result<Self, StoreError> {
        Ok(Self { store: Store::open(at, &database, LIMITS)?, name, database, server: None, place: None })
    }

    pub(crate) fn rows<Row: DeserializeOwned>(&self, work: Work, sql: &str, values: &Values) -> Vec<Row> {
        match self.store.rows_text(work, "a test's", sql, values) {
            Ok(rows) => rows,
            Err(error) => panic!("{}: {sql}: {error}", self.name),
        }
    }

    /// The one number that a query answers.
    pub(crate) fn number(&self, work: Work, sql: &str) -> Result<u64, StoreError> {
        #[derive(serde::Deserialize)]
        struct Row {
            n: u64,
        }
        let rows: Vec<Row> = self.store.rows_text(work, "a test's", sql, &Values::new())?;
        Ok(rows.first().map_or(u64::MAX, |row| row.n))
    }

    pub(crate) fn run(&self, sql: &str) {
        if let Err(error) = self.store.execute_text(Work::Load, sql, &Values::new()) {
            panic!("{}: {sql}: {error}", self.name);
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let sql = format!("DROP DATABASE IF EXISTS {}", self.database);
        // The server may have been switched off by the test; its engine's folder goes anyway.
        let _ = self.store.execute_text(Work::Load, &sql, &Values::new());
    }
}

/// Servers by their addresses, for user `default` without a password.
pub(crate) fn servers(urls: &[&str], retry: Duration) -> Box<Servers> {
    let servers = urls.iter().map(|url| (*url).to_owned()).collect();
    let settings = StoreSettings { servers, retry_seconds_max: retry.as_secs(), ..StoreSettings::default() };
    match settings.at(PathBuf::new()) {
        Ok(StoreAt::Servers(servers)) => servers,
        Ok(StoreAt::Embedded { .. }) => panic!("no servers"),
        Err(error) => panic!("{error}"),
    }
}

/// An address on which nobody listens.
pub(crate) fn nobody() -> String {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    format!("http://{}", listener.local_addr().expect("an address"))
}
