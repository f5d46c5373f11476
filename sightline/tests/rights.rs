//! What a person may ask for, through the whole program: a browser's own erasure and copy, the operator's queue, kills between the steps, and a store
//! that is made anew.

#![cfg(test)]

mod support;

use std::time::Duration;

use serde_json::{Value, json};

use support::http::{Connection, Response};
use support::{Instance, Options, wait_for};

const OURS: (&str, &str) = ("sec-fetch-site", "same-origin");
const OAID: &str = "1fe9a970-efbb-29e0-0bdd-f5dbbf751ab5";
const PATIENCE: Duration = Duration::from_mins(2);
const AGENT: (&str, &str) =
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0");

fn start() -> Instance {
    Instance::start(Options {
        tracker: "id_cookie = true".to_owned(),
        opt_out: "[opt_out.limits]\nrequests_burst_max = 100000".to_owned(),
        ..Options::default()
    })
}

/// Fires an impression as a browser; what cookie the tracker gave.
fn fire(instance: &Instance, headers: &[(&str, &str)], rest: &str) -> Option<String> {
    let mut connection = Connection::open(instance.tracker()).expect("connects");
    let headers = [headers, &[AGENT]].concat();
    let answer = connection.get(&format!("/i?c=demo&p=p1{rest}"), &headers).expect("an answer");
    assert_eq!(answer.status, 200);
    answer.header("set-cookie").and_then(|line| line.split(';').next()).map(str::to_owned)
}

/// A browser with so many impressions: the tracker's cookie.
fn browser(instance: &Instance, hits: usize) -> String {
    let cookie = fire(instance, &[], "").expect("the tracker gives a cookie");
    for _ in 0..hits {
        assert!(fire(instance, &[("cookie", &cookie)], "").is_none());
    }
    cookie
}

fn post(instance: &Instance, path: &str, headers: &[(&str, &str)], body: &Value) -> Response {
    let mut connection = Connection::open(instance.opt_out()).expect("connects");
    connection.post_json(path, headers, body).expect("an answer")
}

/// Asks for something; receipt and secret.
fn ask(instance: &Instance, path: &str, headers: &[(&str, &str)], body: &Value) -> (String, String) {
    let answer = post(instance, path, headers, body);
    assert_eq!(answer.status, 202, "{}", answer.text());
    let json = answer.json();
    let own = |name: &str| json[name].as_str().expect("a text").to_owned();
    (own("receipt"), own("secret"))
}

fn get(instance: &Instance, (receipt, secret): &(String, String), rest: &str) -> Response {
    let bearer = format!("Bearer {secret}");
    let mut connection = Connection::open(instance.opt_out()).expect("connects");
    let path = format!("/v1/requests/{receipt}{rest}");
    connection.get(&path, &[("authorization", &bearer)]).expect("an answer")
}

/// Waits until a request is answered.
fn answered(instance: &Instance, held: &(String, String)) -> Value {
    let mut told = Value::Null;
    wait_for("the request to be answered", PATIENCE, || {
        told = get(instance, held, "").json();
        told["state"] != "running"
    });
    told
}

#[test]
fn a_browser_erases_itself_through_kills_and_a_store_that_is_made_anew() {
    let mut instance = start();
    let (own, other) = (browser(&instance, 3), browser(&instance, 2));
    assert_eq!(instance.reach(), (2, 7));

    // A copy first: its rows and no others.
    let held = ask(&instance, "/v1/copies", &[OURS, ("cookie", &own)], &json!({}));
    assert_eq!(answered(&instance, &held)["result"]["hits"], 3);
    let copy = get(&instance, &held, "/copy").json();
    assert_eq!((&copy["number_of_rows"], &copy["complete"]), (&3.into(), &true.into()));
    assert_eq!(copy["rows"][0]["campaign"]["name"], "End to end");
    assert!(!copy.to_string().contains(own.split_once('=').expect("a pair").1));

    let held = ask(&instance, "/v1/erasures", &[OURS, ("cookie", &own)], &json!({}));
    // Killed wherever it is, several times: it goes on at the next start.
    instance.kill9();
    for delay_ms in [300, 900, 1_800] {
        instance.start_and_kill_after(Duration::from_millis(delay_ms));
    }
    instance.restart();
    let told = answered(&instance, &held);
    assert_eq!((&told["state"], &told["result"]["hits"]), (&"done".into(), &3.into()), "{told}");
    assert_eq!(instance.reach(), (1, 7));

    // The store is made anew from the journal.
    instance.terminate();
    std::fs::remove_dir_all(instance.data().join("store")).expect("the store goes");
    for lane in std::fs::read_dir(instance.data().join("journal")).expect("lanes") {
        for file in std::fs::read_dir(lane.expect("a lane").path()).expect("its files") {
            let path = file.expect("a file").path();
            if path.extension().is_some_and(|kind| kind == "cursor") {
                std::fs::remove_file(path).expect("the cursor goes");
            }
        }
    }
    instance.restart();
    assert_eq!(instance.reach(), (1, 7));
    assert_eq!(get(&instance, &held, "").json()["state"], "done");

    proved_by_the_audit_log(&instance, &held, &told);

    // What comes later is a device again.
    fire(&instance, &[("cookie", &own)], "");
    fire(&instance, &[("cookie", &other)], "");
    assert_eq!(instance.reach(), (2, 9));
    assert!(!instance.logs().contains(own.split_once('=').expect("a pair").1));
}

/// What the audit log says of an erasure: asked for, carried out, with the counts that the person was told; and a changed byte of it is noticed.
fn proved_by_the_audit_log(instance: &Instance, (receipt, secret): &(String, String), told: &Value) {
    let (code, text) = run(instance, &["audit", "list", "--format", "json"]);
    assert_eq!(code, Some(0), "{text}");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("an entry")).collect();
    let own: Vec<&Value> =
        lines.iter().filter(|line| line["details"]["receipt"] == receipt.as_str()).collect();
    let acts: Vec<_> = own.iter().filter_map(|line| line["act"].as_str()).collect();
    assert_eq!(acts.first(), Some(&"request.submitted"), "{own:#?}");
    assert_eq!(acts.last(), Some(&"request.carried_out"));
    let done = own.last().expect("an entry");
    for (name, as_told) in
        [("hits", "hits"), ("days_made_again", "days_made_again"), ("days_standing", "days_standing")]
    {
        assert_eq!(done["details"][name], told["result"][as_told], "{name}");
    }
    assert_eq!((&own[0]["actor"], &done["actor"]), (&"person".into(), &"system".into()));
    assert!(!text.contains(secret.as_str()));
    assert_eq!(run(instance, &["audit", "verify"]).0, Some(0));
    // One digit of what was done.
    let path = instance.data().join("audit/audit-000001.jsonl");
    let bytes = std::fs::read_to_string(&path).expect("the log");
    let at = bytes.rfind("\"hits\":3").expect("the count") + "\"hits\":".len();
    let mut changed = bytes.clone();
    changed.replace_range(at..=at, "4");
    let copy = instance.root().join("changed");
    std::fs::create_dir_all(copy.join("audit")).expect("a folder");
    std::fs::write(copy.join("audit/audit-000001.jsonl"), changed).expect("written");
    std::fs::create_dir_all(copy.join("keys")).expect("a folder");
    std::fs::copy(instance.data().join("keys/audit.key"), copy.join("keys/audit.key")).expect("copied");
    let output = instance.command(&["audit", "verify", "--data", &copy.display().to_string()]);
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && text.contains("CHANGED"), "{text}");
}

fn run(instance: &Instance, words: &[&str]) -> (Option<i32>, String) {
    let data = instance.data().display().to_string();
    let output = instance.command(&[words, &["--data", &data]].concat());
    let text = String::from_utf8(output.stdout).expect("text") + &String::from_utf8_lossy(&output.stderr);
    (output.status.code(), text)
}

/// Shows the operator an identifier: the exit code of comparing it, and how many of the request's are left.
fn show(instance: &Instance, request: &str, kind: &str, value: &str) -> (Option<i32>, u64) {
    let output = instance.command_with(&["requests", "match", request, "--kind", kind], value);
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(!text.contains(value.trim()), "{text}");
    let shown = run(instance, &["requests", "show", request]).1;
    let count = |name: &str| -> u64 {
        let line = shown.lines().find(|line| line.split_whitespace().next() == Some(name));
        line.and_then(|line| line.split_whitespace().nth(1))
            .and_then(|text| text.parse().ok())
            .expect("a count")
    };
    (output.status.code(), count("ids") - count("ids_matched"))
}

#[test]
fn a_typed_id_waits_for_the_operator_and_his_word_is_carried_out() {
    let instance = start();
    fire(&instance, &[], &format!("&oaid={OAID}"));
    fire(&instance, &[], "&imei=868049039501257");
    assert_eq!(instance.reach(), (2, 2));
    let typed = |kind: &str, value: &str| json!({"ids": [{"kind": kind, "value": value}]});
    let accepted = ask(&instance, "/v1/erasures", &[], &typed("oaid", OAID));
    let refused = ask(&instance, "/v1/copies", &[], &typed("imei", "868049039501257"));
    let nobody = ask(&instance, "/v1/erasures", &[], &typed("imei", "490154203237518"));
    assert_eq!(get(&instance, &accepted, "").json()["state"], "waiting");

    let run = |words: &[&str]| run(&instance, words);
    let (code, list) = run(&["requests", "list"]);
    assert_eq!((code, list.matches("waiting").count()), (Some(0), 3), "{list}");
    assert!(!list.contains(OAID));
    let (code, text) = run(&["requests", "accept", "1"]);
    assert!(code == Some(1) && text.contains("1 of the request's 1 identifiers"), "{text}");
    // Papers of another device are no proof of this one, and those of none are none.
    assert_eq!(show(&instance, "1", "oaid", "2fe9a970-efbb-29e0-0bdd-f5dbbf751ab5"), (Some(1), 1));
    assert_eq!(show(&instance, "1", "oaid", "00000000-0000-0000-0000-000000000000"), (Some(1), 1));
    assert_eq!(run(&["requests", "accept", "1"]).0, Some(1));
    assert_eq!(show(&instance, "1", "oaid", &format!("{OAID}\n")), (Some(0), 0));
    assert!(run(&["requests", "list"]).1.contains("1 of 1"));
    assert_eq!(run(&["requests", "accept", "1"]).0, Some(0));
    assert_eq!(run(&["requests", "refuse", "2", "--why", "show the invoice"]).0, Some(0));
    assert_eq!(show(&instance, "3", "imei", "490154203237518"), (Some(0), 0));
    assert_eq!(run(&["requests", "accept", "3"]).0, Some(0));
    let (code, text) = run(&["requests", "accept", "2"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("refused"), "{text}");
    assert_eq!(answered(&instance, &accepted)["state"], "done");
    assert_eq!(answered(&instance, &nobody)["state"], "not_linkable");
    assert_eq!(get(&instance, &refused, "").json()["reason"], "show the invoice");
    assert_eq!(instance.reach(), (1, 2));
    assert!(run(&["requests", "show", "1"]).1.contains("oaid"));
    let entered = run(&["audit", "list", "--act", "request", "--format", "json"]).1;
    let entries: Vec<Value> =
        entered.lines().map(|line| serde_json::from_str(line).expect("an entry")).collect();
    for (act, object) in [
        ("request.not_matched", "request 1"),
        ("request.matched", "request 1"),
        ("request.accepted", "request 1"),
        ("request.refused", "request 2"),
        ("request.accepted", "request 3"),
    ] {
        let is_it =
            |entry: &&Value| entry["actor"] == "operator" && entry["act"] == act && entry["object"] == object;
        assert_eq!(entries.iter().filter(is_it).count(), 1, "{act} {object} in {entered}");
    }
    assert!(!entered.contains("invoice") && !entered.contains(OAID));
    for value in [OAID, "490154203237518", "2fe9a970"] {
        assert!(!instance.logs().contains(value));
    }

    // Without the operator's token nobody sees the queue.
    for headers in [&[][..], &[("authorization", "Bearer wrong")]] {
        let mut admin = Connection::open(instance.admin()).expect("connects");
        assert_eq!(admin.get("/v1/requests", headers).expect("an answer").status, 401);
        let mut admin = Connection::open(instance.admin()).expect("connects");
        let answer = admin.post_json("/v1/requests/1/accept", headers, &json!({})).expect("an answer");
        assert_eq!(answer.status, 401);
        let mut admin = Connection::open(instance.admin()).expect("connects");
        let shown = json!({"kind": "imei", "value": "868049039501257"});
        let answer = admin.post_json("/v1/requests/2/match", headers, &shown).expect("an answer");
        assert_eq!(answer.status, 401);
    }
}

#[test]
fn a_folder_of_requests_that_is_gone_is_noticed_at_each_start_and_many_are_refused_at_once() {
    let mut instance = start();
    let typed = |n: u32| json!({"ids": [{"kind": "oaid", "value": format!("1fe9a970-efbb-29e0-0bdd-f5dbbf7{n:05}")}]});
    let held: Vec<_> = (1..=4).map(|n| ask(&instance, "/v1/erasures", &[], &typed(n))).collect();
    let shown = "1fe9a970-efbb-29e0-0bdd-f5dbbf700003";
    assert_eq!(show(&instance, "3", "oaid", shown), (Some(0), 0));
    let (code, text) = run(&instance, &["requests", "refuse", "1", "2", "--why", "show your device"]);
    assert!(code == Some(0) && text.contains("request 2 is refused"), "{text}");
    // A clock that stands still at the second would make none of them older than nothing.
    wait_for("a second to pass", PATIENCE, || {
        run(&instance, &["requests", "refuse", "--older-than", "0", "--why", "too late"])
            .1
            .contains("1 refused")
    });
    let states: Vec<Value> =
        held.iter().map(|held| get(&instance, held, "").json()["state"].clone()).collect();
    assert_eq!(
        states,
        ["refused", "refused", "waiting", "refused"],
        "one of which the device was shown waits"
    );

    instance.terminate();
    assert!(!instance.logs().contains("persons' requests are missing"));
    std::fs::remove_dir_all(instance.data().join("requests")).expect("the folder goes");
    for starts in 1..=2 {
        instance.restart();
        assert_eq!(instance.logs().matches("persons' requests are missing").count(), starts);
        wait_for("the metric to say so", PATIENCE, || {
            metrics(&instance).contains("opt_out_persons_requests_lost 4")
        });
        ask(&instance, "/v1/erasures", &[], &typed(9));
        instance.terminate();
    }
    instance.restart();
    assert!(run(&instance, &["requests", "show", "6"]).1.contains("waiting"), "no number is given twice");
}

fn metrics(instance: &Instance) -> String {
    let mut admin = Connection::open(instance.admin()).expect("connects");
    admin.get("/metrics", &[]).expect("an answer").text()
}
