//! A copy of what is stored of a device, as a JSON file that a person can read; see [`crate::rights`].
//!
//! ```text
//! {"made_at":"…","what":"…","fields":{"time":{"meaning":"…","retention":"…"},…},"rows":[
//! {"time":"…","campaign":{"id":"…","name":"…"},…},
//! …
//! ],"number_of_rows":n,"complete":true}
//! ```
//!
//! Rows are read and written in portions, so that memory does not grow with them.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use chrono::{DateTime, SecondsFormat};
use event::identifier::IdKind;
use event::key::DeviceKey;
use event::record::{FIELDS, Platform, SourceKind};
use event::stage::Stage;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::tombstones::DEVICES_STATEMENT_MAX;
use super::{Copied, Inner, RightsError};
use crate::api::flag_names;
use crate::batch::device_number;
use crate::statement;
use crate::store::{Value, Work};

/// Most hits in one copy.
pub const COPY_ROWS_MAX: u64 = 100_000;
/// Most bytes of one copy, but for its last lines.
pub const COPY_BYTES_MAX: u64 = 16 << 20;
/// Hits of one portion.
const PORTION_ROWS: u64 = 2_000;

/// What the rows show, by the name there: the stored field that it is made of.
const SHOWN: [(&str, &str, &str); 14] = [
    ("time", "time_ms", "when it counts, in UTC"),
    ("received", "received_ms", "when it reached us, in UTC"),
    ("campaign", "campaign", "the campaign of the ad, with the name that it has now"),
    (
        "placement",
        "placement",
        "where the ad was booked: its name and the medium that sells it, as they are now",
    ),
    ("creative", "creative", "which of the campaign's ads it was"),
    ("happened", "stage", "what happened"),
    (
        "reported_by",
        "source",
        "who told us: c2s is the device itself, s2s and ssai are servers of the medium",
    ),
    ("platform", "platform", "the kind of device"),
    ("region", "region", "coarse place"),
    ("network", "network", "the address, cut so that it stands for many"),
    ("agent", "agent", "what the browser or app called itself"),
    ("site", "site", "host of the page that the ad stood on"),
    ("recognised_by", "device", "the kind of identifier whose keyed hash stands for the device"),
    ("notes", "flags", "what was special, privacy signals among it"),
];

#[derive(Deserialize)]
struct Row {
    kept_in: String,
    journal_text: String,
    seq: u64,
    received_ms: i64,
    time_ms: i64,
    campaign_id: String,
    placement_id: String,
    creative_id: String,
    region_code: String,
    stage: u8,
    source: u8,
    platform: u8,
    device_kind: u8,
    epoch: u16,
    flags: u32,
    network: u64,
    agent: String,
    site_host: String,
}

/// A file that counts what is written.
struct Out {
    file: BufWriter<File>,
    bytes: u64,
}

impl Out {
    fn put(&mut self, text: &str) -> std::io::Result<()> {
        self.bytes += text.len() as u64;
        self.file.write_all(text.as_bytes())
    }
}

pub(super) fn copy(inner: &Inner, devices: &[DeviceKey], path: &Path) -> Result<Copied, RightsError> {
    inner.catch_up()?;
    inner.store.catch_up_replicas()?;
    let unfinished = path.with_extension("unfinished");
    let written = write(inner, devices, &unfinished).and_then(|copied| {
        std::fs::rename(&unfinished, path)?;
        if let Some(folder) = path.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok(copied)
    });
    if written.is_err() {
        // It is begun anew when it is tried again.
        let _ = std::fs::remove_file(&unfinished);
    }
    written
}

fn write(inner: &Inner, devices: &[DeviceKey], path: &Path) -> Result<Copied, RightsError> {
    // What a crash left may be readable by others, and is not appended to.
    if let Err(error) = std::fs::remove_file(path)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(error.into());
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let mut out = Out { file: BufWriter::new(file), bytes: 0 };
    let head = json!({
        "made_at": utc(inner.clock.now_ms()),
        "what": "Every ad hit that is stored under the identifiers of this request. No identifier is stored: each hit carries a keyed hash in its place, which \
                 is not shown here, for it would let others recognise the device. Beside the hits we keep how many of them fell on each day and placement; \
                 that is counted from them and goes when they do.",
        "fields": fields(),
    });
    let head = head.to_string();
    out.put(head.strip_suffix('}').unwrap_or(&head))?;
    out.put(",\"rows\":[")?;
    let (rows, is_complete) = write_rows(inner, devices, &mut out)?;
    out.put(&format!("\n],\"number_of_rows\":{rows},\"complete\":{is_complete}}}\n"))?;
    out.file.flush()?;
    out.file.get_ref().sync_all()?;
    Ok(Copied { rows, bytes: out.bytes, is_complete })
}

/// How many rows, and whether they are all. Those of a portion of devices come in the order of their receipt.
fn write_rows(inner: &Inner, devices: &[DeviceKey], out: &mut Out) -> Result<(u64, bool), RightsError> {
    let devices: Vec<u64> = devices.iter().map(device_number).collect();
    let mut written = 0;
    for devices in devices.chunks(DEVICES_STATEMENT_MAX) {
        if !write_rows_of(inner, devices, out, &mut written)? {
            return Ok((written, false));
        }
    }
    Ok((written, true))
}

/// Whether they are all.
fn write_rows_of(
    inner: &Inner,
    devices: &[u64],
    out: &mut Out,
    written: &mut u64,
) -> Result<bool, RightsError> {
    let mut after = (i64::MIN, 0_u64, 0_u64);
    loop {
        let values = vec![
            ("devices", Value::Numbers(devices.to_vec())),
            ("after_ms", Value::Signed(after.0)),
            ("after_journal", Value::Number(after.1)),
            ("after_seq", Value::Number(after.2)),
            ("limit", Value::Number(PORTION_ROWS)),
        ];
        let rows: Vec<Row> = inner.store.rows(Work::Settle, statement::COPY_ROWS, &values)?;
        let is_last = (rows.len() as u64) < PORTION_ROWS;
        for row in &rows {
            if *written >= COPY_ROWS_MAX || out.bytes >= COPY_BYTES_MAX {
                return Ok(false);
            }
            out.put(if *written == 0 { "\n" } else { ",\n" })?;
            out.put(&shown(inner, row).to_string())?;
            *written += 1;
            after = (row.received_ms, row.journal_text.parse().unwrap_or(0), row.seq);
        }
        if is_last {
            return Ok(true);
        }
    }
}

fn fields() -> Json {
    let mut fields = Map::new();
    for (name, field, meaning) in SHOWN {
        let note = FIELDS.iter().find(|note| note.name == field);
        let (purpose, retention) =
            note.map_or(("", ""), |note| (note.purpose.en, note.retention.described().en));
        let told = json!({"meaning": meaning, "kept_for": purpose, "kept_how_long": retention});
        fields.insert(name.to_owned(), told);
    }
    Json::Object(fields)
}

fn shown(inner: &Inner, row: &Row) -> Json {
    let catalog = inner.catalog.load();
    let campaign = catalog.campaigns.get(&row.campaign_id);
    let placement = campaign.and_then(|campaign| campaign.placements.get(&row.placement_id));
    let counts = match row.kept_in.as_str() {
        "events" => "yes",
        "trial_events" => "no: the placement is being tested",
        _ => "no: campaign or placement are not known",
    };
    json!({
        "time": utc(row.time_ms),
        "received": utc(row.received_ms),
        "campaign": {"id": row.campaign_id, "name": campaign.map(|campaign| &campaign.name)},
        "placement": {
            "id": row.placement_id,
            "name": placement.map(|placement| &placement.name),
            "medium": placement.map(|placement| &placement.medium),
        },
        "creative": row.creative_id,
        "happened": Stage::from_number(row.stage).map_or("unknown", Stage::name),
        "reported_by": SourceKind::from_number(row.source).map_or("unknown", SourceKind::name),
        "platform": Platform::from_number(row.platform).map_or("unknown", Platform::name),
        "region": row.region_code,
        "network": network(row.network),
        "agent": row.agent,
        "site": row.site_host,
        "recognised_by": IdKind::from_number(row.device_kind).map_or("unknown", IdKind::name),
        "key_epoch": row.epoch,
        "notes": flag_names(row.flags),
        "counted": counts,
    })
}

/// `203.0.113.0/24`, of the number that `schema/events.sql` describes.
fn network(number: u64) -> String {
    let bytes = number.to_be_bytes();
    match bytes {
        [4, .., first, second, third] => format!("{first}.{second}.{third}.0/24"),
        [6, ..] => {
            format!("{:x}:{:x}:{:x}::/48", number >> 32 & 0xffff, number >> 16 & 0xffff, number & 0xffff)
        }
        _ => String::new(),
    }
}

fn utc(ms: i64) -> String {
    DateTime::from_timestamp_millis(ms)
        .map_or_else(String::new, |at| at.to_rfc3339_opts(SecondsFormat::Millis, true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::network_number;

    #[test]
    fn a_network_is_shown_as_it_was_cut() {
        assert_eq!(network(network_number(&[203, 0, 113])), "203.0.113.0/24");
        assert_eq!(network(network_number(&[0x20, 0x01, 0x0d, 0xb8, 0, 1])), "2001:db8:1::/48");
        assert_eq!(network(0), "");
    }

    #[test]
    fn every_field_that_is_shown_is_a_stored_one_with_its_purpose() {
        for (name, told) in fields().as_object().expect("an object") {
            assert!(told["kept_for"].as_str().is_some_and(|purpose| !purpose.is_empty()), "{name}");
        }
    }
}
