//! What the attack is made on: hits of devices that come again, among them few of each kind of thing that reports are broken down by.

use event::identifier::IdKind;
use event::record::{Platform, flag};
use event::stage::Stage;

use super::{OURS, TWIN, TWIN_MEDIUM};
use crate::rig::{DAY_MS, Hit, NOON_MS, PHONE, Random, hit};

/// A report ends on the one day or the other; few came in on the second.
const HITS: [u64; 2] = [2_500, 600];
pub(crate) const PLACEMENTS: [(&str, &str); 6] =
    [("p1", "A"), ("p2", "B"), ("p3", "A"), ("p4", "C"), ("p5", "D"), ("p6", "B")];

/// One of some, the first ones far more often than the last.
fn skewed<T: Copy>(random: &mut Random, of: &[T]) -> T {
    let below = 1 + random.below(of.len() as u64 * of.len() as u64);
    of[of.len() - (below as f64).sqrt().ceil() as usize]
}

/// Hits of devices that come again, among them few of a placement, a medium, a creative, a region, a platform, an hour, a kind of id and a day.
pub(crate) fn workload(random: &mut Random) -> Vec<Hit> {
    let placements: Vec<&str> = PLACEMENTS.iter().map(|(id, _)| *id).collect();
    let one = |random: &mut Random, day: usize, n: u64| {
        // Some devices often.
        let device = 1 + random.below(600).min(random.below(600));
        let flags = [0, flag::DEVICE_ROOT, flag::DEVICE_ADB, flag::DEVICE_HOOK | flag::DEVICE_EMULATOR];
        let withheld = [flag::WITHHELD_GPC, flag::WITHHELD_DNT, flag::WITHHELD_CHILD, flag::WITHHELD_LMT];
        let is_withheld = random.below(12) == 0;
        let has_device = !is_withheld && random.below(10) > 0;
        let hour = skewed(random, &[20, 12, 9, 22, 15, 3, 4]);
        let time_ms =
            NOON_MS - (4 - day as i64) * DAY_MS + (hour - 12) * 3_600_000 + random.below(3_000_000) as i64;
        Hit {
            campaign: OURS,
            placement: skewed(random, &placements),
            creative: skewed(random, &["", "a", "b", "rare"]),
            region: skewed(random, &["CN-31", "", "CN-11", "CN-54", "CN-71"]),
            platform: skewed(random, &[Platform::Android, Platform::Ios, Platform::Tv, Platform::Pc]),
            kind: [IdKind::Oaid, IdKind::Oaid, IdKind::Idfa, IdKind::AndroidId][device as usize % 4],
            // Keys are hashes: all over their range.
            device: has_device.then(|| Random(device).next()),
            stage: if random.below(15) == 0 { Stage::Click } else { Stage::Impression },
            flags: match (is_withheld, has_device) {
                (true, _) => skewed(random, &withheld),
                (false, true) => skewed(random, &flags) | flag::ID_USABLE,
                (false, false) => 0,
            },
            agent: if random.below(30) == 0 { "curl/8.0".to_owned() } else { PHONE.to_owned() },
            view: 1 + (day as u64 * 100_000 + n) - random.below(2),
            ..hit(time_ms)
        }
    };
    let days = (0..).zip(HITS);
    days.flat_map(|(day, hits)| (0..hits).map(move |n| (day, n)))
        .map(|(day, n)| one(random, day, n))
        .collect()
}

/// The hits of one medium once more, as a campaign of its own: all of it is what a token of the medium's is shown of the other.
pub(super) fn twin(hits: &[Hit]) -> Vec<Hit> {
    let is_of = |hit: &&Hit| PLACEMENTS.contains(&(hit.placement, TWIN_MEDIUM));
    // Other views: none is a repeat of the other campaign's.
    hits.iter()
        .filter(is_of)
        .map(|hit| Hit { campaign: TWIN, view: hit.view + 10_000_000, ..hit.clone() })
        .collect()
}
