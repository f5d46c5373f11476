//! Campaigns set up over the API: the file keeps what people wrote in it, a sheet is taken whole or not at all, of two changes at once one wins, and
//! every change stands in the audit log.

#![cfg(test)]

mod support;

use std::fs;
use std::time::Duration;

use rust_xlsxwriter::Workbook;
use serde_json::{Value, json};

use support::http::{Connection, Response};
use support::{CATALOG, Instance, Options, wait_for};

const SOON: Duration = Duration::from_secs(30);

/// An instance and its operator.
struct Desk {
    instance: Instance,
    bearer: String,
}

impl Desk {
    fn open() -> Self {
        Self::on(Options::default())
    }

    fn on(options: Options) -> Self {
        let instance = Instance::start(options);
        let bearer = format!("Bearer {}", instance.secret("operator.token"));
        Self { instance, bearer }
    }

    fn send(&self, method: &str, target: &str, version: Option<&str>, body: &[u8]) -> Response {
        let mut headers = vec![("authorization", self.bearer.as_str())];
        headers.extend(version.map(|version| ("if-match", version)));
        let mut connection = Connection::open(self.instance.reports()).expect("connects");
        connection.request(method, target, &headers, body).expect("an answer")
    }

    /// The answer's JSON, after its status was held against this one.
    fn json(
        &self,
        (method, target): (&str, &str),
        version: Option<&str>,
        body: &Value,
        status: u16,
    ) -> Value {
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let answer = self.send(method, target, version, &bytes);
        assert_eq!(answer.status, status, "{method} {target}: {}", answer.text());
        serde_json::from_slice(&answer.body).expect("JSON")
    }

    fn version(&self) -> String {
        let all = self.json(("GET", "/v1/campaigns/demo"), None, &Value::Null, 200);
        all["version"].as_str().expect("a version").to_owned()
    }

    fn file(&self) -> String {
        fs::read_to_string(self.instance.root().join("catalog.toml")).expect("the catalog")
    }

    fn acts(&self) -> Vec<Value> {
        let data = self.instance.data().display().to_string();
        let output = self.instance.command(&["audit", "list", "--format", "json", "--data", &data]);
        let text = String::from_utf8(output.stdout).expect("text");
        text.lines().map(|line| serde_json::from_str(line).expect("an entry")).collect()
    }

    /// The stored outcome of an impression.
    fn outcome(&self, campaign: &str, placement: &str) -> String {
        let debug = self.instance.secret("debug.key");
        let mut connection = Connection::open(self.instance.tracker()).expect("connects");
        let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";
        let headers = [("x-sightline-debug", debug.as_str()), ("user-agent", agent)];
        let answer = connection.get(&format!("/i?c={campaign}&p={placement}"), &headers).expect("an answer");
        answer.header("x-sightline-outcome").expect("told to who has the key").to_owned()
    }
}

fn bytes_of(rows: &[&[&str]]) -> Vec<u8> {
    let mut book = Workbook::new();
    let sheet = book.add_worksheet();
    for (row, cells) in (0..).zip(rows) {
        for (column, cell) in (0..).zip(*cells) {
            match cell.parse::<f64>() {
                Ok(number) => sheet.write(row, column, number).map(drop),
                Err(_) => sheet.write(row, column, *cell).map(drop),
            }
            .expect("written");
        }
    }
    book.save_to_buffer().expect("a workbook")
}

#[test]
fn a_campaign_is_set_up_changed_and_removed_and_the_rest_of_the_file_stays() {
    let desk = Desk::open();
    let before = desk.file();
    let new = json!({
        "id": "spring", "name": "Spring", "time_zone": "Asia/Shanghai", "starts": "2026-11-01", "ends": "2026-12-31",
        "advertiser": "acme", "currency": "CNY", "cost": 120_000.5, "landing_hosts": ["www.example.com"],
        "universes": [{ "persons": 5_000_000, "source": "Panel", "date": "2026-01-01" }],
        "creatives": [{ "id": "cr1", "name": "Fifteen seconds" }],
        "alerts": { "gap_max": 0.05, "silent_hours": 6 },
    });
    let added = desk.json(("POST", "/v1/campaigns"), None, &new, 201);
    assert!(desk.file().starts_with(&before), "what was there is not touched:\n{}", desk.file());
    let shown = desk.json(("GET", "/v1/campaigns/spring"), None, &Value::Null, 200);
    let with_placements = |mut one: Value| {
        one["placements"] = json!([]);
        one
    };
    assert_eq!(shown, with_placements(added));
    for (key, value) in new.as_object().expect("an object") {
        match key.as_str() {
            "universes" => assert_eq!(shown[key][0]["persons"], value[0]["persons"]),
            "alerts" => assert_eq!(shown[key]["gap_max"], value["gap_max"]),
            _ => assert_eq!(&shown[key], value, "{key}"),
        }
    }

    // The placement counts from the next hit on: what was answered is in force.
    assert!(desk.outcome("spring", "p1").starts_with("unresolved"), "{}", desk.outcome("spring", "p1"));
    let placement = json!({ "id": "p1", "name": "Banner", "medium": "News",
        "plan": [{ "from": "2026-11-01", "to": "2026-11-10", "impressions": 100_000 }] });
    let added = desk.json(("POST", "/v1/campaigns/spring/placements"), None, &placement, 201);
    assert_eq!(added["plan"], placement["plan"]);
    assert_eq!(desk.outcome("spring", "p1"), "accepted");

    // What is shown can be sent back, and nothing changes but how it is written.
    let mut shown = desk.json(("GET", "/v1/campaigns/spring"), None, &Value::Null, 200);
    shown.as_object_mut().expect("an object").remove("placements");
    let same = desk.json(("PATCH", "/v1/campaigns/spring"), None, &shown, 200);
    let again = desk.json(("PATCH", "/v1/campaigns/spring"), None, &same, 200);
    assert_eq!(same, again);
    let but_version = |mut one: Value| one.as_object_mut().and_then(|one| one.remove("version")).map(|_| one);
    assert_eq!(but_version(shown), but_version(same));
    assert!(desk.file().starts_with(&before) && desk.file().contains("name = \"Banner\""));

    let target = "/v1/campaigns/spring/placements/p1";
    let version = desk.version();
    let changed = json!({ "version": version, "state": "trial", "plan": null });
    let answer = desk.json(("PATCH", target), None, &changed, 200);
    assert_eq!((&answer["state"], &answer["plan"]), (&json!("trial"), &json!([])));
    let tag = desk.send("GET", target, None, b"");
    let tag = tag.header("etag").expect("a version").to_owned();
    desk.json(("DELETE", target), Some(&tag), &Value::Null, 200);
    desk.json(("GET", target), None, &Value::Null, 404);
    desk.json(
        ("DELETE", &format!("/v1/campaigns/spring?version={}", desk.version())),
        None,
        &Value::Null,
        200,
    );
    assert_eq!(desk.file(), before, "every byte is back");

    let entries = desk.acts();
    let of = |act: &str| entries.iter().filter(|entry| entry["act"] == act).collect::<Vec<_>>();
    for act in ["campaign.add", "placement.add", "placement.change", "placement.remove", "campaign.remove"] {
        let [entry] = of(act)[..] else { panic!("one {act}: {entries:#?}") };
        assert_eq!(
            (&entry["actor"], entry["details"]["after"].is_string()),
            (&json!("operator"), true),
            "{entry}"
        );
        let at = |act: &str| entries.iter().position(|entry| entry["act"] == act).expect("is there");
        let done = act.replace("remove", "removed").replace("add", "added").replace("change", "changed");
        assert!(at(act) < at(&done), "entered before it is done");
    }
    assert_eq!(of("placement.change")[0]["details"]["values"], json!({ "state": "trial", "plan": null }));
}

#[test]
fn what_is_refused_changes_nothing_and_says_why() {
    let desk = Desk::open();
    let (before, version) = (desk.file(), desk.version());
    let refused =
        |method: &str, target: &str, version: Option<&str>, body: Value, status: u16, code: &str| {
            let answer = desk.json((method, target), version, &body, status);
            assert_eq!(answer["error"]["code"], code, "{answer}");
            assert_eq!(desk.file(), before, "{method} {target}");
            answer
        };
    let (demo, first) = ("/v1/campaigns/demo", "/v1/campaigns/demo/placements/p1");
    let name = || json!({ "name": "Other" });
    let now = Some(version.as_str());
    refused("PATCH", demo, None, name(), 428, "no_version");
    refused("DELETE", first, None, Value::Null, 428, "no_version");
    let answer = refused("PATCH", demo, Some("\"00000000\""), name(), 412, "version");
    assert_eq!(answer["error"]["version"], version);
    refused("PATCH", demo, Some("*"), name(), 400, "bad_parameter");
    refused("PATCH", "/v1/campaigns/none", now, name(), 404, "unknown_campaign");
    refused("PATCH", "/v1/campaigns/demo/placements/none", now, name(), 404, "unknown_placement");
    refused("PUT", demo, now, name(), 405, "method_not_allowed");
    refused("PATCH", demo, now, json!({ "id": "other" }), 422, "refused");
    refused("PATCH", demo, now, json!({ "time_zone": "Asia/Shangai" }), 422, "refused");
    refused("PATCH", demo, now, json!({ "placement": [] }), 422, "refused");
    refused("PATCH", demo, now, json!([]), 400, "bad_parameter");
    refused("PATCH", first, now, json!({ "medium": null }), 422, "refused");
    refused(
        "POST",
        "/v1/campaigns",
        None,
        json!({ "id": "demo", "name": "D", "time_zone": "UTC" }),
        409,
        "exists",
    );
    let wrong =
        json!({ "id": "p 1", "name": "N", "source": "x", "dialect": "x", "plan": [{ "from": "soon" }] });
    let answer = refused("POST", "/v1/campaigns/demo/placements", None, wrong, 422, "refused");
    assert_eq!(answer["error"]["fields"][0]["key"], "plan");
    let wrong = json!({ "id": "p 1", "name": "N", "source": "x", "dialect": "x" });
    let answer = refused("POST", "/v1/campaigns/demo/placements", None, wrong, 422, "refused");
    let mut keys: Vec<_> =
        answer["error"]["fields"].as_array().expect("a list").iter().map(|f| f["key"].clone()).collect();
    keys.sort_by_key(ToString::to_string);
    assert_eq!(keys, ["dialect", "id", "medium", "source"]);
    let large = vec![b' '; (1 << 20) + 1];
    assert_eq!(desk.send("PATCH", demo, now, &large).status, 413);
    // Nobody without a token changes anything, and nobody's body is read.
    let mut connection = Connection::open(desk.instance.reports()).expect("connects");
    let answer =
        connection.request("PATCH", demo, &[("if-match", &version)], b"{\"name\":\"X\"}").expect("an answer");
    assert_eq!(answer.status, 401);

    // A file that somebody broke by hand is mended by hand.
    let broken = format!("{before}\n[[campaign]]\nid = 5\n");
    fs::write(desk.instance.root().join("catalog.toml"), &broken).expect("written");
    let answer = desk.json(
        ("POST", "/v1/campaigns"),
        None,
        &json!({ "id": "n", "name": "N", "time_zone": "UTC" }),
        409,
    );
    let message = answer["error"]["message"].as_str().expect("words");
    assert!(message.contains("mended by hand first") && message.contains("id"), "{message}");
    assert_eq!(desk.file(), broken);
}

#[test]
fn a_sheet_is_imported_whole_or_not_at_all() {
    let desk = Desk::open();
    let before = desk.file();
    let import = "/v1/campaigns/demo/placements/import";
    let header = ["点位ID", "点位名称", "媒体", "落地页", "开始日期", "结束日期", "每日曝光", "备注"];
    let good = |number: &'static str| {
        ["x1", "开机屏", "示例应用", "https://www.example.com/a", "46327", "2026/11/10", number, "-"]
    };
    let wrong = bytes_of(&[
        &header,
        &good("100000"),
        &["x2", "贴片", "示例视频", "https://evil.example/", "1/11/2026", "46330", "5.5"],
    ]);
    let answer = desk.send("POST", import, None, &wrong);
    assert_eq!(answer.status, 422, "{}", answer.text());
    let answer: Value = serde_json::from_slice(&answer.body).expect("JSON");
    let cells = answer["error"]["cells"].as_array().expect("a list");
    let places: Vec<_> =
        cells.iter().map(|cell| (&cell["row"], &cell["column"], &cell["header"], &cell["value"])).collect();
    let expected = [
        (json!(3), json!("E"), json!("开始日期"), json!("1/11/2026")),
        (json!(3), json!("G"), json!("每日曝光"), json!("5.5")),
        (json!(3), json!("D"), json!("落地页"), json!("https://evil.example/")),
    ];
    assert_eq!(places, expected.iter().map(|(a, b, c, d)| (a, b, c, d)).collect::<Vec<_>>());
    assert_eq!(desk.file(), before, "nothing of it was taken");

    let right = bytes_of(&[
        &header,
        &good("100000"),
        &["x1", "", "", "", "46337", "46337", "500000"],
        &["x2", "贴片", "示例视频"],
    ]);
    let answer = desk.send("POST", &format!("{import}?dry_run=true"), None, &right);
    let said: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(
        (answer.status, &said["added"], &said["ignored_columns"]),
        (200, &json!(["x1", "x2"]), &json!(["备注"]))
    );
    assert_eq!(desk.file(), before, "a dry run is dry");
    assert!(desk.acts().iter().all(|entry| entry["act"] != "placements.import"));

    assert_eq!(desk.send("POST", import, None, &right).status, 200);
    let shown = desk.json(("GET", "/v1/campaigns/demo/placements/x1"), None, &Value::Null, 200);
    let plan = json!([
        { "from": "2026-11-01", "to": "2026-11-10", "impressions": 100_000 },
        { "from": "2026-11-11", "to": "2026-11-11", "impressions": 500_000 },
    ]);
    assert_eq!(shown["plan"], plan);
    assert_eq!(desk.outcome("demo", "x2"), "accepted");
    let links =
        desk.send("GET", "/v1/campaigns/demo/links?format=csv&base=https://t.example.com", None, b"").text();
    assert!(links.contains("x1") && links.contains("x2"), "{links}");

    // Once more: everything is there already. As CSV of a Chinese Excel, it changes what it says.
    assert_eq!(desk.send("POST", import, None, &right).status, 422);
    let csv = "点位ID,点位名称\nx2,中插\n";
    let (csv, replace) = (encoding_rs::GB18030.encode(csv).0, format!("{import}?existing=replace"));
    let answer = desk.send("POST", &replace, None, &csv);
    assert_eq!(answer.status, 428, "what is there is not overwritten unseen: {}", answer.text());
    assert_eq!(desk.send("POST", &replace, Some("00000000"), &csv).status, 412);
    assert_eq!(desk.send("POST", &format!("{replace}&dry_run=true"), None, &csv).status, 200);
    let answer = desk.send("POST", &replace, Some(&desk.version()), &csv);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let shown = desk.json(("GET", "/v1/campaigns/demo/placements/x2"), None, &Value::Null, 200);
    assert_eq!((&shown["name"], &shown["medium"]), (&json!("中插"), &json!("示例视频")));
    let entries = desk.acts();
    let imports: Vec<_> = entries.iter().filter(|entry| entry["act"] == "placements.import").collect();
    assert_eq!(imports.len(), 2);
    assert_eq!(imports[0]["details"]["placements"], "x1, x2");
}

#[test]
fn the_template_is_a_sheet_without_a_placement() {
    let desk = Desk::open();
    let import = "/v1/campaigns/demo/placements/import";
    for (format, start) in [("xlsx", &b"PK"[..]), ("csv", "\u{feff}点位ID".as_bytes())] {
        let template =
            desk.send("GET", &format!("/v1/placements-template?language=zh&format={format}"), None, b"");
        assert!(template.status == 200 && template.body.starts_with(start), "{format}");
        assert!(template.header("content-disposition").is_some_and(|name| name.contains(format)));
        let answer = desk.send("POST", import, None, &template.body);
        assert!(answer.status == 422 && answer.text().contains("no placement below"), "{}", answer.text());
    }
}

#[test]
fn of_changes_made_at_once_from_one_version_exactly_one_wins() {
    const AT_ONCE: usize = 8;
    let desk = Desk::open();
    for round in 0..5 {
        let version = desk.version();
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let change = |at: usize| {
                let body = json!({ "name": format!("Round {round}, {at}") }).to_string();
                let (desk, version) = (&desk, &version);
                scope.spawn(move || {
                    desk.send("PATCH", "/v1/campaigns/demo", Some(version), body.as_bytes()).status
                })
            };
            let threads: Vec<_> = (0..AT_ONCE).map(change).collect();
            threads.into_iter().map(|thread| thread.join().expect("an answer")).collect()
        });
        let count = |status: u16| statuses.iter().filter(|found| **found == status).count();
        assert_eq!((count(200), count(412)), (1, AT_ONCE - 1), "{statuses:?}");
        let shown = desk.json(("GET", "/v1/campaigns/demo"), None, &Value::Null, 200);
        let won = statuses.iter().position(|status| *status == 200).expect("one");
        assert_eq!(shown["name"], format!("Round {round}, {won}"));
    }
    // Additions do not overwrite anything: all of them are made.
    std::thread::scope(|scope| {
        for at in 0..AT_ONCE {
            let body = json!({ "id": format!("n{at}"), "name": "N", "medium": "M" }).to_string();
            let desk = &desk;
            scope.spawn(move || {
                let answer = desk.send("POST", "/v1/campaigns/demo/placements", None, body.as_bytes());
                assert_eq!(answer.status, 201, "{}", answer.text());
            });
        }
    });
    let shown = desk.json(("GET", "/v1/campaigns/demo"), None, &Value::Null, 200);
    assert_eq!(shown["placements"].as_array().map(Vec::len), Some(3 + AT_ONCE));
}

#[test]
fn a_change_by_hand_is_seen_and_not_overwritten() {
    let desk = Desk::open();
    let version = desk.version();
    let by_hand = CATALOG.replace("End to end", "By hand");
    fs::write(desk.instance.root().join("catalog.toml"), &by_hand).expect("written");
    // Also before the file was looked at again.
    let answer = desk.json(("PATCH", "/v1/campaigns/demo"), Some(&version), &json!({ "name": "API" }), 412);
    assert_ne!(answer["error"]["version"], version);
    wait_for("the file to be taken", SOON, || desk.version() == answer["error"]["version"]);
    let answer =
        desk.json(("PATCH", "/v1/campaigns/demo"), Some(&desk.version()), &json!({ "name": "API" }), 200);
    assert_eq!(answer["name"], "API");
    assert_eq!(desk.file(), by_hand.replace("By hand", "API"));
}

/// Nothing but a folder: the first start writes a catalog there, which the API goes on from.
#[test]
fn from_an_empty_folder_to_a_campaign_that_counts() {
    let desk = Desk::on(Options {
        head: "# the catalog's place is left to the program".to_owned(),
        ..Options::default()
    });
    let file = desk.instance.data().join("catalog.toml");
    let example = fs::read_to_string(&file).expect("the first start writes one");
    let campaign =
        json!({ "id": "spring", "name": "Spring", "time_zone": "UTC", "landing_hosts": ["www.example.com"] });
    desk.json(("POST", "/v1/campaigns"), None, &campaign, 201);
    let template = desk.send("GET", "/v1/placements-template?format=csv", None, b"").text();
    let header: Vec<&str> = template.trim_start_matches('\u{feff}').trim().split(',').collect();
    let value = |name: &str, n: usize| match name {
        "Placement ID" => format!("p{n}"),
        "Placement name" => format!("Position {n}"),
        "Medium" => format!("Medium {}", n % 3),
        "Landing page" => "https://www.example.com/".to_owned(),
        "From" => "2026-11-01".to_owned(),
        "To" => "2026-12-31".to_owned(),
        "Impressions per day" => (1000 * n).to_string(),
        _ => String::new(),
    };
    let rows: Vec<Vec<String>> =
        (1..=10).map(|n| header.iter().map(|name| value(name, n)).collect()).collect();
    let mut sheet: Vec<Vec<&str>> = vec![header.clone()];
    sheet.extend(rows.iter().map(|row| row.iter().map(String::as_str).collect()));
    let sheet: Vec<&[&str]> = sheet.iter().map(Vec::as_slice).collect();
    let answer = desk.send("POST", "/v1/campaigns/spring/placements/import", None, &bytes_of(&sheet));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(fs::read_to_string(&file).expect("is there").starts_with(&example));

    let base = format!("http://{}", desk.instance.tracker());
    let links = desk.send(
        "GET",
        &format!("/v1/campaigns/spring/links?format=csv&dialect=native&base={base}"),
        None,
        b"",
    );
    let text = links.text();
    let urls: Vec<&str> = text
        .lines()
        .flat_map(|line| line.split(','))
        .filter_map(|cell| cell.trim_matches('"').strip_prefix(&base))
        .filter(|path| path.starts_with("/i?"))
        .collect();
    assert_eq!(urls.len(), 10, "one for each placement: {text}");
    let debug = desk.instance.secret("debug.key");
    let mut connection = Connection::open(desk.instance.tracker()).expect("connects");
    for url in urls {
        let headers =
            [("x-sightline-debug", debug.as_str()), ("user-agent", "Dalvik/2.1.0 (Linux; U; Android 14)")];
        let answer = connection.get(url, &headers).expect("an answer");
        assert_eq!(answer.header("x-sightline-outcome"), Some("accepted"), "{url}");
    }
    desk.instance.settle();
    let report = desk.instance.report("spring/delivery", "by=placement&filter=gross");
    let rows = report["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 10, "{report}");
    assert!(rows.iter().all(|row| row["gross_impressions"] == 1), "{report}");
}
