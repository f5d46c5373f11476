//! Reports as tables. The API's rows come in; nothing is added up here.

use std::io::{self, Write};

use serde_json::Value;

use super::Question;
use crate::cli::ReportKind;
use crate::table::{self, thousands};

/// What stands for a figure that the token is not shown.
const LEFT_OUT: &str = "–";

/// A device-id return rate below which a row is marked: what buyers ask of media at the least (on Android; 90 % on iOS).
const RETURN_RATE_LOW: f64 = 0.8;

/// A column: where its value stands in a row, its head, and which value it is left out by where that is 0 in every row.
struct Column {
    path: &'static str,
    head: &'static str,
    shown_by: Option<&'static str>,
}

const fn always(path: &'static str, head: &'static str) -> Column {
    Column { path, head, shown_by: None }
}

const fn if_any(path: &'static str, head: &'static str) -> Column {
    Column { path, head, shown_by: Some(path) }
}

impl Column {
    /// The same, with the value of another place.
    const fn of(self, path: &'static str) -> Self {
        Self { path, ..self }
    }
}

const REACH: &[Column] = &[
    always("/key", ""),
    always("/impressions", "impressions"),
    always("/identified_impressions", "identified"),
    always("/id_coverage", "id coverage"),
    always("/clicks", "clicks"),
    always("/reach", "reach"),
    always("/average_frequency", "frequency"),
    if_any("/cumulative_reach", "reach so far"),
    if_any("/universe", "reach %").of("/reach_percent"),
    if_any("/universe", "grp").of("/grp"),
    if_any("/universe", "cost per point").of("/cost_per_point"),
];

const MEMBERS: &[Column] = &[
    always("/key", "in the order of the stack"),
    always("/reach", "reach"),
    always("/unique", "of no other"),
    always("/incremental_reach", "adds"),
    always("/stacked_reach", "reach so far"),
];

const PAIRS: &[Column] =
    &[always("/key", "two of them"), always("/shared", "in both"), always("/reach", "in either")];

/// gross − the removed = net, from left to right.
const DELIVERY: &[Column] = &[
    always("/key", ""),
    always("/gross_impressions", "gross"),
    if_any("/removed_impressions/duplicate", "- repeats"),
    if_any("/removed_impressions/robot", "- robots"),
    if_any("/removed_impressions/non_browser", "- no browser"),
    if_any("/removed_impressions/data_center", "- data centre"),
    always("/net_impressions", "= net"),
    always("/identified_impressions", "identified"),
    always("/id_coverage", "id coverage"),
    always("/gross_clicks", "clicks gross"),
    if_any("/removed_clicks/duplicate", "- repeats"),
    if_any("/removed_clicks/double_click", "- double"),
    if_any("/removed_clicks/robot", "- robots"),
    if_any("/removed_clicks/non_browser", "- no browser"),
    if_any("/removed_clicks/data_center", "- data centre"),
    always("/net_clicks", "= net"),
    if_any("/stages/tracked", "tracked"),
    if_any("/stages/viewable", "viewable"),
    if_any("/stages/not_viewable", "not viewable"),
    if_any("/stages/not_measurable", "not measurable"),
    if_any("/measured", "measured"),
    if_any("/measured", "unmeasured").of("/unmeasured"),
    if_any("/measured", "measured rate").of("/measured_rate"),
    if_any("/measured", "viewable rate").of("/viewable_rate"),
    if_any("/stages/starts", "start"),
    if_any("/stages/first_quartiles", "25 %"),
    if_any("/stages/midpoints", "50 %"),
    if_any("/stages/third_quartiles", "75 %"),
    if_any("/stages/completes", "100 %"),
    if_any("/stages/conversions", "conversions"),
    if_any("/withheld_impressions", "ids withheld"),
    if_any("/signals/gpc", "gpc"),
    if_any("/signals/dnt", "dnt"),
    if_any("/signals/limit_ad_tracking", "limits tracking"),
    if_any("/signals/no_consent", "no consent"),
    if_any("/signals/gpp", "gpp"),
    if_any("/signals/child_directed", "child-directed"),
    if_any("/bad_id_impressions", "bad ids"),
    if_any("/macros_unreplaced", "macros unreplaced"),
    if_any("/conflicts", "conflicts"),
    if_any("/outdone_verdicts", "verdicts outdone"),
    if_any("/unresolved", "unresolved"),
    if_any("/planned", "planned"),
    if_any("/planned", "fulfilled").of("/fulfilment"),
];

const IDS: &[Column] = &[
    always("/key", ""),
    always("/impressions", "impressions"),
    always("/return_rate", "return rate"),
    always("/usable", "usable ids"),
    always("/identified", "identified"),
    always("/id_coverage", "id coverage"),
    if_any("/withheld", "withheld"),
    if_any("/bad", "bad ids"),
    if_any("/absent", "no id"),
    if_any("/set_aside", "set aside"),
    if_any("/macros_unreplaced", "macros unreplaced"),
    if_any("/sha_only", "sha only"),
    if_any("/identified_by_kind/oaid", "oaid"),
    if_any("/identified_by_kind/imei", "imei"),
    if_any("/identified_by_kind/aaid", "aaid"),
    if_any("/identified_by_kind/android_id", "android id"),
    if_any("/identified_by_kind/mac", "mac"),
    if_any("/identified_by_kind/mac_colons", "mac (colons)"),
    if_any("/identified_by_kind/idfa", "idfa"),
    if_any("/identified_by_kind/caid", "caid"),
    if_any("/identified_by_kind/idfv", "idfv"),
    if_any("/identified_by_kind/openudid", "openudid"),
    if_any("/identified_by_kind/cookie", "cookie"),
    if_any("/device_risks/root", "rooted"),
    if_any("/device_risks/emulator", "emulators"),
    if_any("/device_risks/hook", "hooked"),
    if_any("/device_risks/adb", "adb on"),
];

/// Prints a report as a table.
///
/// `is_settled`: changed days were brought up to date before it was asked for.
pub(super) fn print(
    question: &Question<'_>,
    report: &Value,
    is_settled: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    let rows: Vec<&Value> =
        report.get("rows").and_then(Value::as_array).map(|rows| rows.iter().collect()).unwrap_or_default();
    head(question, report, is_settled, out)?;
    if rows.is_empty() {
        return writeln!(out, "no events in this period");
    }
    match question.kind {
        ReportKind::Reach => columns(REACH, &rows, true, out),
        ReportKind::Delivery => columns(DELIVERY, &rows, false, out),
        ReportKind::Frequency => frequency(&rows, out),
        ReportKind::Ids => ids(&rows, out),
        ReportKind::Overlap => overlap(&rows, out),
        // It has no rows of a campaign; see `print_set_aside`.
        ReportKind::SetAside => Ok(()),
    }
}

/// Members in the order of the stack, and pairs of them.
fn overlap(rows: &[&Value], out: &mut dyn Write) -> io::Result<()> {
    let of_kind = |kind: &str| -> Vec<&Value> {
        rows.iter().copied().filter(|row| row.get("kind").is_some_and(|one| one == kind)).collect()
    };
    columns(MEMBERS, &of_kind("member"), false, out)?;
    let pairs = of_kind("pair");
    if !pairs.is_empty() {
        writeln!(out)?;
        columns(PAIRS, &pairs, false, out)?;
    }
    of_kind("all").into_iter().try_for_each(|row| writeln!(out, "\nall together: {}", at(row, "/reach")))
}

/// What ids were like. Of the rows with impressions the ones that send the fewest usable ids come first, and those below the bar are marked.
fn ids(rows: &[&Value], out: &mut dyn Write) -> io::Result<()> {
    let rate = |row: &Value| row.get("return_rate").and_then(Value::as_f64);
    let mut sorted: Vec<Value> = rows.iter().map(|row| (*row).clone()).collect();
    sorted.sort_by(|a, b| rate(a).unwrap_or(f64::INFINITY).total_cmp(&rate(b).unwrap_or(f64::INFINITY)));
    let mut is_any_marked = false;
    for row in &mut sorted {
        let mark = match rate(row) {
            Some(0.0) => "!! ",
            Some(rate) if rate < RETURN_RATE_LOW => "! ",
            Some(_) | None => continue,
        };
        is_any_marked = true;
        let key = format!("{mark}{}", at(row, "/key"));
        if let Some(old) = row.get_mut("key") {
            *old = Value::String(key);
        }
    }
    columns(IDS, &sorted.iter().collect::<Vec<_>>(), false, out)?;
    if is_any_marked {
        let bar = RETURN_RATE_LOW * 100.0;
        writeln!(out, "\n!! sends no usable id   ! return rate below {bar:.0} %")?;
    }
    Ok(())
}

/// Prints the devices that were set aside.
pub(super) fn print_set_aside(list: &Value, out: &mut dyn Write) -> io::Result<()> {
    let devices = list.get("devices").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    match list.get("device_day_impressions_max").and_then(Value::as_u64) {
        Some(0) => writeln!(out, "no id is set aside: device_day_impressions_max is 0")?,
        Some(max) => writeln!(out, "ids with more than {} impressions on a day", thousands(max))?,
        None => {}
    }
    if devices.is_empty() {
        return writeln!(out, "none on the days that are settled");
    }
    writeln!(out)?;
    let mut shown = table::plain(&["day", "device", "kind", "impressions", "most of them on"]);
    for device in devices {
        let placements = device.get("placements").and_then(Value::as_array).into_iter().flatten();
        let places: Vec<String> = placements
            .map(|place| {
                let medium = Some(at(place, "/medium")).filter(|medium| !medium.is_empty());
                let medium = medium.map_or_else(String::new, |medium| format!(" ({medium})"));
                let impressions = at(place, "/impressions");
                format!("{}/{}{medium} {impressions}", at(place, "/campaign"), at(place, "/placement"))
            })
            .collect();
        let cells = ["/day", "/device", "/kind", "/impressions"].map(|path| at(device, path));
        shown.add_row(cells.into_iter().chain([places.join(", ")]));
    }
    table::right_align(&mut shown, &[3]);
    table::print(&shown, out)?;
    if list.get("has_more").and_then(Value::as_bool) == Some(true) {
        writeln!(out, "and more: ask for fewer days with --from and --to")?;
    }
    Ok(())
}

/// Prints what was settled.
pub(super) fn print_settled(done: &Value, out: &mut dyn Write) -> io::Result<()> {
    let days = done.get("days").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if let Some(adopted) = done.get("adopted").and_then(Value::as_u64).filter(|n| *n > 0) {
        writeln!(out, "{} unresolved hits were adopted, for the catalog knows them now", thousands(adopted))?;
    }
    if days.is_empty() {
        return writeln!(out, "nothing had changed");
    }
    let mut shown = table::plain(&["day", "events", "seconds", ""]);
    for day in days {
        let seconds =
            day.get("seconds").and_then(Value::as_f64).map_or_else(String::new, |s| format!("{s:.1}"));
        let outcome = day.get("outcome").map(text).unwrap_or_default();
        shown.add_row([at(day, "/day"), at(day, "/events"), seconds, outcome]);
    }
    table::right_align(&mut shown, &[1, 2]);
    table::print(&shown, out)
}

/// What the figures are of, and how final they are.
fn head(question: &Question<'_>, report: &Value, is_settled: bool, out: &mut dyn Write) -> io::Result<()> {
    let said = |name: &str| report.get(name).map(text).filter(|t| !t.is_empty());
    let period = match (said("from"), said("to")) {
        (Some(from), Some(to)) => format!(", {from} to {to}"),
        _ => String::new(),
    };
    let zone = said("time_zone").map_or_else(String::new, |zone| format!(" ({zone})"));
    let filter = said("filter").map_or_else(String::new, |filter| format!(", {filter}"));
    writeln!(out, "{} of {}{period}{zone}{filter}", question.kind.name(), question.campaign)?;
    let provisional: Vec<String> =
        report.get("provisional_days").and_then(Value::as_array).into_iter().flatten().map(text).collect();
    if let Some(until) = said("settled_until") {
        writeln!(out, "settled until {until}")?;
    }
    if !provisional.is_empty() {
        let why = if is_settled { "the day is not over" } else { "--settle makes final what can be" };
        writeln!(out, "provisional: {} ({why})", provisional.join(" "))?;
    }
    for change in report.get("key_changes").and_then(Value::as_array).into_iter().flatten() {
        writeln!(out, "{}", key_change(change))?;
    }
    let is_exact = report.pointer("/rows/0/exact").and_then(Value::as_bool).unwrap_or(true);
    if !is_exact {
        let share = report.get("sample").and_then(Value::as_f64).filter(|share| *share > 0.0);
        let share = share.map_or_else(String::new, |share| format!(", one in {:.0}", 1.0 / share));
        writeln!(
            out,
            "estimated from a sample of devices{share}; --format json says how sure each figure is, --precision exact counts all"
        )?;
    }
    let universe =
        |name: &str| report.pointer(&format!("/universe/{name}")).map(text).filter(|t| !t.is_empty());
    if let (Some(persons), Some(unit), Some(source), Some(date)) =
        (universe("persons"), universe("unit"), universe("source"), universe("date"))
    {
        writeln!(out, "universe: {persons} {unit} ({source}, {date})")?;
    }
    let limit = |name: &str| report.pointer(&format!("/privacy/{name}")).and_then(Value::as_u64);
    if let (Some(k), Some(step)) = (limit("k"), limit("device_step")) {
        writeln!(
            out,
            "as this token sees it: devices are rounded down to {step}, and {LEFT_OUT} stands for what fewer than {k} are behind, or would tell it"
        )?;
    }
    writeln!(out)
}

/// What a change of the device keys within the range means for the figures.
fn key_change(change: &Value) -> String {
    let said = |name: &str| change.get(name).map(text).unwrap_or_default();
    let (day, until) = (said("day"), said("until"));
    match said("matched").as_str() {
        "yes" => format!(
            "device keys changed on {day}: devices on both sides count once until {until}, and twice from then on"
        ),
        "some" => format!(
            "device keys changed on {day}: devices on both sides count once until {until}, but not all of them, for the table of pairs is full"
        ),
        _ => format!(
            "device keys changed on {day}: devices before and after cannot be matched, whoever is on both sides counts twice"
        ),
    }
}

/// One line for each row; with the N+ columns if asked.
fn columns(known: &[Column], rows: &[&Value], with_n_plus: bool, out: &mut dyn Write) -> io::Result<()> {
    let is_shown = |column: &Column| {
        column.shown_by.is_none_or(|path| {
            rows.iter().any(|row| row.pointer(path).and_then(Value::as_u64).is_some_and(|n| n > 0))
        })
    };
    let known: Vec<&Column> = known.iter().filter(|column| is_shown(column)).collect();
    let widest = if with_n_plus { rows.iter().map(|row| n_plus_columns(row)).max().unwrap_or(0) } else { 0 };
    let n_plus: Vec<String> = (1..=widest).map(|n| format!("{n}+")).collect();
    let heads: Vec<&str> =
        known.iter().map(|column| column.head).chain(n_plus.iter().map(String::as_str)).collect();
    let mut shown = table::plain(&heads);
    for row in rows {
        let mut cells: Vec<String> = known.iter().map(|column| at(row, column.path)).collect();
        let n_plus = numbers(row, "n_plus");
        cells.extend((0..widest).map(|n| match n_plus.get(n) {
            Some(Some(devices)) => thousands(*devices),
            Some(None) => LEFT_OUT.to_owned(),
            None => String::new(),
        }));
        shown.add_row(cells);
    }
    table::right_align(&mut shown, &(1..heads.len()).collect::<Vec<_>>());
    table::print(&shown, out)
}

/// Columns that show all of a row's N+: up to the first that is 0, for so are those behind it.
fn n_plus_columns(row: &Value) -> usize {
    let n_plus = numbers(row, "n_plus");
    // What is left out at the end tells no more than that it is.
    let shown = n_plus.iter().rposition(Option::is_some).map_or(0, |last| (last + 2).min(n_plus.len()));
    n_plus.iter().position(|devices| *devices == Some(0)).map_or(shown, |first| first + 1)
}

/// A table for each key, a line for each frequency up to the highest that occurs.
fn frequency(rows: &[&Value], out: &mut dyn Write) -> io::Result<()> {
    let mut rest = rows;
    while let Some(key) = rest.first().map(|row| at(row, "/key")) {
        let until = rest.iter().position(|row| at(row, "/key") != key).unwrap_or(rest.len());
        let (of_key, after) = rest.split_at(until);
        rest = after;
        if rows.len() > of_key.len() {
            writeln!(out, "{key}")?;
        }
        let number = |row: &Value, name: &str| row.get(name).and_then(Value::as_u64).unwrap_or(0);
        let reach = of_key.first().map_or(0, |row| number(row, "n_plus"));
        let share = |n: Option<u64>| {
            let Some(n) = n else { return String::new() };
            if reach > 0 { format!("{:.1} %", n as f64 / reach as f64 * 100.0) } else { String::new() }
        };
        let mut shown =
            table::plain(&["times", "devices", "of reach", "at least", "of reach", "impressions"]);
        for row in of_key {
            let known = |name: &str| row.get(name).and_then(Value::as_u64);
            let (devices, n_plus) = (known("devices"), known("n_plus"));
            if n_plus == Some(0) {
                break;
            }
            let is_open = row.get("or_more") == Some(&Value::Bool(true));
            let open = if is_open { " or more" } else { "" };
            shown.add_row([
                format!("{}{open}", at(row, "/frequency")),
                at(row, "/devices"),
                share(devices),
                at(row, "/n_plus"),
                share(n_plus),
                at(row, "/impressions"),
            ]);
        }
        table::right_align(&mut shown, &[0, 1, 2, 3, 4, 5]);
        table::print(&shown, out)?;
        if !rest.is_empty() {
            writeln!(out)?;
        }
    }
    Ok(())
}

/// The value at a path of a row, as it is shown.
fn at(row: &Value, path: &str) -> String {
    let value = row.pointer(path).unwrap_or(&Value::Null);
    let shown = match path {
        "/id_coverage" | "/return_rate" | "/measured_rate" | "/viewable_rate" | "/fulfilment" => {
            value.as_f64().map_or_else(String::new, |v| format!("{:.1} %", v * 100.0))
        }
        "/reach_percent" | "/grp" | "/cost_per_point" => {
            value.as_f64().map_or_else(String::new, |v| format!("{v:.2}"))
        }
        "/average_frequency" => value.as_f64().map_or_else(String::new, |v| format!("{v:.3}")),
        _ => text(value),
    };
    let is_left_out = value.is_null() && row.get("suppressed") == Some(&Value::Bool(true));
    if is_left_out && path != "/settled_until" { LEFT_OUT.to_owned() } else { shown }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Number(number) => number.as_u64().map_or_else(|| number.to_string(), thousands),
        other => other.to_string(),
    }
}

/// A list of counts; `None` for one that is left out.
fn numbers(row: &Value, name: &str) -> Vec<Option<u64>> {
    row.get(name)
        .and_then(Value::as_array)
        .map(|list| list.iter().map(Value::as_u64).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::{By, Filter};

    fn printed(kind: ReportKind, report: &Value) -> String {
        let question = Question {
            kind,
            campaign: "demo",
            from: None,
            to: None,
            by: By::Total,
            filter: Filter::Net,
            more: Vec::new(),
        };
        let mut out = Vec::new();
        print(&question, report, false, &mut out).expect("prints");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn an_overlap_shows_members_pairs_and_all() {
        let report = json!({"sample": 0.015_625, "rows": [
            {"key": "A", "kind": "member", "reach": 640, "unique": 128, "incremental_reach": 640, "stacked_reach": 640, "exact": false},
            {"key": "B", "kind": "member", "reach": 576, "unique": null, "incremental_reach": 64, "stacked_reach": 704, "exact": false, "suppressed": true},
            {"key": "A + B", "kind": "pair", "reach": 704, "shared": 512, "exact": false},
            {"key": "all", "kind": "all", "reach": 704, "exact": false},
        ]});
        let text = printed(ReportKind::Overlap, &report);
        for part in ["one in 64", "in the order of the stack", "A + B", "512", "all together: 704", LEFT_OUT]
        {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }

    #[test]
    fn reach_shows_the_figures_and_every_n_plus() {
        let report = json!({
            "from": "2026-11-01", "to": "2026-11-21", "time_zone": "Asia/Shanghai", "filter": "net",
            "settled_until": "2026-11-20", "provisional_days": ["2026-11-21"],
            "rows": [{"key": "total", "impressions": 9960, "identified_impressions": 9960, "id_coverage": 1.0, "clicks": 442,
                "reach": 8861, "average_frequency": 1.124_026, "n_plus": [8861, 838, 235, 23, 3, 0],
                "exactly": [8023, 603, 212, 20, 3, 0], "standard_error": [0.0], "exact": true}]
        });
        let text = printed(ReportKind::Reach, &report);
        for part in [
            "2026-11-01 to 2026-11-21 (Asia/Shanghai), net",
            "settled until 2026-11-20",
            "provisional: 2026-11-21 (--settle",
            "9,960",
            "8,861",
            "100.0 %",
            "1.124",
            "1+",
            "6+",
            "838",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert!(!text.contains("so far"), "only by day: {text}");
        let row = |n_plus: [u64; 4]| json!({"key": "k", "impressions": 3, "n_plus": n_plus});
        let text = printed(ReportKind::Reach, &json!({"rows": [row([2, 0, 0, 0]), row([2, 1, 0, 0])]}));
        assert!(text.contains("3+") && !text.contains("4+"), "nothing but zeros: {text}");
    }

    #[test]
    fn a_change_of_keys_is_told_with_what_it_means() {
        let report = json!({
            "key_changes": [
                {"day": "2026-11-02", "matched": "no"},
                {"day": "2026-11-20", "matched": "yes", "until": "2026-12-05"},
                {"day": "2026-11-21", "matched": "some", "until": "2026-12-06"},
            ],
            "rows": []
        });
        let text = printed(ReportKind::Reach, &report);
        for part in [
            "device keys changed on 2026-11-02: devices before and after cannot be matched",
            "device keys changed on 2026-11-20: devices on both sides count once until 2026-12-05",
            "but not all of them",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert!(!printed(ReportKind::Reach, &json!({"rows": []})).contains("keys changed"));
    }

    #[test]
    fn what_a_token_is_not_shown_is_told_from_what_is_not_there() {
        let report = json!({
            "privacy": {"k": 50, "device_step": 10, "rounded": true, "suppressed_rows": 2},
            "rows": [
                {"key": "a", "impressions": 900, "reach": 800, "n_plus": [800, null, 100, null], "suppressed": true, "settled_until": null},
                {"key": "b", "impressions": null, "reach": null, "n_plus": [null, null, null, null], "suppressed": true},
            ]
        });
        let text = printed(ReportKind::Reach, &report);
        assert!(text.contains("fewer than 50") && text.contains("rounded down to 10"), "{text}");
        let line = |key: &str| {
            text.lines().find(|line| line.trim_start().starts_with(key)).expect("a line").to_owned()
        };
        assert_eq!(line("a ").matches('–').count(), 6, "no figure slips to another N: {text}");
        assert!(
            line("b ").matches('–').count() >= 6 && text.contains("4+") && !text.contains("5+"),
            "{text}"
        );
    }

    #[test]
    fn frequency_has_a_line_for_each_n_that_occurs_and_a_table_for_each_key() {
        let row = |key: &str, frequency: u64, devices: u64, n_plus: u64| json!({"key": key, "frequency": frequency, "devices": devices, "n_plus": n_plus, "impressions": devices * frequency, "or_more": frequency == 80});
        let rows = [
            row("a", 1, 8023, 8861),
            row("a", 2, 838, 838),
            row("a", 3, 0, 0),
            row("b", 1, 4, 7),
            row("b", 80, 3, 3),
        ];
        let text = printed(ReportKind::Frequency, &json!({"rows": rows}));
        assert!(
            text.contains("8,023")
                && text.contains("90.5 %")
                && text.contains("\na\n")
                && text.contains("\nb\n"),
            "{text}"
        );
        assert!(
            text.lines().filter(|line| line.contains(" or more")).count() == 1 && text.contains("80 or more"),
            "{text}"
        );
    }

    #[test]
    fn delivery_leads_from_gross_to_net_and_leaves_out_what_did_not_occur() {
        let row = json!({"key": "p1", "gross_impressions": 12, "net_impressions": 9, "id_coverage": null,
            "removed_impressions": {"duplicate": 3, "robot": 0}, "gross_clicks": 0, "net_clicks": 0, "stages": {"viewable": 5}});
        let text = printed(ReportKind::Delivery, &json!({"rows": [row]}));
        assert!(
            text.contains("- repeats") && !text.contains("- robots") && text.contains("viewable"),
            "{text}"
        );
        assert!(printed(ReportKind::Delivery, &json!({"rows": []})).contains("no events"));
    }

    #[test]
    fn delivery_shows_rates_where_anything_was_measured() {
        let row = json!({"key": "p1", "gross_impressions": 10, "net_impressions": 10, "measured": 8, "unmeasured": 2,
            "measured_rate": 0.8, "viewable_rate": 0.75, "stages": {"viewable": 6, "not_viewable": 2}});
        let text = printed(ReportKind::Delivery, &json!({"rows": [row]}));
        for part in ["measured rate", "80.0 %", "viewable rate", "75.0 %", "unmeasured"] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        let row = json!({"key": "p1", "gross_impressions": 10, "measured": 0, "unmeasured": 10});
        assert!(!printed(ReportKind::Delivery, &json!({"rows": [row]})).contains("measured"));
    }

    #[test]
    fn media_without_usable_ids_come_first_and_are_marked() {
        let row = |key: &str, usable: u64, rate: f64| json!({"key": key, "impressions": 100, "usable": usable, "return_rate": rate, "identified": usable});
        let rows = [
            row("good", 95, 0.95),
            row("weak", 60, 0.6),
            row("dead", 0, 0.0),
            json!({"key": "none", "return_rate": null}),
        ];
        let text = printed(ReportKind::Ids, &json!({"rows": rows}));
        let line = |part: &str| {
            text.lines().position(|line| line.contains(part)).unwrap_or_else(|| panic!("{part}: {text}"))
        };
        assert!(
            line("!! dead") < line("! weak") && line("! weak") < line("good") && line("good") < line("none"),
            "{text}"
        );
        assert!(
            text.contains("60.0 %") && text.contains("sends no usable id") && text.contains("below 80 %"),
            "{text}"
        );
        assert!(!printed(ReportKind::Ids, &json!({"rows": [row("good", 95, 0.95)]})).contains('!'));
    }

    #[test]
    fn devices_set_aside_are_listed_with_where_they_were() {
        let list = json!({"device_day_impressions_max": 1000, "has_more": false, "devices": [{"day": "2026-11-19", "device": "00ff",
            "kind": "oaid", "impressions": 51234, "placements": [{"campaign": "demo", "placement": "p1", "medium": "Example", "impressions": 50000}]}]});
        let printed = |list: &Value| {
            let mut out = Vec::new();
            print_set_aside(list, &mut out).expect("prints");
            String::from_utf8(out).expect("text")
        };
        let text = printed(&list);
        assert!(
            text.contains("1,000 impressions")
                && text.contains("51,234")
                && text.contains("demo/p1 (Example) 50,000"),
            "{text}"
        );
        assert!(
            printed(&json!({"device_day_impressions_max": 1000, "devices": []})).contains("none on the days")
        );
    }

    #[test]
    fn what_was_settled_is_told_by_day() {
        let done = json!({"days": [{"day": "2026-11-20", "outcome": "settled", "events": 1200, "seconds": 0.31}], "adopted": 2});
        let mut out = Vec::new();
        print_settled(&done, &mut out).expect("prints");
        let text = String::from_utf8(out).expect("text");
        assert!(
            text.contains("2 unresolved hits") && text.contains("1,200") && text.contains("settled"),
            "{text}"
        );
        let mut out = Vec::new();
        print_settled(&json!({"days": [], "adopted": 0}), &mut out).expect("prints");
        assert_eq!(out, b"nothing had changed\n");
    }
}
