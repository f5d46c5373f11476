//! Plans, costs and ids that would come out wrong and look right: each is refused with the cell that has to be mended, or read as it is meant.

use super::*;
use crate::sheet::read_wanted;

/// The campaign with a placement that has a plan.
const PLANNED: &str = "[[campaign]]\nid = \"c\"\nname = \"C\"\ntime_zone = \"Asia/Shanghai\"\nstarts = 2026-11-01\nends = 2026-11-30\n\
    [[campaign.placement]]\nid = \"p1\"\nname = \"P\"\nmedium = \"M\"\nplan = [{ from = 2026-11-01, to = 2026-11-30, impressions = 100 }]\n";

fn replaced(text: &str) -> (Reading, Catalog) {
    let catalog = Catalog::parse(PLANNED, "catalog.toml").expect("a right catalog");
    let reading = reading_in(&catalog, &read(text.as_bytes()).expect("a sheet"), true);
    let catalog = imported_in(PLANNED, &reading);
    (reading, catalog)
}

/// Planned impressions of the first placement, before and behind the import.
fn planned(reading: &Reading) -> Option<(u64, u64)> {
    reading.drafts[0].planned.map(|(before, after)| (before.impressions, after.impressions))
}

/// A workbook of one sheet, written by `write`.
fn book(write: impl Fn(&mut rust_xlsxwriter::Worksheet)) -> Vec<u8> {
    let mut book = Workbook::new();
    let sheet = book.add_worksheet();
    write(sheet);
    book.save_to_buffer().expect("a workbook")
}

fn header(sheet: &mut rust_xlsxwriter::Worksheet, row: u32, names: &[&str]) {
    for (at, name) in (0..).zip(names) {
        sheet.write(row, at, *name).expect("written");
    }
}

#[test]
fn a_unit_in_a_header_or_title_is_refused() {
    let says = "read as they stand";
    for unit in [
        "每日曝光量（千次）",
        "日曝光(万)",
        "Daily impressions (K)",
        "日曝光 万",
        "每日曝光 千次/天",
        "Daily impressions K",
    ] {
        let reading = of_csv(&format!("id,name,medium,from,to,{unit}\np,A,M,2026-11-01,2026-11-02,100\n"));
        assert_errors(&reading.errors, &[(1, "F", unit, says)]);
    }
    for unit in ["预算（万元）", "费用（美元）", "总价 万元"] {
        assert_errors(
            &of_csv(&format!("id,name,medium,{unit}\np,A,M,12.5\n")).errors,
            &[(1, "D", unit, says)],
        );
    }
    let dollars = of_csv("id,name,medium,费用（元）\np,A,M,$12\n");
    assert_errors(&dollars.errors, &[(2, "D", "$12", "amounts are in CNY")]);
    // Above the days, and above all of it.
    let grouped = "单位：千次\n,,,排期（CPM）,\nid,name,medium,2026-11-01,2026-11-02\np,A,M,1,2\n";
    assert_errors(&of_csv(grouped).errors, &[(1, "A", "单位：千次", says), (2, "D", "排期（CPM）", says)]);
    let merged = "id,name,medium,排期（千次）,\n,,,2026-11-01,2026-11-02\np,A,M,1,2\n";
    assert_errors(&of_csv(merged).errors, &[(1, "D", "排期（千次）", says)]);
    imported(&of_csv(
        "id,name,medium,费用（元，必填）,每日曝光（次/天）,from,to\np,A,M,¥5,7,2026-11-01,2026-11-02\n",
    ));
}

#[test]
fn impressions_of_a_day_or_of_all_days_are_told_apart() {
    let text = "Placement ID,Name,Media,Start,End,Impressions\np1,A,M,2026-11-01,2026-11-30,3000000\n";
    assert_errors(&of_csv(text).errors, &[(1, "F", "Impressions", "of each day, or of all days together?")]);
    // Beside the days themselves it is a sum.
    let reading = of_csv("id,name,medium,总曝光,2026-11-01,2026-11-02\np,A,M,12,5,7\n");
    assert_eq!(plan(&imported(&reading), "p"), ["2026-11-01 2026-11-01 5", "2026-11-02 2026-11-02 7"]);
    assert_eq!((&reading.ignored, planned(&reading)), (&vec!["总曝光".to_owned()], Some((0, 12))));
}

#[test]
fn days_without_a_column_keep_their_plan() {
    let (reading, catalog) = replaced("id,2026-11-16,2026-11-17,2026-11-19\np1,5,,100\n");
    assert_eq!(
        plan(&catalog, "p1"),
        ["2026-11-01 2026-11-15 100", "2026-11-16 2026-11-16 5", "2026-11-18 2026-11-30 100"]
    );
    assert_eq!(planned(&reading), Some((3_000, 2_805)));
    // A booking that was cancelled.
    let days: String = (1..=30).map(|day| format!(",2026-11-{day:02}")).collect();
    let (reading, catalog) = replaced(&format!("id{days}\np1{}\n", ",0".repeat(30)));
    assert_eq!((plan(&catalog, "p1"), planned(&reading)), (vec![], Some((3_000, 0))));
    // A row that says nothing on any of the days is about something else.
    let (reading, catalog) = replaced("id,name,2026-11-16,2026-11-17\np1,New,,\n");
    assert_eq!((plan(&catalog, "p1").len(), planned(&reading)), (1, None));
    assert_eq!(catalog.campaigns["c"].placements["p1"].name, "New");
    let (reading, catalog) = replaced("id,from,to,impressions per day\np1,2026-11-16,2026-11-17,5\n");
    assert_eq!(plan(&catalog, "p1"), ["2026-11-16 2026-11-17 5"], "ranges are the whole plan");
    assert_eq!(planned(&reading), Some((3_000, 10)));
}

#[test]
fn days_are_read_where_they_are_whole_and_refused_where_not() {
    let two = ["2026-11-01 2026-11-01 5", "2026-11-02 2026-11-02 7"];
    for (first, second) in [
        ("2026-11-01 周日", "2026-11-02 周一"),
        ("2026-11-01(日)", "2026-11-02(一)"),
        ("46327", "46328"),
        ("20261101", "20261102"),
    ] {
        let reading = of_csv(&format!("id,name,medium,{first},{second}\n,,,日,一\np,A,M,5,7\n"));
        assert_eq!(plan(&imported(&reading), "p"), two, "{first}");
    }
    for (month, days) in [("2026年11月,", "1,2"), ("2026-11,", "1,2"), ("排期,", "46327,46328")] {
        let reading = of_csv(&format!("id,name,medium,{month}\n,,,{days}\np,A,M,5,7\n"));
        assert_eq!(plan(&imported(&reading), "p"), two, "{month}");
    }
    let reading = of_csv("id,name,medium,2026-10,2026-11,\n,,,31,1,2\n,,,六,日,一\np,A,M,,5,7\n");
    assert_eq!(plan(&imported(&reading), "p"), two);

    let says = "write all of it, as 2026-11-01";
    for day in ["11/1", "11月1日", "1-Nov", "1/11/2026"] {
        assert_errors(&of_csv(&format!("id,name,medium,{day}\np,A,M,5\n")).errors, &[(1, "D", day, says)]);
    }
    assert_errors(&of_csv("id,name,medium,11月,\n,,,1,2\np,A,M,5,7\n").errors, &[(2, "D", "1", says)]);
    assert_errors(
        &of_csv("id,name,medium,2026年11月,\n,,,30,31\np,A,M,5,7\n").errors,
        &[(2, "D", "30", says)],
    );
    let reading = of_csv("id,name,medium,\np,A,M,5\n");
    assert_eq!((reading.error_count, reading.ignored), (0, vec!["column D".to_owned()]));
    // A row of sums right below the header is no second header, however much its numbers look like days.
    let sums = of_csv("id,name,medium,2026-11-01,2026-11-02,sum\n,,,46327,46328,\np,A,M,5,7,12\n");
    assert_errors(&sums.errors, &[(2, "A", "", "id is missing")]);
}

#[test]
fn columns_that_plans_have_besides_refuse_no_sheet() {
    for name in ["Size", "Size (px)", "Slot", "Host", "Game", "Stage", "Form", "规格"] {
        let reading = of_csv(&format!("Placement ID,Name,Media,{name}\np,A,M,728x90\n"));
        assert_eq!((reading.errors, reading.ignored), (vec![], vec![name.to_owned()]));
    }
    let reading = of_csv("id,name,medium,state,Stat\np,A,M,trial,live\n");
    assert_eq!((reading.error_count, reading.ignored), (0, vec!["Stat".to_owned()]), "that column is there");
    assert_errors(
        &of_csv("id,name,medium,Stat\np,A,M,trial\n").errors,
        &[(1, "D", "Stat", "did you mean State?")],
    );
}

#[test]
fn an_id_is_taken_as_it_is_shown_or_not_at_all() {
    let zeros = Format::new().set_num_format("00000");
    let sheet = book(|sheet| {
        header(sheet, 0, &["id", "name", "medium"]);
        for (row, id) in (1..).zip([123.0, 1_757_321_234_567_890_123.0, 1.1]) {
            sheet.write_with_format(row, 0, id, &zeros).expect("written");
            sheet.write(row, 1, "A").expect("written");
            sheet.write(row, 2, "M").expect("written");
        }
    });
    let reading = reading_of(&read(&sheet).expect("a sheet"), false);
    assert_errors(
        &reading.errors,
        &[
            (3, "A", "1757321234567890200", "keeps 15 digits of a number: format the column as text"),
            (4, "A", "1.1", "formatted as text"),
        ],
    );
    assert_eq!(reading.drafts[0].id, "00123");
}

#[test]
fn a_row_of_sums_is_no_plan() {
    // The last placement is one that is given away: nothing is planned for it.
    let text = |label: &str, last: &str| {
        format!("序号,id,name,medium,2026-11-01\n1,p,A,M,5\n2,q,B,M,\n{label},,,,{last}\n")
    };
    let catalog = imported(&of_csv(&text("合计", "5")));
    assert!(plan(&catalog, "q").is_empty());
    let reading = of_csv(&text("3", "5"));
    assert_errors(
        &reading.errors,
        &[(4, "B", "", "where each day has a column, each placement has one row")],
    );
}

/// Row, column, value and what its rows add up to, of each warning.
fn warned(reading: &Reading) -> Vec<(usize, &str, &str, &str)> {
    assert_eq!(reading.errors, []);
    let of = |warning: &'_ CellError| warning.mistake.values["counted"].clone().leak() as &str;
    let warnings = reading.warnings.iter();
    warnings
        .map(|warning| (warning.row, warning.column.as_str(), warning.value.as_str(), of(warning)))
        .collect()
}

#[test]
fn a_row_of_sums_is_passed_over_wherever_its_name_stands_and_held_against_its_rows() {
    let sheet = |label: &str, first: &str, second: &str, all: &str| {
        of_csv(&format!(
            "id,name,medium,总价,2026-11-01,2026-11-02,总曝光\np,A,M,10.50,5,7,12\nq,B,M,20,1,,\n{label},,,30.5,{first},{second},{all}\n"
        ))
    };
    for label in ["合计", "Total", "总计：", "Sum", "小计（次）", ""] {
        let reading = sheet(label, "6", "7", "13");
        if label.is_empty() {
            assert_errors(&reading.errors, &[(4, "A", "", "id is missing")]);
            continue;
        }
        assert_eq!((warned(&reading), &*reading.sum_rows), (vec![], &[4][..]), "{label}");
        let catalog = imported(&reading);
        assert_eq!((catalog.campaigns["c"].placements.len(), plan(&catalog, "q").len()), (3, 1));
        assert_eq!(catalog.campaigns["c"].placements["p"].cost.map(|cost| cost.hundredths), Some(1_050));
    }
    assert_eq!(
        warned(&sheet("合计", "8", "7", "12")),
        [(4, "E", "8", "6"), (4, "G", "12", "13")],
        "a sum that is another one is told"
    );
    // A placement may be called so.
    let called = of_csv("id,name,medium\nTotal,Total Video,M\n");
    assert_eq!((called.error_count, called.drafts.len()), (0, 1));
    // Beside a number of the row, below a count of the placements, and by medium.
    let labelled = "序号,id,name,medium,from,to,impressions per day\n1,p,A,M,2026-11-01,2026-11-10,5\n,,,M 小计,,,5\n\
        2,q,B,N,2026-11-01,2026-11-02,7\n,,,N 小计,,,9\n合计,2,,,,,64\n";
    let reading = of_csv(labelled);
    assert_eq!((warned(&reading), &*reading.sum_rows), (vec![(5, "G", "9", "7")], &[3, 5, 6][..]));
    assert_eq!(plan(&imported(&reading), "p"), ["2026-11-01 2026-11-10 5"], "no range of the row above");
    // What is summed up beside the days, of one placement.
    let beside = of_csv("id,name,medium,总曝光,2026-11-01,2026-11-02\np,A,M,13,5,7\n");
    assert_eq!(warned(&beside), [(2, "D", "13", "12")]);
}

#[test]
fn a_formula_without_a_value_is_no_empty_cell() {
    let sheet = book(|sheet| {
        header(sheet, 0, &["id", "name", "medium", "cost", "2026-11-01", "notes"]);
        header(sheet, 1, &["p", "A", "M"]);
        for at in 3..6 {
            sheet.write_formula(1, at, "=1+1").expect("written");
        }
    });
    assert_eq!(reading_of(&read(&sheet).expect("a sheet"), false).error_count, 0, "a value is there");
    let bare = with_part(&sheet, "xl/worksheets/sheet1.xml", |text| text.replace("</f><v>0</v>", "</f>"));
    let reading = reading_of(&read(&bare).expect("a sheet"), false);
    let says = "the formula here has no value";
    assert_errors(&reading.errors, &[(2, "D", "", says), (2, "E", "", says)]);
}

#[test]
fn a_cost_stands_in_one_row_of_a_placement() {
    let text = |second: &str| {
        format!(
            "id,name,medium,cost,from,to,impressions per day\np,A,M,5000,2026-11-01,2026-11-02,1\np,,,{second},2026-11-03,2026-11-04,1\n"
        )
    };
    let catalog = imported(&of_csv(&text("")));
    assert_eq!(
        catalog.campaigns["c"].placements["p"].cost.map(|cost| cost.to_string()).as_deref(),
        Some("5000.00")
    );
    for second in ["5000", "6000"] {
        assert_errors(
            &of_csv(&text(second)).errors,
            &[(3, "D", second, "row 2 has a cost of the same placement")],
        );
    }
}

#[test]
fn of_several_sheets_the_one_with_a_header_is_read_and_the_others_are_named() {
    let of = |sheets: &[(&str, &str)]| {
        let mut book = Workbook::new();
        for (name, names) in sheets {
            let sheet = book.add_worksheet().set_name(*name).expect("a name");
            header(sheet, 0, &names.split(',').collect::<Vec<_>>());
        }
        read_wanted(&book.save_to_buffer().expect("a workbook"), &crate::sheet::placements::has_header)
    };
    let sheet = of(&[("Cover", "Plan of spring"), ("Plan", "id,name,medium"), ("Empty", ""), ("Notes", "a")])
        .expect("a sheet");
    assert_eq!((sheet.name.as_str(), sheet.unread), ("Plan", vec!["Cover".to_owned(), "Notes".to_owned()]));
    assert_eq!(sheet.grid.rows[0].1[0], Some(Cell::Text("id".to_owned())));
    let several = of(&[("News", "id,name,medium"), ("Video", "id,name")]);
    assert_eq!(several, Err(SheetError::Several("News".to_owned(), "Video".to_owned())));
    // Of a sheet that is not read nothing but the first rows matters.
    let mut book = Workbook::new();
    header(book.add_worksheet(), 0, &["id", "name", "medium"]);
    let raw = book.add_worksheet();
    for row in 0..=u32::try_from(limit::ROWS_MAX).expect("small") {
        raw.write(row, 0, 1).expect("written");
    }
    let bytes = book.save_to_buffer().expect("a workbook");
    assert!(
        read_wanted(&bytes, &crate::sheet::placements::has_header)
            .is_ok_and(|sheet| sheet.unread == ["Sheet2"])
    );
}
