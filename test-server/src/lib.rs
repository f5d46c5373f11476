//! A ClickHouse server's HTTP interface over the embedded engine, inside the test's own process. For tests only.
//!
//! It answers as the server does, as far as the product asks: the statement in the URL, in the body or in a multipart form; settings, `database`
//! and `param_…` beside it; users by header; sessions with temporary tables and a time-out; LZ4 in ClickHouse's own blocks (`compress`,
//! `decompress`, see [`blocks`]) and in HTTP's way (`Accept-Encoding: lz4`); exceptions with their code, header and status; a summary. What it does
//! not do: stream an answer while the statement runs (`wait_end_of_query` is always on), progress headers, users with rights, quotas.
//!
//! [`Faults`] lets a test make it refuse, fail, dawdle, and lose its answers.
//!
//! Must never: be a dependency of anything that is not a test.

mod answer;
pub mod blocks;
mod faults;
mod form;
mod place;
mod serve;
mod sessions;

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use aggregator::engine::{Engine, EngineError};
use tokio::sync::watch;

use crate::serve::Front;
use crate::sessions::Sessions;

pub use faults::{Fault, Faults};
pub use place::Place;

/// Largest body of a request, bytes.
const BODY_BYTES_MAX: usize = 1 << 30;

/// Who may log in.
#[derive(Clone, Debug)]
pub struct Login {
    /// The user's name.
    pub user: String,
    /// Its password; empty: none.
    pub password: String,
}

impl Default for Login {
    fn default() -> Self {
        Self { user: "default".to_owned(), password: String::new() }
    }
}

/// A running server. It ends when it is dropped.
pub struct TestServer {
    url: String,
    faults: Faults,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

/// Why it does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The engine's.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// No socket or no thread.
    #[error("the test server cannot start: {0}")]
    Io(#[from] std::io::Error),
}

impl TestServer {
    /// Opens the engine on `path` and listens on a free port of this machine; user `default` without a password.
    ///
    /// # Errors
    /// The engine or the socket.
    pub fn start(library: &Path, path: &Path) -> Result<Self, StartError> {
        Self::start_for(library, path, Login::default())
    }

    /// The same with a user of its own.
    ///
    /// # Errors
    /// The engine or the socket.
    pub fn start_for(library: &Path, path: &Path, login: Login) -> Result<Self, StartError> {
        let sessions = Sessions::new(Engine::open(library, path)?);
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let url = format!("http://{}", listener.local_addr()?);
        let faults = Faults::default();
        let front = Arc::new(Front { sessions, login, faults: faults.clone() });
        let (stop, stopping) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let run = move || runtime.block_on(serve::run(listener, front, stopping));
        let thread = std::thread::Builder::new().name("test-server".to_owned()).spawn(run)?;
        Ok(Self { url, faults, stop, thread: Some(thread) })
    }

    /// `http://127.0.0.1:port`
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What it does wrong, and what it was asked.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            // A panic was reported by its own message.
            let _ = thread.join();
        }
    }
}
