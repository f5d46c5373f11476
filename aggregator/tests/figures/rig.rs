//! A running aggregator with a journal lane, a catalog and a clock of its own, and a client for its report API.
//!
//! The engine serves one data path in a process, so all tests of this binary share one, each with a database of its own. The binaries
//! whose names end in `_server` have the same tests with the store on a server.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use aggregator::engine::{Engine, find_library};
use aggregator::{
    Alerts, CatalogText, CatalogTextError, Handle, LinkParts, Parts, Settings, Source, StoreAt, Token,
    Tokens, Webhook,
};
use catalog::Catalog;
use catalog::edit::Edited;
use event::clock::Clock;
use event::identifier::IdKind;
use event::key::DeviceKey;
use event::link::LinkKeys;
use event::outcome::Outcome;
use event::record::{
    Device, Event, Former, OutcomeCounts, Platform, SourceKind, encode_event, encode_outcomes, flag,
};
use event::stage::Stage;
use journal::{Lane, Writer};
use serde_json::Value;
use tempfile::TempDir;
use test_server::{Faults, Place};

/// 2026-11-20T12:00:00Z.
pub(crate) const NOON_MS: i64 = 1_795_176_000_000;
pub(crate) const DAY_MS: i64 = 86_400_000;
pub(crate) const TOKEN: &str = "operator-token-of-a-test";
pub(crate) const PHONE: &str = "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Mobile Safari/537.36";

pub(crate) const CATALOG: &str = r#"
[[campaign]]
id = "utc"
name = "UTC"
time_zone = "UTC"
[[campaign.placement]]
id = "p1"
name = "One"
medium = "Medium A"
[[campaign.placement]]
id = "p2"
name = "Two"
medium = "Medium B"
[[campaign.placement]]
id = "p3"
name = "Three"
medium = "Medium A"
"#;

/// As delivered, but for tokens that may ask as often as a test does.
pub(crate) fn unhurried() -> Settings {
    let many = 1_000_000;
    Settings { token_requests_burst_max: many, token_requests_per_minute_max: many, ..Settings::default() }
}

/// Longest catalog that the rig keeps, bytes.
pub(crate) const CATALOG_BYTES_MAX: usize = 256 << 10;

/// The catalog's text, in memory.
pub(crate) struct Text {
    text: Mutex<String>,
    shared: catalog::Shared,
}

impl CatalogText for Text {
    fn read(&self) -> Result<String, CatalogTextError> {
        Ok(self.text.lock().expect("nobody panicked").clone())
    }

    fn bytes_max(&self) -> usize {
        CATALOG_BYTES_MAX
    }

    fn replace(&self, before: u32, edited: Edited) -> Result<(), CatalogTextError> {
        let mut text = self.text.lock().expect("nobody panicked");
        let present = catalog::version_of(&text);
        if present != before {
            return Err(CatalogTextError::Changed { present });
        }
        *text = edited.text;
        self.shared.store(Arc::new(edited.catalog));
        Ok(())
    }
}

/// One hit to be stored.
#[derive(Clone, Debug)]
pub(crate) struct Hit {
    pub campaign: &'static str,
    pub placement: &'static str,
    pub creative: &'static str,
    pub region: &'static str,
    pub stage: Stage,
    pub platform: Platform,
    pub time_ms: i64,
    pub received_ms: i64,
    pub client_time_ms: Option<i64>,
    pub device: Option<u64>,
    pub kind: IdKind,
    /// Of the device's key.
    pub epoch: u16,
    /// During an overlap of keys: the device under the key before (of the epoch before), and the day on which the overlap ends.
    pub former: Option<(u64, u16)>,
    pub view: u64,
    pub flags: u32,
    pub agent: String,
    pub network: Vec<u8>,
}

/// An impression of campaign `utc`, placement `p1`, without device and view.
pub(crate) fn hit(time_ms: i64) -> Hit {
    Hit {
        campaign: "utc",
        placement: "p1",
        creative: "",
        region: "",
        stage: Stage::Impression,
        platform: Platform::Android,
        time_ms,
        received_ms: time_ms,
        client_time_ms: None,
        device: None,
        kind: IdKind::Oaid,
        epoch: 1,
        former: None,
        view: 0,
        flags: 0,
        agent: PHONE.to_owned(),
        network: vec![203, 0, 113],
    }
}

pub(crate) struct Rig {
    dir: TempDir,
    pub audit: audit::Log,
    /// Where tokens are kept.
    pub desk: desk::Desk,
    pub lane: Writer,
    pub catalog: catalog::Shared,
    /// Its text, as the report API changes it.
    pub catalog_text: Arc<Text>,
    pub clock: Clock,
    kafka: Option<kafka::Cluster>,
    pub database: String,
    pub settings: Settings,
    /// The tracker's address and the keys by which links are made, from the next start on.
    pub public_url: Option<String>,
    pub link_keys: Arc<LinkKeys>,
    /// Where alerts are told, from the next start on.
    pub webhook: Option<Webhook>,
    /// What is erased, as others remember it at the next start.
    pub tombstones: Vec<aggregator::Tombstone>,
    handle: Option<Handle>,
    base: String,
    drops_database: bool,
    _place: Option<Arc<Place>>,
}

fn data() -> &'static Path {
    static DATA: OnceLock<TempDir> = OnceLock::new();
    DATA.get_or_init(|| tempfile::tempdir().expect("a folder for the store")).path()
}

fn library() -> PathBuf {
    match find_library(None) {
        Ok(path) => path,
        Err(error) => panic!("{error}"),
    }
}

/// Whether the store is on a server.
pub(crate) fn is_on_server() -> bool {
    env!("CARGO_CRATE_NAME").ends_with("_server")
}

/// The switches of the server's faults; `None` where there is no stand-in.
#[allow(dead_code, reason = "for the tests on a server")]
pub(crate) fn faults() -> Option<Faults> {
    place().server().map(|server| server.faults().clone())
}

/// The server, while anybody uses it: an engine that is open when the process ends takes it down.
fn place() -> Arc<Place> {
    static PLACE: Mutex<Weak<Place>> = Mutex::new(Weak::new());
    let mut place = PLACE.lock().unwrap_or_else(PoisonError::into_inner);
    place.upgrade().unwrap_or_else(|| {
        let found = Arc::new(Place::find(&library(), &data().join("store")).expect("a server"));
        *place = Arc::downgrade(&found);
        found
    })
}

fn store(database: &str) -> StoreAt {
    let path = data().join("store");
    if is_on_server() {
        return place().settings(database).at(path).expect("settings that fit");
    }
    StoreAt::Embedded { engine: Some(library()), path }
}

/// What a statement answers, past the aggregator: for looking at tables and for planting what a crash leaves.
pub(crate) fn sql(database: &str, text: &str) -> String {
    let answer = if is_on_server() {
        place().sql(database, text)
    } else {
        let engine = Engine::open(&library(), &data().join("store")).expect("the engine opens");
        let connection = engine.connect(&[]).expect("a session");
        connection.query(&format!("USE {database}"), "Null", &[]).expect("the database");
        let answer = connection.query(text, "TSV", &[]).map_err(|error| error.to_string());
        answer.map(|bytes| String::from_utf8(bytes).expect("text"))
    };
    match answer {
        Ok(text) => text.trim().to_owned(),
        Err(error) => panic!("{text}: {error}"),
    }
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::with(CATALOG, Settings::default())
    }

    pub(crate) fn with(catalog: &str, settings: Settings) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let database = format!("figures_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let mut rig = Self::on(database, catalog, settings, Clock::manual(NOON_MS), None);
        rig.drops_database = is_on_server();
        rig
    }

    /// An aggregator that reads from Kafka, on the store of all that are given this name; its lane is not read.
    #[allow(dead_code, reason = "for the tests with Kafka")]
    pub(crate) fn of_group(name: &str, cluster: &kafka::Cluster) -> Self {
        let database = format!("group_{}_{name}", std::process::id());
        Self::on(database, CATALOG, Settings::default(), Clock::manual(NOON_MS), Some(cluster.clone()))
    }

    /// Another aggregator on the same store, with a journal of its own.
    pub(crate) fn beside(&self) -> Self {
        Self::on(self.database.clone(), CATALOG, self.settings.clone(), self.clock.clone(), None)
    }

    fn on(
        database: String,
        catalog: &str,
        settings: Settings,
        clock: Clock,
        kafka: Option<kafka::Cluster>,
    ) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let lane = open_lane(dir.path(), &clock);
        let audit = audit::Log::scratch(&dir.path().join("audit")).expect("a log");
        let desk = desk::Desk::folder(&dir.path().join("desk")).expect("a desk");
        // What runs at an interval is called for by the tests.
        let settings = Settings { settle_interval_seconds: 3600, batch_delay_ms_max: 20, ..settings };
        let shared = Catalog::parse(catalog, "catalog.toml").expect("a catalog").into_shared();
        let mut rig = Self {
            dir,
            lane,
            catalog_text: Arc::new(Text {
                text: Mutex::new(catalog.to_owned()),
                shared: Arc::clone(&shared),
            }),
            catalog: shared,
            clock,
            kafka,
            database,
            settings,
            public_url: None,
            link_keys: Arc::default(),
            webhook: None,
            tombstones: Vec::new(),
            audit,
            desk,
            handle: None,
            base: String::new(),
            drops_database: false,
            _place: is_on_server().then(place),
        };
        rig.start();
        rig
    }

    fn start(&mut self) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let parts = Parts {
            source: match &self.kafka {
                Some(cluster) => Source::Kafka(cluster.clone()),
                None => Source::Lanes(vec![self.lane.clone()]),
            },
            catalog: Arc::clone(&self.catalog),
            alerts: Alerts { interval: Duration::from_hours(1), webhook: self.webhook.clone() },
            catalog_text: Some(Arc::clone(&self.catalog_text) as Arc<dyn CatalogText>),
            tokens: Tokens { operator: Token::new(TOKEN), desk: self.desk.clone() },
            tombstones: self.tombstones.clone(),
            audit: self.audit.clone(),
            security: security_log::SecurityLog::off(),
            links: LinkParts {
                base: self.public_url.clone(),
                keys: Arc::clone(&self.link_keys),
                ..LinkParts::default()
            },
            listeners: listener.into(),
            clock: self.clock.clone(),
            store: store(&self.database),
            database: self.database.clone(),
        };
        let handle = aggregator::start(&self.settings, parts).expect("the aggregator starts");
        self.base = format!("http://{}", handle.address());
        self.handle = Some(handle);
        // The tests stand on days of their own, whatever day it is; the engine would let rows expire by the machine's clock.
        for table in ["events", "unresolved", "set_aside", "trial_events", "trial_hits"] {
            self.sql(&format!("SYSTEM STOP TTL MERGES {}.{table}", self.database));
        }
    }

    /// Stops the aggregator, does something while it is down, and starts it again on the same store and lane.
    pub(crate) fn restart(&mut self, meanwhile: impl FnOnce(&Self)) {
        self.handle.take().expect("it runs").stop();
        meanwhile(self);
        self.start();
    }

    /// Erasures and copies.
    #[allow(dead_code, reason = "not for every binary of tests")]
    pub(crate) fn rights(&self) -> aggregator::Rights {
        self.handle.as_ref().expect("it runs").rights()
    }

    /// Looks for alerts, as is done at an interval.
    #[allow(dead_code, reason = "not for every binary of tests")]
    pub(crate) fn look_for_alerts(&self) {
        self.handle.as_ref().expect("it runs").look_for_alerts();
    }

    pub(crate) fn set_catalog(&self, text: &str) {
        self.catalog.store(Arc::new(Catalog::parse(text, "catalog.toml").expect("a catalog")));
        text.clone_into(&mut self.catalog_text.text.lock().expect("nobody panicked"));
    }

    /// Appends hits to the journal, durably.
    pub(crate) fn push(&self, hits: &[Hit]) {
        let commits: Vec<_> =
            hits.iter().map(|hit| self.lane.append(&self.record(hit)).expect("the lane takes it")).collect();
        self.lane.flush();
        for commit in commits {
            commit.wait().expect("it is committed");
        }
    }

    /// The record of a hit.
    pub(crate) fn record(&self, hit: &Hit) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_event(&self.event(hit), &mut bytes);
        bytes
    }

    #[allow(dead_code, reason = "for the tests with Kafka")]
    pub(crate) fn readiness(&self) -> aggregator::Readiness {
        self.handle.as_ref().expect("it runs").readiness()
    }

    pub(crate) fn push_bytes(&self, bytes: &[u8]) {
        let commit = self.lane.append(bytes).expect("the lane takes it");
        self.lane.flush();
        commit.wait().expect("it is committed");
    }

    pub(crate) fn push_books(&self, received: u64, pending: u64, outcomes: [u64; Outcome::COUNT]) {
        let mut bytes = Vec::new();
        encode_outcomes(
            &OutcomeCounts { at_ms: self.clock.now_ms(), received, pending, outcomes },
            &mut bytes,
        );
        self.push_bytes(&bytes);
    }

    fn event<'a>(&self, hit: &'a Hit) -> Event<'a> {
        let catalog = self.catalog.load();
        let known = match catalog.find(hit.campaign.as_bytes(), hit.placement.as_bytes()) {
            catalog::Found::Known(campaign, placement) => {
                Some((campaign.local_time(hit.time_ms), placement.source))
            }
            catalog::Found::UnknownPlacement(_) | catalog::Found::UnknownCampaign => None,
        };
        Event {
            received_ms: hit.received_ms,
            time_ms: hit.time_ms,
            client_time_ms: hit.client_time_ms,
            day: known.map(|(local, _)| local.day),
            hour: known.map_or(0, |(local, _)| local.hour),
            stage: hit.stage,
            source: known.map_or(SourceKind::Client, |(_, source)| source),
            platform: hit.platform,
            flags: hit.flags | if known.is_some() { 0 } else { flag::UNRESOLVED },
            campaign: hit.campaign,
            placement: hit.placement,
            creative: hit.creative,
            region: hit.region,
            catalog_version: catalog.version,
            device: hit.device.map(|device| {
                let key = |device: u64| {
                    let mut key = [0; 16];
                    key[..8].copy_from_slice(&device.to_be_bytes());
                    DeviceKey(key)
                };
                let former = hit.former.map(|(former, until_day)| Former {
                    key: key(former),
                    epoch: hit.epoch - 1,
                    until_day,
                });
                Device { key: key(device), kind: hit.kind, epoch: hit.epoch, former }
            }),
            view: hit.view,
            network: &hit.network,
            agent: &hit.agent,
            site: "",
        }
    }

    /// Status and body of a request with the operator's token.
    pub(crate) fn call(&self, method: &str, path: &str) -> (u16, String) {
        self.call_as(method, path, Some(&format!("Bearer {TOKEN}")))
    }

    pub(crate) fn call_as(&self, method: &str, path: &str, authorization: Option<&str>) -> (u16, String) {
        self.send_as(method, path, authorization, "")
    }

    pub(crate) fn send_as(
        &self,
        method: &str,
        path: &str,
        authorization: Option<&str>,
        body: &str,
    ) -> (u16, String) {
        let mut answer = self.answer(method, path, authorization, body);
        (answer.status().as_u16(), answer.body_mut().read_to_string().expect("text"))
    }

    fn answer(
        &self,
        method: &str,
        path: &str,
        authorization: Option<&str>,
        body: &str,
    ) -> ureq::http::Response<ureq::Body> {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .build()
            .into();
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        agent.run(request.body(body.to_owned()).expect("a request")).expect("an answer")
    }

    /// Status and body of a form that is no text.
    #[allow(dead_code, reason = "not for every binary of tests")]
    pub(crate) fn bytes(&self, path: &str) -> (u16, Vec<u8>) {
        self.bytes_as(path, &format!("Bearer {TOKEN}"))
    }

    #[allow(dead_code, reason = "not for every binary of tests")]
    pub(crate) fn bytes_as(&self, path: &str, authorization: &str) -> (u16, Vec<u8>) {
        let mut answer = self.answer("GET", path, Some(authorization), "");
        (answer.status().as_u16(), answer.body_mut().read_to_vec().expect("bytes"))
    }

    #[allow(dead_code, reason = "not for every binary of tests")]
    pub(crate) fn headers(&self, path: &str) -> ureq::http::HeaderMap {
        self.answer("GET", path, Some(&format!("Bearer {TOKEN}")), "").headers().clone()
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        let (status, body) = self.call("GET", path);
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).expect("JSON")
    }

    /// The entries of the audit log, one a line.
    #[allow(dead_code, reason = "not for every binary of tests")]
    pub(crate) fn audited(&self) -> String {
        let key = audit::Key::from_text(audit::SCRATCH_KEY).expect("a key");
        let mut lines = String::new();
        let see = |line: &audit::Line| lines.push_str(&(serde_json::to_string(line).expect("JSON") + "\n"));
        let report = audit::verify(&self.dir.path().join("audit"), &key, &[], see).expect("readable");
        assert!(report.broken.is_none(), "{:?}", report.broken);
        lines
    }

    /// Brings everything up to date.
    pub(crate) fn settle(&self) -> Value {
        let (status, body) = self.call("POST", "/v1/settle");
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).expect("JSON")
    }

    /// Waits until the journal is in the store without settling anything: a day without data is asked for.
    pub(crate) fn load(&self) {
        let (status, body) = self.call("POST", "/v1/settle?day=1971-01-01");
        assert_eq!(status, 200, "{body}");
    }

    pub(crate) fn report(&self, query: &str) -> Value {
        self.get(&format!("/v1/campaigns/{query}"))
    }

    pub(crate) fn rows(&self, query: &str) -> Vec<Value> {
        self.report(query)["rows"].as_array().expect("rows").clone()
    }

    /// The only row of a report.
    pub(crate) fn row(&self, query: &str) -> Value {
        let rows = self.rows(query);
        assert_eq!(rows.len(), 1, "{rows:?}");
        rows[0].clone()
    }

    /// What one SQL expression gives.
    pub(crate) fn sql(&self, text: &str) -> String {
        sql(&self.database, text)
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            handle.stop();
        }
        if self.drops_database {
            // A real server stays when the tests end.
            let _ = place().sql("", &format!("DROP DATABASE IF EXISTS {}", self.database));
        }
    }
}

fn open_lane(dir: &Path, clock: &Clock) -> Writer {
    let clock = clock.clone();
    let settings = journal::Settings { durability: journal::Durability::Os, ..journal::Settings::default() };
    Lane::open(&dir.join("lane-0"), settings, Arc::new(move || clock.now_ms())).expect("a lane").0
}

/// A small generator of numbers that a test can repeat (SplitMix64).
pub(crate) struct Random(pub u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// A seed: the one of `SEED`, else one from the clock. It is printed, so that a failing run can be repeated.
pub(crate) fn seed() -> u64 {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| Clock::System.now_ms().unsigned_abs());
    println!("SEED={seed}");
    seed
}
