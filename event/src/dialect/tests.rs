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
    let meanings: Vec<Meaning> = table.parameters.iter().map(|parameter| parameter.meaning).collect();
    // What an SDK says of a device comes in the SDK's grammars alone.
    for field in Field::all().filter(|field| *field != Field::DeviceRisk) {
        assert!(meanings.contains(&Meaning::Field(field)), "{}", field.name());
        assert_eq!(Field::from_name(field.name()), Some(field));
    }
    assert_eq!(meanings.len(), 21 + IdField::COUNT);
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
        "$im$",
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
        "%257BOAID%257D",
        "%257B%257BOAID%257D%257D",
        "{{%20OAID%20}}",
        "{{%2520OAID%2520}}",
        "{{+OAID+}}",
        "%5F%255FOAID__",
        "{OPEN%20AD%20ID}",
        "%3COAID%3E",
        "%253COAID%253E",
        "%23OAID%23",
        "%2523OAID%2523",
    ];
    for style in styles {
        reading(&format!("c=demo&p={style}&oaid={style}&gdpr={style}"), |hit| {
            assert_eq!(hit.macros_unreplaced, 3, "{style}");
            assert_eq!((hit.placement, hit.gdpr, hit.ids[0]), (None, None, None), "{style}");
        });
    }
}

#[test]
fn what_only_resembles_a_macro_is_a_value() {
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
        "{{X}",
        "{ }",
        "$X Y",
        "{ 1 }",
        "{300 x 250}",
        "<1>",
        "<X",
        "#X",
        "#f00",
        "#1#",
        "%7B%7D",
        "%7B1%7D",
        "%257BX%257D",
        "%X",
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
        "gaudy.toml",
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

/// A table of this head and what follows.
fn table(rest: &str) -> Result<Table, TableError> {
    Table::parse_toml("x.toml", &format!("name = \"x\"\nseparator = \"&\"\nequalizer = \"=\"\n{rest}"))
}

#[test]
fn a_wrong_table_is_refused() {
    let rule = "[[stages]]\nstage = \"impression\"\n";
    for (text, says) in [
        (
            "[parameters]\nc = \"campain\"",
            "field `campain` does not exist; the nearest of the fields is `campaign`",
        ),
        (
            "[parameters]\nc = { field = \"campaign\", plus = true }",
            "expected a field name, or { field or pattern or words",
        ),
        (
            "seperator = \"&\"\n[parameters]",
            "unknown field `seperator`, expected one of `name`, `title`, `separator`",
        ),
        ("[parameters]\n\"a&b\" = \"campaign\"", "the grammar cannot carry"),
        ("[parameters]\n\"\" = \"campaign\"", "the grammar cannot carry"),
        ("[parameters]\n\"a%\" = \"campaign\"", "the grammar cannot carry"),
        ("[parameters]\nc = \"campaign\"\nc = \"placement\"", "duplicate key"),
        ("dropped = [\"c\"]\n[parameters]\nc = \"campaign\"", "the name `c` stands twice"),
        ("dropped = [\"c\", \"c\"]\n[parameters]", "the name `c` stands twice"),
        ("rest = \"o\"\n[parameters]", "rest `o` is not allowed"),
        ("repeats = \"first\"\n[parameters]", "allowed: contradiction, last"),
        ("time_offset = \"8\"\n[parameters]", "time_offset `8`"),
        ("[parameters]\nc = { pattern = \"x_{campain}\" }", "field `campain` does not exist"),
        ("[parameters]\nc = { pattern = \"{campaign}{placement}\" }", "something between them"),
        ("[parameters]\nc = { pattern = \"{campaign\" }", "has no `}`"),
        ("[parameters]\nc = { pattern = \"x\" }", "fills no field"),
        (
            "[parameters]\nc = { pattern = \"{campaign}\", field = \"campaign\" }",
            "either `field`, `pattern` or `words`",
        ),
        ("[parameters]\nc = { pattern = \"{campaign}\", encoding = \"hex\" }", "allowed: base64"),
        ("[[paths]]\npath = \"/a\"\n[parameters]", "there are none"),
        ("[[paths]]\npath = \"a\"\nstage = \"click\"\n[parameters]", "path `a` is not allowed"),
        ("[[paths]]\npath = \"/a{parameters}\"\nstage = \"click\"\n[parameters]", "behind a slash"),
        ("[[paths]]\npath = \"/{parameters}\"\nstage = \"click\"\n[parameters]", "not behind the first"),
        ("[[paths]]\npath = \"/a/{event}\"\n[parameters]", "[events] is empty"),
        ("[[paths]]\npath = \"/a/{stages}\"\n[parameters]", "/literal/{stage}"),
        ("[[paths]]\npath = \"/v1/x\"\nstage = \"click\"\n[parameters]", "never reached"),
        ("[[paths]]\npath = \"/a\"\nstage = \"clik\"\n[parameters]", "allowed: tracked, impression"),
        ("[[paths]]\npath = \"/a\"\nstage = \"click\"\nwhen = \"=\"\n[parameters]", "when `=`"),
        (
            "[[paths]]\npath = \"/a\"\nstage = \"click\"\nanswer = \"gif\"\n[parameters]",
            "allowed: pixel, redirect",
        ),
        ("marks = [\"m\"]\n[parameters]", "no [[stages]]"),
        (&format!("{rule}marks = {{ m = \"1\" }}\n[parameters]"), "mark `m` is not allowed"),
        (&format!("{rule}{rule}[parameters]"), "rule 2 of [[stages]] (`impression`) is never reached"),
        ("[[stages]]\nstage = \"impressio\"\n[parameters]", "allowed: tracked, impression"),
    ] {
        let error = table(text).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains(says) && error.contains("x.toml"), "{error:?} should say {says:?}");
    }
    for (separator, equalizer) in
        [("=", "="), ("，", "="), ("&", "=="), ("", "="), ("a", "="), ("%", "="), (" ", "")]
    {
        let text =
            format!("name = \"x\"\nseparator = \"{separator}\"\nequalizer = \"{equalizer}\"\n[parameters]");
        let error =
            Table::parse_toml("x.toml", &text).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(
            error.contains("the separator must be one ASCII character"),
            "{separator} {equalizer}: {error}"
        );
    }
    let glued = "name = \"x\"\nseparator = \",\"\nequalizer = \"\"\n[parameters]\na = \"campaign\"\na1 = \"placement\"";
    let error = Table::parse_toml("x.toml", glued).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(error.contains("`a` and `a1` cannot be told apart"), "{error}");
    let name = "name = \"A b\"\nseparator = \",\"\nequalizer = \"\"\n[parameters]";
    assert!(Table::parse_toml("x.toml", name).is_err());
}

#[test]
fn tables_that_cannot_be_told_apart_are_refused() {
    let file = |name: &str, path: &str| {
        let text = format!(
            "name = \"{name}\"\nseparator = \"&\"\nequalizer = \"=\"\n{path}\n[parameters]\nc = \"campaign\""
        );
        (format!("{name}.toml"), text)
    };
    let path = |path: &str, more: &str| format!("[[paths]]\npath = \"{path}\"\nstage = \"click\"\n{more}");
    let refused = |files: Vec<(String, String)>| {
        Dialects::with(files).err().map(|error| error.to_string()).unwrap_or_default()
    };
    let twice = refused(vec![file("one", &path("/a", "")), file("one", &path("/b", ""))]);
    assert!(twice.contains("one.toml") && twice.contains("also in"), "{twice}");
    let clash = refused(vec![file("one", &path("/a", "")), file("two", &path("/a", ""))]);
    assert!(clash.contains("two.toml") && clash.contains("one") && clash.contains("marker"), "{clash}");
    let with_built_in = refused(vec![file("one", &path("/i", ""))]);
    assert!(with_built_in.contains("native"), "{with_built_in}");
    let itself = refused(vec![file("one", &(path("/a", "") + &path("/a", "")))]);
    assert!(itself.contains("itself"), "{itself}");

    let set = Dialects::with([
        file("one", &path("/a", "")),
        file("two", &path("/a", "when = \"x\"")),
        file("three", &path("/a", "when = \"x=1\"")),
        file("native", &path("/native", "")),
    ])
    .unwrap();
    for (target, name) in
        [("", "one"), ("y=1", "one"), ("x=2", "two"), ("y&x=1", "three"), ("xx=1", "one"), ("x", "one")]
    {
        assert_eq!(set.route("/a", Some(target)).unwrap().table.name(), name, "{target}");
    }
    assert!(set.route("/i", None).is_none(), "the built-in table was replaced");
    assert_eq!(set.route("/native", None).unwrap().number, 0);
    assert_eq!(set.get("two").unwrap().title(), "two");
}

/// Reads a target of a built-in dialect.
fn target<'a>(target: &str, scratch: &'a mut Scratch) -> Reading<'a> {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    Dialects::built_in()
        .route(path, query)
        .unwrap_or_else(|| panic!("{target} is of no dialect"))
        .read(scratch)
}

#[test]
fn paths_of_the_native_dialect_say_the_stage() {
    let set = Dialects::built_in();
    for (path, stage, defect, is_click) in [
        ("/i", Some(Stage::Impression), None, false),
        ("/c", Some(Stage::Click), None, true),
        ("/e/midpoint", Some(Stage::Midpoint), None, false),
        ("/e/click", Some(Stage::Click), None, false),
        ("/e/nonsense", None, Some(Outcome::UnknownStage), false),
        ("/e/", None, Some(Outcome::UnknownStage), false),
    ] {
        let entry = set.route(path, Some("c=a&p=b")).unwrap();
        let mut scratch = Scratch::new();
        let reading = entry.read(&mut scratch);
        assert_eq!((reading.hit.stage, reading.defect, entry.is_click), (stage, defect, is_click), "{path}");
        assert_eq!(reading.hit.placement, Some(&b"b"[..]));
    }
    for path in ["/e", "/e/a/b", "/", "/I", "/tag.js", "*", "", "/v1/events", "/i/x/y/z/"] {
        let entry = set.route(path, None);
        assert!(entry.is_none_or(|entry| entry.table.name() != "native"), "{path}");
    }
}

#[test]
fn marks_decide_the_stage_in_the_order_of_the_rules() {
    for (marks, stage) in [
        ("", Ok(Stage::Impression)),
        ("&br=1", Ok(Stage::Impression)),
        ("&br=0", Ok(Stage::Tracked)),
        ("&br=1&vx=0&vf=a", Ok(Stage::Impression)),
        ("&br=__BR__&vx=__VX__&vc=__VC__", Ok(Stage::Impression)),
        ("&vx=0", Ok(Stage::Impression)),
        ("&vx=1", Ok(Stage::Viewable)),
        ("&vx=4&vk=1", Ok(Stage::NotViewable)),
        ("&vx=2", Ok(Stage::NotMeasurable)),
        ("&vc=25", Ok(Stage::FirstQuartile)),
        ("&vc=50", Ok(Stage::Midpoint)),
        ("&vc=75", Ok(Stage::ThirdQuartile)),
        ("&vc=100", Ok(Stage::Complete)),
        ("&vx=__VIEWSEQ__&vx=1", Ok(Stage::Viewable)),
        ("&vx=1&vx=__VIEWSEQ__", Ok(Stage::Viewable)),
        ("&br=0&vx=%31", Ok(Stage::Viewable)),
        ("&vc=30", Err(Outcome::UnknownStage)),
        ("&vx=3", Err(Outcome::UnknownStage)),
        ("&br=2", Err(Outcome::UnknownStage)),
        ("&br=1&vx=9", Ok(Stage::Impression)),
    ] {
        let mut scratch = Scratch::new();
        let reading = target(&format!("/x/k=1&p=2{marks}&o="), &mut scratch);
        assert_eq!(reading.defect.map_or(reading.hit.stage.ok_or(Outcome::Malformed), Err), stage, "{marks}");
        let mut scratch = Scratch::new();
        let click = target(&format!("/r/k=1&p=2{marks}&o="), &mut scratch);
        assert_eq!((click.hit.stage, click.defect), (Some(Stage::Click), None), "{marks}");
    }
}

#[test]
fn the_landing_url_is_split_off_first() {
    for (text, landing) in [
        ("/r/k=1&p=2&o=http://a.example/x?k=3&p=4&m5=5#f", Some("http://a.example/x?k=3&p=4&m5=5#f")),
        ("/r/k=1&p=2&o=http%3A%2F%2Fa.example%2F%3Fx%3D%2520", Some("http://a.example/?x=%20")),
        ("/r/k=1&p=2&o=https://a.example/%E5%B9%BF?x=%20", Some("https://a.example/%E5%B9%BF?x=%20")),
        ("/r?k=1&p=2&o=https://a.example/&x=?y", Some("https://a.example/&x=?y")),
        ("/r/k=1&amp;p=2&amp;o=http://a.example/?b=1&amp;k=7", Some("http://a.example/?b=1&k=7")),
        (
            "/r/k%3D1%26p%3D2%26o%3Dhttp%253A%252F%252Fa.example%253Fx%253D%252520",
            Some("http://a.example?x=%20"),
        ),
        ("/r/k%3d1%26p%3d2%26o%3dhttp://a.example/?k=9", Some("http://a.example/?k=9")),
        ("/r/?k=1&p=2&o=http://a.example", Some("http://a.example")),
        ("/r/k=1?p=2&o=http://a.example", Some("http://a.example")),
        (
            "/r/k=1&p=2&o=https%253A%252F%252Fa.example%252F%253Fx%253D%252520",
            Some("https://a.example/?x=%20"),
        ),
        ("/r/k=1&p=2&o=HTTP%253a//a.example/%25zz", Some("HTTP://a.example/%zz")),
        (
            "/r/k=1&p=2&o=http%3A%2F%2Fa.example%2F%3Fu%3Dhttp%253A%252F%252Fb",
            Some("http://a.example/?u=http%3A%2F%2Fb"),
        ),
        ("/r/k=1&p=2&o=http://a.example/?u=http%3A%2F%2Fb", Some("http://a.example/?u=http%3A%2F%2Fb")),
        ("/r/k=1&p=2&o=", None),
        ("/r/k=1&p=2&o", None),
        ("/r/k=1&p=2&o=__CLICK__", None),
        ("/r/k=1&p=2&o=%%CLICK%%", None),
        ("/r/k=1&p=2", None),
        ("/r/k=1&p=2?", None),
    ] {
        let mut scratch = Scratch::new();
        let reading = target(text, &mut scratch);
        assert_eq!(reading.defect, None, "{text}");
        assert_eq!(
            reading.hit.landing_url.map(|url| String::from_utf8_lossy(url).into_owned()).as_deref(),
            landing,
            "{text}"
        );
        assert_eq!(
            (reading.hit.campaign, reading.hit.placement),
            (Some(&b"1"[..]), Some(&b"2"[..])),
            "{text}"
        );
        assert_eq!(reading.hit.ids[IdField::Idfa as usize], None);
    }
}

#[test]
fn the_last_usable_one_of_a_doubled_parameter_counts() {
    let mut scratch = Scratch::new();
    let reading = target("/x/k=1&m5=__IDFA__&p=2&m5=A&m5=B&m5=&m5={IDFA}&p=3&o=http://x/&m5=C", &mut scratch);
    assert_eq!(reading.defect, None);
    assert_eq!(reading.hit.ids[IdField::Idfa as usize], Some(&b"B"[..]));
    assert_eq!((reading.hit.placement, reading.hit.macros_unreplaced), (Some(&b"3"[..]), 2));
}

#[test]
fn known_names_that_nobody_needs_are_dropped_unread_and_named() {
    let mut scratch = Scratch::new();
    let reading = target("/x/k=1&p=2&mj=%E5%AE%B6%ZZ&mm=39.9x116.4&zz=%&m10=unknow&mj=1", &mut scratch);
    assert_eq!((reading.defect, reading.hit.parameters_unknown), (None, 1));
    let table = Dialects::built_in().get("miaozhen").unwrap();
    let names: Vec<&str> = reading
        .hit
        .parameters_dropped
        .iter()
        .map(|number| &*table.dropped_names()[usize::from(number)])
        .collect();
    assert_eq!(names, ["m10", "mj", "mm"]);
    assert_eq!(reading.hit.parameters_dropped.len(), 3);
}

#[test]
fn of_what_an_sdk_says_of_the_device_four_flags_are_read() {
    for (value, bits) in [
        ("%7Bl1%3A0%2Cl2%3A1%2Ce1%3AiPhone+of+X%2Ce4%3A127989493760%7D", crate::hit::risk::EMULATOR),
        ("%7B%22l1%22%3A%221%22%2C%22l4%22%3A1%7D", crate::hit::risk::ROOT | crate::hit::risk::ADB),
        ("{l1:1}", crate::hit::risk::ROOT),
        ("__SVL__", 0),
    ] {
        let mut scratch = Scratch::new();
        let reading = target(&format!("/x/k=1&p=2&svl={value}&o="), &mut scratch);
        assert_eq!((reading.defect, reading.hit.device_risk), (None, bits), "{value}");
    }
}
