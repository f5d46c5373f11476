//! Reading `catalog.toml`: strict, with the line of whatever is wrong, so that a person can mend it without guessing.

mod campaign;
mod placement;
mod table;

use std::sync::Arc;

use event::profile::Profiles;
use sha2::{Digest, Sha256};
use toml::de::DeTable;

use self::table::{Table, wrong};
use crate::{Catalog, Mistake};

/// How large a catalog may be.
pub mod limit {
    /// Longest file, bytes.
    pub const FILE_BYTES_MAX: usize = 64 * 1024 * 1024;
    /// Most campaigns.
    pub const CAMPAIGNS_MAX: usize = 100_000;
    /// Most placements of one campaign.
    pub const PLACEMENTS_MAX: usize = 100_000;
    /// Longest name of a campaign, placement or medium, bytes.
    pub const NAME_BYTES_MAX: usize = 256;
    /// Most landing hosts of one campaign or placement.
    pub const LANDING_HOSTS_MAX: usize = 1_000;
    /// Longest landing page, bytes: as for a URL that a click asks for.
    pub const LANDING_PAGE_BYTES_MAX: usize = event::dialect::limit::LANDING_URL_BYTES_MAX;
    /// Longest name of a dialect, bytes.
    pub const DIALECT_BYTES_MAX: usize = 64;
    /// Longest VAST tag, bytes.
    pub const VAST_TAG_BYTES_MAX: usize = 4096;
    /// Longest double-click window, seconds: a day.
    pub const DOUBLE_CLICK_SECONDS_MAX: u32 = 86_400;
    /// Most ranges of one placement's plan: each day of a year one of its own.
    pub const PLAN_RANGES_MAX: usize = 400;
    /// Longest range of a plan, days: ten years.
    pub const PLAN_DAYS_MAX: u64 = 3_660;
    /// Most impressions planned for a placement and day.
    pub const IMPRESSIONS_A_DAY_MAX: u64 = 1_000_000_000_000;
    /// Most universes of one campaign.
    pub const UNIVERSES_MAX: usize = 1_000;
    /// Most persons or devices of a universe.
    pub const PERSONS_MAX: u64 = 100_000_000_000;
    /// Most creatives of one campaign.
    pub const CREATIVES_MAX: usize = 10_000;
    /// Longest id of a creative, bytes: as beacons send it.
    pub const CREATIVE_BYTES_MAX: usize = event::dialect::limit::CREATIVE_BYTES_MAX;
    /// Largest share above the plan that an alert waits for: eleven times the plan.
    pub const OVER_DELIVERY_MAX: f64 = 10.0;
    /// Longest silence that an alert waits for, hours: thirty days.
    pub const SILENT_HOURS_MAX: u64 = 720;
}

/// Why a catalog was refused; prints `catalog.toml:12: …`. The catalog's author has to mend the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {problem}")]
pub struct Error {
    /// Name of the file as given.
    pub file: String,
    /// Line from 1.
    pub line: usize,
    /// What is wrong and what is allowed.
    pub problem: Mistake,
}

const CATALOG_KEYS: &[&str] = &["campaign"];

/// What is wrong, and where in the text.
struct Wrong {
    at: usize,
    problem: Mistake,
}

type Checked<T> = Result<T, Wrong>;

pub(crate) fn parse(text: &str, file_name: &str, profiles: &Profiles) -> Result<Catalog, Error> {
    read(text, profiles).map_err(|wrong| Error {
        file: file_name.to_owned(),
        line: text.bytes().take(wrong.at).filter(|byte| *byte == b'\n').count() + 1,
        problem: wrong.problem,
    })
}

/// The version of a catalog of this text: the first 32 bits of its SHA-256.
pub fn version_of(text: &str) -> u32 {
    let digest = Sha256::digest(text.as_bytes());
    digest.first_chunk::<4>().map_or(0, |first| u32::from_be_bytes(*first))
}

fn read(text: &str, profiles: &Profiles) -> Checked<Catalog> {
    if text.len() > limit::FILE_BYTES_MAX {
        return wrong(0, format!("longer than {} bytes", limit::FILE_BYTES_MAX));
    }
    let document = DeTable::parse(text).map_err(|error| not_toml(text, &error))?;
    let file = Table { entries: document.get_ref(), at: 0 };
    file.allow(CATALOG_KEYS)?;
    let mut catalog = Catalog { version: version_of(text), ..Catalog::default() };
    for table in file.tables("campaign", limit::CAMPAIGNS_MAX)? {
        let campaign = campaign::read(&table, profiles)?;
        let of_placements = campaign.placements.values().flat_map(|placement| &placement.landing_hosts);
        campaign.landing_hosts.iter().chain(of_placements).for_each(|host| catalog.hosts.insert(host));
        if let Some(twice) = catalog.campaigns.insert(campaign.id.clone(), Arc::new(campaign)) {
            return wrong(table.at_key("id"), format!("campaign `{}` stands twice", twice.id));
        }
    }
    Ok(catalog)
}

/// What the TOML reader says, on one line and with the words that it stumbled over.
fn not_toml(text: &str, error: &toml::de::Error) -> Wrong {
    const WORDS_CHARS_MAX: usize = 40;
    let span = error.span().unwrap_or_default();
    let mut problem = error.message().lines().collect::<Vec<_>>().join("; ");
    let words = text.get(span.clone()).and_then(|words| words.lines().next()).unwrap_or_default();
    if !words.is_empty() {
        let words: String = words.chars().take(WORDS_CHARS_MAX).collect();
        problem = format!("{problem}: `{words}`");
    }
    Wrong { at: span.start, problem: problem.into() }
}

/// The known name that a person most likely meant: at most a third of its letters mistyped.
pub(crate) fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let distance = |known: &str| strsim::damerau_levenshtein(&known.to_lowercase(), &name.to_lowercase());
    let (near, distance) =
        known.map(|known| (known, distance(known))).min_by_key(|(_, distance)| *distance)?;
    (distance * 3 <= name.chars().count().max(3)).then_some(near)
}
