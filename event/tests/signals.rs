//! Privacy signals, written in every way that senders write them, in URLs and in JSON: both are read by the same rules.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use event::dialect::{Dialects, Scratch, Table};
use event::hit::{Hit, is_yes};
use event::outcome::Outcome;

/// What a hit says of each signal: `lmt`, `coppa`, `gdpr`, `gpp`, `gpp_sid`.
type Said = ([bool; 3], Option<String>, Option<String>);

fn said(hit: &Hit<'_>) -> Said {
    let text = |value: Option<&[u8]>| value.map(|value| String::from_utf8_lossy(value).into_owned());
    let flags = [hit.limit_ad_tracking, hit.child_directed, hit.gdpr];
    (flags.map(|value| value.is_some_and(is_yes)), text(hit.gpp), text(hit.gpp_sid))
}

fn in_url(target: &str) -> Result<Said, Outcome> {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let mut scratch = Scratch::new();
    let reading = Dialects::built_in().route(path, query).unwrap().read(&mut scratch);
    reading.defect.map_or(Ok(said(&reading.hit)), Err)
}

/// An item of a batch with these names and decoded values.
fn in_json(pairs: &[(&str, &str)]) -> Result<Said, Outcome> {
    let mut hit = Hit::default();
    for (name, value) in pairs {
        Table::native().set(&mut hit, name, value.as_bytes())?;
    }
    Ok(said(&hit))
}

#[test]
fn a_url_and_json_say_the_same() {
    let none = ([false; 3], None, None);
    let sid = |sid: &str| ([false; 3], None, Some(sid.to_owned()));
    for (pairs, expected) in [
        (&[("lmt", "1")][..], Ok(([true, false, false], None, None))),
        (&[("lmt", "1.0")], Ok(([true, false, false], None, None))),
        (&[("lmt", "1e0")], Ok(([true, false, false], None, None))),
        (&[("lmt", "01")], Ok(([true, false, false], None, None))),
        (&[("lmt", "TRUE")], Ok(([true, false, false], None, None))),
        (&[("lmt", "0")], Ok(none.clone())),
        (&[("lmt", "0.0")], Ok(none.clone())),
        (&[("lmt", "10")], Ok(none.clone())),
        (&[("lmt", "nan")], Ok(none.clone())),
        (&[("lmt", "-1")], Ok(none.clone())),
        (&[("lmt", "__LMT__")], Ok(none.clone())),
        (&[("coppa", "1.0")], Ok(([false, true, false], None, None))),
        (&[("coppa", "true"), ("gdpr", "1.00")], Ok(([false, true, true], None, None))),
        (&[("gdpr", "-2")], Ok(none.clone())),
        (&[("gpp_sid", "-1")], Ok(sid("-1"))),
        (&[("gpp_sid", "-2")], Ok(sid("-2"))),
        (&[("gpp_sid", "7")], Ok(sid("7"))),
        (&[("gpp", "-1")], Ok(none.clone())),
        (
            &[("gpp", "DBAA"), ("gpp_sid", "-1")],
            Ok(([false; 3], Some("DBAA".to_owned()), Some("-1".to_owned()))),
        ),
        (&[("idfa", "-2")], Ok(([true, false, false], None, None))),
        (&[("idfa", " -2 ")], Ok(([true, false, false], None, None))),
        (&[("idfa", "-2"), ("lmt", "0")], Ok(([true, false, false], None, None))),
        (&[("lmt", "0"), ("cookie", "-2")], Ok(([true, false, false], None, None))),
        (&[("idfa", "-1")], Ok(none.clone())),
        (&[("gdpr", "0"), ("gdpr", "1")], Err(Outcome::Contradictory)),
        (&[("lmt", &"1".repeat(17))], Err(Outcome::TooLong)),
    ] {
        let query: Vec<String> =
            pairs.iter().map(|(name, value)| format!("{name}={}", value.replace(' ', "%20"))).collect();
        assert_eq!(in_url(&format!("/i?c=1&p=2&{}", query.join("&"))), expected, "URL: {pairs:?}");
        assert_eq!(in_json(pairs), expected, "JSON: {pairs:?}");
    }
}

#[test]
fn a_yes_is_not_taken_back_by_what_is_appended() {
    let yes = |lmt, coppa, gdpr| ([lmt, coppa, gdpr], None, None);
    for (items, expected) in [
        ("gdpr=1;gdpr=0", yes(false, false, true)),
        ("gdpr=0;gdpr=1", yes(false, false, true)),
        ("gdpr=0;gdpr=0", yes(false, false, false)),
        ("gdpr=1;gdpr=__GDPR__", yes(false, false, true)),
        ("dc_lat=1;dc_lat=0", yes(true, false, false)),
        ("ltd=1;dc_lat=0;ltd=0", yes(true, false, false)),
        (
            "tag_for_child_directed_treatment=1;tag_for_child_directed_treatment=0;tfua=0",
            yes(false, true, false),
        ),
        ("gpp_sid=7;gpp_sid=-1", ([false; 3], None, Some("7".to_owned()))),
        ("gpp_sid=-1;gpp_sid=7", ([false; 3], None, Some("7".to_owned()))),
    ] {
        assert_eq!(in_url(&format!("/ddm/trackimp/N1/B1.2;{items}")), Ok(expected), "{items}");
    }
}
