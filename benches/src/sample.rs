//! Events as a campaign on phones leaves them in the journal: for what is measured behind the tracker. Everything follows from the number.

use event::identifier::IdKind;
use event::key::DeviceKey;
use event::record::{Device, Event, Platform, SourceKind, encode_event};
use event::stage::Stage;

use crate::beacon::{DEVICES, mix};

/// Receipt of the first event, Unix milliseconds: 2026-11-18, a past day wherever the clock stands in these measurements.
pub const FIRST_MS: i64 = 1_795_000_000_000;

/// Day of [`FIRST_MS`] in UTC, days since 1970-01-01.
pub const FIRST_DAY: u16 = 20_775;

/// Id of the campaign.
pub const CAMPAIGN: &str = "autumn-2026";

/// Ids of its placements.
pub const PLACEMENTS: [&str; 3] = ["home", "feed-3", "pre-roll"];

/// Agents that phones send most.
const AGENTS: [&str; 3] = [
    "Mozilla/5.0 (Linux; Android 14; V2309A) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/126.0.6478.71 Mobile Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "Dalvik/2.1.0 (Linux; U; Android 13; 22081212C Build/TKQ1.220829.002)",
];

/// Writes the record of the n-th event into `into`, in place of what is there.
pub fn record(n: u64, into: &mut Vec<u8>) {
    let draw = mix(n);
    let device = mix(draw % DEVICES);
    let key = (u128::from(device) << 64 | u128::from(mix(device))).to_le_bytes();
    let received_ms = FIRST_MS + (n / 20) as i64 % 3_600_000;
    let time_ms = received_ms - (draw % 3000) as i64;
    let [a, b, c, ..] = draw.to_le_bytes();
    let pick = |from: [&'static str; 3], by: u8| from.get(usize::from(by) % 3).copied().unwrap_or_default();
    into.clear();
    encode_event(
        &Event {
            received_ms,
            time_ms,
            client_time_ms: Some(time_ms),
            day: Some(FIRST_DAY),
            hour: 7,
            stage: if draw.is_multiple_of(50) { Stage::Click } else { Stage::Impression },
            source: SourceKind::Client,
            platform: Platform::Android,
            flags: 0,
            campaign: CAMPAIGN,
            placement: pick(PLACEMENTS, b),
            creative: "a1",
            region: "",
            catalog_version: 0x1234_5678,
            device: Some(Device { key: DeviceKey(key), kind: IdKind::Oaid, epoch: 1, former: None }),
            view: mix(draw).max(1),
            network: &[a, b, c],
            agent: pick(AGENTS, c),
            site: "",
        },
        into,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_events_that_differ() {
        let (mut one, mut two) = (Vec::new(), Vec::new());
        record(1, &mut one);
        record(2, &mut two);
        assert_ne!(one, two);
        assert!(matches!(event::record::decode(&one), Ok(event::record::Record::Event(_))));
    }
}
