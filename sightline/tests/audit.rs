//! The audit log of the whole program: each access to figures and each administrative act stands in it, a changed byte is noticed, and what cannot be
//! entered is neither shown nor done.

#![cfg(test)]

mod support;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use support::http::{Connection, Response};
use support::{CATALOG, Instance, Options, wait_for};

const SOON: Duration = Duration::from_secs(30);
/// So many entries fill the smallest file for certain.
const ENTRIES_MAX: usize = 400;

fn start() -> Instance {
    Instance::start(Options::default())
}

/// Exit code and what a command printed.
fn run(instance: &Instance, words: &[&str]) -> (Option<i32>, String) {
    let data = instance.data().display().to_string();
    let output = instance.command(&[words, &["--data", &data]].concat());
    let text = String::from_utf8(output.stdout).expect("text") + &String::from_utf8_lossy(&output.stderr);
    (output.status.code(), text)
}

/// The entries, oldest first.
fn entries(instance: &Instance) -> Vec<Value> {
    let (code, text) = run(instance, &["audit", "list", "--format", "json"]);
    assert_eq!(code, Some(0), "{text}");
    text.lines().map(|line| serde_json::from_str(line).expect("an entry")).collect()
}

fn of_act<'a>(entries: &'a [Value], act: &str) -> Vec<&'a Value> {
    entries.iter().filter(|entry| entry["act"] == act).collect()
}

fn ask(instance: &Instance, method: &str, target: &str, token: Option<&str>) -> Response {
    let mut connection = Connection::open(instance.reports()).expect("connects");
    let bearer = token.map(|token| format!("Bearer {token}"));
    let headers: Vec<_> = bearer.iter().map(|bearer| ("authorization", bearer.as_str())).collect();
    match method {
        "POST" => connection.post_json(target, &headers, &Value::Null).expect("an answer"),
        _ => connection.get(target, &headers).expect("an answer"),
    }
}

fn log_file(instance: &Instance) -> PathBuf {
    instance.data().join("audit/audit-000001.jsonl")
}

#[test]
fn each_access_and_each_act_is_entered_and_a_changed_byte_is_noticed() {
    let mut instance = start();
    let token = instance.secret("operator.token");
    let answer = ask(&instance, "GET", "/v1/campaigns/demo/reach?by=day&filter=gross", Some(&token));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(ask(&instance, "GET", "/v1/campaigns/nobody/delivery", Some(&token)).status, 404);
    assert_eq!(ask(&instance, "GET", "/v1/campaigns", None).status, 401);
    assert_eq!(ask(&instance, "GET", "/v1/campaigns", Some("guess")).status, 401);
    assert_eq!(ask(&instance, "POST", "/v1/settle?day=2026-11-01", Some(&token)).status, 200);
    fs::write(instance.root().join("catalog.toml"), CATALOG.replace("End to end", "Renamed"))
        .expect("written");
    wait_for("the catalog to be entered", SOON, || !of_act(&entries(&instance), "catalog.taken").is_empty());

    let all = entries(&instance);
    let reports = of_act(&all, "report.read");
    let [shown, unknown] = &reports[..] else { panic!("two reports were asked for: {all:#?}") };
    assert_eq!((&shown["actor"], &shown["object"]), (&"operator".into(), &"campaign demo".into()));
    for (name, value) in [("report", "reach"), ("by", "day"), ("filter", "gross")] {
        assert_eq!(shown["details"][name], value);
    }
    assert_eq!(
        (&shown["details"]["status"], &shown["details"]["bytes"]),
        (&200.into(), &answer.body.len().into())
    );
    assert_eq!((&unknown["object"], &unknown["details"]["status"]), (&"".into(), &404.into()));
    assert_eq!(of_act(&all, "campaigns.read").len(), 0, "who has no token sees nothing and fills no log");
    assert_eq!(of_act(&all, "figures.settle")[0]["details"]["day"], "2026-11-01");
    assert_eq!(of_act(&all, "figures.settled")[0]["details"]["status"], 200);
    assert_eq!(of_act(&all, "keys.drawn").len(), 1);
    let drawn: Vec<String> =
        of_act(&all, "secrets.drawn").iter().map(|entry| entry["object"].to_string()).collect();
    for name in ["link.key", "operator.token", "replay.key", "debug.key"] {
        assert_eq!(drawn.iter().filter(|object| object.contains(name)).count(), 1, "{name}: {drawn:?}");
    }
    assert_eq!(of_act(&all, "process.started")[0]["object"], "standalone");
    let text = fs::read_to_string(log_file(&instance)).expect("read");
    assert!(!text.contains(&token));
    assert!(instance.metric("audit_entries_total") >= all.len() as u64);

    // Killed and started again, the chain goes on.
    instance.kill9();
    instance.restart();
    let (code, head) = run(&instance, &["audit", "head"]);
    assert_eq!(code, Some(0), "{head}");
    assert!(instance.terminate().success());
    assert_eq!(of_act(&entries(&instance), "process.stopped").len(), 1, "the first one was killed");
    let (code, text) = run(&instance, &["audit", "verify", "--head", head.trim()]);
    assert_eq!(code, Some(0), "{text}");

    // A changed byte, wherever it is; a line that is gone; an end that was cut off.
    let path = log_file(&instance);
    let bytes = fs::read(&path).expect("read");
    for at in (0..bytes.len()).step_by(bytes.len() / 7) {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        fs::write(&path, &changed).expect("written");
        let line = bytes[..at].split(|byte| *byte == b'\n').count();
        let (code, text) = run(&instance, &["audit", "verify"]);
        assert_eq!(code, Some(1), "byte {at}: {text}");
        assert!(text.contains(&format!("audit-000001.jsonl:{line}: CHANGED")), "byte {at}: {text}");
    }
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    fs::write(&path, lines[1..].concat()).expect("written");
    assert_eq!(run(&instance, &["audit", "verify"]).0, Some(1));
    fs::write(&path, lines[..2].concat()).expect("written");
    let kept = instance.data().join("keys/audit.head");
    fs::rename(&kept, kept.with_extension("aside")).expect("moved");
    let (code, text) = run(&instance, &["audit", "verify"]);
    assert_eq!(code, Some(0), "a beginning is whole by itself: {text}");
    assert!(text.contains("no head is kept"), "{text}");
    assert_eq!(
        run(&instance, &["audit", "verify", "--head", head.trim()]).0,
        Some(1),
        "but not beside a head"
    );
}

#[test]
fn whole_lines_that_were_cut_off_are_told_before_and_after_the_next_start() {
    let mut instance = start();
    let token = instance.secret("operator.token");
    for _ in 0..5 {
        assert_eq!(ask(&instance, "GET", "/v1/campaigns", Some(&token)).status, 200);
    }
    assert!(instance.terminate().success());
    let (code, text) = run(&instance, &["audit", "verify"]);
    assert_eq!(code, Some(0), "{text}");

    let path = log_file(&instance);
    let bytes = fs::read(&path).expect("read");
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    let left = lines.len() - 3;
    fs::write(&path, lines[..left].concat()).expect("cut");
    let missing = format!("entries {} to {} are missing", left + 1, lines.len());
    let (code, text) = run(&instance, &["audit", "verify"]);
    assert!(code == Some(1) && text.contains(&missing), "{text}");

    instance.restart();
    assert_eq!(instance.metric("audit_damage_found_count"), 1);
    let (code, text) = run(&instance, &["audit", "verify"]);
    assert!(
        code == Some(1) && text.contains(&missing),
        "what was written behind the cut hides nothing: {text}"
    );
    assert!(instance.terminate().success());
    let (code, text) = run(&instance, &["audit", "verify"]);
    assert!(code == Some(1) && text.contains(&missing), "{text}");
    // Whoever has looked into it says so.
    let entry = (left + 1).to_string();
    let (code, text) = run(&instance, &["audit", "verify", "--known", &entry]);
    assert!(code == Some(0) && text.contains(&missing), "{text}");
}

#[test]
fn who_reads_the_security_log_is_entered_while_the_instance_runs_and_while_it_does_not() {
    let mut instance = start();
    let (code, text) = run(&instance, &["security-log", "read", "--since", "2026-11-01"]);
    assert_ne!(code, Some(2), "{text}");
    let of = |instance: &Instance| -> Vec<Value> {
        of_act(&entries(instance), "security_log.read").into_iter().cloned().collect()
    };
    let read = of(&instance);
    assert_eq!(read.len(), 1, "{read:?}");
    assert_eq!(
        (&read[0]["actor"], &read[0]["details"]["since"]),
        (&"command line".into(), &"2026-11-01".into())
    );
    assert!(instance.terminate().success());
    assert_eq!(run(&instance, &["security-log", "read"]).0, Some(0));
    assert_eq!(of(&instance).len(), 2);
    assert_eq!(run(&instance, &["audit", "verify"]).0, Some(0));
    // Where it cannot be entered, nothing is read.
    let dir = instance.data().join("audit");
    let aside = instance.data().join("audit-aside");
    fs::rename(&dir, &aside).expect("moved");
    fs::create_dir(&dir).expect("made");
    fs::create_dir(dir.join("audit-000001.jsonl")).expect("in the way");
    let (code, text) = run(&instance, &["security-log", "read", "--format", "json"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("has to be entered in the audit log") && !text.contains("\"route\""), "{text}");
}

#[test]
fn what_cannot_be_entered_is_neither_shown_nor_done() {
    let instance = Instance::start(Options {
        sections: "[audit]\nfile_bytes_max = 65536".to_owned(),
        ..Options::default()
    });
    let token = instance.secret("operator.token");
    let campaigns = || ask(&instance, "GET", "/v1/campaigns", Some(&token)).status;
    assert_eq!(campaigns(), 200);
    // The file that is open is written on until it is full; for the next one there is no place.
    let dir = instance.data().join("audit");
    let aside = instance.data().join("audit-aside");
    fs::rename(&dir, &aside).expect("moved");
    let refused = (0..ENTRIES_MAX).find(|_| campaigns() == 503);
    assert!(
        refused.is_some(),
        "entries of {} bytes and more do not fill a file of 64 KiB",
        (64 << 10) / ENTRIES_MAX
    );
    let answer = ask(&instance, "GET", "/v1/campaigns/demo/reach", Some(&token));
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (503, &"audit".into()), "{}", answer.text());
    assert_eq!(ask(&instance, "POST", "/v1/settle", Some(&token)).status, 503);
    assert!(instance.metric("audit_failures_total") > 0);
    // Beacons are none of its business.
    let mut connection = Connection::open(instance.tracker()).expect("connects");
    assert_eq!(connection.get("/i?c=demo&p=p1", &[]).expect("an answer").status, 200);
    fs::rename(&aside, &dir).expect("moved back");
    assert_eq!(campaigns(), 200);
    assert_eq!(run(&instance, &["audit", "verify"]).0, Some(0));
}
