//! Every endpoint that gives or takes something from a person, against everything that is no proof: nobody opts in, asks the state, erases or copies
//! with the id alone, nor with what he has of his own.

use std::fmt::Write as _;

use event::clock::Clock;
use event::id_cookie;
use event::identifier::IdField;
use opt_out::requests::{Counts, Kind, Proof, State};
use opt_out::{Limits, Settings};
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::support::{Answer, NOW_MS, Role, keys, send, text};

const OAID: &str = "1fe9a970-efbb-29e0-0bdd-f5dbbf751ab5";
const OURS: (&str, &str) = ("sec-fetch-site", "same-origin");
const OTHERS: (&str, &str) = ("sec-fetch-site", "cross-site");

/// A person with a browser: what our page and the tracker gave to it.
struct Person {
    /// The tracker's cookie.
    id: String,
    /// The page's cookie.
    receipts: String,
    /// Of an opt-out: receipt and secret.
    opt_out: (String, String),
    /// Of a copy: receipt and secret.
    copy: (String, String),
}

impl Person {
    /// Opts an identifier and the browser out and asks for a copy, which is made.
    fn new(role: &Role, random: u8, oaid: &str) -> Self {
        let id = id_cookie::mint([random; id_cookie::RANDOM_BYTES], &role.keys);
        let cookie = format!("{}={id}", id_cookie::NAME);
        let page = role.submit(&[OURS], &format!("action=device&kind=oaid&value={oaid}&lang=en"));
        let (receipts, _) = page.cookie("sightline_receipts").expect("the page remembers");
        let held = |answer: &Answer| {
            let json = answer.json();
            let own = |name: &str| text(json.get(name).expect("it is told"));
            (own("receipt"), own("secret"))
        };
        let body = json!({"ids": [{"kind": "cookie", "value": id}]}).to_string();
        let opt_out = held(&role.call("/v1/opt-outs", &body));
        let asked = role.call_with("/v1/copies", &[OURS, ("cookie", &cookie)], "{}");
        let copy = held(&asked);
        let requests = role.requests.as_ref().expect("it takes requests");
        let request = requests.next_after(0).expect("it runs");
        let path = requests.copy_path(request.receipt);
        std::fs::write(path, format!("{{\"copy_of\":\"{random}\"}}")).expect("written");
        let counts = Counts { rows: 1, is_complete: true, ..Counts::default() };
        requests.finish(request.number, Some(counts)).expect("noted");
        Self { id, receipts, opt_out, copy }
    }

    fn cookies(&self) -> String {
        format!("{}={}; {}; sightline_opt_out=1", id_cookie::NAME, self.id, self.receipts)
    }
}

/// What is sent instead of a proof.
struct Attempt {
    what: &'static str,
    headers: Vec<(&'static str, String)>,
    /// The receipt that is named, and the secret with it.
    receipt: Option<String>,
    secret: Option<String>,
    /// Whether the person's identifier is named.
    with_id: bool,
}

impl Attempt {
    fn body(&self, takes_ids: bool) -> String {
        if takes_ids {
            let named = json!({"ids": [{"kind": "oaid", "value": OAID}]});
            return if self.with_id { named } else { json!({}) }.to_string();
        }
        let fields = [("receipt", &self.receipt), ("secret", &self.secret)];
        let said =
            fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value.as_ref()?))));
        Value::Object(said.collect()).to_string()
    }

    fn send(&self, role: &Role, method: &str, target: &str, body: &str) -> Answer {
        let mut headers: Vec<(&str, &str)> =
            self.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let kind =
            if target == "/opt-out" { "application/x-www-form-urlencoded" } else { "application/json" };
        if method == "POST" {
            headers.push(("content-type", kind));
        }
        let bearer = self.secret.as_ref().map(|secret| format!("Bearer {secret}"));
        headers.extend(bearer.iter().map(|bearer| ("authorization", bearer.as_str())));
        send(role.address(), method, target, &headers, body.as_bytes())
    }
}

/// Each thing that is no proof, and what the four `POST`s answer to it: opt-ins, status, erasures, copies. Whoever asks after a request gets 403.
fn attempts(role: &Role, own: &Person, other: &Person) -> Vec<(Attempt, [u16; 4])> {
    let zeros = "0".repeat(own.opt_out.1.len());
    let forged = id_cookie::mint([7; id_cookie::RANDOM_BYTES], &keys());
    assert!(
        id_cookie::is_ours(own.id.as_bytes(), &role.keys)
            && !id_cookie::is_ours(forged.as_bytes(), &role.keys)
    );
    let receipts = own.opt_out.0.replace('-', "");
    let forged = format!("{}={forged}; sightline_receipts={receipts}.{zeros}", id_cookie::NAME);
    let said = |what,
                site: &[(&'static str, &str)],
                cookie: Option<String>,
                held: (Option<&String>, Option<&String>),
                with_id| {
        let mut headers: Vec<_> = site.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        headers.extend(cookie.map(|cookie| ("cookie", cookie)));
        Attempt { what, headers, receipt: held.0.cloned(), secret: held.1.cloned(), with_id }
    };
    let receipt = Some(&own.opt_out.0);
    vec![
        (said("an id alone", &[], None, (None, None), true), [403, 403, 202, 202]),
        (said("an id on our own page", &[OURS], None, (None, None), true), [200, 200, 202, 202]),
        (said("a receipt alone", &[], None, (receipt, None), true), [403, 403, 202, 202]),
        (said("a receipt alone on our own page", &[OURS], None, (receipt, None), true), [403, 403, 202, 202]),
        (said("a wrong secret", &[OURS], None, (receipt, Some(&zeros)), true), [403, 403, 202, 202]),
        (
            said("the secret of another receipt", &[OURS], None, (receipt, Some(&other.opt_out.1)), true),
            [403, 403, 202, 202],
        ),
        (
            said(
                "the secret of a request for an opt-out",
                &[OURS],
                None,
                (receipt, Some(&other.copy.1)),
                true,
            ),
            [403, 403, 202, 202],
        ),
        (
            said("somebody else's cookies", &[OURS], Some(other.cookies()), (receipt, None), true),
            [403, 403, 202, 202],
        ),
        (
            said("cookies that are forged", &[OURS], Some(forged.clone()), (None, None), false),
            [200, 200, 422, 422],
        ),
        (
            said("cookies that are forged, and an id", &[OURS], Some(forged), (receipt, None), true),
            [403, 403, 202, 202],
        ),
        (
            said("the own cookies from another's page", &[OTHERS], Some(own.cookies()), (None, None), false),
            [403; 4],
        ),
        (
            said("the own cookies and nothing said of a page", &[], Some(own.cookies()), (None, None), false),
            [403; 4],
        ),
        (
            said(
                "the own cookies from an evil origin",
                &[("origin", "https://evil.example")],
                Some(own.cookies()),
                (receipt, None),
                false,
            ),
            [403; 4],
        ),
    ]
}

#[test]
fn nothing_is_given_to_whoever_brings_no_proof() {
    let dir = tempdir().expect("a folder");
    let limits = Limits { requests_burst_max: 100_000, ..Limits::default() };
    let settings = Settings { limits, ..Settings::default() };
    let role = Role::start_for_persons(dir.path(), settings, keys(), Clock::manual(NOW_MS));
    let own = Person::new(&role, 7, OAID);
    let other = Person::new(&role, 8, "7d3e5c1b-9a20-4f6e-8b11-c0ffee123456");
    let requests = role.requests.clone().expect("it takes requests");
    let before = requests.list(false, usize::MAX).1;
    let mut typed = 0;
    let mut log = String::new();
    for (attempt, expected) in attempts(&role, &own, &other) {
        let posts = ["/v1/opt-ins", "/v1/status", "/v1/erasures", "/v1/copies"];
        for ((target, status), takes_ids) in posts.into_iter().zip(expected).zip([false, false, true, true]) {
            let answer = attempt.send(&role, "POST", target, &attempt.body(takes_ids));
            let _ = writeln!(log, "{target}, {}: {} {}", attempt.what, answer.status, answer.body);
            assert_eq!(answer.status, status, "{log}");
            if status == 202 {
                typed += 1;
                let json = answer.json();
                assert_eq!(
                    (json.get("state"), json.get("proof")),
                    (Some(&"waiting".into()), Some(&"none".into())),
                    "{log}"
                );
            }
            if status == 200 {
                let receipts = answer.json().get("receipts").cloned();
                assert_eq!(receipts, Some(json!([])), "nothing of anybody: {log}");
            }
        }
        // The state of the own copy and its file, by anything but its own secret; and by the identifier in its place.
        for receipt in [&own.copy.0, &own.opt_out.0, &other.opt_out.0, &OAID.to_owned()] {
            for method in ["GET", "HEAD"] {
                for rest in ["", "/copy"] {
                    let answer = attempt.send(&role, method, &format!("/v1/requests/{receipt}{rest}"), "");
                    assert_eq!(answer.status, 403, "{method} {receipt}{rest}, {}", attempt.what);
                    assert!(
                        !answer.body.contains("copy_of") && !answer.body.contains("asked_at"),
                        "{}",
                        answer.body
                    );
                }
            }
        }
        the_form(&role, &own, &attempt, &other);
    }
    // Nobody was opted in, nothing runs, and what waits is what was typed.
    assert!(role.leaves_out(IdField::Oaid, OAID) && role.leaves_out(IdField::Cookie, &own.id));
    let (all, number) = requests.list(false, usize::MAX);
    assert_eq!(number, before + typed);
    assert!(requests.next_after(0).is_none() && requests.erased().is_empty(), "nothing runs");
    for request in all.iter().skip(before) {
        assert_eq!((&request.proof, request.state), (&Proof::Typed, State::Waiting));
    }

    with_the_proof_it_is_given(&role, &own);
    role.handle.stop();
}

/// The page's form, which says it in its own words.
fn the_form(role: &Role, own: &Person, attempt: &Attempt, other: &Person) {
    let secret = attempt.secret.as_deref().unwrap_or_default();
    let receipt = attempt.receipt.as_deref().unwrap_or_default();
    let mut forms = vec![
        (format!("action=receipt&receipt={receipt}&secret={secret}"), [403].as_slice()),
        (format!("action=status&receipt={receipt}&secret={secret}"), &[403]),
        (format!("action=request&receipt={}&secret={secret}", own.copy.0), &[403]),
        (format!("action=fetch&receipt={}&secret={secret}", own.copy.0), &[403]),
    ];
    let brings = |cookie: &str| attempt.headers.iter().any(|(_, value)| value.contains(cookie));
    if !brings(&other.id) {
        // With his own cookie he may erase his own.
        forms.extend(["erase", "copy"].map(|action| (format!("action={action}"), [403, 422].as_slice())));
    }
    for (form, statuses) in forms {
        let answer = attempt.send(role, "POST", "/opt-out", &(form.clone() + "&lang=en"));
        assert!(
            statuses.contains(&answer.status),
            "{form}, {}: {} {}",
            attempt.what,
            answer.status,
            answer.body
        );
        assert!(!answer.body.contains("copy_of"), "{form}, {}", attempt.what);
    }
}

/// So it was the proof that was missing.
fn with_the_proof_it_is_given(role: &Role, own: &Person) {
    let requests = role.requests.as_ref().expect("it takes requests");
    let proved = |receipt: Option<&String>, secret: &String| Attempt {
        what: "the own proof",
        headers: vec![("cookie", own.cookies()), (OURS.0, OURS.1.to_owned())],
        receipt: receipt.cloned(),
        secret: Some(secret.clone()),
        with_id: false,
    };
    let of_copy = proved(None, &own.copy.1);
    let copy = of_copy.send(role, "GET", &format!("/v1/requests/{}/copy", own.copy.0), "");
    assert_eq!((copy.status, copy.body.as_str()), (200, "{\"copy_of\":\"7\"}"));
    let erased = of_copy.send(role, "POST", "/v1/erasures", "{}");
    assert_eq!((erased.status, erased.json().get("state")), (202, Some(&"running".into())));
    assert_eq!(requests.next_after(0).map(|request| request.kind), Some(Kind::Erasure));
    let of_opt_out = proved(Some(&own.opt_out.0), &own.opt_out.1);
    for path in ["/v1/status", "/v1/opt-ins"] {
        assert_eq!(of_opt_out.send(role, "POST", path, &of_opt_out.body(false)).status, 200, "{path}");
    }
    assert!(!role.leaves_out(IdField::Cookie, &own.id) && role.leaves_out(IdField::Oaid, OAID));
}
