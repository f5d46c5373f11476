//! Deletion requests of other companies that are taken: what they cause, how they are acknowledged, that each is good once, and what is left of them.

use std::fs;
use std::path::Path;

use event::clock::Clock;
use event::identifier::IdField;
use opt_out::{PartyRight, Settings};
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::dsr_tokens::{
    Company, NOW, OAID, OAID_MD5, acknowledged, again, origin, request, request_for, send, settings, start,
    start_with, subject,
};
use crate::support::{NOW_MS, Role, ids_json, keys, receipt_json, text};

const BOTH: [PartyRight; 2] = [PartyRight::OptOut, PartyRight::Erasure];

fn state(role: &Role, request: &Value) -> Value {
    let own = |name: &str| text(&request[name]);
    let bearer = format!("Bearer {}", own("secret"));
    let answer = role.get(&format!("/v1/requests/{}", own("receipt")), &[("authorization", &bearer)]);
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

#[test]
fn the_file_says_what_is_taken_where_and_by_which_keys_we_are_known() {
    let dir = tempdir().expect("a folder");
    let role = start(dir.path(), settings(Vec::new()));
    let answer = role.get("/dsrdelete.json", &[]);
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(answer.header("cache-control"), Some("public, max-age=3600"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(role.get("/.well-known/iabtl/dsrdelete.json", &[]).body, answer.body);
    let file = answer.json();
    assert_eq!(file["endpoint"], "http://localhost:8081/v1/dsr");
    assert_eq!(file["jwksUri"], "http://localhost:8081/.well-known/iabtl/jwks.json");
    assert_eq!((&file["vendorScriptRequirement"], &file["pollFrequency"]), (&json!(false), &json!(86_400)));
    let identifiers = file["identifiers"].as_array().expect("a list");
    assert_eq!(identifiers[0], json!({"id": 1, "type": "oaid", "format": "plaintext"}));
    for (place, identifier) in identifiers.iter().enumerate() {
        assert_eq!(identifier["id"], place + 1);
        // Each pair that is listed is one that can be lodged and looked for.
        assert_ne!(identifier["type"], "mac_colons");
    }
    // A digest does not tell the version that a CAID is of.
    let caids: Vec<&Value> = identifiers.iter().filter(|one| one["type"] == "caid").collect();
    assert_eq!(caids.iter().map(|one| &one["format"]).collect::<Vec<_>>(), ["plaintext"]);
    assert_eq!(identifiers.len(), 9 * 4 + 1);
    let keys = role.get("/.well-known/iabtl/jwks.json", &[]).json();
    assert_eq!(keys["keys"], file["publicKey"]);
    assert_eq!(keys["keys"].as_array().map(Vec::len), Some(1));
    assert!(!keys.to_string().contains("\"d\""));
}

#[test]
fn without_a_configuration_there_is_neither_file_nor_endpoint() {
    let dir = tempdir().expect("a folder");
    let role = Role::start(dir.path(), Settings::default());
    for path in ["/dsrdelete.json", "/.well-known/iabtl/dsrdelete.json", "/.well-known/iabtl/jwks.json"] {
        let answer = role.get(path, &[]);
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.body.contains("[opt_out.dsr]"), "{}", answer.body);
    }
    assert_eq!(send(&role, "a.b.c").status, 404);
}

#[test]
fn a_request_of_each_algorithm_and_version_opts_out_erases_and_is_acknowledged() {
    let companies = ["ES256", "RS256", "EdDSA"].map(|alg| {
        let domain = match alg {
            "ES256" => "ec.example",
            "RS256" => "rsa.example",
            _ => "ed.example",
        };
        Company::new(domain, alg)
    });
    for (version, code) in [("2.0", 10_000), ("1.0", 0)] {
        let dir = tempdir().expect("a folder");
        let parties = companies.iter().map(|company| company.registered(dir.path(), &BOTH)).collect();
        let role = start(dir.path(), settings(parties));
        for (place, company) in companies.iter().enumerate() {
            let mut claims = request(version, company, "rq-1");
            // A device for each, in a form of its own.
            let value = format!("1fe9a970-efbb-29e0-0bdd-f5dbbf751ab{place}");
            let about = subject("oaid", &value, "plaintext");
            if version == "1.0" {
                // The table of 1.0 says a text, its example an object.
                claims["sub"] = if place == 0 { about.to_string().into() } else { about };
                claims["iat"] = json!(NOW as f64 + 0.5);
            } else {
                claims["identifierValue"] = value.as_str().into();
            }
            assert!(!role.leaves_out(IdField::Oaid, &value));
            let token = company.sign(&claims);
            let answer = if place == 1 {
                role.call_with("/v1/dsr", &[], &json!({ "rqJWT": token }).to_string())
            } else {
                let body = format!("{token}\n");
                let headers = [("content-type", "application/jwt; charset=utf-8")];
                crate::support::send(role.address(), "POST", "/v1/dsr", &headers, body.as_bytes())
            };
            assert_eq!(answer.status, 202, "{} {version}: {}", company.alg, answer.body);
            let json = answer.json();
            let acknowledged = acknowledged(&role, &answer, &token);
            assert_eq!(
                (&acknowledged["raResultCode"], &acknowledged["version"]),
                (&json!(code), &json!(version))
            );
            assert_eq!(acknowledged["jti"], json["request"]["receipt"], "the two are tied");
            assert!(role.leaves_out(IdField::Oaid, &value));
            let state = state(&role, &json["request"]);
            assert_eq!((&state["state"], &state["proof"]), (&json!("running"), &json!("app")));
            assert_eq!((&state["kind"], &state["app"]), (&json!("erasure"), &json!(company.domain)));
            let own = |name: &str| text(&json["opt_out"][name]);
            let receipt = role.call("/v1/status", &receipt_json(&own("receipt"), &own("secret"))).json();
            assert_eq!((&receipt["by"], &receipt["app"]), (&json!("app"), &json!(company.domain)));
        }
        assert_eq!(role.requests.as_ref().map(|requests| requests.stats().running), Some(3));
    }
}

#[test]
fn a_word_that_does_not_suffice_waits_for_the_operator_and_a_digest_is_as_good_as_the_identifier() {
    let dir = tempdir().expect("a folder");
    let publisher = Company::new("publisher.example", "ES256");
    let silent = Company::new("silent.example", "EdDSA");
    let parties =
        vec![publisher.registered(dir.path(), &[PartyRight::OptOut]), silent.registered(dir.path(), &[])];
    let role = start(dir.path(), settings(parties));
    let answer = send(&role, &silent.sign(&request("2.0", &silent, "1")));
    assert_eq!(answer.status, 202, "{}", answer.body);
    assert_eq!(answer.json()["request"]["state"], "waiting");
    assert!(answer.json().get("opt_out").is_none() && !role.leaves_out(IdField::Oaid, OAID));
    let mut claims = request("2.0", &publisher, "1");
    (claims["identifierValue"], claims["identifierFormat"]) = (OAID_MD5.into(), "md5".into());
    let answer = send(&role, &publisher.sign(&claims));
    assert_eq!(answer.status, 202, "{}", answer.body);
    assert_eq!(answer.json()["request"]["proof"], "none");
    assert!(role.leaves_out(IdField::Oaid, OAID) && role.leaves_out(IdField::OaidMd5, OAID_MD5));
    assert_eq!(role.requests.as_ref().map(|requests| requests.stats().waiting), Some(2));
}

#[test]
fn a_vendor_asks_on_behalf_of_a_first_party_that_is_registered() {
    let dir = tempdir().expect("a folder");
    let (publisher, vendor) =
        (Company::new("publisher.example", "RS256"), Company::new("vendor.example", "ES256"));
    let stranger = Company::new("stranger.example", "ES256");
    // Whose word it is decides: the first party's own rights lend the vendor none.
    let parties =
        vec![publisher.registered(dir.path(), &BOTH), vendor.registered(dir.path(), &[PartyRight::OptOut])];
    let role = start(dir.path(), settings(parties));
    let inner = publisher.sign(&origin("2.0", &publisher));
    let answer = send(&role, &vendor.sign(&request_for("2.0", vendor.domain, &inner, "1")));
    assert_eq!((answer.status, &answer.json()["request"]["state"]), (202, &json!("waiting")));
    let inner = stranger.sign(&origin("2.0", &stranger));
    let token = vendor.sign(&request_for("2.0", vendor.domain, &inner, "2"));
    let answer = send(&role, &token);
    assert_eq!(answer.status, 400);
    assert_eq!(acknowledged(&role, &answer, &token)["raResultCode"], 11_102);
}

#[test]
fn an_acknowledged_request_is_good_once_also_behind_a_restart() {
    let dir = tempdir().expect("a folder");
    let (one, other) = (Company::new("one.example", "ES256"), Company::new("other.example", "EdDSA"));
    let parties = vec![one.registered(dir.path(), &BOTH), other.registered(dir.path(), &BOTH)];
    let role = start(dir.path(), settings(parties.clone()));
    let token = one.sign(&request("2.0", &one, "rq-1"));
    let answer = send(&role, &token);
    assert_eq!(answer.status, 202);
    let receipt = answer.json()["request"]["receipt"].clone();
    let refused = |role: &Role, token: &str| {
        let answer = send(role, token);
        assert_eq!(answer.status, 400, "{}", answer.body);
        let claims = acknowledged(role, &answer, token);
        assert_eq!(
            (&claims["raResultCode"], &claims["raResultString"]),
            (&json!(10_010), &json!("unknown_error"))
        );
        assert!(answer.json()["detail"].as_str().is_some_and(|text| text.contains("jti")), "{}", answer.body);
    };
    let repeats = |token: &str| {
        let answer = send(&role, token);
        assert_eq!(answer.status, 200, "{}", answer.body);
        let claims = acknowledged(&role, &answer, token);
        assert_eq!((&claims["raResultCode"], &claims["jti"]), (&json!(10_000), &receipt));
        assert!(!answer.body.contains("secret") && !answer.body.contains("state"), "{}", answer.body);
    };
    repeats(&token);
    let mut claims = request("2.0", &one, "rq-1");
    claims["iat"] = (NOW - 2).into();
    repeats(&one.sign(&claims));
    // Signed anew and of another device: a jti is used.
    let mut claims = request("2.0", &one, "rq-1");
    claims["iat"] = (NOW - 1).into();
    claims["identifierValue"] = "00000000-efbb-29e0-0bdd-f5dbbf751ab5".into();
    let same_jti = one.sign(&claims);
    refused(&role, &same_jti);
    assert!(!role.leaves_out(IdField::Oaid, "00000000-efbb-29e0-0bdd-f5dbbf751ab5"));
    assert_eq!(send(&role, &other.sign(&request("2.0", &other, "rq-1"))).status, 202, "another's own");
    let role = again(role, dir.path(), settings(parties.clone()));
    refused(&role, &token);
    refused(&role, &same_jti);
    let second = one.sign(&request("2.0", &one, "rq-2"));
    assert_eq!(send(&role, &second).status, 202);
    // As long as its age does not refuse it, and then that does.
    role.clock.advance_ms(24 * 3_600_000);
    refused(&role, &token);
    role.clock.advance_ms(1_000);
    let answer = send(&role, &token);
    assert_eq!(acknowledged(&role, &answer, &token)["raResultCode"], 13_203);
    assert_eq!(role.requests.as_ref().map(|requests| requests.stats().running), Some(3));
}

#[test]
fn of_one_request_that_comes_many_times_at_once_one_is_done() {
    let dir = tempdir().expect("a folder");
    let company = Company::new("one.example", "ES256");
    let role = start(dir.path(), settings(vec![company.registered(dir.path(), &BOTH)]));
    let token = company.sign(&request("2.0", &company, "rq-1"));
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let sent: Vec<_> = (0..8).map(|_| scope.spawn(|| send(&role, &token).status)).collect();
        sent.into_iter().map(|thread| thread.join().expect("an answer")).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 202).count(), 1, "{statuses:?}");
    // The others while it is done, or behind that.
    assert_eq!(statuses.iter().filter(|status| [503, 200].contains(status)).count(), 7, "{statuses:?}");
    assert_eq!(send(&role, &token).status, 200);
    assert_eq!(role.requests.as_ref().map(|requests| requests.stats().running), Some(1));
}

/// No room for the erasure: the opt-out holds all the same, its receipt is not lost, and persons still find room.
#[test]
fn a_party_that_finds_no_room_keeps_the_receipt_of_its_opt_out_and_persons_find_room() {
    let dir = tempdir().expect("a folder");
    let company = Company::new("one.example", "ES256");
    let mut settings = settings(vec![company.registered(dir.path(), &[PartyRight::OptOut])]);
    settings.requests.waiting_max = 2;
    let role = start(dir.path(), settings);
    assert_eq!(send(&role, &company.sign(&request("2.0", &company, "1"))).status, 202);
    let value = "1fe9a970-efbb-29e0-0bdd-f5dbbf751ab0";
    let mut claims = request("2.0", &company, "2");
    claims["identifierValue"] = value.into();
    let token = company.sign(&claims);
    let answer = send(&role, &token);
    let json = answer.json();
    assert_eq!((answer.status, &json["error"]), (503, &json!("full")), "{}", answer.body);
    assert!(json.get("acJWT").is_none() && role.leaves_out(IdField::Oaid, value));
    let own = |name: &str| text(&json["opt_out"][name]);
    assert_eq!(role.call("/v1/opt-ins", &receipt_json(&own("receipt"), &own("secret"))).status, 200);
    assert!(!role.leaves_out(IdField::Oaid, value));
    let person = role.call("/v1/erasures", &ids_json(&[("oaid", value)]));
    assert_eq!((person.status, &person.json()["state"]), (202, &json!("waiting")), "{}", person.body);
    // What was not taken is not used.
    let requests = role.requests.as_ref().expect("they are open");
    requests.refuse(1, "not yours").expect("refused");
    assert_eq!(send(&role, &token).status, 202);
}

#[test]
fn a_party_that_is_taken_out_is_nobody() {
    let dir = tempdir().expect("a folder");
    let (gone, left) = (Company::new("gone.example", "ES256"), Company::new("left.example", "ES256"));
    let parties = vec![gone.registered(dir.path(), &BOTH), left.registered(dir.path(), &BOTH)];
    let role = start(dir.path(), settings(parties.clone()));
    assert_eq!(send(&role, &gone.sign(&request("2.0", &gone, "1"))).status, 202);
    let role = again(role, dir.path(), settings(vec![parties[1].clone()]));
    let token = gone.sign(&request("2.0", &gone, "2"));
    let answer = send(&role, &token);
    assert_eq!((answer.status, &acknowledged(&role, &answer, &token)["raResultCode"]), (400, &json!(11_202)));
    // Nor may it stand behind another's request.
    let inner = gone.sign(&origin("2.0", &gone));
    let token = left.sign(&request_for("2.0", left.domain, &inner, "3"));
    let answer = send(&role, &token);
    assert_eq!(acknowledged(&role, &answer, &token)["raResultCode"], 11_102);
    assert_eq!(send(&role, &left.sign(&request("2.0", &left, "4"))).status, 202);
}

#[test]
fn the_audit_log_names_the_party_and_nothing_that_is_kept_names_a_device() {
    let dir = tempdir().expect("a folder");
    let company = Company::new("one.example", "ES256");
    let role = start(dir.path(), settings(vec![company.registered(dir.path(), &BOTH)]));
    // A jti may be anything, an identifier too.
    let jti = "8C0D1E7A-42B5-4F63-9D1E-7B2A5C3E9F10";
    let token = company.sign(&request("2.0", &company, jti));
    assert_eq!(send(&role, &token).status, 202);
    let mut claims = request("2.0", &company, "another-jti-of-this-test");
    claims["identifierType"] = "email".into();
    assert_eq!(send(&role, &company.sign(&claims)).status, 400);
    // Nobody's: it would fill the log.
    let stranger = Company::new("stranger.example", "ES256");
    assert_eq!(send(&role, &stranger.sign(&request("2.0", &stranger, "x"))).status, 400);
    role.handle.stop();
    let mut files = Vec::new();
    collect(dir.path(), &mut files);
    assert!(files.len() > 5, "{}", files.len());
    for (path, bytes) in &files {
        for secret in [OAID, &OAID.to_uppercase(), OAID_MD5, jti, "another-jti-of-this-test"] {
            assert!(
                !bytes.windows(secret.len()).any(|window| window == secret.as_bytes()),
                "{path}: {secret}"
            );
        }
    }
    let (_, log) = files.iter().find(|(path, _)| path.contains("audit-0")).expect("the audit log");
    let log = String::from_utf8_lossy(log);
    let entries: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect("an entry")).collect();
    let own: Vec<&Value> = entries
        .iter()
        .filter(|entry| entry["act"].as_str().is_some_and(|act| act.starts_with("dsr.")))
        .collect();
    assert_eq!(own.len(), 2, "{log}");
    assert_eq!((&own[0]["act"], &own[0]["actor"]), (&json!("dsr.accepted"), &json!("party one.example")));
    assert_eq!(
        own[0]["details"],
        json!({"identifiers": 1, "version": "2.0", "code": 10_000, "kind": "oaid", "opt_out": true, "erasure": true})
    );
    assert_eq!((&own[1]["act"], &own[1]["actor"]), (&json!("dsr.refused"), &json!("party one.example")));
    assert_eq!(
        own[1]["details"],
        json!({"identifiers": 1, "version": "2.0", "code": 14_201, "result": "rq_unsupported_identifier_type"})
    );
}

fn collect(dir: &Path, files: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(dir).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.push((path.display().to_string(), fs::read(&path).expect("read")));
        }
    }
}

#[test]
fn the_key_before_the_one_that_signs_stays_published() {
    let dir = tempdir().expect("a folder");
    let company = Company::new("one.example", "ES256");
    let settings = settings(vec![company.registered(dir.path(), &BOTH)]);
    let (old, new) = (dir.path().join("old"), dir.path().join("new"));
    let [old, new] = [old, new].map(|folder| {
        fs::create_dir(&folder).expect("made");
        crate::dsr_tokens::own_key(&folder)
    });
    let parts = (keys(), Clock::manual(NOW_MS));
    let role = Role::start_for_exchange(dir.path(), settings, parts, &[new, old]);
    let published = role.get("/.well-known/iabtl/jwks.json", &[]).json();
    assert_eq!(published["keys"].as_array().map(Vec::len), Some(2));
    let token = company.sign(&request("2.0", &company, "1"));
    let answer = send(&role, &token);
    acknowledged(&role, &answer, &token);
    // Opting out by hand works beside it.
    assert_eq!(role.call("/v1/opt-outs", &ids_json(&[("oaid", OAID)])).status, 200);
}

#[test]
fn requests_that_nobody_carries_out_are_not_acknowledged() {
    let dir = tempdir().expect("a folder");
    let company = Company::new("one.example", "ES256");
    let mut settings = settings(vec![company.registered(dir.path(), &[])]);
    settings.requests.waiting_max = 1;
    let role = start_with(dir.path(), settings, keys(), Clock::manual(NOW_MS));
    assert_eq!(send(&role, &company.sign(&request("2.0", &company, "1"))).status, 202);
    let token = company.sign(&request("2.0", &company, "2"));
    let answer = send(&role, &token);
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("3600")));
    assert!(!answer.body.contains("acJWT"), "{}", answer.body);
    // The same request is still good once there is room.
    let requests = role.requests.as_ref().expect("they are open");
    requests.refuse(1, "not shown whose it is").expect("it waits");
    assert_eq!(send(&role, &token).status, 202);
}
