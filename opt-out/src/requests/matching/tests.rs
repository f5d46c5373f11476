//! What a shown identifier covers of a request, and that nothing is accepted without it.

use event::clock::Clock;
use event::identifier::devices;
use tempfile::tempdir;

use super::*;
use crate::requests::{Kind, Proof, Sought, State};
use crate::settings::Settings;

const OAID: &str = "1fe9a970-efbb-29e0-0bdd-f5dbbf751ab5";
const IMEI: &str = "868049039501257";
const OTHER_IMEI: &str = "490154203237518";
const IMEI_MD5: &str = "b9c2a3e5d4f60718293a4b5c6d7e8f90";
const CAID: &str = "7f3c2d9e7a414b6f9c1e5d2a8b7c6e10";

fn keys() -> KeyRing {
    KeyRing::generate(|bytes| getrandom::fill(bytes).expect("random bytes"))
}

fn rotated(keys: &KeyRing) -> KeyRing {
    keys.rotated_at(1_795_348_800, |bytes| getrandom::fill(bytes).expect("random bytes")).expect("room")
}

fn sought(ids: &[(IdKind, &str, Option<&str>)], keys: &KeyRing) -> Sought {
    let of = |(kind, value, version): &(IdKind, &str, Option<&str>)| {
        let found = devices(*kind, value.as_bytes(), version.map(str::as_bytes), keys).expect("good");
        let found = found.into_iter().map(|(epoch, device)| Key { epoch, kind: *kind, device }).collect();
        let lodged = lodge(*kind, value.as_bytes(), keys).expect("good");
        (NamedId::of_lodged(*kind, &lodged), found)
    };
    Sought(ids.iter().map(of).collect())
}

fn shown(kind: IdKind, value: &str, keys: &KeyRing) -> Shown {
    Shown::of(kind, value.as_bytes(), None, keys).expect("can be shown")
}

fn open(dir: &std::path::Path) -> Requests {
    let audit = audit::Log::scratch(&dir.join("audit")).expect("it opens");
    Requests::open(dir, &Settings::default(), Clock::manual(1_795_176_000_000), audit).expect("they open")
}

/// What came of showing it: identifiers that it is, in part, and those matched by now.
fn show(requests: &Requests, number: u32, shown: &Shown) -> (usize, usize, usize) {
    let matching = requests.match_shown(number, shown).expect("compared");
    (matching.ids, matching.ids_in_part, matching.request.ids_matched())
}

/// Somebody else's identifier beside one's own: the own one's papers are no proof of the other.
#[test]
fn nothing_is_accepted_until_every_identifier_was_shown_and_another_devices_is_none_of_them() {
    let (dir, keys) = (tempdir().expect("a folder"), keys());
    let requests = open(dir.path());
    let ids = [(IdKind::Imei, IMEI, None), (IdKind::Oaid, OAID, None)];
    requests.submit(Kind::Erasure, Proof::Typed, sought(&ids, &keys)).expect("taken");
    let refused = |left| {
        let error = requests.accept(1, keys.epoch()).expect_err("not yet");
        assert!(
            matches!(error, RequestError::NotMatched { ids: 2, left: found } if found == left),
            "{error}"
        );
        assert_eq!(requests.get(1).map(|request| request.state), Some(State::Waiting));
    };
    refused(2);
    assert_eq!(show(&requests, 1, &shown(IdKind::Imei, OTHER_IMEI, &keys)), (0, 0, 0));
    assert_eq!(show(&requests, 1, &shown(IdKind::Oaid, OTHER_IMEI, &keys)), (0, 0, 0));
    refused(2);
    assert_eq!(show(&requests, 1, &shown(IdKind::Imei, " 868049-03-950125-7", &keys)), (1, 0, 1));
    refused(1);

    // A start keeps what was shown.
    requests.close();
    drop(requests);
    let requests = open(dir.path());
    assert!(requests.get(1).is_some_and(|request| request.matched_ms.is_some()));
    assert_eq!(show(&requests, 1, &shown(IdKind::Oaid, &OAID.to_uppercase(), &keys)), (1, 0, 2));
    assert_eq!(requests.accept(1, keys.epoch()).expect("accepted").state, State::Running);
    let late = requests.match_shown(1, &shown(IdKind::Imei, IMEI, &keys));
    assert!(matches!(late, Err(RequestError::NotWaiting(State::Running))));
    assert!(matches!(requests.match_shown(9, &shown(IdKind::Imei, IMEI, &keys)), Err(RequestError::Unknown)));
}

#[test]
fn a_digest_that_was_typed_is_covered_by_its_identifier_and_covers_nothing_itself() {
    use md5::{Digest, Md5};
    let (dir, keys) = (tempdir().expect("a folder"), keys());
    let requests = open(dir.path());
    let md5 = format!("{:032x}", u128::from_be_bytes(Md5::digest(IMEI).into()));
    requests.submit(Kind::Copy, Proof::Typed, sought(&[(IdKind::Imei, &md5, None)], &keys)).expect("taken");
    let named = requests.get(1).expect("there").ids.first().map(|id| id.not_covered.names());
    assert_eq!(named, Some(vec!["sha1", "sha256"]));
    for digest in [md5.as_str(), IMEI_MD5] {
        let error = Shown::of(IdKind::Imei, digest.as_bytes(), None, &keys).err();
        assert_eq!(error, Some(NotShown::Digest(IdKind::Imei)));
    }
    assert_eq!(show(&requests, 1, &shown(IdKind::Imei, IMEI, &keys)), (1, 0, 1));
    // Shown to be his: looked for in the forms too that the digest did not give.
    let request = requests.accept(1, keys.epoch()).expect("accepted");
    let all = devices(IdKind::Imei, IMEI.as_bytes(), None, &keys).expect("good");
    assert!(all.iter().all(|(_, device)| request.keys.iter().any(|key| key.device == *device)));
    let [id] = &*request.ids else { panic!("one identifier") };
    assert_eq!(usize::from(id.keys), request.keys.len());
    assert_eq!((id.covered.names().len(), id.not_covered.names().len()), (5, 0));
}

#[test]
fn a_caid_of_another_version_is_covered_in_part() {
    let (dir, keys) = (tempdir().expect("a folder"), keys());
    let requests = open(dir.path());
    let caid = [(IdKind::Caid, CAID, Some("20230330"))];
    requests.submit(Kind::Erasure, Proof::Typed, sought(&caid, &keys)).expect("taken");
    assert_eq!(show(&requests, 1, &shown(IdKind::Caid, CAID, &keys)), (0, 1, 0));
    assert!(requests.accept(1, keys.epoch()).is_err());
    let whole = Shown::of(IdKind::Caid, CAID.as_bytes(), Some(b"20230330"), &keys).expect("can be shown");
    assert_eq!(show(&requests, 1, &whole), (1, 0, 1));
    requests.accept(1, keys.epoch()).expect("accepted");
}

/// Keys were rotated between asking and accepting: what came since stands under a key that nobody could derive when it was asked.
#[test]
fn after_a_rotation_the_identifier_is_shown_once_more() {
    let (dir, before) = (tempdir().expect("a folder"), keys());
    let requests = open(dir.path());
    let imei = [(IdKind::Imei, IMEI, None)];
    requests.submit(Kind::Erasure, Proof::Typed, sought(&imei, &before)).expect("taken");
    assert_eq!(show(&requests, 1, &shown(IdKind::Imei, IMEI, &before)), (1, 0, 1));
    let after = rotated(&before);
    assert!(matches!(requests.accept(1, after.epoch()), Err(RequestError::Rotated)));
    assert_eq!(show(&requests, 1, &shown(IdKind::Imei, IMEI, &after)), (1, 0, 1));
    let request = requests.accept(1, after.epoch()).expect("accepted");
    let all = devices(IdKind::Imei, IMEI.as_bytes(), None, &after).expect("good");
    assert!(all.iter().all(|key| request.keys.iter().any(|known| (known.epoch, known.device) == *key)));

    // A key that was destroyed meanwhile: what stood under it is nobody's, and no reason to wait.
    requests.submit(Kind::Erasure, Proof::Typed, sought(&imei, &after)).expect("taken");
    let without = after.without(1, u64::MAX).expect("it is sealed");
    assert_eq!(show(&requests, 2, &shown(IdKind::Imei, IMEI, &without)), (1, 0, 1));
    requests.accept(2, without.epoch()).expect("accepted");
}

#[test]
fn each_showing_is_entered_and_none_with_a_value() {
    let (dir, keys) = (tempdir().expect("a folder"), keys());
    let requests = open(dir.path());
    let imei = [(IdKind::Imei, IMEI, None)];
    requests.submit(Kind::Erasure, Proof::Typed, sought(&imei, &keys)).expect("taken");
    show(&requests, 1, &shown(IdKind::Imei, OTHER_IMEI, &keys));
    show(&requests, 1, &shown(IdKind::Imei, IMEI, &keys));
    requests.accept(1, keys.epoch()).expect("accepted");
    let mut acts = Vec::new();
    let key = audit::Key::from_text(audit::SCRATCH_KEY).expect("a key");
    let report = audit::verify(&dir.path().join("audit"), &key, &[], |line| {
        acts.push((line.actor.clone(), line.act.clone(), line.details.get("ids_matched").cloned()));
    });
    assert!(report.expect("it is read").broken.is_none());
    acts.retain(|(_, act, _)| act.starts_with("request."));
    let acts: Vec<_> = acts
        .iter()
        .map(|(actor, act, matched)| {
            (actor.as_str(), act.as_str(), matched.as_ref().and_then(serde_json::Value::as_u64))
        })
        .collect();
    assert_eq!(
        acts,
        [
            ("person", "request.submitted", Some(0)),
            ("operator", "request.not_matched", Some(0)),
            ("operator", "request.matched", Some(1)),
            ("operator", "request.accepted", Some(1)),
        ]
    );
    requests.close();
    let mut files = 0;
    let mut folders = vec![dir.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            let bytes = std::fs::read(&path).expect("a file");
            for value in [IMEI, OTHER_IMEI] {
                assert!(
                    !bytes.windows(value.len()).any(|found| found == value.as_bytes()),
                    "{}",
                    path.display()
                );
            }
        }
    }
    assert!(files > 1);
}
