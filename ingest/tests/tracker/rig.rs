//! A tracker of its own for each test, a plain HTTP client, and the journal read back.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use catalog::Catalog;
use event::clock::Clock;
use event::identifier::{IdKind, lodge};
use event::key::{KeyRing, OptOutHash};
use event::link::LinkKeys;
use event::outcome::Outcome;
use event::record::{Device, Event, OutcomeCounts, Platform, Record, SourceKind, decode};
use event::stage::Stage;
use ingest::{Handle, Parts, Right, Server, Settings, Signature};
use journal::{Durability, Health, JournalId, Lane};

use crate::disk::MoodyDisk;

/// 2026-11-21T12:00:00Z.
pub(crate) const NOW_MS: i64 = 1_795_262_400_000;
pub(crate) const DEBUG_KEY: &str = "debug-key-of-the-test";
pub(crate) const SERVER_KEY: &str = "server-key-of-the-test";
pub(crate) const PLAIN_SERVER_KEY: &str = "plain-server-key-of-the-test";
/// Bearer key of the server `signer`, which may sign with either of two secrets.
pub(crate) const SIGNER_KEY: &str = "signer-key-of-the-test";
pub(crate) const NEW_SECRET: &str = "new-signing-key-of-the-test-0123456789";
pub(crate) const OLD_SECRET: &str = "old-signing-key-of-the-test-0123456789";
/// Bearer key of the server `strict`, which has to sign.
pub(crate) const STRICT_KEY: &str = "strict-key-of-the-test";
pub(crate) const STRICT_SECRET: &str = "strict-signing-key-of-the-test-0123456789";
/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

const CATALOG: &str = r#"
[[campaign]]
id = "demo"
name = "Demo"
time_zone = "Asia/Shanghai"
starts = 2026-11-01
landing_hosts = ["www.example.com", ".example.org"]
[[campaign.placement]]
id = "p1"
name = "Banner"
medium = "Example"
landing_page = "https://www.example.com/page"
vast_tag = "https://ads.example.net/vast"
[[campaign.placement]]
id = "bare"
name = "Nothing registered to land on"
medium = "Example"
[[campaign.placement]]
id = "s2s"
name = "From a server"
medium = "Example"
source = "s2s"
[[campaign]]
id = "2070777"
name = "In Miaozhen's grammar"
time_zone = "Asia/Shanghai"
landing_hosts = ["www.example.com"]
[[campaign.placement]]
id = "7CmBF"
name = "Banner"
medium = "Example"
landing_page = "https://www.example.com/page"
[[campaign.placement]]
id = "1899468"
name = "With a number, as AdMaster's grammar has it"
medium = "Example"
[[campaign.placement]]
id = "SIGNED"
name = "By signed links"
medium = "Example"
signed_links = true
vast_tag = "https://ads.example/tag.xml"
[[campaign.placement]]
id = "TRIAL"
name = "Not launched yet"
medium = "Example"
state = "trial"
"#;

pub(crate) struct Rig {
    pub(crate) address: SocketAddr,
    pub(crate) clock: Clock,
    pub(crate) disk: MoodyDisk,
    pub(crate) catalog: catalog::Shared,
    /// Filled by a test that wants one; a lane notes it within a second.
    pub(crate) regions: ingest::SharedRegions,
    pub(crate) opt_outs: opt_out::List,
    /// Where TLS is spoken, if the settings say so.
    pub(crate) tls_address: Option<SocketAddr>,
    /// Given for as long as any test runs, until a test takes it.
    pub(crate) grant: opt_out::Grant,
    pub(crate) keys: Arc<KeyRing>,
    pub(crate) handle: Option<Handle>,
    pub(crate) journal: journal::Settings,
    writers: Vec<journal::Writer>,
    dirs: Vec<PathBuf>,
    folder: tempfile::TempDir,
}

/// What the journal held in the end.
pub(crate) struct Stored {
    pub(crate) events: Vec<Seen>,
    /// Hits of trial placements, printed.
    pub(crate) trial_hits: Vec<String>,
    /// Region libraries that came into force, with when they were built.
    pub(crate) libraries: Vec<String>,
    /// The last books of each incarnation, in the order of lanes and time.
    pub(crate) books: Vec<OutcomeCounts>,
}

/// An event without borrowed parts.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) received_ms: i64,
    pub(crate) time_ms: i64,
    pub(crate) client_time_ms: Option<i64>,
    pub(crate) day: Option<u16>,
    pub(crate) hour: u8,
    pub(crate) stage: Stage,
    pub(crate) source: SourceKind,
    pub(crate) platform: Platform,
    pub(crate) flags: u32,
    pub(crate) campaign: String,
    pub(crate) placement: String,
    pub(crate) creative: String,
    pub(crate) region: String,
    pub(crate) device: Option<Device>,
    pub(crate) view: u64,
    pub(crate) network: Vec<u8>,
    pub(crate) agent: String,
    pub(crate) site: String,
    pub(crate) bytes: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

/// A connection of a client.
pub(crate) struct Client(BufReader<Box<dyn Wire>>);

/// What a client speaks over.
pub(crate) trait Wire: Read + Write + Send {
    /// Says that nothing more will be sent.
    fn shutdown_write(&mut self) -> std::io::Result<()>;
}

impl Wire for TcpStream {
    fn shutdown_write(&mut self) -> std::io::Result<()> {
        self.shutdown(std::net::Shutdown::Write)
    }
}

impl Rig {
    pub(crate) fn start() -> Self {
        Self::with(|_, _| {})
    }

    /// Starts one lane, after `change` had its way with the settings of tracker and journal.
    pub(crate) fn with(change: impl FnOnce(&mut Settings, &mut journal::Settings)) -> Self {
        Self::with_keys(Self::keys(), change)
    }

    /// The same with other device keys.
    pub(crate) fn with_keys(
        keys: KeyRing,
        change: impl FnOnce(&mut Settings, &mut journal::Settings),
    ) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let key_file = |name: &str, key: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, key).expect("written");
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("set");
            path
        };
        let server = |name: &str, key_file, rights| Server {
            name: name.to_owned(),
            key_sha256: None,
            key_file: Some(key_file),
            signing_key_files: Vec::new(),
            networks: Vec::new(),
            signature: Signature::Optional,
            rights,
        };
        let rights = vec![Right::Ip, Right::Ua, Right::Backdate];
        let mut settings = Settings {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            server: vec![
                server("all", key_file("all.key", SERVER_KEY), rights.clone()),
                server("none", key_file("none.key", PLAIN_SERVER_KEY), vec![]),
                Server {
                    signing_key_files: vec![
                        key_file("new.sign", NEW_SECRET),
                        key_file("old.sign", OLD_SECRET),
                    ],
                    ..server("signer", key_file("signer.key", SIGNER_KEY), rights.clone())
                },
                Server {
                    signing_key_files: vec![key_file("strict.sign", STRICT_SECRET)],
                    signature: Signature::Required,
                    ..server("strict", key_file("strict.key", STRICT_KEY), rights)
                },
            ],
            debug_key_file: Some(key_file("debug.key", DEBUG_KEY)),
            lanes: 1,
            ..Settings::default()
        };
        let mut journal = journal::Settings {
            durability: Durability::Os,
            probe_interval: Duration::from_millis(20),
            ..journal::Settings::default()
        };
        change(&mut settings, &mut journal);
        let catalog = Catalog::parse(CATALOG, "catalog.toml").expect("a sound catalog").into_shared();
        let mut rig = Self {
            address: settings.listen,
            tls_address: None,
            clock: Clock::manual(NOW_MS),
            disk: MoodyDisk::new(),
            catalog,
            regions: ingest::SharedRegions::default(),
            opt_outs: opt_out::List::new(opt_out::ListSettings::default()),
            grant: opt_out::Grant::new(),
            keys: Arc::new(keys),
            handle: None,
            journal,
            writers: Vec::new(),
            dirs: Vec::new(),
            folder,
        };
        rig.grant.extend(Instant::now() + Duration::from_hours(1_000), NOW_MS);
        rig.run(settings);
        rig
    }

    fn run(&mut self, settings: Settings) {
        let lanes: Vec<_> = (0..settings.lanes)
            .map(|lane| {
                let dir = self.folder.path().join(format!("lane-{lane}"));
                let clock = self.clock.clone();
                let storage = Arc::new(self.disk.clone());
                let clock: journal::Clock = Arc::new(move || clock.now_ms());
                let (writer, _) =
                    Lane::open_on(storage, &dir, self.journal.clone(), clock).expect("a lane opens");
                self.dirs.push(dir);
                writer
            })
            .collect();
        self.writers.clone_from(&lanes);
        let parts = Parts {
            dialects: Arc::clone(event::dialect::Dialects::built_in()),
            keys: Arc::clone(&self.keys),
            link_keys: Arc::new(Self::link_keys()),
            catalog: Arc::clone(&self.catalog),
            regions: Arc::clone(&self.regions),
            opt_outs: self.opt_outs.clone(),
            standing: self.grant.standing(),
            lanes,
            clock: self.clock.clone(),
            security: security_log::SecurityLog::off(),
            tls: settings.listen_tls.map(|_| self.acceptor()),
        };
        let handle = ingest::start(settings, parts).expect("the tracker starts");
        self.address = handle.address();
        self.tls_address = handle.tls_address();
        self.handle = Some(handle);
    }

    /// The device keys of every rig.
    pub(crate) fn keys() -> KeyRing {
        let mut seed = 0_u8;
        KeyRing::generate(|bytes| {
            for byte in bytes {
                seed = seed.wrapping_mul(31).wrapping_add(7);
                *byte = seed;
            }
        })
    }

    /// Starts a second tracker beside this one, on a journal of its own.
    pub(crate) fn start_another(&self, settings: Settings) -> Result<Handle, ingest::Error> {
        let clock: journal::Clock = Arc::new(|| NOW_MS);
        let (writer, _) =
            Lane::open(&self.folder.path().join("another"), journal::Settings::default(), clock)
                .expect("a lane opens");
        let parts = Parts {
            dialects: Arc::clone(event::dialect::Dialects::built_in()),
            keys: Arc::clone(&self.keys),
            link_keys: Arc::default(),
            catalog: Arc::clone(&self.catalog),
            regions: Arc::clone(&self.regions),
            opt_outs: self.opt_outs.clone(),
            standing: opt_out::Standing::always(),
            lanes: vec![writer],
            clock: self.clock.clone(),
            security: security_log::SecurityLog::off(),
            tls: None,
        };
        ingest::start(settings, parts)
    }

    /// TLS with a certificate of this test's own, which lies in `c.pem` of the folder.
    fn acceptor(&self) -> tls::Acceptor {
        let issued = rcgen::generate_simple_self_signed(vec![crate::tls::NAME.to_owned()]).expect("issued");
        let put = |name: &str, text: String| {
            let path = self.folder.path().join(name);
            std::fs::write(&path, text).expect("written");
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("set");
            path
        };
        let settings = tls::Settings {
            certificate_file: Some(put("c.pem", issued.cert.pem())),
            key_file: Some(put("k.pem", issued.signing_key.serialize_pem())),
            handshake_seconds_max: 1,
        };
        let certificates = tls::Certificates::load(&settings, &self.clock).expect("a good pair");
        certificates.expect("is configured").acceptor("tracker")
    }

    /// The certificate that clients have to trust, PEM.
    pub(crate) fn certificate(&self) -> Vec<u8> {
        std::fs::read(self.folder.path().join("c.pem")).expect("TLS is configured")
    }

    /// The keys of signed links.
    pub(crate) fn link_keys() -> LinkKeys {
        LinkKeys::from_texts([format!("sightline_link_{}", "0123456789abcdef".repeat(4))]).expect("a key")
    }

    /// Names of the region libraries that the journal notes by now.
    pub(crate) fn notes(&self) -> String {
        let mut names = String::new();
        for dir in &self.dirs {
            let read = journal::read_all(dir, |_, _, bytes| {
                if let Ok(Record::RegionLibrary(library)) = decode(bytes) {
                    names.push_str(library.name);
                }
            });
            read.expect("the journal is readable");
        }
        names
    }

    pub(crate) fn connect(&self) -> Client {
        Client::to(self.address)
    }

    /// Whether no commit is under way.
    pub(crate) fn is_disk_idle(&self) -> bool {
        self.writers.iter().all(|writer| match writer.health() {
            Health::Open { commit_running } => commit_running.is_zero(),
            Health::Full | Health::Failed(_) | Health::Closed => true,
        })
    }

    /// Records that wait behind the commit that runs.
    pub(crate) fn queued(&self) -> u64 {
        self.writers.iter().map(|writer| writer.stats().queue_records).sum()
    }

    /// Where the first lane keeps its journal.
    pub(crate) fn lane_dir(&self) -> PathBuf {
        self.dirs[0].clone()
    }

    /// One request on a connection of its own.
    pub(crate) fn get(&self, target: &str) -> Reply {
        self.connect().get(target, &[])
    }

    /// The same with the debug key: the outcome that the tracker tells.
    pub(crate) fn outcome(&self, target: &str, headers: &[(&str, &str)]) -> String {
        let mut headers = headers.to_vec();
        headers.push(("x-sightline-debug", DEBUG_KEY));
        let reply = self.connect().get(target, &headers);
        reply.header("x-sightline-outcome").to_owned()
    }

    /// Lodges an opt-out, as the registry would.
    pub(crate) fn opt_out(&self, kind: IdKind, value: &str) {
        let hashes: Vec<OptOutHash> =
            lodge(kind, value.as_bytes(), &self.keys).expect("a good id").hashes.to_vec();
        for hash in &hashes {
            self.opt_outs.insert(hash);
        }
    }

    /// Stops the tracker and reads its journal. Every record of the books is held against the events before it.
    pub(crate) fn stop(mut self) -> Stored {
        if let Some(handle) = self.handle.take() {
            handle.stop_blocking().expect("the tracker stops well");
        }
        let mut stored =
            Stored { events: Vec::new(), trial_hits: Vec::new(), libraries: Vec::new(), books: Vec::new() };
        for dir in &self.dirs {
            let mut incarnation = None;
            let mut events = 0_u64;
            let mut last = None;
            let report = journal::read_all(dir, |id: JournalId, _, bytes| {
                if incarnation.replace(id) != Some(id) {
                    events = 0;
                    stored.books.extend(last.take());
                }
                match decode(bytes).expect("a record of this version") {
                    Record::Event(event) => {
                        events += 1;
                        stored.events.push(Seen::of(&event, bytes));
                    }
                    Record::Outcomes(counts) => {
                        check_balance(&counts, events);
                        last = Some(counts);
                    }
                    Record::TrialHit(hit) => stored.trial_hits.push(format!("{hit:?}")),
                    Record::RegionLibrary(library) => {
                        assert!(library.at_ms <= NOW_MS + 3_600_000, "{library:?}");
                        stored.libraries.push(format!("{} {}", library.name, library.built));
                    }
                }
            });
            report.expect("the journal is readable");
            stored.books.extend(last);
        }
        stored
    }
}

fn check_balance(counts: &OutcomeCounts, events: u64) {
    let sum: u64 = counts.outcomes.iter().sum();
    assert_eq!(counts.received, sum + counts.pending, "{counts:?}");
    let of = |outcome: Outcome| counts.outcomes[outcome as usize];
    let appended =
        of(Outcome::Accepted) + of(Outcome::Unresolved) + of(Outcome::UnconfirmedClick) + counts.pending;
    assert_eq!(events, appended, "event records before {counts:?}");
    assert_eq!(counts.at_ms % 1000, 0);
}

impl Stored {
    /// The last word of the books on an outcome.
    pub(crate) fn count(&self, outcome: Outcome) -> u64 {
        self.books.iter().map(|books| books.outcomes[outcome as usize]).sum()
    }

    pub(crate) fn received(&self) -> u64 {
        self.books.iter().map(|books| books.received).sum()
    }

    pub(crate) fn only(&self) -> &Seen {
        assert_eq!(self.events.len(), 1, "{:?}", self.events);
        &self.events[0]
    }
}

impl Seen {
    fn of(event: &Event<'_>, bytes: &[u8]) -> Self {
        Self {
            received_ms: event.received_ms,
            time_ms: event.time_ms,
            client_time_ms: event.client_time_ms,
            day: event.day,
            hour: event.hour,
            stage: event.stage,
            source: event.source,
            platform: event.platform,
            flags: event.flags,
            campaign: event.campaign.to_owned(),
            placement: event.placement.to_owned(),
            creative: event.creative.to_owned(),
            region: event.region.to_owned(),
            device: event.device,
            view: event.view,
            network: event.network.to_vec(),
            agent: event.agent.to_owned(),
            site: event.site.to_owned(),
            bytes: bytes.to_vec(),
        }
    }
}

impl Client {
    pub(crate) fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("connected");
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        stream.set_nodelay(true).expect("set");
        Self::over(Box::new(stream))
    }

    pub(crate) fn over(wire: Box<dyn Wire>) -> Self {
        Self(BufReader::new(wire))
    }

    /// Reads exactly so many bytes; `None` at the end of the connection.
    pub(crate) fn read_bytes(&mut self, count: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.0.read_exact(&mut bytes).ok().map(|()| bytes)
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        // A tracker that has refused us may have closed already: what it answered is what counts.
        let wire = self.0.get_mut();
        let _ = wire.write_all(bytes).and_then(|()| wire.flush());
    }

    pub(crate) fn get(&mut self, target: &str, headers: &[(&str, &str)]) -> Reply {
        self.request("GET", target, headers, b"")
    }

    pub(crate) fn request(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Reply {
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: tracker.example\r\n");
        for (name, value) in headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        if !body.is_empty() {
            head.extend(["Content-Length: ", &body.len().to_string(), "\r\n"]);
        }
        head.push_str("\r\n");
        self.send(&[head.as_bytes(), body].concat());
        self.reply(method == "HEAD").expect("an answer")
    }

    /// The next answer, or `None` at the end of the connection.
    pub(crate) fn reply(&mut self, is_head: bool) -> Option<Reply> {
        let mut line = String::new();
        if self.0.read_line(&mut line).unwrap_or(0) == 0 {
            return None;
        }
        let status = line.split(' ').nth(1).expect("a status").parse().expect("a number");
        let mut headers = HashMap::new();
        loop {
            line.clear();
            self.0.read_line(&mut line).expect("a header line");
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let length = headers.get("content-length").map_or(0, |length| length.parse().expect("a length"));
        let mut body = vec![0; if is_head { 0 } else { length }];
        self.0.read_exact(&mut body).expect("the body");
        Some(Reply { status, headers, body })
    }

    /// Whether the tracker ends the connection without another answer.
    pub(crate) fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        matches!(self.0.read(&mut byte), Ok(0) | Err(_))
    }

    pub(crate) fn shutdown_write(&mut self) {
        self.0.get_mut().shutdown_write().expect("shut down");
    }
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub(crate) fn is_pixel(&self) -> bool {
        self.status == 200
            && self.header("content-type") == "image/gif"
            && self.body.len() == 43
            && self.header("cache-control").contains("no-store")
    }

    pub(crate) fn is_plain_page(&self) -> bool {
        self.status == 200 && self.header("content-type").starts_with("text/html") && !self.body.is_empty()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Looks again and again until `holds`.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "{what} did not come about");
        std::thread::sleep(Duration::from_millis(2));
    }
}
