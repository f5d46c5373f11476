//! An app with the MMA China SDK measures with us: our own `sdkconfig.xml` is read as the SDK reads it, and the SDK's way with a tracking
//! URL is followed step by step, for Android (2.2.5) and iOS (2.2.1). One ad view is seven hits and a click; they come in any order, several
//! times, and five days late out of the offline queue, and the reports show one impression, its quarters, its verdict and its click.
//!
//! What the simulated SDK does was read in the public source of both versions; nothing here knows our dialect, only the configuration.

#![cfg(test)]

mod support;

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use md5::{Digest, Md5};
use serde_json::Value;

use support::http::{Connection, hex, percent};
use support::random::{Random, soak};
use support::truth::{number, rows};
use support::{Instance, Options};

const DAY_SECONDS: u64 = 86_400;
const ANDROID: &str = "Dalvik/2.1.0 (Linux; U; Android 12; M2102J2SC Build/SKQ1.211006.001)";
const IOS: &str = "DemoApp/3.2 CFNetwork/1240.0.4 Darwin/20.6.0";

/// Our `<company>`, as the SDK keeps it.
struct Company {
    host: String,
    separator: String,
    equalizer: String,
    /// In their order.
    arguments: Vec<(String, String)>,
    hashed: Vec<String>,
    viewability: BTreeMap<String, String>,
    integrity: BTreeMap<String, String>,
    integrity_name: String,
    in_seconds: bool,
    offline_seconds: u64,
}

/// A phone.
struct Phone {
    is_ios: bool,
    /// What the system answers, by the SDK's name.
    values: BTreeMap<&'static str, String>,
}

/// One request of the SDK.
#[derive(Clone)]
struct Hit {
    target: String,
    what: &'static str,
}

impl Company {
    fn read(xml: &str) -> Self {
        let company = element(xml, "company");
        let arguments = |section: &str| -> Vec<(String, String)> {
            let section = element(&company, section);
            elements(&section, "argument")
                .iter()
                .map(|one| (element(one, "key"), element(one, "value")))
                .collect()
        };
        Self {
            host: element(&element(&company, "domain"), "url"),
            separator: unescaped(&element(&company, "separator")),
            equalizer: unescaped(&element(&company, "equalizer")),
            arguments: arguments("arguments"),
            hashed: ["MAC", "IMEI", "ANDROIDID", "OAID"]
                .into_iter()
                .filter(|key| element(&company, "encrypt").contains(&format!("<{key}>md5<")))
                .map(str::to_owned)
                .collect(),
            viewability: arguments("viewabilityarguments").into_iter().collect(),
            integrity: arguments("sensorarguments").into_iter().collect(),
            integrity_name: element(&company, "antidevice"),
            in_seconds: element(&company, "timeStampUseSecond") == "true",
            offline_seconds: element(&company, "offlineCacheExpiration").parse().expect("seconds"),
        }
    }

    /// `&name=`.
    fn sign(&self, name: &str) -> String {
        format!("{}{name}{}", self.separator, self.equalizer)
    }

    /// Takes every `&name=value` out of a URL.
    fn without(&self, url: &str, name: &str) -> String {
        let mut url = url.to_owned();
        while let Some(at) = url.find(&self.sign(name)) {
            let value = at + self.sign(name).len();
            let end = url[value..].find(&self.separator).map_or(url.len(), |end| value + end);
            url.replace_range(at..end, "");
        }
        url
    }

    /// A URL and its redirect, which takes the rest.
    fn split<'u>(&self, url: &'u str) -> (&'u str, &'u str) {
        let redirect = self.arguments.iter().find(|(key, _)| key == "REDIRECTURL").expect("is asked for");
        url.split_at(url.find(&self.sign(&redirect.1)).unwrap_or(url.len()))
    }

    /// The URL of a stage before the phone's own values: the SDK's marks, and the id of the view.
    fn staged(&self, url: &str, view: &str, marks: &[(&str, &str)]) -> String {
        let (url, redirect) = self.split(url);
        let mut url = url.to_owned();
        for (key, name) in &self.viewability {
            // These stay for the SDK to read when it looks at the ad.
            let is_read =
                ["AdviewabilityRecord", "AdviewabilityVideoDuration", "AdviewabilityVideoProgressPoint"];
            if !is_read.contains(&key.as_str()) {
                url = self.without(&url, name);
            }
        }
        let mut add = |key: &str, value: &str| {
            let name = self.viewability.get(key).unwrap_or_else(|| panic!("{key} is not asked for"));
            url.push_str(&self.sign(name));
            url.push_str(value);
        };
        add("ImpressionID", view);
        for (key, value) in marks {
            add(key, value);
        }
        url + redirect
    }

    /// The URL with the phone's values, as it is sent at a moment.
    fn filled(&self, url: &str, phone: &Phone, at_seconds: u64) -> String {
        let (body, redirect) = self.split(url);
        let mut sent = body.to_owned();
        for (_, name) in &self.arguments {
            sent = self.without(&sent, name);
        }
        for (key, name) in &self.arguments {
            let value = match key.as_str() {
                "TS" if self.in_seconds => at_seconds.to_string(),
                "TS" => (at_seconds * 1000).to_string(),
                "REDIRECTURL" => continue,
                key => match phone.values.get(key) {
                    // What the system does not say stays as the template had it, a macro most of the time (Android); iOS sends nothing.
                    None if phone.is_ios => continue,
                    None => match value_in(body, &self.sign(name), &self.separator) {
                        Some(value) => value.to_owned(),
                        None => continue,
                    },
                    Some(value) if key == "AAID" || self.hashed.iter().any(|hashed| hashed == key) => {
                        md5_of(value)
                    }
                    Some(value) => percent(value.as_bytes()),
                },
            };
            sent.push_str(&self.sign(name));
            sent.push_str(&value);
        }
        let flags: Vec<String> = self
            .integrity
            .values()
            .map(|name| if phone.is_ios { format!("\"{name}\":0") } else { format!("\"{name}\":\"false\"") })
            .collect();
        let flags = percent(format!("{{{}}}", flags.join(",")).as_bytes());
        sent.push_str(&self.sign(&self.integrity_name));
        sent.push_str(&flags);
        if phone.is_ios {
            // It signs whether or not a name for the signature was given.
            sent.push_str(&self.sign("(null)"));
            sent.push_str("0123456789abcdef");
        }
        sent + redirect
    }

    /// The hits of one ad view that begins at a moment, and of the click on it.
    fn view(&self, urls: &Urls, phone: &Phone, view: &str, begin: u64) -> Vec<Hit> {
        let hit = |url: &str, view: &str, marks: &[(&str, &str)], after: u64, what| Hit {
            target: target(&self.filled(&self.staged(url, view, marks), phone, begin + after)),
            what,
        };
        // On iOS the downloaded ad has an id of its own.
        let tracked = if phone.is_ios { md5_of(&format!("{view} downloaded")) } else { view.to_owned() };
        let shown: &[(&str, &str)] = &[("AdviewabilityResult", "0"), ("ImpressionType", "1")];
        vec![
            hit(&urls.impression, &tracked, &[("ImpressionType", "0")], 0, "tracked"),
            hit(&urls.impression, view, shown, 1, "impression"),
            hit(&urls.impression, view, &[("AdviewabilityResult", "1")], 3, "verdict"),
            hit(&urls.impression, view, &[("AdviewabilityVideoProgress", "25")], 5, "25 %"),
            hit(&urls.impression, view, &[("AdviewabilityVideoProgress", "50")], 8, "50 %"),
            hit(&urls.impression, view, &[("AdviewabilityVideoProgress", "75")], 12, "75 %"),
            hit(&urls.impression, view, &[("AdviewabilityVideoProgress", "100")], 16, "100 %"),
            hit(&urls.click, view, &[], 14, "click"),
        ]
    }
}

/// The templates that were handed out for a placement.
struct Urls {
    impression: String,
    click: String,
}

impl Urls {
    /// As `sightline links` prints them, with the length of the video and all its quarters asked for.
    fn handed_out(instance: &Instance, placement: &str) -> Self {
        let printed = instance.command(&[
            "links",
            "--campaign",
            "demo",
            "--placement",
            placement,
            "--dialect",
            "miaozhen",
            "--format",
            "json",
            "--catalog",
            "catalog.toml",
        ]);
        assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
        let links: Vec<Value> = serde_json::from_slice(&printed.stdout).expect("JSON");
        let url = |stage: &str| {
            let link =
                links.iter().find(|link| link["stage"] == stage).unwrap_or_else(|| panic!("no {stage}"));
            link["url"].as_str().expect("a URL").replacen("&o=", "&vb=15&vj=1111&o=", 1)
        };
        Self { impression: url("impression"), click: url("click") }
    }
}

fn android(random: &mut Random) -> Phone {
    let values = [
        ("OS", "0".to_owned()),
        ("OAID", random.hex(16)),
        ("IMEI", "356938035643809".to_owned()),
        ("ANDROIDID", random.hex(16)),
        ("AAID", random.uuid()),
        ("MAC", "F4F5DB1A2B3C".to_owned()),
    ];
    Phone { is_ios: false, values: values.into() }
}

fn ios(random: &mut Random) -> Phone {
    let values = [
        ("OS", "1".to_owned()),
        ("IDFA", random.uuid().to_uppercase()),
        ("IDFV", random.uuid().to_uppercase()),
    ];
    Phone { is_ios: true, values: values.into() }
}

#[test]
fn a_session_out_of_the_offline_queue_is_one_view() {
    let mut random = Random::announced("a_session_out_of_the_offline_queue_is_one_view");
    let instance = Instance::start(Options::default());
    let company = configured(&instance);
    assert_eq!(company.offline_seconds, 7 * DAY_SECONDS, "as long as we take hits");
    let five_days_ago = now_seconds() - 5 * DAY_SECONDS;
    for round in 0..soak() {
        for (placement, phone) in [("p1", android(&mut random)), ("p2", ios(&mut random))] {
            let urls = Urls::handed_out(&instance, placement);
            assert!(urls.impression.contains(&company.host), "the SDK finds its company by the host");
            let hits = company.view(&urls, &phone, &random.hex(32), five_days_ago + round * 60);
            send_shuffled(&instance, &hits, &phone, &mut random);
        }
    }
    instance.settle();
    let report = instance.report("demo/delivery", "by=placement&filter=net");
    for placement in ["p1", "p2"] {
        let row = rows(&report).iter().find(|row| row["key"] == placement);
        let row = row.unwrap_or_else(|| panic!("no {placement} in {report}"));
        for (name, value) in [
            ("impressions", number(row, "impressions")),
            ("clicks", number(row, "clicks")),
            ("tracked", number(&row["stages"], "tracked")),
            ("viewable", number(&row["stages"], "viewable")),
            ("first_quartiles", number(&row["stages"], "first_quartiles")),
            ("midpoints", number(&row["stages"], "midpoints")),
            ("third_quartiles", number(&row["stages"], "third_quartiles")),
            ("completes", number(&row["stages"], "completes")),
        ] {
            assert_eq!(value, soak(), "{name} of {placement}: {row}");
        }
        assert_eq!(number(&row["stages"], "not_viewable"), 0);
    }
    let reach = instance.report("demo/reach", "by=placement&filter=net");
    for row in rows(&reach) {
        assert_eq!(number(row, "reach"), soak(), "every phone is known: {row}");
        assert_eq!(number(row, "identified_impressions"), soak(), "{row}");
    }
}

#[test]
fn what_is_older_than_the_queue_is_refused_as_too_late() {
    let mut random = Random::announced("what_is_older_than_the_queue_is_refused_as_too_late");
    let instance = Instance::start(Options::default());
    let company = configured(&instance);
    let phone = android(&mut random);
    let urls = Urls::handed_out(&instance, "p1");
    let debug_key = instance.secret("debug.key");
    let mut connection = Connection::open(instance.tracker()).expect("the tracker listens");
    for (days, expected) in [(8, "rejected; reason=too_late"), (5, "accepted")] {
        let begin = now_seconds() - days * DAY_SECONDS;
        for hit in company.view(&urls, &phone, &random.hex(32), begin) {
            let headers = [("user-agent", ANDROID), ("x-sightline-debug", debug_key.as_str())];
            let answer = connection.get(&hit.target, &headers).expect("is answered");
            // Anything else and the SDK would send it again.
            assert!(matches!(answer.status, 200 | 302), "{}: {}", hit.what, answer.status);
            assert_eq!(answer.header("x-sightline-outcome"), Some(expected), "{}, {days} days", hit.what);
        }
    }
    instance.settle();
    let report = instance.report("demo/delivery", "filter=gross");
    assert_eq!(number(&rows(&report)[0], "impressions"), 1, "{report}");
}

#[test]
fn the_command_prints_what_the_tracker_serves() {
    let instance = Instance::start(Options::default());
    let served = Connection::open(instance.tracker())
        .and_then(|mut connection| connection.get("/sdkconfig.xml", &[]))
        .expect("is served");
    assert_eq!(served.status, 200);
    assert!(served.header("content-type").is_some_and(|text| text.starts_with("application/xml")));
    let printed = instance.command(&["sdk-config"]);
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    assert_eq!(String::from_utf8_lossy(&printed.stdout), served.text());
    let printed = instance.command(&["sdk-config", "--base", "https://t.example.com", "--company-only"]);
    let company = String::from_utf8_lossy(&printed.stdout).into_owned();
    assert!(
        company.trim_start().starts_with("<company>") && company.contains("<url>t.example.com</url>"),
        "{company}"
    );
}

fn configured(instance: &Instance) -> Company {
    let answer = Connection::open(instance.tracker())
        .and_then(|mut connection| connection.get("/sdkconfig.xml", &[]))
        .expect("is served");
    Company::read(&answer.text())
}

/// Sends each hit one to three times, in any order, as a queue does that hears nothing of the first answers.
fn send_shuffled(instance: &Instance, hits: &[Hit], phone: &Phone, random: &mut Random) {
    let mut queue: Vec<&Hit> =
        hits.iter().flat_map(|hit| std::iter::repeat_n(hit, 1 + random.below(3) as usize)).collect();
    for last in (1..queue.len()).rev() {
        queue.swap(last, random.below(last as u64 + 1) as usize);
    }
    let mut connection = Connection::open(instance.tracker()).expect("the tracker listens");
    let agent = if phone.is_ios { IOS } else { ANDROID };
    for hit in queue {
        let answer = connection.get(&hit.target, &[("user-agent", agent)]).expect("is answered");
        let expected = if hit.what == "click" { 302 } else { 200 };
        assert_eq!(answer.status, expected, "{}", hit.what);
    }
}

fn target(url: &str) -> String {
    let rest = url.split_once("://").expect("a URL").1;
    rest[rest.find('/').expect("a path")..].to_owned()
}

fn value_in<'u>(url: &'u str, sign: &str, separator: &str) -> Option<&'u str> {
    let value = &url[url.find(sign)? + sign.len()..];
    Some(value.split(separator).next().unwrap_or_default())
}

fn md5_of(text: &str) -> String {
    hex(&Md5::digest(text.as_bytes()))
}

fn now_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

/// The inside of the first element of a name.
fn element(xml: &str, name: &str) -> String {
    elements(xml, name).into_iter().next().unwrap_or_else(|| panic!("no <{name}>"))
}

fn elements(xml: &str, name: &str) -> Vec<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    xml.split(&open).skip(1).map(|rest| rest.split(&close).next().expect("is closed").to_owned()).collect()
}

fn unescaped(text: &str) -> String {
    text.replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">")
}
