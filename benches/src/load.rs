//! The load driver: one thread, one epoll, keep-alive connections with one request under way on each.
//!
//! At a fixed rate it is open-loop: request n is due at `start + n / rate` whatever the server does, and its latency counts from
//! that moment, not from the moment at which a connection was free for it. So a server that stalls pays for every request that it
//! kept waiting (no coordinated omission). To saturation it is closed-loop: each connection sends its next request with the last
//! answer, and only rate and CPU are worth reading.
//!
//! Bounds: the run ends [`DRAIN`] after its window at the latest; what is then unanswered is counted and enters the histogram with
//! the time it has waited so far.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::event::Timespec;
use rustix::event::epoll;
use rustix::fd::OwnedFd;

use crate::beacon::Beacons;
use crate::connection::{Arrived, Connection, open};
use crate::cpu::{Reading, Tree};

/// Longest wait for answers after the window.
pub const DRAIN: Duration = Duration::from_secs(5);

/// Longest latency told apart, nanoseconds: one minute.
const LATENCY_NS_MAX: u64 = 60_000_000_000;

/// How long before a request is due the driver stops sleeping and looks again and again: the kernel's timers are that coarse.
const SPIN: Duration = Duration::from_micros(100);

/// Longest sleep: how often the driver looks at the end of its window when nothing happens.
const SLEEP: Duration = Duration::from_millis(100);

/// Most connections.
pub const CONNECTIONS_MAX: usize = 4096;

/// What can go wrong before a single answer is counted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server does not take connections.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// Where to.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The kernel refused its own interface.
    #[error("epoll: {0}")]
    Epoll(#[from] rustix::io::Errno),
    /// A plan that cannot be driven.
    #[error("{0}")]
    Plan(String),
}

/// When requests are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// The next one with each answer.
    Saturation,
    /// At a fixed rate, requests a second, evenly spaced.
    PerSecond(f64),
}

/// One run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The server.
    pub address: SocketAddr,
    /// Keep-alive connections.
    pub connections: usize,
    /// When requests are sent.
    pub pace: Pace,
    /// Time before the window in which nothing is counted.
    pub warm_up: Duration,
    /// The window.
    pub measured: Duration,
    /// The server's process, to read what it spends.
    pub server_pid: Option<u32>,
}

/// What came out of a run. Only requests due within the window are in the histogram.
#[derive(Clone, Debug)]
pub struct Report {
    /// Nanoseconds from the moment a request was due to the last byte of its answer.
    pub latency: Histogram<u64>,
    /// Answers that arrived within the window.
    pub answered: u64,
    /// The window, seconds.
    pub seconds: f64,
    /// Answers with a status of 400 and more.
    pub refused: u64,
    /// Connections that ended, or answers that made no sense, while a request was under way.
    pub broken: u64,
    /// Requests without an answer when the drain ended.
    pub unanswered: u64,
    /// CPU nanoseconds of the server within the window, by thread name.
    pub cpu: BTreeMap<String, u64>,
}

impl Report {
    /// Answers a second.
    pub fn rate(&self) -> f64 {
        self.answered as f64 / self.seconds
    }

    /// Latency at a quantile, microseconds.
    pub fn latency_us(&self, quantile: f64) -> f64 {
        self.latency.value_at_quantile(quantile) as f64 / 1e3
    }

    /// CPU microseconds of the server for each answer; all threads.
    pub fn cpu_us(&self) -> f64 {
        self.cpu.values().sum::<u64>() as f64 / 1e3 / self.answered.max(1) as f64
    }

    /// Whatever is not a plain answer.
    pub fn errors(&self) -> u64 {
        self.refused + self.broken + self.unanswered
    }
}

/// Drives the server as planned.
///
/// # Errors
/// [`Error`]: when the plan makes no sense or the server cannot be reached at the start.
pub fn run(plan: &Plan, beacons: &mut Beacons) -> Result<Report, Error> {
    if plan.connections == 0 || plan.connections > CONNECTIONS_MAX {
        return Err(Error::Plan(format!("{} connections: take 1 to {CONNECTIONS_MAX}", plan.connections)));
    }
    if let Pace::PerSecond(rate) = plan.pace
        && !(rate.is_finite() && rate > 0.0)
    {
        return Err(Error::Plan(format!("{rate} requests a second: take a rate above 0")));
    }
    let mut driver = Driver::connect(plan)?;
    driver.drive(beacons)?;
    Ok(driver.report())
}

struct Driver<'a> {
    plan: &'a Plan,
    epoll: OwnedFd,
    connections: Vec<Connection>,
    idle: VecDeque<usize>,
    start: Instant,
    /// Requests handed out so far, at a fixed rate.
    handed_out: u64,
    server: Option<Tree>,
    cpu: (Option<Reading>, Option<Reading>),
    latency: Histogram<u64>,
    answered: u64,
    refused: u64,
    broken: u64,
    unanswered: u64,
}

impl<'a> Driver<'a> {
    fn connect(plan: &'a Plan) -> Result<Self, Error> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let connections = (0..plan.connections)
            .map(|index| open(&epoll, plan.address, index))
            .collect::<Result<Vec<_>, Error>>()?;
        let latency =
            Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3).map_err(|e| Error::Plan(e.to_string()))?;
        Ok(Self {
            plan,
            epoll,
            idle: (0..connections.len()).collect(),
            connections,
            start: Instant::now(),
            handed_out: 0,
            server: plan.server_pid.map(Tree::of),
            cpu: (None, None),
            latency,
            answered: 0,
            refused: 0,
            broken: 0,
            unanswered: 0,
        })
    }

    fn drive(&mut self, beacons: &mut Beacons) -> Result<(), Error> {
        self.start = Instant::now();
        let (opens, closes) = (self.opens(), self.closes());
        let mut events = Vec::with_capacity(self.connections.len());
        loop {
            let now = Instant::now();
            if now >= opens && self.cpu.0.is_none() {
                self.cpu.0 = self.server.as_ref().map(Tree::read);
            }
            if now >= closes {
                if self.cpu.1.is_none() {
                    self.cpu.1 = self.server.as_ref().map(Tree::read);
                }
                let done = self.idle.len() == self.connections.len() && self.next_due(now).is_none();
                if done || now >= closes + DRAIN {
                    break;
                }
            }
            self.send_due(now, beacons);
            let wait = self.wait(Instant::now());
            let timeout = Timespec { tv_sec: 0, tv_nsec: wait.as_nanos() as i64 };
            events.clear();
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&timeout)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                self.arrived(event.data.u64() as usize, beacons)?;
            }
        }
        self.give_up();
        Ok(())
    }

    fn opens(&self) -> Instant {
        self.start + self.plan.warm_up
    }

    fn closes(&self) -> Instant {
        self.opens() + self.plan.measured
    }

    /// When the next request is due, if one is still to be sent in this run.
    fn next_due(&self, now: Instant) -> Option<Instant> {
        let due = match self.plan.pace {
            Pace::Saturation => now,
            Pace::PerSecond(rate) => self.start + Duration::from_secs_f64(self.handed_out as f64 / rate),
        };
        (due < self.closes()).then_some(due)
    }

    /// Sends what is due as long as a connection is free for it.
    fn send_due(&mut self, now: Instant, beacons: &mut Beacons) {
        while let Some(due) = self.next_due(now).filter(|due| *due <= now) {
            let Some(index) = self.idle.pop_front() else { return };
            self.handed_out += 1;
            if let Some(connection) = self.connections.get_mut(index) {
                connection.due = Some(due);
                connection.send(beacons.next_request());
            }
        }
    }

    /// How long to wait for the network.
    fn wait(&self, now: Instant) -> Duration {
        match self.next_due(now) {
            Some(due) if !self.idle.is_empty() => {
                due.saturating_duration_since(now).saturating_sub(SPIN).min(SLEEP)
            }
            _ => SLEEP,
        }
    }

    fn arrived(&mut self, index: usize, beacons: &mut Beacons) -> Result<(), Error> {
        let Some(connection) = self.connections.get_mut(index) else { return Ok(()) };
        connection.flush();
        let due = match connection.read() {
            Arrived::Nothing => return Ok(()),
            Arrived::Whole(answer) => {
                let due = connection.due.take();
                let again = answer.closes;
                self.count(due, answer.status);
                if again {
                    self.reopen(index)?;
                }
                due
            }
            Arrived::Ended => {
                let due = connection.due.take();
                self.broken += u64::from(due.is_some());
                self.reopen(index)?;
                due
            }
        };
        // A connection that ended while nothing was under way is idle already.
        if due.is_none() {
            return Ok(());
        }
        let now = Instant::now();
        if self.plan.pace == Pace::Saturation && now < self.closes() {
            if let Some(connection) = self.connections.get_mut(index) {
                connection.due = Some(now);
                connection.send(beacons.next_request());
            }
        } else {
            self.idle.push_back(index);
        }
        Ok(())
    }

    fn count(&mut self, due: Option<Instant>, status: u16) {
        let now = Instant::now();
        let window = self.opens()..self.closes();
        self.refused += u64::from(status >= 400);
        self.answered += u64::from(window.contains(&now));
        if let Some(due) = due.filter(|due| window.contains(due)) {
            self.latency.saturating_record(now.saturating_duration_since(due).as_nanos() as u64);
        }
    }

    fn reopen(&mut self, index: usize) -> Result<(), Error> {
        let connection = open(&self.epoll, self.plan.address, index)?;
        if let Some(place) = self.connections.get_mut(index) {
            *place = connection;
        }
        Ok(())
    }

    /// What is due or under way now has waited too long: it counts as it is.
    fn give_up(&mut self) {
        let now = Instant::now();
        let window = self.opens()..self.closes();
        let mut waiting: Vec<Instant> =
            self.connections.iter().filter_map(|connection| connection.due).collect();
        if self.plan.pace != Pace::Saturation {
            while let Some(due) = self.next_due(now) {
                waiting.push(due);
                self.handed_out += 1;
            }
        }
        self.unanswered = waiting.len() as u64;
        for due in waiting.into_iter().filter(|due| window.contains(due)) {
            self.latency.saturating_record(now.saturating_duration_since(due).as_nanos() as u64);
        }
    }

    fn report(self) -> Report {
        let cpu = match self.cpu {
            (Some(before), Some(after)) => after.since(&before),
            _ => BTreeMap::new(),
        };
        Report {
            latency: self.latency,
            answered: self.answered,
            seconds: self.plan.measured.as_secs_f64(),
            refused: self.refused,
            broken: self.broken,
            unanswered: self.unanswered,
            cpu,
        }
    }
}
