//! A node that does not know every opt-out measures nobody, says so to those who may ask, and lets clicks land.

use std::time::{Duration, Instant};

use event::identifier::IdKind;
use event::outcome::Outcome;

use crate::rig::{DEBUG_KEY, NOW_MS, Reply, Rig, eventually};

const IMEI: &str = "490154203237518";
const COOKIE: (&str, &str) = ("cookie", "sightline_opt_out=1");
const DEBUG: (&str, &str) = ("x-sightline-debug", DEBUG_KEY);
const UNKNOWN: &str = "rejected; reason=opt_out_unknown";

fn told(reply: &Reply) -> (u16, &str, &str) {
    (reply.status, reply.header("x-sightline-outcome"), reply.header("retry-after"))
}

#[test]
fn nothing_is_stored_and_pixels_are_to_be_sent_again() {
    let rig = Rig::start();
    assert!(rig.get("/i?c=demo&p=p1").is_pixel());
    rig.grant.revoke("a test");
    for target in ["/i?c=demo&p=p1", "/e/viewable?c=later&p=p1", "/c?c=demo&p=bare"] {
        assert_eq!(told(&rig.connect().get(target, &[DEBUG])), (503, UNKNOWN, "5"), "{target}");
    }
    // What would be rejected anyway is rejected for its own reason: sending it again would not help.
    let reply = rig.connect().get("/i?c=demo", &[DEBUG]);
    assert_eq!(told(&reply), (200, "rejected; reason=missing_placement", ""));
    rig.grant.extend(Instant::now() + Duration::from_hours(1), NOW_MS);
    assert!(rig.get("/i?c=demo&p=p1").is_pixel());
    let stored = rig.stop();
    assert_eq!((stored.received(), stored.events.len()), (6, 2));
    assert_eq!((stored.count(Outcome::OptOutUnknown), stored.count(Outcome::MissingPlacement)), (3, 1));
}

#[test]
fn clicks_land_as_ever_and_are_counted() {
    let rig = Rig::start();
    let targets = [
        "/c?c=demo&p=p1",
        "/c?c=demo&p=p1&u=https%3A%2F%2Fwww.example.com%2Fx",
        "/c?c=demo&p=bare&u=https%3A%2F%2Fother.example%2F",
    ];
    let landing = |reply: &Reply| (reply.status, reply.header("location").to_owned(), reply.body.clone());
    let before = targets.map(|target| landing(&rig.get(target)));
    rig.grant.revoke("a test");
    for (target, expected) in targets.iter().zip(&before) {
        let reply = rig.connect().get(target, &[DEBUG]);
        assert_eq!(landing(&reply), *expected, "{target}");
        assert_eq!(reply.header("x-sightline-outcome"), UNKNOWN, "{target}");
    }
    let stored = rig.stop();
    assert_eq!((stored.count(Outcome::OptOutUnknown), stored.events.len()), (3, 3));
}

#[test]
fn a_batch_says_it_for_each_item() {
    let rig = Rig::start();
    rig.grant.revoke("a test");
    let body = r#"[{"c":"demo","p":"p1","stage":"imp"},{"c":"demo","stage":"imp"},{"c":"demo","p":"p1","stage":"click"}]"#;
    let reply = rig.connect().request("POST", "/v1/events", &[], body.as_bytes());
    assert_eq!((reply.status, reply.header("retry-after")), (503, "5"));
    let results: serde_json::Value = serde_json::from_slice(&reply.body).expect("JSON");
    let reasons: Vec<_> = results["results"]
        .as_array()
        .expect("results")
        .iter()
        .map(|result| result["reason"].as_str().expect("a reason").to_owned())
        .collect();
    assert_eq!(reasons, ["opt_out_unknown", "missing_placement", "opt_out_unknown"]);
    let stored = rig.stop();
    assert_eq!((stored.count(Outcome::OptOutUnknown), stored.received(), stored.events.len()), (2, 3, 0));
}

#[test]
fn nobody_can_tell_from_it_who_opted_out() {
    let rig = Rig::start();
    rig.opt_out(IdKind::Imei, IMEI);
    rig.grant.revoke("a test");
    let look = |target: &str, headers: &[(&str, &str)]| {
        let mut reply = rig.connect().get(target, &[headers, &[DEBUG]].concat());
        reply.headers.remove("date");
        let mut headers: Vec<_> = reply.headers.into_iter().collect();
        headers.sort();
        (reply.status, headers, reply.body)
    };
    for path in ["/i?c=demo&p=p1", "/c?c=demo&p=p1"] {
        let stranger = look(&format!("{path}&imei=356938035643809"), &[]);
        assert_eq!(look(&format!("{path}&imei={IMEI}"), &[]), stranger);
        assert_eq!(look(path, &[COOKIE]), stranger);
    }
    assert_eq!(rig.stop().count(Outcome::OptOutUnknown), 6);
}

#[test]
fn readiness_says_why() {
    let rig = Rig::start();
    let handle = rig.handle.as_ref().expect("running");
    assert!(handle.readiness().pixels && handle.readiness().pixels_refusal.is_none());
    rig.grant.revoke("the topic is gone");
    let readiness = handle.readiness();
    assert!(!readiness.pixels && readiness.clicks);
    assert_eq!(readiness.pixels_refusal.as_deref(), Some("the topic is gone"));
    // A lease ends by itself, whoever was to renew it.
    rig.grant.extend(Instant::now() + Duration::from_millis(50), NOW_MS);
    eventually("the end of the lease", || !handle.readiness().pixels);
    assert!(handle.readiness().clicks);
    assert_eq!(rig.get("/i?c=demo&p=p1").status, 503);
    rig.stop();
}
