//! The demo's beacons and their truth. A pure function of seed, size and the current time: the beacons are drawn view by view, and
//! the truth is counted from the same views with plain code, not with anything that the product counts with.

use std::collections::{BTreeMap, HashMap};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// Campaign and placements of the demo; they stand in the example catalog.
pub(super) const CAMPAIGN: &str = "demo";
pub(super) const PLACEMENTS: [&str; 3] = ["p1", "p2", "p3"];
/// Where the demo's clicks land: registered in the example catalog.
const LANDING: &str = "https://www.example.com/spring?from=demo";
/// Beacons lie at most this long before now: the tracker takes client times of up to 7 days.
const SPAN_MS: u64 = 3 * 86_400_000;
/// And at least this long, so that no clock can hold them to be ahead.
const LAG_MS: u64 = 60_000;
/// An agent of a robot on every list.
const ROBOT: &str = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
/// Agents as apps and browsers send them.
const AGENTS: [&str; 4] = [
    "Dalvik/2.1.0 (Linux; U; Android 14; M2102J2SC Build/UKQ1.230804.001)",
    "Mozilla/5.0 (Linux; Android 13; V2250A) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Mobile Safari/537.36",
    "ExampleApp/5.1 CFNetwork/1490.0.4 Darwin/23.2.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36",
];
/// Of a hundred views: without a usable id, repeated by a retry, clicked, seen by a robot.
const NO_ID_PERCENT: u64 = 20;
const REPEAT_PERCENT: u64 = 3;
const CLICK_PERCENT: u64 = 4;
const ROBOT_PERCENT: u64 = 2;

/// A request as a viewer's device sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// Path and query.
    pub(super) target: String,
    /// Agent.
    pub(super) agent: &'static str,
    /// A click is answered by a redirect.
    pub(super) is_click: bool,
}

/// What is true of the beacons.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Truth {
    /// Impressions, everything.
    pub(super) gross: u64,
    /// Without repeats and robots.
    pub(super) net: u64,
    /// Of net: with a usable id.
    pub(super) identified: u64,
    /// Repeated request ids.
    pub(super) repeats: u64,
    /// Impressions of robots, repeats apart.
    pub(super) robots: u64,
    /// Clicks without robots.
    pub(super) clicks: u64,
    /// Distinct devices in net.
    pub(super) reach: u64,
    /// Devices by how often they were reached.
    pub(super) exactly: BTreeMap<u64, u64>,
}

/// The beacons of a seed.
pub(super) fn plan(seed: u64, views: u32, now_ms: u64) -> (Vec<Request>, Truth) {
    let mut random = SplitMix(seed);
    let mut requests = Vec::with_capacity(views as usize * 11 / 10);
    let mut truth = Truth::default();
    let mut frequency: HashMap<u64, u64> = HashMap::new();
    // Fewer devices than views, and skewed: some are reached often.
    let devices = u64::from(views) * 2 / 3;
    for view in 0..views {
        let first = random.below(devices);
        let device = first.min(random.below(devices));
        let is_known = random.below(100) >= NO_ID_PERCENT;
        let is_robot = random.below(100) < ROBOT_PERCENT;
        let placement = PLACEMENTS.get(random.below(3) as usize).copied().unwrap_or("p1");
        let at_ms = now_ms - LAG_MS - random.below(SPAN_MS);
        let agent =
            if is_robot { ROBOT } else { AGENTS.get((device % 4) as usize).copied().unwrap_or(ROBOT) };
        let id = if is_known {
            format!("oaid={}", oaid(seed, device))
        } else if random.below(2) == 0 {
            "oaid=00000000-0000-0000-0000-000000000000".to_owned()
        } else {
            "oaid=__OAID__".to_owned()
        };
        let common = format!("c={CAMPAIGN}&p={placement}&t={at_ms}&rid=demo-{seed}-{view}&{id}");
        let target = format!("/i?{common}&cr=cr{}", view % 4);
        let repeats = u64::from(random.below(100) < REPEAT_PERCENT);
        for _ in 0..=repeats {
            requests.push(Request { target: target.clone(), agent, is_click: false });
        }
        truth.gross += 1 + repeats;
        truth.repeats += repeats;
        if is_robot {
            truth.robots += 1;
            continue;
        }
        truth.net += 1;
        if is_known {
            truth.identified += 1;
            *frequency.entry(device).or_default() += 1;
        }
        if random.below(100) < CLICK_PERCENT {
            let landing = utf8_percent_encode(LANDING, NON_ALPHANUMERIC);
            let target = format!("/c?{common}&u={landing}");
            requests.push(Request { target, agent, is_click: true });
            truth.clicks += 1;
        }
    }
    truth.reach = frequency.len() as u64;
    for count in frequency.into_values() {
        *truth.exactly.entry(count).or_default() += 1;
    }
    (requests, truth)
}

/// An identifier in the form of a UUID, one for each device of a seed.
fn oaid(seed: u64, device: u64) -> String {
    let mut random = SplitMix(seed.wrapping_mul(0x1000_0001).wrapping_add(device));
    let (high, low) = (random.next(), random.next());
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        low >> 52,
        low & 0xffff_ffff_ffff
    )
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, seeded, the same everywhere. Not for secrets.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`; the bias of the remainder is far below what a demo shows.
    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_beacons_and_another_one_others() {
        assert_eq!(plan(1, 500, 1_800_000_000_000), plan(1, 500, 1_800_000_000_000));
        assert_ne!(plan(1, 500, 1_800_000_000_000).0, plan(2, 500, 1_800_000_000_000).0);
    }

    #[test]
    fn the_truth_is_what_the_requests_say() {
        let (requests, truth) = plan(7, 2_000, 1_800_000_000_000);
        let impressions: Vec<&Request> = requests.iter().filter(|r| !r.is_click).collect();
        assert_eq!(impressions.len() as u64, truth.gross);
        let distinct: HashSet<&str> = impressions.iter().map(|r| r.target.as_str()).collect();
        assert_eq!(distinct.len() as u64, truth.gross - truth.repeats);
        let genuine: HashSet<&str> =
            impressions.iter().filter(|r| r.agent != ROBOT).map(|r| r.target.as_str()).collect();
        assert_eq!(genuine.len() as u64, truth.net);
        assert_eq!(truth.gross, truth.net + truth.repeats + truth.robots);
        let ids: HashSet<&str> = genuine
            .iter()
            .filter_map(|t| t.split("oaid=").nth(1)?.split('&').next())
            .filter(|id| !id.starts_with("0000") && !id.starts_with("__"))
            .collect();
        assert_eq!(ids.len() as u64, truth.reach);
        assert_eq!(truth.exactly.values().sum::<u64>(), truth.reach);
        assert_eq!(truth.exactly.iter().map(|(n, d)| n * d).sum::<u64>(), truth.identified);
        assert!(truth.exactly.len() > 3 && truth.clicks > 10, "{truth:?}");
    }
}
