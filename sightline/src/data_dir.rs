//! The data folder: where everything lies, the secrets in it, and the lock that keeps two processes out.
//!
//! ```text
//! DATA/lock                  held by the running process
//! DATA/instance.json         addresses and pid of the running instance (see `instance`)
//! DATA/catalog.toml          campaigns and placements
//! DATA/catalog.kept.toml     in a cluster: the last catalog that came over Kafka
//! DATA/keys/device.keys      key ring; whoever has it can test guesses of identifiers      0600
//! DATA/keys/operator.token   bearer token of the report API                               0600
//! DATA/keys/replay.key       server key with the rights ip, ua, backdate                  0600
//! DATA/keys/debug.key        key of the x-sightline-debug header                          0600
//! DATA/keys/link.key         key of signed links                                          0600
//! DATA/keys/dsr.pem          key of acknowledgements to other companies, where [opt_out.dsr] is on   0600
//! DATA/keys/audit.key        key of the audit log                                          0600
//! DATA/keys/audit.head       the audit log's newest head: its end cannot be cut off unseen 0600
//! DATA/keys/security.public  what the security log is sealed for                           0600
//! DATA/keys/security.key     what opens it: drawn with it, to be taken away from here      0600
//! DATA/keys/opt-out.receipts how many receipts the opt-out registry has had: its folder cannot be lost unseen
//! DATA/keys/requests.newest  the newest number of persons' requests: their folder cannot be lost unseen
//! DATA/journal/lane-<n>/     journal lanes
//! DATA/audit/                audit log
//! DATA/security/             security log, sealed
//! DATA/opt-out/              opt-out registry
//! DATA/requests/             persons' requests for erasure and copies; the copies, until they are deleted  0600
//! DATA/dsr/                  which deletion requests of other companies were used         0600
//! DATA/store/                event store and figures
//! ```
//!
//! Secrets are drawn at random at the first start, never have a default and are refused where others may read them.
//! This module never logs what is in them.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// Longest secret file that is read, bytes: a key ring of a hundred epochs fits.
const SECRET_FILE_BYTES_MAX: u64 = 64 * 1024;
/// Name of the catalog.
pub(crate) const CATALOG_NAME: &str = "catalog.toml";
/// Random bytes of a token or key: 256 bits.
const TOKEN_BYTES: usize = 32;

/// A data folder.
#[derive(Clone, Debug)]
pub(crate) struct DataDir {
    root: PathBuf,
}

/// Held as long as the process owns the folder; the lock falls with it.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// A secret and whether it was drawn just now.
#[derive(Clone)]
pub(crate) struct Secret {
    /// The text, without white space around it.
    pub(crate) text: String,
    /// Drawn by this call.
    pub(crate) is_new: bool,
}

impl DataDir {
    /// The folder at `root`; nothing is touched.
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_path_buf() }
    }

    /// The folder itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Default place of the key ring.
    pub(crate) fn device_keys(&self) -> PathBuf {
        self.root.join("keys/device.keys")
    }

    /// The operator's report token.
    pub(crate) fn operator_token(&self) -> PathBuf {
        self.root.join("keys/operator.token")
    }

    /// The server key that `replay` uses.
    pub(crate) fn replay_key(&self) -> PathBuf {
        self.root.join("keys/replay.key")
    }

    /// The key that makes answers tell their outcome.
    pub(crate) fn debug_key(&self) -> PathBuf {
        self.root.join("keys/debug.key")
    }

    /// Default place of the audit log's key.
    pub(crate) fn audit_key(&self) -> PathBuf {
        self.root.join("keys/audit.key")
    }

    /// The audit log's newest head, kept beside its key.
    pub(crate) fn audit_head(&self) -> PathBuf {
        self.root.join("keys/audit.head")
    }

    /// The audit log.
    pub(crate) fn audit(&self) -> PathBuf {
        self.root.join("audit")
    }

    /// Default place of the security log's public key, all that a process needs to write it.
    pub(crate) fn security_public_key(&self) -> PathBuf {
        self.root.join("keys/security.public")
    }

    /// Where the first start puts the private half, to be taken away.
    pub(crate) fn security_private_key(&self) -> PathBuf {
        self.root.join("keys/security.key")
    }

    /// The security log.
    pub(crate) fn security(&self) -> PathBuf {
        self.root.join("security")
    }

    /// Default place of the key of signed links.
    pub(crate) fn link_key(&self) -> PathBuf {
        self.root.join("keys/link.key")
    }

    /// Default place of the key that acknowledges other companies' deletion requests.
    pub(crate) fn dsr_key(&self) -> PathBuf {
        self.root.join("keys/dsr.pem")
    }

    /// Which of those requests were used.
    pub(crate) fn dsr(&self) -> PathBuf {
        self.root.join("dsr")
    }

    /// Default place of the catalog.
    pub(crate) fn catalog(&self) -> PathBuf {
        self.root.join(CATALOG_NAME)
    }

    /// The last catalog that came over Kafka.
    pub(crate) fn catalog_kept(&self) -> PathBuf {
        self.root.join("catalog.kept.toml")
    }

    /// How many receipts the opt-out registry has had.
    pub(crate) fn opt_out_receipts(&self) -> PathBuf {
        self.root.join("keys/opt-out.receipts")
    }

    /// The newest number that a person's request has had.
    pub(crate) fn requests_newest(&self) -> PathBuf {
        self.root.join("keys/requests.newest")
    }

    /// The folder of a journal lane.
    pub(crate) fn lane(&self, number: usize) -> PathBuf {
        self.root.join(format!("journal/lane-{number}"))
    }

    /// The folder that holds the lanes.
    pub(crate) fn journal(&self) -> PathBuf {
        self.root.join("journal")
    }

    /// The opt-out registry.
    pub(crate) fn opt_out(&self) -> PathBuf {
        self.root.join("opt-out")
    }

    /// What people enter: tokens and more.
    pub(crate) fn desk(&self) -> PathBuf {
        self.root.join("desk")
    }

    /// In a cluster, a copy of the long documents that its topic holds; made anew at each start.
    pub(crate) fn desk_copy(&self) -> PathBuf {
        self.root.join("desk-copy")
    }

    /// Persons' requests, and copies that were made for them.
    pub(crate) fn requests(&self) -> PathBuf {
        self.root.join("requests")
    }

    /// Event store and figures.
    pub(crate) fn store(&self) -> PathBuf {
        self.root.join("store")
    }

    /// Addresses of the running instance.
    pub(crate) fn instance(&self) -> PathBuf {
        self.root.join("instance.json")
    }

    /// Creates the folder where it is missing (readable by its owner only) and takes its lock.
    pub(crate) fn open(&self) -> anyhow::Result<Lock> {
        for dir in [self.root.clone(), self.root.join("keys")] {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&dir)
                .with_context(|| format!("cannot create the data folder {}", dir.display()))?;
        }
        let path = self.root.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Lock { _file: file }),
            Err(TryLockError::WouldBlock) => bail!(
                "another process runs on the data folder {}: stop it, or give another folder with --data",
                self.root.display()
            ),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("cannot lock {}", path.display()))
            }
        }
    }
}

/// The token or key in `path`; drawn and written (mode 0600, durable) if the file does not exist. `prefix` says what it is
/// for, so that people and secret scanners recognise one that got out.
pub(crate) fn token(path: &Path, prefix: &str) -> anyhow::Result<Secret> {
    secret(path, || {
        let mut bytes = [0; TOKEN_BYTES];
        random(&mut bytes)?;
        Ok(bytes.iter().fold(prefix.to_owned(), |mut text, byte| {
            use std::fmt::Write as _;
            let _ = write!(text, "{byte:02x}");
            text
        }))
    })
}

/// The secret in `path`, or what `generate` makes, written durably with mode 0600.
pub(crate) fn secret(
    path: &Path,
    generate: impl FnOnce() -> anyhow::Result<String>,
) -> anyhow::Result<Secret> {
    match read_secret(path) {
        Ok(text) => Ok(Secret { text, is_new: false }),
        Err(error) if is_not_found(&error) => {
            let text = generate()?;
            write_secret(path, &text).with_context(|| format!("cannot write {}", path.display()))?;
            Ok(Secret { text: text.trim().to_owned(), is_new: true })
        }
        Err(error) => Err(error),
    }
}

/// Reads a secret. Refuses a file that is readable by others than its owner.
pub(crate) fn read_secret(path: &Path) -> anyhow::Result<String> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let meta = file.metadata().with_context(|| format!("cannot read {}", path.display()))?;
    let mode = meta.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        bail!(
            "{} has mode {mode:04o}, so others than its owner may read or change this secret: chmod 600 {0}",
            path.display()
        );
    }
    if meta.len() > SECRET_FILE_BYTES_MAX {
        bail!("{} has {} bytes; a secret has at most {SECRET_FILE_BYTES_MAX}", path.display(), meta.len());
    }
    let text = io::read_to_string(file).with_context(|| format!("cannot read {}", path.display()))?;
    let text = text.trim();
    if text.is_empty() {
        bail!("{} is empty: restore it from a copy, or remove it to have a new one drawn", path.display());
    }
    Ok(text.to_owned())
}

/// Whether an error says that a file does not exist.
fn is_not_found(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::NotFound)
}

/// Fills `bytes` from the system's random source: the one place of the binary that draws.
pub(crate) fn random(bytes: &mut [u8]) -> anyhow::Result<()> {
    getrandom::fill(bytes).map_err(|error| anyhow::anyhow!("the system's random source failed: {error}"))
}

/// Writes a secret so that a crash leaves either none or a whole one.
fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    write_durably(path, 0o600, format!("{}\n", text.trim_end()).as_bytes())
}

/// Writes a file under a temporary name, makes it durable, and gives it its name.
pub(crate) fn write_durably(path: &Path, mode: u32, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    let temporary = dir.join(name);
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(mode).open(&temporary)?;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_drawn_once_and_kept_to_its_owner() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("operator.token");
        let first = token(&path, "op_").expect("drawn");
        let second = token(&path, "op_").expect("read");
        assert!(first.is_new && !second.is_new);
        assert_eq!(first.text, second.text);
        assert_eq!(first.text.len(), "op_".len() + 2 * TOKEN_BYTES);
        assert_eq!(fs::metadata(&path).expect("is there").permissions().mode() & 0o777, 0o600);
        let other = token(&dir.path().join("other"), "op_").expect("drawn");
        assert_ne!(first.text, other.text);
    }

    #[test]
    fn a_secret_that_others_may_read_is_refused_with_what_to_do() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("device.keys");
        token(&path, "").expect("drawn");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("chmod");
        let error = token(&path, "").err().expect("is refused").to_string();
        assert!(error.contains("mode 0640") && error.contains("chmod 600"), "{error}");
    }

    #[test]
    fn an_empty_secret_is_an_error_and_not_a_reason_to_draw_another() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("device.keys");
        write_durably(&path, 0o600, b" \n").expect("written");
        assert!(token(&path, "").err().expect("is refused").to_string().contains("is empty"));
    }

    #[test]
    fn a_second_process_is_kept_out() {
        let dir = tempfile::tempdir().expect("a folder");
        let data = DataDir::new(&dir.path().join("data"));
        let lock = data.open().expect("is free");
        let Err(error) = data.open() else { panic!("a second process got the folder") };
        assert!(error.to_string().contains("another process"));
        drop(lock);
        data.open().expect("is free again");
        assert_eq!(fs::metadata(data.root()).expect("is there").permissions().mode() & 0o777, 0o700);
    }
}
