//! The embedded engine: the whole of ClickHouse as one C library, opened at run time.
//!
//! Owns every call into that library and nothing else: finding it, opening it once for the process, connections, statements with
//! bound parameters, and inserts of raw rows. It knows no table and no statement; what the engine answers leaves here as bytes.
//!
//! Must never: splice a value into a statement (values are bound by name), let a pointer of the library leave this file, or unload the
//! library (its threads live as long as the process).
//!
//! This is the only file of the product with `unsafe` code. The rules it keeps:
//!
//! * The library serves one data path in a process. [`Engine::open`] hands out the engine that is open for that path and refuses
//!   another one while it lives.
//! * A connection runs one statement at a time; a mutex around each handle holds that.
//! * Every result and every insert stream is destroyed exactly once, by the `Drop` of the value that owns it.

#![allow(unsafe_code)]

use std::borrow::Cow;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use libloading::Library;

/// Environment variable that names the library's file.
pub const LIBRARY_VARIABLE: &str = "SIGHTLINE_ENGINE";
/// The engine's version, as it stands in the name of its cache folder.
pub const VERSION: &str = "26.7.3";
/// Longest that opening waits for the same process to close what it had open.
const CLOSING_MAX: Duration = Duration::from_mins(1);
/// Longest error text of the engine that is kept, bytes: it may quote the statement.
const ERROR_BYTES_MAX: usize = 2_000;

/// What can go wrong between us and the engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Operator: no library was found in any of the places.
    #[error(
        "the database engine (libchdb.so {VERSION}) was not found in {looked}; run deploy/engine/fetch, or set {LIBRARY_VARIABLE} to its file"
    )]
    NotFound {
        /// The places, comma-separated.
        looked: String,
    },
    /// Operator: the file is there but is not the library, or not for this machine.
    #[error("cannot open the database engine {path}: {reason}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What the loader said.
        reason: String,
    },
    /// Operator: another process has the data path open, or this process has opened another one.
    #[error("the store at {path} cannot be opened: {reason}")]
    Path {
        /// The data path.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Us: an argument holds a zero byte.
    #[error("{what} holds a zero byte")]
    ZeroByte {
        /// Which argument.
        what: &'static str,
    },
    /// The engine refused or broke off a statement.
    #[error("the engine answered: {message}")]
    Statement {
        /// The engine's words, cut to a bounded length. They name tables and columns, and may quote a bound value: for us and for
        /// operators, never for an answer to a caller.
        message: String,
    },
}

impl EngineError {
    fn statement(message: &str) -> Self {
        let mut end = message.len().min(ERROR_BYTES_MAX);
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        Self::Statement { message: message.get(..end).unwrap_or_default().to_owned() }
    }

    /// The engine's own error code (`Code: 241. …`), where there is one.
    pub fn code(&self) -> Option<u32> {
        let Self::Statement { message } = self else { return None };
        let (_, rest) = message.split_once("Code: ")?;
        rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    }
}

/// Where the library is: the configured file, else the one of [`LIBRARY_VARIABLE`], else the cache folder that `deploy/engine/fetch` fills.
///
/// # Errors
/// There is no such file.
pub fn find_library(configured: Option<&Path>) -> Result<PathBuf, EngineError> {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .map(|cache| cache.join(format!("sightline/engine-{VERSION}/libchdb.so")));
    let named =
        configured.map(Path::to_path_buf).or_else(|| std::env::var_os(LIBRARY_VARIABLE).map(PathBuf::from));
    // A place that was named and is wrong is an error, not a reason to take some other library.
    let places: Vec<PathBuf> = named.map_or_else(|| cache.into_iter().collect(), |path| vec![path]);
    if let Some(found) = places.iter().find(|path| path.is_file()) {
        return Ok(found.clone());
    }
    let looked = places.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
    Err(EngineError::NotFound { looked })
}

/// The engine, running on one data path. Dropping the last handle and the last connection shuts it down.
pub struct Engine {
    api: &'static Api,
    path: PathBuf,
    /// Keeps the engine up while the other connections come and go.
    keeper: Handle,
    /// Held open and locked, so that no second process works on the same path. Stands after the keeper: fields are dropped in their order, and
    /// the path is free only when the engine is down.
    _lock: File,
    _up: Up,
}

/// Says that an engine is up in this process, from before it is opened until everything of it is closed.
struct Up;

static UP: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());

impl Up {
    /// Waits until an engine that is being closed is down, but not for ever. True if it is.
    fn wait_down() -> bool {
        let up = UP.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = UP.1.wait_timeout_while(up, CLOSING_MAX, |up| *up);
        !*waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn new() -> Self {
        *UP.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        Self
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        *UP.0.lock().unwrap_or_else(PoisonError::into_inner) = false;
        UP.1.notify_all();
    }
}

/// One session of the engine. `Send` and `Sync`; statements on it wait for each other, so give each kind of work its own.
pub struct Connection {
    handle: Mutex<Handle>,
    engine: Arc<Engine>,
}

/// A value to be bound to a `{name:Type}` placeholder: the name and the value in the engine's escaped text form.
#[derive(Clone, Debug)]
pub struct Bound {
    /// The placeholder's name.
    pub name: Cow<'static, str>,
    /// The value as the engine reads it (see [`crate::store::Value`]).
    pub text: String,
}

impl Engine {
    /// Opens the library (once for the process) and the data path, which is created when missing.
    ///
    /// # Errors
    /// No library, a library that does not fit, a path that is in use by another process, or a second path in this process.
    pub fn open(library: &Path, path: &Path) -> Result<Arc<Self>, EngineError> {
        static OPEN: Mutex<Weak<Engine>> = Mutex::new(Weak::new());
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        let refused = |reason: String| EngineError::Path { path: path.to_path_buf(), reason };
        std::fs::create_dir_all(path).map_err(|error| refused(error.to_string()))?;
        let path = path.canonicalize().map_err(|error| refused(error.to_string()))?;
        if let Some(engine) = open.upgrade() {
            if engine.path == path {
                return Ok(engine);
            }
            return Err(refused(format!("this process already has {} open", engine.path.display())));
        }
        if !Up::wait_down() {
            return Err(refused("this process is still closing it".to_owned()));
        }
        let up = Up::new();
        let lock = File::create(path.join("sightline.lock")).map_err(|error| refused(error.to_string()))?;
        lock.try_lock().map_err(|_| refused("another process has it open".to_owned()))?;
        let api = Api::load(library)?;
        let keeper = Handle::connect(api, &path, &[])?;
        let engine = Arc::new(Self { api, path, keeper, _lock: lock, _up: up });
        *open = Arc::downgrade(&engine);
        Ok(engine)
    }

    /// A new session with query settings of its own (`max_threads=1`, …).
    ///
    /// # Errors
    /// The engine refuses the settings.
    pub fn connect(self: &Arc<Self>, settings: &[String]) -> Result<Connection, EngineError> {
        let handle = Handle::connect(self.api, &self.path, settings)?;
        Ok(Connection { handle: Mutex::new(handle), engine: Arc::clone(self) })
    }

    /// Version of the library, as it says itself.
    pub fn version(&self) -> String {
        let _ = &self.keeper;
        // SAFETY: the function takes nothing and returns a zero-terminated string that lives as long as the library, which is never unloaded.
        unsafe { text((self.api.version)()) }.unwrap_or_default()
    }
}

impl Connection {
    /// Runs one statement and returns what it answers in `format` (empty for statements without a result).
    ///
    /// # Errors
    /// The engine's own error.
    pub fn query(&self, sql: &str, format: &str, bound: &[Bound]) -> Result<Vec<u8>, EngineError> {
        let api = self.engine.api;
        let names: Vec<*const c_char> = bound.iter().map(|b| b.name.as_ptr().cast()).collect();
        let name_lengths: Vec<usize> = bound.iter().map(|b| b.name.len()).collect();
        let values: Vec<*const c_char> = bound.iter().map(|b| b.text.as_ptr().cast()).collect();
        let value_lengths: Vec<usize> = bound.iter().map(|b| b.text.len()).collect();
        let handle = self.lock();
        // SAFETY: the handle is open and, by the guard, used by nobody else. Every pointer comes with its length, points into a buffer that
        // outlives the call, and the four arrays have `bound.len()` entries each; the library copies what it keeps.
        let raw = unsafe {
            (api.query)(
                handle.session(),
                sql.as_ptr().cast(),
                sql.len(),
                format.as_ptr().cast(),
                format.len(),
                names.as_ptr(),
                name_lengths.as_ptr(),
                values.as_ptr(),
                value_lengths.as_ptr(),
                bound.len(),
            )
        };
        QueryResult::take(api, raw)?.bytes()
    }

    /// Runs `sql` (`INSERT INTO table (columns)`, no data) with `rows` as its input in `format`. When it returns `Ok`, the rows are
    /// in the table; when it fails, some partitions may have taken theirs.
    ///
    /// # Errors
    /// The engine's own error.
    pub fn insert(&self, sql: &str, format: &str, rows: &[u8]) -> Result<(), EngineError> {
        let api = self.engine.api;
        let handle = self.lock();
        // SAFETY: as in `query`; the returned stream is owned by `InsertStream`, which destroys it before the guard is released.
        let raw = unsafe {
            (api.insert)(
                handle.session(),
                sql.as_ptr().cast(),
                sql.len(),
                format.as_ptr().cast(),
                format.len(),
            )
        };
        let stream = InsertStream { api, raw };
        stream.check()?;
        // Pieces keep the engine's copy of the input small.
        for piece in rows.chunks(INSERT_PIECE_BYTES) {
            // SAFETY: the stream is open; the piece is copied by the call.
            let state = unsafe { (api.append)(stream.raw, piece.as_ptr().cast(), piece.len()) };
            if state != 0 {
                stream.check()?;
                return Err(EngineError::statement("the insert stream refused its input"));
            }
        }
        // SAFETY: the stream is open and is finished once.
        let done = unsafe { (api.done)(stream.raw) };
        QueryResult::take(api, done)?.bytes().map(drop)
    }

    fn lock(&self) -> MutexGuard<'_, Handle> {
        // A panic cannot leave the handle half-used: the library is called inside single statements only.
        self.handle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes given to the engine at once.
const INSERT_PIECE_BYTES: usize = 1 << 20;

/// A connection's pointer: `chdb_connection *`.
struct Handle {
    api: &'static Api,
    raw: NonNull<*mut c_void>,
}

// SAFETY: the library does not tie a connection to a thread; it asks for one statement at a time, which the mutex in `Connection` holds.
unsafe impl Send for Handle {}
// SAFETY: a shared `Handle` offers no call on its own: `Engine::keeper` is only dropped, `Connection` locks first.
unsafe impl Sync for Handle {}

impl Handle {
    fn connect(api: &'static Api, path: &Path, settings: &[String]) -> Result<Self, EngineError> {
        let path = path.to_str().ok_or_else(|| EngineError::Path {
            path: path.to_path_buf(),
            reason: "its name is not UTF-8".to_owned(),
        })?;
        let mut arguments = vec![CString::new("sightline"), CString::new(format!("--path={path}"))];
        arguments.extend(settings.iter().map(|setting| CString::new(format!("--{setting}"))));
        let arguments = arguments
            .into_iter()
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| EngineError::ZeroByte { what: "a path or a setting" })?;
        let mut pointers: Vec<*mut c_char> = arguments.iter().map(|a| a.as_ptr().cast_mut()).collect();
        // SAFETY: `pointers` has `len` zero-terminated strings that outlive the call; the library does not write to them.
        let raw = unsafe { (api.connect)(pointers.len() as c_int, pointers.as_mut_ptr()) };
        // SAFETY: where it is not null, the pointer points to one connection pointer.
        let raw = NonNull::new(raw).filter(|raw| !unsafe { *raw.as_ptr() }.is_null());
        let raw = raw.ok_or_else(|| EngineError::Path {
            path: PathBuf::from(path),
            reason: "the engine refused to open it (damaged, no permission, or a wrong setting)".to_owned(),
        })?;
        Ok(Self { api, raw })
    }

    fn session(&self) -> *mut c_void {
        // SAFETY: `raw` came from `chdb_connect` and is freed only in `Drop`; it points to one connection pointer.
        unsafe { *self.raw.as_ptr() }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: opened by `chdb_connect`, closed here and only here; results and streams hold no longer than the guard of the connection.
        unsafe { (self.api.close)(self.raw.as_ptr()) }
    }
}

/// An answer of the engine.
struct QueryResult {
    api: &'static Api,
    raw: NonNull<c_void>,
}

impl QueryResult {
    fn take(api: &'static Api, raw: *mut c_void) -> Result<Self, EngineError> {
        let raw = NonNull::new(raw).ok_or_else(|| EngineError::statement("no answer at all"))?;
        Ok(Self { api, raw })
    }

    fn bytes(self) -> Result<Vec<u8>, EngineError> {
        // SAFETY: the result is alive; its error is null or a zero-terminated string that lives as long as the result.
        if let Some(message) = unsafe { text((self.api.error)(self.raw.as_ptr())) } {
            return Err(EngineError::statement(&message));
        }
        // SAFETY: the result is alive; the two calls only read it.
        let (buffer, length) =
            unsafe { ((self.api.buffer)(self.raw.as_ptr()), (self.api.length)(self.raw.as_ptr())) };
        if buffer.is_null() || length == 0 {
            return Ok(Vec::new());
        }
        // SAFETY: the library promises `length` readable bytes at `buffer` until the result is destroyed, which is after this copy.
        Ok(unsafe { std::slice::from_raw_parts(buffer.cast::<u8>(), length) }.to_vec())
    }
}

impl Drop for QueryResult {
    fn drop(&mut self) {
        // SAFETY: owned by this value, destroyed once.
        unsafe { (self.api.destroy_result)(self.raw.as_ptr()) }
    }
}

/// An insert under way.
struct InsertStream {
    api: &'static Api,
    raw: *mut c_void,
}

impl InsertStream {
    fn check(&self) -> Result<(), EngineError> {
        if self.raw.is_null() {
            return Err(EngineError::statement("no insert stream"));
        }
        // SAFETY: the stream is alive; its error is null or a zero-terminated string that lives as long as the stream.
        match unsafe { text((self.api.insert_error)(self.raw)) } {
            Some(message) => Err(EngineError::statement(&message)),
            None => Ok(()),
        }
    }
}

impl Drop for InsertStream {
    fn drop(&mut self) {
        if !self.raw.is_null() {
            // SAFETY: owned by this value, destroyed once; the library cancels first what was not finished.
            unsafe { (self.api.destroy_insert)(self.raw) }
        }
    }
}

/// Copies a zero-terminated string; `None` for a null pointer or an empty string.
///
/// # Safety
/// `pointer` is null or points to a zero-terminated string that is not changed during the call.
unsafe fn text(pointer: *const c_char) -> Option<String> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: the caller's promise.
    let text = unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned();
    (!text.is_empty()).then_some(text)
}

/// The functions of the library that are used, with the types of its header (`chdb.h` of 26.7.3).
struct Api {
    version: unsafe extern "C" fn() -> *const c_char,
    connect: unsafe extern "C" fn(c_int, *mut *mut c_char) -> *mut *mut c_void,
    close: unsafe extern "C" fn(*mut *mut c_void),
    query: unsafe extern "C" fn(
        *mut c_void,
        *const c_char,
        usize,
        *const c_char,
        usize,
        *const *const c_char,
        *const usize,
        *const *const c_char,
        *const usize,
        usize,
    ) -> *mut c_void,
    insert: unsafe extern "C" fn(*mut c_void, *const c_char, usize, *const c_char, usize) -> *mut c_void,
    append: unsafe extern "C" fn(*mut c_void, *const c_void, usize) -> c_int,
    done: unsafe extern "C" fn(*mut c_void) -> *mut c_void,
    insert_error: unsafe extern "C" fn(*mut c_void) -> *const c_char,
    destroy_insert: unsafe extern "C" fn(*mut c_void),
    buffer: unsafe extern "C" fn(*mut c_void) -> *mut c_char,
    length: unsafe extern "C" fn(*mut c_void) -> usize,
    error: unsafe extern "C" fn(*mut c_void) -> *const c_char,
    destroy_result: unsafe extern "C" fn(*mut c_void),
}

impl Api {
    /// Opens the library on the first call; later calls get the same, whatever path they name.
    fn load(path: &Path) -> Result<&'static Self, EngineError> {
        static API: OnceLock<Api> = OnceLock::new();
        if let Some(api) = API.get() {
            return Ok(api);
        }
        let unusable = |error: libloading::Error| EngineError::Unusable {
            path: path.to_path_buf(),
            reason: error.to_string(),
        };
        // SAFETY: opening runs the library's initialisers; the operator named this file as the engine, and it is the one whose header we follow.
        let library = unsafe { Library::new(path) }.map_err(unusable)?;
        // The library's threads run until the process ends: it is never unloaded, so the functions stay valid.
        let library: &'static Library = Box::leak(Box::new(library));
        macro_rules! function {
            ($name:literal) => {
                // SAFETY: the field's type is the function's type in the header of this version.
                *unsafe { library.get($name) }.map_err(unusable)?
            };
        }
        let api = Self {
            version: function!(b"chdb_version"),
            connect: function!(b"chdb_connect"),
            close: function!(b"chdb_close_conn"),
            query: function!(b"chdb_query_with_params_n"),
            insert: function!(b"chdb_stream_insert_n"),
            append: function!(b"chdb_stream_append"),
            done: function!(b"chdb_stream_done"),
            insert_error: function!(b"chdb_stream_insert_error"),
            destroy_insert: function!(b"chdb_destroy_insert_stream"),
            buffer: function!(b"chdb_result_buffer"),
            length: function!(b"chdb_result_length"),
            error: function!(b"chdb_result_error"),
            destroy_result: function!(b"chdb_destroy_query_result"),
        };
        let set_signal_handlers: unsafe extern "C" fn(c_int) = function!(b"chdb_set_signal_handlers_enabled");
        // SAFETY: called before the first connection, as the header asks; the process keeps its own handlers.
        unsafe { set_signal_handlers(0) };
        Ok(API.get_or_init(|| api))
    }
}
