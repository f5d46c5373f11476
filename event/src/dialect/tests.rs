//! Tests of the dialect tables: what each rule of the module's head means for real and for broken queries.

use super::*;
use crate::identifier::IdField;
use crate::stage::Stage;

fn reading(query: &str, check: impl FnOnce(Hit<'_>)) {
    let mut scratch = Scratch::new();
    match Table::native().parse(query.as_bytes(), &mut scratch) {
        Ok(hit) => check(hit),
        Err(outcome) => panic!("{query}: {outcome:?}"),
    }
}

fn rejected(query: &str) -> Option<Outcome> {
    Table::native().read(query.as_bytes(), &mut Scratch::new()).defect
}

#[test]
fn reads_the_parameters_of_the_contract() {
    reading(
        "c=demo&p=p1&cr=a%20b&t=1795219200&rid=r-1&oaid=AbC&u=https%3A%2F%2Fx.example%2F%3Fa%3D1%26b&lmt=1",
        |hit| {
            assert_eq!(hit.campaign, Some(&b"demo"[..]));
            assert_eq!(hit.placement, Some(&b"p1"[..]));
            assert_eq!(hit.creative, Some(&b"a b"[..]));
            assert_eq!(hit.time, Some(&b"1795219200"[..]));
            assert_eq!(hit.request_id, Some(&b"r-1"[..]));
            assert_eq!(hit.ids[IdField::Oaid as usize], Some(&b"AbC"[..]));
            assert_eq!(hit.landing_url, Some(&b"https://x.example/?a=1&b"[..]));
            assert_eq!(hit.limit_ad_tracking, Some(&b"1"[..]));
            assert_eq!((hit.parameters_unknown, hit.macros_unreplaced), (0, 0));
        },
    );
}

#[test]
fn every_field_has_a_parameter_in_the_native_table() {
    let table = Table::native();
    let fields: Vec<Field> = table.parameters.values().map(|parameter| parameter.field).collect();
    for id in IdField::ALL {
        assert!(fields.contains(&Field::Id(id)), "{}", id.name());
    }
    assert_eq!(fields.len(), 21 + IdField::COUNT);
}

#[test]
fn id_fields_stand_in_the_order_of_their_number() {
    for (index, field) in IdField::ALL.into_iter().enumerate() {
        assert_eq!(field as usize, index);
        assert_eq!(IdField::from_name(field.name()), Some(field));
    }
}

#[test]
fn an_empty_value_is_absent() {
    reading("c=demo&p=&oaid&&imei=+&cr=%20", |hit| {
        assert_eq!(hit.placement, None);
        assert_eq!(hit.creative, None);
        assert_eq!(hit.ids[IdField::Oaid as usize], None);
        assert_eq!(hit.ids[IdField::Imei as usize], Some(&b"+"[..]), "a plus is a plus in an identifier");
        assert_eq!(hit.parameters_unknown, 0);
    });
}

#[test]
fn unknown_parameters_are_dropped_unread() {
    reading("svl=%ZZ&c=demo&x&wifi=home%&p=p1&stage=click", |hit| {
        assert_eq!(hit.parameters_unknown, 4);
        assert_eq!(hit.stage, None);
    });
}

#[test]
fn a_broken_escape_counts_only_where_it_is_read() {
    for query in ["c=demo&p=%", "c=demo&p=%4", "c=demo&p=%4G", "c=de%%6do", "oaid=%u0041"] {
        assert_eq!(rejected(query), Some(Outcome::Malformed), "{query}");
    }
    reading("c=%64emo&p=p%31", |hit| assert_eq!(hit.campaign, Some(&b"demo"[..])));
}

#[test]
fn repeats_may_not_differ() {
    assert_eq!(rejected("c=demo&c=demo&p=p1"), None);
    assert_eq!(rejected("c=demo&c=%64emo&p=p1"), None);
    assert_eq!(rejected("c=demo&c=&c=__CAMPAIGN__&p=p1"), None);
    for query in ["c=demo&c=other", "p=1&p=2", "oaid=a&oaid=b", "t=1&t=2", "gdpr=0&gdpr=1", "u=a&u=b"] {
        assert_eq!(rejected(query), Some(Outcome::Contradictory), "{query}");
    }
}

#[test]
fn what_could_be_read_is_handed_out_beside_the_defect() {
    let mut scratch = Scratch::new();
    let reading = Table::native().read(b"c=a&c=b&cr=%&u=https%3A%2F%2Fx.example&p=1", &mut scratch);
    assert_eq!(reading.defect, Some(Outcome::Contradictory));
    assert_eq!(reading.hit.campaign, Some(&b"a"[..]));
    assert_eq!(reading.hit.landing_url, Some(&b"https://x.example"[..]));
}

#[test]
fn ids_of_the_catalog_have_its_alphabet() {
    for query in ["c=a%20b", "c=a%00", "p=%E5%B9%BF", "p=a/b", "c=%FF", "cr=%FF", "cr=a%0Ab"] {
        assert_eq!(rejected(query), Some(Outcome::Malformed), "{query}");
    }
    reading("c=%20demo%20&p=A.b-_9&cr=%E5%B9%BF+1", |hit| {
        assert_eq!(hit.campaign, Some(&b"demo"[..]), "blanks around a value are not part of it");
        assert_eq!(hit.creative, Some("广 1".as_bytes()));
    });
}

#[test]
fn values_have_limits() {
    for (name, max) in [
        ("c", limit::CATALOG_ID_BYTES_MAX),
        ("p", limit::CATALOG_ID_BYTES_MAX),
        ("cr", limit::CREATIVE_BYTES_MAX),
        ("t", limit::TIME_BYTES_MAX),
        ("rid", limit::REQUEST_ID_BYTES_MAX),
        ("oaid", limit::ID_BYTES_MAX),
        ("u", limit::LANDING_URL_BYTES_MAX),
        ("ua", limit::USER_AGENT_BYTES_MAX),
        ("gdpr_consent", limit::CONSENT_BYTES_MAX),
        ("lmt", limit::SIGNAL_BYTES_MAX),
    ] {
        assert_eq!(rejected(&format!("{name}={}", "a".repeat(max))), None, "{name}");
        assert_eq!(rejected(&format!("{name}={}", "a".repeat(max + 1))), Some(Outcome::TooLong), "{name}");
    }
}

#[test]
fn macros_of_every_style_are_missing_values() {
    let styles = [
        "__OAID__",
        "__oaid__",
        "__AndroidID__",
        "__ANDROIDID1__",
        "{OAID}",
        "{{OAID}}",
        "[OAID]",
        "[M_MAC]",
        "${OAID}",
        "${GDPR_CONSENT_755}",
        "%%OAID%%",
        "$OAID",
        "%25%25OAID%25%25",
        "%7BOAID%7D",
        "%5Bimei%5D",
        "%5b%6dac%5D",
        "%24%7BOAID%7D",
        "{wb_uid_md5}",
        "[M:X]",
        "__HASH_OAID__",
        "%5F%5FOAID%5F%5F",
        " __OAID__ ",
    ];
    for style in styles {
        reading(&format!("c=demo&p={style}&oaid={style}&gdpr={style}"), |hit| {
            assert_eq!(hit.macros_unreplaced, 3, "{style}");
            assert_eq!((hit.placement, hit.gdpr, hit.ids[0]), (None, None, None), "{style}");
        });
    }
    for value in [
        "",
        "_",
        "__",
        "____",
        "___",
        "{}",
        "{{}}",
        "[]",
        "$",
        "${}",
        "%%%%",
        "$5",
        "[300]",
        "{1}",
        "__1__",
        "_X_",
        "a__X__",
        "__X__a",
        "{X",
        "X}",
        "[X",
        "$X$",
        "{{X}",
        "{X Y}",
        "__",
        "$-1",
        "http://x/?a=__X__",
        "__X__,__Y__",
    ] {
        assert!(!is_unreplaced_macro(value.as_bytes()), "{value}");
    }
}

#[test]
fn an_html_escaped_separator_is_one() {
    reading("c=demo&amp;p=p1&amp;oaid=x&amp;foo=1&amp;", |hit| {
        assert_eq!(hit.placement, Some(&b"p1"[..]));
        assert_eq!(hit.ids[0], Some(&b"x"[..]));
    });
}

#[test]
fn json_has_the_same_names_and_rules() {
    let table = Table::native();
    let mut hit = Hit::default();
    table.set(&mut hit, "c", b"demo").unwrap();
    table.set(&mut hit, "stage", b"midpoint").unwrap();
    table.set(&mut hit, "stage", b"midpoint").unwrap();
    table.set(&mut hit, "oaid", b"{OAID}").unwrap();
    table.set(&mut hit, "who", b"x").unwrap();
    table.set(&mut hit, "cr", b"50%").unwrap();
    assert_eq!(
        (hit.campaign, hit.stage, hit.creative),
        (Some(&b"demo"[..]), Some(Stage::Midpoint), Some(&b"50%"[..]))
    );
    assert_eq!((hit.macros_unreplaced, hit.parameters_unknown), (1, 1));
    assert_eq!(table.set(&mut hit, "c", b"other"), Err(Outcome::Contradictory));
    assert_eq!(table.set(&mut hit, "stage", b"click"), Err(Outcome::Contradictory));
    assert_eq!(table.set(&mut hit, "stage", b"notUsed"), Err(Outcome::UnknownStage));
    assert_eq!(table.set(&mut hit, "p", b"a b"), Err(Outcome::Malformed));
    assert_eq!(hit.stage, Some(Stage::Midpoint));
}

#[test]
fn another_grammar_only_needs_a_table() {
    let table = Table::parse_toml(
        "name = \"gaudy\"\nseparator = \";\"\nequalizer = \":\"\nplus_is_space = true\n\
         [parameters]\nk = \"campaign\"\nm11 = \"oaid\"\nm5b = { field = \"idfa_md5\", plus_is_space = false }\n",
    )
    .unwrap();
    let mut scratch = Scratch::new();
    let hit = table.parse(b"k:215;m11:a+b;m5b:a+b;c=1", &mut scratch).ok().unwrap();
    assert_eq!(table.name(), "gaudy");
    assert_eq!(hit.campaign, Some(&b"215"[..]));
    assert_eq!(hit.ids[IdField::Oaid as usize], Some(&b"a b"[..]));
    assert_eq!(hit.ids[IdField::IdfaMd5 as usize], Some(&b"a+b"[..]));
    assert_eq!(hit.parameters_unknown, 1);
}

#[test]
fn a_wrong_table_is_refused() {
    let head = "name = \"x\"\nseparator = \"&\"\nequalizer = \"=\"\n";
    for (text, says) in [
        (format!("{head}[parameters]\nc = \"campain\""), "field `campain` does not exist"),
        (
            format!("{head}[parameters]\nc = {{ field = \"campaign\", plus = true }}"),
            "{ field, plus_is_space, json_only }",
        ),
        (format!("{head}seperator = \"&\"\n[parameters]"), "unknown field `seperator`"),
        (format!("{head}[parameters]\n\"a&b\" = \"campaign\""), "the grammar cannot carry"),
        (format!("{head}[parameters]\n\"\" = \"campaign\""), "the grammar cannot carry"),
        (format!("{head}[parameters]\nc = \"campaign\"\nc = \"placement\""), "duplicate key"),
        ("name = \"x\"\nseparator = \"=\"\nequalizer = \"=\"\n[parameters]".into(), "two different"),
        ("name = \"x\"\nseparator = \"，\"\nequalizer = \"=\"\n[parameters]".into(), "two different"),
        ("name = \"x\"".into(), "missing field `separator`"),
    ] {
        let error = Table::parse_toml(&text).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains(says), "{error:?} should say {says:?}");
    }
}
