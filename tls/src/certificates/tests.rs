//! Pairs that are good and pairs that are not, at the start and while running.

use std::os::unix::fs::PermissionsExt;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use tempfile::TempDir;

use super::*;

/// 2026-11-22T12:00:00Z.
const NOW_MS: UnixMs = 1_795_348_800_000;

struct Folder {
    dir: TempDir,
    clock: Clock,
}

/// A certificate for `name` that is good in the years given, and its key, as PEM.
fn issue(name: &str, years: (i32, i32)) -> (String, String) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(vec![name.to_owned(), "127.0.0.1".to_owned()]).expect("names");
    params.not_before = date_time_ymd(years.0, 1, 1);
    params.not_after = date_time_ymd(years.1, 1, 1);
    (params.self_signed(&key).expect("a certificate").pem(), key.serialize_pem())
}

impl Folder {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a folder"), clock: Clock::manual(NOW_MS) }
    }

    fn put(&self, certificate: &str, key: &str) {
        self.put_one("c.pem", certificate);
        self.put_one("k.pem", key);
    }

    fn put_one(&self, name: &str, text: &str) {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("its mode");
    }

    fn load(&self) -> Result<Certificates, Error> {
        let settings = Settings {
            certificate_file: Some(self.dir.path().join("c.pem")),
            key_file: Some(self.dir.path().join("k.pem")),
            ..Settings::default()
        };
        Ok(Certificates::load(&settings, &self.clock)?.expect("files are named"))
    }

    fn refused(&self) -> String {
        self.load().err().expect("refused").to_string()
    }
}

#[test]
fn a_good_pair_says_names_and_end_and_no_files_are_no_tls() {
    let folder = Folder::new();
    let (certificate, key) = issue("t.example", (2026, 2027));
    folder.put(&certificate, &key);
    let loaded = folder.load().expect("good");
    assert_eq!(loaded.names(), ["t.example", "127.0.0.1"]);
    assert_eq!(loaded.expires_seconds(), 1_798_761_600, "2027-01-01");
    assert!(Certificates::load(&Settings::default(), &folder.clock).expect("fine").is_none());
}

#[test]
fn what_is_wrong_is_said_with_its_file_and_never_with_the_key() {
    let folder = Folder::new();
    let (certificate, key) = issue("t.example", (2026, 2027));
    let (_, other) = issue("t.example", (2026, 2027));
    let (old, old_key) = issue("t.example", (2024, 2026));
    let (coming, coming_key) = issue("t.example", (2027, 2028));
    for (certificate, key, told) in [
        (certificate.as_str(), other.as_str(), "is not that of the certificate in"),
        (&old, &old_key, "expired on Jan  1 00:00:00 2026"),
        (&coming, &coming_key, "is not good before Jan  1 00:00:00 2027"),
        ("", &key, "c.pem holds no certificate"),
        (&certificate, "", "k.pem holds no private key"),
        (&key, &key, "c.pem holds no certificate"),
        (&certificate, &certificate, "k.pem holds no private key"),
        ("-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----\n", &key, "c.pem is no sound PEM"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &key, "cannot be read"),
    ] {
        folder.put(certificate, key);
        let error = folder.refused();
        assert!(error.contains(told), "{error} / {told}");
        let secret = key.lines().nth(1).unwrap_or("none");
        assert!(!error.contains(secret), "{error}");
    }
}

#[test]
fn files_that_are_missing_too_large_or_open_to_others_are_refused() {
    let folder = Folder::new();
    let (certificate, key) = issue("t.example", (2026, 2027));
    assert!(folder.refused().contains("k.pem cannot be read"));
    folder.put(&certificate, &key);
    for mode in [0o640, 0o604, 0o644, 0o620] {
        let path = folder.dir.path().join("k.pem");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("its mode");
        let error = folder.refused();
        assert!(error.contains(&format!("has mode {mode:03o}")) && error.contains("chmod 600"), "{error}");
    }
    folder.put(&certificate, &" ".repeat(KEY_FILE_BYTES_MAX as usize + 1));
    assert!(folder.refused().contains("more than 65536 bytes"));
    std::fs::remove_file(folder.dir.path().join("c.pem")).expect("removed");
    std::fs::create_dir(folder.dir.path().join("c.pem")).expect("a folder");
    folder.put_one("k.pem", &key);
    assert!(folder.refused().contains("it is no file"));
}

#[test]
fn a_renewal_in_two_steps_is_taken_without_a_word_of_the_middle() {
    let folder = Folder::new();
    let (certificate, key) = issue("old.example", (2026, 2027));
    folder.put(&certificate, &key);
    let loaded = folder.load().expect("good");
    assert!(matches!(loaded.look(false), Look::Same));
    let (certificate, key) = issue("new.example", (2026, 2028));
    folder.put_one("c.pem", &certificate);
    assert!(matches!(loaded.look(false), Look::Unsettled));
    assert_eq!(loaded.names()[0], "old.example");
    folder.put_one("k.pem", &key);
    assert!(matches!(loaded.look(false), Look::Taken));
    assert_eq!(loaded.names()[0], "new.example");
    assert!(matches!(loaded.look(false), Look::Same));
    assert!(matches!(loaded.look(true), Look::Same));
}

#[test]
fn a_broken_pair_keeps_the_old_one_and_is_told_once() {
    let folder = Folder::new();
    let (certificate, key) = issue("old.example", (2026, 2027));
    folder.put(&certificate, &key);
    let loaded = folder.load().expect("good");
    folder.put_one("c.pem", "rubbish");
    assert!(matches!(loaded.look(false), Look::Unsettled));
    assert!(matches!(loaded.look(false), Look::Refused(Error::Form { .. })));
    assert!(matches!(loaded.look(false), Look::Same), "told once");
    assert!(matches!(loaded.look(true), Look::Refused(_)), "and whoever asks is told again");
    std::fs::remove_file(folder.dir.path().join("c.pem")).expect("removed");
    assert!(matches!(loaded.look(true), Look::Refused(Error::Read { .. })), "asked: at once");
    assert_eq!(loaded.names()[0], "old.example");
    folder.put_one("c.pem", &certificate);
    assert!(matches!(loaded.look(false), Look::Taken), "the old pair again");
    let (expired, its_key) = issue("new.example", (2024, 2025));
    folder.put(&expired, &its_key);
    assert!(matches!(loaded.look(true), Look::Refused(Error::Time { .. })));
    assert_eq!(loaded.names()[0], "old.example");
}
