//! The security log from outside: what is noted is read back with the private key and by nobody else, goes by its age, and is small.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use event::clock::Clock;
use security_log::{
    Entry, Error, Hit, Method, Parts, PrivateKey, PublicKey, Role, Route, SecurityLog, Settings, Summary,
    read,
};

const NOW_MS: i64 = 1_795_348_800_000;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

fn open(dir: &Path, key: &PrivateKey, clock: &Clock, settings: Settings) -> SecurityLog {
    SecurityLog::open(Parts { dir: dir.to_path_buf(), key: key.public(), settings, clock: clock.clone() })
        .expect("opened")
}

fn hit(n: u64) -> Hit {
    Hit {
        time_ms: NOW_MS + n as i64 * 10,
        address: Some(IpAddr::from([10, 20, (n >> 8) as u8, n as u8])),
        route: Route::named(Role::Tracker, "pixel"),
        method: Method::named("GET"),
        status: 200,
        bytes: 43,
    }
}

fn all(dir: &Path, key: &PrivateKey) -> (Summary, Vec<Entry>) {
    let mut entries = Vec::new();
    let summary = read(dir, key, 0, |entry| {
        entries.push(entry);
        Ok(())
    });
    (summary.expect("read"), entries)
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(dir).expect("a folder").map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    files
}

#[test]
fn what_is_noted_is_read_back_with_the_private_key_alone() {
    let dir = tempfile::tempdir().expect("a folder");
    let dir = dir.path().join("security");
    let key = PrivateKey::from_text(&PrivateKey::draw().expect("random").to_text()).expect("a key");
    let log = open(&dir, &key, &Clock::manual(NOW_MS), Settings::default());
    let recorders = [log.recorder(), log.recorder()];
    for n in 0..1000 {
        recorders[n as usize % 2].note(&hit(n));
    }
    recorders[0].note(&Hit {
        address: Some("2001:db8::7".parse().expect("an address")),
        route: Route::named(Role::Page, "opt_outs"),
        method: Method::named("POST"),
        status: 422,
        ..hit(0)
    });
    log.close();
    let (summary, entries) = all(&dir, &key);
    assert_eq!(summary, Summary { files: 1, entries: 1001, ..Summary::default() });
    let page = entries.iter().find(|entry| entry.role == Role::Page).expect("is there");
    assert_eq!((page.route, page.method, page.status), ("opt_outs", "POST", 422));
    assert_eq!(page.address, Some("2001:db8::7".parse().expect("an address")));
    let mut last: Vec<_> = entries.iter().filter_map(|entry| entry.address).collect();
    last.sort();
    last.dedup();
    assert_eq!(last.len(), 1001);
    assert_eq!(fs::metadata(&dir).expect("there").permissions().mode() & 0o777, 0o700);
    let file = &files(&dir)[0];
    assert_eq!(fs::metadata(file).expect("there").permissions().mode() & 0o777, 0o600);

    // Sealed: no address stands there in its bytes or digits.
    let bytes = fs::read(file).expect("read");
    assert!(!bytes.windows(4).any(|window| window == [10, 20, 0, 7]));
    let other = PrivateKey::draw().expect("random");
    assert!(matches!(read(&dir, &other, 0, |_| Ok(())), Err(Error::OtherKey { .. })));
    assert!(PublicKey::from_text(&key.to_text()).is_err());
    assert_eq!(PublicKey::from_text(&key.public().to_text()).expect("a key"), key.public());
}

#[test]
fn a_request_takes_few_bytes_on_the_disk() {
    let dir = tempfile::tempdir().expect("a folder");
    let key = PrivateKey::draw().expect("random");
    let log = open(dir.path(), &key, &Clock::manual(NOW_MS), Settings::default());
    let recorder = log.recorder();
    // Addresses as of 10,000 people, each request by any of them.
    let mut state = 1_u64;
    for n in 0..20_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let person = (state >> 33) % 10_000;
        let address = (person.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u32;
        recorder.note(&Hit { address: Some(IpAddr::from(address.to_be_bytes())), ..hit(n) });
    }
    log.close();
    let bytes: u64 = files(dir.path()).iter().map(|file| fs::metadata(file).expect("there").len()).sum();
    println!("{:.2} bytes a request", bytes as f64 / 20_000.0);
    assert!(bytes < 20_000 * 7, "{bytes} bytes of 20,000 requests");
}

#[test]
fn a_torn_or_changed_end_costs_what_follows_it_and_is_told() {
    let dir = tempfile::tempdir().expect("a folder");
    let key = PrivateKey::draw().expect("random");
    for _ in 0..2 {
        let log = open(dir.path(), &key, &Clock::manual(NOW_MS), Settings::default());
        let recorder = log.recorder();
        (0..10).for_each(|n| recorder.note(&hit(n)));
        log.close();
    }
    let file = &files(dir.path())[0];
    let bytes = fs::read(file).expect("read");
    let found = |torn: u64, entries: u64, unended: u64| {
        let unended = (0..unended).map(|_| file.clone()).collect();
        assert_eq!(all(dir.path(), &key).0, Summary { files: 2, entries, torn, unended });
    };
    found(0, 20, 0);
    // The frame that ends a file: its length, four bytes, the cipher's tag.
    let records = bytes.len() - (4 + 4 + 16);
    fs::write(file, &bytes[..bytes.len() - 1]).expect("cut");
    found(1, 20, 0);
    fs::write(file, &bytes[..records]).expect("cut");
    found(0, 20, 1);
    fs::write(file, &bytes[..records - 1]).expect("cut");
    found(1, 10, 0);
    // Behind a whole frame a torn one is what a crash leaves.
    fs::write(file, [&bytes[..records], &[9, 0, 0, 0, 1]].concat()).expect("written");
    found(1, 20, 0);
    // Behind the end there is nothing, whatever it is.
    for more in [&bytes[41..records], &bytes[records..]] {
        fs::write(file, [&bytes, more].concat()).expect("written");
        found(1, 20, 0);
    }
    fs::write(file, &bytes[..41]).expect("cut");
    found(0, 10, 1);
    fs::write(file, &bytes[..20]).expect("cut");
    found(1, 10, 0);
}

#[test]
fn files_go_by_their_age_and_the_oldest_by_the_size_of_all() {
    let dir = tempfile::tempdir().expect("a folder");
    let key = PrivateKey::draw().expect("random");
    let clock = Clock::manual(NOW_MS);
    let write = |settings: &Settings| {
        let log = open(dir.path(), &key, &clock, settings.clone());
        log.recorder().note(&hit(1));
        log.close();
        files(dir.path()).len()
    };
    let settings = Settings { retention_days: 183, ..Settings::default() };
    assert_eq!(write(&settings), 1);
    clock.advance_ms(183 * DAY_MS);
    assert_eq!(write(&settings), 2, "its youngest entry may be of the day after its first");
    clock.advance_ms(DAY_MS + 1000);
    assert_eq!(write(&settings), 2, "the first is gone, a third has come");
    clock.advance_ms(1000);
    assert_eq!(write(&Settings { disk_bytes_max: 1, ..settings }), 2, "all but the last of those before go");
}

#[test]
fn a_retention_below_six_months_is_refused() {
    let settings = Settings { retention_days: 182, ..Settings::default() };
    assert!(settings.check().expect_err("too short").to_string().contains("enabled = false"));
    assert_eq!(Settings::default().check(), Ok(()));
    let log = SecurityLog::off();
    let recorder = log.recorder();
    recorder.note(&hit(1));
    assert!(!recorder.is_on());
    log.close();
}
