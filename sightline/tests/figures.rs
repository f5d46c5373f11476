//! Every figure of the reports equals one that SQL over a plain table of what was sent computes, and every identity between figures
//! holds: three campaigns on three clocks (Shanghai, Kolkata, New York over its change of clocks), beacons on both sides of local
//! midnight, hits without a usable id, retries, late arrivals, robots, views that straddle midnight.
//!
//! The truth knows nothing of the product: local days come from offsets written down here, repeats and devices from SQLite.

#![cfg(test)]

mod support;

use std::collections::BTreeMap;

use md5::{Digest, Md5};
use rusqlite::{Connection as Database, params};
use serde_json::{Value, json};

use support::http::Connection;
use support::random::{Random, soak};
use support::truth::{number, rows};
use support::{Instance, Options};

/// Views of each campaign.
const VIEWS: u64 = 700;
/// Devices of each campaign.
const DEVICES: u64 = 220;
/// Of a hundred hits: without a usable id, repeated by a retry, of a robot, arriving after the first settling.
const NO_ID_PERCENT: u64 = 30;
const REPEAT_PERCENT: u64 = 8;
const ROBOT_PERCENT: u64 = 3;
const LATE_PERCENT: u64 = 10;
const BATCH_ROWS: usize = 400;
const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;
/// 2026-11-01T00:00:00Z.
const NOVEMBER_MS: i64 = 1_793_491_200_000;
const ROBOT: &str = "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)";
const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";

const CATALOG: &str = r#"
[[campaign]]
id = "shanghai"
name = "Shanghai"
time_zone = "Asia/Shanghai"
[[campaign.placement]]
id = "a1"
name = "A1"
medium = "Alpha"
[[campaign.placement]]
id = "a2"
name = "A2"
medium = "Alpha"
[[campaign.placement]]
id = "b1"
name = "B1"
medium = "Beta"

[[campaign]]
id = "kolkata"
name = "Kolkata"
time_zone = "Asia/Kolkata"
[[campaign.placement]]
id = "a1"
name = "A1"
medium = "Alpha"
[[campaign.placement]]
id = "a2"
name = "A2"
medium = "Alpha"
[[campaign.placement]]
id = "b1"
name = "B1"
medium = "Beta"

[[campaign]]
id = "new-york"
name = "New York"
time_zone = "America/New_York"
[[campaign.placement]]
id = "a1"
name = "A1"
medium = "Alpha"
[[campaign.placement]]
id = "a2"
name = "A2"
medium = "Alpha"
[[campaign.placement]]
id = "b1"
name = "B1"
medium = "Beta"
"#;

const CAMPAIGNS: [&str; 3] = ["shanghai", "kolkata", "new-york"];
const PLACEMENTS: [(&str, &str); 3] = [("a1", "Alpha"), ("a2", "Alpha"), ("b1", "Beta")];

/// How far a campaign's clock is ahead of UTC. New York goes back from UTC−4 to UTC−5 at 2026-11-01T06:00:00Z.
fn offset_ms(campaign: &str, at_ms: i64) -> i64 {
    match campaign {
        "shanghai" => 8 * HOUR_MS,
        "kolkata" => 5 * HOUR_MS + 30 * MINUTE_MS,
        _ if at_ms < NOVEMBER_MS + 6 * HOUR_MS => -4 * HOUR_MS,
        _ => -5 * HOUR_MS,
    }
}

/// A hit as it is sent, with what is true of it.
#[derive(Clone)]
struct Hit {
    campaign: &'static str,
    placement: usize,
    creative: String,
    stage: &'static str,
    request_id: Option<String>,
    device: Option<u64>,
    at_ms: i64,
    is_robot: bool,
    is_late: bool,
    item: Value,
}

impl Hit {
    /// The item of the batch: whose device it is, said in one of several forms that have to meet.
    fn with_item(mut self, random: &mut Random) -> Self {
        let agent = if self.is_robot { ROBOT } else { BROWSER };
        let time =
            if random.percent(50) { json!(self.at_ms) } else { json!((self.at_ms / 1000).to_string()) };
        // Seconds cut milliseconds off: what is sent is what is true.
        self.at_ms = if time.is_string() { self.at_ms / 1000 * 1000 } else { self.at_ms };
        let mut item = json!({
            "c": self.campaign, "p": PLACEMENTS[self.placement].0, "cr": self.creative, "stage": self.stage,
            "t": time, "ua": agent, "ip": "192.0.2.1",
        });
        if let Some(id) = &self.request_id {
            item["rid"] = json!(id);
        }
        match self.device {
            Some(device) => say_device(&mut item, self.campaign, device, random),
            None => match random.below(4) {
                0 => {}
                1 => item["oaid"] = json!("00000000-0000-0000-0000-000000000000"),
                2 => item["imei"] = json!("__IMEI__"),
                _ => item["cookie"] = json!("unknown"),
            },
        }
        self.item = item;
        self
    }
}

/// The identifier of a device; its number decides the kind, chance the form.
fn say_device(item: &mut Value, campaign: &str, device: u64, random: &mut Random) {
    let mut of_device = Random::new(device + 1);
    let as_md5 = random.percent(50);
    let md5 = |text: &str| -> String { support::http::hex(&Md5::digest(text.as_bytes())) };
    match device % 4 {
        0 => {
            let oaid = of_device.uuid();
            if as_md5 { item["oaid_md5"] = json!(md5(&oaid)) } else { item["oaid"] = json!(oaid) }
        }
        1 => {
            let imei = with_luhn(of_device.below(100_000_000_000_000));
            if as_md5 {
                item["imei_md5"] = json!(md5(&imei).to_uppercase());
            } else {
                item["imei"] = json!(imei);
            }
        }
        2 => {
            item["os"] = json!("1");
            let idfa = of_device.uuid().to_uppercase();
            if as_md5 {
                item["idfa_md5"] = json!(md5(&idfa));
            } else {
                item["idfa"] = json!(idfa.to_lowercase());
            }
        }
        _ => item["cookie"] = json!(format!("{campaign}~{}", of_device.hex(12))),
    }
}

/// Fourteen digits and the check digit of an IMEI.
fn with_luhn(body: u64) -> String {
    let text = format!("{body:014}");
    let sum: u32 = text
        .bytes()
        .enumerate()
        .map(|(index, byte)| {
            let digit = u32::from(byte - b'0') * if index % 2 == 1 { 2 } else { 1 };
            digit / 10 + digit % 10
        })
        .sum();
    format!("{text}{}", (10 - sum % 10) % 10)
}

/// A moment between 30 October and 4 November; half of them within 25 minutes of a local midnight, in New York some in the hour
/// that comes twice.
fn moment(campaign: &str, random: &mut Random) -> i64 {
    let day = NOVEMBER_MS + (random.below(5) as i64 - 2) * DAY_MS;
    let at = match random.below(4) {
        0 | 1 => day - offset_ms(campaign, day) + random.below(50) as i64 * MINUTE_MS - 25 * MINUTE_MS,
        2 if campaign == "new-york" => NOVEMBER_MS + 5 * HOUR_MS + random.below(2 * HOUR_MS as u64) as i64,
        _ => day + random.below(DAY_MS as u64) as i64,
    };
    at + random.below(MINUTE_MS as u64) as i64
}

/// What is sent: views with their impression, repeats, later stages and clicks.
fn hits(random: &mut Random) -> Vec<Hit> {
    let mut hits = Vec::new();
    for (number, campaign) in CAMPAIGNS.into_iter().enumerate() {
        for view in 0..VIEWS {
            let impression = Hit {
                campaign,
                placement: random.below(3) as usize,
                creative: format!("cr{}", random.below(3)),
                stage: "impression",
                // Some media send no request id: then nothing is a repeat.
                request_id: (!random.percent(5)).then(|| format!("{campaign}-{view}")),
                device: (!random.percent(NO_ID_PERCENT))
                    .then(|| number as u64 * DEVICES + random.below(DEVICES).min(random.below(DEVICES))),
                at_ms: moment(campaign, random),
                is_robot: random.percent(ROBOT_PERCENT),
                is_late: random.percent(LATE_PERCENT),
                item: Value::Null,
            };
            add_view(&mut hits, &impression, random);
        }
    }
    hits
}

/// An impression and what follows it.
fn add_view(hits: &mut Vec<Hit>, impression: &Hit, random: &mut Random) {
    let later = |stage: &'static str, delay_ms: u64, random: &mut Random| Hit {
        stage,
        at_ms: impression.at_ms + 1 + random.below(delay_ms) as i64,
        ..impression.clone()
    };
    let mut of_view = vec![impression.clone()];
    if random.percent(50) {
        of_view.push(later("viewable", 90_000, random));
    }
    if random.percent(30) {
        of_view.push(later("complete", 120_000, random));
    }
    if random.percent(15) {
        of_view.push(later("click", 180_000, random));
    }
    if random.percent(3) && impression.request_id.is_some() {
        // The same request id on another placement: a conflict, which stays.
        let other = Hit { placement: (impression.placement + 1) % 3, ..later("impression", 60_000, random) };
        of_view.push(other);
    }
    for hit in of_view {
        if random.percent(REPEAT_PERCENT) {
            // A retry up to a minute later, sometimes on the other side of midnight.
            let repeat = Hit { at_ms: hit.at_ms + random.below(60_000) as i64, ..hit.clone() };
            hits.push(Hit { is_late: random.percent(50), ..repeat }.with_item(random));
        }
        hits.push(hit.with_item(random));
    }
}

fn send(instance: &Instance, hits: &[&Hit]) {
    let key = format!("Bearer {}", instance.secret("replay.key"));
    let mut connection = Connection::open(instance.tracker()).expect("connects");
    for batch in hits.chunks(BATCH_ROWS) {
        let body = Value::Array(batch.iter().map(|hit| hit.item.clone()).collect());
        let answer = connection.post_json("/v1/events", &[("authorization", &key)], &body).expect("answers");
        assert_eq!(answer.status, 200, "{}", answer.text());
        for (hit, result) in batch.iter().zip(answer.json()["results"].as_array().expect("results")) {
            assert_eq!(result["outcome"], "accepted", "{} of {result}", hit.item);
        }
    }
}

/// The hits as a table, and for each the day and hour on which it counts, and whether it is a repeat.
fn truth(hits: &[&Hit]) -> Database {
    let database = Database::open_in_memory().expect("opens");
    database
        .execute_batch(
            "CREATE TABLE hit (n INTEGER PRIMARY KEY, campaign TEXT, placement TEXT, medium TEXT, creative TEXT, stage TEXT,
                               rid TEXT, device INTEGER, t INTEGER, day TEXT, hour INTEGER, robot INTEGER);
             CREATE INDEX by_rid ON hit (campaign, rid, stage);",
        )
        .expect("a table");
    for (n, hit) in hits.iter().enumerate() {
        let local = (hit.at_ms + offset_ms(hit.campaign, hit.at_ms)) / 1000;
        let (placement, medium) = PLACEMENTS[hit.placement];
        database
            .execute(
                "INSERT INTO hit VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, date(?10, 'unixepoch'), ?11, ?12)",
                params![
                    n as i64, hit.campaign, placement, medium, hit.creative, hit.stage, hit.request_id,
                    hit.device.map(|d| d as i64), hit.at_ms, local, local.rem_euclid(86_400) / 3600, hit.is_robot
                ],
            )
            .expect("a row");
    }
    database
        .execute_batch(
            "CREATE TABLE counted AS
             SELECT h.n, h.campaign, h.placement, h.medium, h.creative, h.stage, h.device,
                    coalesce(own.day, across.day, h.day) AS day, coalesce(own.hour, across.hour, h.hour) AS hour,
                    CASE WHEN EXISTS (
                             SELECT 1 FROM hit b
                             WHERE b.campaign = h.campaign AND b.stage = h.stage AND b.rid = h.rid AND b.placement = h.placement
                               AND b.device IS h.device AND (b.t < h.t OR (b.t = h.t AND b.n < h.n)) AND b.day >= date(h.day, '-1 day'))
                         THEN 'duplicate' WHEN h.robot THEN 'robot' ELSE 'valid' END AS class
             FROM hit h
             LEFT JOIN (SELECT campaign, rid, day, hour, min(t) FROM hit WHERE stage = 'impression' AND rid IS NOT NULL
                        GROUP BY campaign, rid, day) across
               ON h.stage IN ('viewable', 'complete') AND across.campaign = h.campaign AND across.rid = h.rid
              AND across.day = date(h.day, CASE WHEN h.hour < 12 THEN '-1 day' ELSE '+1 day' END)
             LEFT JOIN (SELECT campaign, rid, placement, device, day, hour, min(t) AS t FROM hit
                        WHERE stage = 'impression' AND rid IS NOT NULL GROUP BY campaign, rid, day) own
               ON h.stage IN ('viewable', 'complete') AND own.campaign = h.campaign AND own.rid = h.rid AND own.day = h.day
              -- After midnight an impression that comes later, or repeats one of the evening, does not count before the evening's.
              AND NOT (h.hour < 12 AND across.day IS NOT NULL AND (own.t > h.t OR EXISTS (
                      SELECT 1 FROM hit b
                      WHERE b.campaign = h.campaign AND b.stage = 'impression' AND b.rid = h.rid AND b.day = across.day
                        AND b.placement = own.placement AND b.device IS own.device)));",
        )
        .expect("a table");
    database
}

/// The figures of one row that both sides have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Delivered {
    gross: u64,
    net: u64,
    repeats: u64,
    robots: u64,
    clicks_gross: u64,
    clicks_net: u64,
    viewable: u64,
    completes: u64,
    identified: u64,
}

/// Days of a question, and which hits count.
#[derive(Clone, Copy, Debug)]
struct Scope<'a> {
    campaign: &'a str,
    range: Option<(&'a str, &'a str)>,
    filter: &'a str,
}

impl Scope<'_> {
    fn query(&self, by: &str) -> String {
        let range = self.range.map_or_else(String::new, |(from, to)| format!("&from={from}&to={to}"));
        format!("by={by}&filter={}{range}", self.filter)
    }

    /// The condition on `counted` that picks the rows, with the class if the filter asks for it.
    fn condition(&self) -> String {
        let (from, to) = self.range.unwrap_or(("0000-00-00", "9999-99-99"));
        format!("campaign = '{}' AND day BETWEEN '{from}' AND '{to}'", self.campaign)
    }

    fn counts(&self) -> &'static str {
        if self.filter == "net" { "class = 'valid'" } else { "1" }
    }
}

/// How the reports key their rows, as an expression of `counted`.
fn key_of(by: &str) -> &'static str {
    match by {
        "total" => "'total'",
        "day" => "day",
        "placement" => "placement",
        "medium" => "medium",
        "creative" => "creative",
        "hour" => "printf('%02d', hour)",
        other => panic!("no key for {other}"),
    }
}

fn delivered(database: &Database, scope: Scope<'_>, by: &str) -> BTreeMap<String, Delivered> {
    let counts = scope.counts();
    let sql = format!(
        "SELECT {}, sum(stage = 'impression'), sum(stage = 'impression' AND class = 'valid'),
                sum(stage = 'impression' AND class = 'duplicate'), sum(stage = 'impression' AND class = 'robot'),
                sum(stage = 'click'), sum(stage = 'click' AND class = 'valid'),
                sum(stage = 'viewable' AND {counts}), sum(stage = 'complete' AND {counts}),
                sum(stage = 'impression' AND device IS NOT NULL AND {counts})
         FROM counted WHERE {} GROUP BY 1",
        key_of(by),
        scope.condition()
    );
    let mut statement = database.prepare(&sql).expect("right SQL");
    let rows = statement.query_map([], |row| {
        let n = |index: usize| row.get::<_, i64>(index).map(|n| n as u64);
        let figures = Delivered {
            gross: n(1)?,
            net: n(2)?,
            repeats: n(3)?,
            robots: n(4)?,
            clicks_gross: n(5)?,
            clicks_net: n(6)?,
            viewable: n(7)?,
            completes: n(8)?,
            identified: n(9)?,
        };
        Ok((row.get(0)?, figures))
    });
    rows.expect("rows").collect::<Result<_, _>>().expect("rows")
}

/// How often each device was reached, by key.
fn frequencies(database: &Database, scope: Scope<'_>, by: &str) -> BTreeMap<String, Vec<u64>> {
    let sql = format!(
        "SELECT {}, count(*) FROM counted WHERE {} AND stage = 'impression' AND device IS NOT NULL AND {} GROUP BY 1, device",
        key_of(by),
        scope.condition(),
        scope.counts()
    );
    let mut statement = database.prepare(&sql).expect("right SQL");
    let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)? as u64)));
    let mut by_key: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for row in rows.expect("rows") {
        let (key, frequency) = row.expect("a row");
        by_key.entry(key).or_default().push(frequency);
    }
    by_key
}

/// Distinct devices from the first day to each day.
fn cumulative(database: &Database, scope: Scope<'_>) -> BTreeMap<String, u64> {
    let sql = format!(
        "SELECT d.day, count(DISTINCT c.device) FROM (SELECT DISTINCT day FROM counted WHERE {0}) d
         LEFT JOIN (SELECT * FROM counted WHERE {0} AND stage = 'impression' AND {1}) c ON c.day <= d.day GROUP BY 1",
        scope.condition(),
        scope.counts()
    );
    let mut statement = database.prepare(&sql).expect("right SQL");
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as u64)));
    rows.expect("rows").collect::<Result<_, _>>().expect("rows")
}

/// All figures, by every key.
fn compare(instance: &Instance, database: &Database) {
    for campaign in CAMPAIGNS {
        for filter in ["gross", "net"] {
            let scope = Scope { campaign, range: None, filter };
            for by in ["total", "day", "placement", "medium", "creative", "hour"] {
                compare_delivery(instance, database, scope, by);
                compare_reach(instance, database, scope, by);
            }
        }
        for range in [("2026-10-31", "2026-11-01"), ("2026-11-01", "2026-11-01")] {
            let scope = Scope { campaign, range: Some(range), filter: "net" };
            compare_delivery(instance, database, scope, "hour");
            compare_reach(instance, database, scope, "total");
        }
        let scope = Scope { campaign, range: None, filter: "net" };
        compare_frequency(instance, database, scope);
        hold_identities(instance, scope);
    }
}

/// The figures that any mistake would change: by day.
fn compare_by_day(instance: &Instance, database: &Database) {
    for campaign in CAMPAIGNS {
        let scope = Scope { campaign, range: None, filter: "net" };
        compare_delivery(instance, database, scope, "day");
        compare_reach(instance, database, scope, "day");
    }
}

fn compare_delivery(instance: &Instance, database: &Database, scope: Scope<'_>, by: &str) {
    let report = instance.report(&format!("{}/delivery", scope.campaign), &scope.query(by));
    let reported: BTreeMap<String, Delivered> = rows(&report)
        .iter()
        .map(|row| {
            let below = |path: &str| {
                row.pointer(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("{path} in {row}"))
            };
            let removed: u64 = row["removed_impressions"]
                .as_object()
                .expect("reasons")
                .values()
                .filter_map(Value::as_u64)
                .sum();
            assert_eq!(number(row, "gross_impressions"), number(row, "net_impressions") + removed, "{row}");
            let counted = if scope.filter == "net" { "net_impressions" } else { "gross_impressions" };
            assert_eq!(number(row, "impressions"), number(row, counted), "{row}");
            let figures = Delivered {
                gross: number(row, "gross_impressions"),
                net: number(row, "net_impressions"),
                repeats: below("/removed_impressions/duplicate"),
                robots: below("/removed_impressions/robot"),
                clicks_gross: number(row, "gross_clicks"),
                clicks_net: number(row, "net_clicks"),
                viewable: below("/stages/viewable"),
                completes: below("/stages/completes"),
                identified: number(row, "identified_impressions"),
            };
            (key(row), figures)
        })
        .collect();
    assert_eq!(
        reported,
        delivered(database, scope, by),
        "delivery by {by} of {scope:?}: left reported, right true"
    );
}

fn compare_reach(instance: &Instance, database: &Database, scope: Scope<'_>, by: &str) {
    let report = instance.report(&format!("{}/reach", scope.campaign), &scope.query(by));
    let delivered = delivered(database, scope, by);
    let frequencies = frequencies(database, scope, by);
    let cumulative = cumulative(database, scope);
    let mut seen = 0;
    for row in rows(&report) {
        let at = format!("reach by {by} of {scope:?}: {row}");
        let key = key(row);
        let of_key = frequencies.get(&key).cloned().unwrap_or_default();
        let delivery = delivered.get(&key).unwrap_or_else(|| panic!("a row too many, {at}"));
        let (impressions, clicks) = match scope.filter {
            "net" => (delivery.net, delivery.clicks_net),
            _ => (delivery.gross, delivery.clicks_gross),
        };
        assert_eq!(number(row, "impressions"), impressions, "{at}");
        assert_eq!(number(row, "clicks"), clicks, "{at}");
        assert_eq!(number(row, "identified_impressions"), of_key.iter().sum::<u64>(), "{at}");
        assert_eq!(number(row, "reach"), of_key.len() as u64, "{at}");
        let (n_plus, exactly) = (list(row, "n_plus"), list(row, "exactly"));
        for n in 1..=10 {
            assert_eq!(n_plus[n - 1], of_key.iter().filter(|f| **f >= n as u64).count() as u64, "{n}+, {at}");
        }
        assert_eq!(exactly.iter().sum::<u64>(), number(row, "reach"), "{at}");
        assert!(n_plus.is_sorted_by(|a, b| a >= b), "{at}");
        ratio(row, "id_coverage", of_key.iter().sum(), impressions);
        ratio(row, "average_frequency", of_key.iter().sum(), of_key.len() as u64);
        assert_eq!(row["exact"], true, "{at}");
        if by == "day" {
            assert_eq!(number(row, "cumulative_reach"), cumulative[&key], "{at}");
        }
        seen += impressions;
    }
    let all: u64 = delivered.values().map(|d| if scope.filter == "net" { d.net } else { d.gross }).sum();
    assert_eq!(seen, all, "no row is missing: reach by {by} of {scope:?}");
}

fn compare_frequency(instance: &Instance, database: &Database, scope: Scope<'_>) {
    let report = instance.report(&format!("{}/frequency", scope.campaign), &scope.query("total"));
    let all = frequencies(database, scope, "total").remove("total").unwrap_or_default();
    for row in rows(&report) {
        let n = number(row, "frequency");
        assert_eq!(
            number(row, "devices"),
            all.iter().filter(|f| **f == n).count() as u64,
            "{scope:?}: {row}"
        );
        assert_eq!(number(row, "n_plus"), all.iter().filter(|f| **f >= n).count() as u64, "{scope:?}: {row}");
    }
    // The sum over all N of N+ is the identified impressions; no device of the fixture comes near the open end.
    assert!(all.iter().all(|f| *f < 80), "the fixture stays below the open end");
    let sum: u64 = rows(&report).iter().map(|row| number(row, "n_plus")).sum();
    assert_eq!(sum, all.iter().sum::<u64>(), "{scope:?}");
}

/// Identities between reports.
fn hold_identities(instance: &Instance, scope: Scope<'_>) {
    let reach = |by: &str| -> Vec<u64> {
        let report = instance.report(&format!("{}/reach", scope.campaign), &scope.query(by));
        rows(&report).iter().map(|row| number(row, "reach")).collect()
    };
    let together = reach("total").first().copied().unwrap_or(0);
    for by in ["day", "placement", "medium"] {
        let parts = reach(by);
        let (largest, sum) = (parts.iter().max().copied().unwrap_or(0), parts.iter().sum::<u64>());
        assert!((largest..=sum).contains(&together), "|A or B| by {by}: {together} of {parts:?}, {scope:?}");
    }
    let report = instance.report(&format!("{}/reach", scope.campaign), &scope.query("day"));
    let curve: Vec<u64> = rows(&report).iter().map(|row| number(row, "cumulative_reach")).collect();
    assert!(curve.is_sorted(), "cumulative reach does not fall: {curve:?}");
    assert_eq!(curve.last().copied().unwrap_or(0), together, "it ends at the reach of all days");
}

fn key(row: &Value) -> String {
    row["key"].as_str().unwrap_or_else(|| panic!("no key in {row}")).to_owned()
}

fn list(row: &Value, name: &str) -> Vec<u64> {
    let list = row[name].as_array().unwrap_or_else(|| panic!("no {name} in {row}"));
    list.iter().filter_map(Value::as_u64).collect()
}

fn ratio(row: &Value, name: &str, part: u64, whole: u64) {
    match row[name].as_f64() {
        Some(value) => assert!((value - part as f64 / whole as f64).abs() < 1e-9, "{name} of {row}"),
        None => assert_eq!(whole, 0, "{name} of {row}"),
    }
}

/// Days that the reports of a campaign name as not settled.
fn provisional(instance: &Instance, campaign: &str) -> Vec<String> {
    let report = instance.report(&format!("{campaign}/delivery"), "by=day");
    let days =
        report["provisional_days"].as_array().unwrap_or_else(|| panic!("no provisional days in {report}"));
    days.iter().filter_map(|day| day.as_str().map(str::to_owned)).collect()
}

#[test]
fn every_figure_equals_one_computed_independently() {
    let mut random = Random::announced("every_figure_equals_one_computed_independently");
    for _ in 0..soak() {
        a_fixture(&mut random);
    }
}

/// Sends a fixture in two parts and compares after each, and after a restart.
fn a_fixture(random: &mut Random) {
    let mut all = hits(random);
    // Receipt follows no order of time.
    for index in (1..all.len()).rev() {
        all.swap(index, random.below(index as u64 + 1) as usize);
    }
    let mut instance = Instance::start(Options { catalog: CATALOG.to_owned(), ..Options::default() });

    let early: Vec<&Hit> = all.iter().filter(|hit| !hit.is_late).collect();
    send(&instance, &early);
    instance.settle();
    compare_by_day(&instance, &truth(&early));

    // Late arrivals name their days as provisional, then restate them.
    let late: Vec<&Hit> = all.iter().filter(|hit| hit.is_late).collect();
    assert!(provisional(&instance, "new-york").is_empty(), "everything was settled");
    send(&instance, &late);
    support::wait_for("late hits mark their days", std::time::Duration::from_secs(30), || {
        !provisional(&instance, "new-york").is_empty()
    });
    instance.settle();
    let whole: Vec<&Hit> = early.iter().chain(&late).copied().collect();
    let database = truth(&whole);
    compare(&instance, &database);

    instance.restart();
    compare_by_day(&instance, &database);
}
