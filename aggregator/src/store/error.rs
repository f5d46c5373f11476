//! What goes wrong with the store, and what may be done about it.
//!
//! Must never: carry a password. The servers' words may quote a bound value: they are for us and for operators, never for an answer to a caller.

use crate::engine::EngineError;

/// What goes wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The embedded engine's own.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A server's, or the network's before it.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// Us: a statement answered rows of another shape than we read.
    #[error("the answer of {statement} cannot be read: {reason}")]
    Answer {
        /// The statement.
        statement: &'static str,
        /// What does not fit.
        reason: String,
    },
}

impl StoreError {
    /// The engine's exception code (241: too much memory, …), where it answered with one.
    pub fn code(&self) -> Option<u32> {
        match self {
            Self::Engine(error) => error.code(),
            Self::Server(ServerError::Refused { code, .. } | ServerError::Login { code, .. }) => Some(*code),
            Self::Server(_) | Self::Answer { .. } => None,
        }
    }

    /// Whether a statement took in more than its memory or time allowed: the caller can ask for less.
    pub fn is_too_large(&self) -> bool {
        matches!(self.code(), Some(MEMORY_LIMIT_EXCEEDED | TIMEOUT_EXCEEDED))
    }

    /// Whether the same may succeed a moment later: the store is away or busy.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Server(error) if error.is_passing())
    }
}

/// The engine's code for a statement that would take more memory than it may.
pub(crate) const MEMORY_LIMIT_EXCEEDED: u32 = 241;
/// The engine's code for a statement that takes longer than it may.
pub(crate) const TIMEOUT_EXCEEDED: u32 = 159;
/// Exception codes that pass by themselves: somebody else is busy, away or starting.
///
/// `TOO_MANY_SIMULTANEOUS_QUERIES`, `NO_FREE_CONNECTION`, `SOCKET_TIMEOUT`, `NETWORK_ERROR`, `NO_ZOOKEEPER`, `TABLE_IS_READ_ONLY`,
/// `TOO_MANY_PARTS`, `ALL_CONNECTION_TRIES_FAILED`, `TOO_FEW_LIVE_REPLICAS`, `UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE`, `CANNOT_SCHEDULE_TASK`,
/// `KEEPER_EXCEPTION`.
const PASSING: [u32; 12] = [202, 203, 209, 210, 225, 242, 252, 279, 285, 286, 439, 999];
/// Exception codes of a server that does not know us: `UNKNOWN_USER`, `WRONG_PASSWORD`, `REQUIRED_PASSWORD`, `AUTHENTICATION_FAILED`.
const LOGIN: [u32; 4] = [192, 193, 194, 516];
/// `SESSION_NOT_FOUND`: the session has ended.
const SESSION_NOT_FOUND: u32 = 372;
/// `SESSION_IS_LOCKED`: an earlier statement of the session still runs.
const SESSION_IS_LOCKED: u32 = 373;
/// Longest error text of a server that is kept, bytes: it may quote the statement.
const MESSAGE_BYTES_MAX: usize = 2_000;

/// What can go wrong between us and ClickHouse servers.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Downstream: no connection; nothing was sent. Try again.
    #[error("cannot connect to {address}: {reason}")]
    Unreachable {
        /// The server.
        address: String,
        /// Why.
        reason: String,
    },
    /// Downstream: the connection broke, or something between us and the server answered. The statement may have been run.
    #[error("{address} gave no answer: {reason}")]
    Broken {
        /// The server.
        address: String,
        /// What came instead.
        reason: String,
    },
    /// Downstream: no answer in time. The statement may have been run, or may still run.
    #[error("{address} did not answer within {seconds} s")]
    TimedOut {
        /// The server.
        address: String,
        /// How long was waited.
        seconds: u64,
    },
    /// The server refused or broke off a statement.
    #[error("{address} answered: {message}")]
    Refused {
        /// The server.
        address: String,
        /// Its exception code.
        code: u32,
        /// Its words, cut to a bounded length.
        message: String,
    },
    /// Operator: the server does not let us in.
    #[error(
        "{address} does not let user {user} in (code {code}): check `user` and the file of `password_file` in [store]"
    )]
    Login {
        /// The server.
        address: String,
        /// Who we said we are.
        user: String,
        /// Its exception code.
        code: u32,
    },
    /// Operator: a value is longer than the servers take.
    #[error(
        "a statement's value `{name}` has {bytes} bytes, the servers take {limit}: raise http_max_field_value_size in their default profile, and \
         value_bytes_max in [store] with it"
    )]
    ValueTooLong {
        /// The value's name.
        name: &'static str,
        /// Its length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Downstream: an answer of more bytes than we read.
    #[error("{address} answered more than {limit} bytes")]
    AnswerTooLong {
        /// The server.
        address: String,
        /// The limit.
        limit: usize,
    },
    /// Operator: the addresses are of servers that have nothing to do with each other.
    #[error(
        "{one} and {other} do not serve the same tables: name one of them in `servers`, or their `cluster`"
    )]
    Apart {
        /// A server.
        one: String,
        /// Another one.
        other: String,
    },
    /// Operator: the database was made with another setting of `cluster`.
    #[error("the store's database cannot be used: {problem}")]
    Form {
        /// What it has, and what to do.
        problem: &'static str,
    },
    /// Operator or machine: the client cannot be set up.
    #[error("the store's client cannot start: {0}")]
    Client(String),
}

impl ServerError {
    pub(super) fn of_exception(address: &str, user: &str, code: u32, message: &str) -> Self {
        let address = address.to_owned();
        if LOGIN.contains(&code) {
            return Self::Login { address, user: user.to_owned(), code };
        }
        Self::Refused { address, code, message: cut(message) }
    }

    pub(super) fn broken(address: &str, reason: &str) -> Self {
        Self::Broken { address: address.to_owned(), reason: cut(reason) }
    }

    /// Whether the same may succeed a moment later, here or on another server.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Broken { .. } => true,
            Self::Refused { code, .. } => PASSING.contains(code),
            Self::TimedOut { .. }
            | Self::Login { .. }
            | Self::ValueTooLong { .. }
            | Self::AnswerTooLong { .. }
            | Self::Apart { .. }
            | Self::Form { .. }
            | Self::Client(_) => false,
        }
    }

    /// Whether the session of the statement is gone or blocked.
    pub(super) fn ends_session(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Broken { .. }
            | Self::TimedOut { .. }
            | Self::AnswerTooLong { .. } => true,
            Self::Refused { .. } => self.is_lost_session(),
            Self::Login { .. }
            | Self::ValueTooLong { .. }
            | Self::Apart { .. }
            | Self::Form { .. }
            | Self::Client(_) => false,
        }
    }

    /// Whether the server refused because of the session: the statement was not run.
    pub(super) fn is_lost_session(&self) -> bool {
        matches!(self, Self::Refused { code: SESSION_NOT_FOUND | SESSION_IS_LOCKED, .. })
    }

    /// Whether nothing was sent.
    pub(super) fn is_unsent(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}

/// A text, cut to a bounded length.
fn cut(text: &str) -> String {
    let mut end = text.len().min(MESSAGE_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
}
