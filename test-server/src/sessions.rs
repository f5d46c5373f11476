//! Sessions of the engine for requests: passing ones from a pool, and those with a name, which keep their temporary tables until their time is out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aggregator::engine::{Bound, Connection, Engine, EngineError};

use crate::answer::Exception;
use crate::form::Form;

/// Idle passing sessions that are kept.
const IDLE_MAX: usize = 16;
/// Time-out of a session that names none, seconds (`default_session_timeout`).
const SESSION_SECONDS: u64 = 60;
/// Longest time-out of a session, seconds (`max_session_timeout`).
const SESSION_SECONDS_MAX: u64 = 3600;

/// A statement as the engine takes it.
pub(crate) enum Statement {
    /// A text that answers in a format.
    Query { sql: String, format: String },
    /// `INSERT INTO …` without its `FORMAT`, and the rows.
    Insert { sql: String, format: String, rows: Vec<u8> },
}

/// What a session was opened with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Ground {
    database: String,
    settings: Vec<(String, String)>,
}

enum Named {
    /// A request is using it.
    Busy,
    Idle {
        session: Session,
        until: Instant,
    },
}

struct Session {
    connection: Connection,
    ground: Ground,
}

pub(crate) struct Sessions {
    engine: Arc<Engine>,
    idle: Mutex<Vec<Session>>,
    named: Mutex<HashMap<String, Named>>,
}

impl Sessions {
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        Self { engine, idle: Mutex::default(), named: Mutex::default() }
    }

    /// Runs a statement in the session that the form names, or in a passing one.
    pub(crate) fn run(&self, form: &Form, statement: &Statement) -> Result<Vec<u8>, Exception> {
        let ground = Ground {
            database: form.get("database").unwrap_or_default().to_owned(),
            settings: form.settings(),
        };
        let Some(id) = form.get("session_id") else { return self.run_passing(ground, form, statement) };
        let seconds = timeout(form)?;
        let taken = self.take(id, form.is_on("session_check"))?;
        let result = self.prepare(taken, ground).map(|session| {
            let answer = execute(&session.connection, form, statement);
            (session, answer)
        });
        let mut named = self.named();
        match result {
            Ok((session, answer)) => {
                let until = Instant::now() + Duration::from_secs(seconds);
                named.insert(id.to_owned(), Named::Idle { session, until });
                answer
            }
            Err(error) => {
                named.remove(id);
                Err(error)
            }
        }
    }

    fn run_passing(&self, ground: Ground, form: &Form, statement: &Statement) -> Result<Vec<u8>, Exception> {
        let found = {
            let mut idle = self.idle();
            idle.iter().position(|session| session.ground == ground).map(|at| idle.swap_remove(at))
        };
        let session = found.map_or_else(|| self.prepare(None, ground), Ok)?;
        let answer = execute(&session.connection, form, statement);
        let mut idle = self.idle();
        if idle.len() >= IDLE_MAX {
            idle.remove(0);
        }
        idle.push(session);
        answer
    }

    /// Takes a named session out for a request; `None` for a new one.
    fn take(&self, id: &str, has_to_be_there: bool) -> Result<Option<Session>, Exception> {
        let mut named = self.named();
        let now = Instant::now();
        named.retain(|_, session| {
            matches!(session, Named::Busy) || matches!(session, Named::Idle { until, .. } if *until > now)
        });
        match named.insert(id.to_owned(), Named::Busy) {
            Some(Named::Busy) => Err(Exception::new(
                373,
                &format!("Session {id} is locked by a concurrent client. (SESSION_IS_LOCKED)"),
            )),
            Some(Named::Idle { session, .. }) => Ok(Some(session)),
            None if has_to_be_there => {
                named.remove(id);
                Err(Exception::new(372, &format!("Session {id} not found. (SESSION_NOT_FOUND)")))
            }
            None => Ok(None),
        }
    }

    /// Gives a session its database and settings.
    fn prepare(&self, session: Option<Session>, ground: Ground) -> Result<Session, Exception> {
        let mut session = match session {
            Some(session) => session,
            // The engine inside a process takes a word alone for a SELECT; a server does not.
            None => Session {
                connection: self.engine.connect(&["implicit_select=0".to_owned()])?,
                ground: Ground::default(),
            },
        };
        if session.ground.database != ground.database && !ground.database.is_empty() {
            run(&session.connection, &format!("USE `{}`", ground.database.replace('`', "")))?;
        }
        for (name, value) in
            ground.settings.iter().filter(|setting| !session.ground.settings.contains(setting))
        {
            if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                return Err(Exception::new(115, &format!("Unknown setting '{name}'. (UNKNOWN_SETTING)")));
            }
            let value = value.replace('\\', "\\\\").replace('\'', "\\'");
            run(&session.connection, &format!("SET {name} = '{value}'"))?;
        }
        session.ground = ground;
        Ok(session)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Session>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn named(&self) -> MutexGuard<'_, HashMap<String, Named>> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn timeout(form: &Form) -> Result<u64, Exception> {
    let Some(text) = form.get("session_timeout") else { return Ok(SESSION_SECONDS) };
    let seconds = text.parse().ok().filter(|seconds| *seconds <= SESSION_SECONDS_MAX);
    seconds.ok_or_else(|| {
        Exception::new(374, &format!("Invalid session timeout: '{text}'. (INVALID_SESSION_TIMEOUT)"))
    })
}

fn run(connection: &Connection, sql: &str) -> Result<(), EngineError> {
    connection.query(sql, "Null", &[]).map(drop)
}

fn execute(connection: &Connection, form: &Form, statement: &Statement) -> Result<Vec<u8>, Exception> {
    match statement {
        Statement::Query { sql, format } => {
            let bound: Vec<Bound> = form
                .bound()
                .map(|(name, text)| Bound { name: name.to_owned().into(), text: text.to_owned() })
                .collect();
            Ok(connection.query(sql, format, &bound)?)
        }
        Statement::Insert { sql, format, rows } => {
            connection.insert(sql, format, rows)?;
            Ok(Vec::new())
        }
    }
}
