//! The SQL of this crate: one set of files for the embedded engine and for servers.
//!
//! Owns the files under `sql/` and `schema/` and how they are put together: a file names another one in double braces, and that one's text
//! stands in its place. Only our own files are ever put into a statement; values are bound by name (`{name:Type}`).

use std::sync::OnceLock;

macro_rules! statements {
    ($folder:literal, $all:ident, $($(#[$doc:meta])* $name:ident = $file:literal,)*) => {
        $($(#[$doc])* pub(crate) const $name: Statement = Statement { file: $file, text: include_str!(concat!("../", $folder, "/", $file, ".sql")), };)*
        /// Every file of the folder.
        pub(crate) const $all: &[Statement] = &[$($name),*];
    };
}

/// One statement, by the name of its file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Statement {
    /// The file's name without `.sql`.
    pub file: &'static str,
    text: &'static str,
}

statements! { "schema", TABLES,
    /// Events.
    EVENTS = "events",
    /// Hits of campaigns or placements that the catalog does not have.
    UNRESOLVED = "unresolved",
    /// Events of placements in their trial state.
    TRIAL_EVENTS = "trial_events",
    /// What became of hits on placements in their trial state.
    TRIAL_HITS = "trial_hits",
    /// Records of a version that this program does not know.
    SET_ASIDE = "set_aside",
    /// Outcome counts of each journal.
    BOOKS = "books",
    /// Which region library came into force when.
    REGION_LIBRARIES = "region_libraries",
    /// Marks of changing days.
    MARKS = "marks",
    /// Published generations.
    SETTLED = "settled",
    /// Settled counts.
    DELIVERIES = "deliveries",
    /// Settled devices.
    DEVICE_DAYS = "device_days",
    /// Settled counts by what ids were like.
    ID_DAYS = "id_days",
    /// Devices that were set aside.
    DEVICES_SET_ASIDE = "devices_set_aside",
    /// The rules by which days were settled last.
    RULES = "rules",
    /// Devices that were erased.
    TOMBSTONES = "tombstones",
    /// What erasures found.
    ERASURES = "erasures",
    /// Days whose devices are no longer kept.
    DEVICES_EXPIRED = "devices_expired",
    /// Devices under two keys that overlap.
    DEVICE_PAIRS = "device_pairs",
}

statements! { "sql", STATEMENTS,
    /// Adopts unresolved hits of a campaign.
    ADOPT = "adopt",
    /// The same for placements in their trial state.
    ADOPT_TRIAL = "adopt_trial",
    /// Days that an adoption would change.
    ADOPT_DAYS = "adopt_days",
    /// Devices that were erased.
    TOMBSTONES_READ = "tombstones_read",
    /// What an erasure found before.
    ERASURES_READ = "erasures_read",
    /// What an erasure finds.
    ERASE_COUNT = "erase_count",
    /// Settled days that are not made again and hold a device.
    ERASE_SETTLED_DAYS = "erase_settled_days",
    /// Makes a device unknown in settled days that are not made again.
    ERASE_SETTLED = "erase_settled",
    /// What is stored of a device.
    COPY_ROWS = "copy_rows",
    /// Days whose devices are no longer kept.
    DEVICES_EXPIRED_READ = "devices_expired_read",
    /// What is left of a day's events.
    DAY_LEFT = "day_left",
    /// How many pairs of devices there are.
    PAIRS_COUNT = "pairs_count",
    /// Overlaps of keys that are over and still have pairs.
    PAIRS_ENDED = "pairs_ended",
    /// Overlaps of keys that are not over.
    REPORT_OVERLAPS = "report_overlaps",
    /// Devices by frequency, while two keys overlap.
    REPORT_FREQUENCY_PAIRED = "report_frequency_paired",
    /// The same over all: one histogram.
    REPORT_FREQUENCY_TOTAL_PAIRED = "report_frequency_total_paired",
    /// The same from events.
    REPORT_FREQUENCY_EVENTS_PAIRED = "report_frequency_events_paired",
    /// Devices by the day of their first impression, while two keys overlap.
    REPORT_FIRST_DAYS_PAIRED = "report_first_days_paired",
    /// Devices by the members of an overlap that they are of.
    REPORT_OVERLAP = "report_overlap",
    /// The same while two keys overlap.
    REPORT_OVERLAP_PAIRED = "report_overlap_paired",
    /// How each day stands.
    REPORT_STANDING = "report_standing",
    /// What a campaign has on some days.
    REPORT_FACTS = "report_facts",
    /// Impressions and clicks by key.
    REPORT_TOTALS = "report_totals",
    /// Histogram of frequencies by a number that stands for the key.
    REPORT_FREQUENCY_CODED = "report_frequency_coded",
    /// The keys of those numbers.
    REPORT_CODES = "report_codes",
    /// Which of some campaigns have unresolved hits.
    UNRESOLVED_CAMPAIGNS = "unresolved_campaigns",
    /// Which of some placements of a campaign have unresolved hits.
    UNRESOLVED_PLACEMENTS = "unresolved_placements",
    /// Outcome counts, newest of each journal.
    BOOKS_READ = "books_read",
    /// Which region library came into force when, by journal and in its order.
    REGION_LIBRARIES_READ = "region_libraries_read",
    /// How many records were set aside.
    SET_ASIDE_COUNT = "set_aside_count",
    /// Campaigns that have events.
    CAMPAIGNS = "campaigns",
    /// Campaigns that have events on some days.
    CAMPAIGNS_OF_DAYS = "campaigns_of_days",
    /// Days on which any of some campaigns has events.
    DAYS_OF_CAMPAIGNS = "days_of_campaigns",
    /// Days that changed since they were settled.
    DIRTY_DAYS = "dirty_days",
    /// Definition of the events table, by its name.
    EVENTS_DEFINED = "events_defined",
    /// Whether a table has a column.
    COLUMN_THERE = "column_there",
    /// State of every day's marks.
    MARKS_NOW = "marks_now",
    /// Marks that are open.
    MARKS_OPEN = "marks_open",
    /// Whether the store has an earlier form.
    EARLIER_TABLES = "earlier_tables",
    /// Carries marks over from an earlier form.
    EARLIER_MARKS = "earlier_marks",
    /// Partitions of the settled tables.
    GENERATION_PARTS = "generation_parts",
    /// Published generations of some days.
    PUBLISHED = "published",
    /// Rules in force at the last start.
    RULES_READ = "rules_read",
    /// How large a day is.
    DAY_SIZE = "day_size",
    /// Agents of some days that match a pattern.
    AGENTS_MATCHING = "agents_matching",
    /// Networks of some days within ranges.
    NETWORKS_WITHIN = "networks_within",
    /// A place for the hits of the settle step in hand.
    SETTLE_PREPARE = "settle_prepare",
    /// First step of settling a day.
    SETTLE_JUDGE = "settle_judge",
    /// Second step: counts.
    SETTLE_DELIVERIES = "settle_deliveries",
    /// Third step: devices.
    SETTLE_DEVICE_DAYS = "settle_device_days",
    /// Before the first step: devices over the ceiling.
    SETTLE_SET_ASIDE = "settle_set_aside",
    /// Fourth step: what ids were like.
    SETTLE_ID_DAYS = "settle_id_days",
    /// Devices that are set aside in the figures in force.
    SET_ASIDE_DEVICES = "set_aside_devices",
    /// Devices that a generation sets aside and the one before does not.
    SET_ASIDE_NEW = "set_aside_new",
    /// How many devices are set aside.
    SET_ASIDE_DEVICE_COUNT = "set_aside_device_count",
    /// Newest hits on a placement in its trial state.
    TRIAL_HITS_READ = "trial_hits_read",
    /// Report of ids.
    REPORT_IDS = "report_ids",
    /// Delivery report.
    REPORT_DELIVERY = "report_delivery",
    /// When placements had their newest hits.
    LAST_HITS = "last_hits",
    /// What came to a closed period since.
    CLOSED_SINCE = "closed_since",
    /// Creatives with a row of their own.
    REPORT_CREATIVES = "report_creatives",
    /// Unresolved hits of a campaign.
    REPORT_UNRESOLVED = "report_unresolved",
    /// Histogram of frequencies by key.
    REPORT_FREQUENCY = "report_frequency",
    /// The same over all: one histogram.
    REPORT_FREQUENCY_TOTAL = "report_frequency_total",
    /// Devices by the day on which they were reached first.
    REPORT_FIRST_DAYS = "report_first_days",
    /// Histogram of frequencies by creative, region, platform or hour, from events.
    REPORT_FREQUENCY_EVENTS = "report_frequency_events",
}

statements! { "sql/change", CHANGES,
    /// Blanks rows of events.
    ERASE_ROWS = "erase_rows",
    /// Takes a device out of a settled table.
    FORGET_DEVICE = "forget_device",
    /// Takes pairs of erased devices away.
    FORGET_PAIRS = "forget_pairs",
    /// Takes the salt out of an erasure.
    FORGET_SALT = "forget_salt",
}

statements! { "sql/part", PARTS,
    /// Which rows an erasure blanks.
    ERASABLE = "erasable",
    /// What a copy holds of a row.
    COPIED_COLUMNS = "copied_columns",
    /// Which rows a copy holds.
    COPIED_SCOPE = "copied_scope",
    /// Each writer's newest mark on each day.
    MARKS_BY_WRITER = "marks_by_writer",
    /// State of each day's marks.
    MARKS_BY_DAY = "marks_by_day",
    /// What is stored of each table, by partition.
    STORED_PARTS = "stored_parts",
    /// Which rows a statement looks at.
    SCOPE = "scope",
    /// Which placements whoever asks sees.
    SEEN = "seen",
    /// Later stages of a view.
    LATER_STAGE = "later_stage",
    /// Hours near midnight.
    NEAR_MIDNIGHT = "near_midnight",
    /// Hits that may count on the wanted days.
    COUNTABLE = "countable",
    /// Hits that these may repeat.
    COMPARABLE = "comparable",
    /// A number that is equal for hits that may repeat each other.
    KEY = "key",
    /// A number that is equal for impressions of one view that repeat each other.
    ALIKE = "alike",
    /// Order of hits.
    ORDER = "order",
    /// Keys that several hits share.
    SHARED_KEYS = "shared_keys",
    /// Hits, once each.
    HITS = "hits",
    /// Which impressions are looked at.
    IMPRESSION_SCOPE = "impression_scope",
    /// First impressions of views.
    OWN_IMPRESSIONS = "own_impressions",
    /// First impressions across a midnight.
    NEIGHBOUR_IMPRESSIONS = "neighbour_impressions",
    /// Hits where they count.
    COUNTED = "counted",
    /// Clicks too soon after another.
    DOUBLE_CLICKS = "double_clicks",
    /// Agents of apps.
    APP_AGENT = "app_agent",
    /// Hits with their class.
    JUDGED_HITS = "judged",
    /// Counts by stage.
    DELIVERY_COUNTS = "delivery_counts",
    /// Settled counts and those of days that are not settled.
    DELIVERIES_NOW = "deliveries_now",
    /// Settled figures that a statement reads.
    IN_FORCE = "in_force",
    /// Settled counts only.
    DELIVERIES_SETTLED = "deliveries_settled",
    /// Settled devices only.
    DEVICE_DAYS_SETTLED = "device_days_settled",
    /// Settled devices and those of days that are not settled.
    DEVICE_DAYS_NOW = "device_days_now",
    /// What a report's rows are keyed by.
    REPORT_KEY = "report_key",
    /// The same, of what a settled device knows.
    DEVICE_KEY = "device_key",
    /// A number for that.
    DEVICE_CODE = "device_code",
    /// Counts of a device.
    DEVICE_COUNTS = "device_counts",
    /// What a settled count is kept by.
    DELIVERY_CELLS = "delivery_cells",
    /// The medium of a placement, by the catalog.
    MEDIUM = "medium",
    /// Columns of the tables of events.
    EVENT_COLUMNS = "event_columns",
    /// The same with their types, for the definitions of those tables.
    EVENT_FIELDS = "event_fields",
    /// Unresolved hits as events.
    ADOPT_ROWS = "adopt_rows",
    /// Whether a hit is a verdict on a view.
    IS_VERDICT = "is_verdict",
    /// Devices that are set aside.
    SET_ASIDE_NOW = "set_aside_now",
    /// Devices with more impressions than the ceiling.
    OVER_CEILING = "over_ceiling",
    /// Hits that the ceiling looks at.
    CEILING_SCOPE = "ceiling_scope",
    /// Many devices as one number.
    CEILING_SLOT = "ceiling_slot",
    /// What a settled count of ids is kept by.
    ID_CELLS = "id_cells",
    /// Counts of ids.
    ID_COUNTS = "id_counts",
    /// Whether an id identifies a device.
    IS_USABLE = "is_usable",
    /// Settled counts of ids only.
    ID_DAYS_SETTLED = "id_days_settled",
    /// Settled counts of ids and those of days that are not settled.
    ID_DAYS_NOW = "id_days_now",
    /// What a report of ids is keyed by.
    ID_KEY = "id_key",
    /// Devices under the key before, as those of the present one.
    PAIRS = "pairs",
    /// Which devices are in the sample.
    SAMPLED = "sampled",
    /// The same behind the pairs.
    SAMPLED_ONE = "sampled_one",
    /// The bit of a member of an overlap.
    MEMBER_BIT = "member_bit",
    /// Hits that were adopted.
    ADOPTED = "adopted",
    /// Unresolved hits that can be adopted.
    ADOPTABLE = "adoptable",
}

impl Statement {
    /// The whole text, with the other files in their places and without comments.
    pub(crate) fn sql(&self) -> &'static str {
        self.text(false)
    }

    /// Of a table's definition: its columns with their types, in their order.
    pub(crate) fn columns(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let body = self.sql().split_once(" (\n").map_or("", |(_, rest)| rest);
        let lines = body.lines().take_while(|line| line.starts_with("    "));
        lines.filter_map(|line| line.trim().trim_end_matches(',').split_once(' '))
    }

    /// Of a table's definition: what rows are inserted into, with the columns named, for the store's table may have more of them or another
    /// order.
    pub(crate) fn target(&self) -> String {
        let columns: Vec<&str> = self.columns().map(|(name, _)| name).collect();
        format!("{} ({})", self.file, columns.join(", "))
    }

    /// The text for a report that needs settled figures only: nothing is judged, which takes most of the planning of a small report.
    pub(crate) fn sql_settled(&self) -> &'static str {
        self.text(true)
    }

    fn text(&self, settled: bool) -> &'static str {
        static TEXTS: OnceLock<ahash::HashMap<(&'static str, bool), String>> = OnceLock::new();
        let texts = TEXTS.get_or_init(|| {
            let both = TABLES
                .iter()
                .chain(STATEMENTS)
                .chain(CHANGES)
                .flat_map(|statement| [(statement.text, false), (statement.text, true)]);
            both.map(|(text, settled)| ((text, settled), expand(text, settled, 0))).collect()
        });
        texts.get(&(self.text, settled)).map_or("", String::as_str)
    }
}

/// Files within files within files: deeper than this is a circle.
const DEPTH_MAX: usize = 12;

fn expand(text: &str, settled: bool, depth: usize) -> String {
    let mut out = String::with_capacity(text.len() * 4);
    for line in text.lines().filter(|line| !line.trim_start().starts_with("--")) {
        let mut rest = line;
        while let Some((before, after)) = rest.split_once("{{") {
            out.push_str(before);
            let (name, after) = after.split_once("}}").unwrap_or((after, ""));
            let name = match name {
                "deliveries_now" if settled => DELIVERIES_SETTLED.file,
                "device_days_now" if settled => DEVICE_DAYS_SETTLED.file,
                "id_days_now" if settled => ID_DAYS_SETTLED.file,
                name => name,
            };
            let part = PARTS.iter().find(|part| part.file == name);
            debug_assert!(part.is_some() && depth < DEPTH_MAX, "no part {name}, or a circle");
            if let Some(part) = part.filter(|_| depth < DEPTH_MAX) {
                out.push_str(expand(part.text, settled, depth + 1).trim_end());
            }
            rest = after;
        }
        out.push_str(rest);
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tables_columns_are_read_off_its_definition() {
        let columns: Vec<_> = SETTLED.columns().collect();
        assert_eq!(columns.first(), Some(&("day", "Date")));
        assert_eq!(columns.last(), Some(&("oldest", "DateTime64(3, 'UTC')")));
        let events: Vec<_> = EVENTS.columns().collect();
        assert_eq!((events.len(), events[0]), (24, ("journal", "UInt64 CODEC(ZSTD(1))")));
        for table in [UNRESOLVED, TRIAL_EVENTS] {
            assert_eq!(
                table.columns().collect::<Vec<_>>(),
                events,
                "{}: rows move from one to the other",
                table.file
            );
        }
        assert_eq!(RULES.target(), "rules (one, at, lists, campaigns, seconds)");
        for table in TABLES {
            assert!(table.columns().count() >= 2, "{}", table.file);
        }
    }

    #[test]
    fn every_report_counts_only_what_whoever_asks_sees() {
        // Hits of placements that the catalog does not have, which only the operator is shown; changes of keys and how days stand, which are nobody's.
        let of_the_house = ["report_unresolved", "report_overlaps", "report_standing"];
        let reports = STATEMENTS.iter().filter(|statement| statement.file.starts_with("report_"));
        for statement in reports.filter(|statement| !of_the_house.contains(&statement.file)) {
            for sql in [statement.sql(), statement.sql_settled()] {
                // Each reading of figures or events, but those of a table without placements.
                let readings = ["FROM deliveries\n", "FROM device_days\n", "FROM id_days\n"];
                let read: usize = readings.iter().map(|reading| sql.matches(reading).count()).sum();
                let limited = sql.matches("{limited:UInt8}").count();
                assert!(
                    limited >= read.max(1),
                    "{}: {read} readings, {limited} of them limited",
                    statement.file
                );
            }
        }
        // Each file for itself too: where days are computed from their events, one limit more would hide one too few.
        let parts =
            PARTS.iter().filter(|part| part.file.ends_with("_now") || part.file.ends_with("_settled"));
        let reports = STATEMENTS.iter().filter(|statement| statement.file.starts_with("report_"));
        let mut limited = Vec::new();
        for file in parts.chain(reports) {
            let count = |what: &str| file.text.lines().filter(|line| line.trim().ends_with(what)).count();
            let tables = ["FROM deliveries", "FROM device_days", "FROM id_days", "FROM events", "{{judged}}"];
            let read: usize = tables.into_iter().map(count).sum();
            assert_eq!(file.text.matches("{{seen}}").count(), read, "{}", file.file);
            limited.extend((read > 0).then_some(file.file));
        }
        assert!(limited.len() >= 9, "{limited:?}");
    }

    #[test]
    fn settled_figures_are_told_apart_by_their_partitions() {
        for statement in STATEMENTS.iter().chain(CHANGES) {
            for sql in [statement.sql(), statement.sql_settled()] {
                // Parts are left out by it before a row is read; a tuple would be looked up for every row.
                assert!(!sql.contains("(day, generation) IN {"), "{}", statement.file);
            }
        }
        assert!(REPORT_TOTALS.sql_settled().contains("_partition_id IN {published:Array(String)}"));
    }

    #[test]
    fn every_part_that_is_named_exists_and_every_file_is_listed() {
        for statement in TABLES.iter().chain(STATEMENTS).chain(CHANGES) {
            let sql = statement.sql();
            assert!(!sql.trim().is_empty() && !sql.contains("{{"), "{}", statement.file);
        }
        for (folder, listed) in
            [("schema", TABLES), ("sql", STATEMENTS), ("sql/change", CHANGES), ("sql/part", PARTS)]
        {
            let found = std::fs::read_dir(format!("{}/{folder}", env!("CARGO_MANIFEST_DIR")))
                .expect("the folder is in the tree")
                .filter_map(|entry| {
                    entry.expect("readable").file_name().to_str()?.strip_suffix(".sql").map(str::to_owned)
                });
            let mut found: Vec<_> = found.collect();
            found.sort();
            let mut listed: Vec<_> = listed.iter().map(|s| s.file).collect();
            listed.sort_unstable();
            assert_eq!(found, listed, "{folder}");
        }
    }
}
