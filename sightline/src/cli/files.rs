//! The command line of what reads a file into the running instance: past beacons, registers of others.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};
use event::identifier::IdKind;

use crate::import::RegisterFormat;

pub(super) const IMPORT_HELP: &str = "Example:
  sightline import-opt-outs register.csv.gz --register national
  sightline import-opt-outs ids.txt --register partner --format lines --kind oaid
  sightline import-opt-outs removed.csv --register national --take-back

The file names its columns in the first line, `kind` and `value` among them;
others are passed over. Kinds are those of the API: imei oaid android_id aaid
idfa idfv caid openudid mac cookie. A value is the id itself or any digest of it
(MD5, SHA-1, SHA-256); of a digest not every form can be covered, and the table
says of how many. Files packed with gzip or zstd are unpacked.

It may be broken off and made again: what is there already changes nothing. What
a register lodged, only the same register takes back; a person's own opt-out
stays.

Lines that were refused are listed by number and reason, without the id, in
FILE.refused.tsv. Exit codes: 0 the whole file was read, and every line is in
force or listed as refused; 1 broken off or not all delivered; 2 wrong usage.";

pub(super) const REPLAY_HELP: &str = "Example:
  sightline replay beacons.tsv --campaign demo --placement p1 \\
      --map t=epoch_ms --map stage=event --map rid=bid_id --map cookie=device_id

Fields (the names of the tracker's parameters):
  c p cr t rid stage ip ua os u, the identifiers oaid oaid_md5 imei imei_md5
  android_id android_id_md5 idfa idfa_md5 idfv aaid aaid_md5 caid caid_md5
  caid_version mac mac_md5 openudid cookie,
  the signals gdpr gdpr_consent gpp gpp_sid lmt coppa
Well-known column names are mapped without being asked; what was mapped is
printed first. `--map field=` unmaps one.

Columns of an nginx access log (`combined`): remote_addr remote_user time_local
method path status body_bytes_sent http_referer http_user_agent, and arg_<name>
for each parameter of the request's query.

Rows go to POST /v1/events with the replay key of the data folder, which carries
the rights ip, ua and backdate. A request whose answer was lost is sent again:
rows without a request id (rid) may then be counted twice in net. Exit code 1 if
a row could not be delivered; rows that the tracker refused are listed by reason
and do not fail.";

/// Arguments of `replay`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ReplayArgs {
    /// File of past beacons; `-` reads standard input.
    pub(crate) file: PathBuf,
    /// Campaign of every row, unless a column is mapped to `c`.
    #[arg(long, value_name = "ID")]
    pub(crate) campaign: Option<String>,
    /// Placement of every row, unless a column is mapped to `p`.
    #[arg(long, value_name = "ID")]
    pub(crate) placement: Option<String>,
    /// A column for a field, `field=column`; may be repeated.
    #[arg(long = "map", value_name = "FIELD=COLUMN")]
    pub(crate) map: Vec<String>,
    /// Column that says what happened (imp, clk, viewable …); the same as `--map stage=COLUMN`.
    #[arg(long, value_name = "COLUMN")]
    pub(crate) stage_column: Option<String>,
    /// Stage of rows without one.
    #[arg(long, value_name = "STAGE", default_value = "impression")]
    pub(crate) stage: String,
    /// In access logs: requests for this path are beacons of `--stage`, besides the tracker's own paths.
    #[arg(long, value_name = "PATH")]
    pub(crate) path: Option<String>,
    /// How the file is written; told by its ending if not given (.tsv .ndjson .jsonl .log).
    #[arg(long, value_enum)]
    pub(crate) format: Option<FileFormat>,
    /// Data folder of the running instance: its addresses and keys are read there.
    #[arg(long, value_name = "DIR", env = "SIGHTLINE_DATA", default_value = "sightline-data")]
    pub(crate) data: PathBuf,
    /// Address of its tracker instead of the one in the data folder, such as `http://127.0.0.1:8080`.
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// File with the server key; by default the data folder's `keys/replay.key`.
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// Requests under way at once.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) parallel: u8,
    /// Rows in one request.
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) batch: u16,
}

/// How a file of past beacons is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FileFormat {
    /// Columns separated by tabs, named in the first line.
    Tsv,
    /// One JSON object a line.
    Ndjson,
    /// nginx access log in the `combined` format.
    Nginx,
}

/// Arguments of `import-opt-outs`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ImportArgs {
    /// The register's file; `-` reads standard input.
    pub(crate) file: PathBuf,
    /// Name of the register, for good: its next edition is imported, and taken back, under the same.
    #[arg(long, value_name = "NAME")]
    pub(crate) register: String,
    /// Take these ids back instead of lodging them.
    #[arg(long)]
    pub(crate) take_back: bool,
    /// Kind of every id whose line says none.
    #[arg(long, value_name = "KIND", value_parser = PossibleValuesParser::new(IdKind::ALL.map(IdKind::name)))]
    pub(crate) kind: Option<String>,
    /// How the file is written; told by its ending if not given (.csv .tsv .ndjson .jsonl, also before .gz and .zst).
    #[arg(long, value_enum)]
    pub(crate) format: Option<RegisterFormat>,
    /// Where refused lines are listed; by default FILE.refused.tsv.
    #[arg(long, value_name = "FILE")]
    pub(crate) refused: Option<PathBuf>,
    /// Data folder of the running instance: its addresses and token are read there.
    #[arg(long, value_name = "DIR", env = "SIGHTLINE_DATA", default_value = "sightline-data")]
    pub(crate) data: PathBuf,
    /// Address of its admin port instead of the one in the data folder, such as `http://127.0.0.1:9090`.
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// File with the operator's token; by default the data folder's.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Requests under way at once.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=16))]
    pub(crate) parallel: u8,
}
