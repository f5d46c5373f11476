//! The load driver against servers that misbehave on purpose: it must count what a client would have felt.

// A step that fails here fails its test.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use benches::beacon::{Beacons, Campaign};
use benches::load::{Pace, Plan, Report, run};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nGIF";
const BUSY: &[u8] = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n";
const LAST: &[u8] = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// What a server does with its n-th request: the answer, or nothing and the end of the connection.
type Behaviour = fn(u64, Duration) -> Option<&'static [u8]>;

/// A server with a thread for each connection. `behaviour` gets the request's number and the server's age.
fn serve(behaviour: Behaviour) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (count, start) = (Arc::new(AtomicU64::new(0)), Instant::now());
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let count = Arc::clone(&count);
            thread::spawn(move || answer(stream, &count, start, behaviour));
        }
    });
    address
}

fn answer(mut stream: TcpStream, count: &AtomicU64, start: Instant, behaviour: Behaviour) {
    let mut request = [0; 4096];
    let mut filled = 0;
    while let Ok(bytes @ 1..) = stream.read(&mut request[filled..]) {
        filled += bytes;
        if !request[..filled].ends_with(b"\r\n\r\n") {
            continue;
        }
        filled = 0;
        let Some(answer) = behaviour(count.fetch_add(1, Ordering::Relaxed), start.elapsed()) else { return };
        if stream.write_all(answer).is_err() || answer == LAST {
            return;
        }
    }
}

fn drive(address: SocketAddr, pace: Pace, connections: usize) -> Report {
    let campaign = Campaign { campaign: "demo".to_owned(), placement: "p1".to_owned() };
    let plan = Plan {
        address,
        connections,
        pace,
        warm_up: Duration::from_millis(200),
        measured: Duration::from_secs(1),
        server_pid: Some(std::process::id()),
    };
    run(&plan, &mut Beacons::new("localhost", &campaign, 1)).unwrap()
}

#[test]
fn every_request_that_a_stall_delayed_is_counted_as_slow() {
    // From 0.6 s to 1.0 s of its life nobody is answered; two connections would send two requests in that time if they waited.
    let address = serve(|_, age| {
        let stall = Duration::from_millis(600)..Duration::from_secs(1);
        if stall.contains(&age) {
            thread::park_timeout(stall.end.saturating_sub(age));
        }
        Some(OK)
    });
    let report = drive(address, Pace::PerSecond(500.0), 2);
    assert_eq!(report.errors(), 0);
    assert_eq!(report.latency.len(), 500, "every request due in the window is counted, answered or not");
    // Of the 200 requests due in the stall, three quarters waited longer than a quarter of it.
    let slow = report.latency.count_between(100_000_000, 60_000_000_000);
    assert!(slow >= 100, "only {slow} requests felt a stall of 0.4 s at 500 a second");
}

#[test]
fn saturation_keeps_each_connection_busy_and_reads_the_cpu() {
    let report = drive(serve(|_, _| Some(OK)), Pace::Saturation, 4);
    assert_eq!(report.errors(), 0);
    assert!(report.answered > 100, "{} answers in a second", report.answered);
    assert!(report.cpu_us() > 0.0);
}

#[test]
fn refusals_and_broken_connections_are_errors_and_a_polite_close_is_none() {
    let report =
        drive(serve(|n, _| Some(if n.is_multiple_of(10) { BUSY } else { OK })), Pace::PerSecond(200.0), 4);
    assert!(report.refused >= 20, "{} refused", report.refused);
    assert_eq!((report.broken, report.unanswered), (0, 0));

    let report = drive(serve(|n, _| (!n.is_multiple_of(10)).then_some(OK)), Pace::PerSecond(200.0), 4);
    assert!(report.broken >= 20, "{} broken", report.broken);

    let report =
        drive(serve(|n, _| Some(if n.is_multiple_of(10) { LAST } else { OK })), Pace::PerSecond(200.0), 4);
    assert_eq!(report.errors(), 0);
}

#[test]
fn a_plan_that_cannot_be_driven_is_refused() {
    let campaign = Campaign { campaign: "demo".to_owned(), placement: "p1".to_owned() };
    let mut plan = Plan {
        address: serve(|_, _| Some(OK)),
        connections: 0,
        pace: Pace::Saturation,
        warm_up: Duration::ZERO,
        measured: Duration::from_millis(1),
        server_pid: None,
    };
    assert!(run(&plan, &mut Beacons::new("localhost", &campaign, 1)).is_err());
    plan.connections = 1;
    plan.pace = Pace::PerSecond(f64::NAN);
    assert!(run(&plan, &mut Beacons::new("localhost", &campaign, 1)).is_err());
    plan.pace = Pace::PerSecond(1.0);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    plan.address = closed;
    assert!(run(&plan, &mut Beacons::new("localhost", &campaign, 1)).is_err());
}
