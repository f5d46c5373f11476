//! Opted out: nothing is stored, and nobody can tell.

use std::time::Instant;

use event::identifier::IdKind;
use event::outcome::Outcome;

use crate::disk::Mood;
use crate::rig::{DEBUG_KEY, Reply, Rig};

const IMEI: &str = "490154203237518";
const OAID: &str = "3f8c2d9e-7a41-4b6f-9c1e-5d2a8b7c6e10";
const COOKIE: (&str, &str) = ("cookie", "a=b; sightline_opt_out=1.receipt");

/// Everything of an answer that a caller sees but its moment.
fn visible(mut reply: Reply) -> (u16, Vec<(String, String)>, Vec<u8>) {
    reply.headers.remove("date");
    let mut headers: Vec<_> = reply.headers.into_iter().collect();
    headers.sort();
    (reply.status, headers, reply.body)
}

#[test]
fn nothing_of_an_opted_out_device_is_stored() {
    let rig = Rig::start();
    let by_id = format!("/i?c=demo&p=p1&oaid={OAID}&imei={IMEI}");
    assert!(rig.get(&by_id).is_pixel());
    rig.opt_out(IdKind::Imei, IMEI);
    // Any id of the hit counts, not only the chosen one; and the cookie.
    assert!(rig.get(&by_id).is_pixel());
    assert!(rig.get(&format!("/i?c=demo&p=p1&imei_md5={}", "b1c6a2d1e5f4")).is_pixel());
    assert!(rig.connect().get("/i?c=demo&p=p1", &[COOKIE]).is_pixel());
    assert!(rig.connect().get(&by_id, &[("sec-gpc", "1")]).is_pixel());
    assert!(rig.get(&format!("/i?c=demo&p=p1&oaid={OAID}")).is_pixel());
    let stored = rig.stop();
    assert_eq!((stored.received(), stored.count(Outcome::OptedOut), stored.events.len()), (6, 3, 3));
}

#[test]
fn the_caller_of_an_opted_out_device_sees_what_all_others_see() {
    let rig = Rig::start();
    let mut client = rig.connect();
    let debug = ("x-sightline-debug", DEBUG_KEY);
    let old = "&t=1794500000";
    let targets: Vec<String> = [
        "/i?c=demo&p=p1",
        "/i?c=later&p=p1",
        "/c?c=demo&p=p1",
        "/c?c=demo&p=bare",
        "/i?c=demo",
        "/e/x?c=demo&p=p1",
    ]
    .iter()
    .flat_map(|target| [(*target).to_owned(), format!("{target}{old}")])
    .map(|target| format!("{target}{}imei={IMEI}", if target.contains('?') { "&" } else { "?" }))
    .collect();
    let mut look = |headers: &[(&str, &str)]| -> Vec<_> {
        targets.iter().map(|target| visible(client.get(target, headers))).collect()
    };
    let before = look(&[debug]);
    let by_cookie = look(&[debug, COOKIE]);
    rig.opt_out(IdKind::Imei, IMEI);
    let after = look(&[debug]);
    assert_eq!(before, after);
    assert_eq!(before, by_cookie);

    let batch = format!(
        r#"[{{"c":"demo","p":"p1","stage":"imp","imei":"{IMEI}"}},{{"c":"new","p":"p1","stage":"imp","imei":"{IMEI}"}},{{"c":"demo","imei":"{IMEI}"}}]"#
    );
    let listed = visible(rig.connect().request("POST", "/v1/events", &[], batch.as_bytes()));
    let other = batch.replace(IMEI, "356938035643809");
    let unlisted = visible(rig.connect().request("POST", "/v1/events", &[], other.as_bytes()));
    assert_eq!(listed, unlisted);
    let stored = rig.stop();
    assert_eq!(stored.count(Outcome::OptedOut), 2 * 4 + 2);
}

#[test]
fn an_opted_out_hit_waits_for_the_journal_like_any_other() {
    let rig = Rig::with(|settings, _| settings.limits.storage_seconds_max = 1);
    rig.opt_out(IdKind::Imei, IMEI);
    let hidden = format!("/i?c=demo&p=p1&imei={IMEI}");
    rig.disk.set(Mood::Hung);
    let began = Instant::now();
    assert_eq!(rig.get(&hidden).status, 503);
    assert!(began.elapsed().as_millis() >= 900, "it did not wait");
    let reply =
        rig.connect().get(&format!("/c?c=demo&p=p1&imei={IMEI}"), &[("x-sightline-debug", DEBUG_KEY)]);
    assert_eq!((reply.status, reply.header("x-sightline-outcome")), (302, "unconfirmed_click"));
    rig.disk.set(Mood::Failing);
    crate::rig::eventually("a failed journal", || rig.get("/i?c=demo&p=p1").status == 503);
    assert_eq!(rig.get(&hidden).status, 503);
    rig.disk.set(Mood::Well);
    crate::rig::eventually("a journal that is well again", || rig.get(&hidden).is_pixel());
    rig.stop();
}

#[test]
fn opting_in_again_is_in_force_at_once() {
    let rig = Rig::start();
    let target = format!("/i?c=demo&p=p1&imei={IMEI}");
    rig.opt_out(IdKind::Imei, IMEI);
    assert!(rig.get(&target).is_pixel());
    for hash in event::identifier::lodge(IdKind::Imei, IMEI.as_bytes(), &rig.keys).expect("good").hashes {
        rig.opt_outs.remove(&hash);
    }
    assert!(rig.get(&target).is_pixel());
    let stored = rig.stop();
    assert_eq!((stored.count(Outcome::OptedOut), stored.events.len()), (1, 1));
}
