//! The epochs of the device keys through the whole program: a rotation cuts, what was stored before it is counted, erased and loaded as before, and a
//! destroyed key makes it nobody's. With an overlap, a device that comes back is one.

#![cfg(test)]

mod support;

use std::time::Duration;

use serde_json::{Value, json};

use support::http::Connection;
use support::{Instance, Options, wait_for};

const OAIDS: [&str; 2] = ["1fe9a970-efbb-29e0-0bdd-f5dbbf751ab5", "2fe9a970-efbb-29e0-0bdd-f5dbbf751ab6"];
/// Opted out before the rotation.
const OUT: &str = "4fe9a970-efbb-29e0-0bdd-f5dbbf751ab8";
/// Seen before the rotation only.
const GONE: &str = "3fe9a970-efbb-29e0-0bdd-f5dbbf751ab7";
const PATIENCE: Duration = Duration::from_mins(1);

fn fire(instance: &Instance, oaid: &str) {
    let mut connection = Connection::open(instance.tracker()).expect("connects");
    let target = format!("/i?c=demo&p=p1&oaid={oaid}");
    let agent = ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0");
    assert_eq!(connection.get(&target, &[agent]).expect("an answer").status, 200);
}

fn run(instance: &Instance, words: &[&str]) -> (Option<i32>, String) {
    let data = instance.data().display().to_string();
    let output = instance.command(&[words, &["--data", &data]].concat());
    let text = String::from_utf8(output.stdout).expect("text") + &String::from_utf8_lossy(&output.stderr);
    (output.status.code(), text)
}

fn of_oaid(oaid: &str) -> Value {
    json!({"ids": [{"kind": "oaid", "value": oaid}]})
}

/// Has a device erased by the operator's word; the state of the request.
fn erase(instance: &Instance, oaid: &str, request: &str) -> Value {
    answered(instance, "/v1/erasures", oaid, request)["state"].clone()
}

/// Asks for something that is done by the operator's word; what the person is told then.
fn answered(instance: &Instance, what: &str, oaid: &str, request: &str) -> Value {
    let mut page = Connection::open(instance.opt_out()).expect("connects");
    let asked = page.post_json(what, &[], &of_oaid(oaid)).expect("an answer");
    assert_eq!(asked.status, 202, "{}", asked.text());
    let (receipt, secret) = (asked.json()["receipt"].clone(), asked.json()["secret"].clone());
    let shown = instance.command_with(&["requests", "match", request, "--kind", "oaid"], oaid);
    assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
    let (code, text) = run(instance, &["requests", "accept", request]);
    assert_eq!(code, Some(0), "{text}");
    let bearer = format!("Bearer {}", secret.as_str().expect("a secret"));
    let path = format!("/v1/requests/{}", receipt.as_str().expect("a receipt"));
    let mut told = Value::Null;
    wait_for("the request to be answered", PATIENCE, || {
        let mut page = Connection::open(instance.opt_out()).expect("connects");
        told = page.get(&path, &[("authorization", &bearer)]).expect("an answer").json();
        told["state"] != "running"
    });
    told
}

#[test]
fn a_rotation_cuts_and_a_destroyed_key_makes_its_events_nobodys() {
    let mut instance = Instance::start(Options {
        opt_out: "[opt_out.limits]\nrequests_burst_max = 100000".to_owned(),
        ..Options::default()
    });
    for oaid in OAIDS {
        fire(&instance, oaid);
    }
    fire(&instance, GONE);
    assert_eq!(instance.reach(), (3, 3));
    let (code, text) = run(&instance, &["keys", "rotate", "--without-overlap"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("while nothing runs"), "{text}");
    // Some events are in the journal alone when the key changes.
    fire(&instance, OAIDS[0]);
    instance.kill9();

    let (code, text) = run(&instance, &["keys", "rotate"]);
    assert!(code == Some(2) && text.contains("<--overlap <DAYS>|--without-overlap>"), "{text}");
    let before = instance.secret("device.keys");
    let (code, text) = run(&instance, &["keys", "rotate", "--without-overlap"]);
    assert!(code == Some(0) && text.contains("epoch 2 is current"), "{text}");
    assert_ne!(instance.secret("device.keys"), before);
    let (code, text) = run(&instance, &["keys", "list"]);
    assert!(code == Some(0) && text.contains("sealed") && text.contains("current"), "{text}");
    assert!(
        !instance
            .secret("device.keys")
            .lines()
            .any(|line| { line.split(' ').any(|word| word.len() == 64 && text.contains(word)) })
    );

    // Loaded as before; behind the cut each device is another.
    instance.restart();
    assert_eq!(instance.reach(), (3, 4), "the journal's entries of the old epoch");
    for oaid in OAIDS {
        fire(&instance, oaid);
    }
    assert_eq!(instance.reach(), (5, 6));
    // An erasure finds a device under both keys.
    assert_eq!(erase(&instance, OAIDS[0], "1"), "done");
    assert_eq!(instance.reach(), (3, 6));

    assert!(instance.terminate().success());
    let (code, text) = run(&instance, &["keys", "destroy", "1"]);
    assert!(code == Some(1) && text.contains("--early"), "{text}");
    let (code, text) = run(&instance, &["keys", "destroy", "2", "--early"]);
    assert!(code == Some(1) && text.contains("not sealed"), "{text}");
    let (code, text) = run(&instance, &["keys", "destroy", "1", "--early"]);
    assert_eq!(code, Some(0), "{text}");
    instance.restart();
    assert_eq!(instance.reach(), (3, 6), "what is stored stays counted");
    assert_eq!(erase(&instance, OAIDS[1], "2"), "done", "what came behind the cut is found");
    assert_eq!(instance.reach(), (2, 6), "what came before it is nobody's any more");

    assert_eq!(erase(&instance, GONE, "3"), "not_linkable");

    let (code, text) = run(&instance, &["audit", "list", "--act", "keys"]);
    assert_eq!(code, Some(0), "{text}");
    for act in ["keys.drawn", "keys.rotate", "keys.destroy"] {
        assert_eq!(text.matches(act).count(), 1, "{text}");
    }
}

/// The end of an overlap is held by `aggregator/tests/figures/overlap.rs`, whose clock can be moved.
#[test]
fn during_an_overlap_a_device_that_comes_back_counts_once() {
    let mut instance = Instance::start(Options {
        opt_out: "[opt_out.limits]\nrequests_burst_max = 100000".to_owned(),
        ..Options::default()
    });
    for oaid in OAIDS {
        fire(&instance, oaid);
    }
    fire(&instance, GONE);
    assert_eq!(instance.reach(), (3, 3));
    let mut page = Connection::open(instance.opt_out()).expect("connects");
    assert_eq!(page.post_json("/v1/opt-outs", &[], &of_oaid(OUT)).expect("an answer").status, 200);
    drop(page);
    assert!(instance.terminate().success());

    for wrong in [&["keys", "rotate", "--overlap", "0"][..], &["keys", "rotate", "--overlap", "2w"]] {
        let (code, text) = run(&instance, wrong);
        assert!(code == Some(2) && text.contains("from 1 to 90"), "{text}");
    }
    let (code, text) = run(&instance, &["keys", "rotate", "--overlap", "14d"]);
    assert!(code == Some(0) && text.contains("epoch 1 overlaps with it until"), "{text}");
    let (code, text) = run(&instance, &["keys", "rotate", "--overlap", "14"]);
    assert!(code == Some(1) && text.contains("the next one waits for it"), "{text}");
    let (code, text) = run(&instance, &["keys", "list"]);
    assert!(code == Some(0) && text.contains("overlaps") && text.contains("current"), "{text}");
    let keys = instance.secret("device.keys");
    for wanted in [&["keys", "destroy", "1"][..], &["keys", "destroy", "1", "--early"]] {
        let (code, text) = run(&instance, wanted);
        assert!(code == Some(1) && text.contains("first break the overlap off"), "{text}");
    }
    assert_eq!(instance.secret("device.keys"), keys);

    instance.restart();
    for oaid in OAIDS.into_iter().chain([OUT]) {
        fire(&instance, oaid);
    }
    assert_eq!(instance.reach(), (3, 5), "who came back is one device, who opted out is none");
    let changes = instance.report("demo/reach", "")["key_changes"].clone();
    assert_eq!(changes[0]["matched"], "yes", "{changes}");
    assert!(
        changes[0]["until"].is_string() && changes.as_array().is_some_and(|all| all.len() == 1),
        "{changes}"
    );
    let copied = answered(&instance, "/v1/copies", OAIDS[1], "1");
    assert_eq!(copied["result"]["hits"], 2, "what is stored under either key: {copied}");
    assert_eq!(erase(&instance, OAIDS[0], "2"), "done");
    assert_eq!(instance.reach(), (2, 5), "exactly one less");

    // What is in the journal alone ties them as well.
    fire(&instance, GONE);
    instance.kill9();
    instance.restart();
    assert_eq!(instance.reach(), (2, 6));

    // A cut needs no end of the overlap; pairs that are there tie what they tied.
    assert!(instance.terminate().success());
    let (code, text) = run(&instance, &["keys", "rotate", "--without-overlap"]);
    assert!(
        code == Some(0) && text.contains("is broken off") && text.contains("epoch 3 is current"),
        "{text}"
    );
    let (code, text) = run(&instance, &["keys", "destroy", "1", "--early"]);
    assert!(code == Some(0) && text.contains("is destroyed"), "{text}");
    instance.restart();
    fire(&instance, OAIDS[1]);
    assert_eq!(instance.reach(), (3, 7), "behind the cut it is another");
    let changes = instance.report("demo/reach", "")["key_changes"].clone();
    let matched: Vec<&Value> =
        changes.as_array().expect("a list").iter().map(|one| &one["matched"]).collect();
    assert_eq!(matched, ["yes", "no"]);
    let (code, text) = run(&instance, &["audit", "list", "--act", "keys.rotate"]);
    assert!(code == Some(0) && text.contains("overlap_until"), "{text}");
}
