//! The page as a browser without JavaScript uses it.

use crate::support::{self, Answer, Role};
use event::identifier::IdField;
use opt_out::{Limits, Settings};
use tempfile::tempdir;

const OAID: &str = "Abcdef0123456789";
/// Headers and body of a form; status and text of the page.
type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, u16, &'a str);

const OURS: (&str, &str) = ("sec-fetch-site", "same-origin");

fn role(dir: &std::path::Path) -> Role {
    let limits = Limits { requests_burst_max: 1_000_000, ..Limits::default() };
    let operator_name = "A <b>&\"' Ltd".to_owned();
    Role::start(
        dir,
        Settings { limits, operator_name, operator_contact: "010-1234".into(), ..Settings::default() },
    )
}

/// The text of a `<dd><code>` after a `<dt>`.
fn code_after<'a>(page: &'a Answer, label: &str) -> &'a str {
    let after = page.body.split_once(&format!("<dt>{label}</dt><dd><code>")).expect("the label is there").1;
    after.split_once("</code>").expect("an end").0
}

#[test]
fn it_is_there_in_both_languages_and_carries_its_headers() {
    let dir = tempdir().unwrap();
    let role = role(dir.path());
    for (target, accepted, tag, title) in [
        ("/", "en", "en", "Opt out of ad measurement"),
        ("/opt-out", "fr", "en", "Opt out of ad measurement"),
        ("/opt-out", "zh-CN,zh;q=0.9,en;q=0.8", "zh-CN", "退出广告监测"),
        ("/opt-out?lang=zh", "en", "zh-CN", "退出广告监测"),
        ("/?lang=en", "zh", "en", "Opt out of ad measurement"),
        ("/?lang=%22%3E%3Cscript%3E", "en", "en", "Opt out of ad measurement"),
    ] {
        let page = role.get(target, &[("accept-language", accepted)]);
        assert_eq!((page.status, page.header("content-language")), (200, Some(tag)));
        assert!(
            page.body.contains(&format!("<html lang=\"{tag}\">"))
                && page.body.contains(&format!("<h1>{title}</h1>"))
        );
        assert!(!page.body.contains("<script") && !page.body.contains("{{"));
        assert!(page.body.contains("A &lt;b&gt;&amp;&quot;&#39; Ltd") && page.body.contains("010-1234"));
        for (name, value) in [
            ("content-type", "text/html; charset=utf-8"),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            (
                "content-security-policy",
                "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
            ),
        ] {
            assert_eq!(page.header(name), Some(value));
        }
        assert!(page.header("set-cookie").is_none(), "looking sets nothing");
    }
    let head = support::send(role.address(), "HEAD", "/opt-out", &[], b"");
    assert_eq!(head.status, 200);
    let style = role.get("/opt-out.css", &[]);
    assert_eq!((style.status, style.header("content-type")), (200, Some("text/css; charset=utf-8")));
}

#[test]
fn every_field_has_its_label() {
    let dir = tempdir().unwrap();
    let role = role(dir.path());
    let page = role.get("/opt-out", &[]);
    let mut fields = 0;
    for tag in page.body.split('<').filter(|tag| tag.starts_with("input ") || tag.starts_with("select ")) {
        if !tag.contains("type=\"hidden\"") {
            let id = tag.split("id=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("an id");
            assert!(page.body.contains(&format!("<label for=\"{id}\">")), "{id}");
            fields += 1;
        }
    }
    assert_eq!(fields, 4);
    for id in
        page.body.split("aria-labelledby=\"").skip(1).chain(page.body.split("aria-describedby=\"").skip(1))
    {
        let id = id.split('"').next().unwrap();
        assert!(page.body.contains(&format!("id=\"{id}\"")), "{id}");
    }
}

#[test]
fn a_browser_opts_out_and_in_again() {
    let dir = tempdir().unwrap();
    let role = role(dir.path());
    let page = role.submit(&[OURS], "action=browser_out&lang=en");
    let (pair, attributes) = page.cookie("sightline_opt_out").unwrap();
    assert_eq!(pair, format!("{}=1", opt_out::COOKIE_NAME));
    assert_eq!(attributes, "Path=/; Max-Age=34560000; SameSite=None; Secure; HttpOnly");
    assert!(page.body.contains("This browser is opted out.") && page.body.contains("role=\"status\""));

    let cookie = ("cookie", pair.as_str());
    let page = role.get("/opt-out", &[cookie]);
    assert!(page.body.contains("This browser is opted out."));
    assert_eq!(page.cookie("sightline_opt_out").unwrap().0, pair, "a visit renews it");

    let page = role.submit(&[OURS, cookie], "action=browser_in&lang=zh");
    let (pair, attributes) = page.cookie("sightline_opt_out").unwrap();
    assert_eq!((pair.as_str(), attributes.contains("Max-Age=0")), ("sightline_opt_out=", true));
    assert!(page.body.contains("这个浏览器目前会被监测。"));
}

#[test]
fn the_cookies_domain_is_the_one_that_page_and_tracker_share() {
    let dir = tempdir().unwrap();
    let settings = Settings { cookie_domain: Some("example.com".into()), ..Settings::default() };
    let role = Role::start(dir.path(), settings);
    let page = role.submit(&[OURS], "action=browser_out");
    assert!(page.cookie("sightline_opt_out").unwrap().1.ends_with("; Domain=example.com"));
    let page = role.submit(&[OURS], &format!("action=device&kind=oaid&value={OAID}"));
    assert!(
        !page.cookie("sightline_receipts").unwrap().1.contains("Domain"),
        "receipts are this page's alone"
    );

    for domain in ["", "a b", "a;b", "a\r\nb"] {
        let dir = tempdir().unwrap();
        let settings = Settings { cookie_domain: Some(domain.into()), ..Settings::default() };
        let clock = event::clock::Clock::manual(support::NOW_MS);
        let (registry, _) = opt_out::Registry::open(dir.path(), &settings, clock.clone()).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let parts = opt_out::Parts {
            settings,
            registry,
            requests: None,
            keys: support::keys(),
            clock,
            security: security_log::SecurityLog::off(),
        };
        assert!(opt_out::start(parts, listener).is_err(), "{domain:?}");
    }
}

#[test]
fn a_device_is_opted_out_and_its_receipt_takes_it_back() {
    let dir = tempdir().unwrap();
    let role = role(dir.path());
    let page = role.submit(&[OURS], &format!("action=device&kind=oaid&value=+{OAID}%0A&lang=en"));
    assert_eq!(page.status, 200, "{}", page.body);
    assert!(role.leaves_out(IdField::Oaid, OAID), "blanks around it are a person's");
    assert!(page.body.contains("OAID (Android in China)") && page.body.contains("SHA-256 of the MD5"));
    assert!(
        !page.body.contains(OAID) && !page.body.contains("<nav"),
        "no value, and no link that loses the secret"
    );
    let (number, secret) = (code_after(&page, "Receipt number"), code_after(&page, "Secret of the receipt"));

    let typed = format!(
        "action=receipt&lang=en&receipt={}&secret={}",
        number.replace('-', "+"),
        secret.to_lowercase()
    );
    // From another browser: no cookie, an older one that sends only its origin.
    let older = [("origin", "https://privacy.example.com"), ("host", "privacy.example.com")];
    let wrong = role.submit(&older, &typed.replace(&secret.to_lowercase(), &"0".repeat(52)));
    assert_eq!(wrong.status, 403);
    assert!(
        wrong.body.contains("No receipt has this number and this secret")
            && wrong.body.contains("role=\"alert\"")
    );
    assert!(role.leaves_out(IdField::Oaid, OAID));
    let page = role.submit(&older, &typed);
    assert!(
        page.status == 200 && page.body.contains("The receipt&#39;s opt-out is taken back."),
        "{}",
        page.body
    );
    assert!(!role.leaves_out(IdField::Oaid, OAID));
}

#[test]
fn the_browser_remembers_its_receipts() {
    let dir = tempdir().unwrap();
    let role = role(dir.path());
    let page = role.submit(&[OURS], &format!("action=device&kind=oaid&value={OAID}&lang=en"));
    let number = code_after(&page, "Receipt number").to_owned();
    let (pair, _) = page.cookie("sightline_receipts").unwrap();
    let cookie = ("cookie", pair.as_str());
    let home = role.get("/opt-out?lang=en", &[cookie]);
    assert!(home.body.contains(&number) && home.body.contains("opted out since 2026-11-21T10:00:00.000Z"));
    assert_eq!(home.cookie("sightline_receipts").unwrap().0, pair, "a visit renews it");

    let body = format!("action=receipt&lang=en&receipt={number}");
    assert_eq!(role.submit(&[OURS], &body).status, 403, "without the cookie");
    assert_eq!(role.submit(&[cookie], &body).status, 403, "without proof that the page is ours");
    let page = role.submit(&[OURS, cookie], &body);
    assert!(
        page.body.contains(&number) && page.body.contains("taken back 2026-11-21T10:00:00.000Z"),
        "{}",
        page.body
    );
    assert!(!role.leaves_out(IdField::Oaid, OAID));
    let other = role.submit(&[OURS, ("cookie", "sightline_receipts=rubbish~.~")], &body);
    assert_eq!(other.status, 403);
}

#[test]
fn what_cannot_be_done_is_said_on_the_page_and_changes_nothing() {
    let dir = tempdir().unwrap();
    let role = role(dir.path());
    let device = format!("action=device&kind=oaid&lang=en&value={OAID}");
    let cases: [Case<'_>; 13] = [
        (&[("sec-fetch-site", "cross-site")], &device, 403, "did not come from this page"),
        (
            &[("sec-fetch-site", "same-site")],
            "action=browser_out&lang=en",
            403,
            "did not come from this page",
        ),
        (&[("origin", "null")], &device, 403, "did not come from this page"),
        (&[("origin", "https://evil.example")], &device, 403, "did not come from this page"),
        (&[], "action=browser_in&lang=en", 403, "did not come from this page"),
        (&[OURS], "action=device&kind=oaid&lang=en&value=+", 422, "Please enter the identifier"),
        (&[OURS], "action=device&kind=imei&lang=en&value=000000000000000", 422, "it identifies nobody"),
        (
            &[OURS],
            "action=device&kind=imei&lang=en&value=<i>4711",
            422,
            "This is not an identifier of the chosen kind",
        ),
        (&[OURS], "action=device&kind=shoe&lang=en&value=4711", 400, "The form was not complete"),
        (&[OURS], "action=dance&lang=en", 400, "The form was not complete"),
        (&[OURS], "lang=en", 400, "The form was not complete"),
        (&[OURS], "action=receipt&receipt=4711&secret=4711&lang=en", 403, "No receipt has this number"),
        (&[OURS], "action=device&kind=imei&lang=zh&value=4711", 422, "未做任何更改"),
    ];
    for (headers, body, status, said) in cases {
        let page = role.submit(headers, body);
        assert_eq!(page.status, status, "{body}");
        assert!(page.body.contains(said) && page.body.contains("role=\"alert\""), "{body}: {}", page.body);
        assert!(
            page.header("set-cookie").is_none() && !page.body.contains("4711") && !page.body.contains(OAID)
        );
    }
    let long = format!("{device}{}", "0".repeat(64 * 1024));
    assert_eq!(role.submit(&[OURS], &long).status, 413);
    let json =
        support::send(role.address(), "POST", "/opt-out", &[("content-type", "application/json")], b"{}");
    assert_eq!(json.status, 415);
    assert!(role.list.is_empty());
    assert_eq!(role.submit(&[], &device).status, 200, "a browser that says nothing may opt out");
}
