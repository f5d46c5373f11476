//! The stand-in as a plain HTTP client meets it: what ClickHouse's documentation and source say of its HTTP interface, and what no test of the
//! store's own client asks for. With `CLICKHOUSE_URL` the real server answers.

#![allow(clippy::indexing_slicing, clippy::panic, reason = "a test that fails panics")]

use std::sync::{Arc, Mutex, PoisonError, Weak};

use aggregator::engine::find_library;
use tempfile::TempDir;
use test_server::{Place, blocks};
use ureq::http::Response;
use ureq::{Agent, Body};

/// The server and its folder, while anybody uses it.
struct Server {
    place: Place,
    _folder: TempDir,
}

/// An answer: status, headers, body.
struct Answer {
    status: u16,
    headers: ureq::http::HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

fn server() -> Arc<Server> {
    static SERVER: Mutex<Weak<Server>> = Mutex::new(Weak::new());
    let mut server = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
    server.upgrade().unwrap_or_else(|| {
        let library = find_library(None).unwrap_or_else(|error| panic!("{error}"));
        let folder = tempfile::tempdir().expect("a folder");
        let place = Place::find(&library, folder.path()).expect("a server");
        let found = Arc::new(Server { place, _folder: folder });
        *server = Arc::downgrade(&found);
        found
    })
}

impl Server {
    fn ask(&self, parameters: &[(&str, &str)], headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let agent = Agent::config_builder().http_status_as_error(false).build().new_agent();
        let mut request = agent.post(format!("{}/", self.place.url()));
        let (user, password) = self.place.login();
        if !headers.iter().any(|(name, _)| name.starts_with("X-ClickHouse")) {
            request = request.header("X-ClickHouse-User", user).header("X-ClickHouse-Key", password);
        }
        for (name, value) in parameters {
            request = request.query(name, value);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut answer: Response<Body> = request.send(body).expect("an answer");
        let body = answer.body_mut().read_to_vec().expect("a whole body");
        Answer { status: answer.status().as_u16(), headers: answer.headers().clone(), body }
    }

    /// A statement alone.
    fn run(&self, sql: &str) -> Answer {
        self.ask(&[], &[], sql.as_bytes())
    }
}

#[test]
fn a_ping_is_answered() {
    let server = server();
    let mut answer = ureq::get(format!("{}/ping", server.place.url())).call().expect("an answer");
    assert_eq!(answer.body_mut().read_to_string().expect("text"), "Ok.\n");
}

#[test]
fn a_statement_may_stand_in_the_url_in_the_body_or_in_both() {
    let server = server();
    assert_eq!(server.ask(&[("query", "SELECT 1")], &[], b"").text(), "1\n");
    assert_eq!(server.run("SELECT 2").text(), "2\n");
    assert_eq!(server.ask(&[("query", "SELECT 3")], &[], b"+ 4").text(), "7\n");
    let as_json = server.ask(
        &[("default_format", "JSONEachRow"), ("param_a", "x\\ty")],
        &[],
        b"SELECT {a:String} AS a",
    );
    assert_eq!(as_json.text(), "{\"a\":\"x\\ty\"}\n");
    assert_eq!((as_json.status, as_json.header("x-clickhouse-format")), (200, "JSONEachRow"));
}

#[test]
fn a_summary_tells_what_was_read_and_how_long_it_took() {
    let summary = server().run("SELECT count() FROM numbers(10)").header("x-clickhouse-summary").to_owned();
    for name in ["read_rows", "read_bytes", "written_rows", "written_bytes", "result_rows", "elapsed_ns"] {
        assert!(summary.contains(&format!("\"{name}\":\"")), "{name}: {summary}");
    }
}

#[test]
fn exceptions_have_a_code_a_header_and_a_status() {
    let server = server();
    for (sql, code, status) in [
        ("SELEC", 62, 400),
        ("SELECT 1 FROM no_such_table", 60, 404),
        ("SELECT no_such_function()", 46, 404),
        ("SELECT throwIf(1)", 395, 500),
        ("SELECT toUInt8('x')", 6, 400),
        ("SELECT 1 FROM no_such_database.t", 81, 404),
    ] {
        let answer = server.run(sql);
        let told = answer.text();
        assert_eq!(answer.header("x-clickhouse-exception-code"), code.to_string(), "{sql}: {told}");
        assert_eq!(answer.status, status, "{sql}: {told}");
        assert!(told.starts_with(&format!("Code: {code}. DB::")), "{sql}: {told}");
    }
    let unknown = server.ask(&[("no_such_setting", "1")], &[], b"SELECT 1");
    assert_eq!(
        (unknown.status, unknown.header("x-clickhouse-exception-code")),
        (404, "115"),
        "{}",
        unknown.text()
    );
}

#[test]
fn who_is_not_known_is_not_let_in() {
    let server = server();
    let answer = server.ask(
        &[],
        &[("X-ClickHouse-User", "nobody_of_that_name"), ("X-ClickHouse-Key", "x")],
        b"SELECT 1",
    );
    assert_eq!(
        (answer.status, answer.header("x-clickhouse-exception-code")),
        (403, "516"),
        "{}",
        answer.text()
    );
    assert!(answer.text().contains("Authentication failed"), "{}", answer.text());
}

#[test]
fn settings_of_a_url_hold_for_that_request_alone() {
    let server = server();
    let sql = b"SELECT value FROM system.settings WHERE name = 'max_block_size'";
    let with = server.ask(&[("max_block_size", "1234")], &[], sql).text();
    let without = server.ask(&[], &[], sql).text();
    assert_eq!(with, "1234\n");
    assert_ne!(without, with);
}

#[test]
fn a_session_keeps_its_tables_and_may_be_asked_for() {
    let server = server();
    let id = format!("session-of-a-test-{}", std::process::id());
    let within = |sql: &str, check: &str| {
        let parameters = [("session_id", id.as_str()), ("session_timeout", "60"), ("session_check", check)];
        server.ask(&parameters, &[], sql.as_bytes())
    };
    let unknown = within("SELECT 1", "1");
    assert_eq!(
        (unknown.status, unknown.header("x-clickhouse-exception-code")),
        (500, "372"),
        "{}",
        unknown.text()
    );
    assert_eq!(within("CREATE TEMPORARY TABLE t (n UInt8) ENGINE = Memory", "0").status, 200);
    assert_eq!(within("INSERT INTO t VALUES (3), (4)", "1").status, 200);
    assert_eq!(within("SELECT sum(n) FROM t", "1").text(), "7\n");
    assert_eq!(server.run("SELECT sum(n) FROM t").header("x-clickhouse-exception-code"), "60");
}

#[test]
fn a_session_takes_one_statement_at_a_time() {
    let server = server();
    let id = format!("busy-session-of-a-test-{}", std::process::id());
    let parameters = [("session_id", id.as_str())];
    std::thread::scope(|scope| {
        let long = scope.spawn(|| {
            server.ask(&parameters, &[], b"SELECT sleepEachRow(0.01) FROM numbers(200) FORMAT Null")
        });
        // Until it is at work, the session is free; while it is, it is locked.
        let mut locked = 0;
        while !long.is_finished() {
            let answer = server.ask(&parameters, &[], b"SELECT 1");
            if answer.status != 200 {
                assert_eq!(answer.header("x-clickhouse-exception-code"), "373", "{}", answer.text());
                locked += 1;
            }
        }
        let status = long.join().expect("no panic").status;
        // One of the short ones may have been first.
        assert!(status == 200 && locked > 0 || status == 500, "{status} {locked}");
    });
}

#[test]
fn blocks_go_both_ways() {
    let server = server();
    let table = format!("blocks_test_{}", std::process::id());
    let run = |sql: String| assert_eq!(server.run(&sql).status, 200, "{sql}");
    run(format!("CREATE TABLE default.{table} (n UInt64) ENGINE = MergeTree ORDER BY n"));
    let rows: Vec<u8> = (0..200_000u64).flat_map(u64::to_le_bytes).collect();
    let insert = format!("INSERT INTO default.{table} FORMAT RowBinary");
    let stored = server.ask(&[("query", &insert), ("decompress", "1")], &[], &blocks::pack(&rows));
    assert_eq!(stored.status, 200, "{}", stored.text());
    let select = format!("SELECT n FROM default.{table} ORDER BY n FORMAT RowBinary");
    let packed = server.ask(&[("compress", "1")], &[], select.as_bytes());
    assert_eq!(blocks::unpack(&packed.body).as_deref(), Ok(rows.as_slice()));
    assert_eq!(server.run(&select).body, rows);
    // A block that was damaged on the way is refused.
    let mut damaged = blocks::pack(&rows);
    damaged[40] ^= 1;
    let refused = server.ask(&[("query", &insert), ("decompress", "1")], &[], &damaged);
    assert_eq!(refused.header("x-clickhouse-exception-code"), "40", "{}", refused.text());
    run(format!("DROP TABLE default.{table}"));
}

#[test]
fn an_answer_may_be_packed_in_https_way() {
    let server = server();
    let headers = [("Accept-Encoding", "lz4")];
    let answer =
        server.ask(&[("enable_http_compression", "1")], &headers, b"SELECT number FROM numbers(100000)");
    assert_eq!(answer.header("content-encoding"), "lz4");
    let mut text = String::new();
    let mut frame = lz4_flex::frame::FrameDecoder::new(answer.body.as_slice());
    std::io::Read::read_to_string(&mut frame, &mut text).expect("a frame");
    assert_eq!((text.lines().count(), text.lines().last()), (100_000, Some("99999")));
}
