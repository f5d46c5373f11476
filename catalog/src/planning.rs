//! What a campaign is planned with: daily impressions, costs, the universe that reach is held against, creatives, and when somebody is to be told.
//!
//! None of it decides about a hit: a beacon is taken and counted the same with or without it.

use std::fmt;
use std::str::FromStr;

use chrono::NaiveDate;

/// An amount of money: whole hundredths, so that nothing is rounded. Its currency stands at the campaign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Money {
    /// Hundredths of the currency's unit, at most [`Money::HUNDREDTHS_MAX`].
    pub hundredths: u64,
}

impl Money {
    /// Most hundredths: ten billion units, exact in a spreadsheet's floating point too.
    pub const HUNDREDTHS_MAX: u64 = 1_000_000_000_000;
}

impl fmt::Display for Money {
    /// With two decimals, as `120000.00`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.hundredths / 100, self.hundredths % 100)
    }
}

/// What is no amount of money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an amount is a number from 0 to 10000000000 with at most two decimals, such as 120000.00")]
pub struct MoneyError;

impl FromStr for Money {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let (units, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let meant = decimals.trim_end_matches('0');
        if !is_number(units) || !is_number(decimals) || meant.len() > 2 {
            return Err(MoneyError);
        }
        let hundredths: u64 = format!("{meant:0<2}").parse().map_err(|_| MoneyError)?;
        let units: u64 = units.parse().map_err(|_| MoneyError)?;
        let sum = units.checked_mul(100).and_then(|units| units.checked_add(hundredths));
        sum.filter(|sum| *sum <= Self::HUNDREDTHS_MAX).map(|hundredths| Self { hundredths }).ok_or(MoneyError)
    }
}

/// Impressions that were bought for each of some days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    /// First day, on the campaign's clock.
    pub from: NaiveDate,
    /// Last day, not before the first.
    pub to: NaiveDate,
    /// Impressions of each day.
    pub impressions: u64,
}

impl Planned {
    /// How many days it covers.
    pub fn days(&self) -> u64 {
        u64::try_from((self.to - self.from).num_days() + 1).unwrap_or(0)
    }
}

/// How many there are of whom reach is a share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Universe {
    /// Region it is of, as reports name it, or [`ALL`].
    pub region: String,
    /// Audience it is of, or [`ALL`].
    pub audience: String,
    /// How many.
    pub persons: u64,
    /// What is counted.
    pub unit: UniverseUnit,
    /// Where the number is from.
    pub source: String,
    /// Of which day it is.
    pub date: NaiveDate,
}

/// The name of every region and of every audience together.
pub const ALL: &str = "all";

/// What a universe counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UniverseUnit {
    /// People.
    #[default]
    Persons,
    /// Devices, of which a person may have several.
    Devices,
}

impl UniverseUnit {
    /// The name in the catalog.
    pub fn name(self) -> &'static str {
        match self {
            Self::Persons => "persons",
            Self::Devices => "devices",
        }
    }

    /// The unit of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Persons, Self::Devices].into_iter().find(|unit| unit.name() == name)
    }
}

/// A creative of a campaign, by which reports name what beacons send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Creative {
    /// Id as beacons send it.
    pub id: String,
    /// Name for people.
    pub name: String,
}

/// When somebody is to be told about a campaign. The aggregator has limits of its own for what is `None`, but for the coverage of ids, which is held
/// against nothing then.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Alerts {
    /// Least share of impressions with a usable id, 0 to 1.
    pub id_coverage_min: Option<f64>,
    /// Largest gap between the medium's number and ours, as a share of the medium's, 0 to 1.
    pub gap_max: Option<f64>,
    /// Largest delivery above the plan, as a share of the plan, 0 to 10.
    pub over_delivery_max: Option<f64>,
    /// Longest that a live placement with a plan may be silent, hours, 1 to 720.
    pub silent_hours: Option<u32>,
}

/// Impressions planned on a day by ranges that do not overlap; `None` where the day is in none.
pub(crate) fn planned_on(plan: &[Planned], day: NaiveDate) -> Option<u64> {
    plan.iter().find(|range| (range.from..=range.to).contains(&day)).map(|range| range.impressions)
}

/// Impressions planned from a day to a day, both included.
pub(crate) fn planned_between(plan: &[Planned], from: NaiveDate, to: NaiveDate) -> u64 {
    let parts = plan.iter().map(|range| Planned {
        from: range.from.max(from),
        to: range.to.min(to),
        impressions: range.impressions,
    });
    parts.filter(|part| part.from <= part.to).map(|part| part.days().saturating_mul(part.impressions)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().expect("a day")
    }

    #[test]
    fn money_is_read_and_written_exactly() {
        for (text, written) in [
            ("120000.00", "120000.00"),
            ("120000", "120000.00"),
            ("0.1", "0.10"),
            ("0.05", "0.05"),
            ("7.1000", "7.10"),
            ("10000000000", "10000000000.00"),
        ] {
            assert_eq!(
                text.parse::<Money>().map(|money| money.to_string()).as_deref(),
                Ok(written),
                "{text}"
            );
        }
        for text in ["", ".", "1.", ".5", "-1", "+1", "1e5", "0.001", "10000000000.01", "1,000", "NaN", "１"]
        {
            assert_eq!(text.parse::<Money>(), Err(MoneyError), "{text}");
        }
    }

    #[test]
    fn a_plan_counts_each_of_its_days() {
        let range = |from: &str, to: &str, impressions| Planned { from: day(from), to: day(to), impressions };
        let plan = [range("2026-11-01", "2026-11-10", 100), range("2026-11-12", "2026-11-12", 7)];
        assert_eq!(planned_on(&plan, day("2026-11-10")), Some(100));
        assert_eq!(planned_on(&plan, day("2026-11-11")), None);
        let between = |from: &str, to: &str| planned_between(&plan, day(from), day(to));
        assert_eq!(between("2026-01-01", "2026-12-31"), 1007);
        assert_eq!(between("2026-11-10", "2026-11-12"), 107);
        assert_eq!((between("2026-11-11", "2026-11-11"), between("2026-11-12", "2026-11-01")), (0, 0));
    }
}
