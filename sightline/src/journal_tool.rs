//! `sightline journal verify` and `dump`: looking into lanes without opening them for writing.
//! A dump prints the stored fields; a record holds no raw identifier, no full address and no URL, so none can be printed.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use event::identifier::IdField;
use event::record::{Event, OutcomeCounts, Record, TrialHit, decode};
use event::stage::Stage;
use journal::{JournalId, VerifyReport};
use serde_json::{Value, json};

use crate::table::thousands;

/// The lanes at `dir`: itself, or the `lane-<n>` folders in it.
fn lanes(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    let mut lanes = Vec::new();
    let mut files = 0;
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot read {}", dir.display()))?;
        let name = entry.file_name();
        let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_dir && name.to_string_lossy().starts_with("lane-") {
            lanes.push(entry.path());
        } else if !is_dir {
            files += 1;
        }
    }
    lanes.sort();
    match (lanes.is_empty(), files) {
        (false, _) => Ok(lanes),
        (true, 0) => bail!(
            "{} holds neither segments nor lanes: name a folder such as DATA/journal/lane-0",
            dir.display()
        ),
        (true, _) => Ok(vec![dir.to_path_buf()]),
    }
}

/// Checks every frame. `Ok(false)` if something that was committed is missing or damaged.
pub(crate) fn verify(dir: &Path, out: &mut dyn Write) -> anyhow::Result<bool> {
    let mut is_whole = true;
    for lane in lanes(dir)? {
        let report =
            journal::verify(&lane).with_context(|| format!("cannot look through {}", lane.display()))?;
        is_whole &= report.is_whole();
        writeln!(out, "{}: {}", lane.display(), described(&report)).context("cannot print")?;
    }
    Ok(is_whole)
}

fn described(report: &VerifyReport) -> String {
    let mut text = format!(
        "{} in {} segments, {} frames, {} records of {} bytes, {} incarnations, {:.1} s",
        if report.is_whole() { "whole" } else { "DAMAGED" },
        thousands(report.segments),
        thousands(report.frames),
        thousands(report.records),
        thousands(report.record_bytes),
        report.journal_ids.len(),
        report.took.as_secs_f64(),
    );
    for damage in &report.damaged {
        let _ = write!(text, "\n  unreadable: {damage:?}");
    }
    for (what, numbers) in [
        ("missing segments", &report.missing_segments),
        ("segments shorter than their successor says", &report.broken_chains),
        ("segments of an unknown version", &report.set_aside),
    ] {
        if !numbers.is_empty() {
            let _ = write!(text, "\n  {what}: {numbers:?}");
        }
    }
    if report.lost_records > 0 {
        let _ = write!(text, "\n  records known to be missing: {}", thousands(report.lost_records));
    }
    if let Some(tail) = &report.torn_tail {
        let _ = write!(text, "\n  torn tail (normal after a crash or beside a running writer): {tail:?}");
    }
    if report.abandoned_bytes > 0 {
        let _ = write!(
            text,
            "\n  bytes after a failed write, never answered: {}",
            thousands(report.abandoned_bytes)
        );
    }
    text
}

/// Prints every record as a line of JSON. `Ok(false)` if something could not be read.
pub(crate) fn dump(dir: &Path, out: &mut dyn Write) -> anyhow::Result<bool> {
    let mut is_whole = true;
    let mut written: io::Result<()> = Ok(());
    for lane in lanes(dir)? {
        let report = journal::read_all(&lane, |id, seq, bytes| {
            if written.is_ok() {
                written = writeln!(out, "{}", line(id, seq, bytes));
            }
        })
        .with_context(|| format!("cannot look through {}", lane.display()))?;
        if !report.is_whole() {
            eprintln!("{}: {}", lane.display(), described(&report));
            is_whole = false;
        }
    }
    written.map(|()| is_whole).context("cannot print")
}

fn line(id: JournalId, seq: u64, bytes: &[u8]) -> Value {
    let mut value = match decode(bytes) {
        Ok(Record::Event(event)) => event_fields(&event),
        Ok(Record::Outcomes(counts)) => outcome_fields(&counts),
        Ok(Record::TrialHit(hit)) => trial_hit_fields(&hit),
        Ok(Record::RegionLibrary(library)) => json!({
            "region_library": library.name,
            "at_ms": library.at_ms,
            "built": library.built,
            "version": format!("{:08x}", library.version),
        }),
        Err(error) => json!({"unread": error.to_string(), "bytes": bytes.len()}),
    };
    if let Some(object) = value.as_object_mut() {
        object.insert("journal".to_owned(), format!("{:016x}", id.0).into());
        object.insert("seq".to_owned(), seq.into());
    }
    value
}

fn event_fields(event: &Event<'_>) -> Value {
    json!({
        "received_ms": event.received_ms,
        "time_ms": event.time_ms,
        "client_time_ms": event.client_time_ms,
        "day": event.day.map(day),
        "hour": event.hour,
        "stage": event.stage.name(),
        "source": format!("{:?}", event.source).to_lowercase(),
        "platform": format!("{:?}", event.platform).to_lowercase(),
        "flags": event.flags,
        "campaign": event.campaign,
        "placement": event.placement,
        "creative": event.creative,
        "region": event.region,
        "catalog_version": event.catalog_version,
        "device": event.device.as_ref().map(|device| json!({
            "key": hex(&device.key.0),
            "kind": format!("{:?}", device.kind).to_lowercase(),
            "epoch": device.epoch,
            "former": device.former.map(|former| json!({
                "key": hex(&former.key.0),
                "epoch": former.epoch,
                "until": day(former.until_day),
            })),
        })),
        "view": (event.view != 0).then(|| format!("{:016x}", event.view)),
        "network": (!event.network.is_empty()).then(|| hex(event.network)),
        "agent": event.agent,
        "site": event.site,
    })
}

fn trial_hit_fields(hit: &TrialHit<'_>) -> Value {
    let fields = |bits: u32| -> Vec<&str> {
        IdField::ALL.into_iter().filter(|field| bits >> *field as u32 & 1 == 1).map(IdField::name).collect()
    };
    json!({
        "trial": true,
        "received_ms": hit.received_ms,
        "client_clock_ms": hit.client_clock_ms,
        "campaign": hit.campaign,
        "placement": hit.placement,
        "dialect": hit.dialect,
        "stage": hit.stage.map(Stage::name),
        "outcome": hit.outcome.name(),
        "source": hit.source.name(),
        "platform": hit.platform.name(),
        "flags": hit.flags,
        "ids_present": fields(hit.ids_present),
        "ids_usable": fields(hit.ids_usable),
        "macros_unreplaced": hit.macros_unreplaced,
        "parameters_unknown": hit.parameters_unknown,
        "dropped": hit.dropped,
    })
}

fn outcome_fields(counts: &OutcomeCounts) -> Value {
    let outcomes: serde_json::Map<String, Value> = event::outcome::Outcome::ALL
        .into_iter()
        .zip(counts.outcomes)
        .filter(|(_, count)| *count > 0)
        .map(|(outcome, count)| (outcome.name().to_owned(), count.into()))
        .collect();
    json!({"at_ms": counts.at_ms, "received": counts.received, "pending": counts.pending, "outcomes": outcomes})
}

fn day(number: u16) -> String {
    chrono::DateTime::from_timestamp(i64::from(number) * 86_400, 0)
        .map_or_else(|| number.to_string(), |moment| moment.date_naive().to_string())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use event::outcome::Outcome;
    use event::record::encode_outcomes;

    use super::*;

    #[test]
    fn a_lane_is_verified_and_dumped_and_a_record_of_the_future_is_set_aside() {
        let dir = tempfile::tempdir().expect("a folder");
        let lane = dir.path().join("lane-0");
        let (writer, _) =
            journal::Lane::open(&lane, journal::Settings::default(), Arc::new(|| 1_000)).expect("opens");
        let mut outcomes = [0; Outcome::COUNT];
        outcomes[Outcome::Accepted as usize] = 3;
        let mut bytes = Vec::new();
        encode_outcomes(&OutcomeCounts { at_ms: 5, received: 3, pending: 0, outcomes }, &mut bytes);
        writer.append(&bytes).expect("room").wait().expect("commits");
        writer.append(&[255, 1, 2]).expect("room").wait().expect("commits");
        writer.close();

        let mut out = Vec::new();
        assert!(dump(dir.path(), &mut out).expect("reads"));
        let lines: Vec<Value> = out
            .split(|b| *b == b'\n')
            .filter(|l| !l.is_empty())
            .map(|l| serde_json::from_slice(l).expect("JSON"))
            .collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["outcomes"]["accepted"], 3);
        assert!(lines[1]["unread"].is_string(), "{}", lines[1]);

        let mut out = Vec::new();
        assert!(verify(&lane, &mut out).expect("reads"));
        assert!(String::from_utf8(out).expect("text").contains("whole in 1 segments"));
        assert!(verify(&dir.path().join("lane-0/none"), &mut Vec::new()).is_err());
    }

    #[test]
    fn a_folder_without_lanes_says_what_to_name() {
        let dir = tempfile::tempdir().expect("a folder");
        assert!(
            verify(dir.path(), &mut Vec::new()).expect_err("nothing there").to_string().contains("lane-0")
        );
    }
}
