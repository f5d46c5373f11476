//! What only servers do: refuse, fail for a while, lose answers, forget sessions.

use std::time::{Duration, Instant};

use aggregator::store::{ServerError, Servers, StoreAt, StoreError, Work};
use test_server::Fault;

use crate::rig::{Rig, database, nobody, servers};

const RETRY: Duration = Duration::from_secs(20);
/// Longer than any test waits.
const LATE: Duration = Duration::from_mins(1);
const NO_RETRY: Duration = Duration::ZERO;

fn server_error(error: StoreError) -> ServerError {
    match error {
        StoreError::Server(error) => error,
        other => panic!("not a server's: {other}"),
    }
}

fn lines(rig: &Rig) {
    rig.run("CREATE TABLE lines (n UInt64) ENGINE = MergeTree ORDER BY n");
}

fn insert(rig: &Rig, n: u64) -> Result<(), StoreError> {
    rig.store.insert_into(Work::Load, "lines", &n.to_le_bytes())
}

fn count(rig: &Rig) -> u64 {
    rig.number(Work::Load, "SELECT count() AS n FROM lines").expect("answered")
}

#[test]
fn what_can_be_repeated_is_asked_again_until_it_is_answered() {
    for work in [Work::Load, Work::Settle, Work::Report] {
        let rig = Rig::faulty(RETRY);
        let server = rig.own();
        for (number, fault) in [
            Fault::Unavailable,
            Fault::CutBefore,
            Fault::CutAfter,
            Fault::CutAnswer,
            Fault::Exception(242),
            Fault::Exception(999),
        ]
        .into_iter()
        .enumerate()
        {
            let sql = format!("SELECT toUInt64({number} + 70) AS n");
            server.faults().next(&sql, fault.clone(), 2);
            assert_eq!(rig.number(work, &sql).ok(), Some(number as u64 + 70), "{work:?} {fault:?}");
            assert_eq!(server.faults().seen(&sql), 3, "{work:?} {fault:?}");
        }
    }
}

#[test]
fn an_answer_that_is_cut_is_an_error_and_not_a_shorter_answer() {
    let rig = Rig::faulty(NO_RETRY);
    let server = rig.own();
    let sql = "SELECT number AS n FROM numbers(100000)";
    server.faults().set(sql, Fault::CutAnswer);
    let error = server_error(rig.number(Work::Report, sql).expect_err("cut"));
    assert!(matches!(error, ServerError::Broken { .. }), "{error}");
    server.faults().clear();
    assert_eq!(rig.number(Work::Report, sql).ok(), Some(0));
}

#[test]
fn other_exceptions_are_not_asked_again() {
    let rig = Rig::faulty(RETRY);
    let server = rig.own();
    server.faults().set("SELECT 241", Fault::Exception(241));
    let error = rig.number(Work::Report, "SELECT 241 AS n").expect_err("too much memory");
    assert_eq!((error.code(), server.faults().seen("SELECT 241")), (Some(241), 1), "{error}");
    assert!(!error.is_passing());
}

#[test]
fn an_insert_is_sent_once_whatever_becomes_of_it() {
    let rig = Rig::faulty(RETRY);
    let server = rig.own();
    lines(&rig);
    let mut sent = 0;
    for (fault, stored) in [
        (Fault::Unavailable, 0),
        (Fault::CutBefore, 0),
        (Fault::Exception(242), 0),
        (Fault::Exception(252), 0),
        (Fault::CutAfter, 1),
    ] {
        let before = count(&rig);
        server.faults().next("INSERT INTO lines", fault.clone(), 1);
        let error = insert(&rig, 7).expect_err("a fault");
        sent += 1;
        assert_eq!(server.faults().seen("INSERT INTO lines"), sent, "{fault:?}");
        assert_eq!(count(&rig), before + stored, "{fault:?}");
        if let Fault::Exception(code) = fault {
            assert_eq!(error.code(), Some(code));
        } else {
            assert!(matches!(server_error(error), ServerError::Broken { .. }), "{fault:?}");
        }
    }
    insert(&rig, 8).expect("stored");
    let select = "INSERT INTO lines SELECT 1";
    server.faults().next(select, Fault::CutAfter, 1);
    rig.store.execute_text(Work::Load, select, &Vec::new()).expect_err("cut");
    assert_eq!((server.faults().seen(select), count(&rig)), (1, 3));
}

#[test]
fn a_server_that_goes_down_is_waited_for() {
    let rig = Rig::faulty(RETRY);
    let server = rig.own();
    let faults = server.faults().clone();
    faults.refuse(true);
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| rig.number(Work::Settle, "SELECT toUInt64(5) AS n"));
        assert!(!asked.is_finished());
        faults.refuse(false);
        assert_eq!(asked.join().expect("no panic").ok(), Some(5));
    });
}

#[test]
fn the_next_address_is_taken_when_one_cannot_be_reached() {
    let other = Rig::faulty(NO_RETRY);
    let server = other.own();
    let dead = nobody();
    let database = database();
    let at = StoreAt::Servers(servers(&[&dead, server.url(), &dead], NO_RETRY));
    let rig = Rig::open("second address", at, database).expect("the second one answers");
    lines(&rig);
    for work in [Work::Load, Work::Settle, Work::Report] {
        assert_eq!(rig.number(work, "SELECT toUInt64(1) AS n").ok(), Some(1), "{work:?}");
    }
    // Nothing was sent to the dead one: an insert goes on too.
    insert(&rig, 1).expect("stored");
    assert_eq!(count(&rig), 1);
}

#[test]
fn nobody_there_is_told_with_the_address_and_soon() {
    let dead = nobody();
    let started = Instant::now();
    let at = StoreAt::Servers(servers(&[&dead], NO_RETRY));
    let error = Rig::open("nobody", at, database()).err().expect("nobody answers");
    let host = dead.trim_start_matches("http://").to_owned();
    assert!(error.to_string().contains(&host) && error.to_string().contains("refused"), "{error}");
    assert!(error.is_passing());
    assert!(matches!(server_error(error), ServerError::Unreachable { .. }));
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn an_answer_that_does_not_come_in_time_is_given_up_and_the_row_may_be_there() {
    let steady = Rig::faulty(NO_RETRY);
    let server = steady.own();
    let limits = Servers {
        statement_max: Duration::from_millis(400),
        answer_margin: Duration::from_millis(100),
        ..*servers(&[server.url()], RETRY)
    };
    let rig = Rig::open("short of time", StoreAt::Servers(Box::new(limits)), steady.database.clone())
        .expect("open");
    lines(&rig);
    server.faults().next("INSERT INTO lines", Fault::LateAfter(LATE), 1);
    let error = server_error(insert(&rig, 1).expect_err("late"));
    assert!(matches!(error, ServerError::TimedOut { .. }), "{error}");
    assert_eq!(count(&steady), 1);
    server.faults().set("SELECT 3", Fault::LateBefore(LATE));
    let error = server_error(rig.number(Work::Report, "SELECT 3 AS n").expect_err("late"));
    assert!(matches!(error, ServerError::TimedOut { .. }), "{error}");
    // It is not asked a second time.
    assert_eq!(server.faults().seen("SELECT 3"), 1);
}

#[test]
fn a_session_that_the_server_forgot_begins_anew_and_its_tables_are_missed() {
    for fault in [Fault::Exception(372), Fault::Exception(373), Fault::CutAfter] {
        let rig = Rig::faulty(RETRY);
        let server = rig.own();
        let settle = |sql: &str| rig.store.execute_text(Work::Settle, sql, &Vec::new());
        settle("CREATE TEMPORARY TABLE IF NOT EXISTS hits (n UInt64) ENGINE = Memory").expect("made");
        settle("INSERT INTO hits SELECT 1").expect("filled");
        server.faults().next("SELECT toUInt64(9)", fault.clone(), 1);
        assert_eq!(rig.number(Work::Settle, "SELECT toUInt64(9) AS n").ok(), Some(9), "{fault:?}");
        let error = settle("INSERT INTO hits SELECT 2").expect_err("another session");
        assert_eq!(error.code(), Some(60), "{fault:?}: {error}");
        settle("CREATE TEMPORARY TABLE IF NOT EXISTS hits (n UInt64) ENGINE = Memory").expect("made again");
        assert_eq!(rig.number(Work::Settle, "SELECT count() AS n FROM hits").ok(), Some(0), "{fault:?}");
    }
}

#[test]
fn an_error_of_a_statement_does_not_end_its_session() {
    let rig = Rig::faulty(NO_RETRY);
    let settle = |sql: &str| rig.store.execute_text(Work::Settle, sql, &Vec::new());
    settle("CREATE TEMPORARY TABLE IF NOT EXISTS hits (n UInt64) ENGINE = Memory").expect("made");
    settle("SELEC").expect_err("no statement");
    assert_eq!(rig.number(Work::Settle, "SELECT count() AS n FROM hits").ok(), Some(0));
}
