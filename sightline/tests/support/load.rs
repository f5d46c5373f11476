//! Load for the tests that kill: beacons of known views and devices over kept connections, with a note of each that was sent and whether it
//! was answered as stored.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use event::key::KeyRing;
use event::stage::Stage;
use serde_json::{Value, json};

use super::http::{Connection, Response};
use super::random::Random;

/// An Android app's agent: neither a robot nor a browser.
pub(crate) const APP: &str = "Dalvik/2.1.0 (Linux; U; Android 14; Pixel 8 Build/AP1A.240305.019)";

/// Most items of a batch.
const BATCH_ITEMS_MAX: u64 = 20;

/// One ad view: everything that its hits have in common.
#[derive(Clone, Debug)]
pub(crate) struct View {
    /// Request id.
    pub(crate) request: String,
    /// Hash of it, as it is stored.
    pub(crate) hash: u64,
    /// Number of the device among all devices of the load.
    pub(crate) device: u64,
    /// Creative.
    pub(crate) creative: String,
    /// Unix seconds at the client.
    pub(crate) time: i64,
}

/// One beacon that left.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    /// Hash of its request id.
    pub(crate) view: u64,
    /// Stage.
    pub(crate) stage: Stage,
    /// Whether its answer said that it is stored. If not, it may or may not be.
    pub(crate) is_answered: bool,
}

/// What was sent, and what is known of the views.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    /// Every beacon.
    pub(crate) sent: Vec<Sent>,
    /// Every view by its hash.
    pub(crate) views: HashMap<u64, View>,
}

impl Ledger {
    /// Adds another one.
    pub(crate) fn merge(&mut self, other: Self) {
        self.sent.extend(other.sent);
        self.views.extend(other.views);
    }

    /// Beacons by view and stage: how many were answered as stored, and how many were sent.
    pub(crate) fn expected(&self) -> HashMap<(u64, Stage), (u64, u64)> {
        let mut expected = HashMap::new();
        for one in &self.sent {
            let (answered, sent): &mut (u64, u64) = expected.entry((one.view, one.stage)).or_default();
            *answered += u64::from(one.is_answered);
            *sent += 1;
        }
        expected
    }

    /// How many were answered as stored.
    pub(crate) fn answered(&self) -> usize {
        self.sent.iter().filter(|one| one.is_answered).count()
    }

    fn note(&mut self, view: &View, stage: Stage) -> usize {
        self.views.entry(view.hash).or_insert_with(|| view.clone());
        self.sent.push(Sent { view: view.hash, stage, is_answered: false });
        self.sent.len() - 1
    }
}

/// The device's identifier, as its number says.
pub(crate) fn oaid(device: u64) -> String {
    let mut random = Random::new(device.wrapping_mul(0x1234_5678_9abc_def1) ^ 0x0a1d);
    random.uuid()
}

/// One connection that sends as fast as it is answered.
pub(crate) struct Sender {
    connection: Connection,
    debug_key: String,
    /// The instance's: what it stores is known by them.
    keys: Arc<KeyRing>,
    random: Random,
    /// Begins every request id of this sender.
    name: String,
    creative: String,
    devices: u64,
    /// Client times, Unix seconds, of which each view gets one.
    times: Vec<i64>,
    mine: Vec<View>,
    /// What it sent.
    pub(crate) ledger: Ledger,
}

impl Sender {
    /// Connects. `name` must be unique in a test.
    pub(crate) fn open(
        address: SocketAddr,
        debug_key: &str,
        keys: &Arc<KeyRing>,
        name: &str,
        random: Random,
    ) -> io::Result<Self> {
        Ok(Self {
            connection: Connection::open(address)?,
            debug_key: debug_key.to_owned(),
            keys: Arc::clone(keys),
            random,
            name: name.to_owned(),
            creative: String::new(),
            devices: 1,
            times: Vec::new(),
            mine: Vec::new(),
            ledger: Ledger::default(),
        })
    }

    /// Which creative its views have, of how many devices they are, and at which of the client's times.
    #[must_use]
    pub(crate) fn sending(mut self, creative: &str, devices: u64, times: &[i64]) -> Self {
        creative.clone_into(&mut self.creative);
        self.devices = devices;
        times.clone_into(&mut self.times);
        self
    }

    /// Goes on over a new connection, perhaps to another address.
    pub(crate) fn reconnect(&mut self, address: SocketAddr, debug_key: &str) -> io::Result<()> {
        self.connection = Connection::open(address)?;
        debug_key.clone_into(&mut self.debug_key);
        Ok(())
    }

    /// Sends until `stop` or until the connection breaks; the error, if one did.
    pub(crate) fn run(&mut self, stop: &AtomicBool) -> io::Result<()> {
        while !stop.load(Ordering::Acquire) {
            self.step()?;
        }
        Ok(())
    }

    /// One request: mostly a new impression, else a repeat, a click, a later stage or a batch.
    pub(crate) fn step(&mut self) -> io::Result<()> {
        match self.random.below(100) {
            0..55 => {
                let view = self.new_view();
                self.pixel(&view, Stage::Impression)
            }
            55..65 => {
                let view = self.known_view();
                self.pixel(&view, Stage::Impression)
            }
            65..75 => {
                let view = self.known_view();
                self.pixel(&view, Stage::Viewable)
            }
            75..87 => {
                let view = self.known_view();
                self.click(&view)
            }
            _ => self.batch(),
        }
    }

    /// A new impression or another stage as a pixel.
    pub(crate) fn pixel(&mut self, view: &View, stage: Stage) -> io::Result<()> {
        let path = match stage {
            Stage::Impression => "/i".to_owned(),
            other => format!("/e/{}", other.name()),
        };
        let number = self.ledger.note(view, stage);
        let answer = self.get(&format!("{path}?{}", query(view)))?;
        // 503 says: not stored as far as we know. Everything else that is not 200 is a fault of the test or of the product.
        if answer.status != 503 {
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert_eq!(answer.header("x-sightline-outcome"), Some("accepted"), "{answer:?}");
            self.ledger.sent[number].is_answered = true;
        }
        Ok(())
    }

    /// A click that lands on example.com.
    pub(crate) fn click(&mut self, view: &View) -> io::Result<()> {
        let number = self.ledger.note(view, Stage::Click);
        let answer = self.get(&format!("/c?{}&u=https%3A%2F%2Fwww.example.com%2Flanding", query(view)))?;
        assert_eq!(answer.status, 302, "{}", answer.text());
        assert_eq!(answer.header("location"), Some("https://www.example.com/landing"), "{answer:?}");
        match answer.header("x-sightline-outcome") {
            Some("accepted") => self.ledger.sent[number].is_answered = true,
            Some("unconfirmed_click" | "rejected; reason=lost_click") => {}
            other => panic!("a click's outcome is {other:?}"),
        }
        Ok(())
    }

    /// A batch of hits of new and known views.
    pub(crate) fn batch(&mut self) -> io::Result<()> {
        let mut items = Vec::new();
        let mut numbers = Vec::new();
        for _ in 0..=self.random.below(BATCH_ITEMS_MAX) {
            let stage = if self.random.percent(20) { Stage::Click } else { Stage::Impression };
            let view = if self.random.percent(80) { self.new_view() } else { self.known_view() };
            numbers.push(self.ledger.note(&view, stage));
            items.push(item(&view, stage));
        }
        let headers = [("user-agent", APP)];
        let answer = self.connection.post_json("/v1/events", &headers, &Value::Array(items))?;
        assert!(matches!(answer.status, 200 | 503), "{}: {}", answer.status, answer.text());
        let results = answer.json()["results"].as_array().cloned().unwrap_or_default();
        if answer.status == 200 {
            assert_eq!(results.len(), numbers.len(), "{}", answer.text());
        }
        for (number, result) in numbers.iter().zip(results) {
            match result["outcome"].as_str() {
                Some("accepted") => self.ledger.sent[*number].is_answered = true,
                _ => assert_eq!(result["reason"], "storage_failed", "{result}"),
            }
        }
        Ok(())
    }

    fn get(&mut self, target: &str) -> io::Result<Response> {
        self.connection.get(target, &[("user-agent", APP), ("x-sightline-debug", &self.debug_key)])
    }

    /// A view that nobody has sent yet.
    pub(crate) fn new_view(&mut self) -> View {
        let request = format!("{}-{}", self.name, self.mine.len());
        let view = View {
            hash: self.keys.view_hash(request.as_bytes()),
            request,
            device: self.random.below(self.devices),
            creative: self.creative.clone(),
            time: self.times[self.random.below(self.times.len() as u64) as usize],
        };
        self.mine.push(view.clone());
        view
    }

    fn known_view(&mut self) -> View {
        if self.mine.is_empty() {
            return self.new_view();
        }
        self.mine[self.random.below(self.mine.len() as u64) as usize].clone()
    }
}

fn query(view: &View) -> String {
    let View { request, hash: _, device, creative, time } = view;
    format!("c=demo&p=p1&cr={creative}&rid={request}&t={time}&os=android&oaid={}", oaid(*device))
}

fn item(view: &View, stage: Stage) -> Value {
    json!({
        "stage": stage.name(), "c": "demo", "p": "p1", "cr": view.creative, "rid": view.request, "t": view.time,
        "os": "android", "oaid": oaid(view.device),
    })
}
