//! Changes of the catalog's text: what is named changes, every other byte stays, and what is refused changes nothing.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]
#![allow(
    clippy::format_collect,
    clippy::unnecessary_wraps,
    reason = "short texts, and values as fields take them"
)]

use catalog::edit::{
    Change, EditError, Edited, Fields, TEXT_BYTES_MAX, Value, check_campaign, check_placement, edit,
};
use catalog::{Catalog, Planned};
use event::profile::Profiles;
use proptest::prelude::*;

const TEXT: &str = "# Head of the file.\n\
\n\
# The demo.\n\
[[campaign]]\n\
id = \"demo\"   # stands in URLs\n\
name = \"Demo\"\n\
time_zone = \"Asia/Shanghai\"\n\
landing_hosts = [ \"www.example.com\" , # ours\n\
                  \".example.org\" ]\n\
# ends = 2026-12-31\n\
\n\
# First.\n\
[[campaign.placement]]\n\
id = 'p1'\n\
name = \"Homepage banner\"\n\
medium = \"Example Video\"\n\
# dialect = \"admaster\"\n\
\n\
# Second.\n\
[[campaign.placement]]\n\
id = \"p2\"\n\
name = \"Second\"\n\
medium = \"Example News\"\n\
# profile = \"standard\"\n\
\n\
# Another.\n\
[[campaign]]\n\
id = \"other\"\n\
name = \"Other\"\n\
time_zone = \"UTC\"\n\
# The end.\n";

fn text(text: &str) -> Option<Value> {
    Some(Value::Text(text.to_owned()))
}

fn fields(pairs: &[(&str, &str)]) -> Fields {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), text(value))).collect()
}

fn placement(id: &str) -> Fields {
    fields(&[("id", id), ("name", "New"), ("medium", "M")])
}

fn campaign(id: &str) -> Fields {
    fields(&[("id", id), ("name", "New"), ("time_zone", "UTC")])
}

fn change(before: &str, change: Change) -> Result<Edited, EditError> {
    edit(before, &[change], Profiles::built_in())
}

fn changed(before: &str, what: Change) -> String {
    change(before, what).unwrap().text
}

fn set(placement: &str, key: &str, value: Option<Value>) -> Change {
    Change::SetPlacement {
        campaign: "demo".into(),
        placement: placement.into(),
        fields: vec![(key.into(), value)],
    }
}

fn set_campaign(key: &str, value: Option<Value>) -> Change {
    Change::SetCampaign { campaign: "demo".into(), fields: vec![(key.into(), value)] }
}

fn add(campaign: &str, fields: Fields) -> Change {
    Change::AddPlacement { campaign: campaign.into(), fields }
}

#[test]
fn a_value_is_changed_where_it_stands_and_its_comment_stays() {
    let after = changed(TEXT, set("p1", "name", text("Läufer \"1\"")));
    assert_eq!(after, TEXT.replace("\"Homepage banner\"", "'Läufer \"1\"'"));
    let after = changed(
        TEXT,
        set_campaign("landing_hosts", Some(Value::List(vec![Value::Text("a.example".into())]))),
    );
    let (from, to) = (TEXT.find("[ \"www").unwrap(), TEXT.find(" ]\n").unwrap() + 2);
    assert_eq!(after, format!("{}[\"a.example\"]{}", &TEXT[..from], &TEXT[to..]));
    let after = changed(TEXT, set_campaign("starts", Some(Value::Date("2026-11-01".parse().unwrap()))));
    assert_eq!(after, TEXT.replace(".example.org\" ]\n", ".example.org\" ]\nstarts = 2026-11-01\n"));
    assert_eq!(changed(&after, set_campaign("starts", None)), TEXT);
}

#[test]
fn what_says_the_same_stays_as_it_was_written() {
    assert_eq!(changed(TEXT, set("p1", "id", text("p1"))), TEXT);
    assert_eq!(changed(TEXT, set("p1", "name", text("Homepage banner"))), TEXT);
    let hosts = ["www.example.com", ".example.org"].map(|host| Value::Text(host.into()));
    assert_eq!(changed(TEXT, set_campaign("landing_hosts", Some(Value::List(hosts.to_vec())))), TEXT);
    let money = TEXT.replace("# ends", "currency = \"CNY\"\ncost = 1_000.5\n# ends");
    assert_eq!(changed(&money, set_campaign("cost", Some(Value::Decimal("1000.50".into())))), money);
    let other = changed(&money, set_campaign("cost", Some(Value::Decimal("1000.05".into()))));
    assert_eq!(other, money.replace("1_000.5", "1000.05"));
}

#[test]
fn comments_stay_with_what_they_belong_to() {
    let new = "\n[[campaign.placement]]\nid = \"n\"\nname = \"New\"\nmedium = \"M\"\n";
    let after = changed(TEXT, add("demo", placement("n")));
    assert_eq!(after, TEXT.replace("\"standard\"\n", &format!("\"standard\"\n{new}")));
    let after = changed(TEXT, add("other", placement("n")));
    assert_eq!(after, format!("{TEXT}{new}"));
    let after = changed(TEXT, Change::AddCampaign(campaign("n")));
    assert_eq!(after, format!("{TEXT}\n[[campaign]]\nid = \"n\"\nname = \"New\"\ntime_zone = \"UTC\"\n"));

    let gone = Change::RemovePlacement { campaign: "demo".into(), placement: "p2".into() };
    let (from, to) = (TEXT.find("\n# Second.").unwrap(), TEXT.find("# profile").unwrap());
    assert_eq!(changed(TEXT, gone), format!("{}{}", &TEXT[..from], &TEXT[to..]));
    let gone = Change::RemoveCampaign { campaign: "demo".into() };
    let (from, to) = (TEXT.find("\n# The demo").unwrap(), TEXT.find("# profile").unwrap());
    assert_eq!(changed(TEXT, gone), format!("{}{}", &TEXT[..from], &TEXT[to..]));
    let gone = Change::RemoveCampaign { campaign: "other".into() };
    let (from, to) = (TEXT.find("\n# Another").unwrap(), TEXT.find("# The end").unwrap());
    assert_eq!(changed(TEXT, gone), format!("{}{}", &TEXT[..from], &TEXT[to..]));
}

#[test]
fn an_empty_file_gets_its_first_campaign() {
    let new = "[[campaign]]\nid = \"n\"\nname = \"New\"\ntime_zone = \"UTC\"\n";
    assert_eq!(changed("", Change::AddCampaign(campaign("n"))), new);
    assert_eq!(changed("# Nothing.\n", Change::AddCampaign(campaign("n"))), format!("# Nothing.\n\n{new}"));
    assert_eq!(changed(new, Change::RemoveCampaign { campaign: "n".into() }), "");
}

#[test]
fn line_ends_and_mark_of_a_file_from_windows_stay() {
    let windows = format!("\u{feff}{}", TEXT.replace('\n', "\r\n"));
    let after = changed(&windows, add("demo", placement("n")));
    let expected = changed(TEXT, add("demo", placement("n")));
    assert_eq!(after, format!("\u{feff}{}", expected.replace('\n', "\r\n")));
    let mixed = TEXT.replacen('\n', "\r\n", 1);
    assert!(matches!(change(&mixed, add("demo", placement("n"))), Err(EditError::NotEditable(_))));
    let cut = TEXT.trim_end();
    assert_eq!(changed(cut, add("demo", placement("n"))), expected, "a last line gets its end");
}

#[test]
fn plans_and_universes_are_written_for_people() {
    let range = |from: &str, impressions| {
        Value::Table(vec![
            ("from".into(), Value::Date(from.parse().unwrap())),
            ("to".into(), Value::Date(from.parse().unwrap())),
            ("impressions".into(), Value::Whole(impressions)),
        ])
    };
    let plan = Value::List(vec![range("2026-11-01", 5), range("2026-11-02", 7)]);
    let edited = change(TEXT, set("p1", "plan", Some(plan.clone()))).unwrap();
    let written = "plan = [\n  { from = 2026-11-01, to = 2026-11-01, impressions = 5 },\n  { from = 2026-11-02, to = 2026-11-02, impressions = 7 },\n]\n";
    assert!(edited.text.contains(written), "{}", edited.text);
    let read = &edited.catalog.campaigns["demo"].placements["p1"].plan;
    assert_eq!(read.iter().map(|Planned { impressions, .. }| *impressions).collect::<Vec<_>>(), [5, 7]);
    assert_eq!(changed(&edited.text, set("p1", "plan", Some(plan))), edited.text);
    let one = changed(&edited.text, set("p1", "plan", Some(Value::List(vec![range("2026-11-03", 1)]))));
    assert!(one.contains("plan = [{ from = 2026-11-03, to = 2026-11-03, impressions = 1 }]\n"), "{one}");
    // A list that was written as tables becomes one that is not, in place of them.
    let tables = TEXT.replace("# ends", "[[campaign.creative]]\nid = \"a\"\nname = \"A\"\n# ends");
    let creative = Value::List(vec![Value::Table(vec![
        ("id".into(), Value::Text("b".into())),
        ("name".into(), Value::Text("B".into())),
    ])]);
    let edited = change(&tables, set_campaign("creative", Some(creative))).unwrap();
    assert_eq!(edited.catalog.campaigns["demo"].creative_name("b"), Some("B"));
    assert_eq!(edited.catalog.campaigns["demo"].creative_name("a"), None);
}

#[test]
fn what_is_refused_says_why() {
    let why = |what| change(TEXT, what).map(|edited| edited.text).unwrap_err();
    assert_eq!(why(add("nowhere", placement("n"))), EditError::UnknownCampaign);
    assert_eq!(why(set("p9", "name", text("x"))), EditError::UnknownPlacement);
    assert_eq!(why(add("demo", placement("p1"))), EditError::Exists { what: "placement", id: "p1".into() });
    assert_eq!(
        why(Change::AddCampaign(campaign("demo"))),
        EditError::Exists { what: "campaign", id: "demo".into() }
    );
    assert_eq!(why(set("p1", "id", text("p3"))), EditError::IdStays);
    assert_eq!(why(set("p1", "id", None)), EditError::IdStays);
    assert!(why(set("p1", "name", None)).to_string().contains("`name` is missing"));
    assert!(why(set("p1", "nmae", text("x"))).to_string().contains("did you mean `name`?"));
    assert!(why(set("p1", "source", text("S2S"))).to_string().contains("c2s, s2s or ssai"));
    let all_gone = why(set_campaign("placement", Some(Value::List(Vec::new()))));
    assert!(all_gone.to_string().contains("one by one"), "{all_gone}");
    let broken = edit("[[campaign]]\n", &[], Profiles::built_in()).unwrap_err();
    assert!(matches!(&broken, EditError::Broken(error) if error.line == 1), "{broken}");
    let inline = "campaign = [{ id = \"demo\", name = \"D\", time_zone = \"UTC\" }]\n";
    assert!(matches!(change(inline, add("demo", placement("n"))), Err(EditError::NotEditable(_))));
    let inline = format!("{}placement = []\n", &TEXT[..TEXT.find("# ends").unwrap()]);
    assert!(matches!(change(&inline, add("demo", placement("n"))), Err(EditError::NotEditable(_))));
}

#[test]
fn no_edit_makes_a_text_that_is_too_long_to_be_edited_again() {
    let of = |bytes: usize| format!("#{}\n{TEXT}", "x".repeat(bytes - TEXT.len() - 2));
    let fits = change(&of(TEXT_BYTES_MAX - 1_000), add("demo", placement("n"))).unwrap();
    assert!(fits.text.len() < TEXT_BYTES_MAX && fits.text.len() > TEXT_BYTES_MAX - 1_000);
    let full = of(TEXT_BYTES_MAX);
    let refused = change(&full, add("demo", placement("n"))).unwrap_err();
    assert!(matches!(&refused, EditError::Refused(why) if why.contains("at most 16777216")), "{refused}");
    let remove = Change::RemoveCampaign { campaign: "other".into() };
    assert!(change(&full, remove).unwrap().text.len() < TEXT_BYTES_MAX, "what makes room is done");
    assert!(matches!(
        change(&of(TEXT_BYTES_MAX + 1), add("demo", placement("n"))),
        Err(EditError::NotEditable(_))
    ));
}

#[test]
fn several_changes_are_all_made_or_none() {
    let good = [add("demo", placement("a")), add("demo", placement("b")), add("other", placement("a"))];
    let edited = edit(TEXT, &good, Profiles::built_in()).unwrap();
    assert_eq!(edited.catalog.campaigns["demo"].placements.len(), 4);
    let (a, b) = (edited.text.find("id = \"a\"").unwrap(), edited.text.find("id = \"b\"").unwrap());
    assert!(a < b, "in the order given");
    let bad = [good[0].clone(), good[0].clone()];
    assert!(edit(TEXT, &bad, Profiles::built_in()).is_err());
}

#[test]
fn every_key_at_fault_is_named_at_once() {
    let catalog = Catalog::parse(TEXT, "catalog.toml").unwrap();
    let demo = &catalog.campaigns["demo"];
    let mut wrong = fields(&[
        ("id", "p 1"),
        ("name", ""),
        ("source", "server"),
        ("landing_page", "https://evil.example/"),
        ("state", "live"),
    ]);
    wrong.push(("cost".into(), Some(Value::Decimal("5".into()))));
    let found = check_placement(demo, &wrong, Profiles::built_in());
    let mut keys: Vec<&str> = found.iter().map(|error| error.key.as_str()).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["cost", "id", "landing_page", "medium", "name", "source"], "{found:?}");
    let says = |key: &str| &found.iter().find(|error| error.key == key).unwrap().problem;
    assert!(says("landing_page").words.contains("add \"evil.example\" to `landing_hosts`"));
    // Whoever words it in another language has the code and the values.
    assert_eq!(says("landing_page").code, "host_unregistered");
    assert_eq!(says("landing_page").values, [("host", "evil.example".to_owned())]);
    assert!(check_placement(demo, &placement("n"), Profiles::built_in()).is_empty());
    // What takes two lines in a cell of a sheet moves no mistake to another key.
    let lines = fields(&[
        ("id", "n"),
        ("name", "Homepage\nbanner \"A\""),
        ("medium", "M"),
        ("landing_page", "https://evil.example/"),
        ("source", "server"),
    ]);
    let found = check_placement(demo, &lines, Profiles::built_in());
    let mut keys: Vec<&str> = found.iter().map(|error| error.key.as_str()).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["landing_page", "name", "source"], "{found:?}");
    assert!(found.iter().any(|error| error.key == "name" && error.problem.words.contains("no line break")));
    let found = check_campaign(&fields(&[("id", "a"), ("time_zone", "Asia/Shangai")]), Profiles::built_in());
    let keys: Vec<&str> = found.iter().map(|error| error.key.as_str()).collect();
    assert_eq!(keys, ["name", "time_zone"]);
}

/// Lines that may stand anywhere between keys and tables.
fn noise() -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop::sample::select(vec!["", "# a comment", "  # one = \"more\"", "#[[campaign]]", "\t", "# 备注"]),
        0..4,
    )
    .prop_map(|lines| lines.iter().map(|line| format!("{line}\n")).collect())
}

fn any_placement() -> impl Strategy<Value = String> {
    let rest = [
        "",
        "state = \"trial\" # until Monday\n",
        "plan = [\n # by day\n { from = 2026-11-01, to = 2026-11-02, impressions = 7 } ]\n",
    ];
    (noise(), noise(), prop::sample::select(rest.to_vec()), noise()).prop_map(|(a, b, rest, c)| {
        format!("{a}[[ campaign . placement ]] # one\n{b}id = \"#\"\nname='x'\n  medium = \"M\"\n{rest}{c}")
    })
}

fn any_campaign() -> impl Strategy<Value = String> {
    let rest = [
        "",
        "[campaign.alerts]\ngap_max = 0.1\n",
        "alerts = { gap_max = 0.1 }\n",
        "alerts.gap_max = 0.1\n",
        "[[campaign.creative]]\nid = \"c\"\nname = \"C\"\n# below\n",
    ];
    let placements = prop::collection::vec(any_placement(), 0..4);
    (noise(), noise(), prop::sample::select(rest.to_vec()), placements, prop::bool::ANY).prop_map(
        |(a, b, rest, placements, rest_last)| {
            let all: String = placements
                .iter()
                .enumerate()
                .map(|(at, text)| text.replace("\"#\"", &format!("\"p{at}\"")))
                .collect();
            let is_table = rest.starts_with('[');
            let (first, last) = if rest_last && is_table { ("", rest) } else { (rest, "") };
            format!("{a}[[campaign]]\n{b}id = \"%\"\nname = \"x\"\ntime_zone = \"UTC\"\n{first}{all}{last}")
        },
    )
}

fn any_catalog() -> impl Strategy<Value = String> {
    (prop::collection::vec(any_campaign(), 0..4), noise(), prop::bool::ANY, prop::bool::ANY).prop_map(
        |(campaigns, end, is_windows, has_mark)| {
            let all: String = campaigns
                .iter()
                .enumerate()
                .map(|(at, text)| text.replace("\"%\"", &format!("\"c{at}\"")))
                .collect();
            let text = format!("{all}{end}");
            let text = if is_windows { text.replace('\n', "\r\n") } else { text };
            if has_mark { format!("\u{feff}{text}") } else { text }
        },
    )
}

fn any_change() -> impl Strategy<Value = Change> {
    let id = prop::sample::select(vec!["c0", "c1", "c2", "c9"]).prop_map(str::to_owned);
    let placed = prop::sample::select(vec!["p0", "p1", "p2", "new"]).prop_map(str::to_owned);
    let key = prop::sample::select(vec![
        "name",
        "medium",
        "state",
        "id",
        "alerts",
        "zzz",
        "creative",
        "plan",
        "placement",
    ]);
    let value = prop::sample::select(vec![
        None,
        Some(Value::Text("trial".into())),
        Some(Value::Text("x".into())),
        Some(Value::Table(vec![("gap_max".into(), Value::Decimal("0.25".into()))])),
        Some(Value::List(Vec::new())),
    ]);
    (0..6, id, placed, key, value).prop_map(|(kind, campaign, placed, key, value)| {
        let fields = vec![(key.to_owned(), value)];
        match kind {
            0 => Change::AddCampaign(self::campaign(&campaign)),
            1 => Change::SetCampaign { campaign, fields },
            2 => Change::RemoveCampaign { campaign },
            3 => Change::AddPlacement { campaign, fields: placement(&placed) },
            4 => Change::SetPlacement { campaign, placement: placed, fields },
            _ => Change::RemovePlacement { campaign, placement: placed },
        }
    })
}

/// Bytes that both texts begin with, and those that both end with, never counting a byte of the shorter twice.
fn common(a: &[u8], b: &[u8]) -> (usize, usize) {
    let ahead = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let most = a.len().min(b.len()) - ahead;
    let behind = a.iter().rev().zip(b.iter().rev()).take(most).take_while(|(a, b)| a == b).count();
    (ahead, behind)
}

/// The lines of comments.
fn comments(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|line| line.starts_with('#')).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn a_change_is_one_piece_of_the_text_and_the_rest_stays(before in any_catalog(), what in any_change()) {
        let Ok(old) = Catalog::parse(&before, "catalog.toml") else {
            return Err(TestCaseError::fail(format!("the generator wrote a wrong catalog:\n{before}")));
        };
        let Ok(Edited { text: after, catalog: new }) = change(&before, what.clone()) else { return Ok(()) };
        let (ahead, behind) = common(before.as_bytes(), after.as_bytes());
        match &what {
            Change::AddCampaign(_) | Change::AddPlacement { .. } => {
                prop_assert_eq!(ahead + behind, before.len(), "something but the addition changed:\n{}\n----\n{}", before, after);
            }
            Change::RemoveCampaign { .. } | Change::RemovePlacement { .. } => {
                prop_assert_eq!(ahead + behind, after.len(), "something but the removal changed:\n{}\n----\n{}", before, after);
            }
            Change::SetCampaign { fields, .. } | Change::SetPlacement { fields, .. } => {
                // A key that goes may take comments above it along, and a table the ones in it.
                let is_plain = fields.iter().all(|(key, value)| value.is_some() && key != "alerts" && key != "creative" && key != "plan");
                if is_plain {
                    prop_assert_eq!(comments(&before), comments(&after));
                }
            }
        }
        // Every campaign that was not named is what it was.
        let named = match &what {
            Change::AddCampaign(fields) => catalog::edit::field(fields, "id").and_then(Value::as_text).unwrap(),
            Change::SetCampaign { campaign, .. } | Change::RemoveCampaign { campaign } | Change::AddPlacement { campaign, .. }
            | Change::SetPlacement { campaign, .. } | Change::RemovePlacement { campaign, .. } => campaign,
        };
        for (id, campaign) in &old.campaigns {
            if id != named {
                prop_assert_eq!(format!("{campaign:?}").len(), format!("{:?}", new.campaigns[id]).len());
            }
        }
        prop_assert_eq!(new.version, Catalog::parse(&after, "x").unwrap().version);
    }

    #[test]
    fn adding_and_removing_gives_back_every_byte_but_blank_lines(before in any_catalog(), at in 0..3_usize) {
        let campaign = format!("c{at}");
        let Ok(added) = change(&before, add(&campaign, placement("new"))) else { return Ok(()) };
        let after = changed(&added.text, Change::RemovePlacement { campaign, placement: "new".into() });
        let squeezed = |text: &str| text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect::<Vec<_>>();
        prop_assert_eq!(squeezed(&before), squeezed(&after));
    }
}
