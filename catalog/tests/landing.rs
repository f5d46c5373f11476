//! Where clicks may land: the tricks by which a checked host and the host that a browser goes to come apart.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

use catalog::{Catalog, Found, Landing, host_of};
use proptest::prelude::*;

const TEXT: &str = r#"
[[campaign]]
id = "demo"
name = "Demo"
time_zone = "Asia/Shanghai"
landing_hosts = ["www.Example.com", ".example.org"]
[[campaign.placement]]
id = "p1"
name = "Banner"
medium = "Video"
landing_hosts = ["shop.example.net"]
landing_page = "https://www.example.com/home"
[[campaign.placement]]
id = "p2"
name = "No page"
medium = "Video"
[[campaign]]
id = "other"
name = "Other"
time_zone = "UTC"
landing_hosts = ["other.example", "127.0.0.1", "[::1]"]
"#;

fn catalog() -> Catalog {
    Catalog::parse(TEXT, "catalog.toml").unwrap()
}

fn land(catalog: &Catalog, campaign: &str, placement: &str, url: Option<&str>) -> String {
    let found = catalog.find(campaign.as_bytes(), placement.as_bytes());
    match catalog.landing(found, url.map(str::as_bytes)) {
        Landing::To(url) => format!("to {url}"),
        Landing::Page { url, refused } => format!("page {url} {refused}"),
        Landing::Refused => "refused".into(),
        Landing::Nothing => "nothing".into(),
    }
}

#[test]
fn finds_by_bytes() {
    let catalog = catalog();
    assert!(matches!(catalog.find(b"demo", b"p1"), Found::Known(c, p) if c.id == "demo" && p.id == "p1"));
    assert!(matches!(catalog.find(b"demo", b"P1"), Found::UnknownPlacement(c) if c.id == "demo"));
    assert!(matches!(catalog.find(b"Demo", b"p1"), Found::UnknownCampaign));
    assert!(matches!(catalog.find(b"\xff", b""), Found::UnknownCampaign));
}

#[test]
fn registered_hosts_are_landed_on() {
    let catalog = catalog();
    for url in [
        "https://www.example.com",
        "https://www.example.com/a?b=c@d#e",
        "HTTPS://WWW.EXAMPLE.COM/",
        "http://www.example.com:8080/x",
        "http://www.example.com?q",
        "http://www.example.com#f",
        "https://a.example.org/",
        "https://a.b.Example.Org/",
        "https://shop.example.net/",
        "https://www.example.com/广告 页",
        "https://www.example.com/https://evil.example/",
    ] {
        assert_eq!(land(&catalog, "demo", "p1", Some(url)), format!("to {url}"));
    }
}

#[test]
fn everything_else_goes_to_the_landing_page() {
    let catalog = catalog();
    for url in [
        "https://evil.example/",
        "https://www.example.com@evil.example/",
        "https://www.example.com:x@evil.example/",
        "https://evil.example\\@www.example.com/",
        "https://www.example.com\\@evil.example/",
        "https://www.example.com\\.evil.example/",
        "https:\\\\www.example.com/",
        "//www.example.com/",
        "///www.example.com/",
        "https:///www.example.com/",
        "https:/www.example.com/",
        "https:www.example.com",
        "www.example.com",
        "/path",
        "javascript:alert(1)//www.example.com",
        "javascript://www.example.com/%0aalert(1)",
        "data:text/html,www.example.com",
        "ftp://www.example.com/",
        "https://www.example.com.evil.example/",
        "https://evilwww.example.com/",
        "https://evilexample.org/",
        "https://example.org/",
        "https://.example.org/",
        "https://a..example.org/",
        "https://www.example.com./",
        "https://www%2eexample.com/",
        "https://www.example.com%00.evil.example/",
        "https://www.example.com%2f@evil.example/",
        "https://www.exämple.com/",
        "https://www。example。com/",
        "https://www.example.com:/",
        "https://www.example.com:99999/",
        "https://www.example.com:+80/",
        "https://www.example.com:80:80/",
        "https://www.example.com /",
        " https://www.example.com/",
        "https://www.example.com/\r\nSet-Cookie: a=b",
        "https://www.example.com/\n",
        "https://www.exam\tple.com/",
        "https://www.example.com/\u{0}",
        "https://[www.example.com]/",
        "https://[::1]evil/",
        "https://other.example/",
        "",
        "https://",
    ] {
        assert_eq!(
            land(&catalog, "demo", "p1", Some(url)),
            "page https://www.example.com/home true",
            "{url:?}"
        );
        assert_eq!(land(&catalog, "demo", "p2", Some(url)), "refused", "{url:?}");
    }
}

#[test]
fn a_click_that_asks_for_nothing() {
    let catalog = catalog();
    assert_eq!(land(&catalog, "demo", "p1", None), "page https://www.example.com/home false");
    assert_eq!(land(&catalog, "demo", "p2", None), "nothing");
    assert_eq!(land(&catalog, "who", "p2", None), "nothing");
}

#[test]
fn an_unknown_campaign_or_placement_lands_on_any_registered_host() {
    let catalog = catalog();
    for (campaign, placement) in [("who", "p1"), ("demo", "who"), ("", "")] {
        for url in [
            "https://other.example/",
            "https://a.example.org/",
            "https://shop.example.net:444/",
            "http://127.0.0.1:8080/x",
            "http://[::1]:8080/x",
        ] {
            assert_eq!(land(&catalog, campaign, placement, Some(url)), format!("to {url}"));
        }
        assert_eq!(land(&catalog, campaign, placement, Some("https://evil.example/")), "refused");
    }
}

#[test]
fn registered_anywhere() {
    let catalog = catalog();
    for host in [
        "www.example.com",
        "WWW.example.COM",
        "a.example.org",
        "x.a.example.org",
        "shop.example.net",
        "other.example",
    ] {
        assert!(catalog.is_registered_anywhere(host), "{host}");
    }
    for host in [
        "example.com",
        "example.org",
        ".example.org",
        "a.example.org.",
        "org",
        "",
        "a.www.example.com",
        "other.example:80",
    ] {
        assert!(!catalog.is_registered_anywhere(host), "{host}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_taken_apart_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Some((url, host)) = host_of(&bytes) {
            let authority = format!("://{host}");
            prop_assert!(url.contains(&authority));
        }
    }

    #[test]
    fn whatever_stands_before_a_host_does_not_make_it_another(
        prefix in "[a-z0-9@:/\\\\?#%.\\[\\]&= -]{0,12}",
        suffix in "[a-z0-9@:/\\\\?#%.\\[\\]&= -]{0,12}",
    ) {
        // A second, independent reading: the authority is what stands between `//` and the next `/`, `\`, `?` or `#`, its host what
        // follows the last `@`, without port, as browsers read it.
        let url = format!("https://{prefix}www.example.com{suffix}");
        let authority = url["https://".len()..].split(['/', '\\', '?', '#']).next().unwrap();
        let host = authority.rsplit('@').next().unwrap();
        let host = host.split(':').next().unwrap();
        if matches!(catalog().landing(catalog().find(b"demo", b"p2"), Some(url.as_bytes())), Landing::To(_)) {
            prop_assert!(host == "www.example.com" || host.ends_with(".example.org"), "{url}");
        }
    }
}
