//! What is asked of links, and that each placement gets those of its grammar.

use super::*;
use crate::Catalog;

const CATALOG: &str = r#"
[[campaign]]
id = "k1"
name = "K"
time_zone = "UTC"
landing_hosts = [".example.org"]
[[campaign.placement]]
id = "app"
name = "In an app"
medium = "M"
landing_page = "https://www.example.org/"
[[campaign.placement]]
id = "kuai"
name = "Kuaishou"
medium = "Kuaishou"
profile = "kuaishou"
[[campaign.placement]]
id = "server"
name = "From a server"
medium = "M"
source = "s2s"
[[campaign.placement]]
id = "signed"
name = "Signed"
medium = "M"
signed_links = true
[[campaign.placement]]
id = "film"
name = "Film"
medium = "M"
vast_tag = "https://ads.example.com/vast"
signed_links = true
[[campaign.placement]]
id = "own"
name = "Of a grammar of its own"
medium = "M"
dialect = "talkingdata"
[[campaign.placement]]
id = "slip"
name = "Of none"
medium = "M"
dialect = "nativ"
"#;

fn keys() -> LinkKeys {
    LinkKeys::from_texts([format!("sightline_link_{}0f", "5a".repeat(31))]).expect("a key")
}

fn links(
    placement: &str,
    wanted: &Wanted,
    change: impl FnOnce(&mut LinkMaker<'_>),
) -> Result<Vec<DialectLinks>, LinksError> {
    links_for(placement, wanted, &Purposes::All, change)
}

fn links_for(
    placement: &str,
    wanted: &Wanted,
    purposes: &Purposes,
    change: impl FnOnce(&mut LinkMaker<'_>),
) -> Result<Vec<DialectLinks>, LinksError> {
    let catalog = Catalog::parse(CATALOG, "c").expect("is right");
    let keys = keys();
    let mut maker = LinkMaker {
        base: "https://t.example.com",
        dialects: Dialects::built_in(),
        profiles: Profiles::built_in(),
        keys: &keys,
        purposes,
        sign: false,
        expires: None,
    };
    change(&mut maker);
    let campaign = &catalog.campaigns["k1"];
    maker.links(campaign, &campaign.placements[placement], wanted)
}

fn url(placement: &str, dialect: &str, stage: Stage) -> String {
    let wanted = Wanted::Named(dialect.to_owned());
    let made = links(placement, &wanted, |_| {}).expect("are made");
    made[0].links.iter().find(|link| link.purpose == Purpose::Stage(stage)).expect("there is one").url.clone()
}

#[test]
fn a_parameter_gets_the_macro_whose_form_it_takes() {
    let native = url("kuai", "native", Stage::Impression);
    assert!(
        native.starts_with("https://t.example.com/i?c=k1&p=kuai&") && native.contains("&t=__TS__"),
        "{native}"
    );
    for pair in
        ["&imei_md5=__IMEI2__", "&oaid=__OAID__", "&android_id_md5=__ANDROIDID2__", "&mac_md5=__MAC3__"]
    {
        assert!(native.contains(pair), "{pair} in {native}");
    }
    assert!(!native.contains("&imei=") && !native.contains("&mac="), "the MD5 is enough: {native}");
    let grammar = url("kuai", "miaozhen", Stage::Impression);
    assert!(grammar.contains("&m2=__IMEI2__&") && !grammar.contains("&m3="), "{grammar}");
    assert!(grammar.starts_with("https://t.example.com/x/k=k1&p=kuai&mt=__TS__&"), "{grammar}");
    let plain = url("app", "miaozhen", Stage::Impression);
    assert!(plain.contains("&m2=__IMEI__&") && plain.contains("&m11=__OAID__"), "{plain}");
}

#[test]
fn viewers_are_named_by_servers_alone() {
    let client = url("app", "native", Stage::Impression);
    let server = url("server", "native", Stage::Impression);
    assert!(server.contains("&ip=__IP__") && server.contains("&ua=__UA__"), "{server}");
    assert!(!client.contains("__IP__") && !client.contains("__UA__"), "{client}");
}

#[test]
fn a_click_says_where_to_only_where_no_page_is_registered() {
    assert!(!url("app", "native", Stage::Click).contains("&u="));
    assert!(url("kuai", "native", Stage::Click).ends_with("&u=https%3A%2F%2Fwww.example.org%2F"));
    let grammar = url("kuai", "miaozhen", Stage::Click);
    assert!(grammar.starts_with("https://t.example.com/r/k=k1"), "{grammar}");
    assert!(grammar.ends_with("&o=https%3A%2F%2Fwww.example.org%2F"), "{grammar}");
}

#[test]
fn a_dialect_that_names_stages_has_a_url_for_each() {
    let made = links("app", &Wanted::Named("native".to_owned()), |_| {}).expect("are made");
    let stages: Vec<&str> = made[0].links.iter().map(|link| link.purpose.name()).collect();
    assert_eq!(stages.len(), 2 + STAGES.len(), "{stages:?}");
    assert!(url("app", "native", Stage::Viewable).starts_with("https://t.example.com/e/viewable?c=k1&p=app"));
    let made = links("app", &Wanted::Named("miaozhen".to_owned()), |_| {}).expect("are made");
    assert_eq!(made[0].links.len(), 2, "the SDK sets the marks");
}

/// The purposes of the URLs of one dialect, in their order.
fn purposes(placement: &str, dialect: &str, purposes: &Purposes) -> Vec<&'static str> {
    let wanted = Wanted::Named(dialect.to_owned());
    let made = links_for(placement, &wanted, purposes, |_| {}).expect("are made");
    made[0].links.iter().map(|link| link.purpose.name()).collect()
}

#[test]
fn what_every_medium_needs_comes_unasked_and_the_rest_by_name() {
    let some = Purposes::parse("viewable,complete").expect("are stages");
    assert_eq!(purposes("app", "native", &Purposes::Usual), ["impression", "click"]);
    assert_eq!(purposes("app", "native", &some), ["complete", "viewable"]);
    assert_eq!(purposes("film", "vast", &Purposes::Usual), ["impression", "click", "vast-tag"]);
    let tag = Purposes::Named(vec![Purpose::VastTag]);
    assert_eq!(purposes("film", "vast", &tag), ["vast-tag"]);
    assert_eq!(purposes("app", "vast", &tag), [""; 0], "there is no wrapper without the address of an ad");

    // A dialect without such a URL says why when it was asked for by name, and is left out otherwise.
    let made = links_for("app", &Wanted::Named("miaozhen".to_owned()), &some, |_| {});
    let made = made.expect("is answered");
    assert!(made[0].links.is_empty() && made[0].warnings[0].contains("by marks"), "{made:?}");
    let made = links_for("app", &Wanted::Usual, &some, |_| {}).expect("are made");
    assert!(made.len() == 1 && made[0].dialect == "native", "{made:?}");
    // Nobody who wants no click is warned that there is none.
    let made = links_for("app", &Wanted::All, &some, |_| {}).expect("are made");
    assert!(
        made.iter().all(|links| links.warnings.iter().all(|text| !text.contains("no click"))),
        "{made:?}"
    );
}

#[test]
fn a_wrapper_is_signed_like_the_rest_and_says_that_it_is_the_rest() {
    let end = 1_800_000_000;
    let wanted = Wanted::Named("vast".to_owned());
    let made = links("film", &wanted, |maker| maker.expires = Some(end)).expect("are made");
    let tag = made[0].links.iter().find(|link| link.purpose == Purpose::VastTag).expect("there is one");
    let query = tag.url.strip_prefix("https://t.example.com/vast?").expect("is the wrapper's path");
    let mut scratch = Scratch::new();
    let hit = Table::native().read(query.as_bytes(), &mut scratch).hit;
    let signed = event::link::Signed {
        campaign: hit.campaign.expect("has one"),
        placement: hit.placement.expect("has one"),
        expires: hit.link_expires,
        signature: hit.link_signature,
    };
    assert_eq!(keys().verify(&signed, end * 1000), Ok(()), "{query}");
    assert!(made[0].warnings.iter().any(|text| text.contains("not both")), "{:?}", made[0].warnings);
}

#[test]
fn signed_links_are_good_until_their_end() {
    let keys = keys();
    let end = 1_800_000_000;
    for dialect in ["native", "miaozhen"] {
        let wanted = Wanted::Named(dialect.to_owned());
        let made = links("signed", &wanted, |maker| maker.expires = Some(end)).expect("are made");
        for link in &made[0].links {
            let target = &link.url["https://t.example.com".len()..];
            let (path, query) =
                target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
            let entry = Dialects::built_in().route(path, query).expect("is routed");
            let mut scratch = Scratch::new();
            let hit = entry.read(&mut scratch).hit;
            let signed = event::link::Signed {
                campaign: hit.campaign.expect("has one"),
                placement: hit.placement.expect("has one"),
                expires: hit.link_expires,
                signature: hit.link_signature,
            };
            assert_eq!(keys.verify(&signed, end * 1000), Ok(()), "{}", link.url);
            assert!(keys.verify(&signed, (end + 1) * 1000).is_err(), "{}", link.url);
        }
    }
    let unsigned = links("app", &Wanted::Usual, |maker| maker.expires = Some(end)).expect("are made");
    assert!(!unsigned[0].links[0].url.contains("exp="), "no end without a signature");
    let none = LinkKeys::default();
    let error = links("signed", &Wanted::Usual, |maker| maker.keys = Box::leak(Box::new(none)));
    assert!(matches!(error, Err(LinksError::NoKey { .. })));
}

#[test]
fn every_url_of_every_dialect_is_read_back_by_it() {
    // `link` refuses what is not; here it is that something is left.
    for placement in ["app", "kuai", "server"] {
        let made = links(placement, &Wanted::All, |_| {}).expect("are made");
        let names: Vec<&str> = made.iter().map(|links| links.dialect.as_str()).collect();
        assert_eq!(&names[..2], ["native", "miaozhen"]);
        for links in &made {
            assert!(
                links.links.iter().any(|link| link.purpose == Purpose::Stage(Stage::Impression)),
                "{}",
                links.dialect
            );
            assert!(
                links.links.iter().any(|link| link.purpose == Purpose::Stage(Stage::Click)),
                "{}",
                links.dialect
            );
        }
    }
}

#[test]
fn a_grammar_of_numbers_carries_numbers_alone() {
    let made = links("app", &Wanted::Named("admaster".to_owned()), |_| {}).expect("is answered");
    assert!(made[0].links.is_empty() && made[0].warnings[0].contains("cannot carry"), "{made:?}");
}

#[test]
fn an_unknown_dialect_is_answered_with_the_known_ones() {
    let said = |name: &str| {
        links("app", &Wanted::Named(name.to_owned()), |_| {}).expect_err("is unknown").to_string()
    };
    let error = said("nativ");
    assert!(
        error.contains("\"nativ\", did you mean native?; there are ") && error.contains("miaozhen"),
        "{error}"
    );
    assert!(said("").starts_with("there is no dialect \"\"; there are "), "{}", said(""));
}

#[test]
fn a_link_without_an_identifier_or_a_request_id_is_warned_of() {
    let warnings = |placement: &str, dialect: &str| -> String {
        let made = links(placement, &Wanted::Named(dialect.to_owned()), |_| {}).expect("are made");
        made.iter().flat_map(|links| links.warnings.clone()).collect::<Vec<_>>().join("\n")
    };
    let plain = warnings("app", "cm360");
    assert!(plain.contains("no identifier: this medium fills none of the dialect's, and "), "{plain}");
    let kuaishou = warnings("kuai", "native");
    assert!(kuaishou.contains("no request id") && !kuaishou.contains("no identifier"), "{kuaishou}");
    assert!(!warnings("app", "native").contains("no request id"));
    assert!(!warnings("kuai", "miaozhen").contains("no request id"), "the SDK says it");
}

#[test]
fn a_placement_names_the_dialect_of_its_links() {
    let dialects = |wanted: &Wanted| -> Vec<String> {
        links("own", wanted, |_| {}).expect("are made").into_iter().map(|links| links.dialect).collect()
    };
    assert_eq!(dialects(&Wanted::Usual), ["talkingdata"]);
    assert_eq!(
        dialects(&Wanted::Named("native".to_owned())),
        ["native"],
        "what is asked for stands above it"
    );
    let error = links("slip", &Wanted::Usual, |_| {}).expect_err("is unknown").to_string();
    assert!(error.contains("did you mean native?"), "{error}");
}

#[test]
fn a_base_is_scheme_and_host() {
    for (text, base) in [
        ("https://t.example.com", Some("https://t.example.com")),
        ("https://t.example.com/", Some("https://t.example.com")),
        ("http://127.0.0.1:8080", Some("http://127.0.0.1:8080")),
        ("https://[2001:db8::1]:8443", Some("https://[2001:db8::1]:8443")),
        ("https://", None),
        ("t.example.com", None),
        ("ftp://t.example.com", None),
        ("https://t.example.com/i", None),
        ("https://t.example.com?c=1", None),
        ("https://t.example.com#a", None),
        ("https://t.example.com:port", None),
        ("https://a@t.example.com", None),
        ("https://t.example .com", None),
    ] {
        assert_eq!(base_of(text), base, "{text}");
    }
}

#[test]
fn one_pair_of_one_dialect_is_recommended_or_the_wrapper() {
    let recommended = |placement: &str, wanted: &Wanted| -> Vec<(String, &str)> {
        let made = links(placement, wanted, |_| {}).expect("are made");
        let marked = made.into_iter().flat_map(|links| links.links).filter(|link| link.is_recommended);
        marked.map(|link| (link.dialect, link.purpose.name())).collect()
    };
    let pair = |dialect: &str| ["impression", "click"].map(|stage| (dialect.to_owned(), stage)).to_vec();
    for placement in ["app", "kuai", "server", "signed"] {
        assert_eq!(recommended(placement, &Wanted::Usual), pair("native"), "{placement}");
        assert_eq!(recommended(placement, &Wanted::All), pair("native"), "{placement}");
    }
    assert_eq!(recommended("film", &Wanted::Usual), [("vast".to_owned(), "vast-tag")]);
    assert_eq!(recommended("own", &Wanted::All), pair("talkingdata"), "what its medium asks for");
    assert_eq!(recommended("app", &Wanted::Named("miaozhen".to_owned())), pair("miaozhen"));
}
