//! Promise 4 (an opt-out holds): from the next request on, in every form of the identifier that was promised, over restarts and kills, with a
//! filter that is forced to collide, and for nobody else.
//!
//! Whether a beacon was stored is read from the journal itself, by the hash of its request id; what its sender is told must not differ.

#![cfg(test)]

mod support;

use std::collections::HashSet;
use std::sync::Arc;

use event::key::KeyRing;
use event::outcome::Outcome;
use event::stage::Stage;
use md5::{Digest, Md5};
use serde_json::{Value, json};

use support::http::{Connection, Response, hex, percent};
use support::load::APP;
use support::random::Random;
use support::truth::{number, rows};
use support::{Instance, Options, journal};

/// So that one address may lodge as many as the tests do.
const UNLIMITED: &str = "[opt_out.limits]\nrequests_burst_max = 1000000";

/// One device with one identifier.
struct Person {
    kind: &'static str,
    raw: String,
    /// MD5 of the canonical raw form, where the tracker takes that form.
    md5: Option<String>,
}

/// How to take an opt-out back.
struct Receipt {
    number: String,
    secret: String,
}

/// Sends beacons and remembers which ought to be stored.
struct Sender {
    connection: Connection,
    debug_key: String,
    keys: Arc<KeyRing>,
    sent: usize,
    stored: HashSet<u64>,
    left_out: HashSet<u64>,
    /// The first answer.
    reference: Option<Shown>,
}

/// Everything of an answer but its moment, in a fixed order.
type Shown = (u16, Vec<(String, String)>, Vec<u8>);

#[test]
fn an_opted_out_device_is_not_stored_from_the_next_request_on() {
    let mut random = Random::announced("an_opted_out_device_is_not_stored_from_the_next_request_on");
    let mut instance = Instance::start(Options { opt_out: UNLIMITED.to_owned(), ..Options::default() });
    let people: Vec<Person> =
        KINDS.iter().flat_map(|kind| [person(kind, &mut random), person(kind, &mut random)]).collect();
    let strangers: Vec<Person> = KINDS.iter().map(|kind| person(kind, &mut random)).collect();
    let mut sender = Sender::new(&instance);

    let mut receipts = Vec::new();
    for (index, person) in people.iter().enumerate() {
        sender.hits(person, true);
        // Every other one is known to the registry by its MD5 alone.
        let lodged = person.md5.as_ref().filter(|_| index % 2 == 1).unwrap_or(&person.raw);
        receipts.push(lodge(&instance, &[(person.kind, lodged)]));
        sender.hits(person, false);
    }
    let everybody = |sender: &mut Sender| {
        sender.hits_of(&people, false);
        sender.hits_of(&strangers, true);
    };
    everybody(&mut sender);
    sender.batch(&people, &strangers);
    sender.check(&instance);

    instance.restart();
    sender.connect(&instance);
    everybody(&mut sender);
    lodge(&instance, &[("oaid", &random.uuid())]);
    instance.kill9();
    instance.restart();
    sender.connect(&instance);
    everybody(&mut sender);
    sender.batch(&people, &strangers);
    sender.check(&instance);

    take_back(&mut instance, &people, &receipts, &mut sender);
    sender.check(&instance);
    instance.settle();
    let report = instance.report("demo/delivery", "filter=gross");
    assert_eq!(number(&rows(&report)[0], "impressions"), sender.stored.len() as u64, "{report}");
}

/// Wrong secrets open nothing; the receipt takes back what it stands for and nothing else, also over a restart.
fn take_back(instance: &mut Instance, people: &[Person], receipts: &[Receipt], sender: &mut Sender) {
    let [first, second] = [&receipts[0], &receipts[1]];
    for (number, secret) in [
        (&first.number, &second.secret),
        (&second.number, &first.secret),
        (&first.number, &first.number),
        (&first.number, &first.secret.replace(|c: char| c.is_ascii_alphanumeric(), "0")),
        (&first.number, &String::new()),
        (&"0000-0000-0000-0000".to_owned(), &first.secret),
    ] {
        for path in ["/v1/opt-ins", "/v1/status"] {
            let answer = post(instance, path, &json!({"receipt": number, "secret": secret}));
            assert!(matches!(answer.status, 403 | 400), "{path}: {} {}", answer.status, answer.text());
        }
    }
    let answer = post(instance, "/v1/opt-ins", &json!({"receipt": first.number}));
    assert_eq!(answer.status, 403, "a number alone opens nothing: {}", answer.text());
    sender.hits_of(people, false);

    let by_receipt = json!({"receipt": first.number, "secret": first.secret});
    assert_eq!(post(instance, "/v1/status", &by_receipt).json()["state"], "opted_out");
    let answer = post(instance, "/v1/opt-ins", &by_receipt);
    assert_eq!(
        (answer.status, answer.json()["state"].as_str()),
        (200, Some("opted_in")),
        "{}",
        answer.text()
    );
    for restart in [false, true] {
        if restart {
            instance.kill9();
            instance.restart();
            sender.connect(instance);
        }
        sender.hits(&people[0], true);
        sender.hits_of(&people[1..], false);
        assert_eq!(post(instance, "/v1/status", &by_receipt).json()["state"], "opted_in");
    }
}

/// The filter has a single block for all: every look-up reaches the exact set.
#[test]
fn a_filter_that_is_forced_to_collide_leaves_out_nobody_else() {
    const LISTED: u64 = 200;
    const OTHERS: u64 = 3_000;
    let mut random = Random::announced("a_filter_that_is_forced_to_collide_leaves_out_nobody_else");
    let mut instance = Instance::start(Options {
        opt_out: format!("{UNLIMITED}\n[opt_out.list]\nfilter_blocks_max = 1\noverlay_rebuild_entries = 1"),
        ..Options::default()
    });
    let listed: Vec<String> = (0..LISTED).map(|_| random.uuid()).collect();
    let others: Vec<String> = (0..OTHERS).map(|_| random.uuid()).collect();
    for chunk in listed.chunks(20) {
        let ids: Vec<(&str, &String)> = chunk.iter().map(|oaid| ("oaid", oaid)).collect();
        lodge(&instance, &ids);
    }
    for round in 0..2_u64 {
        if round == 1 {
            instance.restart();
        }
        let mixed: Vec<&String> = others.iter().chain(&listed).collect();
        let mut connection = Connection::open(instance.tracker()).expect("a connection");
        for chunk in mixed.chunks(400) {
            let items: Vec<Value> = chunk.iter().map(|oaid| impression("oaid", oaid, None)).collect();
            let answer = connection
                .post_json("/v1/events", &[("user-agent", APP)], &Value::Array(items))
                .expect("an answer");
            assert_eq!(answer.text().matches("\"accepted\"").count(), chunk.len(), "{}", answer.text());
        }
        instance.settle();
        let row = rows(&instance.report("demo/reach", "filter=gross"))[0].clone();
        assert_eq!(number(&row, "reach"), OTHERS, "round {round}: {row}");
        assert_eq!(number(&row, "impressions"), OTHERS * (round + 1), "round {round}: {row}");
    }
}

#[test]
fn the_browsers_cookie_opts_out_this_browser_whatever_identifier_comes_with_it() {
    let mut random =
        Random::announced("the_browsers_cookie_opts_out_this_browser_whatever_identifier_comes_with_it");
    let mut instance = Instance::start(Options::default());
    let mut sender = Sender::new(&instance);
    let person = person("oaid", &mut random);
    let form = |action: &str, more: &[(&str, &str)]| {
        let mut headers = vec![("content-type", "application/x-www-form-urlencoded")];
        headers.extend_from_slice(more);
        let body = format!("lang=en&action={action}");
        let mut connection = Connection::open(instance.opt_out()).expect("a connection");
        connection.request("POST", "/opt-out", &headers, body.as_bytes()).expect("an answer")
    };
    let own_page = ("sec-fetch-site", "same-origin");

    let answer = form("browser_out", &[("sec-fetch-site", "cross-site")]);
    assert!(
        answer.status == 403 && answer.header("set-cookie").is_none(),
        "another site's page opts nobody out"
    );
    let answer = form("browser_out", &[own_page]);
    assert_eq!(answer.status, 303, "{}", answer.text());
    let set = answer.header("set-cookie").expect("a cookie").to_owned();
    for part in ["SameSite=None", "Secure", "Path=/"] {
        assert!(set.contains(part), "{part} is missing: {set}");
    }
    assert!(
        !set.contains("Partitioned"),
        "a partitioned cookie is never sent from a publisher's page: {set}"
    );
    let cookie = set.split(';').next().expect("a name and a value").to_owned();
    assert!(cookie.starts_with("sightline_opt_out=") && !cookie.ends_with('='), "{cookie}");

    sender.hit("oaid", &person.raw, &[], true);
    sender.hit("oaid", &person.raw, &[("cookie", &cookie)], false);
    sender.hit("oaid", &person.raw, &[("cookie", &format!("a=b; {cookie}; c=d"))], false);
    sender.hit("cookie", "visitor.0123456789abcdef", &[("cookie", &cookie)], false);
    sender.hit("oaid", &person.raw, &[("cookie", "sightline_opt_out=; a=sightline_opt_out")], true);
    sender.hit("oaid", &person.raw, &[("cookie", &cookie.replace("sightline_opt_out", "other"))], true);
    sender.hit("oaid", &person.raw, &[], true);

    let answer = form("browser_in", &[("cookie", &cookie)]);
    assert!(answer.header("set-cookie").is_none(), "an unknown page opts nobody in");
    let answer = form("browser_in", &[("cookie", &cookie), own_page]);
    let gone = answer.header("set-cookie").expect("a cookie that goes");
    assert!(gone.starts_with("sightline_opt_out=;") && gone.contains("Max-Age=0"), "{gone}");
    sender.check(&instance);
    sender.check_books(&mut instance);
}

#[test]
fn what_many_devices_send_cannot_be_opted_out() {
    let instance = Instance::start(Options { opt_out: UNLIMITED.to_owned(), ..Options::default() });
    let mut sender = Sender::new(&instance);
    let bad = [
        ("imei", "000000000000000"),
        ("oaid", "00000000-0000-0000-0000-000000000000"),
        ("oaid", "0ed86b8d2dfe3691c7e6c7f081c8e667"),
        ("idfa", "00000000-0000-0000-0000-000000000000"),
        ("android_id", "9774d56d682e549c"),
        ("mac", "02:00:00:00:00:00"),
        ("aaid", "unknown"),
        ("oaid", "__OAID__"),
        ("cookie", "null"),
    ];
    let mut all: Vec<(&str, String)> = bad.iter().map(|(kind, value)| (*kind, (*value).to_owned())).collect();
    all.extend(bad.iter().filter(|(kind, _)| *kind != "cookie").map(|(kind, value)| (*kind, md5_hex(value))));
    for (kind, value) in &all {
        let good = ("imei", "490154203237518");
        for ids in [vec![(*kind, value.as_str())], vec![good, (*kind, value.as_str())]] {
            let ids: Vec<Value> =
                ids.iter().map(|(kind, value)| json!({"kind": kind, "value": value})).collect();
            let answer = post(&instance, "/v1/opt-outs", &json!({"ids": ids}));
            assert_eq!(answer.status, 422, "{kind} {value}: {}", answer.text());
            assert!(
                !answer.text().contains(value.as_str()),
                "the answer repeats the value: {}",
                answer.text()
            );
        }
        sender.hit(kind, value, &[], true);
    }
    // Nothing of a refused request was lodged, its good identifier neither.
    sender.hit("imei", "490154203237518", &[], true);
    sender.check(&instance);
}

impl Sender {
    fn new(instance: &Instance) -> Self {
        Self {
            connection: Connection::open(instance.tracker()).expect("a connection"),
            debug_key: instance.secret("debug.key"),
            keys: instance.key_ring(),
            sent: 0,
            stored: HashSet::new(),
            left_out: HashSet::new(),
            reference: None,
        }
    }

    fn connect(&mut self, instance: &Instance) {
        self.connection = Connection::open(instance.tracker()).expect("a connection");
    }

    /// Everybody's hits.
    fn hits_of(&mut self, people: &[Person], is_stored: bool) {
        for person in people {
            self.hits(person, is_stored);
        }
    }

    /// The person's hits in every form of the identifier.
    fn hits(&mut self, person: &Person, is_stored: bool) {
        self.hit(person.kind, &person.raw, &[], is_stored);
        for (name, md5) in person.md5_forms() {
            self.hit(&name, &md5, &[], is_stored);
        }
    }

    /// An impression; what its sender is told is the same in either case.
    fn hit(&mut self, name: &str, value: &str, headers: &[(&str, &str)], is_stored: bool) {
        let request = self.request(is_stored);
        let mut all = vec![("user-agent", APP), ("x-sightline-debug", self.debug_key.as_str())];
        all.extend_from_slice(headers);
        let query = format!("c=demo&p=p1&rid={request}&{name}={}", percent(value.as_bytes()));
        let answer = self.connection.get(&format!("/i?{query}"), &all).expect("an answer");
        let shown = shown(&answer);
        // The first hit is one that is stored: every other answer looks like its answer.
        assert!(is_stored || self.reference.is_some(), "nothing to compare with yet");
        let reference = self.reference.get_or_insert_with(|| shown.clone());
        assert_eq!(&shown, reference, "what became of a beacon can be told from its answer");
        assert_eq!(answer.header("x-sightline-outcome"), Some("accepted"), "{name}={value}");
    }

    /// A batch in which both kinds of people stand side by side.
    fn batch(&mut self, listed: &[Person], strangers: &[Person]) {
        let mut items = Vec::new();
        for (people, is_stored) in [(listed, false), (strangers, true)] {
            for person in people {
                let request = self.request(is_stored);
                items.push(impression(person.kind, &person.raw, Some(&request)));
            }
        }
        let count = items.len();
        let answer = self
            .connection
            .post_json("/v1/events", &[("user-agent", APP)], &Value::Array(items))
            .expect("an answer");
        let expected = json!({"results": vec![json!({"outcome": "accepted"}); count]});
        assert_eq!(answer.json(), expected);
    }

    /// The journal holds what ought to be stored, once, and nothing of what ought not.
    fn check(&self, instance: &Instance) {
        let journal = journal::read(&instance.data());
        for view in &self.stored {
            assert_eq!(
                journal.count(*view, Stage::Impression),
                1,
                "a beacon of somebody who did not opt out"
            );
        }
        for view in &self.left_out {
            assert_eq!(journal.count(*view, Stage::Impression), 0, "a beacon of somebody who opted out");
        }
        assert_eq!(journal.event_count, self.stored.len() as u64, "events in all");
    }

    /// Once the process has ended in peace, its books tell every beacon: stored or left out.
    fn check_books(&self, instance: &mut Instance) {
        instance.terminate();
        let journal = journal::read(&instance.data());
        let total =
            |outcome: Outcome| journal.books.values().map(|b| b.outcomes[outcome as usize]).sum::<u64>();
        let received: u64 = journal.books.values().map(|books| books.received).sum();
        let told = [received, total(Outcome::Accepted), total(Outcome::OptedOut)];
        assert_eq!(told, [self.sent, self.stored.len(), self.left_out.len()].map(|count| count as u64));
    }

    /// A new request id, noted as one that is or is not stored.
    fn request(&mut self, is_stored: bool) -> String {
        self.sent += 1;
        let request = format!("request-{}", self.sent);
        let noted = if is_stored { &mut self.stored } else { &mut self.left_out };
        noted.insert(self.keys.view_hash(request.as_bytes()));
        request
    }
}

impl Person {
    /// The parameters that take the identifier's MD5, in both cases of its digits.
    fn md5_forms(&self) -> Vec<(String, String)> {
        let Some(md5) = &self.md5 else { return Vec::new() };
        let name = match self.kind {
            // These have no parameter of their own for the digest: the raw one takes it.
            "idfv" | "openudid" => self.kind.to_owned(),
            kind => format!("{kind}_md5"),
        };
        vec![(name.clone(), md5.clone()), (name, md5.to_uppercase())]
    }
}

/// Every kind of identifier that a person can lodge.
const KINDS: [&str; 10] =
    ["oaid", "imei", "aaid", "android_id", "mac", "idfa", "caid", "idfv", "openudid", "cookie"];

fn person(kind: &'static str, random: &mut Random) -> Person {
    let (raw, canonical) = match kind {
        "imei" => same(format!("86{:013}", random.below(10_000_000_000_000))),
        "oaid" | "aaid" => same(random.uuid()),
        "android_id" => same(random.hex(16)),
        "mac" => {
            let bytes: Vec<String> = (0..6).map(|_| random.hex(2)).collect();
            (bytes.join(":"), bytes.concat().to_uppercase())
        }
        "idfa" | "idfv" => {
            let uuid = random.uuid();
            (uuid.clone(), uuid.to_uppercase())
        }
        "caid" => same(random.hex(32)),
        "openudid" => same(random.hex(40)),
        _ => same(format!("visitor.{}", random.hex(20))),
    };
    let md5 = (kind != "cookie").then(|| md5_hex(&canonical));
    Person { kind, raw, md5 }
}

fn same(text: String) -> (String, String) {
    (text.clone(), text)
}

fn impression(kind: &str, value: &str, request: Option<&str>) -> Value {
    json!({"stage": "impression", "c": "demo", "p": "p1", kind: value, "rid": request.unwrap_or_default()})
}

/// Opts identifiers out, which has to succeed.
fn lodge<V: AsRef<str>>(instance: &Instance, ids: &[(&str, V)]) -> Receipt {
    let list: Vec<Value> =
        ids.iter().map(|(kind, value)| json!({"kind": kind, "value": value.as_ref()})).collect();
    let answer = post(instance, "/v1/opt-outs", &json!({"ids": list}));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let json = answer.json();
    let text = |name: &str| json[name].as_str().unwrap_or_else(|| panic!("no {name} in {json}")).to_owned();
    assert_eq!(json["ids"].as_array().map(Vec::len), Some(ids.len()), "{json}");
    Receipt { number: text("receipt"), secret: text("secret") }
}

fn post(instance: &Instance, path: &str, body: &Value) -> Response {
    let mut connection = Connection::open(instance.opt_out()).expect("a connection");
    connection.post_json(path, &[], body).expect("an answer")
}

fn shown(answer: &Response) -> Shown {
    let mut headers = answer.headers.clone();
    headers.retain(|(name, _)| name != "date");
    headers.sort();
    (answer.status, headers, answer.body.clone())
}

fn md5_hex(text: &str) -> String {
    hex(&Md5::digest(text.as_bytes()))
}
