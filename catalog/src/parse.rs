//! Reading `catalog.toml`: strict, with the line of whatever is wrong, so that a person can mend it without guessing.

use std::ops::Range;
use std::sync::Arc;

use chrono::NaiveDate;
use event::hit::is_catalog_id;
use event::profile::{Profile, Profiles};
use event::record::SourceKind;
use sha2::{Digest, Sha256};
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use crate::{Campaign, Catalog, Placement, PlacementState, day_start_ms, landing};

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
    pub problem: String,
}

const CATALOG_KEYS: &[&str] = &["campaign"];
const CAMPAIGN_KEYS: &[&str] =
    &["id", "name", "time_zone", "starts", "ends", "double_click_seconds", "landing_hosts", "placement"];
const PLACEMENT_KEYS: &[&str] = &[
    "id",
    "name",
    "medium",
    "source",
    "landing_hosts",
    "landing_page",
    "profile",
    "state",
    "signed_links",
    "vast_tag",
    "dialect",
];

/// What is wrong, and where in the text.
struct Wrong {
    at: usize,
    problem: String,
}

type Checked<T> = Result<T, Wrong>;

pub(crate) fn parse(text: &str, file_name: &str, profiles: &Profiles) -> Result<Catalog, Error> {
    read(text, profiles).map_err(|wrong| Error {
        file: file_name.to_owned(),
        line: text.bytes().take(wrong.at).filter(|byte| *byte == b'\n').count() + 1,
        problem: wrong.problem,
    })
}

fn read(text: &str, profiles: &Profiles) -> Checked<Catalog> {
    if text.len() > limit::FILE_BYTES_MAX {
        return wrong(0, format!("longer than {} bytes", limit::FILE_BYTES_MAX));
    }
    let document = DeTable::parse(text).map_err(|error| not_toml(text, &error))?;
    let file = Table { entries: document.get_ref(), at: 0 };
    file.allow(CATALOG_KEYS)?;
    let digest = Sha256::digest(text.as_bytes());
    let version = digest.first_chunk::<4>().map_or(0, |first| u32::from_be_bytes(*first));
    let mut catalog = Catalog { version, ..Catalog::default() };
    for table in file.tables("campaign", limit::CAMPAIGNS_MAX)? {
        let campaign = read_campaign(&table, profiles)?;
        let of_placements = campaign.placements.values().flat_map(|placement| &placement.landing_hosts);
        campaign.landing_hosts.iter().chain(of_placements).for_each(|host| catalog.hosts.insert(host));
        if let Some(twice) = catalog.campaigns.insert(campaign.id.clone(), Arc::new(campaign)) {
            return wrong(table.at_key("id"), format!("campaign `{}` stands twice", twice.id));
        }
    }
    Ok(catalog)
}

fn read_campaign(table: &Table<'_>, profiles: &Profiles) -> Checked<Campaign> {
    table.allow(CAMPAIGN_KEYS)?;
    let id = table.id("campaign")?;
    let time_zone = read_time_zone(table)?;
    let starts = table.date("starts")?;
    let ends = table.date("ends")?;
    if let (Some(starts), Some(ends)) = (starts, ends)
        && ends < starts
    {
        return wrong(table.at_key("ends"), format!("`ends` ({ends}) is before `starts` ({starts})"));
    }
    let start_ms = starts.and_then(|date| day_start_ms(time_zone, date));
    let landing_hosts = table.hosts("landing_hosts")?;
    let mut placements = ahash::HashMap::default();
    for table in table.tables("placement", limit::PLACEMENTS_MAX)? {
        let placement = read_placement(&table, &landing_hosts, profiles)?;
        if let Some(twice) = placements.insert(placement.id.clone(), Arc::new(placement)) {
            let problem = format!("placement `{}` of campaign `{id}` stands twice", twice.id);
            return wrong(table.at_key("id"), problem);
        }
    }
    Ok(Campaign {
        id,
        name: table.name("name")?,
        time_zone,
        starts,
        ends,
        double_click_seconds: table.seconds("double_click_seconds", limit::DOUBLE_CLICK_SECONDS_MAX)?,
        landing_hosts,
        placements,
        start_ms,
    })
}

fn read_placement(
    table: &Table<'_>,
    hosts_of_campaign: &[String],
    profiles: &Profiles,
) -> Checked<Placement> {
    table.allow(PLACEMENT_KEYS)?;
    let id = table.id("placement")?;
    let landing_hosts = table.hosts("landing_hosts")?;
    let landing_page = match table.text("landing_page")? {
        None => None,
        Some((page, at)) => {
            Some(read_landing_page(page, at, hosts_of_campaign.iter().chain(&landing_hosts))?)
        }
    };
    let source = match table.text("source")? {
        None => SourceKind::Client,
        Some((name, at)) => match SourceKind::from_name(name) {
            Some(source) => source,
            None => return wrong(at, format!("`{name}` is no kind of source: c2s, s2s or ssai")),
        },
    };
    Ok(Placement {
        id,
        name: table.name("name")?,
        medium: table.name("medium")?,
        source,
        landing_hosts,
        landing_page,
        profile: read_profile(table, profiles)?,
        state: match table.text("state")? {
            None => PlacementState::Live,
            Some((name, at)) => match PlacementState::from_name(name) {
                Some(state) => state,
                None => return wrong(at, format!("`{name}` is no state of a placement: live or trial")),
            },
        },
        signed_links: table.flag("signed_links")?,
        vast_tag: read_vast_tag(table)?,
        dialect: read_dialect(table)?,
    })
}

/// The dialects themselves are not known here: whoever makes links, or checks the file, holds the name against them.
fn read_dialect(table: &Table<'_>) -> Checked<Option<String>> {
    let Some((name, at)) = table.text("dialect")? else { return Ok(None) };
    let is_name =
        |name: &str| name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'));
    if name.is_empty() || name.len() > limit::DIALECT_BYTES_MAX || !is_name(name) {
        return wrong(at, format!("`{name}` is no name of a dialect, such as native or admaster"));
    }
    Ok(Some(name.to_owned()))
}

fn read_profile(table: &Table<'_>, profiles: &Profiles) -> Checked<Option<Arc<Profile>>> {
    let Some((name, at)) = table.text("profile")? else { return Ok(None) };
    if let Some(profile) = profiles.get(name) {
        return Ok(Some(Arc::clone(profile)));
    }
    let known: Vec<&str> = profiles.iter().map(|profile| profile.name()).collect();
    let hint = nearest(name, known.iter().copied())
        .map_or_else(|| ".".to_owned(), |near| format!("; did you mean `{near}`?"));
    wrong(at, format!("there is no profile of a medium `{name}`{hint} There are: {}", known.join(", ")))
}

fn read_vast_tag(table: &Table<'_>) -> Checked<Option<String>> {
    let Some((tag, at)) = table.text("vast_tag")? else { return Ok(None) };
    if tag.len() > limit::VAST_TAG_BYTES_MAX {
        return wrong(at, format!("`vast_tag` is longer than {} bytes", limit::VAST_TAG_BYTES_MAX));
    }
    match landing::host_of(tag.as_bytes()) {
        Some((url, _)) if !url.contains(char::is_whitespace) => Ok(Some(url.to_owned())),
        _ => wrong(
            at,
            "`vast_tag` must be an http or https URL with a plain host name, for example \"https://ads.example.com/vast?id=7\"",
        ),
    }
}

fn read_time_zone(table: &Table<'_>) -> Checked<chrono_tz::Tz> {
    let (name, at) = table.required("time_zone", "time_zone = \"Asia/Shanghai\"")?;
    name.parse().map_err(|_| {
        let known = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name());
        let hint = nearest(name, known).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        Wrong { at, problem: format!("time zone `{name}` is not in the IANA time zone database{hint}") }
    })
}

fn read_landing_page<'h>(
    page: &str,
    at: usize,
    registered: impl IntoIterator<Item = &'h String>,
) -> Checked<String> {
    if page.len() > limit::LANDING_PAGE_BYTES_MAX {
        return wrong(at, format!("`landing_page` is longer than {} bytes", limit::LANDING_PAGE_BYTES_MAX));
    }
    let Some((url, host)) = landing::host_of(page.as_bytes()) else {
        return wrong(
            at,
            "`landing_page` must be an http or https URL with a plain host name, for example \"https://www.example.com/\"",
        );
    };
    if !landing::is_among(host, registered) {
        let problem =
            format!("the host of `landing_page` is not registered: add \"{host}\" to `landing_hosts`");
        return wrong(at, problem);
    }
    Ok(url.to_owned())
}

/// A landing host as it is kept: lower case.
fn read_host(host: &str, at: usize) -> Checked<String> {
    let bare = host.strip_prefix('.').unwrap_or(host);
    let problem = if host.contains("://") || host.contains('/') {
        "a host stands without scheme and path"
    } else if host.starts_with('*') {
        "for every host below one write a leading dot, `.example.com`"
    } else if !host.is_ascii() {
        "write a name beyond ASCII in its `xn--` form"
    } else if bare.contains(':') && !bare.starts_with('[') {
        "a host stands without port; every port of it is allowed"
    } else if !landing::is_host(bare) {
        "that is no host name"
    } else if host.starts_with('.') && (!bare.contains('.') || bare.parse::<std::net::Ipv4Addr>().is_ok()) {
        "a leading dot must stand before a name of at least two labels, `.example.com`"
    } else {
        return Ok(host.to_ascii_lowercase());
    };
    wrong(at, format!("landing host `{host}`: {problem}"))
}

/// A table of the file with the place where it begins.
struct Table<'t> {
    entries: &'t DeTable<'t>,
    at: usize,
}

impl<'t> Table<'t> {
    /// Refuses keys that mean nothing, with the nearest that would.
    fn allow(&self, keys: &[&str]) -> Checked<()> {
        let unknown = self.entries.iter().filter(|(key, _)| !keys.contains(&key.get_ref().as_ref()));
        let Some((key, _)) = unknown.min_by_key(|(key, _)| key.span().start) else { return Ok(()) };
        let name = key.get_ref();
        let hint = nearest(name, keys.iter().copied())
            .map(|near| format!("; did you mean `{near}`?"))
            .unwrap_or_default();
        wrong(key.span().start, format!("unknown key `{name}`{hint} Allowed here: {}", keys.join(", ")))
    }

    fn get(&self, key: &str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.entries.get(key)
    }

    fn at_key(&self, key: &str) -> usize {
        self.get(key).map_or(self.at, |value| value.span().start)
    }

    fn tables(&self, key: &str, count_max: usize) -> Checked<Vec<Table<'t>>> {
        let Some(array) = self.array(key, &format!("write [[{key}]] before each one"))? else {
            return Ok(Vec::new());
        };
        if array.len() > count_max {
            return wrong(self.at_key(key), format!("more than {count_max} of `{key}`"));
        }
        let tables = array.iter().map(|value| match value.get_ref() {
            DeValue::Table(entries) => Ok(Table { entries, at: value.span().start }),
            other => is_not(value.span(), key, other, "a table"),
        });
        tables.collect()
    }

    fn array(&self, key: &str, hint: &str) -> Checked<Option<&'t DeArray<'t>>> {
        match self.get(key).map(|value| (value.span(), value.get_ref())) {
            None => Ok(None),
            Some((_, DeValue::Array(array))) => Ok(Some(array)),
            Some((span, other)) => is_not(span, key, other, &format!("a list: {hint}")),
        }
    }

    fn text(&self, key: &str) -> Checked<Option<(&'t str, usize)>> {
        match self.get(key).map(|value| (value.span(), value.get_ref())) {
            None => Ok(None),
            Some((span, DeValue::String(text))) => Ok(Some((text.as_ref(), span.start))),
            Some((span, other)) => is_not(span, key, other, "a text in quotes"),
        }
    }

    fn required(&self, key: &str, example: &str) -> Checked<(&'t str, usize)> {
        match self.text(key)? {
            Some(found) => Ok(found),
            None => wrong(self.at, format!("`{key}` is missing here: add {example}")),
        }
    }

    fn id(&self, what: &str) -> Checked<String> {
        let (id, at) = self.required("id", "id = \"…\"")?;
        if is_catalog_id(id.as_bytes()) {
            return Ok(id.to_owned());
        }
        wrong(at, format!("a {what}'s id has 1 to 64 characters of A-Z a-z 0-9 . _ -"))
    }

    fn name(&self, key: &str) -> Checked<String> {
        let (name, at) = self.required(key, &format!("{key} = \"…\""))?;
        let name = name.trim();
        if name.is_empty() || name.len() > limit::NAME_BYTES_MAX || name.chars().any(char::is_control) {
            let max = limit::NAME_BYTES_MAX;
            return wrong(at, format!("`{key}` has 1 to {max} bytes and no control character"));
        }
        Ok(name.to_owned())
    }

    fn date(&self, key: &str) -> Checked<Option<NaiveDate>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        if let DeValue::Datetime(moment) = value.get_ref()
            && let (Some(date), None, None) = (moment.date, moment.time, moment.offset)
            && let Some(date) =
                NaiveDate::from_ymd_opt(i32::from(date.year), date.month.into(), date.day.into())
        {
            return Ok(Some(date));
        }
        wrong(
            value.span().start,
            format!("`{key}` is a day without quotes and time, for example {key} = 2026-11-01"),
        )
    }

    fn seconds(&self, key: &str, max: u32) -> Checked<u32> {
        let Some(value) = self.get(key) else { return Ok(0) };
        if let DeValue::Integer(number) = value.get_ref()
            && let Ok(number) = u32::from_str_radix(number.as_str(), number.radix())
            && number <= max
        {
            return Ok(number);
        }
        wrong(value.span().start, format!("`{key}` is a whole number of seconds from 0 to {max}"))
    }

    fn flag(&self, key: &str) -> Checked<bool> {
        match self.get(key).map(|value| (value.span(), value.get_ref())) {
            None => Ok(false),
            Some((_, DeValue::Boolean(flag))) => Ok(*flag),
            Some((span, other)) => is_not(span, key, other, "true or false without quotes"),
        }
    }

    fn hosts(&self, key: &str) -> Checked<Vec<String>> {
        let Some(array) = self.array(key, &format!("{key} = [\"www.example.com\"]"))? else {
            return Ok(Vec::new());
        };
        if array.len() > limit::LANDING_HOSTS_MAX {
            let problem = format!("`{key}` has more than {} hosts", limit::LANDING_HOSTS_MAX);
            return wrong(self.at_key(key), problem);
        }
        let hosts = array.iter().map(|value| match value.get_ref() {
            DeValue::String(host) => read_host(host, value.span().start),
            other => is_not(value.span(), key, other, "a list of texts in quotes"),
        });
        hosts.collect()
    }
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
    Wrong { at: span.start, problem }
}

fn wrong<T>(at: usize, problem: impl Into<String>) -> Checked<T> {
    Err(Wrong { at, problem: problem.into() })
}

fn is_not<T>(span: Range<usize>, key: &str, value: &DeValue<'_>, expected: &str) -> Checked<T> {
    wrong(span.start, format!("`{key}` is {}, expected {expected}", value.type_str()))
}

/// The known name that a person most likely meant: at most a third of its letters mistyped.
pub(crate) fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let distance = |known: &str| strsim::damerau_levenshtein(&known.to_lowercase(), &name.to_lowercase());
    let (near, distance) =
        known.map(|known| (known, distance(known))).min_by_key(|(_, distance)| *distance)?;
    (distance * 3 <= name.chars().count().max(3)).then_some(near)
}
