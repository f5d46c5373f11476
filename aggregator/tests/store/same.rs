//! What holds for the embedded engine and for a server alike.

use std::collections::BTreeMap;
use std::path::PathBuf;

use aggregator::store::{ServerError, StoreError, Value, Values, Work};
use serde::Deserialize;

use crate::rig::{Rig, place};

/// Texts that an escaping, a form or a client's template could trip over.
fn nasty() -> Vec<String> {
    let mut texts: Vec<String> = (0u8..128).map(|byte| format!("a{}b", byte as char)).collect();
    texts.extend(
        [
            "",
            "'",
            "\\",
            "\\N",
            "NULL",
            "\\t",
            "\t\r\n\0\u{8}\u{c}",
            "'); DROP TABLE events; --",
            "{v:String}",
            "{{scope}}",
            "?",
            "??",
            "?fields",
            "%27+&=;#",
            "\r\n--clickhouse-rs-boundary-",
            "--b\r\n\r\n",
            "点击 🙂 é",
            "\u{feff}x",
            "[1,'2']",
            "\u{10ffff}",
        ]
        .map(str::to_owned),
    );
    texts
}

fn hex(text: &str) -> String {
    text.bytes().fold(String::new(), |hex, byte| hex + &format!("{byte:02X}"))
}

#[test]
fn every_kind_of_value_arrives_as_it_was_bound() {
    #[derive(Deserialize)]
    struct One {
        v: String,
    }
    #[derive(Deserialize)]
    struct Many {
        v: Vec<String>,
    }
    let one = |rig: &Rig, sql: &str, value: Value| -> String {
        rig.rows::<One>(Work::Report, sql, &vec![("v", value)]).remove(0).v
    };
    for rig in Rig::both() {
        for text in nasty() {
            let read = one(&rig, "SELECT hex({v:String}) AS v", Value::Text(text.clone()));
            assert_eq!(read, hex(&text), "{} {text:?}", rig.name);
        }
        let sql = "SELECT arrayMap(x -> hex(x), {v:Array(String)}) AS v";
        for texts in [nasty(), Vec::new()] {
            let expected: Vec<String> = texts.iter().map(|text| hex(text)).collect();
            let read = rig.rows::<Many>(Work::Settle, sql, &vec![("v", Value::Texts(texts))]).remove(0).v;
            assert_eq!(read, expected, "{}", rig.name);
        }
        for (sql, value, expected) in [
            ("SELECT toString({v:UInt64}) AS v", Value::Number(u64::MAX), "18446744073709551615"),
            ("SELECT toString({v:UInt8}) AS v", Value::Number(0), "0"),
            ("SELECT toString({v:Int64}) AS v", Value::Signed(i64::MIN), "-9223372036854775808"),
            (
                "SELECT toString({v:Array(Date)}) AS v",
                Value::Days(vec![0, 20_778]),
                "['1970-01-01','2026-11-21']",
            ),
            ("SELECT toString({v:Array(Date)}) AS v", Value::Days(Vec::new()), "[]"),
            (
                "SELECT toString({v:Array(UInt64)}) AS v",
                Value::Numbers(vec![1, u64::MAX]),
                "[1,18446744073709551615]",
            ),
        ] {
            assert_eq!(one(&rig, sql, value), expected, "{} {sql}", rig.name);
        }
    }
}

#[test]
fn numbers_of_64_bits_are_answered_as_numbers() {
    for rig in Rig::both() {
        let read = rig.number(Work::Report, "SELECT toUInt64(18446744073709551615) AS n").expect("answered");
        assert_eq!(read, u64::MAX, "{}", rig.name);
    }
}

#[test]
fn several_mebibytes_of_rows_are_stored_whole() {
    const ROWS: u64 = 300_000;
    let mut body = Vec::new();
    for n in 0..ROWS {
        body.extend_from_slice(&n.to_le_bytes());
        let text = format!("{n} {}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        body.push(text.len() as u8);
        body.extend_from_slice(text.as_bytes());
    }
    assert!(body.len() > 8 << 20, "{}", body.len());
    let read = Rig::both().map(|rig| {
        rig.run("CREATE TABLE lines (n UInt64, text String) ENGINE = MergeTree ORDER BY n");
        rig.store.insert_into(Work::Load, "lines", &body).expect("stored");
        assert_eq!(rig.number(Work::Load, "SELECT count() AS n FROM lines").ok(), Some(ROWS), "{}", rig.name);
        rig.number(Work::Load, "SELECT groupBitXor(sipHash64(n, text)) AS n FROM lines").expect("answered")
    });
    assert_eq!(read[0], read[1]);
}

#[test]
fn an_exception_has_its_code_and_its_words() {
    for rig in Rig::both() {
        for (work, sql, code) in [
            (Work::Load, "SELECT count() AS n FROM no_such_table", 60),
            (Work::Settle, "SELEC 1", 62),
            (Work::Report, "SELECT no_such_function() AS n", 46),
            // After many rows were made: an error, never fewer rows.
            (Work::Report, "SELECT number + throwIf(number = 3000000) AS n FROM numbers(4000000)", 395),
        ] {
            let error = rig.number(work, sql).expect_err(sql);
            assert_eq!(error.code(), Some(code), "{} {sql}: {error}", rig.name);
            assert!(error.to_string().contains(&format!("Code: {code}.")), "{}: {error}", rig.name);
        }
        let rows = rig.store.insert_into(Work::Load, "no_such_table", &[1]).expect_err("no table");
        assert_eq!(rows.code(), Some(60), "{}: {rows}", rig.name);
    }
}

#[test]
fn an_insert_that_does_not_fit_is_an_error_of_the_server() {
    for rig in Rig::both() {
        rig.run("CREATE TABLE pairs (a UInt64, b String) ENGINE = MergeTree ORDER BY a");
        // A length without its text.
        let error =
            rig.store.insert_into(Work::Load, "pairs", &[0, 0, 0, 0, 0, 0, 0, 0, 9]).expect_err("cut rows");
        assert!(error.code().is_some(), "{}: {error}", rig.name);
        // A body that is long, and wrong from its beginning.
        let long = vec![0xff; 9 << 20];
        let error = rig.store.insert_into(Work::Load, "pairs", &long).expect_err("no rows");
        assert!(error.code().is_some(), "{}: {error}", rig.name);
    }
}

#[test]
fn temporary_tables_live_in_the_settle_steps_session_alone() {
    for rig in Rig::both() {
        let settle = |sql: &str| rig.store.execute_text(Work::Settle, sql, &Values::new());
        settle("CREATE TEMPORARY TABLE IF NOT EXISTS hits (n UInt64) ENGINE = Memory").expect("made");
        settle("INSERT INTO hits SELECT number FROM numbers(10)").expect("filled");
        settle("CREATE TEMPORARY TABLE IF NOT EXISTS hits (n UInt64) ENGINE = Memory")
            .expect("there already");
        assert_eq!(rig.number(Work::Settle, "SELECT sum(n) AS n FROM hits").ok(), Some(45), "{}", rig.name);
        settle("TRUNCATE TABLE hits").expect("emptied");
        assert_eq!(rig.number(Work::Settle, "SELECT count() AS n FROM hits").ok(), Some(0), "{}", rig.name);
        for work in [Work::Load, Work::Report] {
            let error = rig.number(work, "SELECT count() AS n FROM hits").expect_err("not seen");
            assert_eq!(error.code(), Some(60), "{} {work:?}: {error}", rig.name);
        }
    }
}

#[test]
fn the_settings_of_every_session_are_the_same_in_both() {
    #[derive(Deserialize)]
    struct Setting {
        name: String,
        value: String,
    }
    let names = [
        "async_insert",
        "insert_deduplicate",
        "max_threads",
        "max_memory_usage",
        "max_bytes_before_external_group_by",
        "max_bytes_before_external_sort",
        "mutations_sync",
        "use_index_for_in_with_subqueries",
        "optimize_on_insert",
        "join_use_nulls",
        "prefer_column_name_to_alias",
        "transform_null_in",
        "max_partitions_per_insert_block",
        "insert_quorum",
        "session_timezone",
    ];
    let values: Values = vec![("names", Value::Texts(names.map(str::to_owned).to_vec()))];
    let sql = "SELECT name, value FROM system.settings WHERE name IN {names:Array(String)} ORDER BY name";
    for work in [Work::Load, Work::Settle, Work::Report] {
        let [embedded, server] = Rig::both().map(|rig| -> BTreeMap<String, String> {
            rig.rows::<Setting>(work, sql, &values).into_iter().map(|row| (row.name, row.value)).collect()
        });
        assert_eq!(embedded, server, "{work:?}");
        assert_eq!(embedded.get("async_insert").map(String::as_str), Some("0"));
        assert_eq!(embedded.get("max_threads").map(String::as_str), Some("2"));
    }
}

#[test]
fn a_report_can_change_nothing_on_a_server() {
    let rig = Rig::server();
    rig.run("CREATE TABLE kept (n UInt64) ENGINE = MergeTree ORDER BY n");
    let error =
        rig.store.execute_text(Work::Report, "DROP TABLE kept", &Values::new()).expect_err("read only");
    assert_eq!(error.code(), Some(164), "{error}");
}

#[test]
fn a_value_that_is_too_long_for_a_server_is_told_before_it_is_sent() {
    let sql = "SELECT length({v:String}) AS n";
    let of = |length: usize| vec![("v", Value::Text("x".repeat(length)))];
    for rig in Rig::both() {
        let rows = rig.store.rows_text::<serde_json::Value>(Work::Report, "a test's", sql, &of(128 * 1024));
        assert_eq!(rows.expect("taken").len(), 1, "{}", rig.name);
    }
    let error =
        Rig::server().store.execute_text(Work::Report, sql, &of(128 * 1024 + 1)).expect_err("too long");
    let told = error.to_string();
    assert!(matches!(error, StoreError::Server(ServerError::ValueTooLong { name: "v", .. })), "{told}");
    assert!(told.contains("http_max_field_value_size") && !told.contains("xxx"), "{told}");
    // What is said of the server is true: it refuses the same.
    let rig = Rig::server();
    let mut settings = place().settings(&rig.database);
    settings.value_bytes_max = 1 << 20;
    let wide =
        Rig::open("wide", settings.at(PathBuf::new()).expect("fit"), rig.database.clone()).expect("open");
    let error = wide.store.execute_text(Work::Report, sql, &of(128 * 1024 + 1)).expect_err("too long");
    assert_eq!(error.code(), Some(1000), "{error}");
}

#[test]
fn reports_run_beside_each_other() {
    for rig in Rig::both() {
        std::thread::scope(|scope| {
            let asked: Vec<_> = (0..8u64)
                .map(|n| {
                    let rig = &rig;
                    scope.spawn(move || {
                        rig.number(Work::Report, &format!("SELECT sum(number) + {n} AS n FROM numbers(1000)"))
                    })
                })
                .collect();
            for (n, thread) in asked.into_iter().enumerate() {
                let read = thread.join().expect("no panic").expect("answered");
                assert_eq!(read, 499_500 + n as u64, "{}", rig.name);
            }
        });
    }
}

#[test]
fn a_store_may_be_used_on_the_thread_of_a_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        for rig in Rig::both() {
            assert_eq!(rig.number(Work::Settle, "SELECT toUInt64(4) AS n").ok(), Some(4), "{}", rig.name);
        }
    });
}
