//! Explanations of URLs of many kinds: what is said, what is not shown, and whether they would count.

use clap::Parser as _;

use super::*;
use crate::cli::{Cli, Command};

/// 2026-11-22T06:00:00Z.
const RECEIVED: &str = "2026-11-22T06:00:00Z";
const OAID: &str = "1fe9a970-efbb-29e0-0bdd-f5dbbf751ab5";
const IMEI: &str = "356938035643809";

const CATALOG: &str = r#"
[[campaign]]
id = "2148023"
name = "Spring"
time_zone = "Asia/Shanghai"
starts = 2026-11-01
landing_hosts = ["www.example.com"]
[[campaign.placement]]
id = "7V3Km"
name = "Feed"
medium = "Video"
landing_page = "https://www.example.com/"
[[campaign.placement]]
id = "1001"
name = "Numbered"
medium = "Video"
[[campaign.placement]]
id = "kuai"
name = "Kuaishou"
medium = "Kuaishou"
profile = "kuaishou"
state = "trial"
[[campaign.placement]]
id = "server"
name = "Server"
medium = "Video"
source = "s2s"
[[campaign.placement]]
id = "signed"
name = "Signed"
medium = "Video"
signed_links = true
[[campaign.placement]]
id = "video"
name = "Film"
medium = "Video"
vast_tag = "https://ads.example.com/tag"
"#;

/// A folder with the catalog, and a link key on request.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("catalog.toml"), CATALOG).expect("written");
        Self(dir)
    }

    /// What is printed for a URL, and whether it would count.
    fn say(&self, url: &str, more: &[&str]) -> (String, bool) {
        let data = self.0.path().to_str().expect("a name of ASCII");
        let arguments = ["sightline", "explain", "--received", RECEIVED, "--data", data];
        let cli = Cli::try_parse_from(arguments.iter().chain(more).chain(&[url])).expect("parses");
        let Command::Explain(args) = cli.command else { panic!("another command") };
        let mut out = Vec::new();
        let counted = run(&args, &mut out).expect("explains");
        (String::from_utf8(out).expect("text"), counted)
    }

    fn text(&self, url: &str) -> String {
        self.say(url, &[]).0
    }
}

#[track_caller]
fn has(text: &str, wanted: &[&str]) {
    let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in wanted {
        assert!(squeezed(text).contains(&squeezed(part)), "no {part:?} in\n{text}");
    }
}

#[test]
fn a_whole_explanation_reads_like_this() {
    let url = format!(
        "https://t.example.com/x/k=2148023&p=7V3Km&mt=1795305600&mo=0&tr=abcdefghijklmnop&m2=__IMEI__&m11={OAID}\
         &m1a=0ed86b8d2dfe3691c7e6c7f081c8e667&mn=My+App&zz=hello&br=1&vf=&svl=%7B%22l1%22%3A%22true%22%7D&o="
    );
    let (text, counted) = Desk::new().say(&url, &[]);
    let expected = "\
dialect     miaozhen, Miaozhen (秒针), answered with a pixel
stage       impression: by br=1
campaign    2148023: Spring
placement   7V3Km: Feed, medium Video, c2s, live
time        2026-11-22T00:00:00Z, 6 h before receipt; day 2026-11-22 of
            Asia/Shanghai
device      m11: the device (oaid, on android)
            m1a: not usable
privacy     none in the URL (the browser's headers and cookies are not known
            here)
repeats     repeats are told by request id and stage; the request id ties the
            hits of one view

 parameter  value                  what it is                 what becomes of it
 k          2148023                campaign                   read
 p          7V3Km                  placement                  read
 mt         1795305600             client time                read
 mo         0                      operating system           read
 tr         abcd… (16 characters)  request id                 read
 m2         __IMEI__               identifier imei_md5        macro not replaced: as if it were not there
 m11        1fe9… (36 characters)  identifier oaid            usable, recognised as raw
 m1a        0ed8… (32 characters)  identifier android_id_md5  a value that many devices send: never a device
 mn         … (6 characters)       known, not used            dropped unread; its name is counted
 zz         … (5 characters)       not known                  dropped unread; counted as unknown
 br         1                      mark of the stage          read
 vf                                group id of the view       empty: as if it were not there
 svl        {\"l1… (13 characters)  the device's integrity     four flags are read, the rest is dropped; said: root
 o                                 landing URL                empty: as if it were not there

missing     values for __IMEI__: the medium left these macros as they are
outcome     accepted: counted
";
    assert_eq!(text, expected);
    assert!(counted);
}

#[test]
fn values_are_shown_on_request_alone() {
    let desk = Desk::new();
    let url = format!(
        "https://t.example/i?c=2148023&p=7V3Km&oaid={OAID}&imei={IMEI}&ip=203.0.113.9&rid=my-request-id-1"
    );
    for more in [&[][..], &["--json"][..]] {
        let (text, counted) = desk.say(&url, more);
        assert!(counted);
        for value in [OAID, IMEI, "203.0.113.9", "my-request-id-1", &OAID[..8], &IMEI[..6]] {
            assert!(!text.contains(value), "{value} in\n{text}");
        }
    }
    let (text, _) = desk.say(&url, &["--show-values"]);
    has(&text, &[OAID, IMEI, "my-request-id-1"]);
}

/// Media put identifiers where times, marks and systems belong, and leave names away.
#[test]
fn an_identifier_in_an_open_place_is_not_shown() {
    let desk = Desk::new();
    for url in [
        format!("/x/k=2148023&p=7V3Km&vx={IMEI}&o="),
        format!("/x/k=2148023&p=7V3Km&{IMEI}&o="),
        format!("/x/k=2148023&p=7V3Km&mo={IMEI}&mt={IMEI}&o="),
        format!("/i?c=2148023&p=7V3Km&os={OAID}&lmt={OAID}&ifa_type={OAID}&cr={OAID}&t={IMEI}"),
        format!("/i?c=2148023&p=7V3Km&{OAID}"),
    ] {
        for more in [&[][..], &["--json"][..]] {
            let (text, _) = desk.say(&url, more);
            assert!(!text.contains(IMEI) && !text.contains(OAID), "{url}\n{text}");
        }
    }
    let text = desk.text("/x/k=2148023&p=7V3Km&mo=0&mt=1795348000000&v=12345&o=");
    has(&text, &["1795348000000"]);
}

#[test]
fn an_id_that_stands_for_nothing_tells_no_repeat() {
    let desk = Desk::new();
    for id in ["rid=null", "rid=-1&gid=0"] {
        has(&desk.text(&format!("/i?c=2148023&p=7V3Km&{id}")), &["no repeat can be told"]);
    }
    has(&desk.text("/i?c=2148023&p=7V3Km&rid=r-77"), &["the request id ties the hits"]);
}

#[test]
fn forms_are_recognised_and_read_as_the_medium_fills_them() {
    let desk = Desk::new();
    let md5 = "0d0a2f1e4d5c6b7a8998a7b6c5d4e3f2";
    let sha1 = "0d0a2f1e4d5c6b7a8998a7b6c5d4e3f201234567";
    let sha256 = format!("{md5}{md5}");
    for (pair, wanted) in [
        (format!("imei={IMEI}"), "recognised as raw"),
        (format!("imei={md5}"), "recognised as MD5"),
        (format!("imei_md5={md5}"), "recognised as MD5"),
        (format!("imei={sha1}"), "recognised as SHA-1"),
        (format!("idfa={sha256}"), "recognised as SHA-256"),
        ("imei=000000000000000".to_owned(), "zeros"),
        ("oaid=00000000-0000-0000-0000-000000000000".to_owned(), "zeros"),
        ("android_id=9774d56d682e549c".to_owned(), "a value that many devices send"),
        ("imei=hello".to_owned(), "neither such an identifier nor a digest"),
    ] {
        has(&desk.text(&format!("/i?c=2148023&p=7V3Km&{pair}")), &[wanted]);
    }
    let kuaishou = desk.text(&format!("/x/k=2148023&p=kuai&mo=0&m2={IMEI}"));
    has(
        &kuaishou,
        &["this medium puts imei there", "macros of kuaishou", "trial state", "m2: the device (imei"],
    );
}

#[test]
fn outcomes_come_with_what_to_do() {
    let desk = Desk::new();
    for (url, outcome, counted) in [
        ("/i?c=2148023&p=7V3Km", "accepted: counted", true),
        ("/i?p=7V3Km", "missing_campaign: no campaign", false),
        ("/i?c=2148023", "missing_placement: no placement", false),
        ("/i?c=2148023&p=other", "unresolved: kept for 7 days", false),
        ("/i?c=2148023&p=7V3Km&c=2", "contradictory: one parameter stands twice", false),
        ("/i?c=%zz&p=7V3Km", "malformed: a value cannot be read", false),
        ("/i?c=2148023&p=7V3Km&t=1794571200", "too_late: the client's time lies 7 to 30 days back", false),
        ("/e/seen?c=2148023&p=7V3Km", "unknown_stage: what happened is not told", false),
        ("/vast/mute?c=2148023&p=7V3Km", "uncounted_event: a player's event", false),
        ("/i?c=2148023&p=7V3Km&t=1999999999", "accepted: counted", true),
    ] {
        let (text, would_count) = desk.say(url, &[]);
        has(&text, &[&format!("outcome {outcome}")]);
        assert_eq!(would_count, counted, "{url}");
    }
    has(&desk.text("/i?c=2148023&p=7V3Km&t=1999999999"), &["which cannot be", "receipt counts"]);
}

#[test]
fn signals_and_servers_are_told() {
    let desk = Desk::new();
    let limited = desk.text(&format!("/i?c=2148023&p=7V3Km&lmt=1&oaid={OAID}"));
    has(&limited, &["privacy the person limits ad tracking: no device is kept"]);
    let consent = desk
        .text(&format!("/i?c=2148023&p=7V3Km&gdpr=1&gdpr_consent=CPXxRfAPXxRfAAfKABENB-CgAAAA&oaid={OAID}"));
    has(&consent, &["GDPR applies, and no consent for [tracker] tcf_vendor_id"]);
    let national = desk.text(&format!("/i?c=2148023&p=7V3Km&gpp=DBABLA~BVQVAAAACg&oaid={OAID}"));
    has(&national, &["a GPP section applies that opts out"]);
    let zero = desk
        .text(&format!("/i?c=2148023&p=7V3Km&os=0&oaid=00000000-0000-0000-0000-000000000000&imei={IMEI}"));
    has(&zero, &["imei: usable, but the device limits tracking"]);
    let server = desk.text("/i?c=2148023&p=server");
    has(&server, &["server-to-server", "viewer's address (ip), which only the medium's server knows"]);
}

#[test]
fn clicks_say_where_they_lead() {
    let desk = Desk::new();
    for (url, wanted) in [
        ("/c?c=2148023&p=7V3Km", "redirected to the placement's page, https://www.example.com/"),
        (
            "/c?c=2148023&p=kuai&u=https%3A%2F%2Fwww.example.com%2Fa%3Fuser%3D1",
            "redirected to https://www.example.com/a…",
        ),
        ("/c?c=2148023&p=kuai&u=https%3A%2F%2Fevil.example%2F", "a plain page is shown"),
        (
            "/c?c=2148023&p=7V3Km&u=https%3A%2F%2Fevil.example%2F",
            "not registered: redirected to the placement's page",
        ),
        ("/r/k=2148023&p=kuai&o=", "nowhere"),
    ] {
        let text = desk.text(url);
        has(&text, &["answered with a redirect", wanted]);
    }
}

#[test]
fn signatures_are_judged() {
    let desk = Desk::new();
    let link = "/i?c=2148023&p=signed";
    has(&desk.text(link), &["signature cannot be checked: no link key is here"]);
    let keys = desk.0.path().join("keys");
    std::fs::create_dir(&keys).expect("made");
    let key = data_dir::token(&keys.join("link.key"), event::link::KEY_PREFIX).expect("drawn");
    let keys = LinkKeys::from_texts([key.text]).expect("a key");
    let (text, counted) = desk.say(link, &[]);
    has(&text, &["signature none; the placement takes no other", "outcome bad_signature"]);
    assert!(!counted);
    for (end, wanted, would_count) in
        [(1_795_399_200, "ours, and good", true), (1_795_300_000, "ours, and ended", false)]
    {
        let signature = keys.sign("2148023", "signed", Some(end)).expect("signs");
        let (text, counted) = desk.say(&format!("{link}&exp={end}&sig={signature}"), &[]);
        has(&text, &[wanted]);
        assert_eq!(counted, would_count, "{text}");
        assert!(!text.contains(&signature), "a signature is not shown");
    }
}

#[test]
fn ours_is_found_in_a_chain_and_what_is_not_ours_is_said_so() {
    let desk = Desk::new();
    let chain = desk.text("http://ad.other.example/c?z=a&si=4&c=1960&u=http://e.cn.miaozhen.com/r/k=2148023&p=7V3Km&o=https://m.example/");
    has(&chain, &["found inside a URL of ad.other.example, as it stands", "dialect miaozhen", "stage click"]);
    let encoded = desk.text(
        "http://other.example/go?rd=http%3A%2F%2Fe.cn.miaozhen.com%2Fr%2Fk%3D2148023%26p%3D7V3Km%26o%3D",
    );
    has(&encoded, &["percent-encoded", "campaign 2148023: Spring"]);
    let (text, counted) = desk.say("https://www.example.com/foo?a=b", &[]);
    has(&text, &["dialect none", "answered with 404", "not_a_beacon"]);
    assert!(!counted);
    has(&desk.text("https://t.example/vast?c=2148023&p=7V3Km"), &["the VAST wrapper"]);
}

#[test]
fn other_grammars_are_explained_part_by_part() {
    let desk = Desk::new();
    let glued = desk.text("http://v.admaster.com.cn/i/a2148023,b1001,c2,i0,m202,2g,2f=3,0c__IMEI__,zAB,h");
    has(
        &glued,
        &[
            "dialect admaster",
            "a 2148023 campaign read",
            "0c __IMEI__ identifier imei_md5 macro not replaced",
            "accepted",
        ],
    );
    let floodlight =
        desk.text("https://ad.doubleclick.net/ddm/trackimp/N1.2/B2148023.7V3Km;dc_lat=1;dc_rdid=;ord=1");
    has(&floodlight, &["dialect cm360", "(by its place)", "campaign and placement", "limits ad tracking"]);
    let player = desk.text("https://t.example/vast/firstQuartile?c=2148023&p=7V3Km&ifa=[IFA]");
    has(&player, &["stage first-quartile: by the path", "values for [IFA]"]);
}

#[test]
fn without_a_catalog_it_says_what_it_cannot_know() {
    let desk = Desk(tempfile::tempdir().expect("a folder"));
    let (text, counted) = desk.say("/i?c=k&p=p1", &[]);
    has(&text, &["no catalog was found", "k (no catalog to look it up in)"]);
    assert!(counted, "it would be stored");
}

#[test]
fn a_moment_is_read_in_the_ways_of_logs_and_people() {
    let at = 1_795_327_200_000;
    for text in ["2026-11-22T06:00:00Z", "2026-11-22T14:00:00+08:00", "1795327200", "1795327200000"] {
        assert_eq!(moment(text).expect("is one"), at, "{text}");
    }
    for text in ["", "now", "2026-11-22", "-5"] {
        assert!(moment(text).is_err(), "{text}");
    }
}

#[test]
fn an_empty_url_is_wrong_usage() {
    for url in ["", " "] {
        let error = read_urls(url).expect_err("nothing to explain");
        assert!(error.downcast_ref::<ConfigError>().is_some(), "{error}");
    }
}

#[test]
fn an_agent_that_net_leaves_out_is_said_so() {
    let desk = Desk::new();
    let robot = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
    for (agent, wanted) in [("curl/8.1", "that of a program and no browser"), (robot, "a robot's")] {
        let (text, counted) = desk.say("/i?c=2148023&p=7V3Km", &["--agent", agent]);
        has(&text, &["outcome accepted: stored, and left out of net figures: the agent is", wanted]);
        assert!(!counted, "{text}");
    }
    let (text, counted) =
        desk.say("/i?c=2148023&p=7V3Km", &["--agent", "Mozilla/5.0 (X11; Linux) Firefox/145.0"]);
    has(&text, &["outcome accepted: counted"]);
    assert!(counted);
    // Whoever sends a server's hits is not the viewer.
    assert!(desk.say("/i?c=2148023&p=server", &["--agent", "curl/8.1"]).1);
}

#[test]
fn a_trial_placement_counts_once_it_is_live() {
    let (text, counted) = Desk::new().say("/i?c=2148023&p=kuai", &[]);
    has(&text, &["in its trial state", "outcome accepted: would be counted once the placement is live"]);
    assert!(counted);
}

#[test]
fn a_named_catalog_has_to_be_there() {
    let desk = Desk::new();
    let arguments = ["sightline", "explain", "--catalog", "no-such.toml", "/i?c=k&p=p"];
    let Command::Explain(args) = Cli::try_parse_from(arguments).expect("parses").command else {
        panic!("another command")
    };
    let error = run(&args, &mut Vec::new()).expect_err("it is not there");
    assert!(
        error.downcast_ref::<ConfigError>().is_some() && error.to_string().contains("no-such.toml"),
        "{error}"
    );
    assert!(desk.say("/i?c=2148023&p=7V3Km", &[]).1);
}

#[test]
fn macros_are_held_against_the_mediums_profile_and_a_template_is_told() {
    let desk = Desk::new();
    let text = desk.text("/x/k=2148023&p=kuai&mo=__OS__&m2=__IMEI4__&m11=__OAID__&mt=__TS__&o=");
    has(
        &text,
        &[
            "this is a template, with no macro replaced",
            "profile kuaishou has no __IMEI4__: it fills __IMEI2__",
        ],
    );
    for absent in ["identifier, for reach", "client time (", "has no __OAID__", "has no __TS__"] {
        assert!(!text.contains(absent), "{absent} in\n{text}");
    }
    let fired = desk.text(&format!("/x/k=2148023&p=kuai&m2=__IMEI2__&m11={OAID}&mt=__TS__&o="));
    has(&fired, &["the medium left these macros as they are"]);
}

#[test]
fn values_and_names_that_are_probably_others_are_told() {
    let desk = Desk::new();
    for (url, wanted) in [
        (format!("/i?c=2148023&p=7V3Km&oaid={IMEI}"), "looks like an IMEI, and is read as oaid"),
        (format!("/i?c=2148023&p=7V3Km&cookie={IMEI}"), "looks like an IMEI, and is read as cookie"),
        (
            "/i?c=2148023&p=7V3Km&imei=356938035643808".to_owned(),
            "recognised as raw; its check digit is wrong",
        ),
        (format!("/i?c=2148023&p=7V3Km&oiad={OAID}"), "counted as unknown; did you mean oaid?"),
        ("/i?C=2148023&P=7V3Km".to_owned(), "did you mean c?"),
        ("/i?c=2148023&p=7V3Km&t=2026-11-22".to_owned(), "what was sent is no time from 2000 to 2100"),
    ] {
        has(&desk.text(&url), &[wanted]);
    }
    assert!(!desk.text(&format!("/i?c=2148023&p=7V3Km&imei={IMEI}")).contains("check digit"));
}

#[test]
fn a_device_that_is_withheld_is_not_called_the_device() {
    let text = Desk::new().text(&format!("/i?c=2148023&p=7V3Km&lmt=1&oaid={OAID}"));
    has(
        &text,
        &[
            "device oaid: usable (oaid), and no device is kept, see privacy",
            "limits ad tracking: no device is kept",
        ],
    );
}

#[test]
fn what_a_click_lacks_is_said_of_a_click() {
    let text = Desk::new().text("/c?c=2148023&p=7V3Km&u=www.example.com");
    has(
        &text,
        &[
            "none: the click counts without a device",
            "landing asked for what does not begin with https:// or http://: redirected",
        ],
    );
}

#[test]
fn a_wrapper_is_answered_as_the_tracker_would() {
    let desk = Desk::new();
    has(&desk.text("/vast?c=2148023&p=7V3Km"), &["answered with 404: the placement has no vast_tag"]);
    has(&desk.text("/vast?c=2148023&p=video"), &["answered with 200 and the wrapper"]);
    has(&desk.text("/vast?c=2148023"), &["answered with 400"]);
}

#[test]
fn every_line_is_a_url_and_text_fits_eighty_columns() {
    assert_eq!(read_urls(" /i?c=a \n\n/i?c=b\n").expect("two"), ["/i?c=a", "/i?c=b"]);
    let text = Desk::new().text("/i?c=2148023&p=7V3Km");
    for line in text.lines().filter(|line| !line.starts_with(" parameter")) {
        assert!(line.chars().count() <= 80, "{line}");
    }
}
