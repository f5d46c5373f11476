//! Stopping, leaving, and many at once: nothing answered is lost, and the books balance.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use event::outcome::Outcome;

use crate::disk::Mood;
use crate::rig::{Client, Rig, eventually};

#[test]
fn a_stop_under_load_loses_nothing_answered() {
    let rig = Rig::with(|settings, _| settings.lanes = 3);
    let address = rig.address;
    let answered = AtomicU64::new(0);
    let stored = std::thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| {
                let mut client = Client::to(address);
                loop {
                    client.send(b"GET /i?c=demo&p=p1 HTTP/1.1\r\nHost: x\r\n\r\n");
                    let Some(reply) = client.reply(false) else { break };
                    assert!(reply.is_pixel());
                    answered.fetch_add(1, Ordering::Relaxed);
                    if reply.header("connection") == "close" {
                        break;
                    }
                }
            });
        }
        eventually("some thousand answers", || answered.load(Ordering::Relaxed) > 2_000);
        rig.stop()
    });
    let answered = answered.load(Ordering::Relaxed);
    assert!(stored.events.len() as u64 >= answered, "{} of {answered}", stored.events.len());
    assert_eq!(stored.events.len() as u64, stored.count(Outcome::Accepted));
    assert_eq!((stored.books.len(), stored.received()), (3, stored.count(Outcome::Accepted)));
}

#[test]
fn a_stop_finishes_what_is_under_way_and_closes_what_is_idle() {
    let rig = Rig::start();
    let mut idle = rig.connect();
    assert!(idle.get("/i?c=demo&p=p1&rid=1", &[]).is_pixel());
    rig.disk.set(Mood::Hung);
    let mut waiting = rig.connect();
    waiting.send(b"GET /i?c=demo&p=p1&rid=2 HTTP/1.1\r\nHost: x\r\n\r\n");
    eventually("a request that waits for the disk", || !rig.is_disk_idle());
    rig.handle.as_ref().expect("running").begin_stop();
    assert!(idle.is_closed());
    rig.disk.set(Mood::Well);
    let reply = waiting.reply(false).expect("an answer");
    assert!(reply.is_pixel());
    assert_eq!(reply.header("connection"), "close");
    assert!(waiting.is_closed());
    let address = rig.address;
    assert_eq!(rig.stop().events.len(), 2);
    assert!(std::net::TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err());
}

#[test]
fn a_caller_that_goes_away_is_still_counted() {
    let rig = Rig::with(|settings, _| settings.limits.drain_seconds_max = 1);
    rig.disk.set(Mood::Hung);
    let mut stays = rig.connect();
    stays.send(b"GET /i?c=demo&p=p1 HTTP/1.1\r\nHost: x\r\n\r\n");
    eventually("a request that waits for the disk", || !rig.is_disk_idle());
    for _ in 0..4 {
        let mut leaves = rig.connect();
        leaves.send(b"GET /i?c=demo&p=p1 HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    eventually("requests that wait behind it", || rig.queued() >= 4);
    // The drain's time passes with the disk hung: the connections are dropped, their beacons are not.
    rig.handle.as_ref().expect("running").begin_stop();
    assert!(stays.is_closed());
    rig.disk.set(Mood::Well);
    let stored = rig.stop();
    assert_eq!((stored.received(), stored.events.len()), (5, 5));
    assert_eq!(stored.count(Outcome::Accepted), 5);
}

#[test]
fn connections_over_the_limit_are_closed() {
    let rig = Rig::with(|settings, _| settings.limits.connections_max = 3);
    let mut open: Vec<Client> = (0..3)
        .map(|_| {
            let mut client = rig.connect();
            assert!(client.get("/i?c=demo&p=p1", &[]).is_pixel());
            client
        })
        .collect();
    assert!(rig.connect().is_closed());
    assert!(open[0].get("/i?c=demo&p=p1", &[]).is_pixel());
    open.pop();
    eventually("room for another", || {
        let mut client = rig.connect();
        client.send(b"GET /i?c=demo&p=p1 HTTP/1.1\r\nHost: x\r\n\r\n");
        client.reply(false).is_some_and(|reply| reply.is_pixel())
    });
    rig.stop();
}

#[test]
fn an_address_in_use_is_refused() {
    let rig = Rig::start();
    let settings = ingest::Settings { listen: rig.address, ..ingest::Settings::default() };
    let error = rig.start_another(settings).err().expect("refused");
    assert!(error.to_string().contains("cannot listen on"), "{error}");
    rig.stop();
}

#[test]
fn the_books_are_written_while_beacons_come() {
    let rig = Rig::start();
    let mut client = rig.connect();
    let mut sent = 0;
    let dir = rig.lane_dir();
    eventually("two records of the books", || {
        assert!(client.get("/i?c=demo&p=p1", &[]).is_pixel());
        sent += 1;
        let mut records = 0;
        let _ = journal::read_all(&dir, |_, _, bytes| {
            let is_books = matches!(event::record::decode(bytes), Ok(event::record::Record::Outcomes(_)));
            records += usize::from(is_books);
        });
        records >= 2
    });
    let stored = rig.stop();
    assert_eq!((stored.received(), stored.events.len() as u64), (sent, sent));
}
