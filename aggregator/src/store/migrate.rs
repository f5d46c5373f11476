//! The tables: created where they are missing, on every start, and given the columns that they did not have when they were created.
//!
//! Each step says what has to be there (`IF NOT EXISTS`), so it can be run again, and by several nodes at the same time. There is no table of
//! versions: nothing would be decided by it that the tables do not say themselves.

use serde::Deserialize;

use super::cluster::Cluster;
use super::{ServerError, Store, StoreError, Value, Values, Work};
use crate::statement::{self, Statement};

/// Columns that came after their tables.
const ADDED: [(Statement, &str); 8] = [
    (statement::EVENTS, "site"),
    (statement::UNRESOLVED, "site"),
    (statement::DELIVERIES, "signal_gpc"),
    (statement::DELIVERIES, "signal_dnt"),
    (statement::DELIVERIES, "signal_lmt"),
    (statement::DELIVERIES, "signal_consent"),
    (statement::DELIVERIES, "signal_gpp"),
    (statement::DELIVERIES, "signal_child"),
];

#[derive(Deserialize)]
struct Defined {
    definition: String,
}

#[derive(Deserialize)]
struct Number {
    number: u64,
}

/// Creates the tables. Safe to run at every start, and from several nodes at the same time.
///
/// # Errors
/// The store's.
pub fn migrate(store: &Store, retention_days: u16) -> Result<(), StoreError> {
    for table in statement::TABLES {
        // A number of our settings, from 1 to 65,535: the engine takes no bound values in a table's definition.
        let sql = table.sql().replace("RETENTION_DAYS", &retention_days.to_string());
        match &store.cluster {
            None => store.execute_text(Work::Settle, &sql, &Values::new())?,
            Some(cluster) => define(store, cluster, table, &sql)?,
        }
    }
    store.check_one_store()?;
    check_form(store)?;
    for (table, column) in ADDED {
        add_column(store, table, column)?;
    }
    keep_for(store, retention_days)
}

/// Adds a column that a table of an earlier program does not have; its rows read as empty there.
fn add_column(store: &Store, table: Statement, column: &str) -> Result<(), StoreError> {
    let values =
        vec![("table", Value::Text(table.file.to_owned())), ("column", Value::Text(column.to_owned()))];
    let there: Vec<Number> = store.rows(Work::Settle, statement::COLUMN_THERE, &values)?;
    if there.first().is_some_and(|there| there.number > 0) {
        return Ok(());
    }
    let definition = table.columns().find(|(name, _)| *name == column).map_or("", |(_, kind)| kind);
    let change = format!("ADD COLUMN IF NOT EXISTS {column} {definition}");
    store.alter(Work::Settle, table.file, &change)?;
    if let Some(cluster) = &store.cluster {
        // The table over the local ones; it takes no codec of its own.
        let kind = definition.split_once(" CODEC").map_or(definition, |(kind, _)| kind);
        let sql =
            format!("ALTER TABLE {}{} ADD COLUMN IF NOT EXISTS {column} {kind}", table.file, cluster.on());
        store.execute_text(Work::Settle, &sql, &Values::new())?;
    }
    tracing::info!(table = table.file, column, "the store's table has a new column");
    Ok(())
}

/// Holds that the tables are of the form that is set: `IF NOT EXISTS` leaves those of the other form as they are.
fn check_form(store: &Store) -> Result<(), StoreError> {
    let values = vec![("table", Value::Text(statement::EVENTS.file.to_owned()))];
    let defined: Vec<Defined> = store.rows(Work::Settle, statement::EVENTS_DEFINED, &values)?;
    let definition = defined.first().map(|table| table.definition.as_str()).unwrap_or_default();
    let problem = other_form(definition, store.cluster.is_some());
    problem.map_or(Ok(()), |problem| Err(ServerError::Form { problem }.into()))
}

/// What is wrong when a table has not the form that is set.
fn other_form(definition: &str, wants_cluster: bool) -> Option<&'static str> {
    match (definition.contains("ENGINE = Distributed("), wants_cluster) {
        (true, false) => Some("its tables are spread over a cluster: set `cluster` in [store]"),
        (false, true) => {
            Some("it has plain tables: take another `database` for the cluster, or leave `cluster` empty")
        }
        (true, true) | (false, false) => None,
    }
}

/// Defines a table on the whole cluster, unless every node that can be reached has it: a definition waits for every node.
fn define(store: &Store, cluster: &Cluster, table: &Statement, sql: &str) -> Result<(), StoreError> {
    let number = |sql: &str, values: &Values| -> Result<u64, StoreError> {
        let rows: Vec<Number> = store.rows_text(Work::Settle, table.file, sql, values)?;
        Ok(rows.first().map_or(0, |row| row.number))
    };
    let names = vec![table.file.to_owned(), Cluster::local(table.file)];
    let there = number(&cluster.tables_there(), &vec![("names", Value::Texts(names))])?;
    if there > 0 && there == 2 * number(&cluster.nodes_there(), &Values::new())? {
        return Ok(());
    }
    let definitions = cluster.definitions(table.file, sql).ok_or_else(|| StoreError::Answer {
        statement: table.file,
        reason: "its definition has no cluster form".to_owned(),
    })?;
    definitions.iter().try_for_each(|sql| store.execute_text(Work::Settle, sql, &Values::new()))
}

/// Keeps events for as many days as is set now.
fn keep_for(store: &Store, retention_days: u16) -> Result<(), StoreError> {
    let table = statement::EVENTS.file;
    let name = store.cluster.as_ref().map_or_else(|| table.to_owned(), |_| Cluster::local(table));
    let values = vec![("table", Value::Text(name))];
    let defined: Vec<Defined> = store.rows(Work::Settle, statement::EVENTS_DEFINED, &values)?;
    let wanted = format!("toIntervalDay({retention_days})");
    if defined.iter().any(|table| table.definition.contains(&wanted)) {
        return Ok(());
    }
    let change = format!("MODIFY TTL toDateTime(received) + INTERVAL {retention_days} DAY");
    store.alter(Work::Settle, table, &change)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_the_other_form_are_told() {
        let plain = "CREATE TABLE a.events (`n` UInt64) ENGINE = MergeTree ORDER BY n";
        let spread = "CREATE TABLE a.events (`n` UInt64) ENGINE = Distributed('c', 'a', 'events_local', n)";
        assert_eq!(other_form(plain, false), None);
        assert_eq!(other_form(spread, true), None);
        assert!(other_form(plain, true).is_some_and(|problem| problem.contains("plain")));
        assert!(other_form(spread, false).is_some_and(|problem| problem.contains("set `cluster`")));
    }
}
