//! The built-in dialects, each on what its senders write and on what they should not.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

use event::dialect::{Dialects, LinkFor, PartMeaning, PartState, Scratch, Table};
use event::hit::{Field, Hit, risk};
use event::identifier::IdField;
use event::outcome::Outcome;
use event::profile::Profiles;
use event::stage::Stage;
use event::time;
use proptest::prelude::*;

fn split(target: &str) -> (&str, Option<&str>) {
    target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)))
}

/// What a target says: dialect, stage or reason, and every field that is set.
fn said(target: &str) -> (String, Result<Stage, Outcome>, Vec<(String, String)>) {
    let (path, query) = split(target);
    let entry =
        Dialects::built_in().route(path, query).unwrap_or_else(|| panic!("{target} is of no dialect"));
    let mut scratch = Scratch::new();
    let reading = entry.read(&mut scratch);
    let stage = reading.defect.map_or_else(|| Ok(reading.hit.stage.unwrap()), Err);
    (entry.table.name().to_owned(), stage, fields(&reading.hit))
}

fn fields(hit: &Hit<'_>) -> Vec<(String, String)> {
    let plain = [
        ("campaign", hit.campaign),
        ("placement", hit.placement),
        ("creative", hit.creative),
        ("time", hit.time),
        ("request_id", hit.request_id),
        ("group_id", hit.group_id),
        ("ip", hit.ip),
        ("user_agent", hit.user_agent),
        ("os", hit.os),
        ("landing_url", hit.landing_url),
        ("gdpr", hit.gdpr),
        ("gdpr_consent", hit.gdpr_consent),
        ("gpp", hit.gpp),
        ("gpp_sid", hit.gpp_sid),
        ("limit_ad_tracking", hit.limit_ad_tracking),
        ("child_directed", hit.child_directed),
        ("caid_version", hit.caid_version),
        ("ifa_type", hit.ifa_type),
        ("link_expires", hit.link_expires),
        ("link_signature", hit.link_signature),
    ];
    let ids = IdField::ALL.into_iter().zip(hit.ids).map(|(field, value)| (field.name(), value));
    let set = plain.into_iter().chain(ids).filter_map(|(name, value)| Some((name, value?)));
    set.map(|(name, value)| (name.to_owned(), String::from_utf8_lossy(value).into_owned())).collect()
}

/// `target` is of this dialect, has this stage, and says exactly this beside campaign 1 and placement 2.
#[track_caller]
fn is(target: &str, dialect: &str, stage: Stage, more: &[(&str, &str)]) {
    let (name, found, fields) = said(target);
    assert_eq!((name.as_str(), found), (dialect, Ok(stage)), "{target}");
    let mut expected = vec![("campaign", "1"), ("placement", "2")];
    expected.extend_from_slice(more);
    let fields: Vec<(&str, &str)> =
        fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let (mut fields, mut expected) = (fields, expected);
    fields.sort_unstable();
    expected.sort_unstable();
    assert_eq!(fields, expected, "{target}");
}

#[track_caller]
fn is_refused(target: &str, dialect: &str, outcome: Outcome) {
    let (name, found, _) = said(target);
    assert_eq!((name.as_str(), found), (dialect, Err(outcome)), "{target}");
}

#[test]
fn miaozhen_as_apps_browsers_and_televisions_write_it() {
    let imp = Stage::Impression;
    is("/x/k=1&p=2&o=", "miaozhen", imp, &[]);
    is(
        "/x/k=1&p=2&ns=1.2.3.4&tr=r&mo=1&m5=A&m5a=B&o=",
        "miaozhen",
        imp,
        &[("ip", "1.2.3.4"), ("request_id", "r"), ("os", "1"), ("idfa", "A"), ("idfv", "B")],
    );
    is(
        "/x/k=1&p=2&m6=a&m6a=b&m6b=c&m6c=d&m6d=e&m6o=f&rt=2&sn=__SN__&o=",
        "miaozhen",
        imp,
        &[("mac_colons_md5", "a"), ("mac_md5", "b"), ("mac2", "c"), ("mac3", "d"), ("mac4", "e")],
    );
    is(
        "/x/k=1&p=2&m14=a&m14a=b&m11=c&m11a=d&m4=e&m5b=f&m3=g&m2=h&m1=i&m1a=j&m0=k",
        "miaozhen",
        imp,
        &[
            ("caid", "a"),
            ("caid_md5", "b"),
            ("oaid", "c"),
            ("oaid_md5", "d"),
            ("aaid", "e"),
            ("idfa_md5", "f"),
            ("imei", "g"),
            ("imei_md5", "h"),
            ("android_id", "i"),
            ("android_id_md5", "j"),
            ("openudid", "k"),
        ],
    );
    is("/x?k=1&p=2", "miaozhen", imp, &[]);
    is("/x.gif?k=1&p=2&vf=a&mt=5", "miaozhen", imp, &[("group_id", "a"), ("time", "5")]);
    is("/x/?k=1&p=2", "miaozhen", imp, &[]);
    is("/x/k=%31&p=%32&m11=%e5%B9%bf&&&;", "miaozhen", imp, &[("oaid", "广")]);
    is("/x/k=1&p=2%20&m5=%20A+%20", "miaozhen", imp, &[("idfa", "A+")]);
    is(
        "/r/k=1&p=2&m5=A&m5=B&o=https://a.example/?m5=C#top",
        "miaozhen",
        Stage::Click,
        &[("idfa", "B"), ("landing_url", "https://a.example/?m5=C#top")],
    );
    is("/r/k=1&p=2&o=%48TTP%3A//a.example", "miaozhen", Stage::Click, &[("landing_url", "HTTP://a.example")]);
    is(
        "/r/k=1&p=2&o=HTTPS://a.example/%20x",
        "miaozhen",
        Stage::Click,
        &[("landing_url", "HTTPS://a.example/%20x")],
    );
    is("/r?k=1&p=2&o=app%3A%2F%2Fopen", "miaozhen", Stage::Click, &[("landing_url", "app://open")]);
    is("/r/k%3D1%26p%3D2%26o%3D", "miaozhen", Stage::Click, &[]);
    is("/r/k%3D1%26p%3D2?m5=x", "miaozhen", Stage::Click, &[("idfa", "x")]);
    is_refused("/x/k=1&p=%", "miaozhen", Outcome::Malformed);
    is_refused("/x/k=1&p=a%00b", "miaozhen", Outcome::Malformed);
    is_refused("/x/k=1&p=%FF", "miaozhen", Outcome::Malformed);
    is_refused(&format!("/x/k=1&p=2&m5={}", "a".repeat(129)), "miaozhen", Outcome::TooLong);
    is_refused(&format!("/r/k=1&p=2&o=http://a.example/{}", "a".repeat(2048)), "miaozhen", Outcome::TooLong);
    for nothing in ["/x/", "/x/?", "/x", "/r.gif?", "/x/&&&&", "/x/o=", "/x/%20", "/x/k", "/x/="] {
        assert_eq!(said(nothing).2, [], "{nothing}");
    }
    let separators = format!("/x/{}", "&".repeat(8 * 1024));
    assert_eq!(said(&separators).2, []);
}

#[test]
fn an_item_of_others_that_begins_with_a_letter_of_ours_is_none_of_ours() {
    let imp = Stage::Impression;
    is(
        "/i/a1,b2,t1795348000,type2,zone4,zzoocdni,z3E0046F7,nadbe,number5,feed,f%31.2.3.4,format2,other1,odd,0cimage3,0dnull,0jx1",
        "admaster",
        imp,
        &[("time", "1795348000"), ("idfa", "3E0046F7"), ("ip", "1.2.3.4"), ("android_id_md5", "null")],
    );
    is(
        "/i/a1,b2,n00%3A1A%3a2B,t2026-11-21T12:00:00Z",
        "admaster",
        imp,
        &[("mac_md5", "00:1A:2B"), ("time", "2026-11-21T12:00:00Z")],
    );
}

#[test]
fn admaster_as_the_sdk_and_pages_write_it() {
    let imp = Stage::Impression;
    is("/i/a1,b2,c3,i0,m202,h", "admaster", imp, &[("creative", "0")]);
    is(
        "/i/a1,b2,0a0,0cA1,0dA2,0jA3,0iS,0b1,2gG,n00:A4,oA5,zA-6,f1.2.3.4,t1700000000,w1,h",
        "admaster",
        imp,
        &[
            ("os", "0"),
            ("imei_md5", "A1"),
            ("android_id_md5", "A2"),
            ("idfa_md5", "A3"),
            ("group_id", "G"),
            ("mac_md5", "00:A4"),
            ("openudid", "A5"),
            ("idfa", "A-6"),
            ("ip", "1.2.3.4"),
            ("time", "1700000000"),
        ],
    );
    is("/i/a=1,b=2,2f=3", "admaster", imp, &[]);
    for (marks, stage) in [
        ("null0", Stage::Tracked),
        ("null1,2f", Stage::Impression),
        ("2f,null1", Stage::Impression),
        ("2j%5B%5D,2f1,2h1", Stage::Viewable),
        ("2f0,2h1", Stage::NotViewable),
        ("2f0,2h0", Stage::NotMeasurable),
        ("2a25", Stage::FirstQuartile),
        ("2a50", Stage::Midpoint),
        ("2a75", Stage::ThirdQuartile),
        ("2a100", Stage::Complete),
    ] {
        is(&format!("/i/a1,b2,{marks},h"), "admaster", stage, &[]);
        is(&format!("/w/a1,b2,{marks},h"), "admaster", stage, &[]);
        is(&format!("/c/a1,b2,{marks},h"), "admaster", Stage::Click, &[]);
    }
    is_refused("/i/a1,b2,2f7", "admaster", Outcome::UnknownStage);
    // Items of others that begin with one of our names: nothing of them is kept.
    is(
        "/i/a1,b2,i7,idfa6D92078A-8246-4BA4-AE5B-76104861E7DC,imei861234567890123,ip1.2.3.4,androidid0123456789abcdef,brandXiaomi,h",
        "admaster",
        imp,
        &[("creative", "7")],
    );
    is(
        "/c/a1,b2,h,uhttp://a.example/?u=1,2",
        "admaster",
        Stage::Click,
        &[("landing_url", "http://a.example/?u=1,2")],
    );
    is(
        "/c/a1,b2,uhttp%3A%2F%2Fa.example%2F%2C",
        "admaster",
        Stage::Click,
        &[("landing_url", "http://a.example/,")],
    );
    is("/c/a1,b2,u,h", "admaster", Stage::Click, &[]);
    is("/c/a1,unknown,b2", "admaster", Stage::Click, &[]);
    is("/i/a1%2Cb2%2Ch", "admaster", imp, &[]);
    is("/i/a1,b2,zA1,z,z__IDFA__,zB2,[NEP],h[X]", "admaster", imp, &[("idfa", "B2")]);
    let mut scratch = Scratch::new();
    let reading = Dialects::built_in().route("/i/a1,b2,t20261121200000", None).unwrap().read(&mut scratch);
    let hit = &reading.hit;
    let judged =
        time::judge_at_offset(hit.time, hit.time_offset_minutes, 1_795_262_400_000, None, false).unwrap();
    assert_eq!(judged.client_time_ms, Some(1_795_262_400_000), "China's noon is not ours");
}

#[test]
fn campaign_manager_as_publishers_write_it() {
    let target = |items: &str| format!("/ddm/trackimp/N1.2SITE/B1.2;{items}");
    let imp = Stage::Impression;
    is("/ddm/trackimp/N1/B1.2", "cm360", imp, &[]);
    is(&target("ord=123?"), "cm360", imp, &[]);
    is(
        &target("dc_trk_cid=7;dc_rdid=A;dc_lat=1;ltd=0;tfua=0;tag_for_child_directed_treatment=1;ord=1?x=2"),
        "cm360",
        imp,
        &[("creative", "7"), ("ifa", "A"), ("limit_ad_tracking", "1"), ("child_directed", "1")],
    );
    is(
        &target("dc_lat=0;ltd=1;tfua=1;tag_for_child_directed_treatment=0"),
        "cm360",
        imp,
        &[("limit_ad_tracking", "1"), ("child_directed", "1")],
    );
    is(
        &target("dc_rdid=a%3Bb;gdpr=${GDPR};gdpr_consent=${GDPR_CONSENT_755}"),
        "cm360",
        imp,
        &[("ifa", "a;b")],
    );
    let click = "/ddm/trackclk/N1/B1.2;dc_lat=;dc_rdid=;tfua=";
    is(click, "cm360", Stage::Click, &[]);
    is(
        &format!("{click}?https://a.example/?x=1;y=2"),
        "cm360",
        Stage::Click,
        &[("landing_url", "https://a.example/?x=1;y=2")],
    );
    is(
        &format!("{click};?http%3A%2F%2Fa.example"),
        "cm360",
        Stage::Click,
        &[("landing_url", "http://a.example")],
    );
    is(&format!("{click}?x=1"), "cm360", Stage::Click, &[]);
    for broken in
        ["/ddm/trackimp/N1", "/ddm/trackimp/N1/X1.2;", "/ddm/trackimp/N1/B12;", "/ddm/trackimp/N1/B1.2.3/4"]
    {
        is_refused(broken, "cm360", Outcome::Malformed);
    }
    assert!(Dialects::built_in().route("/ddm/ad/N1/B1.2", None).is_none());
}

#[test]
fn nielsen_and_gridsum_as_pages_and_apps_write_them() {
    // "C&2&1&2&3" and bytes that only Nielsen knows, in every way of writing base64.
    for info in [
        "QyYyJjEmMiYz_w8",
        "QyYyJjEmMiYz%2Fw8%3D",
        "QyYyJjEmMiYz/w8=",
        "QyYyJjEmMiYz",
        "QyYyJjEmMiYz%20",
        "%20QyYyJjEmMiYz/w8=%20%20",
        "QyYyJjEmMiYz+",
        "QyYyJjEmMiYz/w8=+",
    ] {
        is(&format!("/hat?_t=i&_htsinfo={info}&rnd=1"), "nielsen", Stage::Impression, &[]);
        is(
            &format!("/hat?_htsinfo={info}&_t=r&ref=http://a.example/?_t=i"),
            "nielsen",
            Stage::Click,
            &[("landing_url", "http://a.example/?_t=i")],
        );
    }
    is(
        "/hat?_t=i&_htsinfo=QyYyJjEmMiYz&vvb=1&vmb=1&imp_id=9&androidid=a&ts=5",
        "nielsen",
        Stage::Viewable,
        &[("group_id", "9"), ("android_id", "a"), ("time", "5")],
    );
    for broken in ["_htsinfo=%%%", "_htsinfo=QyYy", "_htsinfo=*", "_htsinfo=QyYyJ", "_htsinfo=QyYyJi8mMiYz"] {
        is_refused(&format!("/hat?_t=i&{broken}"), "nielsen", Outcome::Malformed);
    }
    // No kind of request: answered as a pixel that is rejected.
    for query in
        ["", "?_htsinfo=QyYyJjEmMiYz", "?_t=x&_htsinfo=QyYyJjEmMiYz", "?ref=http://a.example/?a=1&_t=r"]
    {
        let target = format!("/hat{query}");
        is_refused(&target, "nielsen", Outcome::UnknownStage);
        let (path, query) = split(&target);
        assert!(!Dialects::built_in().route(path, query).unwrap().is_click, "{target}");
    }
    assert!(Dialects::built_in().route("/hat/", Some("_t=x")).is_none());
    is(
        "/v/?gscmd=impress&gid=gad_1_2&oa=AbC-d&m=x&aaid=y&ua=a+b&if=${IDFA}",
        "gridsum",
        Stage::Impression,
        &[("oaid", "AbC-d"), ("mac_md5", "x"), ("aaid", "y"), ("user_agent", "a b")],
    );
    let digest = "0f3c81d17ae95b53f8a9ff2c94f2ba7b";
    is(&format!("/v/?gid=gad_1_2&oa={digest}"), "gridsum", Stage::Impression, &[("oaid_md5", digest)]);
    is("/v/?gid=gad_1_2&vr=1&viid=a", "gridsum", Stage::Viewable, &[("group_id", "a")]);
    is("/v/?gid=gad_1_2&vab=0&vm=0", "gridsum", Stage::NotMeasurable, &[]);
    is(
        "/r/?gid=gad_1_2&u=http://a.example/?gid=gad_3_4",
        "gridsum",
        Stage::Click,
        &[("landing_url", "http://a.example/?gid=gad_3_4")],
    );
    is("/r/?k=1&p=2&o=", "miaozhen", Stage::Click, &[]);
    // What stands behind a landing URL's beginning is its own.
    for landing in [
        "https://a.example/?x=1&gid=9",
        "https://a.example/?x=1&amp;gid=gad_3_4&u=b",
        "https%3A%2F%2Fa.example&gid=9",
    ] {
        let target = format!("/r/?k=1&p=2&o={landing}");
        let (path, query) = split(&target);
        assert_eq!(Dialects::built_in().route(path, query).unwrap().table.name(), "miaozhen", "{target}");
    }
    is("/r/?o=&gid=gad_1_2", "gridsum", Stage::Click, &[]);
    is("/r/?o=__URL__&amp;gid=gad_1_2", "gridsum", Stage::Click, &[]);
    is_refused("/v/?gid=gax_1_2", "gridsum", Outcome::Malformed);
    is_refused("/v/?gid=gad_1_2&gscmd=click", "gridsum", Outcome::UnknownStage);
    assert_eq!(said("/v/?gid=__GID__").2, []);
}

#[test]
fn the_sdk_s_other_companies_are_understood() {
    is(
        "/talkingdata/i?c=1&adid=2&androidid=a&imei_md5=b&m3=c&mac_md5=d&vx=0",
        "talkingdata",
        Stage::Impression,
        &[("android_id", "a"), ("imei_md5", "b"), ("imei", "c"), ("mac_md5", "d")],
    );
    is(
        "/talkingdata/i?c=1&adid=2&vx=4&isview=0&ism=1&vimpid=9",
        "talkingdata",
        Stage::NotViewable,
        &[("group_id", "9")],
    );
    is(
        "/talkingdata/c?c=1&adid=2&o=http://a.example/&c=9",
        "talkingdata",
        Stage::Click,
        &[("landing_url", "http://a.example/&c=9")],
    );
    is(
        "/rtbasia/i?c=1&p=2&rmc=a&rim=b&ranid=c&rbtr=0",
        "rtbasia",
        Stage::Tracked,
        &[("mac", "a"), ("imei", "b"), ("android_id", "c")],
    );
    is(
        "/rtbasia/c?c=1&p=2&rrd=http%3A%2F%2Fa.example",
        "rtbasia",
        Stage::Click,
        &[("landing_url", "http://a.example")],
    );
    is(
        "/adbug/i/a1&b2&0dA1&null1&2f&t5&type2",
        "adbug",
        Stage::Impression,
        &[("android_id", "A1"), ("time", "5")],
    );
    is("/adbug/i?a1&amp;b2&amp;zA1&2f1&zone", "adbug", Stage::Viewable, &[("idfa", "A1")]);
    is(
        "/adbug/c?a1&b2&uhttp://a.example/?a=3&b=4",
        "adbug",
        Stage::Click,
        &[("landing_url", "http://a.example/?a=3&b=4")],
    );
}

#[test]
fn vast_events_and_values_that_say_that_there_is_none() {
    for (event, stage) in [
        ("impression", Ok(Stage::Impression)),
        ("loaded", Ok(Stage::Tracked)),
        ("start", Ok(Stage::Start)),
        ("firstQuartile", Ok(Stage::FirstQuartile)),
        ("FIRSTQUARTILE", Ok(Stage::FirstQuartile)),
        ("midpoint", Ok(Stage::Midpoint)),
        ("thirdQuartile", Ok(Stage::ThirdQuartile)),
        ("complete", Ok(Stage::Complete)),
        ("viewable", Ok(Stage::Viewable)),
        ("notViewable", Ok(Stage::NotViewable)),
        ("viewUndetermined", Ok(Stage::NotMeasurable)),
        ("clickTracking", Ok(Stage::Click)),
        ("clickThrough", Ok(Stage::Click)),
        ("mute", Err(Outcome::UncountedEvent)),
        ("unmute", Err(Outcome::UncountedEvent)),
        ("pause", Err(Outcome::UncountedEvent)),
        ("resume", Err(Outcome::UncountedEvent)),
        ("rewind", Err(Outcome::UncountedEvent)),
        ("skip", Err(Outcome::UncountedEvent)),
        ("playerExpand", Err(Outcome::UncountedEvent)),
        ("creativeView", Err(Outcome::UncountedEvent)),
        ("notUsed", Err(Outcome::UncountedEvent)),
        ("error", Err(Outcome::UncountedEvent)),
        ("nonsense", Err(Outcome::UnknownStage)),
        ("", Err(Outcome::UnknownStage)),
    ] {
        assert_eq!(said(&format!("/vast/{event}?c=1&p=2")).1, stage, "{event}");
    }
    let start = |more: &str| format!("/vast/start?c=1&p=2&{more}");
    is(&start("ip=-1&ua=-1&t=-1&gpp=-2&ifa=-1&rid=-1&lmt=-2"), "vast", Stage::Start, &[]);
    is(&start("ifa=-2&cookie=abc"), "vast", Stage::Start, &[("cookie", "abc"), ("limit_ad_tracking", "1")]);
    for order in ["ifa=-2&lmt=0", "lmt=0&ifa=-2"] {
        is(&start(order), "vast", Stage::Start, &[("limit_ad_tracking", "1")]);
    }
    for order in ["reg=coppa&coppa=0&gdpr=0", "coppa=0&gdpr=0&reg=coppa"] {
        is(&start(order), "vast", Stage::Start, &[("child_directed", "1"), ("gdpr", "0")]);
    }
    is(
        &start("ifa=[IFA]&ifa_type=aaid&lmt=0&cb=[CACHEBUSTING]"),
        "vast",
        Stage::Start,
        &[("ifa_type", "aaid"), ("limit_ad_tracking", "0")],
    );
    is(
        &start("reg=gdpr%2Ccoppa&gdpr_consent=C"),
        "vast",
        Stage::Start,
        &[("gdpr", "1"), ("child_directed", "1"), ("gdpr_consent", "C")],
    );
    is(&start("reg=[REGULATIONS]"), "vast", Stage::Start, &[]);
    let mut scratch = Scratch::new();
    let target = start("t=2016-01-17T8%3A15%3A07.127-05");
    let (path, query) = split(&target);
    let reading = Dialects::built_in().route(path, query).unwrap().read(&mut scratch);
    let judged = time::judge(reading.hit.time, 1_453_036_600_000, None, false).unwrap();
    assert_eq!(judged.client_time_ms, Some(1_453_036_507_127));
    assert!(Dialects::built_in().route("/vast", Some("p=1")).is_none(), "the wrapper is no dialect's");
}

#[test]
fn of_the_device_s_flags_four_bits_are_kept() {
    let target = "/x/k=1&p=2&svl=%7Bl1%3A1%2Cl3%3A0%2Ce1%3AiPhone+of+X%2Ce5%3A1700000000%2Cl4%3A1%7D&o=";
    let mut scratch = Scratch::new();
    let reading = Dialects::built_in().route(target, None).unwrap().read(&mut scratch);
    assert_eq!(reading.hit.device_risk, risk::ROOT | risk::ADB);
    assert!(fields(&reading.hit).iter().all(|(_, value)| !value.contains("iPhone")));
}

/// What cannot be read of the flags costs nothing else: neither the hit nor the flags beside it.
#[test]
fn flags_that_cannot_be_read_cost_no_impression() {
    let long = format!("%7Bl1%3A1%2Ce1%3A{}%7D", "x".repeat(4_000));
    for (value, flags) in [
        ("{l1:1,l4:1}", risk::ROOT | risk::ADB),
        ("{\"l2\":\"1\"}", risk::EMULATOR),
        ("%7B+l3+%3A+1+%7D", risk::HOOK),
        ("%7B%22l1%22%3A%221%22%2C%22e1%22%3A%22%E5%BC%A0%22%7D", risk::ROOT),
        // Half a character, a zero byte, an object that was cut off: the flags stand before it.
        ("%7Bl1%3A1%2Ce1%3A%E5%BC%7D", risk::ROOT),
        ("%7Bl1%3A1%2Ce1%3A%00%7D", risk::ROOT),
        ("%7Bl1%3A1", risk::ROOT),
        // A name of the phone with a percent sign, a broken escape, more than is read: nothing of it.
        ("{l1:1,e1:100%}", 0),
        ("%7Bl1%3A1%2Ce1%3A%ZZ%7D", 0),
        (long.as_str(), 0),
        ("", 0),
        ("%", 0),
        ("null", 0),
        ("__SVL__", 0),
        ("%%SVL%%", 0),
        ("[1,2]", 0),
    ] {
        for (before, after) in [("", "&m5=A"), ("&m5=A", "")] {
            let target = format!("/x/k=1&p=2{before}&svl={value}{after}&o=");
            let mut scratch = Scratch::new();
            let reading = Dialects::built_in().route(&target, None).unwrap().read(&mut scratch);
            assert_eq!((reading.defect, reading.hit.stage), (None, Some(Stage::Impression)), "{target}");
            assert_eq!(reading.hit.device_risk, flags, "{target}");
            let ids = [("campaign", "1"), ("placement", "2"), ("idfa", "A")]
                .map(|(n, v)| (n.to_owned(), v.to_owned()));
            assert_eq!(fields(&reading.hit), ids, "nothing of it is kept elsewhere: {target}");
        }
    }
    // Any other parameter with the same defect costs the hit.
    is_refused("/x/k=1&p=2&m5=%ZZ&o=", "miaozhen", Outcome::Malformed);
}

/// VAST 4 §6.1 in the grammars that players fill beside VAST's own: -1 is nothing, -2 is a refusal where an identifier was asked for.
#[test]
fn a_value_that_is_withheld_limits_tracking_and_one_that_is_unknown_does_not() {
    let refused: &[(&str, &str)] = &[("limit_ad_tracking", "1")];
    let cases: [(&str, &[(&str, &str)]); 12] = [
        ("ID=-1", &[]),
        ("ID=-2", refused),
        ("ID=%2D2", refused),
        ("ID=%20-2%20", refused),
        ("ID=-2;LMT=0", refused),
        ("LMT=0;ID=-2", refused),
        ("LMT=-2", &[]),
        ("LMT=-1", &[]),
        ("LMT=1;ID=-1", refused),
        ("gpp=-2;gdpr=-1;gdpr_consent=-2", &[]),
        ("ID=-3", &[("ifa", "-3")]),
        ("ID=a-2", &[("ifa", "a-2")]),
    ];
    for (items, more) in cases {
        let native = items.replace("ID", "ifa").replace("LMT", "lmt").replace(';', "&");
        is(&format!("/i?c=1&p=2&{native}"), "native", Stage::Impression, more);
        is(&format!("/c?{native}&c=1&p=2"), "native", Stage::Click, more);
        let cm360 = items.replace("ID", "dc_rdid").replace("LMT", "dc_lat");
        is(&format!("/ddm/trackimp/N1/B1.2;{cm360}"), "cm360", Stage::Impression, more);
        is(&format!("/ddm/trackclk/N1/B1.2;{cm360};ord=1"), "cm360", Stage::Click, more);
    }
    // Every identifier, whatever else the hit has: another one of the same person would go round the refusal.
    for (name, field) in [("oaid", "oaid"), ("idfa_md5", "idfa_md5"), ("cookie", "cookie"), ("caid", "caid")]
    {
        is(&format!("/i?c=1&p=2&{name}=-2"), "native", Stage::Impression, refused);
        is(
            &format!("/i?c=1&p=2&aaid=A&{name}=-2"),
            "native",
            Stage::Impression,
            &[("aaid", "A"), ("limit_ad_tracking", "1")],
        );
        is(&format!("/i?c=1&p=2&{name}=A"), "native", Stage::Impression, &[(field, "A")]);
    }
    // In a grammar of China -2 is a value like any other, and no device (see the known-bad values).
    is("/x/k=1&p=2&m5=-2&o=", "miaozhen", Stage::Impression, &[("idfa", "-2")]);
}

#[test]
fn every_part_of_a_target_is_explained() {
    let entry = Dialects::built_in()
        .route("/x/k=1&m2=__IMEI__&mj=home&zz=1&br=1&p=%4&svl=%7Bl1%3A1%7D&m5=&o=http://a/%20", None)
        .unwrap();
    let parts = entry.explain();
    let seen: Vec<_> =
        parts.iter().map(|part| (part.name.as_str(), part.meaning.clone(), part.state)).collect();
    let field = PartMeaning::Field;
    assert_eq!(
        seen,
        [
            ("k", field(Field::Campaign), PartState::Given),
            ("m2", field(Field::Id(IdField::ImeiMd5)), PartState::Macro),
            ("mj", PartMeaning::Dropped, PartState::Given),
            ("zz", PartMeaning::Unknown, PartState::Given),
            ("br", PartMeaning::Mark, PartState::Given),
            ("p", field(Field::Placement), PartState::Broken),
            ("svl", field(Field::DeviceRisk), PartState::Given),
            ("m5", field(Field::Id(IdField::Idfa)), PartState::Empty),
            ("o", field(Field::LandingUrl), PartState::Given),
        ]
    );
    assert_eq!(parts[8].decoded.as_deref(), Some("http://a/%20"));
    assert_eq!(parts[2].decoded, None, "nobody reads it");
}

/// The macro as Chinese media write it.
#[allow(clippy::unnecessary_wraps, reason = "links may leave a parameter out")]
fn macro_of(template: &str, _: Field) -> Option<String> {
    Some(format!("__{template}__"))
}

#[test]
fn links_are_what_media_are_handed() {
    let link = |name: &str, stage, landing_url| {
        let wanted = LinkFor { stage, campaign: "1", placement: "2", landing_url };
        Dialects::built_in().get(name).unwrap().link(wanted, macro_of)
    };
    let miaozhen = link("miaozhen", Stage::Impression, None).unwrap();
    assert!(miaozhen.starts_with("/x/k=1&p=2&") && miaozhen.ends_with("&o="), "{miaozhen}");
    assert!(miaozhen.contains("&m2=__IMEI__&") && miaozhen.contains("&m6=__MAC1__&"), "{miaozhen}");
    let click = link("miaozhen", Stage::Click, Some("https://a.example/?x=1&y=2")).unwrap();
    assert!(
        click.starts_with("/r/k=1&p=2&") && click.ends_with("&o=https%3A%2F%2Fa.example%2F%3Fx%3D1%26y%3D2"),
        "{click}"
    );
    assert!(link("native", Stage::Midpoint, None).unwrap().starts_with("/e/midpoint?c=1&p=2&"));
    assert!(link("native", Stage::Click, None).unwrap().starts_with("/c?c=1&p=2&"));
    assert!(link("vast", Stage::FirstQuartile, None).unwrap().starts_with("/vast/firstQuartile?c=1&p=2&"));
    assert_eq!(link("admaster", Stage::Complete, None), None, "its SDK says so, no path");
    assert!(link("cm360", Stage::Click, None).unwrap().starts_with("/ddm/trackclk/1/B1.2;"));
    assert!(link("nielsen", Stage::Click, None).unwrap().starts_with("/hat?_t=r&_htsinfo="));
    for table in Dialects::built_in().tables() {
        for stage in [Stage::Impression, Stage::Click] {
            let link = link(table.name(), stage, None)
                .unwrap_or_else(|| panic!("{} {}", table.name(), stage.name()));
            let (path, query) = split(&link);
            let entry = Dialects::built_in().route(path, query).unwrap();
            assert_eq!(entry.table.name(), table.name(), "{link}");
            let mut scratch = Scratch::new();
            let reading = entry.read(&mut scratch);
            assert_eq!((reading.defect, reading.hit.stage), (None, Some(stage)), "{link}");
            assert_eq!(reading.hit.ids.iter().flatten().count(), 0, "{link}");
            assert!(reading.hit.macros_unreplaced > 0, "{link}");
        }
    }
    let dotted = LinkFor { stage: Stage::Impression, campaign: "a.b", placement: "2", landing_url: None };
    assert_eq!(
        Dialects::built_in().get("cm360").unwrap().link(dotted, macro_of),
        None,
        "the grammar cannot carry it"
    );
}

/// A path of each dialect, and the separator behind what it needs.
const PATHS: &[&str] = &[
    "/i?",
    "/c?",
    "/e/viewable?",
    "/x/",
    "/x?",
    "/r/",
    "/r.gif?",
    "/i/",
    "/w/",
    "/c/",
    "/ddm/trackimp/",
    "/ddm/trackclk/N1/B1.2;",
    "/hat?_t=i&",
    "/hat?_t=r&",
    "/v/?",
    "/r/?gid=gad_1_2&",
    "/talkingdata/i?",
    "/rtbasia/c?",
    "/adbug/i/",
    "/adbug/c?",
    "/vast/",
    "/vast/start?",
    "/vast/clickThrough?",
];

/// The parameters of a dialect that can be written in any order: those with a field of their own, but for the rest.
fn orderable(table: &Table) -> Vec<String> {
    let landing = |field| field == Some(Field::LandingUrl);
    let of = |field| {
        !matches!(field, Some(Field::Campaign | Field::Placement | Field::DeviceRisk | Field::Stage))
            && !landing(field)
    };
    let mut seen = Vec::new();
    let parameters = table.parameters().filter(|parameter| parameter.field.is_some() && of(parameter.field));
    parameters
        .filter(|parameter| {
            !parameter.is_json_only && !seen.contains(&parameter.field) && {
                seen.push(parameter.field);
                true
            }
        })
        .map(|parameter| parameter.name.to_owned())
        .collect()
}

proptest! {
    #[test]
    fn any_text_is_read_without_harm(path in 0..PATHS.len(), text in "[ -~\\n\\u{0}é广]{0,200}") {
        let target = format!("{}{text}", PATHS[path]);
        let (path, query) = split(&target);
        if let Some(entry) = Dialects::built_in().route(path, query) {
            let mut scratch = Scratch::new();
            let reading = entry.read(&mut scratch);
            prop_assert!(reading.defect.is_some() || reading.hit.stage.is_some());
            let _ = entry.explain();
        }
    }

    #[test]
    fn any_bytes_are_read_without_harm(table in 0..10_usize, text in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut scratch = Scratch::new();
        let _ = Dialects::built_in().tables()[table].read(&text, &mut scratch);
    }

    #[test]
    fn items_and_signs_of_a_grammar_are_read_without_harm(path in 0..PATHS.len(), text in "([kpabmo0-9]{0,3}[=&;,%?_]{0,2}(__[A-Z]{1,4}__|http://x/|%3D|%26|amp;|1|gad_1_2)?){0,30}") {
        let target = format!("{}{text}", PATHS[path]);
        let (path, query) = split(&target);
        if let Some(entry) = Dialects::built_in().route(path, query) {
            let mut scratch = Scratch::new();
            let reading = entry.read(&mut scratch);
            let parts = entry.explain();
            prop_assert!(usize::from(reading.hit.macros_unreplaced) <= parts.len().max(255));
        }
    }

    #[test]
    fn neither_order_nor_escapes_matter(
        table in 0..10_usize,
        values in proptest::collection::vec("[A-Za-z0-9.-]{1,12}", 40),
        order in Just((0..40_usize).collect::<Vec<_>>()).prop_shuffle(),
        escaped in any::<u64>(),
    ) {
        let table = &Dialects::built_in().tables()[table];
        let names = orderable(table);
        let (equalizer, separator) = match table.name() {
            "admaster" => ("", ","),
            "adbug" => ("", "&"),
            "cm360" => ("=", ";"),
            _ => ("=", "&"),
        };
        let head = if table.name() == "cm360" { "N1/B1.2;" } else { "" };
        let item = |index: usize, also: u64| {
            // Most values have a shape of their own where names are glued to them: digits fit in each.
            let is_number = equalizer.is_empty() && !["0a", "2g"].contains(&names[index].as_str());
            let value = if is_number { values[index].len().to_string() } else { values[index].clone() };
            let value: String = value
                .bytes()
                .enumerate()
                .map(|(at, byte)| if also >> ((index + at) % 64) & 1 == 1 { format!("%{byte:02X}") } else { char::from(byte).to_string() })
                .collect();
            format!("{}{equalizer}{value}", names[index])
        };
        let count = names.len();
        let plain: Vec<String> = (0..count).map(|index| item(index, 0)).collect();
        let shuffled: Vec<String> = order.iter().filter(|index| **index < count).map(|index| item(*index, escaped)).collect();
        let (mut one, mut other) = (Scratch::new(), Scratch::new());
        let plain = table.read(format!("{head}{}", plain.join(separator)).as_bytes(), &mut one);
        let shuffled = table.read(format!("{head}{}", shuffled.join(separator)).as_bytes(), &mut other);
        prop_assert_eq!(plain.defect, shuffled.defect);
        prop_assert_eq!(plain.hit.parameters_unknown, 0);
        prop_assert_eq!(fields(&plain.hit), fields(&shuffled.hit));
        prop_assert!(count >= 5);
    }

    #[test]
    fn a_link_is_read_as_what_it_was_made_for(campaign in "[A-Za-z0-9-]{1,20}", placement in "[A-Za-z0-9-]{1,20}", page in "[!-~]{0,40}") {
        let landing = format!("https://a.example/{page}");
        let wanted = LinkFor { stage: Stage::Click, campaign: &campaign, placement: &placement, landing_url: Some(&landing) };
        for (table, link) in Dialects::built_in().links(wanted, |_, template, field| macro_of(template, field)) {
            let (path, query) = split(&link);
            let mut scratch = Scratch::new();
            let reading = Dialects::built_in().route(path, query).unwrap().read(&mut scratch);
            prop_assert_eq!(reading.hit.landing_url, Some(landing.as_bytes()), "{} {}", table.name(), link);
            prop_assert_eq!(reading.hit.campaign, Some(campaign.as_bytes()));
        }
    }
}

#[test]
fn what_follows_an_empty_landing_url_is_read() {
    is("/x/k=1&o=&p=2", "miaozhen", Stage::Impression, &[]);
    is("/r/k=1&o=__URL__&p=2&m5=x", "miaozhen", Stage::Click, &[("idfa", "x")]);
    is("/c/a1,u,b2", "admaster", Stage::Click, &[]);
}

/// Without the id of the view no hit of it meets another, and a retry is a second one.
#[test]
fn every_vast_link_names_its_view_and_asks_for_signals() {
    let (vast, medium) =
        (Dialects::built_in().get("vast").unwrap(), Profiles::built_in().get("vast").unwrap());
    let mut links = 0;
    for stage in Stage::ALL {
        let wanted = LinkFor { stage, campaign: "1", placement: "2", landing_url: None };
        let macro_of = |template: &str, field| {
            medium.macro_for(Some(template), field).map(|(name, _)| medium.written(name))
        };
        let Some(link) = vast.link(wanted, macro_of) else { continue };
        for item in [
            "rid=[ADSERVINGID]",
            "lmt=[LIMITADTRACKING]",
            "gdpr_consent=[GDPRCONSENT]",
            "gpp=[GPPSTRING]",
            "gpp_sid=[GPPSECTIONID]",
        ] {
            assert!(link.contains(&format!("&{item}")), "{item} in {link}");
        }
        links += 1;
    }
    assert!(links >= 9, "{links}");
}
