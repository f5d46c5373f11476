//! The cluster form of the schema: the same files, made into tables that are replicated and distributed.
//!
//! ```text
//!  schema/events.sql ──► events_local   Replicated…MergeTree, ON CLUSTER: one replica's share of one shard
//!                   └──► events         Distributed over it, ON CLUSTER: what every statement names
//! ```
//!
//! Statements stay as they are: they read and write the Distributed tables. What differs is settings ([`settings`]), definitions, partitions
//! that are dropped (the local tables', on the whole cluster) and `system.parts` (of one replica of each shard, under the tables' own names).
//!
//! The servers' configuration has to define the macros `{shard}` and `{replica}`, and the cluster with `internal_replication`: a Distributed table
//! writes to one replica of a shard, which hands it to the others.
//!
//! **This form has never run**: the embedded engine is built without Keeper and has no Replicated tables. Tests hold its text against the
//! engine's own parser, and the properties that it has to have; nothing more.

use std::borrow::Cow;

use crate::statement::Statement;

/// How rows are spread over shards. Nothing relies on it for being right (`IN` and `JOIN` look at all shards, and no grouping is left to a shard
/// alone, so shards may be added), only for being fast: what is merged or grouped by a key stands on one shard.
///
/// * By device where there is one, as that is what reach is counted by; hits without a device by their identity.
/// * `deliveries` and `id_days` have neither: by what they are ordered by.
/// * Small tables by the key that their rows replace or sum each other by, so that merges do so.
const SHARDING: &[(&str, &str)] = &[
    ("events", "if(device = 0, cityHash64(journal, seq), device)"),
    ("unresolved", "if(device = 0, cityHash64(journal, seq), device)"),
    ("trial_events", "if(device = 0, cityHash64(journal, seq), device)"),
    ("trial_hits", "cityHash64(journal, seq)"),
    ("set_aside", "cityHash64(journal, seq)"),
    ("devices_set_aside", "device"),
    ("id_days", "cityHash64(campaign, placement, platform)"),
    ("device_days", "device"),
    ("deliveries", "cityHash64(campaign, placement, hour)"),
    ("books", "journal"),
    ("region_libraries", "journal"),
    ("marks", "cityHash64(day)"),
    ("settled", "cityHash64(day)"),
    ("rules", "one"),
    ("tombstones", "device"),
    ("erasures", "request"),
    ("devices_expired", "cityHash64(day)"),
    ("device_pairs", "former"),
];

/// How long a definition waits for the cluster's nodes, seconds.
const DEFINITION_SECONDS_MAX: u64 = 60;

/// A cluster of servers and the database on it.
#[derive(Clone, Debug)]
pub(super) struct Cluster {
    pub(super) name: String,
    pub(super) database: String,
}

/// What a statement needs on a cluster, beside what it needs anywhere.
pub(super) fn settings(insert_quorum: u32, seconds: u64) -> Vec<(&'static str, String)> {
    let mut settings = vec![
        // What is answered as stored is on its shards.
        ("distributed_foreground_insert", "1".to_owned()),
        // A subquery over a Distributed table inside IN is made once and sent to every shard.
        ("distributed_product_mode", "global".to_owned()),
        // INSERT SELECT goes through the table's own sharding, and what it selects is of all shards.
        ("parallel_distributed_insert_select", "0".to_owned()),
        // A shard was added: rows of one key may stand on two.
        ("optimize_distributed_group_by_sharding_key", "0".to_owned()),
        ("optimize_skip_unused_shards", "0".to_owned()),
        // Part of the figures is no figure.
        ("skip_unavailable_shards", "0".to_owned()),
        ("fallback_to_stale_replicas_for_distributed_queries", "0".to_owned()),
        ("distributed_ddl_output_mode", "throw_only_active".to_owned()),
        ("distributed_ddl_task_timeout", DEFINITION_SECONDS_MAX.min(seconds).to_string()),
    ];
    if insert_quorum > 0 {
        settings.extend([
            ("insert_quorum", insert_quorum.to_string()),
            ("insert_quorum_parallel", "1".to_owned()),
            ("insert_quorum_timeout", (seconds * 1000 / 2).to_string()),
        ]);
    }
    settings
}

impl Cluster {
    /// ` ON CLUSTER '…'`
    pub(super) fn on(&self) -> String {
        format!(" ON CLUSTER '{}'", self.name)
    }

    /// The name of a table's local part.
    pub(super) fn local(table: &str) -> String {
        format!("{table}_local")
    }

    /// The two definitions of a table: its local part and what stands over it. `None` for a text that is no definition of a MergeTree table.
    pub(super) fn definitions(&self, table: &str, sql: &str) -> Option<[String; 2]> {
        let Self { name, database } = self;
        let local = Self::local(table);
        let (_, key) = SHARDING.iter().find(|(name, _)| *name == table)?;
        let body = sql.trim().strip_prefix(&format!("CREATE TABLE IF NOT EXISTS {table} ("))?;
        let (columns, rest) = body.split_once("\n) ENGINE = ")?;
        let (engine, rest) = rest.split_once('\n')?;
        let (kind, arguments) = match engine.split_once('(') {
            None => (engine, String::new()),
            Some((kind, arguments)) => (kind, format!(", {}", arguments.strip_suffix(')')?)),
        };
        if !kind.ends_with("MergeTree") || !rest.contains("\nSETTINGS ") {
            return None;
        }
        let on = self.on();
        Some([
            format!(
                "CREATE TABLE IF NOT EXISTS {local}{on} ({columns}\n) \
                 ENGINE = Replicated{kind}('/clickhouse/tables/{{shard}}/{database}/{local}', '{{replica}}'{arguments})\n\
                 {rest}, replicated_deduplication_window = 0"
            ),
            format!(
                "CREATE TABLE IF NOT EXISTS {table}{on} AS {database}.{local}\n\
                 ENGINE = Distributed('{name}', '{database}', '{local}', {key})"
            ),
        ])
    }

    /// A statement, with what it reads from the server's own tables read from the cluster.
    pub(super) fn form<'a>(&self, sql: &'a str) -> Cow<'a, str> {
        const PARTS: &str = "system.parts";
        if !sql.contains(PARTS) {
            return Cow::Borrowed(sql);
        }
        let Self { name, database } = self;
        let parts = format!(
            "(SELECT * REPLACE (replaceRegexpOne(table, '_local$', '') AS table) FROM cluster('{name}', {PARTS}) \
             WHERE database = '{database}' AND endsWith(table, '_local'))"
        );
        Cow::Owned(sql.replace(PARTS, &parts))
    }

    /// How many tables of the database there are on the nodes that can be reached.
    pub(super) fn tables_there(&self) -> String {
        let Self { name, database } = self;
        format!(
            "SELECT count() AS number FROM clusterAllReplicas('{name}', system.tables) \
             WHERE database = '{database}' AND name IN {{names:Array(String)}} SETTINGS skip_unavailable_shards = 1"
        )
    }

    /// How many nodes can be reached.
    pub(super) fn nodes_there(&self) -> String {
        let name = &self.name;
        format!(
            "SELECT count() AS number FROM clusterAllReplicas('{name}', system.one) SETTINGS skip_unavailable_shards = 1"
        )
    }

    /// Waits until every replica has what any of them has taken.
    pub(super) fn catch_up(&self, table: &Statement) -> String {
        let (on, database, local) = (self.on(), &self.database, Self::local(table.file));
        format!("SYSTEM SYNC REPLICA{on} {database}.{local} LIGHTWEIGHT")
    }
}

#[cfg(test)]
mod tests;
