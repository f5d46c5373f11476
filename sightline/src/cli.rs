//! The command line: every command, its arguments and an example of each. It only describes; the modules named in
//! [`crate::main`] do the work. It must never read a file or the clock.

mod files;
mod requests;
mod upkeep;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use files::{FileFormat, ImportArgs, ReplayArgs};
use files::{IMPORT_HELP, REPLAY_HELP};
pub(crate) use requests::{RequestsArgs, RequestsCommand};
pub(crate) use upkeep::{
    AuditArgs, AuditCommand, KeysArgs, KeysCommand, SecurityLogCommand, TokenRole, TokensArgs, TokensCommand,
};

/// Third-party ad measurement: beacons in, reach and frequency out.
#[derive(Debug, Parser)]
#[command(
    name = "sightline",
    version,
    about,
    long_about = None,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage or configuration. Logs go to\n\
        standard error (text in a terminal, JSON otherwise), results to standard output.\n\n\
        Start here:\n  sightline demo        a running example with generated beacons\n  \
        sightline standalone  everything on this machine"
)]
pub(crate) struct Cli {
    /// What is logged: error, warn, info, debug, trace, or directives such as `info,ingest=debug`.
    #[arg(
        long,
        global = true,
        value_name = "LEVEL",
        env = "SIGHTLINE_LOG",
        default_value = "info",
        display_order = 900
    )]
    pub(crate) log: String,
    /// The command.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run everything on this machine: tracker, opt-out page, reports, admin port.
    #[command(after_help = "Example:\n  sightline standalone --data sightline-data\n\n\
        The first start creates the folder with its keys, tokens and an example catalog.\n\
        Stop with Ctrl-C or SIGTERM: what was accepted is finished, then the exit code\n\
        is 0.")]
    Standalone(RoleArgs),
    /// Run the tracker alone: takes beacons and journals them.
    #[command(after_help = "Example:\n  sightline ingest --config deploy/full.toml\n\n\
        With [kafka] brokers the node forwards its journal to Kafka, and hears opt-outs\n\
        and the catalog from there. Without, it fills the journal of its own data folder\n\
        and obeys the opt-outs that are in that folder; start `standalone` on the same\n\
        folder to turn the journal into figures.")]
    Ingest(RoleArgs),
    /// Run the opt-out page and its registry alone.
    #[command(after_help = "Example:\n  sightline opt-out --config deploy/full.toml\n\n\
        With [kafka] brokers the registry is a topic that every tracker hears within a\n\
        second. Without, it reaches the trackers that are started on its data folder\n\
        later, not one that runs elsewhere.")]
    OptOut(RoleArgs),
    /// Run the aggregator and the report API alone.
    #[command(after_help = "Example:\n  sightline aggregator --config deploy/full.toml\n\n\
        With [kafka] brokers it shares the events with the other aggregators of its\n\
        group, and [store] servers is where they meet. Without, it reads the journal of\n\
        its own data folder, and only while no tracker writes there.")]
    Aggregator(RoleArgs),
    /// Load past beacons from a file through the running instance, each at its recorded time.
    #[command(after_help = REPLAY_HELP)]
    Replay(ReplayArgs),
    /// Import a register of others: opt out every id in a file, through the running instance.
    #[command(name = "import-opt-outs", after_help = IMPORT_HELP)]
    ImportOptOuts(ImportArgs),
    /// Print the tracking URLs to hand to media.
    #[command(after_help = "Example:\n  sightline links --campaign demo\n  \
        sightline links --base https://t.example.com --dialect admaster --format csv > links.csv\n  \
        sightline links --campaign demo --sign --expires 90d\n  \
        sightline links --campaign demo --dialect vast --stages all\n\n\
        The macros are those of the placement's `profile` in the catalog. A signed link\n\
        counts until its end, by the time of receipt: leave room for the seven days that\n\
        offline queues may take.")]
    Links(LinksArgs),
    /// Explain a tracking URL part by part: what it means, what is missing, and what would be counted. Contacts nobody.
    #[command(
        after_help = "Example:\n  sightline explain 'https://t.example.com/i?c=demo&p=p1&oaid=__OAID__'\n  \
        sightline explain --catalog catalog.toml 'http://g.cn.miaozhen.com/x/k=demo&p=p1&m2=...'\n\n\
        Quote the URL: it holds characters that mean something to a shell. The host does\n\
        not matter. A URL of ours inside another tracker's is found. Identifiers are\n\
        shown by their first characters only, so that the output can go into a ticket;\n\
        --show-values shows them.\n\n\
        Exit codes: 0 it would be counted, 1 it would not, 2 wrong usage."
    )]
    Explain(ExplainArgs),
    /// Watch the hits of a placement that is being integrated (`state = "trial"`), with what became of each.
    #[command(after_help = "Example:\n  sightline watch --campaign demo --placement p1\n  \
        sightline watch --campaign demo --placement p1 --once\n\n\
        Shows the last 100 hits and each new one, until Ctrl-C. No identifier, no\n\
        address and no agent is shown.")]
    Watch(WatchArgs),
    /// Print the sdkconfig.xml with which apps that have the MMA China SDK measure with us.
    #[command(
        after_help = "Example:\n  sightline sdk-config --base https://t.example.com > sdkconfig.xml\n  \
        sightline sdk-config --base https://t.example.com --company-only\n\n\
        The tracker serves the same at /sdkconfig.xml. Give the app the URLs of\n\
        `sightline links --dialect miaozhen`; for the quarters of a video add its length\n\
        in seconds: &vb=15&vj=1111."
    )]
    SdkConfig(SdkConfigArgs),
    /// Ask the running instance for reach, frequency or delivery.
    #[command(after_help = "Example:\n  sightline report reach --campaign demo --settle\n  \
        sightline report frequency --campaign demo --from 2026-11-01 --to 2026-11-30\n  \
        sightline report delivery --campaign demo --by day --filter gross --format csv\n  \
        sightline report ids --campaign demo --by medium\n  \
        sightline report overlap --campaign demo")]
    Report(ReportArgs),
    /// Bring the figures of changed days up to date.
    #[command(after_help = "Example:\n  sightline settle\n  \
        sightline settle --day 2026-11-20")]
    Settle(SettleArgs),
    /// Close a period of a campaign: its figures stay as they are, and what changes later stands beside them.
    #[command(
        after_help = "Example:\n  sightline close --campaign demo --from 2026-11-01 --to 2026-11-30 --note 'as agreed'\n\n\
        Every day has to be over and settled (`sightline settle`). Reports of exactly\n\
        these days are answered from it. Closing them again makes another version and\n\
        needs a note."
    )]
    Close(CloseArgs),
    /// Look into a journal that no process is writing.
    #[command(subcommand)]
    Journal(JournalCommand),
    /// The audit log: who looked at which figures, and who changed what.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// The keys that devices are made with: their epochs, a new one, the end of an old one.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// The security log: where requests came from. For who holds its private key.
    #[command(subcommand)]
    SecurityLog(SecurityLogCommand),
    /// Check a configuration file with the key files and the catalog that it names, or a catalog, without starting anything.
    #[command(after_help = "Example:\n  sightline check-config deploy/full.toml\n  \
        sightline check-config catalog.toml\n\nWithout `catalog` in the configuration, the catalog is catalog.toml in the data\n\
        folder: `data` of the file, --data of a start, or sightline-data.")]
    CheckConfig {
        /// The configuration or catalog file.
        file: PathBuf,
    },
    /// The catalog of a cluster: publish it to every node, or print the one in force.
    #[command(subcommand)]
    Catalog(CatalogCommand),
    /// Tokens for the report API: make, list and revoke them, through the running instance.
    #[command(subcommand)]
    Tokens(TokensCommand),
    /// Persons' requests for erasure and for copies: the queue of those that no proof came with, and your yes or no.
    #[command(subcommand)]
    Requests(RequestsCommand),
    /// Start everything, send generated beacons whose truth is known, show the reports beside it, and stay up.
    #[command(after_help = "Example:\n  sightline demo --data sightline-data")]
    Demo(DemoArgs),
}

/// Arguments of a role.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct RoleArgs {
    /// Data folder. Stands above the file's `data`.
    #[arg(long, value_name = "DIR", env = "SIGHTLINE_DATA")]
    pub(crate) data: Option<PathBuf>,
    /// Configuration file (TOML). Without one, the defaults hold.
    #[arg(long, value_name = "FILE", env = "SIGHTLINE_CONFIG")]
    pub(crate) config: Option<PathBuf>,
}

/// Arguments of `demo`.
#[derive(Clone, Debug, Args)]
pub(crate) struct DemoArgs {
    /// Where and how to run.
    #[command(flatten)]
    pub(crate) role: RoleArgs,
    /// How many ad views to generate.
    #[arg(long, value_name = "N", default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    pub(crate) views: u32,
    /// Seed of the generator: the same seed and day make the same beacons.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Stop after the reports instead of staying up.
    #[arg(long)]
    pub(crate) exit: bool,
}

/// Which running instance a client command talks to.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct InstanceArgs {
    /// Data folder of the running instance: its addresses, tokens and keys are read there.
    #[arg(long, value_name = "DIR", env = "SIGHTLINE_DATA", default_value = "sightline-data")]
    pub(crate) data: PathBuf,
    /// Address of its report API instead of the one in the data folder, such as `http://127.0.0.1:8082`.
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
}

/// How a result is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
    /// For spreadsheets.
    Csv,
}

/// How a report is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
    /// For programs that read tables; without the mark by which Excel knows UTF-8.
    Csv,
    /// For Excel and its like: redirect it into a file.
    Xlsx,
    /// For data tools, typed: redirect it into a file.
    Parquet,
}

/// Arguments of `links`.
#[derive(Clone, Debug, Args)]
pub(crate) struct LinksArgs {
    /// Only this campaign.
    #[arg(long, value_name = "ID")]
    pub(crate) campaign: Option<String>,
    /// Only this placement.
    #[arg(long, value_name = "ID")]
    pub(crate) placement: Option<String>,
    /// Only this dialect (native, miaozhen, admaster, vast …), or `all`. By default the placement's `dialect`, else those that media ask for most.
    #[arg(long, value_name = "NAME")]
    pub(crate) dialect: Option<String>,
    /// Which URLs: `all`, or stages with commas between them (`impression,viewable,complete`; `vast-tag` is the VAST wrapper). By default
    /// impression, click and the VAST wrapper of a placement that has one.
    #[arg(long, value_name = "STAGES")]
    pub(crate) stages: Option<String>,
    /// Sign the links of every placement. Placements with `signed_links = true` are signed without being asked.
    #[arg(long)]
    pub(crate) sign: bool,
    /// End of signed links: the last day (`2026-12-31`, UTC), or from now on (`30d`, `12h`). By default they do not end.
    #[arg(long, value_name = "DAY|DURATION")]
    pub(crate) expires: Option<String>,
    /// Public address of the tracker, such as `https://t.example.com`. By default the running instance's.
    #[arg(long, value_name = "URL")]
    pub(crate) base: Option<String>,
    /// Which campaigns and grammars.
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: OutputFormat,
}

/// Where campaigns and grammars are read, by the commands that need no running instance.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct PlaceArgs {
    /// Data folder whose catalog and link key are read.
    #[arg(long, value_name = "DIR", env = "SIGHTLINE_DATA", default_value = "sightline-data")]
    pub(crate) data: PathBuf,
    /// Catalog file instead of the data folder's.
    #[arg(long, value_name = "FILE")]
    pub(crate) catalog: Option<PathBuf>,
    /// Configuration file: its catalog, grammars and link keys are taken.
    #[arg(long, value_name = "FILE", env = "SIGHTLINE_CONFIG")]
    pub(crate) config: Option<PathBuf>,
}

/// Arguments of `explain`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The URL as a medium fires it; `-` reads one from each line of standard input.
    pub(crate) url: String,
    /// When it is received, such as `2026-11-22T12:00:00Z`, or Unix seconds or milliseconds. By default now.
    #[arg(long, value_name = "TIME")]
    pub(crate) received: Option<String>,
    /// User agent of whoever fires it.
    #[arg(long, value_name = "TEXT")]
    pub(crate) agent: Option<String>,
    /// Show identifiers and other values in full.
    #[arg(long)]
    pub(crate) show_values: bool,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Which campaigns and grammars.
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

/// Arguments of `watch`.
#[derive(Clone, Debug, Args)]
pub(crate) struct WatchArgs {
    /// Which campaign.
    #[arg(long, value_name = "ID")]
    pub(crate) campaign: String,
    /// Which placement.
    #[arg(long, value_name = "ID")]
    pub(crate) placement: String,
    /// Print what is there and end.
    #[arg(long)]
    pub(crate) once: bool,
    /// Which instance.
    #[command(flatten)]
    pub(crate) instance: InstanceArgs,
    /// File with the report token; by default the data folder's `keys/operator.token`.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
}

/// Arguments of `sdk-config`.
#[derive(Clone, Debug, Args)]
pub(crate) struct SdkConfigArgs {
    /// Public address of the tracker, such as `https://t.example.com`. By default the running instance's.
    #[arg(long, value_name = "URL")]
    pub(crate) base: Option<String>,
    /// Only our `<company>`, for an app's own file.
    #[arg(long)]
    pub(crate) company_only: bool,
    /// Which grammars.
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

/// Which report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportKind {
    /// Distinct devices, with impressions, id coverage and clicks.
    Reach,
    /// How many devices were reached how often.
    Frequency,
    /// Impressions, clicks and what was removed for which reason.
    Delivery,
    /// What the ids of impressions were like: device-id return rate, kinds. The rows that send the fewest usable ids come first.
    Ids,
    /// What media (or placements, kinds of id) reach together and alone, and what each adds to those before it.
    Overlap,
    /// Ids with more impressions on a day than one device sees: they count as no device. Of all campaigns.
    SetAside,
}

impl ReportKind {
    /// The last part of its path in the API.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Reach => "reach",
            Self::Frequency => "frequency",
            Self::Delivery => "delivery",
            Self::Ids => "ids",
            Self::Overlap => "overlap",
            Self::SetAside => "set-aside",
        }
    }
}

/// What a report is broken down by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    /// One row.
    #[default]
    Total,
    /// A row for each day on the campaign's clock.
    Day,
    /// A row for each placement.
    Placement,
    /// A row for each medium.
    Medium,
    /// A row for each creative.
    Creative,
    /// A row for each region.
    Region,
    /// A row for each platform.
    Platform,
    /// A row for each hour on the campaign's clock.
    Hour,
    /// A row for each kind of id; a person may stand in several. Reach and frequency only.
    #[value(name = "id_kind")]
    IdKind,
}

/// Which impressions count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Filter {
    /// All.
    Gross,
    /// Repeats and general invalid traffic out.
    #[default]
    Net,
}

/// Arguments of `report`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ReportArgs {
    /// Which report.
    pub(crate) kind: ReportKind,
    /// Which campaign. May be left out where there is only one.
    #[arg(long, value_name = "ID")]
    pub(crate) campaign: Option<String>,
    /// First day, in the campaign's time zone. By default the campaign's first day with events.
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    pub(crate) from: Option<chrono::NaiveDate>,
    /// Last day, in the campaign's time zone. By default today.
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    pub(crate) to: Option<chrono::NaiveDate>,
    /// Break down by.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) by: By,
    /// Which impressions count.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) filter: Filter,
    /// Of reach, frequency and overlap: `exact` counts every device, `sampled` estimates from a sample; by default large campaigns are estimated.
    #[arg(long, value_name = "WORD", value_parser = ["auto", "exact", "sampled"])]
    pub(crate) precision: Option<String>,
    /// Of reach: the audience whose universe reach is held against.
    #[arg(long, value_name = "NAME")]
    pub(crate) audience: Option<String>,
    /// Of overlap: its members, with commas between them. By default the ten largest.
    #[arg(long, value_name = "A,B,…")]
    pub(crate) members: Option<String>,
    /// Of overlap: the members at which the stack begins, in its order.
    #[arg(long, value_name = "A,B,…")]
    pub(crate) stack: Option<String>,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: ReportFormat,
    /// Bring changed days up to date first.
    #[arg(long)]
    pub(crate) settle: bool,
    /// Which instance.
    #[command(flatten)]
    pub(crate) instance: InstanceArgs,
    /// File with the report token; by default the data folder's `keys/operator.token`.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
}

/// Arguments of `settle`.
#[derive(Clone, Debug, Args)]
pub(crate) struct SettleArgs {
    /// Only this day, whether it is marked as changed or not.
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    pub(crate) day: Option<chrono::NaiveDate>,
    /// Which instance.
    #[command(flatten)]
    pub(crate) instance: InstanceArgs,
    /// File with the operator token; by default the data folder's `keys/operator.token`.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
}

/// Arguments of `close`.
#[derive(Clone, Debug, Args)]
pub(crate) struct CloseArgs {
    /// Which campaign.
    #[arg(long, value_name = "ID")]
    pub(crate) campaign: String,
    /// First day, in the campaign's time zone.
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    pub(crate) from: chrono::NaiveDate,
    /// Last day, in the campaign's time zone.
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    pub(crate) to: chrono::NaiveDate,
    /// Why, in at most 200 bytes; needed where these days are closed already.
    #[arg(long, value_name = "TEXT")]
    pub(crate) note: Option<String>,
    /// Which instance.
    #[command(flatten)]
    pub(crate) instance: InstanceArgs,
    /// File with the operator token; by default the data folder's `keys/operator.token`.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
}

/// What to do with a journal.
#[derive(Debug, Subcommand)]
pub(crate) enum JournalCommand {
    /// Check every frame's checksum and the order of records; prints what it found, changes nothing.
    #[command(after_help = "Example:\n  sightline journal verify sightline-data/journal\n  \
        sightline journal verify sightline-data/journal/lane-0")]
    Verify {
        /// A lane's folder, or the folder that holds the lanes.
        dir: PathBuf,
    },
    /// Print every record as one JSON object a line. A record holds no raw identifier and no full address.
    #[command(after_help = "Example:\n  sightline journal dump sightline-data/journal/lane-0 | head")]
    Dump {
        /// A lane's folder, or the folder that holds the lanes.
        dir: PathBuf,
    },
}

/// What to do with the catalog of a cluster.
#[derive(Debug, Subcommand)]
pub(crate) enum CatalogCommand {
    /// Check a catalog file and put it in force on every node, over Kafka.
    #[command(after_help = "Example:\n  sightline catalog publish catalog.toml --config ingest.toml\n\n\
        Every node takes it within a second and stamps events with its version. A node\n\
        that finds it wrong keeps the one before.")]
    Publish {
        /// The catalog file.
        file: PathBuf,
        /// Configuration with the [kafka] section of the cluster.
        #[arg(long, value_name = "FILE", env = "SIGHTLINE_CONFIG")]
        config: PathBuf,
    },
    /// Print the catalog in force.
    #[command(after_help = "Example:\n  sightline catalog show --config ingest.toml > catalog.toml")]
    Show {
        /// Configuration with the [kafka] section of the cluster.
        #[arg(long, value_name = "FILE", env = "SIGHTLINE_CONFIG")]
        config: PathBuf,
    },
}

/// A day, as the API writes it.
fn day(text: &str) -> Result<chrono::NaiveDate, &'static str> {
    text.parse().map_err(|_| "write a day such as 2026-11-01")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// Columns of a terminal.
    const HELP_COLUMNS: usize = 80;

    #[test]
    fn the_definition_is_sound_and_every_command_shows_an_example() {
        fn walk(command: &clap::Command) {
            if command.get_name() != "help" && !command.has_subcommands() {
                let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(help.contains("sightline "), "`{}` has no example", command.get_name());
            }
            command.get_subcommands().for_each(walk);
        }
        Cli::command().debug_assert();
        walk(&Cli::command());
    }

    #[test]
    fn filters_are_spelled_as_in_the_api() {
        let cli = Cli::try_parse_from(["sightline", "report", "reach", "--filter", "gross"]).expect("parses");
        assert!(matches!(cli.command, Command::Report(ReportArgs { filter: Filter::Gross, .. })));
    }

    #[test]
    fn what_is_no_day_is_answered_with_one() {
        for wrong in ["1.11.2026", "2026-11-31", "today"] {
            let error = Cli::try_parse_from(["sightline", "report", "reach", "--from", wrong]);
            let error = error.expect_err("is no day").to_string();
            assert!(error.contains("a day such as 2026-11-01"), "{error}");
        }
    }

    #[test]
    fn help_fits_a_terminal_of_eighty_columns_and_says_nothing_twice() {
        fn walk(command: &mut clap::Command) {
            let help = command.render_help().to_string() + &command.render_long_help().to_string();
            assert!(!help.contains('\\') || command.get_name() == "replay", "a backslash in {help}");
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            for line in after.lines().filter(|line| !line.starts_with("  sightline ")) {
                assert!(line.chars().count() <= HELP_COLUMNS, "`{}`: {line}", command.get_name());
            }
            command.get_subcommands_mut().for_each(walk);
        }
        walk(&mut Cli::command());
    }
}
