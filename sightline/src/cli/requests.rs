//! The commands of who answers persons' requests.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::InstanceArgs;

/// Which instance the queue is of, and who asks.
#[derive(Clone, Debug, Args)]
pub(crate) struct RequestsArgs {
    /// Which instance; with --url its admin port.
    #[command(flatten)]
    pub(crate) instance: InstanceArgs,
    /// File with the operator token; by default the data folder's `keys/operator.token`.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
}

/// What to do with persons' requests.
#[derive(Debug, Subcommand)]
pub(crate) enum RequestsCommand {
    /// Show those that wait or are overdue, oldest first; exit code 1 if one is overdue.
    #[command(after_help = "Example:\n  sightline requests list\n  sightline requests list --all\n\n\
        A request waits where its identifier was typed: that does not show whose device\n\
        it is. Answer it until `due`, 15 working days by default; holidays are left out\n\
        only where [opt_out.requests] names them.")]
    List {
        /// Those that are answered too.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        instance: RequestsArgs,
    },
    /// Show one.
    #[command(after_help = "Example:\n  sightline requests show 7")]
    Show {
        /// Its number in the list.
        number: u32,
        #[command(flatten)]
        instance: RequestsArgs,
    },
    /// Compare an identifier that the person shows with those that a request names. It is read from standard input.
    #[command(after_help = "Example:\n  sightline requests match 7 --kind imei\n\n\
        Type the identifier as the device or its papers show it, never as the person\n\
        writes it to you, and end the line. It is compared and kept nowhere. Standard\n\
        input, so that it stands in no history and in no list of processes. Once all\n\
        identifiers of a request were shown it can be accepted. Exit code 1 where it is\n\
        none of them.")]
    Match {
        /// The request's number in the list.
        number: u32,
        /// What it is: oaid, imei, android_id, idfa, idfv, aaid, caid, mac, openudid, cookie.
        #[arg(long, value_name = "KIND")]
        kind: String,
        /// Version of a CAID.
        #[arg(long = "caid-version", value_name = "VERSION")]
        version: Option<String>,
        #[command(flatten)]
        instance: RequestsArgs,
    },
    /// Accept one whose identifiers were all shown: what is stored of them is erased, or copied for the person.
    #[command(
        after_help = "Example:\n  sightline requests match 7 --kind imei\n  sightline requests accept 7"
    )]
    Accept {
        /// Its number in the list.
        number: u32,
        #[command(flatten)]
        instance: RequestsArgs,
    },
    /// Refuse some, and say why.
    #[command(
        after_help = "Example:\n  sightline requests refuse 7 --why 'The invoice that you sent is for another device.'\n  \
        sightline requests refuse --older-than 12 --why 'You did not show your device.'"
    )]
    Refuse {
        /// Their numbers in the list.
        #[arg(value_name = "NUMBER", required_unless_present = "older_than")]
        numbers: Vec<u32>,
        /// All that wait since more days than this, and of which no identifier was shown.
        #[arg(long, value_name = "DAYS", conflicts_with = "numbers")]
        older_than: Option<u32>,
        /// The reason, which the person reads; at most 1,000 bytes.
        #[arg(long, value_name = "TEXT")]
        why: String,
        #[command(flatten)]
        instance: RequestsArgs,
    },
}
