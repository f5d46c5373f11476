//! The cluster form's text: what the engine's parser makes of it, and what has to stand in it.

use super::*;
use crate::engine::{Bound, Engine, find_library};
use crate::statement::{CHANGES, STATEMENTS, TABLES};

fn cluster() -> Cluster {
    Cluster { name: "main".to_owned(), database: "sightline".to_owned() }
}

fn tables() -> impl Iterator<Item = (&'static str, String)> {
    TABLES.iter().map(|table| (table.file, table.sql().replace("RETENTION_DAYS", "190")))
}

fn definitions() -> Vec<(&'static str, [String; 2])> {
    let of = |(table, sql): (&'static str, String)| {
        (table, cluster().definitions(table, &sql).unwrap_or_else(|| panic!("{table} has no cluster form")))
    };
    tables().map(of).collect()
}

#[test]
fn every_table_is_replicated_distributed_and_defined_on_the_cluster() {
    let all = definitions();
    assert!(all.len() >= 8, "{}", all.len());
    for (table, [local, over]) in all {
        assert!(
            local.starts_with(&format!("CREATE TABLE IF NOT EXISTS {table}_local ON CLUSTER 'main' (\n")),
            "{local}"
        );
        assert!(
            over.starts_with(&format!("CREATE TABLE IF NOT EXISTS {table} ON CLUSTER 'main' AS ")),
            "{over}"
        );
        let engine = local.lines().find(|line| line.starts_with(") ENGINE")).expect("an engine");
        assert!(engine.contains(" = Replicated") && engine.contains("MergeTree("), "{engine}");
        assert!(engine.contains(&format!("/{{shard}}/sightline/{table}_local', '{{replica}}'")), "{engine}");
        for kept in
            ["fsync_after_insert = 1", "fsync_part_directory = 1", "replicated_deduplication_window = 0"]
        {
            assert!(local.contains(kept), "{table}: {kept}");
        }
        let distributed = format!("ENGINE = Distributed('main', 'sightline', '{table}_local', ");
        let key = over.split_once(&distributed).expect("a Distributed table").1;
        assert!(key.len() > 1 && key.ends_with(')'), "{table} has no sharding key: {over}");
    }
}

#[test]
fn the_local_table_keeps_columns_keys_and_retention() {
    for ((table, plain), (_, [local, _])) in tables().zip(definitions()) {
        for line in plain.lines().filter(|line| !line.contains("CREATE") && !line.contains("ENGINE")) {
            assert!(local.contains(line), "{table} lost {line}");
        }
    }
}

#[test]
fn engines_keep_their_arguments() {
    let of =
        |table: &str| definitions().into_iter().find(|(name, _)| *name == table).map(|(_, [local, _])| local);
    assert!(of("settled").is_some_and(|sql| sql.contains("', '{replica}', generation)\n")));
    assert!(of("device_days").is_some_and(
        |sql| sql.contains("ReplicatedSummingMergeTree(") && sql.contains(", (impressions_gross, ")
    ));
    assert!(
        of("events")
            .is_some_and(|sql| sql.contains(" ReplicatedMergeTree('") && sql.contains("', '{replica}')\n"))
    );
}

#[test]
fn each_sharding_key_is_of_a_table_and_of_its_columns() {
    for (table, key) in SHARDING {
        let Some((_, sql)) = tables().find(|(name, _)| name == table) else { panic!("{table} is no table") };
        let words = key.split(|c: char| !c.is_ascii_alphabetic() && c != '_');
        for column in words.filter(|word| !["", "if", "cityHash"].contains(word)) {
            assert!(sql.contains(&format!("\n    {column} ")), "{table} has no column {column}");
        }
    }
}

#[test]
fn the_servers_own_tables_are_read_from_the_whole_cluster() {
    let formed: Vec<_> =
        STATEMENTS.iter().filter(|statement| statement.sql().contains("system.parts")).collect();
    assert!(!formed.is_empty(), "no statement reads system.parts any more");
    for statement in formed {
        let sql = cluster().form(statement.sql()).into_owned();
        assert_eq!(
            sql.matches("system.parts").count(),
            sql.matches("cluster('main', system.parts)").count(),
            "{sql}"
        );
    }
    assert!(matches!(cluster().form("SELECT 1"), Cow::Borrowed(_)));
}

#[test]
fn foreground_inserts_and_global_subqueries_are_asked_for() {
    let plain = settings(0, 300);
    for wanted in [
        ("distributed_foreground_insert", "1"),
        ("distributed_product_mode", "global"),
        ("parallel_distributed_insert_select", "0"),
        ("skip_unavailable_shards", "0"),
    ] {
        assert!(plain.iter().any(|(name, value)| (*name, value.as_str()) == wanted), "{wanted:?}");
    }
    assert!(!plain.iter().any(|(name, _)| name.starts_with("insert_quorum")));
    assert!(settings(2, 300).contains(&("insert_quorum", "2".to_owned())));
}

#[test]
fn the_engines_parser_takes_every_text_and_the_engine_knows_every_setting() {
    let dir = tempfile::tempdir().expect("a folder");
    let library = find_library(None).unwrap_or_else(|error| panic!("{error}"));
    let engine = Engine::open(&library, dir.path()).expect("the engine opens");
    let connection = engine.connect(&[]).expect("a session");
    let cluster = cluster();
    let on = cluster.on();
    let mut texts: Vec<String> = definitions().into_iter().flat_map(|(_, both)| both).collect();
    texts.extend(STATEMENTS.iter().map(|statement| cluster.form(statement.sql()).into_owned()));
    texts.extend(TABLES.iter().map(|table| cluster.catch_up(table)));
    texts.extend([
        cluster.tables_there(),
        cluster.nodes_there(),
        format!("CREATE DATABASE IF NOT EXISTS sightline{on}"),
        format!("ALTER TABLE events_local{on} MODIFY TTL toDateTime(received) + INTERVAL 31 DAY"),
        format!("ALTER TABLE deliveries_local{on} DROP PARTITION ('2026-11-21', 7)"),
        format!("ALTER TABLE device_pairs_local{on} DROP PARTITION '2026-12-05'"),
        format!(
            "ALTER TABLE events_local{on} ADD COLUMN IF NOT EXISTS site LowCardinality(String) CODEC(ZSTD(1))"
        ),
        format!("ALTER TABLE events{on} ADD COLUMN IF NOT EXISTS site LowCardinality(String)"),
    ]);
    texts.extend(CHANGES.iter().map(|change| format!("ALTER TABLE any_local{on} {}", change.sql())));
    for text in texts {
        // Servers take a form's field up to 128 KiB (`http_max_field_value_size`).
        assert!(text.len() < 100_000, "{} bytes: {}", text.len(), &text[..100]);
        let bound = [Bound { name: "text".into(), text: crate::store::Value::Text(text.clone()).text() }];
        let parsed = connection.query("SELECT length(formatQuery({text:String})) > 0", "TSVRaw", &bound);
        assert!(matches!(parsed.as_deref(), Ok(b"1\n" | b"true\n")), "{text}\n{parsed:?}");
    }
    for (name, value) in settings(2, 300) {
        let set = connection.query(&format!("SET {name} = '{value}'"), "Null", &[]);
        assert!(set.is_ok(), "{name} = {value}: {set:?}");
    }
}
