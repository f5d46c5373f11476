//! Kafka stops and comes back: what still works, what is promised, and when a node stops to measure.

use std::time::{Duration, Instant};

use opt_out::{Following, Limits, Settings};

use crate::kafka::{Broker, Line, is_listed, may_measure, node, oaid, role, settings};
use crate::support::{Role, ids_json, keys, send, wait_until};

const LEASE: Duration = Duration::from_secs(3);

/// What a busy machine may add to an answer's time, which is measured from outside.
const SLACK: Duration = Duration::from_millis(1_500);

/// By how much the kernel's coarse clock, on which a lease ends, may be behind.
const TICK: Duration = Duration::from_millis(10);

/// Waits until the node stops. It must not be seen measuring after this moment, however busy the machine is: each look is dated before it.
fn stops_by(node: &Following, last: Instant) {
    let mut looked = Instant::now();
    while may_measure(node) {
        assert!(looked < last + TICK, "it still measures: {:?}", node.state());
        looked = Instant::now();
        std::thread::yield_now();
    }
}

fn patient_for(seconds: u64) -> Settings {
    let limits = Limits { storage_seconds_max: seconds, ..settings().limits };
    Settings { limits, lease_seconds: LEASE.as_secs(), ..settings() }
}

/// 503 for a device, in time; the browser's cookie works.
fn promises_nothing_but_the_cookie(role: &Role, number: u32) {
    let limit = Duration::from_secs(role.settings.limits.storage_seconds_max);
    let began = Instant::now();
    let answer = role.call("/v1/opt-outs", &ids_json(&[("oaid", &oaid(number))]));
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("30")), "{}", answer.body);
    assert!(began.elapsed() < limit + SLACK, "{:?}", began.elapsed());
    assert!(answer.body.contains("cookie works all the same"), "{}", answer.body);
    let form = format!("action=device&kind=oaid&value={}", oaid(number));
    let page = role.submit(&[], &form);
    assert_eq!(page.status, 503);
    assert!(page.body.contains("browser&#39;s cookie works all the same"), "{}", page.body);
    assert_eq!(role.get("/opt-out", &[]).status, 200);
    let out = role.submit(&[], "action=browser_out");
    assert_eq!(out.status, 303);
    assert!(
        out.cookie(opt_out::COOKIE_NAME).is_some_and(|(pair, _)| pair.len() > opt_out::COOKIE_NAME.len() + 1)
    );
}

#[test]
fn a_node_measures_while_it_knows_and_stops_within_the_lease() {
    let broker = Broker::start();
    let (cluster, keys) = (broker.cluster(), keys());
    let role = role(&cluster, &patient_for(2), &keys);
    let line = Line::to(role.address());
    let asking = Settings { heartbeat_urls: vec![line.url()], ..patient_for(2) };
    let node = node(&cluster, &asking, &keys);
    let deaf = self::node(&cluster, &patient_for(2), &keys);
    wait_until("the first opt-out", || {
        role.call("/v1/opt-outs", &ids_json(&[("oaid", &oaid(1))])).status == 200
    });
    wait_until("nodes that measure", || may_measure(&node) && may_measure(&deaf));
    wait_until("the opt-out", || is_listed(node.list(), &oaid(1), &keys));

    broker.kill();
    let killed = Instant::now();
    promises_nothing_but_the_cookie(&role, 2);
    // Whoever hears nobody stops; who hears the role over HTTP goes on.
    stops_by(&deaf, killed + LEASE);
    while killed.elapsed() < LEASE * 3 {
        assert!(may_measure(&node) && !may_measure(&deaf), "{:?} {:?}", node.state(), deaf.state());
        std::thread::yield_now();
    }
    assert!(deaf.state().refusal.is_some_and(|why| why.contains("no opt-out role was heard for")));
    let beat = send(role.address(), "GET", "/v1/heartbeat", &[], b"");
    assert_eq!((beat.status, &beat.json()["kafka"]), (200, &false.into()));
    assert!(is_listed(node.list(), &oaid(1), &keys) && !is_listed(node.list(), &oaid(2), &keys));

    // A role that is started now serves what needs no registry, and answers for nothing.
    let newcomer = self::role(&cluster, &patient_for(1), &keys);
    promises_nothing_but_the_cookie(&newcomer, 3);
    assert_eq!(send(newcomer.address(), "GET", "/v1/heartbeat", &[], b"").status, 503);
    assert!(newcomer.registry.refusal().is_some());

    line.cut(true);
    let cut = Instant::now();
    stops_by(&node, cut + LEASE);
    wait_until("it says who is silent", || node.state().refusal.is_some_and(|why| why.contains(&line.url())));
    line.cut(false);
    wait_until("it goes on", || may_measure(&node));
    line.cut(true);
    wait_until("it stops again", || !may_measure(&node));

    broker.restart();
    wait_until("both go on by themselves", || may_measure(&node) && may_measure(&deaf));
    wait_until("the role takes opt-outs", || {
        role.call("/v1/opt-outs", &ids_json(&[("oaid", &oaid(4))])).status == 200
    });
    wait_until("the newcomer does", || {
        newcomer.call("/v1/opt-outs", &ids_json(&[("oaid", &oaid(5))])).status == 200
    });
    // What was asked for while Kafka was away was on its way, and is in force everywhere or nowhere.
    for number in [1, 2, 4, 5] {
        wait_until("in force on both nodes", || {
            [&node, &deaf].iter().all(|node| is_listed(node.list(), &oaid(number), &keys))
        });
    }
    assert!(!is_listed(node.list(), &oaid(3), &keys), "the newcomer took nothing");
    newcomer.handle.stop();
    role.handle.stop();
}
