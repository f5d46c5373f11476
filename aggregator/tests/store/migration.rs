//! Tables from several nodes at the same time, and logins.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Barrier;
use std::time::Duration;

use aggregator::store::{Password, ServerError, StoreAt, StoreError, Value, Work, migrate};
use test_server::{Login, Place, TestServer};

use crate::rig::{Rig, folder, library, nobody, place, servers};

/// What is there: each table's name and how it is defined.
fn tables(rig: &Rig) -> Vec<serde_json::Value> {
    let sql = "SELECT name, create_table_query FROM system.tables WHERE database = {d:String} ORDER BY name";
    rig.rows(Work::Load, sql, &vec![("d", Value::Text(rig.database.clone()))])
}

#[test]
fn four_nodes_make_the_same_tables_at_once_and_again() {
    for first in Rig::both() {
        let nodes: Vec<Rig> = (0..4)
            .map(|_| {
                let at = match first.name {
                    "server" => place().settings(&first.database).at(PathBuf::new()).expect("settings"),
                    _ => StoreAt::Embedded { engine: Some(library()), path: folder().to_path_buf() },
                };
                Rig::open(first.name, at, first.database.clone()).expect("open")
            })
            .collect();
        let mut seen = Vec::new();
        for days in [190, 190, 60] {
            let barrier = Barrier::new(nodes.len());
            std::thread::scope(|scope| {
                let threads: Vec<_> = nodes
                    .iter()
                    .map(|node| {
                        let barrier = &barrier;
                        scope.spawn(move || {
                            barrier.wait();
                            migrate(&node.store, days)
                        })
                    })
                    .collect();
                for thread in threads {
                    let done = thread.join().expect("no panic");
                    assert!(done.is_ok(), "{} {days}: {done:?}", first.name);
                }
            });
            seen.push(tables(&first));
        }
        assert!(seen[0].len() >= 9, "{}: {:?}", first.name, seen[0]);
        assert_eq!(seen[0], seen[1], "{}", first.name);
        let kept = |tables: &[serde_json::Value], days: &str| {
            tables.iter().any(|table| {
                table["name"] == "events" && table["create_table_query"].to_string().contains(days)
            })
        };
        assert!(
            kept(&seen[0], "toIntervalDay(190)") && kept(&seen[2], "toIntervalDay(60)"),
            "{}",
            first.name
        );
    }
}

/// A table as the first program made it.
const FIRST_TABLES: [(&str, &str); 2] =
    [("events", include_str!("events_first.sql")), ("unresolved", include_str!("unresolved_first.sql"))];

#[test]
fn a_store_of_the_first_program_gets_the_new_columns_and_keeps_its_rows() {
    for rig in Rig::both() {
        for (table, definition) in FIRST_TABLES {
            rig.run(definition);
            rig.run(&format!("SYSTEM STOP TTL MERGES {}.{table}", rig.database));
            rig.run(&format!(
                "INSERT INTO {table} (journal, seq, received, time, day, campaign, placement, stage, agent) \
                 VALUES (7, 1, '2026-11-19 12:00:00', '2026-11-19 12:00:00', '2026-11-19', 'demo', 'p1', 2, 'an agent')"
            ));
        }
        rig.run(include_str!("deliveries_first.sql"));
        rig.run("INSERT INTO deliveries (campaign, day, generation, impressions, withheld) VALUES ('demo', '2026-11-19', 3, 5, 2)");
        for _ in 0..2 {
            assert!(migrate(&rig.store, 190).is_ok(), "{}", rig.name);
            let settled = "SELECT sum(impressions + 10 * withheld + 100 * (signal_gpc + signal_child)) AS n FROM deliveries";
            assert_eq!(rig.number(Work::Report, settled).ok(), Some(25), "{}", rig.name);
            for (table, _) in FIRST_TABLES {
                let kept = format!(
                    "SELECT countIf(seq = 1 AND agent = 'an agent' AND site = '') AS n FROM {table} WHERE journal = 7"
                );
                assert_eq!(rig.number(Work::Report, &kept).ok(), Some(1), "{} {table}", rig.name);
            }
        }
        rig.run(
            "INSERT INTO events (journal, seq, day, site) VALUES (7, 2, '2026-11-19', 'www.example.com')",
        );
        let sites = "SELECT uniqExact(site) AS n FROM events WHERE journal = 7";
        assert_eq!(rig.number(Work::Report, sites).ok(), Some(2), "{}", rig.name);
        // A store that begins with the present program has the same columns, in the same order.
        let fresh = Rig::embedded();
        assert!(migrate(&fresh.store, 190).is_ok());
        let columns = |rig: &Rig| -> Vec<serde_json::Value> {
            let sql = "SELECT name, type, compression_codec FROM system.columns \
                       WHERE database = {d:String} AND table IN ('events', 'unresolved', 'deliveries') ORDER BY table, position";
            rig.rows(Work::Load, sql, &vec![("d", Value::Text(rig.database.clone()))])
        };
        assert_eq!(columns(&rig), columns(&fresh), "{}", rig.name);
    }
}

#[test]
fn a_wrong_password_is_told_without_repeating_it() {
    let login = Login { user: "sightline".to_owned(), password: "right-geheim ü'\"".to_owned() };
    let server = TestServer::start_for(&library(), folder(), login.clone()).expect("it starts");
    let place = Place::own(server, &login).expect("a folder");
    let database = crate::rig::database();
    let settings = place.settings(&database);
    let rig =
        Rig::open("right", settings.at(PathBuf::new()).expect("settings"), database.clone()).expect("let in");
    assert_eq!(rig.number(Work::Report, "SELECT toUInt64(2) AS n").ok(), Some(2));
    for wrong in ["wrong-geheim", ""] {
        let Ok(StoreAt::Servers(mut servers)) = settings.at(PathBuf::new()) else { panic!("servers") };
        servers.password = Password::new(wrong.to_owned());
        let error =
            Rig::open("wrong", StoreAt::Servers(servers), database.clone()).err().expect("not let in");
        let told = format!("{error} {error:?}");
        assert!(told.contains("password_file") && told.contains("sightline"), "{told}");
        assert!(!told.contains("geheim"), "{told}");
        assert!(matches!(error, StoreError::Server(ServerError::Login { code: 516, .. })), "{told}");
    }
}

/// Answers every request with one line, as a server does that has tables of its own.
fn stranger(line: &'static str) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("accepted");
            let mut head = [0; 8192];
            let _ = stream.read(&mut head);
            let length = line.len();
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{line}"
            );
        }
    });
    url
}

#[test]
fn servers_that_do_not_serve_the_same_tables_are_told_apart() {
    let rig = Rig::faulty(Duration::ZERO);
    let open = |others: &[&str]| {
        let urls = [&[rig.own().url()], others].concat();
        let at = StoreAt::Servers(servers(&urls, Duration::ZERO));
        let opened = Rig::open("several", at, crate::rig::database()).expect("the first one answers");
        migrate(&opened.store, 190)
    };
    // One that cannot be reached now may be the same store.
    assert!(open(&[rig.own().url(), &nobody()]).is_ok());
    let error = open(&[&stranger("00000000-0000-4000-8000-000000000000\n")]).expect_err("another store");
    assert!(matches!(error, StoreError::Server(ServerError::Apart { .. })), "{error}");
    assert!(error.to_string().contains("cluster"), "{error}");
}
