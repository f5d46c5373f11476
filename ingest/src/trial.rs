//! The list of a trial placement's hits: what became of each, for whoever integrates it before the campaign starts.
//!
//! It owns what of a hit is told: names and findings, never a value that was sent, no address and no agent. It must never tell an opted-out hit
//! from another (who integrates could ask by it whether a device opted out), so that one is listed too, with nothing in it that says whose it was; and never hold up a beacon: such a record is appended beside the answer, and nobody waits for it.

use event::clock::UnixMs;
use event::outcome::Outcome;
use event::record::{DIALECT_BYTES_MAX, DROPPED_BYTES_MAX, TrialHit, encode_trial_hit};

use crate::beacon::{Decision, Findings, Said};
use crate::lane::Lane;

/// Hits of trial placements that one lane lists in a second: who integrates a placement fires a few, a flood of others is not worth the disk.
pub(crate) const HITS_PER_SECOND_MAX: u32 = 50;

impl Lane {
    /// Lists a hit of a trial placement; `record` is made anew for it. While the node does not measure, nothing is listed either.
    pub(crate) fn list_trial_hit(
        &self,
        said: &Said<'_>,
        (decision, findings): (Decision, &Findings),
        now_ms: UnixMs,
        record: &mut Vec<u8>,
    ) {
        let outcome = match decision {
            Decision::Store(outcome) | Decision::OptOut { shown: outcome } | Decision::Reject(outcome) => {
                outcome
            }
            Decision::Unknown => return,
        };
        if !findings.is_trial || !self.take_trial_turn() {
            return;
        }
        let Some(hit) = trial_hit(said, findings, outcome, now_ms) else { return };
        let dropped = dropped_names(said);
        record.clear();
        encode_trial_hit(&TrialHit { dropped: &dropped, ..hit }, record);
        // A full or failing disk is said by the outcomes of the beacons themselves.
        drop(self.writer.append(record));
    }
}

fn trial_hit<'a>(
    said: &'a Said<'_>,
    findings: &Findings,
    outcome: Outcome,
    now_ms: UnixMs,
) -> Option<TrialHit<'a>> {
    let hit = &said.hit;
    Some(TrialHit {
        received_ms: to_second(now_ms),
        client_clock_ms: findings.client_time_ms.map(|client| to_second(client.saturating_sub(now_ms))),
        campaign: std::str::from_utf8(hit.campaign?).ok()?,
        placement: std::str::from_utf8(hit.placement?).ok()?,
        dialect: Some(said.dialect).filter(|name| name.len() <= DIALECT_BYTES_MAX).unwrap_or_default(),
        stage: hit.stage,
        outcome,
        source: findings.source,
        platform: findings.platform,
        flags: findings.flags,
        ids_present: findings.ids_present,
        ids_usable: findings.ids_usable,
        macros_unreplaced: hit.macros_unreplaced,
        parameters_unknown: hit.parameters_unknown,
        dropped: "",
    })
}

/// To the second: enough for whoever watches, and a listed hit of somebody who opted out meets nothing else by its time.
fn to_second(ms: i64) -> i64 {
    ms.div_euclid(1000) * 1000
}

/// The dropped parameters that the dialect knows, by name. The names are those of the table, not what a caller wrote.
fn dropped_names(said: &Said<'_>) -> String {
    let mut names = String::new();
    for name in said.hit.parameters_dropped.iter().filter_map(|at| said.dropped_names.get(usize::from(at))) {
        if names.len() + 1 + name.len() > DROPPED_BYTES_MAX {
            break;
        }
        if !names.is_empty() {
            names.push(' ');
        }
        names.push_str(name);
    }
    names
}
