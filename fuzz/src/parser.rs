//! The way of a query string: dialect table, identifiers, time, agent. Any bytes give a hit or a reason, and:
//!
//! * reading again with a used buffer gives the same;
//! * a hit written out again, every byte escaped, is read as the same hit;
//! * no field is longer than its limit, and a hit never holds an unreplaced macro;
//! * an identifier that opts out is one that is found when it comes as a beacon.

use std::sync::LazyLock;

use event::dialect::{Scratch, Table, is_unreplaced_macro, limit};
use event::hit::{Field, Hit};
use event::identifier::{IdField, IdKind, identify, lodge};
use event::key::KeyRing;
use event::profile::Remap;
use event::record::{AGENT_BYTES_MAX, Platform};
use event::{agent, time};

/// Receipt of every hit: any moment of the time in which clients' times are judged.
const RECEIVED_MS: i64 = 1_795_000_000_000;

static KEYS: LazyLock<KeyRing> = LazyLock::new(|| {
    let mut next = 0u8;
    KeyRing::generate(|bytes| {
        for byte in bytes {
            next = next.wrapping_mul(5).wrapping_add(17);
            *byte = next;
        }
    })
});

/// One query string.
pub fn run(query: &[u8]) {
    let (mut scratch, mut again) = (Scratch::new(), Scratch::new());
    let table = Table::native();
    let _ = table.read(b"c=another&oaid=%41&u=https://example.com/", &mut again);
    let reading = table.read(query, &mut scratch);
    let second = table.read(query, &mut again);
    assert_eq!(reading.defect, second.defect);
    assert_eq!(fields(&reading.hit), fields(&second.hit));
    for (name, value) in fields(&reading.hit) {
        assert!(!value.is_empty() && value == value.trim_ascii(), "{name} is trimmed");
        assert!(!is_unreplaced_macro(value), "{name} holds a macro");
        assert!(value.len() <= longest(name), "{name} has {} bytes", value.len());
    }
    if reading.defect.is_none() {
        written_out_again(&reading.hit);
    }
    judge(&reading.hit);
}

/// Writes the hit as a query with every byte escaped and reads that.
fn written_out_again(hit: &Hit<'_>) {
    let mut query = Vec::new();
    for (name, value) in fields(hit) {
        query.extend_from_slice(name.as_bytes());
        query.push(b'=');
        for byte in value {
            query.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
        query.push(b'&');
    }
    let mut scratch = Scratch::new();
    let reading = Table::native().read(&query, &mut scratch);
    assert_eq!(reading.defect, None, "{}", String::from_utf8_lossy(&query));
    assert_eq!(fields(&reading.hit), fields(hit));
    assert_eq!(reading.hit.macros_unreplaced, 0);
}

/// What is decided from a hit.
pub(crate) fn judge(hit: &Hit<'_>) {
    let text = hit.user_agent.unwrap_or_default();
    assert!(agent::cut(text).len() <= AGENT_BYTES_MAX);
    let _ = time::judge(hit.time, RECEIVED_MS, None, false);
    let _ = time::judge(hit.time, RECEIVED_MS, Some(RECEIVED_MS), true);
    for platform in Platform::ALL.into_iter().chain([agent::platform(hit.os, text)]) {
        let identity = identify(hit, platform, &KEYS, &Remap::NONE);
        assert!(identity.device.is_none() || !identity.opt_out.is_empty(), "a device can opt out");
        assert!(identity.opt_out.len() <= 2 * IdField::COUNT);
    }
    let Some(value) = hit.ids.iter().flatten().next() else { return };
    for kind in IdKind::ALL {
        if let Ok(lodged) = lodge(kind, value, &KEYS) {
            assert!(!lodged.hashes.is_empty(), "what was lodged covers something");
        }
    }
}

/// The fields that are set, by their names in the native dialect.
pub(crate) fn fields<'a>(hit: &Hit<'a>) -> Vec<(&'static str, &'a [u8])> {
    let plain = [
        ("c", hit.campaign),
        ("p", hit.placement),
        ("cr", hit.creative),
        ("t", hit.time),
        ("rid", hit.request_id),
        ("ip", hit.ip),
        ("ua", hit.user_agent),
        ("os", hit.os),
        ("u", hit.landing_url),
        ("gdpr", hit.gdpr),
        ("gdpr_consent", hit.gdpr_consent),
        ("gpp", hit.gpp),
        ("gpp_sid", hit.gpp_sid),
        ("lmt", hit.limit_ad_tracking),
        ("coppa", hit.child_directed),
        ("caid_version", hit.caid_version),
    ];
    let ids = IdField::ALL.into_iter().zip(hit.ids).map(|(field, value)| (field.name(), value));
    plain.into_iter().chain(ids).filter_map(|(name, value)| Some((name, value?))).collect()
}

pub(crate) fn longest(name: &str) -> usize {
    match name {
        "c" | "p" => limit::CATALOG_ID_BYTES_MAX,
        "cr" => limit::CREATIVE_BYTES_MAX,
        "u" => limit::LANDING_URL_BYTES_MAX,
        "ua" => limit::USER_AGENT_BYTES_MAX,
        "gdpr_consent" | "gpp" => limit::CONSENT_BYTES_MAX,
        "caid" | "caid_md5" => limit::CAID_BYTES_MAX,
        name if matches!(Field::from_name(name), Some(Field::Id(_))) => limit::ID_BYTES_MAX,
        _ => limit::REQUEST_ID_BYTES_MAX,
    }
}
