//! The catalog: which campaigns and placements exist, in whose time zone a campaign's days are counted, and where its clicks may land.
//!
//! It is a file (`catalog.toml`) read whole, checked whole, and swapped whole: a wrong one is refused with line and reason, and the
//! one before it stays in force. Resolving a hit is a look-up without allocation. This crate does no I/O.
//!
//! ```toml
//! [[campaign]]
//! id = "demo"                       # 1 to 64 of A-Za-z0-9._-
//! name = "Demo campaign"
//! time_zone = "Asia/Shanghai"       # its days are counted in it
//! starts = 2026-11-01               # optional: first day of the flight
//! ends = 2026-12-31                 # optional: last day of the flight
//! double_click_seconds = 0          # optional: 0 = off, at most 86,400
//! landing_hosts = ["www.example.com", ".example.org"]   # a leading dot: every host below it
//! advertiser = "acme"               # optional: whose it is; an id like the others. Without it the operator's alone
//! currency = "CNY"                  # of every `cost`; needed where there is one
//! cost = 120000.00                  # optional: of the whole campaign
//! [campaign.alerts]                 # optional: when somebody is to be told
//! id_coverage_min = 0.9             # share of impressions with a usable id; nothing is held against it without this
//! gap_max = 0.05                    # share by which a medium's number may differ from ours; 0.1 without this
//! over_delivery_max = 0.1           # share above the plan; so without this
//! silent_hours = 6                  # hours without a hit; 12 without this
//! [[campaign.universe]]             # optional, once for each region and audience: what reach is a share of
//! region = "all"                    # optional: a code as reports name it, such as CN-31
//! audience = "all"                  # optional
//! persons = 1_400_000_000
//! unit = "persons"                  # optional: persons (default), devices
//! source = "Census 2020"
//! date = 2020-11-01
//! [[campaign.creative]]             # optional: names for the ids that beacons send
//! id = "cr1"
//! name = "Spring, 15 s"
//! [[campaign.placement]]
//! id = "p1"
//! name = "Homepage banner"
//! medium = "Example Video"
//! source = "c2s"                    # optional: c2s (default), s2s, ssai
//! landing_hosts = []                # optional: besides the campaign's
//! landing_page = "https://www.example.com/"             # optional: where a click goes that asks for nothing registered
//! profile = "kuaishou"              # optional: how the medium fills its macros; without it they mean what the dialect says
//! state = "live"                    # optional: live (default), or trial: hits are shown to the operator and not counted
//! signed_links = false              # optional: whether only links that we signed are measured
//! vast_tag = "https://ads.example.com/vast?id=7"        # optional: the ad's own VAST tag, to which our wrapper points
//! dialect = "admaster"              # optional: the grammar of the URLs that are handed out; hits may come in any
//! plan = [{ from = 2026-11-01, to = 2026-11-10, impressions = 100000 }]   # optional: impressions of each day; no day twice
//! cost = 12000.00                   # optional: of this placement
//! ```

pub mod edit;
mod landing;
pub mod links;
mod mistake;
mod parse;
mod planning;

use std::sync::Arc;

use chrono::{DateTime, Offset, TimeZone};
use event::clock::UnixMs;
use event::profile::{Profile, Profiles, Remap};
use event::record::SourceKind;

pub use landing::{Landing, host_of};
pub use mistake::Mistake;
pub use parse::{Error, limit, version_of};
pub use planning::{ALL, Alerts, Creative, Money, MoneyError, Planned, Universe, UniverseUnit};

/// The handle through which everybody reads the catalog in force; `sightline` swaps it.
pub type Shared = Arc<arc_swap::ArcSwap<Catalog>>;

/// A checked catalog. Immutable; shared behind an `Arc` and swapped.
#[derive(Debug, Default)]
pub struct Catalog {
    /// First 32 bits of the SHA-256 of the file's text: stamped on each event.
    pub version: u32,
    /// By campaign id.
    pub campaigns: ahash::HashMap<String, Arc<Campaign>>,
    /// Every landing host of every campaign and placement.
    hosts: landing::Hosts,
}

/// One campaign.
#[derive(Debug)]
pub struct Campaign {
    /// Id as it stands in tracking URLs (at most 64 bytes of `A-Za-z0-9._-`).
    pub id: String,
    /// Name for people.
    pub name: String,
    /// Whose it is: the tenant that may see it. `None`: nobody's but the operator's.
    pub advertiser: Option<String>,
    /// Time zone in which its days are counted.
    pub time_zone: chrono_tz::Tz,
    /// First day of its flight, if it has one.
    pub starts: Option<chrono::NaiveDate>,
    /// Last day of its flight, if it has one.
    pub ends: Option<chrono::NaiveDate>,
    /// Clicks of one device on one placement within this many seconds after another are duplicates. 0 = off.
    pub double_click_seconds: u32,
    /// Hosts that clicks of this campaign may land on: lower case, exact, or `.example.com` for all below it.
    pub landing_hosts: Vec<String>,
    /// What it costs, if that is said.
    pub cost: Option<Money>,
    /// Currency of its costs (ISO 4217); there wherever a cost is.
    pub currency: Option<String>,
    /// What its reach is a share of; one for each region and audience, in the file's order.
    pub universe: Vec<Universe>,
    /// Its creatives that have a name, in the file's order.
    pub creatives: Vec<Creative>,
    /// When somebody is to be told.
    pub alerts: Alerts,
    /// By placement id.
    pub placements: ahash::HashMap<String, Arc<Placement>>,
    /// First moment of `starts` on the campaign's clock.
    start_ms: Option<UnixMs>,
}

/// One placement of a campaign.
#[derive(Debug)]
pub struct Placement {
    /// Id as it stands in tracking URLs.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// Medium that sells it.
    pub medium: String,
    /// How its beacons reach us.
    pub source: SourceKind,
    /// Hosts that its clicks may land on besides the campaign's.
    pub landing_hosts: Vec<String>,
    /// Where a click goes that asks for nothing or for an unregistered host.
    pub landing_page: Option<String>,
    /// How its medium fills macros; `None` when the dialects' own words hold.
    pub profile: Option<Arc<Profile>>,
    /// Whether its hits count.
    pub state: PlacementState,
    /// Whether a hit must come by a link that we signed.
    pub signed_links: bool,
    /// The ad's own VAST tag, to which the wrapper points: an absolute http or https URL, macros in its query included.
    pub vast_tag: Option<String>,
    /// Name of the dialect of the links that are handed out where none is asked for; its hits may come in any.
    pub dialect: Option<String>,
    /// Impressions planned, by day: ranges in order, no day twice.
    pub plan: Vec<Planned>,
    /// What it costs, if that is said, in the campaign's currency.
    pub cost: Option<Money>,
}

/// Whether a placement's hits count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PlacementState {
    /// They do.
    #[default]
    Live,
    /// Before the launch: they are kept to be looked at and are in no figure.
    Trial,
}

impl PlacementState {
    /// The name in the catalog.
    pub fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Trial => "trial",
        }
    }

    /// The state of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Live, Self::Trial].into_iter().find(|state| state.name() == name)
    }
}

/// What the catalog knows of a campaign and placement.
#[derive(Clone, Copy, Debug)]
pub enum Found<'a> {
    /// Both.
    Known(&'a Arc<Campaign>, &'a Arc<Placement>),
    /// The campaign, but it has no such placement.
    UnknownPlacement(&'a Arc<Campaign>),
    /// No such campaign.
    UnknownCampaign,
}

/// The campaign-local day and hour of a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalTime {
    /// Days since 1970-01-01 in the campaign's time zone.
    pub day: u16,
    /// Hour 0–23 on the campaign's clock.
    pub hour: u8,
}

impl Catalog {
    /// Reads and checks a catalog's text. `file_name` is only printed. Placements take their profiles from the program's own.
    ///
    /// # Errors
    /// The first thing that is wrong, as `catalog.toml:12: what, and what is allowed`.
    pub fn parse(text: &str, file_name: &str) -> Result<Self, Error> {
        Self::parse_with(text, file_name, Profiles::built_in())
    }

    /// The same with other profiles. They have to be compiled against the dialects whose numbers [`Placement::remap`] is asked with.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_with(text: &str, file_name: &str, profiles: &Profiles) -> Result<Self, Error> {
        parse::parse(text, file_name, profiles)
    }

    /// Looks up a hit. Ids are compared byte for byte.
    pub fn find(&self, campaign: &[u8], placement: &[u8]) -> Found<'_> {
        fn get<'m, T>(map: &'m ahash::HashMap<String, Arc<T>>, id: &[u8]) -> Option<&'m Arc<T>> {
            map.get(std::str::from_utf8(id).ok()?)
        }
        match get(&self.campaigns, campaign) {
            None => Found::UnknownCampaign,
            Some(campaign) => match get(&campaign.placements, placement) {
                None => Found::UnknownPlacement(campaign),
                Some(placement) => Found::Known(campaign, placement),
            },
        }
    }

    /// Decides where a click goes (DESIGN §10): to the asked URL only if its host is registered for the campaign or placement, or for any
    /// campaign where the hit's own campaign or placement is unknown; else to the placement's landing page.
    pub fn landing<'a>(&'a self, found: Found<'a>, url: Option<&'a [u8]>) -> Landing<'a> {
        let asked = url.map(host_of);
        let to = match (found, asked) {
            (_, None | Some(None)) => None,
            (Found::Known(campaign, placement), Some(Some((url, host)))) => {
                let registered = campaign.landing_hosts.iter().chain(&placement.landing_hosts);
                landing::is_among(host, registered).then_some(url)
            }
            (Found::UnknownPlacement(_) | Found::UnknownCampaign, Some(Some((url, host)))) => {
                self.is_registered_anywhere(host).then_some(url)
            }
        };
        let page = match found {
            Found::Known(_, placement) => placement.landing_page.as_deref(),
            Found::UnknownPlacement(_) | Found::UnknownCampaign => None,
        };
        match (to, page) {
            (Some(url), _) => Landing::To(url),
            (None, Some(page)) => Landing::Page { url: page, refused: asked.is_some() },
            (None, None) if asked.is_some() => Landing::Refused,
            (None, None) => Landing::Nothing,
        }
    }

    /// Whether some campaign or placement registered this host (of any letter case, without port).
    pub fn is_registered_anywhere(&self, host: &str) -> bool {
        self.hosts.contains(host)
    }

    /// Campaigns whose days are counted on another clock than in an earlier catalog, by id. Hits keep the day and hour that they were given, so what came
    /// before is not counted anew.
    pub fn other_clocks(&self, before: &Self) -> Vec<&str> {
        let is_other = |campaign: &&Arc<Campaign>| {
            before.campaigns.get(&campaign.id).is_some_and(|before| before.time_zone != campaign.time_zone)
        };
        let mut ids: Vec<&str> =
            self.campaigns.values().filter(is_other).map(|campaign| campaign.id.as_str()).collect();
        ids.sort_unstable();
        ids
    }

    /// The handle of this catalog.
    pub fn into_shared(self) -> Shared {
        Arc::new(arc_swap::ArcSwap::from_pointee(self))
    }
}

impl Placement {
    /// Impressions planned on a campaign-local day; `None` where the plan does not have the day.
    pub fn planned_on(&self, day: chrono::NaiveDate) -> Option<u64> {
        planning::planned_on(&self.plan, day)
    }

    /// Impressions planned from a campaign-local day to another, both included.
    pub fn planned_between(&self, from: chrono::NaiveDate, to: chrono::NaiveDate) -> u64 {
        planning::planned_between(&self.plan, from, to)
    }

    /// How the identifiers of its hits are to be read in the dialect of this number. Two look-ups by index, nothing is allocated. It is
    /// meant for hits by link: the items of a batch are written by a program, not by filling macros, and mean what they say.
    #[inline]
    pub fn remap(&self, dialect_number: usize) -> &Remap {
        self.profile.as_ref().map_or(Remap::none(), |profile| profile.remap_of_number(dialect_number))
    }
}

impl Campaign {
    /// The universe of a region and an audience ([`ALL`] for every one of them).
    pub fn universe_of(&self, region: &str, audience: &str) -> Option<&Universe> {
        self.universe.iter().find(|universe| universe.region == region && universe.audience == audience)
    }

    /// The name of a creative, if it has one.
    pub fn creative_name(&self, id: &str) -> Option<&str> {
        self.creatives.iter().find(|creative| creative.id == id).map(|creative| creative.name.as_str())
    }

    /// Day and hour of `at` on this campaign's clock, changes of clocks included. Days before 1970 read as 0 and those after
    /// 2149-06-06 as the last one. Costs about 30 ns (the time zone's own table, without a lock), so nothing is cached.
    pub fn local_time(&self, at: UnixMs) -> LocalTime {
        let seconds = at.div_euclid(1000);
        let offset_seconds = DateTime::from_timestamp(seconds, 0).map_or(0, |moment| {
            self.time_zone.offset_from_utc_datetime(&moment.naive_utc()).fix().local_minus_utc()
        });
        let local = seconds.saturating_add(i64::from(offset_seconds));
        let day = local.div_euclid(86_400);
        LocalTime {
            day: u16::try_from(day.max(0)).unwrap_or(u16::MAX),
            hour: (local.rem_euclid(86_400) / 3_600) as u8,
        }
    }

    /// First moment of the flight on the campaign's clock, Unix milliseconds; `None` when it has no first day.
    pub fn campaign_start_ms(&self) -> Option<UnixMs> {
        self.start_ms
    }

    /// First moment of a campaign-local day (days since 1970-01-01), Unix milliseconds. Where the clocks skip midnight it is the first
    /// moment after it. `None` only for days that no calendar reaches.
    pub fn day_start_ms(&self, day: u16) -> Option<UnixMs> {
        let date = chrono::NaiveDate::from_epoch_days(i32::from(day))?;
        day_start_ms(self.time_zone, date)
    }
}

/// First moment of a day in a time zone.
fn day_start_ms(time_zone: chrono_tz::Tz, date: chrono::NaiveDate) -> Option<UnixMs> {
    // The widest gap on record is the whole day that Samoa left out when it crossed the date line; the next moment is the next day's.
    const GAP_MINUTES_MAX: i64 = 26 * 60;
    let midnight = date.and_hms_opt(0, 0, 0)?;
    (0..=GAP_MINUTES_MAX)
        .filter_map(|minutes| midnight.checked_add_signed(chrono::TimeDelta::minutes(minutes)))
        .find_map(|local| time_zone.from_local_datetime(&local).earliest())
        .map(|moment| moment.timestamp_millis())
}
