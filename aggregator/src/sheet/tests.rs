//! Sheets as people send them: what comes out, and what is said of what is wrong.
#![allow(clippy::format_collect, clippy::many_single_char_names, reason = "short texts of tests")]

use std::io::{Cursor, Write as _};

use catalog::edit::{Change, Value, edit, field};
use catalog::{Campaign, Catalog};
use event::dialect::Dialects;
use event::profile::Profiles;
use proptest::prelude::*;
use rust_xlsxwriter::{ExcelDateTime, Format, Workbook};
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

mod plans;

use super::placements::{Around, Reading, read as read_placements};
use super::template;
use super::{Cell, CellError, Grid, SheetError, cell_text, letters, limit, read_wanted};
use crate::form::Language;

const CATALOG: &str = "[[campaign]]\nid = \"c\"\nname = \"C\"\ntime_zone = \"Asia/Shanghai\"\nstarts = 2026-11-01\nends = 2026-11-30\n\
    currency = \"CNY\"\nlanding_hosts = [\"www.example.com\"]\n[[campaign.placement]]\nid = \"old\"\nname = \"Old\"\nmedium = \"M\"\n\
    landing_hosts = [\"shop.example.net\"]\n";

fn read(bytes: &[u8]) -> Result<Grid, SheetError> {
    read_wanted(bytes, &super::placements::has_header).map(|sheet| sheet.grid)
}

fn catalog() -> Catalog {
    Catalog::parse(CATALOG, "catalog.toml").expect("a right catalog")
}

fn reading_of(grid: &Grid, replaces: bool) -> Reading {
    reading_in(&catalog(), grid, replaces)
}

fn reading_in(catalog: &Catalog, grid: &Grid, replaces: bool) -> Reading {
    let campaign: &Campaign = catalog.campaigns.get("c").expect("is there");
    let around =
        Around { campaign, profiles: Profiles::built_in(), dialects: Dialects::built_in(), replaces };
    read_placements(grid, &around)
}

fn of_csv(text: &str) -> Reading {
    reading_of(&read(text.as_bytes()).expect("a sheet"), false)
}

/// The catalog behind the import.
fn imported(reading: &Reading) -> Catalog {
    imported_in(CATALOG, reading)
}

fn imported_in(text: &str, reading: &Reading) -> Catalog {
    assert_eq!(reading.errors, []);
    let change = |draft: &super::placements::Draft| {
        let (campaign, fields) = ("c".to_owned(), draft.fields.clone());
        if draft.exists {
            Change::SetPlacement { campaign, placement: draft.id.clone(), fields }
        } else {
            Change::AddPlacement { campaign, fields }
        }
    };
    let changes: Vec<Change> = reading.drafts.iter().map(change).collect();
    edit(text, &changes, Profiles::built_in()).expect("a right catalog").catalog
}

/// Ranges of a placement's plan as text.
fn plan(catalog: &Catalog, id: &str) -> Vec<String> {
    let placement = catalog.campaigns["c"].placements.get(id).expect("is there");
    placement.plan.iter().map(|range| format!("{} {} {}", range.from, range.to, range.impressions)).collect()
}

/// Row, column, value and a part of what is said, of each error.
fn assert_errors(errors: &[CellError], expected: &[(usize, &str, &str, &str)]) {
    assert_eq!(errors.len(), expected.len(), "{errors:#?}");
    for (error, (row, column, value, says)) in errors.iter().zip(expected) {
        let place = (error.row, error.column.as_str(), error.value.as_str());
        assert_eq!(place, (*row, *column, *value), "{error:?}");
        assert!(error.mistake.message.contains(says), "{error:?} should say {says:?}");
    }
}

#[test]
fn a_chinese_sheet_with_title_merged_header_and_a_column_for_each_day_is_read() {
    let mut book = Workbook::new();
    let (day, bold) = (Format::new().set_num_format("m/d"), Format::new().set_bold());
    let sheet = book.add_worksheet();
    sheet.merge_range(0, 0, 0, 8, "某某品牌 2026 年 11 月投放排期", &bold).expect("written");
    for (at, name) in (0..).zip(["点位ID（必填）", "点位名称", "媒体", "状态", "备注", "开始日期"])
    {
        sheet.merge_range(2, at, 3, at, name, &bold).expect("written");
    }
    sheet.merge_range(2, 6, 2, 9, "排期（次/天）", &bold).expect("written");
    for (at, number) in (6..).zip(1..=4) {
        let date = ExcelDateTime::from_ymd(2026, 11, number).expect("a day");
        sheet.write_with_format(3, at, &date, &day).expect("written");
    }
    sheet.write(4, 0, 10_001).expect("written");
    for (at, text) in (1..).zip(["首页通栏", "示例新闻", "测试"]) {
        sheet.write(4, at, text).expect("written");
    }
    sheet.write(4, 4, "  不读  ").expect("written");
    for (at, number) in (6..).zip([100_000.0, 100_000.0, 0.0, 5.0]) {
        sheet.write(4, at, number).expect("written");
    }
    sheet.write(5, 0, "00123").expect("written");
    sheet.write(5, 1, "开机屏").expect("written");
    sheet.write(5, 2, "示例应用").expect("written");
    sheet.write(5, 6, "10万").expect("written");
    sheet.write(5, 7, "-").expect("written");
    sheet.write(5, 9, "1,000").expect("written");
    // Cells that were filled and emptied again.
    sheet.write(900, 1, "   ").expect("written");
    let reading = reading_of(&read(&book.save_to_buffer().expect("a workbook")).expect("a sheet"), false);
    let catalog = imported(&reading);
    assert_eq!(plan(&catalog, "10001"), ["2026-11-01 2026-11-02 100000", "2026-11-04 2026-11-04 5"]);
    assert_eq!(plan(&catalog, "00123"), ["2026-11-01 2026-11-01 100000", "2026-11-04 2026-11-04 1000"]);
    let first = &catalog.campaigns["c"].placements["10001"];
    assert_eq!((first.name.as_str(), first.state.name()), ("首页通栏", "trial"));
    assert_eq!(reading.ignored, ["备注", "开始日期"], "what is not read is told");
}

#[test]
fn rows_of_one_placement_are_its_ranges() {
    let text = "Placement ID;Name;Media;Source;Landing page;Cost;Signed links;From;To;Impressions per day\n\
        p1;Banner;News;S2S;https://www.example.com/a;\"12,000.50\";yes;2026/11/1;2026-11-10;100,000\n\
        ;;;;;;;2026年11月11日;20261111;500000\n\
        p2;Spot;Video;;;;;;;\n\
        p1;;News;;;;;46338;46340;7\n";
    let catalog = imported(&of_csv(text));
    assert_eq!(
        plan(&catalog, "p1"),
        ["2026-11-01 2026-11-10 100000", "2026-11-11 2026-11-11 500000", "2026-11-12 2026-11-14 7"]
    );
    let first = &catalog.campaigns["c"].placements["p1"];
    assert_eq!(first.cost.map(|cost| cost.to_string()).as_deref(), Some("12000.50"));
    assert!(first.signed_links && first.source.name() == "s2s");
    assert!(plan(&catalog, "p2").is_empty());
}

#[test]
fn every_wrong_cell_is_named_with_what_is_allowed() {
    let text = "id,name,medium,source,state,landing page,profile,dialect,from,to,impressions per day\n\
        p 1,A,M,,,,,,,,\n\
        p2,,M,server2,on,https://evil.example/,kuaishu,esperanto,,,\n\
        p3,A,M,,,,,,11/1/2026,2026-11-02,1.5\n\
        p4,A,M,,,,,,2026-11-05,2026-11-04,1\n\
        p5,A,M,,,,,,2026-10-31,2026-11-04,1\n\
        p6,A,M,,,,,,2026-11-01,2026-11-04,1\n\
        p6,B,M,,,,,,2026-11-04,2026-11-05,1\n\
        p7,A,M,,,,,,2026-11-01,,1\n\
        old,A,M,,,,,,,,\n\
        ,A,M,,,,,,,,\n\
        合计,,,,,,,,,,99\n";
    let reading = of_csv(text);
    let mut errors = reading.errors.clone();
    errors.sort_by(|a, b| (a.row, &a.column).cmp(&(b.row, &b.column)));
    assert_errors(
        &errors,
        &[
            (2, "A", "p 1", "1 to 64 characters of A-Z a-z 0-9 . _ -"),
            (3, "B", "", "`name` is missing"),
            (3, "D", "server2", "allowed is c2s (or 客户端), s2s (or 服务端) or ssai"),
            (3, "E", "on", "allowed is live (or 正式) or trial (or 测试)"),
            (3, "F", "https://evil.example/", "add \"evil.example\" to `landing_hosts`"),
            (3, "G", "kuaishu", "did you mean `kuaishou`?"),
            (3, "H", "esperanto", "allowed is one of "),
            (4, "I", "11/1/2026", "allowed is a day such as 2026-11-01"),
            (4, "K", "1.5", "allowed is a whole number"),
            (5, "J", "2026-11-04", "before the first day, 2026-11-05"),
            (6, "I", "2026-10-31 to 2026-11-04", "the campaign's first day is 2026-11-01"),
            (8, "B", "B", "row 7 says something else"),
            (8, "I", "2026-11-04 to 2026-11-05", "2026-11-04 is planned in row 7 too"),
            (9, "J", "", "missing; allowed is a day"),
            (10, "A", "old", "existing=replace"),
            (11, "A", "", "the placement's id is missing"),
        ],
    );
    assert_eq!(reading.error_count, errors.len());
    assert!(
        errors
            .iter()
            .filter(|error| error.row == 4)
            .all(|error| ["from", "impressions per day"].contains(&error.header.as_str()))
    );
}

#[test]
fn headers_that_cannot_be_right_are_refused() {
    assert_errors(&of_csv("a,b\n1,2\n").errors, &[(1, "", "", "there is no header row")]);
    assert_errors(
        &of_csv("id,name,meduim\np,A,M\n").errors,
        &[
            (1, "C", "meduim", "did you mean Medium?"),
            (2, "", "", "new placements need the column Medium (媒体)"),
        ],
    );
    assert_errors(
        &of_csv("id,name,medium,媒体\np,A,M,M\n").errors,
        &[(1, "D", "媒体", "another column says the same")],
    );
    assert_errors(
        &of_csv("id,name,medium,from,to\np,A,M,,\n").errors,
        &[(1, "D", "", "Impressions per day")],
    );
    assert_errors(
        &of_csv("id,name,medium,impressions per day,2026-11-01\np,A,M,,5\n").errors,
        &[(1, "D", "", "leave one out")],
    );
    let many: String = (0..300).map(|n| format!("p {n},A,M\n")).collect();
    let reading = of_csv(&format!("id,name,medium\n{many}"));
    assert_eq!((reading.errors.len(), reading.error_count), (200, 300));
}

#[test]
fn what_is_there_already_is_changed_only_where_that_is_wanted() {
    let grid = read(
        "id,landing page,from,to,impressions per day\nold,https://shop.example.net/x,2026-11-02,2026-11-03,9\n"
            .as_bytes(),
    );
    let grid = grid.expect("a sheet");
    assert_eq!(reading_of(&grid, false).error_count, 1);
    let reading = reading_of(&grid, true);
    let catalog = imported(&reading);
    let old = &catalog.campaigns["c"].placements["old"];
    assert_eq!((old.name.as_str(), old.landing_page.as_deref()), ("Old", Some("https://shop.example.net/x")));
    assert_eq!(plan(&catalog, "old"), ["2026-11-02 2026-11-03 9"]);
}

#[test]
fn the_templates_are_read_back_as_they_are_meant() {
    for language in [Language::English, Language::Chinese] {
        let book = template::xlsx(language).expect("a workbook");
        for bytes in [template::csv(language), book] {
            let reading = reading_of(&read(&bytes).expect("a sheet"), false);
            assert_eq!(
                (reading.errors, reading.ignored, reading.drafts),
                (vec![], vec![], vec![]),
                "{language:?}"
            );
        }
    }
}

#[test]
fn columns_are_lettered_as_in_a_spreadsheet() {
    let all = [(0, "A"), (25, "Z"), (26, "AA"), (51, "AZ"), (52, "BA"), (701, "ZZ"), (702, "AAA")];
    for (column, text) in all {
        assert_eq!(letters(column), text);
    }
}

/// A workbook with one part changed.
fn with_part(book: &[u8], name: &str, change: impl Fn(&str) -> String) -> Vec<u8> {
    let mut archive = ZipArchive::new(Cursor::new(book)).expect("an archive");
    let mut out = ZipWriter::new(Cursor::new(Vec::new()));
    for at in 0..archive.len() {
        let mut part = archive.by_index(at).expect("a part");
        let part_name = part.name().expect("a name").into_owned();
        let mut text = String::new();
        std::io::Read::read_to_string(&mut part, &mut text).expect("text");
        let text = if part_name == name { change(&text) } else { text };
        out.start_file(part_name, SimpleFileOptions::default()).expect("begun");
        out.write_all(text.as_bytes()).expect("written");
    }
    out.finish().expect("written").into_inner()
}

fn small_book() -> Vec<u8> {
    let mut book = Workbook::new();
    let sheet = book.add_worksheet();
    for (at, text) in (0..).zip(["id", "name", "medium"]) {
        sheet.write(0, at, text).expect("written");
        sheet.write(1, at, text).expect("written");
    }
    book.save_to_buffer().expect("a workbook")
}

#[test]
fn a_workbook_that_claims_or_holds_too_much_is_refused_within_limits() {
    let book = small_book();
    assert_eq!(read(&book).expect("a sheet").rows.len(), 2);
    // It would make room for all of them.
    let claims = with_part(&book, "xl/sharedStrings.xml", |text| {
        text.replace("uniqueCount=\"3\"", "uniqueCount='99999999999'")
    });
    assert_eq!(read(&claims), Err(SheetError::TooLarge("1000000 texts".into())));
    // 100 MB of one letter pack to 100 kB.
    let bomb = with_part(&book, "xl/sharedStrings.xml", |text| {
        text.replace("<t>id</t>", &format!("<t>{}</t>", "a".repeat(100 << 20)))
    });
    assert!(bomb.len() < 1 << 20);
    assert!(matches!(read(&bomb), Err(SheetError::TooLarge(why)) if why.contains("unpacked")));
    // A cell far to the right takes the places ahead of it.
    let mut wide = Workbook::new();
    let sheet = wide.add_worksheet();
    for row in 0..5_000 {
        sheet.write(row, 499, 1).expect("written");
    }
    let wide = wide.save_to_buffer().expect("a workbook");
    assert!(matches!(read(&wide), Err(SheetError::TooLarge(why)) if why.contains("2000000 cells")));
    // Two cells in far corners are no table of seventeen billion.
    let far = with_part(&book, "xl/worksheets/sheet1.xml", |text| text.replace("r=\"A1\"", "r=\"XFD1\""));
    assert!(matches!(read(&far), Err(SheetError::TooLarge(_) | SheetError::Workbook)));
    let low = with_part(&book, "xl/worksheets/sheet1.xml", |text| {
        text.replace("r=\"2\"", "r=\"1048576\"").replace("2\"", "1048576\"")
    });
    assert!(read(&low).is_ok_and(|grid| grid.rows.len() == 2), "the last row of a sheet is one row");
    let other = with_part(&book, "xl/worksheets/sheet1.xml", |text| {
        text.encode_utf16().map(|unit| format!("{}\0", unit as u8 as char)).collect()
    });
    assert_eq!(read(&other), Err(SheetError::Workbook));
    assert_eq!(read(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1rest"), Err(SheetError::Old));
    assert_eq!(read(b"PK\x03\x04rest"), Err(SheetError::Workbook));
    assert_eq!(read(b""), Err(SheetError::Empty));
    assert_eq!(read(b"\n , ,\n"), Err(SheetError::Empty));
    assert!(matches!(read(&vec![b'a'; limit::FILE_BYTES_MAX + 1]), Err(SheetError::TooLarge(_))));
    assert!(matches!(read(",".repeat(600).replace(",,", ",a,").as_bytes()), Err(SheetError::TooLarge(_))));
}

/// A row of texts as a sheet has it.
fn row_of(texts: &[String]) -> Vec<Option<Cell>> {
    let mut cells: Vec<Option<Cell>> = texts.iter().map(|text| cell_text(text).expect("short")).collect();
    while cells.last().is_some_and(Option::is_none) {
        cells.pop();
    }
    cells
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        match read(&bytes) {
            Ok(grid) => {
                prop_assert!(grid.rows.iter().all(|(_, cells)| cells.iter().any(Option::is_some)));
                let _ = reading_of(&grid, true);
            }
            // What is text has no other fault than that nothing stands in it.
            Err(error) => prop_assert!(std::str::from_utf8(&bytes).is_err() || bytes.contains(&0) || error == SheetError::Empty, "{error}"),
        }
    }

    #[test]
    fn any_text_is_read_as_it_was_written(
        rows in prop::collection::vec(prop::collection::vec("[a-z点0-9 ,;\"\n\t]{0,6}", 3..4), 1..6),
        encoding in 0..4_usize,
    ) {
        let mut writer = csv::WriterBuilder::new().quote_style(csv::QuoteStyle::Always).from_writer(Vec::new());
        for row in &rows {
            writer.write_record(row).expect("written");
        }
        let text = String::from_utf8(writer.into_inner().expect("written")).expect("UTF-8");
        let bytes = match encoding {
            0 => text.clone().into_bytes(),
            1 => format!("\u{feff}{text}").into_bytes(),
            2 => encoding_rs::GB18030.encode(&text).0.into_owned(),
            _ => format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect(),
        };
        let expected: Vec<(usize, Vec<Option<Cell>>)> =
            (1..).zip(rows.iter().map(|row| row_of(row))).filter(|(_, cells)| !cells.is_empty()).collect();
        let found = read(&bytes).map(|grid| grid.rows);
        prop_assert_eq!(found, if expected.is_empty() { Err(SheetError::Empty) } else { Ok(expected) });
    }

    #[test]
    fn any_damage_to_a_workbook_is_read_or_refused(at in 0..6_000_usize, byte in any::<u8>()) {
        let mut book = small_book();
        let at = at % book.len();
        book[at] = byte;
        if let Ok(grid) = read(&book) {
            prop_assert!(grid.rows.len() <= 2, "no row comes from nowhere");
            let _ = reading_of(&grid, false);
        }
    }

    /// In a part of it, packed anew: so that the archive is whole, and its reader gets as far as the damage.
    #[test]
    fn damage_within_a_workbook_is_read_or_refused(at in any::<usize>(), byte in 0x20..0x7f_u8) {
        let book = small_book();
        let damaged = |text: &str| {
            let mut bytes = text.as_bytes().to_vec();
            let at = at % bytes.len();
            bytes[at] = byte;
            String::from_utf8_lossy(&bytes).into_owned()
        };
        for part in ["xl/worksheets/sheet1.xml", "xl/sharedStrings.xml", "xl/workbook.xml"] {
            if let Ok(grid) = read(&with_part(&book, part, damaged)) {
                prop_assert!(grid.rows.len() <= 2, "{part}");
                let _ = reading_of(&grid, false);
            }
        }
        let whole = read(&book);
        prop_assert!(whole.as_ref().is_ok_and(|grid| grid.rows.len() == 2));
        prop_assert_eq!(read(&with_part(&book, "docProps/app.xml", damaged)), whole, "nothing is read there");
    }

    #[test]
    fn what_is_read_without_an_error_is_a_right_catalog(rows in prop::collection::vec(
        ("[a-c]{0,1}", "[A-B]{0,1}", "(M|)", "(2026-11-0[1-4]|)", "(2026-11-0[1-4]|)", "([0-9]{1,2}|)"), 0..5)) {
        let text: String = rows.iter().map(|(a, b, c, d, e, f)| format!("{a},{b},{c},{d},{e},{f}\n")).collect();
        let grid = read(format!("id,name,medium,from,to,impressions per day\n{text}").as_bytes()).expect("a sheet");
        let reading = reading_of(&grid, false);
        if reading.error_count == 0 {
            let catalog = imported(&reading);
            for draft in &reading.drafts {
                let name = field(&draft.fields, "name").and_then(Value::as_text);
                prop_assert_eq!(name, Some(catalog.campaigns["c"].placements[&draft.id].name.as_str()));
            }
        }
    }
}
