//! What uploads are read as, and what is told of those that cannot be.

use catalog::Catalog;

use super::*;

const CATALOG: &str = r#"
[[campaign]]
id = "c"
name = "C"
time_zone = "UTC"
[[campaign.placement]]
id = "p1"
name = "One"
medium = "A"
[[campaign.placement]]
id = "p2"
name = "Two"
medium = "B"
"#;

fn read_as(body: &[u8], sight: &Sight) -> Result<Reading, Unreadable> {
    let catalog = Catalog::parse(CATALOG, "catalog.toml").expect("a catalog");
    let today = "2026-11-20".parse().ok().and_then(day_number).expect("a day");
    read(body, &Around { campaign: &catalog.campaigns["c"], sight, today })
}

fn told(body: &str) -> Result<Vec<String>, Unreadable> {
    told_of(body.as_bytes())
}

fn told_of(body: &[u8]) -> Result<Vec<String>, Unreadable> {
    let reading = read_as(body, &Sight::exact())?;
    assert_eq!(reading.wrong.len(), reading.wrong_count);
    if reading.wrong.is_empty() {
        let cell = |(cell, said): (&(String, u16), &Said)| {
            format!("{} {} {} {:?}", cell.0, day_text(cell.1), said.impressions, said.clicks)
        };
        return Ok(reading.media.values().flatten().map(cell).collect());
    }
    Ok(reading
        .wrong
        .iter()
        .map(|w| format!("{}{} {}: {}", w.column, w.row, w.value, w.mistake.message))
        .collect())
}

#[test]
fn a_row_of_sums_is_no_number_and_is_held_against_the_others() {
    let body =
        |sums: &str| format!("点位ID,日期,曝光量,点击量\np1,2026-11-01,1200,3\np2,2026-11-02,7,\n{sums}\n");
    for sums in ["合计,,1207,3", "合计,2026-11-02,1207,3", ",总计,1207,"] {
        let reading = read_as(body(sums).as_bytes(), &Sight::exact()).expect("is read");
        assert_eq!((reading.rows, reading.wrong_count, &*reading.sum_rows), (2, 0, &[4][..]), "{sums}");
        assert_eq!(reading.warnings, [], "{sums}");
    }
    let reading = read_as(body("Total,,1300,3").as_bytes(), &Sight::exact()).expect("is read");
    let warned: Vec<_> = reading
        .warnings
        .iter()
        .map(|w| (w.row, &*w.column, &*w.value, &*w.mistake.values["counted"]))
        .collect();
    assert_eq!(warned, [(4, "C", "1300", "1207")]);
}

#[test]
fn a_unit_is_refused_where_it_stands() {
    for header in [
        "点位ID,日期,曝光量（万）",
        "点位ID,日期,曝光 千次",
        "id,day,Impressions (k)",
        "id,day,Impressions CPM",
    ] {
        let unit = header.rsplit(',').next().expect("a name");
        let found = told(&format!("{header}\np1,2026-11-01,12\n"));
        let is_refused = match &found {
            Ok(rows) if rows.iter().any(|row| row.starts_with(&format!("C1 {unit}"))) => true,
            // No column of impressions is called so.
            Err(Unreadable::Header) => true,
            _ => false,
        };
        assert!(is_refused, "{header}: {found:?}");
    }
    let titled = told("单位：千次\n点位ID,日期,曝光量\np1,2026-11-01,12\n").expect("is read");
    assert_eq!(titled.len(), 1);
    assert!(titled[0].starts_with("A1 单位：千次"), "{titled:?}");
}

#[test]
fn all_forms_say_the_same() {
    let expected = Ok(vec!["p1 2026-11-01 1200 Some(3)".to_owned(), "p2 2026-11-02 0 None".to_owned()]);
    for body in [
        "placement,day,impressions,clicks\np1,2026-11-01,1200,3\np2,2026-11-02,0,\n",
        "\u{feff}点位ID;日期;曝光量;点击量\r\np1;2026/11/1;1,200;3\r\n;;;\r\np2;2026年11月2日;0;\r\n",
        "Report of A\t\t\t\n\nClicks\tImp.\tDate\tPlacement ID\tNote\n3\t1,200\t20261101\tp1\tx\n\t0\t2026.11.02\tp2\t\n",
        r#"{"rows":[{"placement":"p1","day":"2026-11-01","impressions":1200,"clicks":3},
            {"placement":"p2","day":"2026-11-02","impressions":"0","clicks":null}]}"#,
        "Report\nPlacement ID,Date,Delivered,\n,,Imp.,Clicks\np1,46327,1200,3\np2,46328,0,\n",
    ] {
        assert_eq!(told(body), expected, "{body}");
    }
    let (gbk, _, _) =
        encoding_rs::GB18030.encode("点位ID,日期,曝光量(次),点击量\np1,2026/11/1,1200,3\np2,2026/11/2,0,\n");
    assert_eq!(told_of(&gbk), expected);
    assert_eq!(told_of(&workbook()), expected);
}

/// As Excel keeps it: days as numbers in the clothes of a date, a title above.
fn workbook() -> Vec<u8> {
    let mut book = rust_xlsxwriter::Workbook::new();
    let sheet = book.add_worksheet();
    let day = rust_xlsxwriter::Format::new().set_num_format("yyyy-mm-dd");
    sheet.write_string(0, 0, "November").expect("written");
    for (column, name) in (0..).zip(["点位ID", "日期", "曝光", "点击"]) {
        sheet.write_string(1, column, name).expect("written");
    }
    for (row, (id, serial, impressions)) in (2..).zip([("p1", 46_327.0, 1200.0), ("p2", 46_328.0, 0.0)]) {
        sheet.write_string(row, 0, id).expect("written");
        sheet.write_number_with_format(row, 1, serial, &day).expect("written");
        sheet.write_number(row, 2, impressions).expect("written");
    }
    sheet.write_number(2, 3, 3.0).expect("written");
    book.save_to_buffer().expect("a workbook")
}

/// A workbook of sheets with their rows.
fn book(sheets: &[(&str, &str)]) -> Vec<u8> {
    let mut book = rust_xlsxwriter::Workbook::new();
    for (name, rows) in sheets {
        let sheet = book.add_worksheet().set_name(*name).expect("a name");
        for (row, line) in (0..).zip(rows.lines()) {
            for (column, cell) in (0..).zip(line.split(',')) {
                sheet.write_string(row, column, cell).expect("written");
            }
        }
    }
    book.save_to_buffer().expect("a workbook")
}

#[test]
fn of_several_sheets_the_one_with_numbers_is_read_and_no_other_is_lost_unsaid() {
    let numbers = "点位ID,日期,曝光量\np1,2026-11-01,5";
    let cover = book(&[("封面", "Report of A,November"), ("11月", numbers), ("说明", "x"), ("空", "")]);
    let reading = read_as(&cover, &Sight::exact()).expect("is read");
    assert_eq!((reading.rows, reading.wrong_count, reading.sheet.as_str()), (1, 0, "11月"));
    assert_eq!(reading.unread, ["封面", "说明"]);
    let months = book(&[("11月", numbers), ("12月", numbers)]);
    let several = SheetError::Several("11月".to_owned(), "12月".to_owned());
    assert_eq!(told_of(&months), Err(Unreadable::Sheet(several)));
    // A header of placements without numbers is none.
    let list = book(&[("点位", "点位ID,日期\np1,2026-11-01"), ("数据", numbers)]);
    assert_eq!(read_as(&list, &Sight::exact()).expect("is read").sheet, "数据");
    assert_eq!(told_of(&book(&[("封面", "Report")])), Err(Unreadable::Header));
}

#[test]
fn a_unit_or_another_measure_in_a_header_is_refused_and_an_explanation_is_not() {
    let told = |impressions: &str, clicks: &str| {
        told(&format!("点位ID,日期,{impressions},{clicks}\np1,2026-11-01,12,3\n")).expect("is read")
    };
    for header in
        ["曝光量（万）", "曝光（千次）", "曝光(UV)", "Impressions (k)", "曝光量【计划】", "曝光（次）（万）"]
    {
        let wrong = told(header, "点击量");
        assert_eq!(wrong.len(), 1, "{wrong:?}");
        assert!(wrong[0].starts_with(&format!("C1 {header}: numbers are read as they stand")), "{wrong:?}");
    }
    assert!(told("曝光量", "点击量（万）")[0].starts_with("D1 点击量（万）"));
    for (impressions, clicks) in [
        ("曝光量（次/天，必填）", "点击(次)"),
        ("曝光(PV)", "点击量（媒体侧）"),
        ("Impressions (per day)", "Clicks (optional)"),
    ] {
        assert_eq!(told(impressions, clicks), ["p1 2026-11-01 12 Some(3)"]);
    }
}

#[test]
fn a_title_that_says_thousands_is_refused() {
    let wrong = told("单位：千次\n点位ID,日期,曝光量\np1,2026-11-01,12\n").expect("is read");
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert!(wrong[0].starts_with("A1 单位：千次"), "{wrong:?}");
}

#[test]
fn all_that_is_wrong_is_told_by_row_and_column() {
    let body = "placement,day,impressions,clicks\np1,01/11/2026,x,-1\n,2026-11-01,1,1\np9,2026-11-21,1.5,\np1,2026-11-02,5,\np1,2026-11-02,5,\np1,,1,1\n";
    let wrong = told(body).expect("is read");
    for part in [
        "B2 01/11/2026: allowed is a day such as",
        "C2 x: allowed is a whole number",
        "D2 -1: allowed",
        "A3 : missing",
        "A4 p9: no placement of that id is known",
        "B4 2026-11-21: this day has not begun; today is 2026-11-20",
        "C4 1.5: allowed",
        "B6 2026-11-02: row 5 is about the same placement and day",
        "B7 : missing; allowed is a day",
    ] {
        assert!(wrong.iter().any(|told| told.starts_with(part)), "{part}: {wrong:#?}");
    }
    assert_eq!(wrong.len(), 9, "{wrong:#?}");
    let wrong = told(r#"{"rows":[{"placement":"p1","day":5,"impressions":1}]}"#).expect("is read");
    assert_eq!(wrong, ["1 5: allowed is a day such as 2026-11-01"]);
}

#[test]
fn what_is_no_upload_is_told_too() {
    for (body, expected) in [
        ("", "no rows"),
        ("placement,day,impressions\n", "no rows"),
        ("a,b\n1,2\n", "no header"),
        ("{\"rows\":3}", "no JSON"),
        ("{\"rows\":[{\"placement\":\"p1\",\"views\":3}]}", "unknown field `views`"),
        ("{\"rows\":[]}", "no rows"),
    ] {
        let refused = told(body).expect_err(body).to_string();
        assert!(refused.contains(expected), "{body}: {refused}");
    }
    for (body, expected) in [(&b"PK\x03\x04"[..], SheetError::Workbook), (b"a\xff", SheetError::Encoding)] {
        assert_eq!(told_of(body), Err(Unreadable::Sheet(expected)));
    }
    let many = "p1,2026-11-01,1\n".repeat(ROWS_MAX);
    let too_many = told(&format!("placement,day,impressions\n{many}"));
    assert!(matches!(too_many, Err(Unreadable::Sheet(SheetError::TooLarge(_)))), "{too_many:?}");
    let many = r#"{"placement":"p1"},"#.repeat(ROWS_MAX);
    assert_eq!(told(&format!(r#"{{"rows":[{many}{{}}]}}"#)), Err(Unreadable::TooLarge));
    assert!(
        matches!(told(r#"{"rows":[{"placement":[1]}]}"#), Err(Unreadable::Json(_))),
        "no value of one cell"
    );
    let name = "x".repeat(10_000);
    let told_of_it = told(&format!(r#"{{"rows":[{{"{name}":1}}]}}"#)).expect_err("a field that is not known");
    assert!(told_of_it.to_string().len() < 500, "{told_of_it}");
    let twice = told("placement,day,impressions,Imp\np1,2026-11-01,1,2\n").expect("is read");
    assert!(twice[0].contains("another column says the same"), "{twice:?}");
}
