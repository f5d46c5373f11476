//! Which alerts are open, and which of them were told: a document on the desk for each campaign that has any.
//!
//! ```json
//! {"v":1,"campaign":"c","alerts":[{"id":"0123456789abcdef","placement":"p","kind":"stopped","since_ms":1,"value":6.1,"limit":6,"devices":null,
//!   "resolved_ms":null,"told":1}],"due":…}
//! ```
//!
//! `told`: 0 nothing yet, 1 that it opened, 2 that it resolved. What is resolved and told is not kept. `due` is [`super::due`]'s. A document in which
//! neither stands is removed.

use std::collections::HashMap;

use event::clock::UnixMs;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::due::{Due, Written};
use super::judge::{Finding, Judged, Kind};
use crate::tokens::hex;

/// Version of the document's form.
const FORM: u8 = 1;
/// Most alerts of a campaign; with them the document is far below the desk's limit.
pub(crate) const ALERTS_MAX: usize = 200;
/// An alert is resolved when as many looks in a row did not find it: a figure that swings around its limit is no news every minute.
pub(crate) const CLEAR_LOOKS: u32 = 3;
/// Silence does not swing: after a hit it takes hours to be one again.
const CLEAR_LOOKS_OF_SILENCE: u32 = 1;
/// A value is written anew when it moved by this share.
const VALUE_STEP: f64 = 0.1;

/// An alert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) id: String,
    pub(crate) placement: Option<String>,
    #[serde(with = "kind_name")]
    pub(crate) kind: Kind,
    /// When it was found first.
    pub(crate) since_ms: UnixMs,
    pub(crate) value: f64,
    pub(crate) limit: f64,
    pub(crate) devices: Option<u64>,
    pub(crate) resolved_ms: Option<UnixMs>,
    pub(crate) told: u8,
}

#[derive(Serialize, Deserialize)]
struct Document {
    v: u8,
    campaign: String,
    alerts: Vec<Kept>,
    #[serde(default)]
    due: Written,
}

mod kind_name {
    #![allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands over references")]

    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::Kind;

    pub(super) fn serialize<S: Serializer>(kind: &Kind, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(kind.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Kind, D::Error> {
        let name = String::deserialize(from)?;
        Kind::from_name(&name).ok_or_else(|| serde::de::Error::custom("no such kind of alert"))
    }
}

impl Kept {
    pub(crate) fn is_open(&self) -> bool {
        self.resolved_ms.is_none()
    }

    /// Whether something of it is still to be told.
    pub(crate) fn waits(&self) -> bool {
        self.told < 1 + u8::from(!self.is_open())
    }

    /// When that happened what is told next.
    pub(crate) fn moment_ms(&self) -> UnixMs {
        if self.told == 0 { self.since_ms } else { self.resolved_ms.unwrap_or(self.since_ms) }
    }
}

/// The id of a campaign's document: its own may hold points, and a desk's none.
pub(crate) fn document_id(campaign: &str) -> String {
    short(campaign, 16)
}

/// The first bytes of a text's SHA-256, as hex.
pub(super) fn short(text: &str, bytes: usize) -> String {
    let mut digest = hex(&Sha256::digest(text.as_bytes()));
    digest.truncate(2 * bytes);
    digest
}

/// What is known of a campaign.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct State {
    pub(crate) alerts: Vec<Kept>,
    pub(crate) due: Due,
}

impl State {
    pub(crate) fn is_empty(&self) -> bool {
        self.alerts.is_empty() && self.due.is_empty()
    }
}

pub(crate) fn write(campaign: &str, state: &State) -> Vec<u8> {
    let document = Document {
        v: FORM,
        campaign: campaign.to_owned(),
        alerts: state.alerts.clone(),
        due: Written::from(&state.due),
    };
    serde_json::to_vec(&document).expect("alerts can always be written")
}

/// Campaign and state of a document; `None` for one of another form.
pub(crate) fn read(document: &[u8]) -> Option<(String, State)> {
    let Document { v, campaign, alerts, due } = serde_json::from_slice(document).ok()?;
    (v == FORM).then(|| (campaign, State { alerts, due: due.into() }))
}

/// What became of a campaign's alerts.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Reconciled {
    pub(crate) kept: Vec<Kept>,
    pub(crate) opened: Vec<Kept>,
    pub(crate) resolved: Vec<Kept>,
    /// Whether it has to be written.
    pub(crate) is_changed: bool,
}

/// Holds what was found against what was known. `clear` counts looks at which an alert was not found; `tells` says whether anybody is to be told.
pub(crate) fn reconcile(
    campaign: &str,
    before: Vec<Kept>,
    judged: Judged,
    clear: &mut HashMap<String, u32>,
    (now_ms, tells): (UnixMs, bool),
) -> Reconciled {
    let mut done = Reconciled::default();
    let Judged { mut findings, unknown } = judged;
    for mut kept in before {
        let found = findings.iter().position(|f| f.kind == kept.kind && f.placement == kept.placement);
        match found.filter(|_| kept.is_open()).map(|at| findings.swap_remove(at)) {
            Some(finding) => {
                clear.remove(&kept.id);
                done.is_changed |= renew(&mut kept, &finding);
            }
            None if kept.is_open() && !unknown.contains(&kept.kind) => {
                let looks = clear.entry(kept.id.clone()).or_default();
                *looks += 1;
                if *looks >= clear_looks(kept.kind) {
                    clear.remove(&kept.id);
                    kept.resolved_ms = Some(now_ms);
                    done.is_changed = true;
                    done.resolved.push(kept.clone());
                }
            }
            None => {}
        }
        if !tells && kept.waits() {
            kept.told = 2;
            done.is_changed = true;
        }
        if kept.is_open() || kept.waits() {
            done.kept.push(kept);
        }
    }
    findings.sort_by(|a, b| (a.kind, &a.placement).cmp(&(b.kind, &b.placement)));
    for finding in findings {
        if done.kept.len() >= ALERTS_MAX {
            tracing::warn!(campaign, max = ALERTS_MAX, "a campaign has more alerts than are kept");
            break;
        }
        let kept = open(campaign, finding, now_ms, tells);
        done.is_changed = true;
        done.opened.push(kept.clone());
        done.kept.push(kept);
    }
    done
}

/// Looks in a row that did not find it.
fn clear_looks(kind: Kind) -> u32 {
    if kind.is_silence() { CLEAR_LOOKS_OF_SILENCE } else { CLEAR_LOOKS }
}

fn open(campaign: &str, finding: Finding, now_ms: UnixMs, tells: bool) -> Kept {
    let Finding { placement, kind, value, limit, devices } = finding;
    let named =
        format!("{campaign}\n{}\n{}\n{now_ms}", placement.as_deref().unwrap_or_default(), kind.name());
    let id = short(&named, 8);
    Kept {
        id,
        placement,
        kind,
        since_ms: now_ms,
        value,
        limit,
        devices,
        resolved_ms: None,
        told: u8::from(!tells),
    }
}

/// Takes over the figures of an alert that is still open; whether they moved so far that they are written.
fn renew(kept: &mut Kept, finding: &Finding) -> bool {
    let moved = (finding.value - kept.value).abs() > VALUE_STEP * kept.value.abs();
    // Of devices there are no more than k: each that comes or goes may decide who is told.
    let has_moved =
        moved || finding.limit.to_bits() != kept.limit.to_bits() || finding.devices != kept.devices;
    if has_moved {
        (kept.value, kept.limit, kept.devices) = (finding.value, finding.limit, finding.devices);
    }
    has_moved
}

#[cfg(test)]
mod tests {
    use super::super::due::PLACEMENTS_MAX;
    use super::*;

    fn finding(placement: &str, value: f64) -> Finding {
        Finding { placement: Some(placement.to_owned()), kind: Kind::Gap, value, limit: 6.0, devices: None }
    }

    fn found(findings: &[Finding]) -> Judged {
        Judged { findings: findings.to_vec(), unknown: Vec::new() }
    }

    #[test]
    fn an_alert_opens_once_and_resolves_when_it_was_not_found_for_a_while() {
        let mut clear = HashMap::new();
        let mut step = |before: &[Kept], judged: Judged, now_ms: i64| {
            reconcile("c", before.to_vec(), judged, &mut clear, (now_ms, true))
        };
        let one = step(&[], found(&[finding("p", 6.0)]), 1);
        assert_eq!((one.opened.len(), one.kept[0].waits(), one.is_changed), (1, true, true));
        let again = step(&one.kept, found(&[finding("p", 6.1)]), 2);
        assert_eq!((again.opened.len(), again.is_changed, &again.kept), (0, false, &one.kept));
        let moved = step(&one.kept, found(&[finding("p", 7.0)]), 2);
        assert!(moved.is_changed && moved.kept[0].value > 6.9 && moved.kept[0].id == one.kept[0].id);

        let mut told = one.kept.clone();
        told[0].told = 1;
        assert!(!step(&told, found(&[]), 3).is_changed && !step(&told, found(&[]), 4).is_changed);
        // Found once more between: it is counted from the start.
        step(&told, found(&[finding("p", 6.0)]), 5);
        for now_ms in [6, 7] {
            assert_eq!(step(&told, found(&[]), now_ms).resolved, []);
        }
        let gone = step(&told, found(&[]), 8);
        assert_eq!((gone.resolved.len(), gone.kept[0].resolved_ms, gone.kept[0].waits()), (1, Some(8), true));
        // While the end waits to be told it may begin anew, as another one.
        let anew = step(&gone.kept, found(&[finding("p", 6.0)]), 9);
        assert_eq!((anew.kept.len(), anew.opened.len()), (2, 1));
        assert_ne!(anew.kept[0].id, anew.kept[1].id);
    }

    #[test]
    fn silence_ends_with_the_first_look_that_finds_a_hit() {
        for kind in Kind::ALL {
            let mut clear = HashMap::new();
            let found = found(&[Finding { kind, ..finding("p", 6.0) }]);
            let one = reconcile("c", Vec::new(), found, &mut clear, (1, false));
            let after = reconcile("c", one.kept, Judged::default(), &mut clear, (2, false));
            assert_eq!(after.kept.is_empty(), kind.is_silence(), "{kind:?}");
        }
    }

    #[test]
    fn who_stands_behind_a_figure_is_kept_as_it_is_now_though_the_figure_stays() {
        let of = |devices| Finding { devices, ..finding("p", 6.0) };
        let mut kept = Vec::new();
        for (now_ms, devices) in [(1, Some(30)), (2, Some(50)), (3, Some(49)), (4, None)] {
            let done = reconcile("c", kept, found(&[of(devices)]), &mut HashMap::new(), (now_ms, true));
            assert!(done.is_changed && done.kept[0].since_ms == 1, "{devices:?}");
            assert_eq!(done.kept[0].devices, devices);
            kept = done.kept;
        }
    }

    #[test]
    fn what_cannot_be_said_now_stays_and_nobody_is_told_where_nobody_is_to_be() {
        let mut clear = HashMap::new();
        let one = reconcile("c", Vec::new(), found(&[finding("p", 6.0)]), &mut clear, (1, false));
        assert!(!one.kept[0].waits());
        for _ in 0..5 {
            let unknown = Judged { findings: Vec::new(), unknown: vec![Kind::Gap] };
            let done = reconcile("c", one.kept.clone(), unknown, &mut clear, (2, false));
            assert_eq!((&done.kept, done.is_changed), (&one.kept, false));
        }
        for looks in 1..=CLEAR_LOOKS {
            let done = reconcile("c", one.kept.clone(), found(&[]), &mut clear, (3, false));
            assert_eq!(done.kept.is_empty(), looks == CLEAR_LOOKS, "{looks}");
        }
    }

    #[test]
    fn a_campaign_keeps_so_many_and_a_document_is_read_back() {
        let findings: Vec<Finding> =
            (0..ALERTS_MAX + 5).map(|n| finding(&format!("{n:064}"), 1.0e9 + 0.123)).collect();
        let done = reconcile("c", Vec::new(), found(&findings), &mut HashMap::new(), (i64::MAX / 2, true));
        assert_eq!(done.kept.len(), ALERTS_MAX);
        let mut due = Due::default();
        // Each of another look, which takes the most room.
        let ids: Vec<String> = (0..PLACEMENTS_MAX).map(|n| n.to_string()).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        for count in 1..=ids.len() {
            due.follow(&ids[..count], i64::MAX / 2 + count as i64);
        }
        let (campaign, state) = ("c".repeat(64), State { alerts: done.kept, due });
        let written = write(&campaign, &state);
        assert!(written.len() < desk::DOCUMENT_BYTES_MAX, "{}", written.len());
        assert_eq!(read(&written), Some((campaign, state)));
        let without = b"{\"v\":1,\"campaign\":\"c\",\"alerts\":[]}";
        assert_eq!(read(without), Some(("c".to_owned(), State::default())), "a document may lack it");
        assert_eq!(read(b"{\"v\":2,\"campaign\":\"c\",\"alerts\":[]}"), None);
        assert_eq!(document_id("a.b").len(), 32);
    }
}
