//! The security log of the whole program: a run of Miaozhen-style beacons, whose identifiers stand in the path, leaves none in it; somebody who opted
//! out looks like anybody; and the process that writes it cannot read it.

#![cfg(test)]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::{Value, json};

use support::http::Connection;
use support::random::Random;
use support::scanner::{Scanner, Secret};
use support::{Instance, Options};

/// The log as its reader sees it.
fn read(instance: &Instance, words: &[&str]) -> Vec<Value> {
    let data = instance.data().display().to_string();
    let words = [&["security-log", "read", "--format", "json", "--data", &data][..], words].concat();
    let output = instance.command(&words);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout)
        .expect("text")
        .lines()
        .map(|line| serde_json::from_str(line).expect("a request"))
        .collect()
}

fn fire(instance: &Instance, target: &str) -> u16 {
    let mut connection = Connection::open(instance.tracker()).expect("connects");
    connection.get(target, &[("user-agent", "Dalvik/2.1.0"), ("cookie", "a=b")]).expect("an answer").status
}

/// Sends what is no HTTP, and waits until the connection is closed.
fn refused(address: SocketAddr) {
    let mut stream = TcpStream::connect(address).expect("connects");
    stream.write_all(b"this is no HTTP\r\n\r\n").expect("sent");
    let mut answer = Vec::new();
    // It may be reset once it is refused.
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 400"), "{}", String::from_utf8_lossy(&answer));
}

#[test]
fn a_run_of_beacons_with_identifiers_in_their_paths_leaves_none_in_it() {
    let mut random = Random::announced("a_run_of_beacons_with_identifiers_in_their_paths_leaves_none_in_it");
    let mut instance = Instance::start(Options {
        opt_out: "[opt_out.limits]\nrequests_burst_max = 100000".to_owned(),
        ..Options::default()
    });
    let mut secrets = Vec::new();
    let mut draw = |name: &str, length: usize, digits: u64| {
        let text: String = (0..length)
            .map(|_| char::from_digit(random.below(digits) as u32, 16).expect("a digit"))
            .collect();
        secrets.push(Secret { name: name.to_owned(), text: text.clone() });
        text
    };
    // Impressions and clicks in Miaozhen's grammar: every identifier that it knows stands in the path.
    for _ in 0..20 {
        let (imei, android, oaid, mac, page) = (
            draw("imei", 15, 10),
            draw("android id", 16, 16),
            draw("oaid", 32, 16),
            draw("mac", 12, 16),
            draw("page", 24, 16),
        );
        for root in ["/x/", "/r/"] {
            let path = format!(
                "{root}k=demo&p=p1&m0={oaid}&m1={android}&m1a={android}&m2={imei}&m3={mac}&m6={mac}&ni={page}&mo=0&ns=203.0.113.9&o=https://www.example.com/{page}"
            );
            let status = fire(&instance, &path);
            assert!(status == 200 || status == 302, "{path}: {status}");
        }
    }
    // Somebody opts out, and is seen once more; somebody who did not, too.
    let (out, other) = (draw("oaid", 32, 16), draw("oaid", 32, 16));
    let mut page = Connection::open(instance.opt_out()).expect("connects");
    let lodged = page
        .post_json("/v1/opt-outs", &[], &json!({"ids": [{"kind": "oaid", "value": out}]}))
        .expect("an answer");
    assert_eq!(lodged.status, 200, "{}", lodged.text());
    for oaid in [&out, &other] {
        assert_eq!(fire(&instance, &format!("/x/k=demo&p=p1&m0={oaid}")), 200);
    }
    // What the HTTP library refuses has no route, and is noted all the same.
    for address in [instance.tracker(), instance.opt_out(), instance.reports()] {
        refused(address);
    }
    instance.metric("security_log_dropped_total");
    instance.report("demo/reach", "");
    assert_eq!(instance.ask("GET", "/v1/campaigns/demo/delivery")["campaign"], "demo");
    assert!(instance.terminate().success());

    let log = read(&instance, &[]);
    let of = |role: &str, route: &str| -> Vec<&Value> {
        log.iter().filter(|entry| entry["role"] == role && entry["route"] == route).collect()
    };
    assert_eq!((of("tracker", "pixel").len(), of("tracker", "click").len()), (22, 20), "{log:#?}");
    assert_eq!((of("opt_out", "opt_outs").len(), of("reports", "report").len()), (1, 2), "{log:#?}");
    for role in ["tracker", "opt_out", "reports"] {
        let refused = of(role, "bad_http");
        assert!(refused.len() == 1 && refused[0]["status"] == 0, "{role}: {refused:?}");
    }
    assert!(!of("admin", "probe").is_empty(), "{log:#?}");
    for entry in &log {
        let names: Vec<&String> = entry.as_object().expect("an object").keys().collect();
        assert_eq!(names, ["time", "address", "role", "route", "method", "status", "bytes"]);
        assert_eq!(entry["address"], "127.0.0.1");
    }
    // But for the second in which they came, all pixels are the same: also that of who opted out.
    let mut pixels: Vec<Value> = of("tracker", "pixel").into_iter().cloned().collect();
    for pixel in &mut pixels {
        pixel["time"] = Value::Null;
    }
    pixels.dedup();
    assert_eq!(pixels.len(), 1, "{pixels:#?}");

    nothing_is_found_in(&log, &secrets);

    the_private_key_goes_to_whoever_reads(&mut instance);
}

/// As its reader opens it: sealed, it would hold nothing that could be found.
fn nothing_is_found_in(log: &[Value], secrets: &[Secret]) {
    let opened = serde_json::to_string(log).expect("JSON");
    let mut scanner = Scanner::new(secrets);
    scanner.look("the security log", opened.as_bytes());
    assert!(scanner.found.is_empty(), "{:#?}", scanner.found);
    scanner.look("the log and an identifier", (opened + &secrets[0].text).as_bytes());
    assert!(!scanner.found.is_empty(), "what is looked for would be found there");
}

/// The process writes on without it.
fn the_private_key_goes_to_whoever_reads(instance: &mut Instance) {
    let elsewhere = instance.root().join("kept-by-somebody-else.key");
    fs::rename(instance.data().join("keys/security.key"), &elsewhere).expect("moved");
    instance.restart();
    assert_eq!(fire(instance, "/i?c=demo&p=p1"), 200);
    assert!(instance.terminate().success());
    assert!(!instance.data().join("keys/security.key").exists(), "none is drawn in its place");
    let key = elsewhere.display().to_string();
    let more = read(instance, &["--key", &key]);
    assert_eq!(more.iter().filter(|entry| entry["route"] == "pixel").count(), 23);
    let output =
        instance.command(&["security-log", "read", "--data", &instance.data().display().to_string()]);
    assert_eq!(output.status.code(), Some(1), "nobody reads it without the key");
}
