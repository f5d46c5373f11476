//! Promise 3 (a raw identifier never leaves memory): a run that sends identifiers in every form and in every odd place, at the most talkative
//! log level; afterwards none of them is found in the data folder, in decoded dumps of journal, registry and store, in the logs, in
//! the metrics or in an answer.
//!
//! That the search finds what is there is shown beside it: each form that is looked for is planted and found, and marks that may be
//! stored are found in the same dumps.

#![cfg(test)]

mod support;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::SocketAddr;

use aggregator::engine::{Engine, find_library};
use base64::Engine as _;
use md5::{Digest, Md5};
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::Sha256;

use support::http::{Connection, Response, hex, percent};
use support::load::APP;
use support::random::Random;
use support::scanner::{Form, Scanner, Secret};
use support::{CATALOG, Instance, Options};

/// A creative: stored, so it has to be found.
const MARK: &str = "creative-that-may-be-kept";
/// Landing host that is registered.
const LANDING: &str = "https://www.example.com/";

#[test]
fn no_identifier_that_was_sent_is_found_anywhere() {
    let mut random = Random::announced("no_identifier_that_was_sent_is_found_anywhere");
    let people = Identifiers::draw(&mut random);
    let trial = format!(
        "{CATALOG}[[campaign.placement]]\nid = \"trial\"\nname = \"In trial\"\nmedium = \"Four\"\nstate = \"trial\"\n\
         landing_page = \"https://www.example.com/\"\n"
    );
    let mut instance = Instance::start(Options {
        catalog: trial,
        reports: "device_day_impressions_max = 3".to_owned(),
        tracker: "trusted_proxies = [\"127.0.0.1/32\"]".to_owned(),
        opt_out: "trusted_proxies = [\"127.0.0.1/32\"]\n[opt_out.limits]\nrequests_burst_max = 100000"
            .to_owned(),
        log: "trace".to_owned(),
        ..Options::default()
    });
    let mut caller = Caller::new(&instance);
    send_pixels(&mut caller, &people);
    send_in_other_grammars(&mut caller, &people);
    send_as_request_ids(&mut caller, &people);
    send_batches(&mut caller, &people);
    send_in_odd_places(&mut caller, &people);
    send_broken_requests(&mut caller, &people);
    lodge_opt_outs(&mut caller, &people);
    ask_elsewhere(&mut caller, &people);
    caller.instance.settle();
    ask_reports(&mut caller);
    let metrics =
        Connection::open(instance.admin()).and_then(|mut c| c.get("/metrics", &[])).expect("metrics");
    assert_eq!(metrics.status, 200);
    let answers = std::mem::take(&mut caller.answers);

    let status = instance.terminate();
    assert!(status.success(), "{status}\n{}", instance.log_tail());
    let dump = instance.command(&["journal", "dump", "data/journal"]);
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));

    // What only the holder of a private key can read is read here too.
    let security = instance.command(&["security-log", "read", "--format", "json"]);
    assert!(security.status.success(), "{}", String::from_utf8_lossy(&security.stderr));

    let mut scanner = Scanner::new(&people.secrets());
    scanner.look("the security log", &security.stdout);
    // The address in full is what that log is there for; it is all that it may hold of what was sent.
    assert!(!scanner.found.is_empty(), "no address is in the security log");
    scanner.found.retain(|found| !found.form.starts_with("address: "));
    scanner.look("the metrics", &metrics.body);
    scanner.look("an answer", &answers);
    scanner.look("the journal's dump", &dump.stdout);
    scanner.look("the journal's dump", &dump.stderr);
    let records = raw_records(&instance);
    scanner.look("the records of journal and registry", &records);
    let files = scanner.look_through(instance.root());
    assert!(files > 10, "{files} files are too few for a data folder");
    let tables = dump_store(&instance);
    scanner.look("the store's tables", &tables);
    let logs = instance.logs();
    println!("looked for {} forms in {} bytes, {files} files", scanner.forms().len(), scanner.bytes);

    // The dumps are not empty shells: what may be kept is in them, and the log did talk.
    for (place, bytes) in
        [("the journal's dump", &dump.stdout), ("the records", &records), ("the store", &tables)]
    {
        assert!(contains(bytes, MARK.as_bytes()), "{place} does not hold what is stored for certain");
    }
    let requests = security.stdout.split(|byte| *byte == b'\n').count();
    assert!(
        requests > 50 && contains(&security.stdout, b"\"route\":\"pixel\""),
        "{requests} requests in the security log"
    );
    println!("{} lines of log, {} bytes", logs.lines().count(), logs.len());
    assert!(logs.lines().count() > 50, "the log says nothing at level trace:\n{logs}");
    assert!(scanner.found.is_empty(), "{} finds:\n{:#?}", scanner.found.len(), first(&scanner.found));
}

/// Every form of every secret is found when it stands somewhere in noise.
#[test]
fn the_search_finds_every_form_that_it_looks_for() {
    let mut random = Random::announced("the_search_finds_every_form_that_it_looks_for");
    let secrets = Identifiers::draw(&mut random).secrets();
    let mut scanner = Scanner::new(&secrets);
    let forms: Vec<Form> = scanner.forms().to_vec();
    assert!(forms.len() > secrets.len() * 20, "{} forms of {} secrets", forms.len(), secrets.len());
    for form in &forms {
        let mut noise: Vec<u8> = (0..64).map(|_| random.next() as u8).collect();
        let at = random.below(60) as usize;
        noise.splice(at..at, form.bytes.to_ascii_uppercase());
        scanner.found.clear();
        scanner.look("noise", &noise);
        assert!(scanner.found.iter().any(|found| found.form == form.name && found.offset == at), "{form:?}");
    }
    scanner.found.clear();
    let noise: Vec<u8> = (0..1 << 20).map(|_| random.next() as u8).collect();
    scanner.look("noise", &noise);
    assert!(scanner.found.is_empty(), "found in noise: {:?}", scanner.found);
}

/// What a base64 text, a hex text or bytes of a known secret look like: the scanner's forms are what a reader would compute.
#[test]
fn the_search_looks_for_what_others_compute() {
    let secret = Secret { name: "id".to_owned(), text: "0f8fad5b-d9cb-469f-a165-70867728950e".to_owned() };
    let mut scanner = Scanner::new(std::slice::from_ref(&secret));
    let text = secret.text.as_bytes();
    let (md5, sha1, sha256) = (Md5::digest(text), Sha1::digest(text), Sha256::digest(text));
    let word = u64::from_le_bytes(*sha256.first_chunk().expect("it has 32 bytes"));
    let labelled = Sha256::digest([b"sightline view 1\0", text].concat());
    let base64 = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes).into_bytes();
    let json = format!("{{\"oaid\":\"{}\",\"n\":1}}", secret.text);
    let utf16: Vec<u8> = secret.text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let number = 0x0f8f_ad5b_d9cb_469f_a165_7086_7728_950e_u128;
    for (what, bytes) in [
        ("upper case without dashes", b"0F8FAD5BD9CB469FA16570867728950E".to_vec()),
        ("md5", md5.to_vec()),
        ("md5 hex", hex(&md5).to_uppercase().into_bytes()),
        ("sha-1 hex", hex(&sha1).into_bytes()),
        ("the number that a sha-256 begins with", word.to_le_bytes().to_vec()),
        ("the same in hex digits", format!("{word:016x}").into_bytes()),
        ("the same in decimal digits", format!("view={word}").into_bytes()),
        ("the same behind a label", labelled[..8].to_vec()),
        ("base64 inside of a text", base64(json.as_bytes())),
        ("base64 of the md5", base64(&md5)),
        ("percent-encoded dashes", b"x=0f8fad5b%2dd9cb%2D469f%2Da165%2d70867728950e".to_vec()),
        ("utf-16", utf16),
        ("its 16 bytes", number.to_be_bytes().to_vec()),
        ("its 16 bytes, reversed", number.to_le_bytes().to_vec()),
    ] {
        scanner.found.clear();
        scanner.look(what, &[b"...", bytes.as_slice(), b"..."].concat());
        assert!(!scanner.found.is_empty(), "{what} is not found");
    }
}

/// The identifiers of one made-up person, and other things that only they may know.
struct Identifiers {
    /// Parameter, raw value.
    devices: Vec<(&'static str, String)>,
    /// Full addresses.
    addresses: Vec<String>,
    /// A landing page's path that names the person.
    landing: String,
    /// A consent string.
    consent: String,
    /// A value of a parameter that nobody asked for.
    phone: String,
    /// A request id.
    request: String,
}

impl Identifiers {
    fn draw(random: &mut Random) -> Self {
        let mac = (0..6).map(|_| random.hex(2)).collect::<Vec<_>>().join(":").to_uppercase();
        let third = |random: &mut Random| 100 + random.below(156);
        Self {
            devices: vec![
                ("oaid", random.uuid()),
                ("oaid", random.hex(16)),
                ("oaid", random.hex(64).to_uppercase()),
                ("imei", imei(random)),
                ("android_id", random.hex(16)),
                ("aaid", random.uuid()),
                ("idfa", random.uuid().to_uppercase()),
                ("idfv", random.uuid().to_uppercase()),
                ("caid", random.hex(32)),
                ("mac", mac),
                ("openudid", random.hex(40)),
                ("cookie", format!("visitor.{}", random.hex(24))),
            ],
            addresses: vec![
                format!("203.0.{}.{}", third(random), third(random)),
                format!("198.51.{}.{}", third(random), third(random)),
                format!(
                    "2001:db8:{}:{}:1{}:2{}:3{}:4{}",
                    "77a1",
                    "88b2",
                    random.hex(3),
                    random.hex(3),
                    random.hex(3),
                    random.hex(3)
                ),
            ],
            landing: format!("for-{}", random.hex(24)),
            consent: format!("CP{}AAAA", random.hex(30)),
            phone: format!("phone-of-{}", random.hex(20)),
            request: format!("request-{}", random.hex(24)),
        }
    }

    fn secrets(&self) -> Vec<Secret> {
        let secret = |name: &str, text: &str| Secret { name: name.to_owned(), text: text.to_owned() };
        let devices = self.devices.iter().map(|(name, value)| secret(name, value));
        let addresses = self.addresses.iter().map(|address| secret("address", address));
        let others = [
            ("landing page", &self.landing),
            ("consent", &self.consent),
            ("phone", &self.phone),
            ("request id", &self.request),
        ];
        devices.chain(addresses).chain(others.map(|(name, text)| secret(name, text))).collect()
    }

    /// Every spelling of every identifier with the parameters that take it.
    fn parameters(&self) -> Vec<(String, String)> {
        let mut all = Vec::new();
        for (name, value) in &self.devices {
            let bare: String = value.chars().filter(|c| !matches!(c, '-' | ':')).collect();
            for raw in [value.clone(), value.to_lowercase(), value.to_uppercase(), bare] {
                let md5 = md5_hex(&raw);
                all.push(((*name).to_owned(), raw));
                all.push(((*name).to_owned(), md5.clone()));
                all.push((format!("{name}_md5"), md5.clone()));
                all.push((format!("{name}_md5"), md5.to_uppercase()));
            }
        }
        all
    }
}

/// Sends, and keeps every answer.
struct Caller<'a> {
    instance: &'a Instance,
    debug_key: String,
    server_key: String,
    answers: Vec<u8>,
    requests: usize,
}

impl<'a> Caller<'a> {
    fn new(instance: &'a Instance) -> Self {
        Self {
            instance,
            debug_key: instance.secret("debug.key"),
            server_key: format!("Bearer {}", instance.secret("replay.key")),
            answers: Vec::new(),
            requests: 0,
        }
    }

    /// To the tracker, with the debug key; the answer's outcome.
    fn pixel(&mut self, target: &str, headers: &[(&str, &str)]) -> Option<String> {
        let key = self.debug_key.clone();
        let mut all = vec![("user-agent", APP), ("x-sightline-debug", key.as_str())];
        all.extend_from_slice(headers);
        let answer = self.ask(self.instance.tracker(), ("GET", target), &all, b"")?;
        answer.header("x-sightline-outcome").map(str::to_owned)
    }

    /// One request; `None` where the other side hung up without an answer.
    fn ask(
        &mut self,
        address: SocketAddr,
        (method, target): (&str, &str),
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Option<Response> {
        let mut connection = Connection::open(address).expect("it takes a connection");
        let answer = connection.request(method, target, headers, body).ok();
        self.keep(answer.as_ref());
        answer
    }

    /// Bytes that may be no request at all.
    fn send_raw(&mut self, address: SocketAddr, bytes: &[u8]) {
        let mut connection = Connection::open(address).expect("it takes a connection");
        let _ = connection.send_raw(bytes);
        let _ = connection.finish_sending();
        let answer = connection.read_response("GET").ok();
        self.keep(answer.as_ref());
    }

    /// Keeps an answer for the search. A redirect names the landing page that was asked for: that is its purpose.
    fn keep(&mut self, answer: Option<&Response>) {
        self.requests += 1;
        let Some(answer) = answer else { return };
        for (name, value) in answer.headers.iter().filter(|(name, _)| name != "location") {
            let _ = writeln!(self.answers, "{name}: {value}");
        }
        self.answers.extend_from_slice(&answer.body);
        self.answers.push(b'\n');
    }
}

/// Every answer of the report API that is made from hits, and that there is something in each.
fn ask_reports(caller: &mut Caller<'_>) {
    let place = "/v1/campaigns/demo";
    for (target, list) in [
        ("/v1/campaigns".to_owned(), "/campaigns"),
        (format!("{place}/delivery?filter=gross&by=placement"), "/rows"),
        (format!("{place}/reach?filter=gross&by=creative"), "/rows"),
        (format!("{place}/frequency?filter=gross"), "/rows"),
        (format!("{place}/ids?filter=gross&by=placement"), "/rows"),
        (format!("{place}/placements/trial/hits"), "/hits"),
        (format!("{place}/placements/p1/hits"), ""),
        (format!("{place}/links?base=https://t.example&dialect=all&stages=all"), "/links"),
        ("/v1/set-aside".to_owned(), "/devices"),
        ("/v1/books".to_owned(), ""),
    ] {
        let answer = caller.instance.ask("GET", &target);
        let has_rows = answer.pointer(list).and_then(Value::as_array).is_none_or(|rows| !rows.is_empty());
        assert!(has_rows, "{target} shows nothing, so it shows little: {answer}");
        caller.answers.extend(answer.to_string().into_bytes());
    }
}

/// Every identifier in every parameter that takes it, plain and percent-encoded, as pixels of several stages and as clicks.
fn send_pixels(caller: &mut Caller<'_>, people: &Identifiers) {
    let landing = percent(format!("{LANDING}{}?id={}", people.landing, people.devices[0].1).as_bytes());
    let mut accepted = 0;
    for (number, (name, value)) in people.parameters().iter().enumerate() {
        let address = &people.addresses[number % people.addresses.len()];
        let value = if number % 2 == 0 { percent(value.as_bytes()) } else { value.replace(':', "%3a") };
        let place = ["p2", "p1", "trial", "p1", "p2"][number % 5];
        let query = format!("c=demo&p={place}&cr={MARK}&rid={}-{number}&{name}={value}", people.request);
        let headers = [("x-forwarded-for", address.as_str()), ("referer", landing.as_str())];
        for path in ["/i", "/e/viewable", "/e/tracked"] {
            accepted += usize::from(
                caller.pixel(&format!("{path}?{query}"), &headers).as_deref() == Some("accepted"),
            );
        }
        let consent = format!("gdpr=1&gdpr_consent={}&gpp={}", people.consent, people.consent);
        caller.pixel(&format!("/i?{query}&{consent}&svl={}&m2={value}", people.phone), &headers);
        caller.pixel(&format!("/c?{query}&u={landing}"), &headers);
        let elsewhere = query.replace("c=demo", "c=not-in-the-catalog");
        caller.pixel(&format!("/i?{elsewhere}"), &headers);
        caller.pixel(&format!("/c?{query}&u=https%3A%2F%2Felsewhere.example%2F{}", people.landing), &headers);
    }
    assert!(accepted > 100, "only {accepted} pixels were accepted: the run shows little");
}

/// The same in the grammars of others: with what their SDKs add that nobody asked for, glued to names, base64, and encoded once more.
fn send_in_other_grammars(caller: &mut Caller<'_>, people: &Identifiers) {
    let landing = percent(format!("{LANDING}{}", people.landing).as_bytes());
    let (phone, view) = (&people.phone, &people.request);
    let svl = percent(format!("{{l1:1,l2:0,l3:0,l4:1,e1:{phone},e2:{phone},e5:{view}}}").as_bytes());
    let nielsen = base64::engine::general_purpose::STANDARD.encode("I&2&demo&p1&300&");
    let referer = format!("https://news.example.cn/{}?id={}", people.landing, people.devices[0].1);
    let mut accepted = 0;
    for (number, (_, value)) in people.parameters().iter().enumerate() {
        let value = percent(value.as_bytes());
        let ids = [
            "m0", "m1", "m1a", "m2", "m3", "m4", "m5", "m5a", "m5b", "m6", "m6a", "m6b", "m10", "m11",
            "m11a", "m14", "m14a",
        ]
        .map(|name| format!("&{name}={value}"))
        .concat();
        let miaozhen =
            format!("k=demo&p=p1{ids}&vf={view}-{number}&svl={svl}&mj={phone}&mm={phone}&sn={value}");
        let glued: String =
            ["n", "z", "0j", "0c", "0d", "o", "1p", "zz", "x"].map(|name| format!(",{name}{value}")).concat();
        let address = &people.addresses[number % people.addresses.len()];
        let targets = [
            format!("/x/{miaozhen}&br=1&o="),
            format!("/x/{miaozhen}&vx=1&o="),
            format!("/x.gif?{miaozhen}&o={landing}"),
            format!("/x/{}", percent(format!("{miaozhen}&o=").as_bytes())),
            format!("/r/{miaozhen}&o={landing}"),
            format!("/i/a1,b2,c9,i0,m202{glued},{phone},u{landing}"),
            format!("/c/a1,b2,c9,i0,m202{glued},{phone},u{landing}"),
            format!("/w/a1,b2,c9,2f1{glued},2g{view}"),
            format!("/ddm/trackimp/N1.2/Bdemo.p1;dc_rdid={value};dc_lat=0;ord={view};u={phone};tfua="),
            format!("/hat?_t=i&_htsinfo={nielsen}&imei={value}&idfa={value}&mac={value}&muds={phone}"),
            format!(
                "/v/?gscmd=impress&gid=gad_demo_p1&im={value}&if={value}&oa={value}&aid={value}&wfssid={phone}"
            ),
            format!("/vast/start?c=demo&p=p1&ifa={value}&ifa_type=idfa&IFA={value}&rid={view}"),
        ];
        for target in targets {
            let headers = [("x-forwarded-for", address.as_str()), ("referer", referer.as_str())];
            accepted += usize::from(caller.pixel(&target, &headers).as_deref() == Some("accepted"));
        }
    }
    assert!(accepted > 300, "only {accepted} hits were accepted: the run shows little");
}

/// Every spelling and every digest of every identifier where the id of a view belongs, which is stored as a hash: nothing else of the hit names a device,
/// so each of them is stored, and what is stored must not be a digest that anybody can compute.
fn send_as_request_ids(caller: &mut Caller<'_>, people: &Identifiers) {
    let address = caller.instance.tracker();
    let key = caller.server_key.clone();
    let ids: BTreeSet<String> = people.parameters().into_iter().map(|(_, value)| value).collect();
    for id in &ids {
        let value = percent(id.as_bytes());
        for target in [
            format!("/i?c=demo&p=p1&cr={MARK}&rid={value}"),
            format!("/i?c=demo&p=p1&cr={MARK}&gid={value}"),
            format!("/c?c=demo&p=p1&rid={value}&u={}", percent(LANDING.as_bytes())),
            format!("/x/k=demo&p=p1&vf={value}&o="),
            format!("/vast/start?c=demo&p=p1&rid={value}"),
        ] {
            let outcome = caller.pixel(&target, &[]);
            // A click waits 20 ms for the disk and goes out: on a slow one it is counted as unconfirmed.
            let is_kept = matches!(outcome.as_deref(), Some("accepted" | "unconfirmed_click"));
            assert!(is_kept, "{target}: {outcome:?}");
        }
        let item = json!({"stage": "impression", "c": "demo", "p": "s1", "cr": MARK});
        let mut named = item.clone();
        named["rid"] = json!(id);
        let headers = [
            ("content-type", "application/json"),
            ("authorization", key.as_str()),
            ("idempotency-key", id.as_str()),
        ];
        let body = json!([named, item]).to_string();
        let answer =
            caller.ask(address, ("POST", "/v1/events"), &headers, body.as_bytes()).expect("an answer");
        assert_eq!(answer.text().matches("\"accepted\"").count(), 2, "{}", answer.text());
    }
    println!("{} ids of views", ids.len());
}

/// The same in batches: JSON and NDJSON, with server rights and without, good and refused items.
fn send_batches(caller: &mut Caller<'_>, people: &Identifiers) {
    let address = caller.instance.tracker();
    let items: Vec<Value> = people
        .parameters()
        .iter()
        .enumerate()
        .map(|(number, (name, value))| {
            json!({
                "stage": "impression", "c": "demo", "p": if number % 2 == 0 { "p1" } else { "s1" }, "cr": MARK,
                "rid": format!("{}.{number}", people.request), name.as_str(): value,
                "ip": people.addresses[number % people.addresses.len()], "ua": APP,
                "u": format!("{LANDING}{}", people.landing), "svl": people.phone, "gdpr_consent": people.consent,
            })
        })
        .collect();
    let array = Value::Array(items.clone()).to_string();
    let lines = items.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
    let key = caller.server_key.clone();
    for (content_type, body) in
        [("application/json", array.as_bytes()), ("application/x-ndjson", lines.as_bytes())]
    {
        for server in [Some(key.as_str()), None] {
            let mut headers = vec![("content-type", content_type)];
            headers.extend(server.map(|key| ("authorization", key)));
            let answer = caller.ask(address, ("POST", "/v1/events"), &headers, body).expect("an answer");
            assert_eq!(answer.status, 200, "{}", answer.text());
            let accepted = answer.text().matches("\"accepted\"").count();
            assert_eq!(accepted > 20, server.is_some(), "{accepted} accepted: {}", answer.text());
        }
    }
}

/// Identifiers where nobody expects them, in requests that are well-formed.
fn send_in_odd_places(caller: &mut Caller<'_>, people: &Identifiers) {
    let tracker = caller.instance.tracker();
    for (name, value) in &people.devices {
        let value = percent(value.as_bytes());
        let plain = value.replace('%', "");
        for target in [
            format!("/i/{value}"),
            format!("/{plain}"),
            format!("/e/{plain}?c=demo&p=p1"),
            format!("/x/k=1&p=2&m2={value}&o=https://www.example.com/{plain}"),
            format!("/i?{name}={value}"),
            format!("/i?c=demo&{name}={value}"),
            format!("/i?c=demo&p=p1&{name}={value}&{name}={value}0"),
            format!("/i?c=demo&p=p1&{name}=%ZZ{value}"),
            format!("/i?c=demo&p=p1&{name}={value}%"),
            format!("/i?c=demo&p=p1&{name}=%{value}%25{value}"),
            format!("/i?c=demo&p=p1&rid={}", value.repeat(20)),
            format!("/i?c=demo&p=p1&t={value}"),
            format!("/i?c=demo&p=p1&os={value}&lmt={value}&coppa={value}&caid_version={value}"),
            format!("/i?c=demo&p=p1&{value}=1&{name}"),
            format!("/i?c=demo&p=p1&{name}={}", value.repeat(300)),
            format!("/c?c=demo&p=p1&u=javascript:{plain}"),
            format!("/c?c=demo&p=p1&u=//{plain}"),
            format!("/v1/events?{name}={value}"),
        ] {
            for method in ["GET", "HEAD", "PUT", "OPTIONS"] {
                caller.ask(tracker, (method, &target), &[("user-agent", APP)], b"");
            }
        }
        let cookie = format!("uid={plain}; sightline_opt_out=; other=\"{plain}\"");
        let bearer = format!("Bearer {plain}");
        caller.pixel("/i?c=demo&p=p1", &[("cookie", &cookie), ("x-device-ip", &people.addresses[0])]);
        caller.pixel("/i?c=demo&p=p1", &[("cookie", &format!("sightline_opt_out={plain}"))]);
        caller.pixel("/i?c=demo&p=p1", &[("authorization", &bearer)]);
        caller.pixel(
            "/i?c=demo&p=p1",
            &[("x-sightline-debug", &plain), ("referer", &format!("https://a.example/{plain}"))],
        );
        let forwarded = format!("{plain}, {}, unknown, {}", people.addresses[1], people.addresses[0]);
        caller.pixel(
            "/i?c=demo&p=p1",
            &[("x-forwarded-for", &forwarded), ("forwarded", &format!("for={plain}"))],
        );
        let key = caller.server_key.clone();
        let headers =
            [("authorization", key.as_str()), ("x-device-ip", plain.as_str()), ("x-device-user-agent", APP)];
        caller.pixel(&format!("/i?c=demo&p=s1&ip={value}"), &headers);
        caller.pixel(&format!("/i?c=demo&p=s1&ip={}", people.addresses[2]), &headers[..1]);
    }
}

/// Requests that are broken, with identifiers at the place where they break.
fn send_broken_requests(caller: &mut Caller<'_>, people: &Identifiers) {
    let addresses = [
        caller.instance.tracker(),
        caller.instance.opt_out(),
        caller.instance.reports(),
        caller.instance.admin(),
    ];
    for (name, value) in &people.devices {
        let id = value.as_bytes();
        for address in addresses {
            for bytes in [
                [id, b"\r\n\r\n"].concat(),
                [b"GET /i?c=demo&p=p1&x=", id, b" ", id, b"\r\n\r\n"].concat(),
                [b"GET /", id, b" HTTP/9.9\r\n\r\n"].concat(),
                [id, b" / HTTP/1.1\r\nhost: a\r\n\r\n"].concat(),
                [b"GET /i HTTP/1.1\r\nhost: a\r\n", id, b"\r\n\r\n"].concat(),
                [b"GET /i HTTP/1.1\r\nhost: ", id, b"\r\nx-bad: \x01", id, b"\r\n\r\n"].concat(),
                [b"GET /i HTTP/1.1\r\nhost: a\r\ncontent-length: ", id, b"\r\n\r\n"].concat(),
                [
                    b"POST /v1/events HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: ",
                    id,
                    b"\r\n\r\n",
                ]
                .concat(),
                [b"GET /i?x=\xff\xfe", id, b" HTTP/1.1\r\nhost: a\r\n\r\n"].concat(),
                [b"GET /i?", id.repeat(800).as_slice(), b" HTTP/1.1\r\nhost: a\r\n\r\n"].concat(),
                [b"GET /i HTTP/1.1\r\nhost: a\r\nx-big: ", id.repeat(4000).as_slice(), b"\r\n\r\n"].concat(),
                [b"POST /v1/opt-outs HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\n{\"ids\":", id]
                    .concat(),
            ] {
                caller.send_raw(address, &bytes);
            }
        }
        let tracker = caller.instance.tracker();
        for body in [
            format!("[{{\"c\":\"demo\",\"p\":\"p1\",\"{name}\":\"{value}\""),
            format!("[{{\"c\":\"demo\",\"p\":\"p1\",\"{value}\":1,\"{name}\":[\"{value}\"]}}]"),
            format!(
                "[{{\"c\":\"demo\",\"p\":\"p1\",\"stage\":\"{value}\"}},{{\"c\":{{\"{value}\":\"{value}\"}}}},\"{value}\"]"
            ),
            format!("{{\"c\":\"demo\"}}\n{value}\n"),
            format!("[{value}]"),
            format!("\"{value}\""),
            format!("[{{\"c\":\"demo\",\"p\":\"p1\",\"t\":\"{value}\",\"rid\":\"{}\"}}]", value.repeat(100)),
        ] {
            let headers = [("content-type", "application/json")];
            caller.ask(tracker, ("POST", "/v1/events"), &headers, body.as_bytes());
            caller.ask(
                tracker,
                ("POST", "/v1/events"),
                &[("content-type", value), ("content-encoding", value)],
                body.as_bytes(),
            );
            caller.ask(
                tracker,
                ("POST", "/v1/events"),
                &[headers[0], ("content-encoding", "gzip")],
                body.as_bytes(),
            );
        }
    }
}

/// The opt-out API with good ids, bad ids, broken bodies, and ids where they do not belong.
fn lodge_opt_outs(caller: &mut Caller<'_>, people: &Identifiers) {
    let address = caller.instance.opt_out();
    let json = [("content-type", "application/json"), ("x-forwarded-for", people.addresses[0].as_str())];
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let mut lodged = 0;
    for (kind, value) in &people.devices {
        for value in [value.clone(), md5_hex(value), value.to_uppercase()] {
            let body = json!({"ids": [{"kind": kind, "value": value}]}).to_string();
            let answer =
                caller.ask(address, ("POST", "/v1/opt-outs"), &json, body.as_bytes()).expect("an answer");
            lodged += usize::from(answer.status == 200);
        }
        for body in [
            json!({"ids": [{"kind": value, "value": value}]}).to_string(),
            json!({"ids": [{"kind": kind, "value": format!("{value}!")}]}).to_string(),
            json!({"ids": [{"kind": kind, "value": {"x": value}}]}).to_string(),
            json!({"ids": [{"kind": kind, "value": value, value.as_str(): 1}]}).to_string(),
            json!({"ids": [{"kind": "imei", "value": value}, {"kind": "idfa", "value": value}]}).to_string(),
            format!("{{\"ids\":[{{\"kind\":\"{kind}\",\"value\":\"{value}"),
            format!("{{\"ids\":{value}}}"),
            json!({"receipt": value, "secret": value}).to_string(),
        ] {
            for path in ["/v1/opt-outs", "/v1/opt-ins", "/v1/status"] {
                caller.ask(address, ("POST", path), &json, body.as_bytes());
            }
        }
        let query = percent(value.as_bytes());
        for target in [
            format!("/opt-out?{kind}={query}"),
            format!("/{query}"),
            format!("/v1/opt-outs?id={query}"),
            format!("/v1/requests/{query}"),
        ] {
            for method in ["GET", "POST"] {
                caller.ask(
                    address,
                    (method, &target),
                    &form,
                    format!("kind={kind}&value={query}").as_bytes(),
                );
            }
        }
        caller.ask(address, ("POST", "/opt-out"), &form, format!("{kind}={query}&secret={query}").as_bytes());
        caller.ask(
            address,
            ("GET", "/opt-out"),
            &[("cookie", &format!("sightline_opt_out={query}")), ("accept-language", value)],
            b"",
        );
    }
    assert!(lodged > 20, "only {lodged} identifiers were taken: the run shows little");
}

/// Reports and the admin port, asked for things that they do not have.
fn ask_elsewhere(caller: &mut Caller<'_>, people: &Identifiers) {
    let [reports, admin] = [caller.instance.reports(), caller.instance.admin()];
    let token = format!("Bearer {}", caller.instance.secret("operator.token"));
    for (_, value) in &people.devices {
        let id = percent(value.as_bytes());
        let wrong = format!("Bearer {}", value.replace(':', ""));
        for target in [
            format!("/v1/campaigns/{id}/reach"),
            format!("/v1/campaigns/demo/{id}"),
            format!("/v1/campaigns/demo/reach?from={id}"),
            format!("/v1/campaigns/demo/reach?by={id}&filter={id}&format={id}&{id}={id}"),
            format!("/{id}"),
        ] {
            for bearer in [&token, &wrong] {
                caller.ask(reports, ("GET", &target), &[("authorization", bearer)], b"");
                caller.ask(reports, ("POST", &target), &[("authorization", bearer)], value.as_bytes());
            }
            caller.ask(admin, ("GET", &target), &[("referer", value)], b"");
        }
        caller.ask(reports, ("POST", &format!("/v1/settle?day={id}")), &[("authorization", &token)], b"");
    }
    println!("{} requests", caller.requests);
}

/// Every record of the journal's lanes and of the registry, as they are behind compression and frames.
fn raw_records(instance: &Instance) -> Vec<u8> {
    let mut records = Vec::new();
    let lanes = std::fs::read_dir(instance.data().join("journal"))
        .expect("lanes")
        .map(|lane| lane.expect("a lane").path());
    let mut count = 0;
    for dir in lanes.chain([instance.data().join("opt-out")]) {
        let before = count;
        journal::read_all(&dir, |_, _, bytes| {
            records.extend_from_slice(bytes);
            records.push(b'\n');
            count += 1;
        })
        .unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
        println!("{}: {} records", dir.display(), count - before);
    }
    records
}

/// Every row of every table that the engine keeps on the disk, its own logs too, as text and as binary rows.
fn dump_store(instance: &Instance) -> Vec<u8> {
    let library = find_library(None).expect("the engine");
    let engine = Engine::open(&library, &instance.data().join("store")).expect("the stopped store opens");
    let connection = engine.connect(&[]).expect("a session");
    let ask =
        |sql: &str, format: &str| connection.query(sql, format, &[]).unwrap_or_else(|e| panic!("{sql}: {e}"));
    let names =
        ask("SELECT database, name FROM system.tables WHERE engine LIKE '%MergeTree'", "TabSeparated");
    let names = String::from_utf8(names).expect("names are text");
    let mut rows = Vec::new();
    for (database, table) in names.lines().filter_map(|line| line.split_once('\t')) {
        let before = rows.len();
        for format in ["JSONEachRow", "RowBinary"] {
            rows.extend(ask(&format!("SELECT * FROM `{database}`.`{table}`"), format));
        }
        println!("{database}.{table}: {} bytes", rows.len() - before);
    }
    rows
}

fn imei(random: &mut Random) -> String {
    let digits = format!("35{:012}", random.below(1_000_000_000_000));
    let sum: u32 = digits
        .bytes()
        .enumerate()
        .map(|(at, digit)| {
            let digit = u32::from(digit - b'0');
            let doubled = if at % 2 == 1 { digit * 2 } else { digit };
            doubled / 10 + doubled % 10
        })
        .sum();
    format!("{digits}{}", (10 - sum % 10) % 10)
}

fn md5_hex(text: &str) -> String {
    hex(&Md5::digest(text.as_bytes()))
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn first<T>(all: &[T]) -> &[T] {
    &all[..all.len().min(40)]
}
