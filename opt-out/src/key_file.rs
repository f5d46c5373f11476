//! Key files: a secret as one line of text, for its owner's eyes only.
//!
//! It owns the reading: bounded, and never from a file that others on the machine may read or change. It must never print what it read.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use event::key::signature::{Secret, SecretError};
use thiserror::Error;
use zeroize::Zeroizing;

/// Largest key file, bytes: a key, and room for what editors leave around it.
const FILE_BYTES_MAX: u64 = 1024;
/// Permissions that a key file must not give: any, to anybody but its owner.
const MODE_REFUSED: u32 = 0o077;

/// Why a key file was refused. The operator's to solve. Says which file, never what it holds.
#[derive(Debug, Error)]
pub enum KeyFileError {
    /// It cannot be read, or is too large to be a key.
    #[error("cannot read the key file {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Others on this machine may read or change it.
    #[error(
        "the key file {path} has mode {mode:o}: only its owner may have rights to it; run chmod 600 {path}"
    )]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It holds no signing key.
    #[error("the key file {path}: {source}")]
    Secret {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: SecretError,
    },
}

/// The text of a key file.
///
/// # Errors
/// [`KeyFileError`].
pub fn read(path: &Path) -> Result<Zeroizing<String>, KeyFileError> {
    let failed = |source| KeyFileError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    // Asked of the open file: the one that is read.
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
    if mode & MODE_REFUSED != 0 {
        return Err(KeyFileError::Mode { path: path.to_owned(), mode });
    }
    // Room for all of it from the start: a text that grows leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(FILE_BYTES_MAX as usize + 1));
    let bytes = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(failed)?;
    if bytes as u64 > FILE_BYTES_MAX {
        let words = format!("it has more than {FILE_BYTES_MAX} bytes");
        return Err(failed(io::Error::new(io::ErrorKind::InvalidData, words)));
    }
    Ok(text)
}

/// The signing key in a file.
///
/// # Errors
/// [`KeyFileError`].
pub fn read_secret(path: &Path) -> Result<Secret, KeyFileError> {
    let text = read(path)?;
    Secret::new(&text).map_err(|source| KeyFileError::Secret { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_a_short_file_for_its_owner_alone_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str, mode: u32| {
            let path = dir.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path
        };
        let good = "0123456789abcdef0123456789abcdef\n";
        for mode in [0o600, 0o400] {
            assert_eq!(*read(&file("good", good, mode)).unwrap(), good);
            assert!(read_secret(&dir.path().join("good")).is_ok());
            fs::remove_file(dir.path().join("good")).unwrap();
        }
        for mode in [0o640, 0o604, 0o620, 0o601] {
            let error = read(&file(&format!("open-{mode:o}"), good, mode)).unwrap_err().to_string();
            assert!(error.contains(&format!("{mode:o}")) && error.contains("chmod 600"), "{error}");
        }
        let long = format!("{good}{}", " ".repeat(FILE_BYTES_MAX as usize));
        let error = read(&file("long", &long, 0o600)).unwrap_err().to_string();
        assert!(error.contains("more than 1024 bytes"), "{error}");
        let error = read_secret(&file("short", "too-short", 0o600)).err().unwrap().to_string();
        assert!(
            error.contains("short") && error.contains("32 to 256 bytes") && !error.contains("too-short"),
            "{error}"
        );
        assert!(read(&dir.path().join("absent")).unwrap_err().to_string().contains("absent"));
    }
}
