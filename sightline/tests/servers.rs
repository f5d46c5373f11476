//! Servers and apps that sign, end to end: the shell example of the README as it stands there, batches that come again over restarts counted once in the
//! reports, and a device that an app opts out.

#![cfg(test)]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use event::key::signature::{
    Asked, IDEMPOTENCY_HEADER, KEY_HEADER, SIGNATURE_HEADER, Secret, TIME_HEADER, sign,
};
use serde_json::{Value, json};

use support::http::{Connection, Response};
use support::truth::{number, rows};
use support::{Instance, Options};

const SECRET: &str = "3f8c2d9e7a414b6f9c1e5d2a8b7c6e103f8c2d9e7a414b6f9c1e5d2a8b7c6e10";
/// Impressions without a request id in the batch of these tests.
const ITEMS: u64 = 40;

/// An instance with a server that has to sign and an app, each with a key beside the configuration.
fn start() -> Instance {
    let mut instance = Instance::prepare(Options::default());
    let key = |name: &str| {
        let path = instance.root().join(name);
        fs::write(&path, SECRET).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("set");
        path
    };
    let (server, app) = (key("stitcher.sign"), key("player.sign"));
    let sections = format!(
        "[[tracker.server]]\nname = \"stitcher\"\nsigning_key_files = [{server:?}]\nsignature = \"required\"\n\
         rights = [\"ip\", \"ua\"]\n[[opt_out.app]]\nname = \"player\"\nkey_files = [{app:?}]\n"
    );
    instance.set_options(Options { sections, ..Options::default() });
    instance.restart();
    instance
}

/// So many impressions of as many devices without a request id, and one with.
fn batch() -> Value {
    let anonymous = (0..ITEMS)
        .map(|n| json!({"c": "demo", "p": "p1", "oaid": format!("3f8c2d9e7a41{n:04x}"), "ua": "x"}));
    anonymous.chain([json!({"c": "demo", "p": "p1", "rid": "of-its-own", "ip": "203.0.113.9"})]).collect()
}

fn now_seconds() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() as i64
}

fn signed(name: &str, target: &str, key: &str, body: &Value) -> Vec<(&'static str, String)> {
    let secret = Secret::new(SECRET).expect("a good secret");
    let time = now_seconds();
    let asked = Asked::of("POST", target, |name| (name == IDEMPOTENCY_HEADER).then_some(key.as_bytes()));
    let signature = sign(&secret, name, time, asked, body.to_string().as_bytes());
    let headers =
        [(KEY_HEADER, name.to_owned()), (TIME_HEADER, time.to_string()), (SIGNATURE_HEADER, signature)];
    let key = (!key.is_empty()).then(|| (IDEMPOTENCY_HEADER, key.to_owned()));
    headers.into_iter().chain(key).collect()
}

fn post(
    address: std::net::SocketAddr,
    target: &str,
    headers: &[(&'static str, String)],
    body: &Value,
) -> Response {
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut connection = Connection::open(address).expect("connects");
    connection.post_json(target, &headers, body).expect("answers")
}

fn impressions(instance: &Instance, filter: &str) -> u64 {
    let report = instance.report("demo/delivery", &format!("filter={filter}"));
    rows(&report).first().map_or(0, |row| number(row, "impressions"))
}

/// Promise of the idempotency key: three sendings, two restarts, counted once.
#[test]
fn a_batch_that_comes_again_over_restarts_counts_once() {
    let mut instance = start();
    let body = batch();
    let send = |instance: &Instance, key: &str| {
        let answer =
            post(instance.tracker(), "/v1/events", &signed("stitcher", "/v1/events", key, &body), &body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let results = answer.json()["results"].as_array().expect("results").clone();
        assert!(results.iter().all(|result| result["outcome"] == "accepted"), "{results:?}");
        assert_eq!(results.len() as u64, ITEMS + 1);
    };
    send(&instance, "batch-1");
    instance.kill9();
    instance.restart();
    send(&instance, "batch-1");
    instance.restart();
    send(&instance, "batch-1");
    instance.settle();
    assert_eq!(impressions(&instance, "gross"), 3 * (ITEMS + 1));
    assert_eq!(impressions(&instance, "net"), ITEMS + 1, "each once");
    let reach = instance.report("demo/reach", "");
    assert_eq!(number(&rows(&reach)[0], "reach"), ITEMS, "{reach}");

    // Another key is another batch; the one that says its own view is a repeat all the same.
    send(&instance, "batch-2");
    instance.settle();
    assert_eq!(impressions(&instance, "net"), 2 * ITEMS + 1);

    // Without a key, a replay of the very request counts nothing, a request that is signed anew counts.
    let replayed = signed("stitcher", "/v1/events", "", &body);
    for _ in 0..3 {
        assert_eq!(post(instance.tracker(), "/v1/events", &replayed, &body).status, 200);
    }
    instance.settle();
    assert_eq!(impressions(&instance, "net"), 3 * ITEMS + 1);
    let stranger = post(instance.tracker(), "/v1/events", &[], &json!([{"c": "demo", "p": "p1", "ua": "x"}]));
    assert_eq!(stranger.json()["results"][0]["reason"], "not_permitted");
    let logs = instance.logs();
    assert!(!logs.contains(SECRET) && !logs.contains("batch-1"), "neither keys nor what is sent is logged");
}

#[test]
fn the_shell_example_of_the_readme_works_as_it_stands() {
    let instance = start();
    fs::write(instance.root().join("batch.json"), batch().to_string()).expect("written");
    let readme =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).expect("a README");
    let section = readme.split("## For media servers").nth(1).expect("the section");
    let script =
        section.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next()).expect("its example");
    // The key is there already: the tracker was started with it.
    let lines: Vec<&str> = script.lines().filter(|line| !line.contains("openssl rand")).collect();
    let script = lines.join("\n");
    assert!(script.contains("openssl dgst") && script.contains("http://127.0.0.1:8080"), "{script}");
    let script = script.replace("http://127.0.0.1:8080", &format!("http://{}", instance.tracker()));
    let done = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &script])
        .current_dir(instance.root())
        .output()
        .expect("bash runs");
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{err}");
    let answer: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}"));
    assert_eq!(answer["results"].as_array().map(Vec::len), Some(ITEMS as usize + 1), "{answer}");
    assert!(!out.contains("rejected"), "{out}");
}

#[test]
fn a_device_that_its_app_opts_out_is_not_measured_from_the_next_request_on() {
    let mut instance = start();
    // Raw, and MD5 by `printf %s … | md5sum`.
    let devices = [
        ("oaid", "1fe9a970-efbb-29e0-0bdd-f5dbbf751ab5", "oaid_md5", "83e9158a4fb54c0e1ef0b238639a23ae"),
        ("idfa", "8C0D1E7A-42B5-4F63-9D1E-7B2A5C3E9F10", "idfa_md5", "e9cd9e99fbd112eedbb70d6cbce8bbbd"),
        ("caid", "7f3c2d9e7a414b6f9c1e5d2a8b7c6e10", "caid_md5", "61cde59bc01f66bbbd692799f8533b95"),
    ];
    let hits = |instance: &Instance| {
        for (raw_name, raw, md5_name, md5) in devices {
            let mut connection = Connection::open(instance.tracker()).expect("connects");
            for (name, value) in [(raw_name, raw), (md5_name, md5)] {
                let target = format!("/i?c=demo&p=p1&caid_version=20230330&{name}={value}");
                assert_eq!(
                    connection.get(&target, &[("user-agent", "Mozilla/5.0")]).expect("answers").status,
                    200
                );
            }
        }
    };
    hits(&instance);
    let stranger = json!({"ids": [{"kind": "idfa", "value": "00C0FFEE-42B5-4F63-9D1E-7B2A5C3E9F10"}]});
    let unsigned = [(KEY_HEADER, "player".to_owned())];
    assert_eq!(post(instance.opt_out(), "/v1/opt-outs", &unsigned, &stranger).status, 401);
    for (kind, raw, _, _) in devices {
        let mut id = json!({"kind": kind, "value": raw});
        if kind == "caid" {
            id["version"] = json!("20230330");
        }
        let body = json!({"ids": [id]});
        let answer =
            post(instance.opt_out(), "/v1/opt-outs", &signed("player", "/v1/opt-outs", "", &body), &body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let by = json!({"receipt": answer.json()["receipt"], "secret": answer.json()["secret"]});
        let status = post(instance.opt_out(), "/v1/status", &[], &by).json();
        assert_eq!((&status["by"], &status["app"]), (&json!("app"), &json!("player")), "{status}");
    }
    hits(&instance);
    instance.kill9();
    instance.restart();
    hits(&instance);
    instance.settle();
    assert_eq!(impressions(&instance, "gross"), 6, "what was sent before the opt-outs and nothing after");
}
