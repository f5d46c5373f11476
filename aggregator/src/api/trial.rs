//! `GET /v1/campaigns/{campaign}/placements/{placement}/hits`: the newest hits on a placement in its trial state, for whoever integrates it.
//!
//! Must never: show a value that was sent, an address or an agent; the table behind it has none.

use catalog::{Found, PlacementState};
use event::identifier::{IdField, IdKind};
use event::outcome::Outcome;
use event::record::{Platform, SourceKind, flag};
use event::stage::Stage;
use serde::{Deserialize, Serialize};

use super::problem::Problem;
use super::{Api, bad};
use crate::report::Refused;
use crate::statement;
use crate::store::{Value, Work};
use crate::view::Sight;

/// Most hits of one answer.
const HITS_MAX: u64 = 100;

/// Names of the flags, in the order of their bits.
const FLAGS: [(u32, &str); 24] = [
    (flag::CLIENT_TIME_ABSENT, "client_time_absent"),
    (flag::CLIENT_CLOCK_BROKEN, "client_clock_broken"),
    (flag::AGENT_EMPTY, "agent_empty"),
    (flag::MACRO_UNREPLACED, "macro_unreplaced"),
    (flag::ID_BAD, "id_bad"),
    (flag::WITHHELD_GPC, "withheld_gpc"),
    (flag::WITHHELD_LMT, "withheld_lmt"),
    (flag::WITHHELD_CONSENT, "withheld_consent"),
    (flag::WITHHELD_CHILD, "withheld_child"),
    (flag::WITHHELD_DNT, "withheld_dnt"),
    (flag::UNRESOLVED, "unresolved"),
    (flag::DUPLICATE_BY_TIME, "duplicate_by_time"),
    (flag::ID_SHA_ONLY, "id_sha_only"),
    (flag::LANDING_REFUSED, "landing_refused"),
    (flag::BACKDATED, "backdated"),
    (flag::ID_USABLE, "id_usable"),
    (flag::TRIAL, "trial"),
    (flag::DEVICE_ROOT, "device_root"),
    (flag::DEVICE_EMULATOR, "device_emulator"),
    (flag::DEVICE_HOOK, "device_hook"),
    (flag::DEVICE_ADB, "device_adb"),
    (flag::AGENT_ROBOT, "agent_robot"),
    (flag::AGENT_NO_BROWSER, "agent_no_browser"),
    (flag::WITHHELD_GPP, "withheld_gpp"),
];

/// The names of flags that are set.
pub(crate) fn flag_names(flags: u32) -> Vec<&'static str> {
    FLAGS.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| *name).collect()
}

/// A checked request.
pub(super) struct Request {
    campaign: String,
    placement: String,
    limit: u64,
}

/// The answer.
#[derive(Debug, Serialize)]
pub(super) struct List {
    campaign: String,
    placement: String,
    /// `trial`, `live`, or `unknown` where the catalog does not have it.
    state: &'static str,
    /// Why there are no hits, where that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
    /// Newest first.
    hits: Vec<Hit>,
}

/// One hit, redacted.
#[derive(Debug, Serialize)]
struct Hit {
    /// Names this hit and no other.
    id: String,
    received: String,
    received_ms: i64,
    /// The client's time less receipt, milliseconds; `None` if it sent no time.
    client_clock_ms: Option<i64>,
    dialect: String,
    /// What the hit says happened.
    stage: Option<&'static str>,
    /// What became of it, as a caller may be told.
    outcome: &'static str,
    source: &'static str,
    platform: &'static str,
    flags: Vec<&'static str>,
    /// The identifiers that it carried.
    identifiers: Vec<Identifier>,
    /// Values that were unreplaced macros.
    macros_unreplaced: u8,
    /// Parameters that no table knows.
    parameters_unknown: u8,
    /// Names of known parameters that were dropped.
    dropped: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Identifier {
    /// The field's name, such as `oaid_md5`.
    name: &'static str,
    /// The kind of id, such as `oaid`.
    kind: &'static str,
    /// Whether it identifies a device.
    usable: bool,
}

/// A row of `trial_hits`.
#[derive(Deserialize)]
struct Row {
    journal: String,
    seq: u64,
    received_ms: i64,
    has_clock: u8,
    clock_ms: i64,
    dialect: String,
    stage: u8,
    outcome: u8,
    source: u8,
    platform: u8,
    flags: u32,
    ids_present: u32,
    ids_usable: u32,
    macros_unreplaced: u8,
    parameters_unknown: u8,
    dropped: String,
}

impl Request {
    /// # Errors
    /// An unknown parameter, or a limit out of its range.
    pub(super) fn parse(
        campaign: String,
        placement: String,
        query: &[(String, String)],
    ) -> Result<Self, Problem> {
        let limit = match query {
            [] => HITS_MAX,
            [(name, value)] if name == "limit" => {
                value.parse().ok().filter(|limit| (1..=HITS_MAX).contains(limit)).ok_or_else(|| {
                    Problem::Refused(Refused::Bad(format!("limit must be a number from 1 to {HITS_MAX}")))
                })?
            }
            _ => return Err(bad("the only parameter is limit")),
        };
        Ok(Self { campaign, placement, limit })
    }
}

impl Api {
    /// The newest hits of a placement.
    ///
    /// # Errors
    /// No such campaign, no such placement in sight, or the store's.
    pub(super) fn trial_hits(&self, request: &Request, sight: &Sight) -> Result<List, Problem> {
        let catalog = self.reporter.catalog.load();
        let state = match catalog.find(request.campaign.as_bytes(), request.placement.as_bytes()) {
            Found::UnknownCampaign => return Err(Problem::UnknownCampaign),
            Found::UnknownPlacement(_) if sight.is_exact() => None,
            Found::Known(_, placement) if sight.sees(placement) => Some(placement.state),
            Found::UnknownPlacement(_) | Found::Known(..) => return Err(Problem::UnknownPlacement),
        };
        let values = vec![
            ("campaign", Value::Text(request.campaign.clone())),
            ("placement", Value::Text(request.placement.clone())),
            ("limit", Value::Number(request.limit)),
        ];
        let store = &self.reporter.store;
        let rows: Vec<Row> =
            store.rows(Work::Report, statement::TRIAL_HITS_READ, &values).map_err(Problem::Store)?;
        let note = match state {
            _ if !rows.is_empty() => None,
            Some(PlacementState::Trial) => {
                Some("no hit has come in the last seven days; a new one is listed within a few seconds")
            }
            Some(PlacementState::Live) => Some(
                "the placement is live: single hits are shown only for placements with state = \"trial\" in the catalog",
            ),
            None => {
                Some("the catalog has no such placement: its hits are unresolved, see the delivery report")
            }
        };
        Ok(List {
            campaign: request.campaign.clone(),
            placement: request.placement.clone(),
            state: state.map_or("unknown", PlacementState::name),
            note,
            hits: rows.into_iter().map(Hit::from).collect(),
        })
    }
}

impl From<Row> for Hit {
    fn from(row: Row) -> Self {
        let bit = |bits: u32, number: usize| bits.checked_shr(number as u32).unwrap_or(0) & 1 == 1;
        let identifiers = IdField::ALL.into_iter().enumerate().filter(|(n, _)| bit(row.ids_present, *n));
        let identifier = |(n, field): (usize, IdField)| Identifier {
            name: field.name(),
            kind: IdKind::name(field.kind()),
            usable: bit(row.ids_usable, n),
        };
        Self {
            id: format!("{}:{}", row.journal, row.seq),
            received: moment(row.received_ms),
            received_ms: row.received_ms,
            client_clock_ms: (row.has_clock == 1).then_some(row.clock_ms),
            dialect: row.dialect,
            stage: Stage::from_number(row.stage).map(Stage::name),
            outcome: Outcome::from_number(row.outcome).map_or("unknown", Outcome::name),
            source: SourceKind::from_number(row.source).map_or("unknown", SourceKind::name),
            platform: Platform::from_number(row.platform).map_or("unknown", Platform::name),
            flags: flag_names(row.flags),
            identifiers: identifiers.map(identifier).collect(),
            macros_unreplaced: row.macros_unreplaced,
            parameters_unknown: row.parameters_unknown,
            dropped: row.dropped.split_ascii_whitespace().map(str::to_owned).collect(),
        }
    }
}

fn moment(at_ms: i64) -> String {
    let time = chrono::DateTime::from_timestamp_millis(at_ms);
    time.map_or_else(String::new, |time| time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_has_its_own_name() {
        for (number, (bit, name)) in FLAGS.iter().enumerate() {
            assert_eq!(*bit, 1 << number, "{name}");
            assert_eq!(FLAGS.iter().filter(|(_, other)| other == name).count(), 1);
        }
    }

    #[test]
    fn the_limit_has_a_range() {
        let parse = |value: &str| {
            Request::parse("c".to_owned(), "p".to_owned(), &[("limit".to_owned(), value.to_owned())]).ok()
        };
        assert!(parse("1").is_some() && parse("100").is_some_and(|request| request.limit == 100));
        assert!(parse("0").is_none() && parse("101").is_none() && parse("x").is_none());
    }
}
