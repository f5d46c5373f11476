//! Alerts: what is wrong with a campaign opens one, once, whatever restarts; who is told of it, and how the webhook is.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use aggregator::{Settings, Webhook};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::access::bearer;
use crate::rig::{DAY_MS, Hit, NOON_MS, Rig, TOKEN, hit};

/// Longest wait for a message: after failures it is tried again after seconds.
const PATIENCE: Duration = Duration::from_mins(1);
const SECRET: &str = "0123456789abcdef0123456789abcdef";

const CATALOG: &str = r#"
[[campaign]]
id = "ours"
name = "Ours"
time_zone = "UTC"
advertiser = "acme"
alerts = { silent_hours = 6, id_coverage_min = 0.9 }
[[campaign.placement]]
id = "silent"
name = "Silent"
medium = "Medium A"
plan = [{ from = 2026-11-20, to = 2026-11-20, impressions = 1000000 }]
[[campaign.placement]]
id = "over"
name = "Over"
medium = "Medium B"
plan = [{ from = 2026-11-19, to = 2026-11-20, impressions = 50 }]
[[campaign.placement]]
id = "poor"
name = "Poor"
medium = "Medium A"
[[campaign.placement]]
id = "few"
name = "Few"
medium = "Medium B"
[[campaign]]
id = "theirs"
name = "Theirs"
time_zone = "UTC"
advertiser = "globex"
[[campaign.placement]]
id = "p1"
name = "One"
medium = "Medium C"
plan = [{ from = 2026-11-01, to = 2026-11-20, impressions = 50 }]
"#;

/// A message as the webhook's receiver gets it.
#[derive(Debug)]
struct Told {
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Told {
    fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str()).expect("the header")
    }

    /// Holds the signature against the standard's.
    fn is_signed(&self) {
        let mut state = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("a key");
        state.update(format!("{}.", self.header("x-sightline-timestamp")).as_bytes());
        state.update(&self.body);
        let mut expected = "v1=".to_owned();
        for byte in state.finalize().into_bytes() {
            write!(expected, "{byte:02x}").expect("a text takes it");
        }
        assert_eq!(self.header("x-sightline-signature"), expected);
        assert_eq!(
            (self.path.as_str(), self.header("content-type")),
            ("/hook?from=sightline", "application/json")
        );
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

/// A receiver that answers with these, one after the other, and then always with 204. Ends with the process.
fn receiver(answers: Vec<String>) -> (String, Receiver<Told>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/hook?from=sightline", listener.local_addr().expect("bound"));
    let (sender, told) = channel();
    std::thread::spawn(move || {
        let mut answers = answers.into_iter();
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
            let mut line = || {
                let mut line = String::new();
                reader.read_line(&mut line).expect("a line");
                line.trim_end().to_owned()
            };
            let path = line().split(' ').nth(1).expect("a path").to_owned();
            let mut headers = Vec::new();
            loop {
                let header = line();
                let Some((name, value)) = header.split_once(": ") else { break };
                headers.push((name.to_lowercase(), value.to_owned()));
            }
            let length = headers.iter().find(|(name, _)| name == "content-length");
            let length = length.map_or(0, |(_, value)| value.parse().expect("a number"));
            let mut body = vec![0; length];
            reader.read_exact(&mut body).expect("the body");
            let answer = answers.next().unwrap_or_else(|| "204 No Content\r\n".to_owned());
            write!(stream, "HTTP/1.1 {answer}connection: close\r\n\r\n").expect("answered");
            if sender.send(Told { path, headers, body }).is_err() {
                break;
            }
        }
    });
    (url, told)
}

/// At noon; what is due was found to be so at midnight.
fn rig(webhook: Option<String>) -> Rig {
    let mut rig = Rig::with(CATALOG, Settings::default());
    rig.webhook = webhook.map(|url| Webhook { url, secret: SECRET.to_owned() });
    rig.clock.advance_ms(-DAY_MS / 2);
    rig.restart(|_| {});
    rig.look_for_alerts();
    rig.clock.advance_ms(DAY_MS / 2);
    rig
}

/// Impressions of today, each of another device where there are so many.
fn impressions(placement: &'static str, count: u64, identified: u64, devices: u64) -> Vec<Hit> {
    let one = |n: u64| Hit {
        campaign: "ours",
        placement,
        device: (n < identified).then_some(1 + n % devices),
        ..hit(NOON_MS - 60_000 + n as i64)
    };
    (0..count).map(one).collect()
}

/// Everything is wrong but the placement's gap, of which nothing is known here.
fn everything_wrong() -> Vec<Hit> {
    let mut hits = impressions("over", 111, 111, 60);
    hits.extend(impressions("poor", 200, 100, 60));
    hits.extend(impressions("few", 200, 100, 20));
    hits.extend((0..12).map(|n| Hit { campaign: "ours", placement: "nobody's", ..hit(NOON_MS - n) }));
    hits
}

fn alerts(rig: &Rig, bearer: &str) -> Vec<Value> {
    let (status, body) = rig.call_as("GET", "/v1/alerts", Some(bearer));
    assert_eq!(status, 200, "{body}");
    let all: Value = serde_json::from_str(&body).expect("JSON");
    all["alerts"].as_array().expect("a list").clone()
}

fn operator() -> String {
    format!("Bearer {TOKEN}")
}

/// Kinds and placements, in order.
fn kinds(alerts: &[Value]) -> Vec<(&str, Option<&str>)> {
    let mut kinds: Vec<_> = alerts
        .iter()
        .map(|alert| (alert["kind"].as_str().expect("a kind"), alert["placement"].as_str()))
        .collect();
    kinds.sort_unstable();
    kinds
}

const ALL: [(&str, Option<&str>); 6] = [
    ("id_coverage", Some("few")),
    ("id_coverage", Some("poor")),
    ("not_started", Some("p1")),
    ("not_started", Some("silent")),
    ("over_delivery", Some("over")),
    ("unresolved", None),
];

#[test]
fn what_is_wrong_is_told_once_signed_and_until_it_is_right_again() {
    let (url, told) = receiver(Vec::new());
    let mut rig = rig(Some(url));
    rig.push(&everything_wrong());
    rig.load();
    rig.look_for_alerts();
    let open = alerts(&rig, &operator());
    assert_eq!(kinds(&open), ALL);
    let of = |kind: &str, placement: &str| {
        let found = open.iter().find(|alert| alert["kind"] == kind && alert["placement"] == placement);
        found.expect("is open").clone()
    };
    for (kind, placement, value, limit) in [
        ("not_started", "silent", 12.0, 6.0),
        ("over_delivery", "over", 0.11, 0.1),
        ("id_coverage", "poor", 0.5, 0.9),
    ] {
        let alert = of(kind, placement);
        assert_eq!((&alert["campaign"], &alert["since"]), (&json!("ours"), &json!("2026-11-20T12:00:00Z")));
        let near = |key: &str, to: f64| (alert[key].as_f64().expect("a number") - to).abs() < 1e-9;
        assert!(near("value", value) && near("limit", limit), "{alert}");
    }
    assert_eq!(open.iter().find(|alert| alert["kind"] == "unresolved").expect("is open")["value"], 12.0);

    let mut deliveries = Vec::new();
    for _ in ALL {
        let message = told.recv_timeout(PATIENCE).expect("a message");
        message.is_signed();
        let json = message.json();
        assert_eq!(json["event"], "opened");
        let id = json["alert"]["id"].as_str().expect("an id").to_owned();
        assert_eq!(
            message.header("x-sightline-delivery"),
            format!("{id}-opened"),
            "what is signed says it too"
        );
        assert!(
            open.iter().any(|alert| alert["id"] == id.as_str() && alert["text"] == json["alert"]["text"])
        );
        deliveries.push(id);
    }
    deliveries.sort();
    deliveries.dedup();
    assert_eq!(deliveries.len(), ALL.len(), "each once");

    // Neither another look nor a restart tells any of it again: the next message is that one of them ended.
    rig.look_for_alerts();
    rig.restart(|_| {});
    rig.look_for_alerts();
    assert_eq!(alerts(&rig, &operator()), open);
    rig.push(&[Hit { campaign: "ours", placement: "silent", ..hit(NOON_MS) }]);
    rig.load();
    rig.look_for_alerts();
    let message = told.recv_timeout(PATIENCE).expect("a message").json();
    assert_eq!((&message["event"], &message["alert"]["placement"]), (&json!("resolved"), &json!("silent")));
    assert_eq!(message["alert"]["resolved"], "2026-11-20T12:00:00Z");
    assert_eq!(kinds(&alerts(&rig, &operator())).len(), ALL.len() - 1);
    // Then it stops: that is another alert.
    rig.clock.advance_ms(6 * DAY_MS / 24);
    rig.look_for_alerts();
    for placement in ["over", "silent"] {
        let message = told.recv_timeout(PATIENCE).expect("a message").json();
        assert_eq!(
            (&message["event"], &message["alert"]["kind"], &message["alert"]["placement"]),
            (&json!("opened"), &json!("stopped"), &json!(placement))
        );
        assert!(!deliveries.contains(&message["alert"]["id"].as_str().expect("an id").to_owned()));
    }
}

#[test]
fn a_webhook_that_fails_is_tried_again_and_one_that_leads_elsewhere_is_not_followed() {
    let (elsewhere, led) = receiver(Vec::new());
    let (url, told) = receiver(vec![
        "500 Internal Server Error\r\n".to_owned(),
        format!("307 Temporary Redirect\r\nlocation: {elsewhere}\r\n"),
    ]);
    let rig = rig(Some(url));
    rig.push(&[Hit { campaign: "theirs", placement: "p1", ..hit(NOON_MS) }]);
    rig.load();
    rig.look_for_alerts();
    let tries: Vec<Told> = (0..3).map(|_| told.recv_timeout(PATIENCE).expect("a try")).collect();
    let deliveries: Vec<&str> = tries.iter().map(|told| told.header("x-sightline-delivery")).collect();
    assert!(deliveries.iter().all(|one| *one == deliveries[0]), "{deliveries:?}");
    assert_eq!(tries[0].json()["alert"]["placement"], "over");
    assert!(led.try_recv().is_err(), "a redirect was followed");
}

#[test]
fn each_role_is_told_of_its_own_and_no_figure_that_its_reports_would_not_show() {
    let rig = rig(None);
    rig.push(&everything_wrong());
    rig.load();
    rig.look_for_alerts();
    assert_eq!(kinds(&alerts(&rig, &operator())), ALL);
    let bearer = |wanted: Value| {
        let (status, body) = rig.send_as("POST", "/v1/tokens", Some(&operator()), &wanted.to_string());
        assert_eq!(status, 201, "{body}");
        let made: Value = serde_json::from_str(&body).expect("JSON");
        format!("Bearer {}", made["token"].as_str().expect("a token"))
    };
    let medium = |name: &str| bearer(json!({"name": name, "role": "medium", "media": [name]}));
    let (first, second) = (medium("Medium A"), medium("Medium B"));
    let acme = bearer(json!({"name": "A", "role": "advertiser", "advertisers": ["acme"]}));
    let auditor = bearer(json!({"name": "A", "role": "auditor"}));
    assert_eq!(alerts(&rig, &auditor), alerts(&rig, &operator()));
    // Twenty devices are fewer than k.
    let told = [
        (&first, vec![("id_coverage", Some("poor")), ("not_started", Some("silent"))]),
        (&second, vec![("over_delivery", Some("over"))]),
        (
            &acme,
            vec![
                ("id_coverage", Some("poor")),
                ("not_started", Some("silent")),
                ("over_delivery", Some("over")),
                ("unresolved", None),
            ],
        ),
    ];
    for (bearer, expected) in told {
        let found = alerts(&rig, bearer);
        assert_eq!(kinds(&found), expected);
        for alert in &found {
            assert!(alert["value"].is_null(), "{alert}");
            let whole = alerts(&rig, &operator()).into_iter().find(|one| one["id"] == alert["id"]);
            assert_ne!(whole.expect("is open")["text"]["en"], alert["text"]["en"]);
        }
    }
    // Of one campaign; what is not seen is answered like what nobody has.
    let asked = |campaign: &str, bearer: &str| {
        rig.call_as("GET", &format!("/v1/alerts?campaign={campaign}"), Some(bearer))
    };
    let (status, body) = asked("theirs", &operator());
    assert!(status == 200 && body.contains("\"p1\"") && !body.contains("silent"), "{body}");
    for bearer in [&first, &acme] {
        assert_eq!(asked("theirs", bearer), asked("none", bearer));
        assert_eq!(asked("none", bearer).0, 404);
    }

    // A campaign that leaves the catalog has nothing to be told of any more.
    let text = CATALOG.replace("\"theirs\"", "\"others\"");
    rig.set_catalog(&text);
    for _ in 0..3 {
        rig.look_for_alerts();
    }
    let campaigns: Vec<Value> =
        alerts(&rig, &operator()).iter().map(|alert| alert["campaign"].clone()).collect();
    assert!(!campaigns.contains(&json!("theirs")), "{campaigns:?}");
    // Nor is its document kept, as are those of the two that there are: there is room for so many.
    assert_eq!(rig.desk.list(desk::Kind::Alerts).expect("known").len(), 2);
}

#[test]
fn a_placement_that_is_entered_behind_the_first_day_of_its_plan_is_late_from_then_on() {
    let mut rig = rig(None);
    let late = "[[campaign.placement]]\nid = \"late\"\nname = \"Late\"\nmedium = \"Medium C\"\n\
         plan = [{ from = 2026-11-18, to = 2026-11-21, impressions = 50 }]\n";
    rig.set_catalog(&format!("{CATALOG}{late}"));
    let of_late = |rig: &Rig| -> Vec<(Value, Value)> {
        let all = alerts(rig, &operator()).into_iter().filter(|alert| alert["placement"] == "late");
        all.map(|alert| (alert["kind"].clone(), alert["value"].clone())).collect()
    };
    rig.look_for_alerts();
    rig.clock.advance_ms(DAY_MS / 2 - 1);
    rig.look_for_alerts();
    assert_eq!(of_late(&rig), []);
    // A restart is no new begin.
    rig.restart(|_| {});
    rig.clock.advance_ms(1);
    rig.look_for_alerts();
    assert_eq!(of_late(&rig), [(json!("not_started"), json!(12.0))]);
    // One hit, and the next look knows it.
    rig.push(&[Hit { campaign: "theirs", placement: "late", ..hit(NOON_MS + DAY_MS / 2) }]);
    rig.load();
    rig.look_for_alerts();
    assert_eq!(of_late(&rig), []);
}

#[test]
fn a_medium_that_says_more_than_was_counted_opens_a_gap_until_it_says_otherwise() {
    let rig = rig(None);
    let yesterday = |n| Hit { campaign: "ours", placement: "few", ..hit(NOON_MS - DAY_MS + n) };
    rig.push(&(0..100).map(yesterday).collect::<Vec<_>>());
    rig.load();
    let says_of = |day: &str, impressions: u32| {
        let numbers =
            json!({"rows": [{"placement": "few", "day": day, "impressions": impressions}]}).to_string();
        let target = "/v1/campaigns/ours/media-numbers";
        let (status, body) = rig.send_as("PUT", target, Some(&operator()), &numbers);
        assert_eq!(status, 200, "{body}");
    };
    let says = |impressions: u32| says_of("2026-11-19", impressions);
    let gaps = || -> Vec<Value> {
        alerts(&rig, &operator()).into_iter().filter(|alert| alert["kind"] == "gap").collect()
    };
    says(111);
    rig.look_for_alerts();
    assert_eq!(gaps(), Vec::<Value>::new(), "a tenth is allowed, and this is less");
    says(200);
    rig.look_for_alerts();
    let [gap] = &gaps()[..] else { panic!("{:?}", gaps()) };
    assert_eq!((&gap["placement"], &gap["value"], &gap["limit"]), (&json!("few"), &json!(0.5), &json!(0.1)));
    let values = || -> Vec<Value> { gaps().iter().map(|gap| gap["value"].clone()).collect() };
    // What it denies is a gap too.
    says(0);
    rig.look_for_alerts();
    assert_eq!(values(), [json!(1.0)]);
    says(100);
    for _ in 0..3 {
        assert_eq!(gaps().len(), 1);
        rig.look_for_alerts();
    }
    assert_eq!(gaps(), Vec::<Value>::new());
    // And so is what it says of days before our first hit.
    says_of("2026-11-17", 100);
    rig.look_for_alerts();
    assert_eq!(values(), [json!(0.5)]);

    // Whoever has the placement by now did not say that. The report keeps it with the placement, as it keeps its hits.
    rig.set_catalog(
        &CATALOG.replace("name = \"Few\"\nmedium = \"Medium B\"", "name = \"Few\"\nmedium = \"Medium D\""),
    );
    for _ in 0..3 {
        rig.look_for_alerts();
    }
    assert_eq!(gaps(), Vec::<Value>::new());
    let report = rig.report("ours/delivery?by=placement&from=2026-11-17");
    let few = report["rows"].as_array().expect("rows").iter().find(|row| row["key"] == "few").expect("a row");
    assert_eq!((&few["reported_impressions"], &few["gap"]), (&json!(200), &json!(0.5)));
    says_of("2026-11-18", 100);
    rig.look_for_alerts();
    assert_eq!(values(), [json!(1.0)], "of the present medium's own word");
}

#[test]
fn coverage_is_held_against_its_limit_as_it_was_counted_where_devices_are_estimated() {
    let settings = Settings { exact_device_days: 100, sample_device_days: 100, ..Settings::default() };
    let rig = Rig::with(CATALOG, settings);
    // Device keys at the end of their range: a sample has none of them.
    let outside = |hits: Vec<Hit>| -> Vec<Hit> {
        hits.into_iter()
            .map(|hit| Hit { device: hit.device.map(|device| u64::MAX - device), ..hit })
            .collect()
    };
    let mut hits = outside(impressions("poor", 500, 480, 480));
    hits.extend(outside(impressions("few", 500, 400, 400)));
    rig.push(&hits);
    rig.load();
    let reach = rig.report("ours/reach?by=placement");
    assert!(reach["sample"].as_f64().is_some_and(|share| share < 1.0), "{reach}");
    assert!(reach["rows"].as_array().expect("rows").iter().all(|row| row["identified_impressions"] == 0));
    rig.look_for_alerts();
    let open = alerts(&rig, &operator());
    let of_ids: Vec<_> = open.iter().filter(|alert| alert["kind"] == "id_coverage").collect();
    let [few] = &of_ids[..] else { panic!("{of_ids:?}") };
    assert_eq!((&few["placement"], &few["value"]), (&json!("few"), &json!(0.8)));
}

/// `devices` devices, each seen once on a placement, `days` before today.
fn seen(placement: &'static str, devices: u64, days: i64) -> Vec<Hit> {
    let at = NOON_MS - days * DAY_MS;
    let one = |n: u64| Hit { campaign: "ours", placement, device: Some(1 + n), ..hit(at + n as i64) };
    (0..devices).map(one).collect()
}

fn kinds_of(rig: &Rig, bearer: &str, kind: &str) -> Vec<Value> {
    let alerts = alerts(rig, bearer).into_iter().filter(|alert| alert["kind"] == kind);
    let mut placements: Vec<Value> = alerts.map(|alert| alert["placement"].clone()).collect();
    placements.sort_by_key(ToString::to_string);
    placements
}

#[test]
fn a_gap_is_told_to_tenants_where_k_stand_behind_what_it_is_held_against() {
    let rig = rig(None);
    rig.push(&seen("poor", 100, 1));
    rig.push(&seen("poor", 3, 2));
    rig.push(&seen("few", 20, 1));
    rig.load();
    let a = bearer(&rig, &json!({"name": "A", "role": "medium", "media": ["Medium A"]}));
    let b = bearer(&rig, &json!({"name": "B", "role": "medium", "media": ["Medium B"]}));
    let acme = bearer(&rig, &json!({"name": "ACME", "role": "advertiser", "advertisers": ["acme"]}));
    let says = |rows: &str| {
        let target = "/v1/campaigns/ours/media-numbers?existing=replace";
        let body = format!("placement,day,impressions\n{rows}");
        let (status, body) = rig.send_as("PUT", target, Some(&operator()), &body);
        assert_eq!(status, 200, "{body}");
        rig.look_for_alerts();
    };
    let gaps = |who: &str| kinds_of(&rig, who, "gap");
    says("poor,2026-11-19,300\npoor,2026-11-18,3\nfew,2026-11-19,300\n");
    assert_eq!(gaps(&operator()), ["few", "poor"]);
    for (who, told) in [(&a, vec!["poor"]), (&b, vec![]), (&acme, vec!["poor"])] {
        assert_eq!(gaps(who), told, "twenty devices are fewer than k");
    }
    // The day of three, and all but that: whoever chooses the days would find by trying how many there were.
    for rows in ["poor,2026-11-18,300\n", "poor,2026-11-19,300\n"] {
        says(rows);
        assert_eq!(
            (gaps(&operator()), gaps(&a), gaps(&acme)),
            (vec!["few".into(), "poor".into()], vec![], vec![]),
            "{rows}"
        );
    }
    // Of a day that had nothing of ours there is nobody to be told of.
    says("poor,2026-11-17,300\n");
    assert_eq!(gaps(&a), ["poor"]);
}

#[test]
fn who_stands_behind_coverage_is_counted_not_estimated() {
    let settings = Settings { exact_device_days: 10, sample_device_days: 10, ..Settings::default() };
    let rig = Rig::with(CATALOG, settings);
    // One device of the first is in the sample, and stands there for 64; of the second are sixty.
    let outside = |hit: Hit| Hit {
        device: hit.device.map(|device| if device > 1 { u64::MAX - device } else { 1 }),
        ..hit
    };
    rig.push(&impressions("poor", 500, 400, 400).into_iter().map(outside).collect::<Vec<_>>());
    rig.push(&impressions("few", 100, 60, 60));
    rig.load();
    let reach = rig.report("ours/reach?by=placement");
    assert_eq!(reach["rows"].as_array().expect("rows")[1]["reach"], 64, "{reach}");
    rig.look_for_alerts();
    assert_eq!(kinds_of(&rig, &operator(), "id_coverage"), ["few", "poor"]);
    let acme = bearer(&rig, &json!({"name": "ACME", "role": "advertiser", "advertisers": ["acme"]}));
    assert_eq!(kinds_of(&rig, &acme, "id_coverage"), ["few"]);
}
