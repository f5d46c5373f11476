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

/// What a sender can write beside or around an identifier does not hide that its owner opted out.
#[test]
fn no_way_of_writing_a_url_hides_an_opt_out() {
    const OTHER: &str = "aaaaaaaa-efbb-29e0-0bdd-f5dbbf751ab5";
    const IDFA: &str = "3E0046F7-8BD4-4F3E-9F91-358B137D2BF0";
    const IDFA_MD5: &str = "77d06cb28c1771e8019be4f4fb6e1938";
    let rig = Rig::start();
    let text = "[[campaign]]\nid = \"1\"\nname = \"One\"\ntime_zone = \"UTC\"\n\
                [[campaign.placement]]\nid = \"2\"\nname = \"P\"\nmedium = \"M\"\n\
                [[campaign.placement]]\nid = \"tx\"\nname = \"P\"\nmedium = \"M\"\nprofile = \"tencent\"\n";
    rig.catalog.store(catalog::Catalog::parse(text, "catalog.toml").expect("sound").into());
    let dashless = IDFA.replace('-', "");
    let targets = [
        format!("/x/k=1&p=2&mo=0&m11={OAID}&m11={OTHER}&o="),
        format!("/x/k=1&p=2&mo=0&m11={OAID}&m11=null&m2=8d3ebd3654fb46a2832296669cf1b536&o="),
        format!("/x?k=1&p=2&m11={OTHER}&m11={OAID}&m11=__OAID__"),
        format!("/i/a1,b2,z{IDFA},0a1,m202,zzoocdni,h"),
        format!("/i/a1,b2,z{IDFA},z7A0046F7-8BD4-4F3E-9F91-358B137D2BF0,h"),
        format!("/ddm/trackimp/N1/B1.2;dc_rdid={IDFA};dc_rdid=null;ord=1"),
        format!("/x/k=1&p=tx&m2={IDFA_MD5}&o="),
        format!("/x/k=1&p=tx&mo=0&m2={IDFA_MD5}&o="),
        format!("/x/k=1&p=tx&mo=3&m2={IDFA_MD5}&m2=null&o="),
        format!("/x/k=1&p=2&mo=1&m5={dashless}&o="),
        format!("/x/k=1&p=2&mo=1&m5b={}&o=", dashless.to_lowercase()),
    ];
    for target in &targets {
        assert_eq!(rig.outcome(target, &[]), "accepted", "{target}");
    }
    rig.opt_out(IdKind::Oaid, OAID);
    rig.opt_out(IdKind::Idfa, IDFA);
    for target in &targets {
        assert_eq!(rig.outcome(target, &[]), "accepted", "as it is shown: {target}");
    }
    // Nobody doubles one parameter more often than a limit.
    let many = (10..40)
        .fold(String::new(), |items, n| items + &format!("&m11=aaaaaaaa-efbb-29e0-0bdd-f5dbbf751a{n}"));
    assert_eq!(rig.outcome(&format!("/x/k=1&p=2{many}&o="), &[]), "rejected; reason=contradictory");
    let stored = rig.stop();
    assert_eq!((stored.count(Outcome::OptedOut), stored.events.len()), (targets.len() as u64, targets.len()));
}
