//! The document, held against an XML reader and the dialect that reads its URLs, and where it may lead.

use std::net::Ipv4Addr;

use event::stage::Stage;
use hyper::header::HeaderValue;
use proptest::prelude::*;
use roxmltree::{Document, Node};

use super::*;

const TAG: &str = "https://ads.example.net/vast?a=1&b=\\\"]]><x>\\\"&cb=[CACHEBUSTING]";

fn catalog() -> Catalog {
    let text = format!(
        "[[campaign]]\nid = \"demo\"\nname = \"Demo\"\ntime_zone = \"UTC\"\n\
         [[campaign.placement]]\nid = \"film\"\nname = \"Film\"\nmedium = \"M\"\nvast_tag = \"{TAG}\"\n\
         [[campaign.placement]]\nid = \"bare\"\nname = \"Bare\"\nmedium = \"M\"\n"
    );
    Catalog::parse(&text, "catalog.toml").expect("a catalog")
}

fn asked(query: &str) -> Result<String, (StatusCode, &'static str)> {
    wrapper(
        &catalog(),
        query.as_bytes(),
        &mut Scratch::new(),
        ("https://t.example", [0xab; RID_BYTES]),
        |_, _| true,
    )
}

/// The one element of a name.
fn one<'a>(document: &'a Document<'_>, name: &str) -> Node<'a, 'a> {
    let mut found = document.descendants().filter(|node| node.tag_name().name() == name);
    let node = found.next().unwrap_or_else(|| panic!("no {name}"));
    assert!(found.next().is_none(), "two {name}");
    node
}

/// Every URL of ours in a document.
fn urls<'a>(document: &'a Document<'_>) -> Vec<&'a str> {
    let texts = document.descendants().filter(Node::is_element).filter_map(|node| node.text());
    texts.filter(|text| text.starts_with("https://t.example/")).collect()
}

#[test]
fn a_wrapper_is_vast_and_names_every_stage_once_under_one_request_id() {
    let xml = asked("c=demo&p=film").expect("a wrapper");
    let document = Document::parse(&xml).expect("sound XML");
    let root = document.root_element();
    assert_eq!((root.tag_name().name(), root.attribute("version")), ("VAST", Some("4.2")));
    let mut stages: Vec<(&str, Stage)> = Vec::new();
    let mut scratch = Scratch::new();
    for url in urls(&document) {
        let target = url.strip_prefix("https://t.example").expect("ours");
        let (path, query) = target.split_once('?').expect("a query");
        assert!(query.starts_with(&format!("c=demo&p=film&rid={}&", "ab".repeat(RID_BYTES))), "{query}");
        // As a player fires it that fills nothing in.
        let entry = Dialects::built_in().route(path, Some(query)).expect("a path of ours");
        let reading = entry.read(&mut scratch);
        assert_eq!((entry.is_click, reading.defect), (false, None), "{url}");
        stages.push((path.trim_start_matches("/vast/"), reading.hit.stage.expect("a stage")));
    }
    stages.sort_by_key(|(_, stage)| *stage);
    let expected = [
        ("loaded", Stage::Tracked),
        ("impression", Stage::Impression),
        ("viewable", Stage::Viewable),
        ("notViewable", Stage::NotViewable),
        ("viewUndetermined", Stage::NotMeasurable),
        ("start", Stage::Start),
        ("firstQuartile", Stage::FirstQuartile),
        ("midpoint", Stage::Midpoint),
        ("thirdQuartile", Stage::ThirdQuartile),
        ("complete", Stage::Complete),
        ("clickTracking", Stage::Click),
    ];
    assert_eq!(stages, expected);
    // The order that the schema of 4.2 asks for.
    let children = |name: &str| -> Vec<String> {
        let elements = one(&document, name).children().filter(Node::is_element);
        elements.map(|node| node.tag_name().name().to_owned()).collect()
    };
    assert_eq!(
        children("Wrapper"),
        ["AdSystem", "Impression", "ViewableImpression", "Creatives", "VASTAdTagURI"]
    );
    assert_eq!(children("ViewableImpression"), ["Viewable", "NotViewable", "ViewUndetermined"]);
    assert_eq!(children("Linear"), ["TrackingEvents", "VideoClicks"]);
    let first_quartile = document.descendants().find(|node| node.attribute("event") == Some("firstQuartile"));
    assert!(
        first_quartile.and_then(|node| node.text()).is_some_and(|url| url.contains("/vast/firstQuartile?"))
    );
}

#[test]
fn it_leads_to_the_registered_tag_and_nowhere_else() {
    let xml = asked("c=demo&p=film&vast_tag=https://evil.example&u=https://evil.example").expect("a wrapper");
    let document = Document::parse(&xml).expect("sound XML");
    let tag = one(&document, "VASTAdTagURI").text().unwrap_or_default();
    assert_eq!(tag, "https://ads.example.net/vast?a=1&b=%22]]%3E%3Cx%3E%22&cb=[CACHEBUSTING]");
    assert!(!xml.contains("evil"), "{xml}");
}

#[test]
fn what_is_not_there_is_told() {
    for (query, status, word) in [
        ("c=demo&p=bare", 404, "no vast_tag"),
        ("c=demo&p=none", 404, "no such placement"),
        ("c=none&p=film", 404, "no such campaign"),
        ("c=demo", 400, "c and p"),
        ("", 400, "c and p"),
        ("c=__C__&p=film", 400, "c and p"),
    ] {
        let (found, words) = asked(query).expect_err("a refusal");
        assert!(found.as_u16() == status && words.contains(word), "{query}: {found} {words}");
    }
}

#[test]
fn device_and_consent_go_along_and_what_belongs_to_a_hit_does_not() {
    let query = "p=film&amp;c=demo&ifa=[IFA]&oaid=x%2Ay&gdpr=1&amp;gdpr_consent=CQ%2Ax&cr=a+b&rid=x&t=1&ip=192.0.2.1&ua=x&u=y&sig=z&other=1&lmt=";
    let xml = asked(query).expect("a wrapper");
    let document = Document::parse(&xml).expect("sound XML");
    for url in urls(&document) {
        let mut found: Vec<&str> = url.split_once('?').map_or("", |(_, query)| query).split('&').collect();
        assert_eq!(found.get(2).map(|rid| rid.len()), Some("rid=".len() + 2 * RID_BYTES), "{url}");
        found.remove(2);
        found.sort_unstable();
        let expected = [
            "c=demo",
            "cr=a+b",
            "gdpr=1",
            "gdpr_consent=CQ%2Ax",
            "gpp=[GPPSTRING]",
            "gpp_sid=[GPPSECTIONID]",
            "ifa=[IFA]",
            "ifa_type=[IFATYPE]",
            "lmt=[LIMITADTRACKING]",
            "oaid=x%2Ay",
            "p=film",
            "reg=[REGULATIONS]",
            "sig=z",
            "t=[TIMESTAMP]",
        ];
        assert_eq!(found, expected);
    }
}

#[test]
fn urls_begin_with_the_public_address_or_with_a_sound_host() {
    let address = Ipv4Addr::LOCALHOST.into();
    let proxied = |trusted: &str, proto: &'static str| {
        let trusted_proxies = vec![trusted.parse().expect("a network")];
        let settings = Settings { trusted_proxies, ..Settings::default() };
        let headers = [(HOST, "t.example"), (X_FORWARDED_PROTO, proto)];
        base(
            &settings,
            (address, false),
            &headers.map(|(name, value)| (name, HeaderValue::from_static(value))).into_iter().collect(),
        )
    };
    assert_eq!(proxied("127.0.0.0/8", "https").as_deref(), Some("https://t.example"));
    assert_eq!(proxied("127.0.0.0/8", "http").as_deref(), Some("http://t.example"));
    assert_eq!(
        proxied("10.0.0.0/8", "https").as_deref(),
        Some("http://t.example"),
        "anybody can send that header"
    );

    let inside_tls = |settings: &Settings, proto: Option<&'static str>| {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("t.example"));
        if let Some(proto) = proto {
            headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(proto));
        }
        base(settings, (address, true), &headers).expect("a sound host")
    };
    let behind =
        Settings { trusted_proxies: vec!["127.0.0.0/8".parse().expect("a network")], ..Settings::default() };
    assert_eq!(inside_tls(&Settings::default(), None), "https://t.example");
    assert_eq!(inside_tls(&Settings::default(), Some("http")), "https://t.example");
    assert_eq!(inside_tls(&behind, None), "https://t.example");
    assert_eq!(inside_tls(&behind, Some("http")), "http://t.example", "the viewer spoke plain HTTP");

    let with = |settings: &Settings, hosts: &[&str]| {
        let pairs = hosts.iter().map(|host| (HOST, HeaderValue::from_str(host).expect("a header value")));
        base(settings, (address, false), &pairs.collect())
    };
    let plain = Settings::default();
    for host in ["t.example", "T.example:8080", "127.0.0.1:80", "[2001:db8::1]", "[::1]:8080", "a_b.example"]
    {
        assert_eq!(with(&plain, &[host]), Some(format!("http://{host}")));
    }
    for host in [
        "",
        ":80",
        "a b",
        "t.example/x",
        "a@b",
        "t.example:",
        "t.example:99999",
        "t.example:1:2",
        "[::1",
        "[x]",
        "<x>",
        "a\"b",
        "é",
    ] {
        assert_eq!(with(&plain, &[host]), None, "{host}");
    }
    assert_eq!(with(&plain, &[]), None);
    assert_eq!(with(&plain, &["a.example", "b.example"]), None);
    let set = Settings { public_url: Some("https://t.example/x/".to_owned()), ..Settings::default() };
    assert_eq!(with(&set, &["evil.example"]).as_deref(), Some("https://t.example/x"));
}

proptest! {
    #[test]
    fn no_query_breaks_the_xml(rest in prop::collection::vec(any::<u8>(), 0..200), name in prop::sample::select(vec!["cr", "oaid", "gdpr", "zz"])) {
        let query = [b"c=demo&p=film&", name.as_bytes(), b"=", &rest].concat();
        if let Ok(xml) = wrapper(&catalog(), &query, &mut Scratch::new(), ("https://t.example", [0; RID_BYTES]), |_, _| true) {
            let document = Document::parse(&xml).expect("sound XML");
            prop_assert_eq!(urls(&document).len(), 11);
            prop_assert_eq!(document.descendants().filter(Node::is_element).count(), 22);
            prop_assert!(urls(&document).iter().all(|url| url.is_ascii() && !url.contains([' ', '<', '>', '"', '\''])));
        }
    }
}
