//! Replacing the key file: whole or not at all, and what stood in the old one is overwritten, for it may hold a key that is destroyed by that.
//!
//! ```text
//! device.keys          the key file
//! device.keys.old      a second name of the one that is being replaced, from before the new one has its name until the old bytes are overwritten
//! device.keys.tmp      the new one, until it has its name
//! ```
//!
//! A crash at any place leaves the old file or the new one under the first name. What else it leaves is finished by [`finish`], at the next start or change.
//! On disks that copy on write, or remember what was overwritten, only destroying the disk's own key does more.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::data_dir::write_durably;

/// Writes a new key file in the place of the old one.
pub(crate) fn replace(path: &Path, text: &str) -> io::Result<()> {
    finish(path)?;
    fs::hard_link(path, beside(path, ".old"))?;
    sync_folder(path)?;
    write_durably(path, 0o600, text.as_bytes())?;
    finish(path)
}

/// Finishes what a replacement that was broken off has left: the bytes of the old file are overwritten, other names go.
pub(crate) fn finish(path: &Path) -> io::Result<()> {
    let (old, new) = (beside(path, ".old"), beside(path, ".tmp"));
    let mut has_changed = false;
    for left in [&old, &new] {
        let Ok(meta) = fs::symlink_metadata(left) else { continue };
        // The old one still has its first name where the new one did not come to have it: then it is the key file.
        if !fs::metadata(path).is_ok_and(|kept| (kept.dev(), kept.ino()) == (meta.dev(), meta.ino())) {
            let mut file = OpenOptions::new().write(true).open(left)?;
            file.write_all(&vec![b'0'; meta.len() as usize])?;
            file.sync_all()?;
        }
        fs::remove_file(left)?;
        has_changed = true;
    }
    if has_changed { sync_folder(path) } else { Ok(()) }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const OLD: &str = "the old key\n";
    const NEW: &str = "the new one\n";

    struct Folder {
        _dir: tempfile::TempDir,
        path: PathBuf,
        /// One more name of the old file, which shows what becomes of its bytes.
        seen: PathBuf,
    }

    fn folder() -> Folder {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("device.keys");
        write_durably(&path, 0o600, OLD.as_bytes()).expect("written");
        let seen = dir.path().join("seen");
        fs::hard_link(&path, &seen).expect("linked");
        Folder { _dir: dir, path, seen }
    }

    fn read(path: &Path) -> String {
        fs::read_to_string(path).expect("read")
    }

    fn has_left(path: &Path) -> bool {
        [".old", ".tmp"].iter().any(|ending| beside(path, ending).exists())
    }

    #[test]
    fn the_bytes_of_an_old_key_file_are_overwritten() {
        let Folder { path, seen, .. } = &folder();
        replace(path, NEW).expect("replaced");
        assert_eq!((read(path).as_str(), read(seen).as_str()), (NEW, "000000000000"));
        assert_eq!(fs::metadata(path).expect("there").permissions().mode() & 0o777, 0o600);
        assert!(!has_left(path));
    }

    #[test]
    fn what_a_crash_left_behind_the_new_file_is_overwritten_at_the_next_start() {
        let Folder { path, seen, .. } = &folder();
        fs::hard_link(path, beside(path, ".old")).expect("linked");
        write_durably(path, 0o600, NEW.as_bytes()).expect("written");
        finish(path).expect("finished");
        assert_eq!((read(path).as_str(), read(seen).as_str()), (NEW, "000000000000"));
        assert!(!has_left(path));
    }

    #[test]
    fn what_a_crash_left_before_the_new_file_had_its_name_changes_no_key() {
        let Folder { path, seen, .. } = &folder();
        fs::hard_link(path, beside(path, ".old")).expect("linked");
        fs::write(beside(path, ".tmp"), NEW).expect("written");
        finish(path).expect("finished");
        assert_eq!((read(path).as_str(), read(seen).as_str()), (OLD, OLD));
        assert!(!has_left(path));
        replace(path, NEW).expect("replaced, after all");
        assert_eq!(read(path), NEW);
    }
}
