//! The values that `sql/part/judged.sql` needs: which days, which hits, by which rules.
//!
//! Owns the names and the meaning of that file's parameters, for the settle step and for reports alike, so that both count by one rule.

use std::collections::BTreeSet;

use catalog::Catalog;
use event::record::flag;
use event::stage::Stage;

use crate::batch::BUCKETS;
use crate::changed::STRADDLE_HOURS;
use crate::rules::Rules;
use crate::store::{Store, StoreError, Value, Values, Work, partitions};

/// Fewest slots of devices.
const SLOTS_MIN: u64 = 1 << 16;
/// Most slots of devices: a quarter of a GiB of counts.
const SLOTS_MAX: u64 = 1 << 23;

/// What is to be judged.
pub(crate) struct Question<'a> {
    /// Days on which the hits count.
    pub(crate) days: &'a [u16],
    /// One campaign, or all when empty.
    pub(crate) campaign: &'a str,
    /// The stages wanted.
    pub(crate) stages: &'a [Stage],
    /// Which devices are set aside.
    pub(crate) aside: Aside<'a>,
}

/// Where it is known from which devices are set aside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Aside<'a> {
    /// Generations of days for which it was settled.
    pub(crate) published: &'a [(u16, u64)],
    /// Days whose events are looked at now.
    pub(crate) days: &'a [u16],
    /// Events on these days, about.
    pub(crate) hits: u64,
}

/// The days themselves and the ones beside them.
pub(crate) fn around(days: &[u16]) -> Vec<u16> {
    let beside = |day: &u16| [day.saturating_sub(1), *day, day.saturating_add(1)];
    days.iter().flat_map(beside).collect::<BTreeSet<_>>().into_iter().collect()
}

/// What `scope.sql` and `countable.sql` need, but for `buckets`: which hits may count on some days.
pub(crate) fn scope(campaign: &str, days: &[u16], stages: &[Stage]) -> Values {
    vec![
        ("campaign", Value::Text(campaign.to_owned())),
        ("days", Value::Days(days.to_vec())),
        ("around", Value::Days(around(days))),
        ("stages", Value::Numbers(stages.iter().map(|stage| *stage as u64).collect())),
        ("straddle_hours", Value::Number(u64::from(STRADDLE_HOURS))),
    ]
}

/// All values but `buckets`.
///
/// # Errors
/// The store's.
pub(crate) fn values(
    store: &Store,
    work: Work,
    rules: &Rules,
    catalog: &Catalog,
    question: &Question<'_>,
) -> Result<Values, StoreError> {
    let back: BTreeSet<u16> = question.days.iter().flat_map(|day| [day.saturating_sub(1), *day]).collect();
    let mut values = rules.values(store, work, question.campaign, &around(question.days))?;
    let (campaigns, seconds) = windows(catalog);
    values.extend(scope(question.campaign, question.days, question.stages));
    values.extend([
        ("back", Value::Days(back.into_iter().collect())),
        ("window_campaigns", Value::Texts(campaigns)),
        ("window_seconds", Value::Numbers(seconds)),
        ("withheld", Value::Number(u64::from(flag::WITHHELD))),
        ("withheld_gpc", Value::Number(u64::from(flag::WITHHELD_GPC))),
        ("withheld_dnt", Value::Number(u64::from(flag::WITHHELD_DNT))),
        ("withheld_lmt", Value::Number(u64::from(flag::WITHHELD_LMT))),
        ("withheld_consent", Value::Number(u64::from(flag::WITHHELD_CONSENT))),
        ("withheld_gpp", Value::Number(u64::from(flag::WITHHELD_GPP))),
        ("withheld_child", Value::Number(u64::from(flag::WITHHELD_CHILD))),
        ("id_bad", Value::Number(u64::from(flag::ID_BAD))),
        ("macro_unreplaced", Value::Number(u64::from(flag::MACRO_UNREPLACED))),
    ]);
    values.extend(aside_values(rules, question.aside));
    Ok(values)
}

/// What `set_aside_now.sql` and `over_ceiling.sql` need.
pub(crate) fn aside_values(rules: &Rules, aside: Aside<'_>) -> Values {
    let days = if rules.ceiling == 0 { &[] } else { aside.days };
    vec![
        ("aside_published", partitions(aside.published)),
        ("ceiling_days", Value::Days(days.to_vec())),
        ("ceiling", Value::Number(rules.ceiling)),
        ("slots_mask", Value::Number(slots_mask(aside.hits, rules.ceiling))),
    ]
}

/// Into how many slots (a power of two, less one) devices are sorted before they are counted one by one: so many that a slot without a device
/// over the ceiling holds an eighth of it, and no more than fit into the memory of a statement.
fn slots_mask(hits: u64, ceiling: u64) -> u64 {
    let wanted = hits.saturating_mul(8) / ceiling.max(1);
    wanted.clamp(SLOTS_MIN, SLOTS_MAX).next_power_of_two() - 1
}

/// `buckets`: all of them.
pub(crate) fn all_buckets() -> (&'static str, Value) {
    buckets(0, BUCKETS)
}

/// `buckets` for each portion of so many hits, in turn: portions of `portion_hits` or fewer, where there are enough buckets for that. Every hit is in one of
/// them, and hits that repeat each other are in the same.
pub(crate) fn portions(hits: u64, portion_hits: u64) -> impl Iterator<Item = (&'static str, Value)> {
    let count = (portion_hits.saturating_mul(BUCKETS) / hits.max(1)).clamp(1, BUCKETS);
    (0..BUCKETS.div_ceil(count)).map(move |portion| buckets(portion * count, count))
}

fn buckets(first: u64, count: u64) -> (&'static str, Value) {
    ("buckets", Value::Numbers((first..(first + count).min(BUCKETS)).collect()))
}

/// Campaigns with a double-click window and their windows in seconds, by name.
pub(crate) fn windows(catalog: &Catalog) -> (Vec<String>, Vec<u64>) {
    let mut windows: Vec<_> = catalog
        .campaigns
        .values()
        .filter(|campaign| campaign.double_click_seconds > 0)
        .map(|campaign| (campaign.id.clone(), u64::from(campaign.double_click_seconds)))
        .collect();
    windows.sort();
    windows.into_iter().unzip()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portions_are_no_larger_than_asked_for_and_leave_no_bucket_out() {
        for (hits, portion_hits, expected) in [
            (0, 10, 1),
            (10, 10, 1),
            (11, 10, 2),
            (160, 10, 16),
            (1_000, 10, 16),
            (24, 10, 3),
            (5, u64::MAX, 1),
        ] {
            let portions: Vec<_> = portions(hits, portion_hits).map(|(_, value)| value.text()).collect();
            assert_eq!(portions.len(), expected, "{hits} in portions of {portion_hits}: {portions:?}");
            let all = portions.join(",").replace("],[", ",");
            assert_eq!(all, all_buckets().1.text(), "{hits} in portions of {portion_hits}");
        }
    }
}
