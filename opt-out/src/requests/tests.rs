//! Requests: their bytes against what was once written, their way through the states, and what a start brings back.

use event::identifier::{ArrivingForm, IdKind};
use tempfile::tempdir;

use super::*;
use crate::record::AppName;
use crate::requests::record::{DecodeError, Forms, decode, encode};
use crate::tests::Random;

const WAITING_V1: &[u8] = include_bytes!("../../golden/request-waiting-v1.bin");
const DONE_V1: &[u8] = include_bytes!("../../golden/request-done-v1.bin");
const WAITING_V2: &[u8] = include_bytes!("../../golden/request-waiting-v2.bin");
const DONE_V2: &[u8] = include_bytes!("../../golden/request-done-v2.bin");
const CLAIMED_V3: &[u8] = include_bytes!("../../golden/request-claimed-v3.bin");

/// 2026-11-20T12:00:00Z, a Friday.
const FRIDAY_MS: i64 = 1_795_176_000_000;
const DAY_MS: i64 = 86_400_000;

fn key(number: u8) -> Key {
    Key { epoch: 1, kind: IdKind::Oaid, device: DeviceKey([number; 16]) }
}

fn named(keys: u16, kind: IdKind) -> NamedId {
    NamedId { keys, ..NamedId::of_kind(kind) }
}

fn waiting() -> Request {
    Request {
        number: 7,
        receipt: ReceiptId(*b"0123456789"),
        secret: SecretDigest([0xa5; 32]),
        kind: Kind::Copy,
        proof: Proof::Typed,
        state: State::Waiting,
        asked_ms: 1_795_300_000_123,
        decided_ms: None,
        finished_ms: None,
        why: String::new(),
        counts: Counts::default(),
        keys: Box::new([
            key(1),
            Key { epoch: 0x0203, kind: IdKind::Imei, device: DeviceKey(*b"abcdefghijklmnop") },
        ]),
        ids: Box::new([named(1, IdKind::Oaid), named(1, IdKind::Imei)]),
        matched_ms: None,
        matched: Box::default(),
    }
}

/// Of a party whose word does not suffice.
fn claimed() -> Request {
    Request { proof: Proof::Claimed(AppName::new("publisher.example").expect("a name")), ..waiting() }
}

fn done() -> Request {
    Request {
        kind: Kind::Erasure,
        proof: Proof::App(AppName::new("com.example.player").expect("a name")),
        state: State::Done,
        decided_ms: Some(1_795_300_000_456),
        finished_ms: Some(1_795_300_000_789),
        why: "理由".to_owned(),
        counts: Counts {
            events: 1,
            unresolved: 2,
            trial_events: 3,
            days_settled: 4,
            days_standing: 5,
            rows: 6,
            is_complete: true,
        },
        keys: Box::new([key(9)]),
        ids: Box::new([named(1, IdKind::Oaid)]),
        ..waiting()
    }
}

/// Shown in part: nine keys, of which the first and the last are covered.
fn shown() -> Request {
    Request {
        keys: (0..9).map(key).collect(),
        ids: Box::new([
            NamedId {
                covered: Forms::of(&[ArrivingForm::Raw, ArrivingForm::Md5]),
                not_covered: Forms::of(&[ArrivingForm::Sha1, ArrivingForm::RawWithoutDashes]),
                is_ambiguous: true,
                ..named(1, IdKind::Oaid)
            },
            named(8, IdKind::Oaid),
        ]),
        matched_ms: Some(1_795_300_000_789),
        matched: (0..9).map(|n| n % 8 == 0).collect(),
        ..waiting()
    }
}

/// Accepts it as the operator does who was shown everything.
fn accept(requests: &Requests, number: u32) -> Result<Request, RequestError> {
    let asked = requests.get(number).ok_or(RequestError::Unknown)?;
    requests.match_shown(number, &matching::Shown::of_keys(&asked.keys))?;
    requests.accept(number, 1)
}

#[test]
fn bytes_are_what_they_once_were() {
    for (name, request, golden) in [
        ("request-waiting-v2", shown(), WAITING_V2),
        ("request-done-v2", done(), DONE_V2),
        ("request-claimed-v3", claimed(), CLAIMED_V3),
    ] {
        let bytes = encode(&request);
        if std::env::var_os("SIGHTLINE_GOLDEN").is_some() {
            let path = format!("{}/golden/{name}.bin", env!("CARGO_MANIFEST_DIR"));
            std::fs::write(path, &bytes).expect("written");
            continue;
        }
        assert_eq!(bytes, golden, "{name}");
        assert_eq!(encode(&decode(golden).expect("a request")), golden, "{name}");
        for end in 0..golden.len() {
            assert!(decode(&golden[..end]).is_err(), "{name}, cut at {end}");
        }
        assert!(decode(&[golden, b"x"].concat()).is_err());
    }
    assert_eq!(decode(&[4, 1, 1]).err(), Some(DecodeError::UnknownVersion(4)));
}

#[test]
fn what_an_earlier_program_wrote_is_read() {
    for (name, request, golden) in
        [("request-waiting-v1", waiting(), WAITING_V1), ("request-done-v1", done(), DONE_V1)]
    {
        // All but what is new: each kind's keys are taken for one identifier's.
        assert_eq!(encode(&decode(golden).expect("a request")), encode(&request), "{name}");
        for end in 0..golden.len() {
            assert!(decode(&golden[..end]).is_err(), "{name}, cut at {end}");
        }
        assert!(decode(&[golden, b"x"].concat()).is_err());
    }
}

#[test]
fn rubbish_is_no_request_and_no_panic() {
    let mut random = Random::announced();
    for _ in 0..20_000 {
        let [at, value, which, ..] = random.hash();
        let mut bytes = if which % 2 == 0 { DONE_V2.to_vec() } else { WAITING_V2.to_vec() };
        let place = 1 + (usize::from(at) << 8 | usize::from(which)) % (bytes.len() - 1);
        bytes[place] = value;
        if let Ok(request) = decode(&bytes) {
            assert_eq!(encode(&request), bytes);
        }
    }
}

fn audit(dir: &Path) -> audit::Log {
    audit::Log::scratch(&dir.join("audit")).expect("it opens")
}

fn open(dir: &Path, clock: &Clock) -> Requests {
    Requests::open(dir, &Settings::default(), clock.clone(), audit(dir)).expect("they open")
}

#[test]
fn a_request_goes_its_way_and_a_start_brings_everything_back() {
    let dir = tempdir().expect("a folder");
    let clock = Clock::manual(FRIDAY_MS);
    let requests = open(dir.path(), &clock);
    let proved = requests.submit(Kind::Erasure, Proof::Browser, vec![key(1)]).expect("taken");
    let typed = requests.submit(Kind::Erasure, Proof::Typed, vec![key(2)]).expect("taken");
    let copy = requests.submit(Kind::Copy, Proof::Typed, vec![key(3)]).expect("taken");
    assert_eq!([proved.request.number, typed.request.number, copy.request.number], [1, 2, 3]);
    assert_eq!(requests.next_after(0).map(|request| request.number), Some(1));
    assert!(requests.next_after(1).is_none(), "what was typed waits for the operator");
    assert_eq!(requests.stats(), RequestStats { waiting: 2, overdue: 0, running: 1, lost: 0 });
    assert!(requests.erased().is_empty(), "what runs has to find it first");

    clock.advance_ms(DAY_MS);
    assert_eq!(accept(&requests, 2).expect("accepted").until_ms(), Some(FRIDAY_MS + DAY_MS));
    assert!(matches!(requests.accept(2, 1), Err(RequestError::NotWaiting(State::Running))));
    assert!(matches!(requests.refuse(3, " "), Err(RequestError::Why)));
    assert!(matches!(requests.refuse(3, &"x".repeat(WHY_BYTES_MAX + 1)), Err(RequestError::Why)));
    let refused = requests.refuse(3, "not yours").expect("refused");
    assert_eq!((refused.why.as_str(), refused.keys.len()), ("not yours", 0));
    assert!(matches!(requests.accept(99, 1), Err(RequestError::Unknown)));
    requests.finish(1, Some(Counts { events: 5, ..Counts::default() })).expect("noted");
    assert_eq!(requests.erased(), [(vec![key(1).device], FRIDAY_MS)]);

    requests.close();
    drop(requests);
    let requests = open(dir.path(), &clock);
    let held = requests.of_holder(proved.request.receipt, &proved.secret).expect("its own secret");
    assert_eq!((held.state, held.counts.events), (State::Done, 5));
    assert_eq!(requests.next_after(0).map(|request| request.number), Some(2), "handed out again");
    requests.finish(2, None).expect("noted");
    assert_eq!(requests.get(2).map(|request| request.state), Some(State::NotLinkable));
    // Done twice, as after a crash: the first stands.
    requests.finish(2, Some(Counts { events: 1, ..Counts::default() })).expect("nothing to do");
    assert_eq!(requests.get(2).map(|request| request.state), Some(State::NotLinkable));
    assert_eq!(requests.erased().len(), 2);
    assert_eq!(requests.list(true, 10).1, 0);
    assert_eq!(requests.list(false, 2).0.iter().map(|request| request.number).collect::<Vec<_>>(), [2, 3]);
}

#[test]
fn a_secret_opens_its_own_request_only() {
    let dir = tempdir().expect("a folder");
    let requests = open(dir.path(), &Clock::manual(FRIDAY_MS));
    let [one, other] =
        [1, 2].map(|n| requests.submit(Kind::Copy, Proof::Browser, vec![key(n)]).expect("taken"));
    assert!(requests.of_holder(one.request.receipt, &one.secret).is_some());
    assert!(requests.of_holder(one.request.receipt, &other.secret).is_none());
    assert!(requests.of_holder(ReceiptId([0; 10]), &one.secret).is_none());
    assert!(requests.of_holder(ReceiptId([0; 10]), &Secret::new([0; 32])).is_none());
}

#[test]
fn what_waits_too_long_is_overdue() {
    let dir = tempdir().expect("a folder");
    let clock = Clock::manual(FRIDAY_MS);
    let requests = open(dir.path(), &clock);
    let asked = requests.submit(Kind::Erasure, Proof::Typed, vec![key(1)]).expect("taken").request;
    requests.submit(Kind::Erasure, Proof::Browser, vec![key(1)]).expect("taken");
    assert_eq!(requests.due(&asked).to_string(), "2026-12-11");
    // Until the end of that day in China, which is 16:00 of it in UTC.
    clock.advance_ms(21 * DAY_MS + 4 * 3_600_000 - 1);
    assert_eq!(requests.stats().overdue, 0);
    clock.advance_ms(1);
    assert_eq!(requests.stats(), RequestStats { waiting: 1, overdue: 2, running: 1, lost: 0 });
    assert!(requests.is_overdue(&asked));
    accept(&requests, 1).expect("accepted");
    // Who was given a yes waits for it to be done all the same.
    assert_eq!(requests.stats(), RequestStats { waiting: 0, overdue: 2, running: 2, lost: 0 });
    assert_eq!(requests.list(true, 10).1, 2, "the operator sees what hangs");
    requests.finish(1, None).expect("noted");
    requests.finish(2, None).expect("noted");
    assert_eq!((requests.stats().overdue, requests.list(true, 10).1), (0, 0));
}

#[test]
fn there_is_a_limit_to_requests_that_wait_and_to_all() {
    let dir = tempdir().expect("a folder");
    let limits = RequestSettings { waiting_max: 2, requests_max: 4, ..RequestSettings::default() };
    let settings = Settings { requests: limits, ..Settings::default() };
    let requests = Requests::open(dir.path(), &settings, Clock::manual(FRIDAY_MS), audit(dir.path()))
        .expect("they open");
    let typed = || requests.submit(Kind::Erasure, Proof::Typed, vec![key(1)]);
    assert!(typed().is_ok() && typed().is_ok());
    assert!(matches!(typed(), Err(RequestError::Full { limit: "opt_out.requests.waiting_max" })));
    // Who waits does not hold up who has proof.
    let proved = |n| requests.submit(Kind::Erasure, Proof::Browser, vec![key(n)]);
    assert!(proved(1).is_ok() && proved(2).is_ok());
    assert!(matches!(proved(3), Err(RequestError::Full { limit: "opt_out.requests.requests_max" })));
    let many = vec![key(1); KEYS_MAX + 1];
    assert!(matches!(requests.submit(Kind::Copy, Proof::Browser, many), Err(RequestError::TooManyKeys)));
}

/// However much an app or another company sends, a person finds room, and what it sent is counted as its own behind a restart.
#[test]
fn apps_and_parties_hold_at_most_their_share_of_the_room() {
    let dir = tempdir().expect("a folder");
    let limits = RequestSettings { waiting_max: 4, requests_max: 8, ..RequestSettings::default() };
    let settings = Settings { requests: limits, ..Settings::default() };
    let open = || {
        let clock = Clock::manual(FRIDAY_MS);
        Requests::open(dir.path(), &settings, clock, audit(dir.path())).expect("they open")
    };
    let name = || AppName::new("publisher.example").expect("a name");
    let requests = open();
    let claims = |requests: &Requests, n| {
        requests.submit(Kind::Erasure, Proof::Claimed(name()), vec![key(n)]).map(|taken| taken.request.number)
    };
    let is_full = |result: Result<u32, RequestError>, share: &str| {
        assert!(matches!(&result, Err(RequestError::Full { limit }) if limit.contains(share)), "{result:?}");
    };
    assert!(claims(&requests, 1).is_ok() && claims(&requests, 2).is_ok());
    is_full(claims(&requests, 3), "half of opt_out.requests.waiting_max");
    requests.close();
    drop(requests);
    let requests = open();
    is_full(claims(&requests, 3), "half of opt_out.requests.waiting_max");
    let erases = |n| {
        requests.submit(Kind::Erasure, Proof::App(name()), vec![key(n)]).map(|taken| taken.request.number)
    };
    for n in [3, 4] {
        requests.finish(erases(n).expect("its share has room"), Some(Counts::default())).expect("noted");
    }
    is_full(erases(5), "half of opt_out.requests.requests_max");
    // Persons find the other half.
    let typed = || requests.submit(Kind::Erasure, Proof::Typed, vec![key(6)]);
    assert!(typed().is_ok() && typed().is_ok());
    let browser = |n| requests.submit(Kind::Erasure, Proof::Browser, vec![key(n)]);
    assert!(browser(7).is_ok() && browser(8).is_ok());
    // What is answered of a party's makes room for its own.
    requests.refuse(1, "not yours").expect("refused");
    requests.refuse(5, "not yours").expect("refused");
    let number = erases(5).expect("its own answered request makes room");
    assert!(requests.get(1).is_none() && requests.get(5).is_some(), "{number}");
}

/// Nobody can use up the room for requests by asking again and again.
#[test]
fn what_is_answered_makes_room_and_what_was_erased_stays() {
    let dir = tempdir().expect("a folder");
    let limits = RequestSettings { requests_max: 3, ..RequestSettings::default() };
    let settings = Settings { requests: limits, ..Settings::default() };
    let clock = Clock::manual(FRIDAY_MS);
    let open = || Requests::open(dir.path(), &settings, clock.clone(), audit(dir.path())).expect("they open");
    let numbers = |requests: &Requests| -> Vec<u32> {
        requests.list(false, 10).0.iter().map(|request| request.number).collect()
    };
    let requests = open();
    let ask = |kind, n| requests.submit(kind, Proof::Browser, vec![key(n)]).expect("taken");
    ask(Kind::Erasure, 1);
    requests.finish(1, Some(Counts { events: 1, ..Counts::default() })).expect("noted");
    for n in 2..6 {
        clock.advance_ms(ERASURE_AGAIN_MS);
        assert_eq!(ask(Kind::Erasure, 2).request.number, n);
        requests.finish(n, None).expect("noted");
    }
    assert_eq!(numbers(&requests), [1, 4, 5]);
    assert_eq!(ask(Kind::Copy, 3).request.number, 6);
    requests.close();
    drop(requests);
    let requests = open();
    assert_eq!(numbers(&requests), [1, 5, 6], "what was forgotten stays so");
    requests.finish(6, Some(Counts { rows: 1, ..Counts::default() })).expect("noted");
    clock.advance_ms(90 * DAY_MS);
    requests.remove_old_copies().expect("looked");
    assert_eq!(numbers(&requests), [1, 5, 6]);
    clock.advance_ms(1);
    requests.remove_old_copies().expect("looked");
    assert_eq!(numbers(&requests), [1]);
    assert_eq!(requests.erased().len(), 1);
    let next = requests.submit(Kind::Copy, Proof::Browser, vec![key(3)]).expect("taken");
    assert_eq!(next.request.number, 7, "no number is given twice");
}

#[test]
fn a_browser_that_asks_again_while_it_runs_gets_the_same_request_and_a_new_secret() {
    let dir = tempdir().expect("a folder");
    let clock = Clock::manual(FRIDAY_MS);
    let requests = open(dir.path(), &clock);
    let ask = |kind, proof| requests.submit(kind, proof, vec![key(1)]).expect("taken");
    let first = ask(Kind::Erasure, Proof::Browser);
    let again = ask(Kind::Erasure, Proof::Browser);
    assert_eq!((again.request.number, again.request.receipt), (1, first.request.receipt));
    assert!(requests.of_holder(first.request.receipt, &again.secret).is_some());
    assert!(requests.of_holder(first.request.receipt, &first.secret).is_none());
    assert_eq!(ask(Kind::Copy, Proof::Browser).request.number, 2, "another thing");
    assert_eq!(ask(Kind::Erasure, Proof::Typed).request.number, 3, "of somebody else, perhaps");
    requests.finish(1, None).expect("noted");
    clock.advance_ms(ERASURE_AGAIN_MS - 1);
    let again = ask(Kind::Erasure, Proof::Browser);
    assert_eq!((again.request.number, again.request.state), (1, State::NotLinkable), "done just now");
    clock.advance_ms(1);
    assert_eq!(ask(Kind::Erasure, Proof::Browser).request.number, 4, "the first is done");
}

/// Asking for a copy again and again makes one file an hour; one whose file an erasure took is made anew.
#[test]
fn a_copy_that_was_made_just_now_is_given_again_unless_its_file_is_gone() {
    let dir = tempdir().expect("a folder");
    let clock = Clock::manual(FRIDAY_MS);
    let requests = open(dir.path(), &clock);
    let ask = || requests.submit(Kind::Copy, Proof::Browser, vec![key(1)]).expect("taken").request;
    let copied = || Some(Counts { rows: 1, ..Counts::default() });
    let write =
        |request: &Request| std::fs::write(requests.copy_path(request.receipt), "{}").expect("written");
    write(&ask());
    requests.finish(1, copied()).expect("noted");
    clock.advance_ms(COPY_AGAIN_MS - 1);
    assert_eq!((ask().number, ask().state), (1, State::Done));
    clock.advance_ms(1);
    let second = ask();
    assert_eq!(second.number, 2);
    write(&second);
    requests.finish(2, copied()).expect("noted");
    requests.submit(Kind::Erasure, Proof::Browser, vec![key(1)]).expect("taken");
    requests.finish(3, Some(Counts::default())).expect("noted");
    assert_eq!(ask().number, 4, "its file is gone");
}

/// What is erased does not stay in a folder of ours.
#[test]
fn an_erasure_takes_the_files_of_the_devices_copies_with_it() {
    let dir = tempdir().expect("a folder");
    let clock = Clock::manual(FRIDAY_MS);
    let requests = open(dir.path(), &clock);
    let copy = |keys: Vec<Key>| {
        let request = requests.submit(Kind::Copy, Proof::Browser, keys).expect("taken").request;
        let path = requests.copy_path(request.receipt);
        std::fs::write(&path, "{}").expect("written");
        requests.finish(request.number, Some(Counts { rows: 1, ..Counts::default() })).expect("noted");
        path
    };
    let (own, shared, other) = (copy(vec![key(1)]), copy(vec![key(3), key(2)]), copy(vec![key(4)]));
    requests.close();
    drop(requests);
    let requests = open(dir.path(), &clock);
    // Of the identifiers of one person, some may be erased that another request copied.
    requests.submit(Kind::Erasure, Proof::Browser, vec![key(1), key(2)]).expect("taken");
    assert!(own.exists() && shared.exists() && other.exists());
    requests.finish(4, None).expect("noted");
    assert!(!own.exists() && !shared.exists() && other.exists());
    // The keys of a copy stay no longer than its file.
    clock.advance_ms(7 * DAY_MS);
    requests.remove_old_copies().expect("looked");
    assert!(requests.get(3).is_some_and(|request| request.keys.is_empty()));
    assert_eq!(requests.book().keys, 2);
}

#[test]
fn there_is_a_limit_to_the_keys_of_all_requests() {
    let dir = tempdir().expect("a folder");
    let requests = open(dir.path(), &Clock::manual(FRIDAY_MS));
    requests.submit(Kind::Erasure, Proof::Typed, vec![key(1); 10]).expect("taken");
    requests.book().keys += KEYS_HELD_MAX - 15;
    let ask = |count| requests.submit(Kind::Erasure, Proof::Typed, vec![key(1); count]);
    assert!(matches!(ask(6), Err(RequestError::Full { .. })));
    assert!(ask(5).is_ok());
    assert!(matches!(ask(1), Err(RequestError::Full { .. })));
    requests.refuse(1, "no").expect("refused");
    assert!(ask(10).is_ok(), "a refusal makes room");
}

#[test]
fn an_erasure_is_forgotten_once_nothing_can_bring_back_what_it_erased() {
    let dir = tempdir().expect("a folder");
    let requests = open(dir.path(), &Clock::manual(FRIDAY_MS));
    for n in 1..=2 {
        requests.submit(Kind::Erasure, Proof::Browser, vec![key(n)]).expect("taken");
    }
    requests.finish(1, Some(Counts::default())).expect("noted");
    requests.forget_erased(FRIDAY_MS);
    assert_eq!((requests.erased().len(), requests.list(false, 10).1), (1, 2));
    requests.forget_erased(FRIDAY_MS + 1);
    assert_eq!((requests.erased().len(), requests.list(false, 10).1), (0, 1), "one that runs stays");
    assert_eq!(requests.newest(), 2);
    assert_eq!(requests.book().keys, 1);
}

#[test]
fn a_folder_that_was_lost_is_noticed_and_gives_no_number_twice() {
    let dir = tempdir().expect("a folder");
    let requests = open(dir.path(), &Clock::manual(FRIDAY_MS));
    assert_eq!((requests.expect_newest(0, 0), requests.newest()), (0, 0), "a first start");
    assert_eq!((requests.expect_newest(7, 0), requests.stats().lost), (7, 7));
    let asked = requests.submit(Kind::Copy, Proof::Browser, vec![key(1)]).expect("taken").request;
    assert_eq!(asked.number, 8);
    assert_eq!(requests.expect_newest(7, 0), 0);
    assert_eq!(requests.expect_newest(7, 7), 7, "told until it is mended");
}

#[test]
fn a_copy_is_kept_for_its_days_and_what_belongs_to_nobody_goes() {
    let dir = tempdir().expect("a folder");
    let clock = Clock::manual(FRIDAY_MS);
    let requests = open(dir.path(), &clock);
    let request = requests.submit(Kind::Copy, Proof::Browser, vec![key(1)]).expect("taken").request;
    let path = requests.copy_path(request.receipt);
    let stray = requests.copy_path(ReceiptId([9; 10]));
    for path in [&path, &stray] {
        std::fs::write(path, "{}").expect("written");
    }
    assert_eq!(requests.remove_old_copies().expect("looked"), 1);
    assert!(path.exists() && !stray.exists());
    let done = requests.finish(1, Some(Counts { rows: 1, ..Counts::default() })).expect("noted");
    assert_eq!(done.keys.len(), 1, "an erasure finds it by them");
    clock.advance_ms(7 * DAY_MS - 1);
    assert_eq!(requests.remove_old_copies().expect("looked"), 0);
    clock.advance_ms(1);
    assert_eq!(requests.remove_old_copies().expect("looked"), 1);
    assert!(!path.exists());
}

/// What stands in the audit log: actor, act and details of each line.
fn entered(dir: &Path) -> Vec<(String, String, Value)> {
    let mut lines = Vec::new();
    let key = audit::Key::from_text(audit::SCRATCH_KEY).expect("a key");
    let report = audit::verify(&dir.join("audit"), &key, &[], |line| {
        lines.push((line.actor.clone(), line.act.clone(), Value::Object(line.details.clone())));
    });
    assert!(report.expect("it is read").broken.is_none());
    lines.retain(|(_, act, _)| act.starts_with("request."));
    lines
}

#[test]
fn each_act_is_entered_and_what_cannot_be_entered_is_not_done() {
    let dir = tempdir().expect("a folder");
    let log = audit(dir.path());
    let requests = Requests::open(dir.path(), &Settings::default(), Clock::manual(FRIDAY_MS), log.clone())
        .expect("they open");
    let app = Proof::App(AppName::new("com.example.player").expect("a name"));
    let asked = requests.submit(Kind::Erasure, app, vec![key(0x77)]).expect("taken").request;
    requests.submit(Kind::Copy, Proof::Typed, vec![key(1)]).expect("taken");
    requests.submit(Kind::Copy, Proof::Typed, vec![key(1)]).expect("taken");
    accept(&requests, 2).expect("accepted");
    requests.refuse(3, "these words are for the person").expect("refused");
    let counts = Counts { events: 5, days_settled: 2, ..Counts::default() };
    requests.finish(1, Some(counts)).expect("noted");
    requests.finish(2, None).expect("noted");
    let lines = entered(dir.path());
    let acts: Vec<(&str, &str)> =
        lines.iter().map(|(actor, act, _)| (actor.as_str(), act.as_str())).collect();
    assert_eq!(
        acts,
        [
            ("app com.example.player", "request.submitted"),
            ("person", "request.submitted"),
            ("person", "request.submitted"),
            ("operator", "request.matched"),
            ("operator", "request.accepted"),
            ("operator", "request.refused"),
            ("system", "request.carried_out"),
            ("system", "request.carried_out"),
        ]
    );
    assert_eq!(
        lines[6].2,
        json!({
            "receipt": asked.receipt.to_string(), "kind": "erasure", "state": "done", "proof": "app", "hits": 5, "hits_unresolved": 0,
            "hits_in_trial": 0, "days_made_again": 2, "days_standing": 0,
        })
    );
    assert_eq!(lines[7].2["state"], "not_linkable");
    let all = format!("{lines:?}");
    assert!(!all.contains("these words") && !all.contains("7777"));

    log.close();
    let waiting = requests.list(false, 10).1;
    assert!(matches!(
        requests.submit(Kind::Erasure, Proof::Browser, vec![key(1)]),
        Err(RequestError::Audit(_))
    ));
    assert_eq!(requests.list(false, 10).1, waiting);
    assert!(requests.next_after(0).is_none(), "nothing runs");
    requests.close();
    drop(requests);
    assert_eq!(
        open(dir.path(), &Clock::manual(FRIDAY_MS)).list(false, 10).1,
        waiting,
        "after a start either"
    );
}
