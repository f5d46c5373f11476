//! Calls that a registered app signs: who is believed, what the receipt says of it, and that nothing else is loosened.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use event::clock::Clock;
use event::identifier::IdField;
use event::key::signature::{Asked, KEY_HEADER, SIGNATURE_HEADER, Secret, TIME_HEADER, sign};
use opt_out::{App, AppRight, Limits, Settings};
use tempfile::tempdir;

use crate::kafka::{self, Broker, is_listed, may_measure, node};
use crate::support::{Answer, NOW_MS, Role, ids_json, keys, receipt_json, text, wait_until};

const NOW: i64 = NOW_MS / 1000;
const PLAYER: &str = "com.example.player";
const SECRET: &str = "a-signing-key-of-this-test-with-enough-bytes";
const OLD_SECRET: &str = "the-key-before-it-which-is-good-for-a-while";

/// Raw, and by `printf %s … | md5sum`, `sha1sum`, `sha256sum`, and the SHA-256 of the MD5.
const OAID: [&str; 5] = [
    "1fe9a970-efbb-29e0-0bdd-f5dbbf751ab5",
    "83e9158a4fb54c0e1ef0b238639a23ae",
    "fdc119cc4cc121646d05625bf437945a4ae88e39",
    "40e4500683ede7d20bfd74c2415176234f751d38013e1542f21fed793fe9a2ee",
    "a58f9fffa86c12e6fb43f5232a46d53ef06196f4be138d185a09b1294c736c50",
];
/// Raw, and by `printf %s … | md5sum`, `sha1sum`, `sha256sum`, and the SHA-256 of the MD5.
const IDFA: [&str; 5] = [
    "8C0D1E7A-42B5-4F63-9D1E-7B2A5C3E9F10",
    "e9cd9e99fbd112eedbb70d6cbce8bbbd",
    "2eaa9c335a621b1a448e127dc57c1b076d25b9de",
    "5793309221660a74745dbceada5ca563fed3e99ed670f162cb2e691adcf53500",
    "5824790f8102fde2bc290352422da8be2e45fa6672d80eba36476184ac857094",
];
/// Raw, and by `printf %s … | md5sum`, `sha1sum`, `sha256sum`, and the SHA-256 of the MD5.
const CAID: [&str; 5] = [
    "7f3c2d9e7a414b6f9c1e5d2a8b7c6e10",
    "61cde59bc01f66bbbd692799f8533b95",
    "cac0376f58e9385e991192b3d749e06d72a9e02d",
    "f3f0a91827ab21247070750c01b29bcf50ff9dfa3120990e89a36209226a0cc4",
    "e452187f4b70caa3e3ec1f8edf3b1c90bc9cad0f2e494ccb36583657654d513d",
];

const FORMS: [(&str, [IdField; 2], [&str; 5]); 3] = [
    ("oaid", [IdField::Oaid, IdField::OaidMd5], OAID),
    ("idfa", [IdField::Idfa, IdField::IdfaMd5], IDFA),
    ("caid", [IdField::Caid, IdField::CaidMd5], CAID),
];

pub(crate) type Headers = [(&'static str, String); 3];

fn file(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, text).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("set");
    path
}

/// Two apps; the first one changes its key. The page's limit is small, so that nothing that the apps do may count against it.
fn settings(dir: &Path) -> Settings {
    let key = file(dir, "player.sign", SECRET);
    Settings {
        app: vec![
            App {
                name: PLAYER.to_owned(),
                key_files: vec![file(dir, "player.old", OLD_SECRET), key],
                rights: vec![AppRight::OptOut],
            },
            App {
                name: "reader".to_owned(),
                key_files: vec![file(dir, "reader.sign", "the-signing-key-of-another-app-0123456")],
                rights: vec![AppRight::OptOut],
            },
        ],
        limits: Limits {
            requests_burst_max: 3,
            requests_per_minute: 1,
            app_requests_burst_max: 40,
            ..Limits::default()
        },
        ..Settings::default()
    }
}

fn role(dir: &Path) -> Role {
    Role::start(&dir.join("registry"), settings(dir))
}

pub(crate) fn headers(name: &str, secret: &str, time: i64, target: &str, body: &str) -> Headers {
    let asked = Asked::of("POST", target, |_| None);
    let secret = Secret::new(secret).expect("a good secret");
    [
        (KEY_HEADER, name.to_owned()),
        (TIME_HEADER, time.to_string()),
        (SIGNATURE_HEADER, sign(&secret, name, time, asked, body.as_bytes())),
    ]
}

fn call(role: &Role, headers: &[(&str, String)], target: &str, body: &str) -> Answer {
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    role.call_with(target, &headers, body)
}

fn lodge(role: &Role, time: i64, body: &str) -> Answer {
    call(role, &headers(PLAYER, SECRET, time, "/v1/opt-outs", body), "/v1/opt-outs", body)
}

fn status(role: &Role, lodged: &Answer) -> serde_json::Value {
    let json = lodged.json();
    let own = |name| text(json.get(name).expect("a receipt has it"));
    role.call("/v1/status", &receipt_json(&own("receipt"), &own("secret"))).json()
}

#[test]
fn a_signed_call_leaves_its_device_out_in_every_form_and_the_receipt_names_the_app() {
    let dir = tempdir().expect("a folder");
    let role = role(dir.path());
    let mut receipts = Vec::new();
    for (kind, fields, forms) in FORMS {
        let everywhere = |role: &Role| -> Vec<bool> {
            let [raw, digest] = fields;
            let field = |place: usize| if place == 0 { raw } else { digest };
            forms.iter().enumerate().map(|(place, form)| role.leaves_out(field(place), form)).collect()
        };
        assert_eq!(everywhere(&role), [false; 5], "{kind}");
        let version = if kind == "caid" { r#","version":"20230330""# } else { "" };
        let body = format!(r#"{{"ids":[{{"kind":"{kind}","value":"{}"{version}}}]}}"#, forms[0]);
        let answer = lodge(&role, NOW, &body);
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(everywhere(&role), [true; 5], "{kind}");
        let id = &answer.json()["ids"][0];
        // A CAID looks like an MD5; as the identifier that it is, it is covered whole.
        let is_whole = id["not_covered"] == serde_json::json!([]) || id["ambiguous"] == true;
        assert!(id["kind"] == kind && is_whole, "{id}");
        assert_eq!(id["ambiguous"], kind == "caid", "{id}");
        for form in forms {
            assert!(!answer.body.contains(form), "an answer never repeats what was sent");
        }
        receipts.push(answer);
    }
    assert!(role.leaves_out(IdField::Caid, &format!("20230330_{}", CAID[0])), "with its version in front");

    let role = role.restart(&dir.path().join("registry"));
    for answer in &receipts {
        let status = status(&role, answer);
        assert_eq!((&status["by"], &status["app"]), (&"app".into(), &PLAYER.into()), "{status}");
        role.clock.advance_ms(60_000);
    }
    assert!(role.leaves_out(IdField::IdfaMd5, IDFA[1]), "over a restart");
}

#[test]
fn a_digest_that_an_app_lodges_says_what_it_cannot_cover() {
    let dir = tempdir().expect("a folder");
    let role = role(dir.path());
    let answer = lodge(&role, NOW, &ids_json(&[("idfa", IDFA[1])]));
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(role.leaves_out(IdField::Idfa, IDFA[0]), "the MD5 is where all raw ones meet");
    let not_covered = answer.json()["ids"][0]["not_covered"].to_string();
    assert!(not_covered.contains("sha1"), "{not_covered}");
    role.handle.stop();
}

#[test]
fn what_is_not_signed_by_the_app_is_refused_and_nothing_is_done() {
    let dir = tempdir().expect("a folder");
    let loose = Limits { requests_burst_max: 1_000, ..Limits::default() };
    let role = Role::start(&dir.path().join("registry"), Settings { limits: loose, ..settings(dir.path()) });
    let body = ids_json(&[("oaid", OAID[0])]);
    let sign = |name: &str, secret: &str, time| headers(name, secret, time, "/v1/opt-outs", &body).to_vec();
    let good = || sign(PLAYER, SECRET, NOW);
    let without = |name: &str| good().into_iter().filter(|(header, _)| *header != name).collect::<Vec<_>>();
    for (headers, said) in [
        (vec![(KEY_HEADER, PLAYER.to_owned())], "x-sightline-time is missing"),
        (without(SIGNATURE_HEADER), "x-sightline-signature is missing"),
        (without(KEY_HEADER), "x-sightline-key is missing"),
        ([good(), good()].concat(), "more than once"),
        (sign(PLAYER, "another-key-that-is-nobodys-0123456789", NOW), "does not match"),
        (sign("reader", SECRET, NOW), "does not match"),
        (sign("nobody", SECRET, NOW), "names nobody"),
        (sign(PLAYER, SECRET, NOW - 301), "301 s behind"),
        (sign(PLAYER, SECRET, NOW + 301), "301 s ahead"),
        (headers(PLAYER, SECRET, NOW, "/v1/opt-ins", &body).to_vec(), "does not match"),
        (
            headers(PLAYER, SECRET, NOW, "/v1/opt-outs", &body.replace("oaid", "imei")).to_vec(),
            "does not match",
        ),
    ] {
        let answer = call(&role, &headers, "/v1/opt-outs", &body);
        assert_eq!(
            (answer.status, &answer.json()["error"]),
            (401, &"bad_signature".into()),
            "{}",
            answer.body
        );
        assert_eq!(answer.header("www-authenticate"), Some("Sightline-Signature"));
        assert!(answer.body.contains(said) && answer.body.contains("nothing was done"), "{}", answer.body);
        assert!(!answer.body.contains(SECRET) && !answer.body.contains(OAID[0]), "{}", answer.body);
    }
    assert!(role.list.is_empty());
    let with = |secret: &str, time| call(&role, &sign(PLAYER, secret, time), "/v1/opt-outs", &body).status;
    assert_eq!([with(SECRET, NOW - 300), with(OLD_SECRET, NOW + 300)], [200, 200]);
    // Whoever may opt out may not opt in.
    let own = headers(PLAYER, SECRET, NOW, "/v1/opt-ins", "{}");
    assert_eq!(call(&role, &own, "/v1/opt-ins", "{}").status, 403);
    role.handle.stop();
}

#[test]
fn a_call_that_was_read_on_its_way_gives_no_second_receipt() {
    let dir = tempdir().expect("a folder");
    let role = role(dir.path());
    let (first, second) = (ids_json(&[("oaid", OAID[0])]), ids_json(&[("idfa", IDFA[0])]));
    // Signed as far ahead as may be: good for ten minutes.
    let time = NOW + 300;
    assert_eq!(lodge(&role, time, &first).status, 200);
    assert_eq!(lodge(&role, time, &second).status, 200, "another device in the same second");
    let lodged = role.registry.stats().receipts;
    for expected in [401, 401, 401, 429] {
        let replayed = lodge(&role, time, &first);
        assert_eq!(replayed.status, expected, "it counts against whoever sends it: {}", replayed.body);
        let said =
            if expected == 401 { "the signature was used already: sign again" } else { "this address" };
        assert!(replayed.body.contains(said) && !replayed.body.contains("secret"), "{}", replayed.body);
    }
    // Its last second.
    role.clock.advance_ms(600_000);
    assert_eq!(lodge(&role, time, &first).status, 401);
    role.clock.advance_ms(1_000);
    let late = lodge(&role, time, &first);
    assert!(late.status == 401 && late.body.contains("301 s behind"), "{}", late.body);
    assert_eq!(role.registry.stats().receipts, lodged);
    let anew = lodge(&role, NOW + 601, &first);
    assert_eq!(anew.status, 200, "the app may ask as often as it likes: {}", anew.body);
    role.handle.stop();
}

#[test]
fn an_app_has_a_limit_of_its_own_and_who_only_says_to_be_it_has_none() {
    let dir = tempdir().expect("a folder");
    let role = role(dir.path());
    let body = ids_json(&[("oaid", OAID[0])]);
    let statuses: Vec<u16> = (0..41).map(|n| lodge(&role, NOW - n, &body).status).collect();
    assert_eq!(statuses, [[200; 40].as_slice(), &[429]].concat());
    let over = lodge(&role, NOW - 41, &body);
    assert!(over.header("retry-after").is_some() && over.body.contains("of this app"), "{}", over.body);
    // The page's own callers, from the same address, have all that they had.
    let forged = headers(PLAYER, OLD_SECRET, NOW, "/v1/opt-outs", "{}");
    for expected in [401, 401, 401, 429] {
        let answer = call(&role, &forged, "/v1/opt-outs", &body);
        assert_eq!(answer.status, expected, "a forged call counts against its address: {}", answer.body);
    }
    assert_eq!(role.call("/v1/opt-outs", &body).status, 429);
    role.clock.advance_ms(1_000);
    assert_eq!(
        lodge(&role, NOW - 40, &body).status,
        200,
        "ten a second come back: what was not done may come again"
    );
    role.handle.stop();
}

#[test]
fn a_version_stands_beside_a_caid_only() {
    let dir = tempdir().expect("a folder");
    let role = role(dir.path());
    let body = format!(r#"{{"ids":[{{"kind":"oaid","value":"{}","version":"20230330"}}]}}"#, OAID[0]);
    let answer = lodge(&role, NOW, &body);
    assert_eq!(
        (answer.status, &answer.json()["error"]),
        (422, &"unexpected_version".into()),
        "{}",
        answer.body
    );
    assert!(role.list.is_empty());
    role.handle.stop();
}

#[test]
fn a_service_does_not_start_without_its_apps_keys() {
    let dir = tempdir().expect("a folder");
    let mut settings = settings(dir.path());
    let open = file(dir.path(), "open.sign", SECRET);
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).expect("set");
    for (path, said) in [(open, "mode 644"), (file(dir.path(), "short.sign", "short"), "32 to 256 bytes")] {
        settings.app =
            vec![App { name: PLAYER.to_owned(), key_files: vec![path], rights: vec![AppRight::OptOut] }];
        let clock = Clock::manual(NOW_MS);
        let (registry, _) =
            opt_out::Registry::open(&dir.path().join("registry"), &settings, clock.clone()).expect("opens");
        let parts = opt_out::Parts {
            settings: settings.clone(),
            registry: registry.clone(),
            requests: None,
            dsr: None,
            keys: keys(),
            clock,
            security: security_log::SecurityLog::off(),
            kept: crate::support::KEPT,
        };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let error = opt_out::start(parts, listener).err().expect("refused").to_string();
        assert!(error.contains(said) && !error.contains(SECRET), "{error}");
        registry.close();
    }
}

/// The registry of a cluster: the record of an app goes through the topic to every node, and through a second role.
#[test]
fn in_a_cluster_a_signed_call_holds_on_every_node_and_through_every_role() {
    let broker = Broker::shared();
    let dir = tempdir().expect("a folder");
    let settings = Settings { app: settings(dir.path()).app, ..kafka::settings() };
    let (cluster, keys) = (broker.cluster(), keys());
    let role = kafka::role(&cluster, &settings, &keys);
    let node = node(&cluster, &settings, &keys);
    wait_until("a node that measures", || may_measure(&node));
    let now = Clock::System.now_ms() / 1000;
    let (mine, theirs) = (kafka::oaid(1), kafka::oaid(2));
    let kept = lodge(&role, now, &ids_json(&[("oaid", &mine)]));
    let taken_back = lodge(&role, now, &ids_json(&[("oaid", &theirs)]));
    assert_eq!((kept.status, taken_back.status), (200, 200), "{}", kept.body);
    wait_until("in force on the node", || {
        [&mine, &theirs].into_iter().all(|id| is_listed(node.list(), id, &keys))
    });
    let json = taken_back.json();
    let back = role.call("/v1/opt-ins", &receipt_json(&text(&json["receipt"]), &text(&json["secret"])));
    assert_eq!((back.status, &back.json()["app"]), (200, &PLAYER.into()), "{}", back.body);
    wait_until("taken back on the node", || !is_listed(node.list(), &theirs, &keys));

    let other = kafka::role(&cluster, &settings, &Arc::clone(&keys));
    for (answer, state) in [(&kept, "opted_out"), (&taken_back, "opted_in")] {
        let status = status(&other, answer);
        assert_eq!((&status["by"], &status["app"]), (&"app".into(), &PLAYER.into()), "{status}");
        assert_eq!(status["state"], state);
    }
    assert!(may_measure(&node) && is_listed(node.list(), &mine, &keys));
    node.stop();
    other.handle.stop();
    role.handle.stop();
}
