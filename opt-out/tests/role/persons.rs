//! Requests for erasure and for copies over the API: what proves what, what a typed identifier can reach, and what the holder of a receipt is told.

use std::path::Path;
use std::sync::Arc;

use event::clock::Clock;
use event::id_cookie;
use event::identifier::IdField;
use event::key::KeyRing;
use opt_out::requests::{Counts, Kind, Proof, State};
use opt_out::{App, AppRight, Limits, RequestSettings, Requests, Settings};
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::signed::headers as sign;
use crate::support::{Answer, NOW_MS, Role, keys, send, text};

const OAID: &str = "1fe9a970-efbb-29e0-0bdd-f5dbbf751ab5";
const OURS: (&str, &str) = ("sec-fetch-site", "same-origin");

fn settings() -> Settings {
    let limits = Limits { requests_burst_max: 10_000, ..Limits::default() };
    Settings { limits, ..Settings::default() }
}

fn start(dir: &Path) -> Role {
    Role::start_for_persons(dir, settings(), keys(), Clock::manual(NOW_MS))
}

fn requests(role: &Role) -> &Requests {
    role.requests.as_ref().expect("it takes requests")
}

fn cookie(keys: &KeyRing, random: u8) -> String {
    format!("{}={}", id_cookie::NAME, id_cookie::mint([random; id_cookie::RANDOM_BYTES], keys))
}

fn erase(role: &Role, headers: &[(&str, &str)], body: &Value) -> Answer {
    role.call_with("/v1/erasures", headers, &body.to_string())
}

fn ask(role: &Role, receipt: &str, secret: &str, rest: &str) -> Answer {
    let bearer = format!("Bearer {secret}");
    role.get(&format!("/v1/requests/{receipt}{rest}"), &[("authorization", &bearer)])
}

/// What an answer gave into a person's hand.
fn held(answer: &Answer) -> (String, String) {
    let json = answer.json();
    let own = |name: &str| text(json.get(name).unwrap_or(&Value::Null));
    (own("receipt"), own("secret"))
}

#[test]
fn a_browser_proves_itself_by_the_cookie_that_the_tracker_gave_it() {
    let dir = tempdir().expect("a folder");
    let role = start(dir.path());
    let own = cookie(&role.keys, 7);
    let answer = erase(&role, &[OURS, ("cookie", &own)], &json!({}));
    assert_eq!(answer.status, 202, "{}", answer.body);
    let json = answer.json();
    assert_eq!((&json["state"], &json["proof"]), (&"running".into(), &"browser".into()));
    assert!(answer.header("set-cookie").is_none(), "erasing does not opt out by itself");
    let request = requests(&role).get(1).expect("it is there");
    assert_eq!(request.proof, Proof::Browser);
    // The key is that of the browser's hits.
    let value = own.split_once('=').expect("a pair").1;
    let id = event::identifier::RawId::new(IdField::Cookie, value.as_bytes(), None).reduce();
    let device = role.keys.device_key(&id.expect("a good id"));
    assert!(request.keys.iter().any(|key| key.device == device && key.epoch == role.keys.epoch()));

    let (receipt, secret) = held(&answer);
    assert_eq!(ask(&role, &receipt, &secret, "").json()["state"], "running");
    let counts = Counts { events: 4, unresolved: 1, days_settled: 2, ..Counts::default() };
    requests(&role).finish(1, Some(counts)).expect("noted");
    let told = ask(&role, &receipt, &secret, "").json();
    assert_eq!(told["state"], "done");
    assert_eq!(
        told["result"],
        json!({"hits": 4, "hits_in_no_figure": 1, "days_made_again": 2, "days_standing": 0})
    );
    assert!(told.get("secret").is_none(), "told once");
    role.handle.stop();
}

/// What is tried, its headers and body, and the answer.
type Attempt<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a Value, u16);

/// Attempts that hold no proof: none may run, and none may open somebody's request.
#[test]
fn nobody_erases_copies_or_asks_the_state_with_an_id_alone() {
    let dir = tempdir().expect("a folder");
    let role = start(dir.path());
    let strange = keys();
    let (own, forged) = (cookie(&role.keys, 7), cookie(&strange, 7));
    // A medium's cookie id of the same form, which others know.
    let of_medium = format!("{}=0123456789abcdef0123456789abcdef", id_cookie::NAME);
    let typed = json!({"ids": [{"kind": "oaid", "value": OAID}]});
    let nothing = json!({});
    let attempts: [Attempt<'_>; 9] = [
        ("an id alone", &[], &typed, 202),
        ("an id beside somebody's cookie", &[OURS, ("cookie", &own)], &typed, 202),
        ("nothing at all", &[OURS], &nothing, 422),
        (
            "a cookie from another site's page",
            &[("sec-fetch-site", "cross-site"), ("cookie", &own)],
            &nothing,
            403,
        ),
        ("a cookie without a page", &[("cookie", &own)], &nothing, 403),
        ("a cookie that others minted", &[OURS, ("cookie", &forged)], &nothing, 422),
        ("a medium's id as a cookie", &[OURS, ("cookie", &of_medium)], &nothing, 422),
        (
            "an unknown app",
            &[("x-sightline-key", "nobody"), ("x-sightline-time", "1"), ("x-sightline-signature", "v1=00")],
            &typed,
            401,
        ),
        ("a bad id", &[], &json!({"ids": [{"kind": "imei", "value": "000000000000000"}]}), 422),
    ];
    for path in ["/v1/erasures", "/v1/copies"] {
        for (what, headers, body, status) in &attempts {
            let answer = role.call_with(path, headers, &body.to_string());
            assert_eq!(answer.status, *status, "{path}, {what}: {}", answer.body);
            if *status == 202 {
                assert_eq!(
                    (&answer.json()["state"], &answer.json()["proof"]),
                    (&"waiting".into(), &"none".into()),
                    "{what}"
                );
            }
        }
    }
    assert!(requests(&role).next_after(0).is_none(), "nothing runs");
    assert!(requests(&role).erased().is_empty());
    role.handle.stop();
}

#[test]
fn a_state_and_a_copy_are_for_the_secret_alone_and_refusals_tell_nothing() {
    let dir = tempdir().expect("a folder");
    let role = start(dir.path());
    let own = cookie(&role.keys, 7);
    let asked = role.call_with("/v1/copies", &[OURS, ("cookie", &own)], "{}");
    let (receipt, secret) = held(&asked);
    let (other, _) = held(&role.call_with("/v1/copies", &[OURS, ("cookie", &cookie(&role.keys, 8))], "{}"));
    std::fs::write(
        requests(&role).copy_path(requests(&role).get(1).expect("there").receipt),
        "{\"rows\":[]}",
    )
    .expect("written");
    assert_eq!(ask(&role, &receipt, &secret, "/copy").status, 404, "not made yet");
    requests(&role)
        .finish(1, Some(Counts { rows: 1, is_complete: true, ..Counts::default() }))
        .expect("noted");
    let told = ask(&role, &receipt, &secret, "").json();
    assert_eq!(told["result"]["path"], format!("/v1/requests/{receipt}/copy"));
    let copy = ask(&role, &receipt, &secret, "/copy");
    assert_eq!((copy.status, copy.body.as_str()), (200, "{\"rows\":[]}"));
    assert_eq!(copy.header("cache-control"), Some("no-store"));
    assert!(copy.header("content-disposition").is_some_and(|value| value.starts_with("attachment")));

    let zeros = secret.replace(|c: char| c.is_ascii_alphanumeric(), "0");
    let mut refusals = Vec::new();
    for rest in ["", "/copy"] {
        for (receipt, secret) in [
            (other.as_str(), secret.as_str()),
            (&receipt, &zeros),
            (&receipt, ""),
            (&receipt, "rubbish"),
            ("0000-0000-0000-0000", &secret),
            ("0000-0000-0000-0000", &zeros),
            ("rubbish", &secret),
            (OAID, &secret),
        ] {
            let answer = ask(&role, receipt, secret, rest);
            refusals.push((answer.status, answer.body));
        }
        let without = role.get(&format!("/v1/requests/{receipt}{rest}"), &[]);
        refusals.push((without.status, without.body));
        let in_url = role.get(&format!("/v1/requests/{receipt}{rest}?secret={secret}"), &[("cookie", &own)]);
        refusals.push((in_url.status, in_url.body));
    }
    assert_eq!(refusals[0].0, 403);
    assert!(refusals.iter().all(|refusal| *refusal == refusals[0]), "{refusals:?}");

    // A copy goes after its days.
    role.clock.advance_ms(7 * 86_400_000);
    assert_eq!(ask(&role, &receipt, &secret, "/copy").status, 404);
    role.handle.stop();
}

#[test]
fn a_signed_app_speaks_for_its_devices_once_for_each_call() {
    let dir = tempdir().expect("a folder");
    let (app, secret) = app(dir.path());
    let settings = Settings { app: vec![app], ..settings() };
    let role = Role::start_for_persons(dir.path(), settings, keys(), Clock::manual(NOW_MS));
    let body = json!({"ids": [{"kind": "oaid", "value": OAID}], "opt_out": true}).to_string();
    let signed = sign("com.example.player", &secret, NOW_MS / 1000, "/v1/erasures", &body);
    let headers: Vec<(&str, &str)> = signed.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let answer = role.call_with("/v1/erasures", &headers, &body);
    assert_eq!(answer.status, 202, "{}", answer.body);
    let json = answer.json();
    assert_eq!((&json["state"], &json["app"]), (&"running".into(), &"com.example.player".into()));
    assert!(json["opt_out"]["receipt"].is_string() && role.leaves_out(IdField::Oaid, OAID));
    // The same call once more, and for another path, is nobody's.
    assert_eq!(role.call_with("/v1/erasures", &headers, &body).status, 401);
    assert_eq!(role.call_with("/v1/copies", &headers, &body).status, 401);
    assert_eq!(requests(&role).list(false, 10).1, 1);
    role.handle.stop();
}

#[test]
fn an_app_that_may_only_opt_out_has_its_requests_wait() {
    let dir = tempdir().expect("a folder");
    let (app, secret) = app(dir.path());
    let app = App { rights: vec![AppRight::OptOut, AppRight::Copy], ..app };
    let settings = Settings { app: vec![app], ..settings() };
    let role = Role::start_for_persons(dir.path(), settings, keys(), Clock::manual(NOW_MS));
    let body = json!({"ids": [{"kind": "oaid", "value": OAID}]}).to_string();
    for (path, state, proof) in [("/v1/erasures", "waiting", "none"), ("/v1/copies", "running", "app")] {
        let signed = sign("com.example.player", &secret, NOW_MS / 1000, path, &body);
        let headers: Vec<(&str, &str)> = signed.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let json = role.call_with(path, &headers, &body).json();
        assert_eq!((&json["state"], &json["proof"]), (&state.into(), &proof.into()), "{path}");
    }
    role.handle.stop();
}

#[test]
fn opting_out_with_an_erasure_holds_at_once_even_where_the_erasure_waits() {
    let dir = tempdir().expect("a folder");
    let role = start(dir.path());
    let body = json!({"ids": [{"kind": "oaid", "value": OAID}], "opt_out": true});
    let answer = erase(&role, &[], &body);
    assert_eq!(answer.json()["state"], "waiting");
    assert!(role.leaves_out(IdField::Oaid, OAID));
    let own = cookie(&role.keys, 7);
    let answer = erase(&role, &[OURS, ("cookie", &own)], &json!({"opt_out": true}));
    assert_eq!(
        answer.cookie("sightline_opt_out").map(|(pair, _)| pair).as_deref(),
        Some("sightline_opt_out=1")
    );
    assert!(role.leaves_out(IdField::Cookie, own.split_once('=').expect("a pair").1));
    assert_eq!(erase(&role, &[], &json!({"ids": []})).status, 422);
    assert_eq!(role.call("/v1/copies", &body.to_string()).status, 400, "a copy opts nobody out");
    role.handle.stop();
}

/// No room for the erasure: the opt-out holds all the same, and its receipt is not lost.
#[test]
fn an_opt_out_keeps_its_receipt_where_the_erasure_is_not_taken() {
    let dir = tempdir().expect("a folder");
    let limits = RequestSettings { waiting_max: 1, ..RequestSettings::default() };
    let settings = Settings { requests: limits, ..settings() };
    let role = Role::start_for_persons(dir.path(), settings, keys(), Clock::manual(NOW_MS));
    let body = json!({"ids": [{"kind": "oaid", "value": OAID}], "opt_out": true});
    assert_eq!(erase(&role, &[], &body).status, 202);
    let answer =
        erase(&role, &[], &json!({"ids": [{"kind": "imei", "value": "868049039501257"}], "opt_out": true}));
    let json = answer.json();
    assert_eq!((answer.status, &json["error"]), (503, &"full".into()), "{}", answer.body);
    assert!(answer.header("retry-after").is_some());
    assert!(role.leaves_out(IdField::Imei, "868049039501257"));
    let back = json!({"receipt": json["opt_out"]["receipt"], "secret": json["opt_out"]["secret"]});
    assert_eq!(role.call("/v1/opt-ins", &back.to_string()).status, 200);
    assert!(!role.leaves_out(IdField::Imei, "868049039501257"));
    // Without an opt-out there is none to tell of.
    let answer = erase(&role, &[], &json!({"ids": [{"kind": "imei", "value": "868049039501257"}]}));
    assert_eq!((answer.status, answer.json().get("opt_out")), (503, None));
    role.handle.stop();
}

#[test]
fn an_answer_names_the_forms_that_are_looked_for_and_a_caid_its_version() {
    let dir = tempdir().expect("a folder");
    let role = start(dir.path());
    let caid = "7f3c2d9e7a414b6f9c1e5d2a8b7c6e10";
    let ask_for = |ids: Value| role.call("/v1/copies", &json!({ "ids": ids }).to_string());
    let answer = ask_for(json!([{"kind": "imei", "value": "868049039501257"},
        {"kind": "imei", "value": "0800fc577294c34e0b28ad2839435945"}, {"kind": "caid", "value": caid, "version": "20230330"}]));
    let told = answer.json();
    let all = json!(["raw", "md5", "sha1", "sha256", "sha256_of_md5"]);
    assert_eq!(
        told["ids"][0],
        json!({"kind": "imei", "covered": all, "not_covered": [], "ambiguous": false})
    );
    assert_eq!(
        told["ids"][1],
        json!({"kind": "imei", "covered": ["raw", "md5", "sha256_of_md5"], "not_covered": ["sha1", "sha256"], "ambiguous": false})
    );
    assert_eq!(
        told["ids"][2]["not_covered"].as_array().and_then(|forms| forms.last()),
        Some(&"other_versions".into())
    );
    // Whoever asks later is told the same.
    let (receipt, secret) = held(&answer);
    assert_eq!(ask(&role, &receipt, &secret, "").json()["ids"], told["ids"]);

    for id in [
        json!({"kind": "caid", "value": caid}),
        json!({"kind": "caid", "value": format!("20230330_{caid},{caid}")}),
    ] {
        let answer = ask_for(json!([id]));
        assert_eq!(
            (answer.status, &answer.json()["error"]),
            (422, &"missing_version".into()),
            "{}",
            answer.body
        );
    }
    for id in [
        json!({"kind": "caid", "value": caid, "version": "0"}),
        json!({"kind": "caid", "value": format!("20230330_{caid},20220111_{caid}")}),
    ] {
        assert_eq!(ask_for(json!([id])).status, 202);
    }
    role.handle.stop();
}

#[test]
fn requests_are_there_after_a_restart_and_the_operators_no_is_read() {
    let dir = tempdir().expect("a folder");
    let role = start(dir.path());
    let answer = role.call("/v1/copies", &json!({"ids": [{"kind": "caid", "value": "7f3c2d9e7a414b6f9c1e5d2a8b7c6e10", "version": "20230330"}]}).to_string());
    let (receipt, secret) = held(&answer);
    assert_eq!(answer.json()["due_on"], "2026-12-11");
    let keys = Arc::clone(&role.keys);
    let clock = role.clock.clone();
    role.handle.stop();
    requests_of(role.requests).close();
    drop((role.registry, role.list));
    let role = Role::start_for_persons(dir.path(), settings(), keys, clock);
    assert_eq!(requests(&role).get(1).expect("it is there").kind, Kind::Copy);
    requests(&role).refuse(1, "this is another person's device").expect("refused");
    let told = ask(&role, &receipt, &secret, "").json();
    assert_eq!(
        (&told["state"], &told["reason"]),
        (&"refused".into(), &"this is another person's device".into())
    );
    assert_eq!(requests(&role).get(1).map(|request| request.state), Some(State::Refused));
    role.handle.stop();
}

fn requests_of(requests: Option<Requests>) -> Requests {
    requests.expect("it takes requests")
}

#[test]
fn a_role_apart_from_the_store_says_that_it_cannot() {
    let dir = tempdir().expect("a folder");
    let role = Role::start(dir.path(), settings());
    for path in ["/v1/erasures", "/v1/copies"] {
        let answer = role.call(path, "{}");
        assert_eq!((answer.status, &answer.json()["error"]), (501, &"not_offered".into()), "{}", answer.body);
    }
    assert_eq!(ask(&role, "0000-0000-0000-0000", "x", "").status, 501);
    role.handle.stop();
}

/// A registered app and its key.
fn app(dir: &Path) -> (App, String) {
    use std::os::unix::fs::PermissionsExt;
    let secret = "0123456789abcdef0123456789abcdef".to_owned();
    let path = dir.join("player.sign");
    std::fs::write(&path, &secret).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("a mode");
    (
        App {
            name: "com.example.player".to_owned(),
            key_files: vec![path],
            rights: vec![AppRight::OptOut, AppRight::Erasure, AppRight::Copy],
        },
        secret,
    )
}

/// The address of a request holds its receipt, which is public, and its answers no identifier.
#[test]
fn no_identifier_is_kept() {
    let dir = tempdir().expect("a folder");
    let role = start(dir.path());
    let answer = erase(&role, &[], &json!({"ids": [{"kind": "oaid", "value": OAID}]}));
    assert!(!answer.body.contains(OAID));
    let answer = send(role.address(), "GET", &format!("/v1/requests/{OAID}"), &[], b"");
    assert!(!answer.body.contains(OAID));
    role.handle.stop();
    requests_of(role.requests).close();
    let mut looked_at = 0;
    let mut folders = vec![dir.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = std::fs::read(&path).expect("a file");
                assert!(
                    !bytes.windows(OAID.len()).any(|found| found == OAID.as_bytes()),
                    "{}",
                    path.display()
                );
                looked_at += 1;
            }
        }
    }
    assert!(looked_at > 1);
}
