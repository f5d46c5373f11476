//! The commands of who looks after a running system: audit log, security log, keys, tokens.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};

use super::{InstanceArgs, OutputFormat, day};

/// Where a log is.
#[derive(Clone, Debug, Args)]
pub(crate) struct AuditArgs {
    /// Data folder that holds the log.
    #[arg(long, value_name = "DIR", env = "SIGHTLINE_DATA", default_value = "sightline-data")]
    pub(crate) data: PathBuf,
    /// Configuration file: its data folder and key files are taken.
    #[arg(long, value_name = "FILE", env = "SIGHTLINE_CONFIG")]
    pub(crate) config: Option<PathBuf>,
}

/// What to do with the audit log.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Check every entry and the chain between them; exit code 1 and the first wrong line where something was changed.
    #[command(after_help = "Example:\n  sightline audit verify\n  \
        sightline audit verify --head 57:9c0f...\n\n\
        Entries that were cut off the end show against the head that the program\n\
        keeps beside the key. Whoever may change that too shows against one that\n\
        was noted elsewhere: what `sightline audit head` prints, or one from the\n\
        process's log. What the program itself found at a start stands in the log\n\
        as audit.damage_found, and counts until it is named with --known.")]
    Verify {
        /// A head that was noted before, which has to be in the log; may be repeated.
        #[arg(long, value_name = "SEQ:MAC")]
        head: Vec<audit::Head>,
        /// Number of an entry audit.damage_found that was looked into: it counts as damage no more; may be repeated.
        #[arg(long, value_name = "SEQ")]
        known: Vec<u64>,
        #[command(flatten)]
        args: AuditArgs,
    },
    /// Print entries, oldest first.
    #[command(after_help = "Example:\n  sightline audit list --since 2026-11-01\n  \
        sightline audit list --act report --format csv")]
    List {
        /// From this day on (UTC).
        #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
        since: Option<chrono::NaiveDate>,
        /// Only acts that begin with this: report.read, figures, keys ...
        #[arg(long, value_name = "ACT")]
        act: Option<String>,
        /// How to print.
        #[arg(long, value_enum, default_value_t)]
        format: OutputFormat,
        #[command(flatten)]
        args: AuditArgs,
    },
    /// Print the number and mac of the last entry, for an auditor to note: it proves all entries up to it.
    #[command(after_help = "Example:\n  sightline audit head")]
    Head {
        #[command(flatten)]
        args: AuditArgs,
    },
}

/// What to do with the security log.
#[derive(Debug, Subcommand)]
pub(crate) enum SecurityLogCommand {
    /// Print its requests, oldest first: time, address, route, method, status, bytes. It holds no URL and no identifier.
    #[command(
        after_help = "Example:\n  sightline security-log read --key security.key --since 2026-11-01\n  \
        sightline security-log read --key security.key --format csv > requests.csv\n\n\
        The program that writes the log cannot read it. The key is drawn at the first\n\
        start, as keys/security.key: take it away from there."
    )]
    Read {
        /// File with the private key; by default the data folder's `keys/security.key`.
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// From this day on (UTC).
        #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
        since: Option<chrono::NaiveDate>,
        /// How to print.
        #[arg(long, value_enum, default_value_t)]
        format: OutputFormat,
        #[command(flatten)]
        args: AuditArgs,
    },
}

/// Whose keys.
#[derive(Clone, Debug, Args)]
pub(crate) struct KeysArgs {
    /// Data folder that holds the keys and the audit log.
    #[arg(long, value_name = "DIR", env = "SIGHTLINE_DATA", default_value = "sightline-data")]
    pub(crate) data: PathBuf,
    /// Configuration file: its data folder, key_file and retention_days are taken.
    #[arg(long, value_name = "FILE", env = "SIGHTLINE_CONFIG")]
    pub(crate) config: Option<PathBuf>,
}

/// Longest overlap of two keys, days.
const OVERLAP_DAYS_MAX: u16 = 90;

/// `14` or `14d`.
fn days(text: &str) -> Result<u16, String> {
    let number = text.strip_suffix('d').unwrap_or(text).parse::<u16>().ok();
    number
        .filter(|days| (1..=OVERLAP_DAYS_MAX).contains(days))
        .ok_or_else(|| format!("write a number of days from 1 to {OVERLAP_DAYS_MAX}, such as 14d"))
}

/// What to do with the keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Show the epochs, when each was sealed, and from when on nothing is stored under it any more. Shows no key.
    #[command(after_help = "Example:\n  sightline keys list --config sightline.toml")]
    List {
        #[command(flatten)]
        args: KeysArgs,
    },
    /// Draw a new key and seal the one in force, at once or at the end of an overlap. The instance has to be stopped.
    #[command(after_help = "Example:\n  sightline keys rotate --overlap 14d --config sightline.toml\n\n\
        During the overlap a device that comes back counts once in a report over both\n\
        keys. When it is over nothing ties the two any more: whoever saw an ad before\n\
        and after the rotation counts as two devices in such a report, which says so.\n\
        Choose it longer than the campaigns that run. Who opted out stays opted out;\n\
        erasures and copies reach what is stored under sealed keys.")]
    // One of the two has to be said: neither is a thing to happen by itself.
    #[command(group = ArgGroup::new("ties").required(true).args(["overlap", "without_overlap"]))]
    Rotate {
        /// For how many days the two keys overlap, 1 to 90.
        #[arg(long, value_name = "DAYS", value_parser = days)]
        overlap: Option<u16>,
        /// Say that devices before and after may count as two from now on.
        #[arg(long)]
        without_overlap: bool,
        #[command(flatten)]
        args: KeysArgs,
    },
    /// Destroy a sealed key, once nothing is stored under it any more. The instance has to be stopped.
    #[command(after_help = "Example:\n  sightline keys destroy 1 --config sightline.toml\n\n\
        What is stored under a destroyed key can neither be erased nor copied for\n\
        anybody: nobody can tell any more whose it is.")]
    Destroy {
        /// Its epoch.
        epoch: u16,
        /// Although events under it are still kept.
        #[arg(long)]
        early: bool,
        #[command(flatten)]
        args: KeysArgs,
    },
}

/// Which instance has the tokens, and who asks.
#[derive(Clone, Debug, Args)]
pub(crate) struct TokensArgs {
    /// Which instance.
    #[command(flatten)]
    pub(crate) instance: InstanceArgs,
    /// File with the operator token; by default the data folder's `keys/operator.token`.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
}

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TokenRole {
    /// Sees and does everything.
    Operator,
    /// Sees everything exactly, changes nothing.
    Auditor,
    /// Sees the campaigns of its advertisers, rounded and without small rows.
    Advertiser,
    /// Sees the placements of its media, in the same way.
    Medium,
}

/// What to do with tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum TokensCommand {
    /// Make one. It is printed this once and kept nowhere.
    #[command(
        after_help = "Example:\n  sightline tokens create 'ACME, Ms Li' --role advertiser --advertiser acme --expires 90\n  \
        sightline tokens create 'Video One' --role medium --medium 'Video One' > video-one.token\n  \
        sightline tokens create 'Audit 2026' --role auditor --expires 30\n\n\
        An advertiser sees the campaigns whose `advertiser` in the catalog is one of\n\
        its own, a medium the placements with its name as `medium`."
    )]
    Create {
        /// Whose it is, for people: shown in the list and in the audit log.
        name: String,
        /// What it is for.
        #[arg(long, value_enum)]
        role: TokenRole,
        /// Id of an advertiser, as campaigns have it; may be repeated.
        #[arg(long, value_name = "ID")]
        advertiser: Vec<String>,
        /// Name of a medium, as placements have it; may be repeated.
        #[arg(long, value_name = "NAME")]
        medium: Vec<String>,
        /// Days until it ends (1 to 3,650). By default it is good until it is revoked.
        #[arg(long, value_name = "DAYS")]
        expires: Option<u32>,
        #[command(flatten)]
        args: TokensArgs,
    },
    /// List them: role, scope, state and last use. The data folder's own operator token is not among them.
    #[command(after_help = "Example:\n  sightline tokens list\n  sightline tokens list --format csv")]
    List {
        /// How to print.
        #[arg(long, value_enum, default_value_t)]
        format: OutputFormat,
        #[command(flatten)]
        args: TokensArgs,
    },
    /// Revoke one: it opens nothing from now on here, and within 5 seconds on other aggregators.
    #[command(after_help = "Example:\n  sightline tokens revoke 1f0c5e2ab9d84763")]
    Revoke {
        /// Its id, as the list shows it.
        id: String,
        #[command(flatten)]
        args: TokensArgs,
    },
}
