//! The page as a browser without JavaScript uses it.

use crate::support::{self, Answer, Role};
use event::identifier::IdField;
use opt_out::{Limits, Operator, Policy, RequestSettings, Settings};
use tempfile::tempdir;

const OAID: &str = "Abcdef0123456789";
/// Headers and body of a form; status and text of the page.
type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, u16, &'a str);

const OURS: (&str, &str) = ("sec-fetch-site", "same-origin");

fn role(dir: &std::path::Path) -> Role {
    let limits = Limits { requests_burst_max: 1_000_000, ..Limits::default() };
    let operator = Operator {
        name: "A <b>&\"' Ltd".into(),
        name_zh: "甲公司".into(),
        contact: "010-1234".into(),
        address: "1 Road".into(),
        privacy_url: "https://a.example.com/privacy?x=1&y=2".into(),
        register_number: "ICP 8808-1".into(),
    };
    Role::start(dir, Settings { limits, operator, ..Settings::default() })
}

/// The text of a `<dd><code>` after a `<dt>`.
fn code_after<'a>(page: &'a Answer, label: &str) -> &'a str {
    let after = page.body.split_once(&format!("<dt>{label}</dt><dd><code")).expect("the label is there").1;
    after.split_once('>').and_then(|(_, after)| after.split_once("</code>")).expect("an end").0
}

#[test]
fn it_says_how_long_an_answer_takes_and_where_to_turn_to_as_configured() {
    let dir = tempdir().unwrap();
    let operator = Operator { name: "A Ltd".into(), contact: "010-1234".into(), ..Operator::default() };
    let requests = RequestSettings { answer_working_days: 30, ..RequestSettings::default() };
    let role = Role::start(dir.path(), Settings { operator, requests, ..Settings::default() });
    for (lang, days, contact) in [
        ("en", "within 30 working days", "please use the contact"),
        ("zh", "在 30 个工作日内", "请使用本页末尾的联系方式"),
    ] {
        let page = role.get(&format!("/?lang={lang}"), &[]).body;
        assert!(page.contains(days) && page.contains(contact) && !page.contains("{days}"), "{page}");
    }
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
        assert!(!page.body.contains("{{"));
        let name = if tag == "en" { "A &lt;b&gt;&amp;&quot;&#39; Ltd" } else { "甲公司" };
        for said in
            [name, "010-1234", "1 Road", "ICP 8808-1", "href=\"https://a.example.com/privacy?x=1&amp;y=2\""]
        {
            assert!(page.body.contains(said), "{said}");
        }
        for (name, value) in [
            ("content-type", "text/html; charset=utf-8"),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            (
                "content-security-policy",
                "default-src 'none'; style-src 'self'; script-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; \
                 frame-ancestors 'none'",
            ),
        ] {
            assert_eq!(page.header(name), Some(value));
        }
        assert!(page.header("set-cookie").is_none(), "looking sets nothing");
    }
    let head = support::send(role.address(), "HEAD", "/opt-out", &[], b"");
    assert_eq!(head.status, 200);
    for (path, media_type) in [
        ("/opt-out.css", "text/css; charset=utf-8"),
        ("/opt-out.js", "text/javascript; charset=utf-8"),
        ("/opt-out-hash.js", "text/javascript; charset=utf-8"),
        ("/opt-out/probe", "text/html; charset=utf-8"),
        ("/opt-out/probe.js", "text/javascript; charset=utf-8"),
        ("/opt-out/probe.svg", "image/svg+xml"),
    ] {
        let asset = role.get(path, &[]);
        assert_eq!((asset.status, asset.header("content-type")), (200, Some(media_type)), "{path}");
        assert!(asset.header("set-cookie").is_none());
    }
}

#[test]
fn a_page_without_an_operator_says_that_it_is_a_trial() {
    let dir = tempdir().unwrap();
    let role = Role::start(dir.path(), Settings::default());
    assert!(role.get("/?lang=en", &[]).body.contains("operator not named: trial installation"));
    assert!(role.get("/?lang=zh", &[]).body.contains("未注明运营者：试用安装"));
}

#[test]
fn what_is_stored_is_told_field_by_field_and_how_long() {
    let dir = tempdir().unwrap();
    let role = role(dir.path());
    assert!(
        role.get("/?lang=en", &[]).body.contains("a security log notes of each request to us")
            && role.get("/?lang=zh", &[]).body.contains("保存 200 天")
    );
    for (language, days, or_erased) in [
        ("en", "190 days", "190 days, or until you have it erased"),
        ("zh", "190 天", "190 天，或直至您要求删除"),
    ] {
        let page = role.get(&format!("/?lang={language}"), &[]).body;
        for field in event::record::FIELDS {
            let personal = field.sensitivity != event::record::Sensitivity::None;
            let row = format!("<tr data-field=\"{}\">", field.name);
            assert_eq!(page.matches(&row).count(), 1 + usize::from(personal), "{}", field.name);
            let text = page.split(&row).nth(1).and_then(|rest| rest.split("</tr>").next()).unwrap();
            let words = if language == "en" {
                [field.what.en, field.purpose.en]
            } else {
                [field.what.zh, field.purpose.zh]
            };
            assert!(
                words.iter().all(|words| text.contains(&words.replace('\'', "&#39;"))),
                "{}: {text}",
                field.name
            );
            let long = if field.retention == event::record::Retention::Event { days } else { or_erased };
            assert!(text.ends_with(&format!(">{long}</td>")), "{}: {text}", field.name);
        }
    }
}

#[test]
fn the_versions_of_the_policy_are_listed_and_the_receipt_names_the_one_in_force() {
    let dir = tempdir().unwrap();
    let role = role(dir.path());
    let page = role.get("/?lang=en", &[]).body;
    assert!(
        page.contains("Version 1 · <time datetime=\"2026-11-22\">") && page.contains("First version."),
        "{page}"
    );
    drop(role);
    let version = |version, changes: &str, changes_zh: &str| Policy {
        version,
        date: format!("2026-12-0{version}"),
        changes: changes.into(),
        changes_zh: changes_zh.into(),
    };
    let policy = vec![version(1, "Begun.", "开始。"), version(3, "Kept <half> as long.", "")];
    let dir = tempdir().unwrap();
    let role = Role::start(dir.path(), Settings { policy, policy_version: 3, ..Settings::default() });
    let page = role.get("/?lang=zh", &[]).body;
    let (new, old) = (page.find("Kept &lt;half&gt; as long.").unwrap(), page.find("开始。").unwrap());
    assert!(new < old, "the newest comes first");
    assert_eq!(page.matches("(现行)").count(), 1);
    assert!(page.find("(现行)").unwrap() < new && page.contains("<time datetime=\"2026-12-03\">"));
    let page = role.submit(&[OURS], &format!("action=device&kind=oaid&value={OAID}&lang=en"));
    assert!(page.body.contains("<dt>Version of the privacy policy</dt><dd>3</dd>"), "{}", page.body);
}

#[test]
fn every_field_has_its_label() {
    let dir = tempdir().unwrap();
    let role = role(dir.path());
    let page = role.get("/opt-out", &[]);
    let mut fields = 0;
    for tag in page.body.split('<').filter(|tag| tag.starts_with("input ") || tag.starts_with("select ")) {
        // A checkbox stands before its label.
        if !tag.contains("type=\"hidden\"") {
            let id = tag.split("id=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("an id");
            assert!(page.body.contains(&format!("<label for=\"{id}\">")), "{id}");
            fields += 1;
        }
    }
    assert_eq!(fields, 5);
    for id in
        page.body.split("aria-labelledby=\"").skip(1).chain(page.body.split("aria-describedby=\"").skip(1))
    {
        for id in id.split('"').next().unwrap().split(' ') {
            assert!(page.body.contains(&format!("id=\"{id}\"")), "{id}");
        }
    }
}

#[test]
fn a_browser_opts_out_and_in_again() {
    let dir = tempdir().unwrap();
    let role = role(dir.path());
    let page = role.submit(&[OURS], "action=browser_out&lang=en");
    assert_eq!((page.status, page.header("location")), (303, Some("/opt-out?lang=en&done=out")));
    let (pair, attributes) = page.cookie("sightline_opt_out").unwrap();
    assert_eq!(pair, format!("{}=1", opt_out::COOKIE_NAME));
    assert_eq!(attributes, "Path=/; Max-Age=34560000; SameSite=None; Secure; HttpOnly");
    let (id, attributes) = page.cookie("sightline_id").unwrap();
    assert!(
        id == "sightline_id=" && attributes.contains("Max-Age=0"),
        "the tracker's cookie goes: {attributes}"
    );

    let cookie = ("cookie", pair.as_str());
    let page = role.get("/opt-out?lang=en&done=out", &[cookie]);
    assert!(page.body.contains("Done. This browser carries the opt-out cookie now"));
    assert!(page.body.contains("This browser is opted out.") && page.body.contains("role=\"status\""));
    assert_eq!(page.cookie("sightline_opt_out").unwrap().0, pair, "a visit renews it");
    // A browser that has not kept it is told so, and nobody is told what has not been done.
    let page = role.get("/opt-out?lang=en&done=out", &[]);
    assert!(
        page.body.contains("did not keep our cookie")
            && page.body.contains("This browser is being measured.")
    );
    assert!(!role.get("/opt-out?lang=en&done=in", &[cookie]).body.contains("class=\"notice"));
    assert!(!role.get("/opt-out?lang=en&done=shoe", &[cookie]).body.contains("class=\"notice"));

    let page = role.submit(&[OURS, cookie], "action=browser_in&lang=zh");
    let (pair, attributes) = page.cookie("sightline_opt_out").unwrap();
    assert_eq!((pair.as_str(), attributes.contains("Max-Age=0")), ("sightline_opt_out=", true));
    assert_eq!(page.header("location"), Some("/opt-out?lang=zh&done=in"));
    assert!(role.get("/opt-out?lang=zh&done=in", &[]).body.contains("这个浏览器目前会被监测。"));
}

#[test]
fn the_cookies_domain_is_the_one_that_page_and_tracker_share() {
    let dir = tempdir().unwrap();
    let settings = Settings { cookie_domain: Some("example.com".into()), ..Settings::default() };
    let role = Role::start(dir.path(), settings);
    let page = role.submit(&[OURS], "action=browser_out");
    assert!(page.cookie("sightline_opt_out").unwrap().1.ends_with("; Domain=example.com"));
    let forgotten = page.headers.iter().filter(|(_, line)| line.starts_with("sightline_id=;"));
    assert_eq!(forgotten.count(), 2, "the host's and the domain's");
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
            dsr: None,
            keys: support::keys(),
            clock,
            security: security_log::SecurityLog::off(),
            kept: support::KEPT,
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
    assert!(!page.body.contains(OAID), "no value");
    let nav = page.body.split("<nav").nth(1).and_then(|rest| rest.split("</nav>").next()).unwrap();
    assert!(!nav.contains("<a "), "no link that loses the secret: {nav}");
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
        wrong.body.contains("Nothing has this number and this secret")
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
    assert!(home.body.contains(&number) && home.body.contains("opted out since 2026-11-21 10:00:00 UTC"));
    assert_eq!(home.cookie("sightline_receipts").unwrap().0, pair, "a visit renews it");

    let body = format!("action=receipt&lang=en&receipt={number}");
    assert_eq!(role.submit(&[OURS], &body).status, 403, "without the cookie");
    assert_eq!(role.submit(&[cookie], &body).status, 403, "without proof that the page is ours");
    let page = role.submit(&[OURS, cookie], &body);
    assert!(
        page.body.contains(&number) && page.body.contains("taken back 2026-11-21 10:00:00 UTC"),
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
        (&[OURS], "action=receipt&receipt=4711&secret=4711&lang=en", 403, "Nothing has this number"),
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

/// What the page's script sends for an identifier.
fn hashed(texts: &[&str]) -> String {
    use md5::Digest as _;
    let hex = |bytes: &[u8]| bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    let digests = |text: &&str| {
        let (md5, sha1, sha256) =
            (md5::Md5::digest(text), sha1::Sha1::digest(text), sha2::Sha256::digest(text));
        [hex(&md5), hex(&sha1), hex(&sha256)].join(".")
    };
    texts.iter().map(digests).collect::<Vec<_>>().join("~")
}

#[test]
fn a_device_is_opted_out_by_what_the_script_makes_of_its_identifier() {
    let dir = tempdir().unwrap();
    let role = role(dir.path());
    let texts = [OAID.to_owned(), OAID.to_lowercase(), OAID.to_uppercase()];
    let texts = texts.each_ref().map(String::as_str);
    let page = role.submit(&[OURS], &format!("action=device&kind=oaid&lang=en&hashed={}", hashed(&texts)));
    assert_eq!(page.status, 200, "{}", page.body);
    assert!(
        page.body.contains("OAID (Android in China)") && !page.body.contains("Not recognised"),
        "{}",
        page.body
    );
    for text in texts {
        assert!(role.leaves_out(IdField::Oaid, text), "{text}");
    }
    let page = role.submit(
        &[OURS],
        &format!(
            "action=device&kind=idfa&lang=en&hashed={}",
            hashed(&["3E0046F7-8BD4-4F3E-9F91-358B137D2BF0"])
        ),
    );
    assert!(role.leaves_out(IdField::Idfa, "3e0046f7-8bd4-4f3e-9f91-358b137d2bf0"));
    assert!(
        page.body.contains("<li>the identifier without its dashes</li>") && page.body.contains("from a hash")
    );
    for (kind, texts, status) in [
        ("imei", vec!["000000000000000"], 422),
        ("idfa", vec!["00000000-0000-0000-0000-000000000000"], 422),
        ("oaid", vec!["null"], 422),
        ("oaid", vec!["a"; 9], 422),
        ("shoe", vec!["a"], 400),
    ] {
        let body = format!("action=device&kind={kind}&lang=en&hashed={}", hashed(&texts));
        assert_eq!(role.submit(&[OURS], &body).status, status, "{kind} {texts:?}");
    }
    assert_eq!(role.submit(&[OURS], "action=device&kind=imei&lang=en&hashed=868049039501257").status, 400);
}

#[test]
fn a_receipt_is_shown_in_the_other_language_and_asked_after() {
    let dir = tempdir().unwrap();
    let role = role(dir.path());
    let page = role.submit(&[OURS], &format!("action=device&kind=oaid&value={OAID}&lang=en"));
    let (number, secret) = (code_after(&page, "Receipt number"), code_after(&page, "Secret of the receipt"));
    let ids =
        page.body.split("name=\"ids\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let body = format!("receipt={number}&secret={secret}&lang=zh");
    let shown = role.submit(&[OURS], &format!("action=show&ids={ids}&{body}"));
    assert_eq!(shown.status, 200, "{}", shown.body);
    assert_eq!((code_after(&shown, "回执编号"), code_after(&shown, "回执密码")), (number, secret));
    assert!(shown.body.contains("<li>标识符原值</li>"), "{}", shown.body);
    let file = page
        .body
        .split("href=\"data:text/plain;charset=utf-8,")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    let file = percent_encoding::percent_decode_str(file.unwrap()).decode_utf8().unwrap().into_owned();
    assert!(
        file.contains(number) && file.contains(secret) && file.contains("2026-11-21 10:00:00 UTC"),
        "{file}"
    );

    for wrong in [format!("action=show&{body}&ids=%3Cb%3E"), format!("action=show&{body}")] {
        assert_eq!(role.submit(&[OURS], &wrong).status, 400, "{wrong}");
    }
    let asked = role.submit(&[OURS], &format!("action=status&{body}"));
    assert!(asked.body.contains("该回执的退出有效，生效于 2026-11-21 10:00:00 UTC"), "{}", asked.body);
    role.submit(&[OURS], &format!("action=receipt&{body}"));
    let asked = role.submit(&[OURS], &format!("action=status&{body}"));
    assert!(asked.body.contains("该回执的退出已撤回，时间为 2026-11-21 10:00:00 UTC"), "{}", asked.body);
    for action in ["status", "show", "receipt"] {
        let wrong = format!("action={action}&ids={ids}&receipt={number}&secret={}&lang=en", "0".repeat(52));
        assert_eq!(role.submit(&[OURS], &wrong).status, 403, "{action}");
    }
}

#[test]
fn what_was_chosen_stays_chosen_and_what_was_typed_is_gone() {
    let dir = tempdir().unwrap();
    let role = role(dir.path());
    let page = role.submit(&[OURS], "action=device&kind=mac&lang=en&value=4711");
    let option =
        page.body.split("<option value=\"mac\"").nth(1).and_then(|rest| rest.split('>').next()).unwrap();
    assert!(option.ends_with(" selected") && page.body.matches(" selected").count() == 1, "{option}");
    assert!(!page.body.contains("4711</") && !page.body.contains("value=\"4711"));
}

#[test]
fn the_probe_is_wide_for_its_own_token_only() {
    let dir = tempdir().unwrap();
    let role = role(dir.path());
    let token = "0123456789abcdef0123456789abcdef";
    let pair = format!("sightline_probe={token}");
    let wide =
        |target: &str, headers: &[(&str, &str)]| role.get(target, headers).body.contains("width=\"2\"");
    let cookie = ("cookie", pair.as_str());
    assert!(wide(&format!("/opt-out/probe.svg?{token}"), &[cookie]));
    assert!(!wide(&format!("/opt-out/probe.svg?{token}"), &[]));
    assert!(!wide("/opt-out/probe.svg", &[cookie]));
    assert!(!wide("/opt-out/probe.svg?0123456789abcdef0123456789abcde0", &[cookie]));
    let opted_out = ("cookie", "sightline_opt_out=1");
    assert!(!wide(&format!("/opt-out/probe.svg?{token}"), &[opted_out]), "nothing about an opt-out");
    let frame = role.get("/opt-out/probe", &[]);
    assert_eq!(
        frame.header("content-security-policy"),
        Some(
            "sandbox allow-scripts; default-src 'none'; script-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'self'"
        )
    );
    assert_eq!(frame.header("cross-origin-resource-policy"), Some("same-origin"));
    assert_eq!(
        role.get("/opt-out/probe.svg", &[]).header("cross-origin-resource-policy"),
        Some("cross-origin")
    );
}

/// A cookie that the tracker gave this browser.
fn own_cookie(keys: &event::key::KeyRing) -> String {
    use event::id_cookie::{NAME, RANDOM_BYTES, mint};
    format!("{NAME}={}", mint([7; RANDOM_BYTES], keys))
}

#[test]
fn a_browser_asks_for_erasure_and_a_copy_on_the_page() {
    let dir = tempdir().unwrap();
    let limits = Limits { requests_burst_max: 1_000_000, ..Limits::default() };
    let settings = Settings { limits, ..Settings::default() };
    let clock = event::clock::Clock::manual(support::NOW_MS);
    let role = Role::start_for_persons(dir.path(), settings, support::keys(), clock);
    let home = role.get("/?lang=en", &[]).body;
    assert!(home.contains("within 15 working days") && !home.contains("please use the contact"), "{home}");
    let own = own_cookie(&role.keys);
    let own = ("cookie", own.as_str());
    assert!(role.get("/?lang=en", &[own]).body.contains("value=\"erase\""));
    let home = role.get("/?lang=en", &[("cookie", "sightline_id=0123456789abcdef0123456789abcdef")]);
    assert!(!home.body.contains("value=\"erase\"") && home.body.contains("carries no identifying cookie"));

    for (headers, status) in
        [(&[own][..], 403), (&[OURS], 422), (&[("sec-fetch-site", "cross-site"), own], 403)]
    {
        for action in ["erase", "copy"] {
            assert_eq!(
                role.submit(headers, &format!("action={action}&lang=en")).status,
                status,
                "{headers:?}"
            );
        }
    }
    for (action, kind) in
        [("erase", opt_out::requests::Kind::Erasure), ("copy", opt_out::requests::Kind::Copy)]
    {
        let page = role.submit(&[OURS, own], &format!("action={action}&lang=en"));
        assert!(page.status == 200 && page.body.contains("Your request is taken"), "{}", page.body);
        let number = code_after(&page, "Number of the request").to_owned();
        let secret = code_after(&page, "Secret of the request").to_owned();
        assert!(page.body.contains("2026-12-11"), "15 working days: {}", page.body);
        let requests = role.requests.as_ref().unwrap();
        let taken = requests.next_after(0).unwrap();
        assert_eq!((taken.kind, taken.receipt.to_string()), (kind, number.clone()));

        let asked = |action: &str, secret: &str| {
            role.submit(&[OURS], &format!("action={action}&receipt={number}&secret={secret}&lang=zh"))
        };
        assert!(asked("request", &secret).body.contains("已受理"));
        assert_eq!(asked("fetch", &secret).status, 404, "there is none yet");
        assert_eq!(asked("request", &"0".repeat(52)).status, 403);
        let counts =
            opt_out::requests::Counts { events: 3, rows: 3, is_complete: true, ..Default::default() };
        std::fs::write(requests.copy_path(taken.receipt), "{\"rows\":[]}").unwrap();
        requests.finish(taken.number, Some(counts)).unwrap();
        let said = asked("request", &secret).body;
        assert!(
            said.contains("3 条记录") && said.contains("value=\"fetch\"") == (action == "copy"),
            "{said}"
        );
        let file = asked("fetch", &secret);
        if action == "copy" {
            assert_eq!((file.status, file.body.as_str()), (200, "{\"rows\":[]}"));
            assert_eq!(
                file.header("content-disposition"),
                Some("attachment; filename=\"sightline-copy.json\"")
            );
        } else {
            assert_eq!(file.status, 404);
        }
        assert_eq!(asked("fetch", &"0".repeat(52)).status, 403);
    }
    assert_eq!(role.submit(&[OURS, own], "action=erase&lang=en").status, 200);
    let apart = tempdir().unwrap();
    let apart = Role::start_with(apart.path(), Settings::default(), role.keys.clone(), role.clock.clone());
    assert!(
        !apart.get("/?lang=en", &[own]).body.contains("value=\"erase\""),
        "where no store is in the process"
    );
    assert_eq!(apart.submit(&[OURS, own], "action=erase&lang=en").status, 501);
}
