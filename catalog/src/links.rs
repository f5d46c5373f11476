//! The tracking URLs of a placement, with the medium's macros in place: what is handed out to media.
//!
//! The dialect says where a value goes, the profile of the placement's medium which macro is replaced by what, and the two meet form by form:
//! a parameter gets the macro whose form it takes. Nothing is handed out that was not read back first: a URL that its own dialect
//! would route elsewhere or understand in another way is not made ([`LinksError::CannotCarry`]).
//!
//! This is a pure function of its arguments; signing takes its end as an argument too.

use event::dialect::{Dialects, LinkFor, ParameterOf, Scratch, Table};
use event::hit::Field;
use event::identifier::IdField;
use event::link::LinkKeys;
use event::profile::{Profile, Profiles};
use event::record::SourceKind;
use event::stage::Stage;

mod recommended;
mod wanted;

pub use self::wanted::{Purpose, Purposes, UnknownPurpose, Wanted};
use crate::parse::nearest;
use crate::{Campaign, Placement, landing};

/// Longest URL of the strictest medium known: Huawei takes 3,800 characters (DOMAIN §2.4).
pub const URL_CHARS_MAX: usize = 3_800;
/// The profile of placements that name none: the macros that most media of China fill alike.
const PROFILE: &str = "standard";
/// The dialect of video players, and the profile that says how they fill its macros.
const PLAYERS: &str = "vast";
/// Where the tracker serves a placement's VAST wrapper.
const WRAPPER: &str = "/vast";
/// Dialects in the order in which they are offered; others follow in that of their set.
const ORDER: [&str; 4] = ["native", "miaozhen", "admaster", "vast"];
/// Stages that get a URL of their own besides impression and click, in a dialect that names the stage in its path.
const STAGES: [Stage; 10] = [
    Stage::Tracked,
    Stage::Start,
    Stage::FirstQuartile,
    Stage::Midpoint,
    Stage::ThirdQuartile,
    Stage::Complete,
    Stage::Viewable,
    Stage::NotViewable,
    Stage::NotMeasurable,
    Stage::Conversion,
];

/// How links are made.
pub struct LinkMaker<'a> {
    /// Public address of the tracker: scheme and host, without a slash at the end.
    pub base: &'a str,
    /// The dialects.
    pub dialects: &'a Dialects,
    /// The profiles of media.
    pub profiles: &'a Profiles,
    /// Which URLs of each dialect.
    pub purposes: &'a Purposes,
    /// Keys of signed links.
    pub keys: &'a LinkKeys,
    /// Whether to sign links of placements that do not ask for it.
    pub sign: bool,
    /// End of signed links, Unix seconds; `None` for none.
    pub expires: Option<i64>,
}

/// One URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Name of the dialect.
    pub dialect: String,
    /// What it is for.
    pub purpose: Purpose,
    /// The URL.
    pub url: String,
    /// Whether it is the one to hand out where the medium asks for none in particular.
    pub is_recommended: bool,
}

/// The URLs of one placement in one dialect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialectLinks {
    /// Name of the dialect.
    pub dialect: String,
    /// Name of the profile whose macros stand in them.
    pub profile: Option<String>,
    /// The URLs: impression, click, the VAST wrapper, then other stages.
    pub links: Vec<Link>,
    /// What whoever hands them out should know.
    pub warnings: Vec<String>,
}

/// Why there are no links.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinksError {
    /// No such dialect.
    #[error("there is no dialect {name:?}{meant}; there are {known}")]
    UnknownDialect {
        /// As asked for.
        name: String,
        /// The one that is probably meant, in words; or nothing.
        meant: String,
        /// The names of all.
        known: String,
    },
    /// The dialect cannot say these ids.
    #[error(
        "the dialect {dialect} cannot carry the campaign {campaign} and the placement {placement}: its grammar takes other ids (AdMaster's and Adbug's are numbers)"
    )]
    CannotCarry {
        /// Name of the dialect.
        dialect: String,
        /// Campaign id.
        campaign: String,
        /// Placement id.
        placement: String,
    },
    /// The placement takes signed links only, and there is no key.
    #[error(
        "the placement {placement} takes signed links only and there is no link key here: name one in [links] key_files"
    )]
    NoKey {
        /// Placement id.
        placement: String,
    },
    /// The dialect has no place for a signature.
    #[error(
        "the dialect {dialect} has no parameters for a signature, which the placement {placement} asks for"
    )]
    CannotSign {
        /// Name of the dialect.
        dialect: String,
        /// Placement id.
        placement: String,
    },
}

/// The public address of a tracker as links begin with it: scheme, host and port, without a slash at the end. `None` for anything more or less:
/// links are paths of the host itself.
pub fn base_of(text: &str) -> Option<&str> {
    let (base, _) = landing::host_of(text.trim_end_matches('/').as_bytes())?;
    let (_, authority) = base.split_once("://")?;
    let is_bare = !authority.contains(|c: char| matches!(c, '/' | '?' | '#') || c.is_whitespace());
    is_bare.then_some(base)
}

/// Whether there is a dialect of this name.
///
/// # Errors
/// [`LinksError::UnknownDialect`].
pub fn known_dialect(dialects: &Dialects, name: &str) -> Result<(), LinksError> {
    let known: Vec<&str> = dialects.tables().iter().map(Table::name).collect();
    if known.contains(&name) {
        return Ok(());
    }
    let meant = nearest(name, known.iter().copied())
        .map_or_else(String::new, |meant| format!(", did you mean {meant}?"));
    Err(LinksError::UnknownDialect { name: name.to_owned(), meant, known: known.join(" ") })
}

impl LinkMaker<'_> {
    /// The URLs of a placement. A dialect that cannot carry it, or has no URL for what is wanted, is left out; one that was asked for by name
    /// then has a warning and no URL.
    ///
    /// # Errors
    /// See [`LinksError`].
    pub fn links(
        &self,
        campaign: &Campaign,
        placement: &Placement,
        wanted: &Wanted,
    ) -> Result<Vec<DialectLinks>, LinksError> {
        let is_signed = self.sign || placement.signed_links;
        if is_signed && self.keys.is_empty() {
            return Err(LinksError::NoKey { placement: placement.id.clone() });
        }
        let tables = self.tables(placement, wanted)?;
        let is_named = matches!(wanted, Wanted::Named(_));
        let mut made = Vec::new();
        for table in tables {
            match self.of_dialect(campaign, placement, table, is_signed) {
                Ok(links) if links.links.is_empty() && !is_named => {}
                Ok(links) => made.push(links),
                // The other placements shall have theirs.
                Err(error @ LinksError::CannotCarry { .. }) if is_named => made.push(DialectLinks {
                    dialect: table.name().to_owned(),
                    profile: None,
                    links: Vec::new(),
                    warnings: vec![error.to_string()],
                }),
                Err(error) if is_named => return Err(error),
                Err(_) => {}
            }
        }
        recommended::mark(placement, &mut made);
        Ok(made)
    }

    /// The profile to propose for a placement that names none: the one that goes by its medium's name.
    pub fn proposed_profile(&self, placement: &Placement) -> Option<&str> {
        let proposed = self.profiles.proposed(&placement.medium);
        proposed.filter(|_| placement.profile.is_none()).map(|profile| profile.name())
    }

    fn tables(&self, placement: &Placement, wanted: &Wanted) -> Result<Vec<&Table>, LinksError> {
        let place =
            |table: &&Table| ORDER.iter().position(|name| *name == table.name()).unwrap_or(ORDER.len());
        let mut tables: Vec<&Table> = self.dialects.tables().iter().collect();
        tables.sort_by_key(place);
        match wanted {
            Wanted::All => {}
            Wanted::Usual if placement.dialect.is_some() => {
                let name = placement.dialect.as_deref().unwrap_or_default();
                let plays = placement.vast_tag.is_some();
                self.known(name)?;
                tables.retain(|table| table.name() == name || (plays && table.name() == PLAYERS));
            }
            Wanted::Usual => {
                let plays = placement.vast_tag.is_some() || placement.source == SourceKind::Stitching;
                tables.retain(|table| match table.name() {
                    "native" | "miaozhen" => true,
                    "vast" => plays,
                    _ => false,
                });
            }
            Wanted::Named(name) => {
                self.known(name)?;
                tables.retain(|table| table.name() == name);
            }
        }
        Ok(tables)
    }

    /// Refuses a dialect that there is not.
    fn known(&self, name: &str) -> Result<(), LinksError> {
        known_dialect(self.dialects, name)
    }

    fn of_dialect(
        &self,
        campaign: &Campaign,
        placement: &Placement,
        table: &Table,
        is_signed: bool,
    ) -> Result<DialectLinks, LinksError> {
        let cannot_carry = || LinksError::CannotCarry {
            dialect: table.name().to_owned(),
            campaign: campaign.id.clone(),
            placement: placement.id.clone(),
        };
        let has = |field| table.parameters().any(|parameter| parameter.field == Some(field));
        if is_signed && !(has(Field::LinkSignature) && (self.expires.is_none() || has(Field::LinkExpires))) {
            return Err(LinksError::CannotSign {
                dialect: table.name().to_owned(),
                placement: placement.id.clone(),
            });
        }
        let signature = if is_signed {
            Some(self.keys.sign(&campaign.id, &placement.id, self.expires).map_err(|_| cannot_carry())?)
        } else {
            None
        };
        let maker = One {
            maker: self,
            campaign,
            placement,
            table,
            profile: self.profile(placement, table),
            signature,
            expires: self.expires.filter(|_| is_signed).map(|seconds| seconds.to_string()),
        };
        let impression = maker.link(Stage::Impression).ok_or_else(cannot_carry)?;
        let mut links = vec![impression];
        links.extend(maker.link(Stage::Click));
        links.extend(maker.vast_tag());
        // Where marks say the stage, it is the SDK that sets them: it is given the impression's URL alone.
        let by_path = table.names_stages_in_path();
        links.extend(STAGES.into_iter().filter(|_| by_path).filter_map(|stage| maker.link(stage)));
        let has_click = links.iter().any(|link| link.purpose == Purpose::Stage(Stage::Click));
        links.retain(|link| self.purposes.has(link.purpose));
        let warnings = maker.warnings(&links, has_click);
        let profile = maker.profile.map(|profile| profile.name().to_owned());
        Ok(DialectLinks { dialect: table.name().to_owned(), profile, links, warnings })
    }

    /// The medium's profile; without one, the standard macros. VAST macros are the player's to fill, whatever the medium.
    fn profile<'p>(&'p self, placement: &'p Placement, table: &Table) -> Option<&'p Profile> {
        let named = |name: &str| self.profiles.get(name).map(AsRef::as_ref);
        let player = if table.name() == PLAYERS { named(PLAYERS) } else { None };
        player.or(placement.profile.as_deref()).or_else(|| named(PROFILE))
    }
}

/// The making of one placement's links in one dialect.
struct One<'a> {
    maker: &'a LinkMaker<'a>,
    campaign: &'a Campaign,
    placement: &'a Placement,
    table: &'a Table,
    profile: Option<&'a Profile>,
    signature: Option<String>,
    expires: Option<String>,
}

impl One<'_> {
    fn link(&self, stage: Stage) -> Option<Link> {
        let landing = (stage == Stage::Click).then(|| self.landing()).flatten();
        let wanted = LinkFor {
            stage,
            campaign: &self.campaign.id,
            placement: &self.placement.id,
            landing_url: landing.as_deref(),
        };
        let target = self.table.link_with(wanted, |parameter, field| self.value(parameter, field))?;
        let link = Link {
            dialect: self.table.name().to_owned(),
            purpose: Purpose::Stage(stage),
            url: format!("{}{target}", self.maker.base),
            is_recommended: false,
        };
        self.is_read_back(&target, stage, landing.as_deref()).then_some(link)
    }

    /// What stands in the URL for a parameter.
    fn value(&self, parameter: ParameterOf<'_>, field: Field) -> Option<String> {
        match field {
            Field::LinkExpires => self.expires.clone(),
            Field::LinkSignature => self.signature.clone(),
            Field::Id(id) if self.is_told_by_digest(id) => None,
            // A list of signals has no field of its own: the medium fills the macro of its name, or none.
            _ if parameter.list_of.is_some() => {
                let (profile, name) = self.profile.zip(parameter.template_macro)?;
                profile.get(name).map(|_| profile.written(name))
            }
            _ => self.macro_of(parameter, field),
        }
    }

    /// The medium's macro for a parameter, as it writes it.
    fn macro_of(&self, parameter: ParameterOf<'_>, field: Field) -> Option<String> {
        let is_wanted = match field {
            // Only registered servers are believed about the viewer; in an app's URL it would be sent for nothing.
            Field::Ip | Field::UserAgent => self.placement.source != SourceKind::Client,
            // Ours to say, or the SDK's.
            Field::Campaign
            | Field::Placement
            | Field::Stage
            | Field::GroupId
            | Field::DeviceRisk
            | Field::LandingUrl
            | Field::LinkExpires
            | Field::LinkSignature => false,
            Field::Creative
            | Field::Time
            | Field::RequestId
            | Field::Os
            | Field::Gdpr
            | Field::GdprConsent
            | Field::Gpp
            | Field::GppSid
            | Field::LimitAdTracking
            | Field::ChildDirected
            | Field::CaidVersion
            | Field::IfaType
            | Field::Id(_) => true,
        };
        let profile = self.profile.filter(|_| is_wanted)?;
        let (name, meaning) = profile.macro_for(parameter.template_macro, field)?;
        // A medium's MAC2 may be another form of the one address, and is then no television's second one.
        let is_further = matches!(field, Field::Id(IdField::Mac2 | IdField::Mac3 | IdField::Mac4));
        (!is_further || meaning.held.field == Some(field)).then(|| profile.written(name))
    }

    /// Whether this is a raw identifier of the hardware whose MD5 the medium gives too: the digest says as much here, and less to whoever
    /// looks on.
    fn is_told_by_digest(&self, id: IdField) -> bool {
        let digest = match id {
            IdField::Imei => IdField::ImeiMd5,
            IdField::AndroidId => IdField::AndroidIdMd5,
            IdField::Mac => IdField::MacMd5,
            _ => return false,
        };
        let field = Field::Id(digest);
        let holds = |parameter: ParameterOf<'_>| {
            let found = self.profile.and_then(|profile| profile.macro_for(parameter.template_macro, field));
            found.is_some_and(|(_, meaning)| meaning.held.field == Some(field))
        };
        self.table.parameters().any(|parameter| parameter.field == Some(field) && holds(parameter))
    }

    /// Where a click shall go, if the placement has no page of its own: media replace it.
    fn landing(&self) -> Option<String> {
        if self.placement.landing_page.is_some() {
            return None;
        }
        let hosts = || self.placement.landing_hosts.iter().chain(&self.campaign.landing_hosts);
        match (hosts().find(|host| !host.starts_with('.')), hosts().next()) {
            (Some(host), _) => Some(format!("https://{host}/")),
            // ".example.org" stands for all below it and not for itself.
            (None, Some(suffix)) => Some(format!("https://www{suffix}/")),
            (None, None) => None,
        }
    }

    /// Whether the dialect understands the URL as it was meant: nothing is handed out that would be counted elsewhere.
    fn is_read_back(&self, target: &str, stage: Stage, landing: Option<&str>) -> bool {
        let (path, query) =
            target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let Some(entry) = self.maker.dialects.route(path, query) else { return false };
        let mut scratch = Scratch::new();
        let reading = entry.read(&mut scratch);
        let hit = &reading.hit;
        entry.table.name() == self.table.name()
            && entry.is_click == (stage == Stage::Click)
            && reading.defect.is_none()
            && hit.stage == Some(stage)
            && hit.campaign == Some(self.campaign.id.as_bytes())
            && hit.placement == Some(self.placement.id.as_bytes())
            && hit.landing_url == landing.map(str::as_bytes)
            && hit.link_signature == self.signature.as_deref().map(str::as_bytes)
            && hit.link_expires == self.expires.as_deref().map(str::as_bytes)
            && hit.ids.iter().all(Option::is_none)
    }

    /// The placement's VAST wrapper: it asks the player for the other URLs of this dialect.
    fn vast_tag(&self) -> Option<Link> {
        if self.table.name() != PLAYERS || self.placement.vast_tag.is_none() {
            return None;
        }
        // Both ids are of A-Za-z0-9._- (catalog); the names are those of the native grammar.
        let mut url = format!("{}{WRAPPER}?c={}&p={}", self.maker.base, self.campaign.id, self.placement.id);
        for (name, value) in [("exp", &self.expires), ("sig", &self.signature)] {
            if let Some(value) = value {
                url.extend(["&", name, "=", value]);
            }
        }
        let dialect = self.table.name().to_owned();
        Some(Link { dialect, purpose: Purpose::VastTag, url, is_recommended: false })
    }

    fn warnings(&self, links: &[Link], has_click: bool) -> Vec<String> {
        let mut warnings = Vec::new();
        if links.is_empty() {
            let why = if self.table.names_stages_in_path() {
                "vast-tag takes the dialect vast, and a placement with a vast_tag"
            } else {
                "here the SDK says them by marks in the impression's"
            };
            warnings.push(format!(
                "the dialect {} has no URL of its own for these stages: {why}",
                self.table.name()
            ));
            return warnings;
        }
        if let Some(longest) = links.iter().map(|link| link.url.chars().count()).max()
            && longest > URL_CHARS_MAX
        {
            warnings.push(format!(
                "the longest of these URLs has {longest} characters; Huawei takes {URL_CHARS_MAX}: leave out identifiers that the medium does not fill"
            ));
        }
        if links.len() > 1 && links.iter().any(|link| link.purpose == Purpose::VastTag) {
            warnings.push(
                "vast-tag asks the player for the impression, clicks and the rest itself: hand out that or the single URLs, not both"
                    .to_owned(),
            );
        }
        if !has_click && self.maker.purposes.has(Purpose::Stage(Stage::Click)) {
            warnings
                .push("this dialect has no click URL for the placement: take another dialect's".to_owned());
        }
        let is_known = self.landing().is_none_or(|url| landing::host_of(url.as_bytes()).is_some());
        if self.placement.landing_page.is_none() && (self.landing().is_none() || !is_known) {
            warnings.push(
                "no landing page and no landing host is registered: a click on this placement leads nowhere"
                    .to_owned(),
            );
        }
        let has_id = self.table.parameters().any(|parameter| {
            parameter.field.is_some_and(|field| {
                matches!(field, Field::Id(_)) && self.macro_of(parameter, field).is_some()
            })
        });
        if !has_id {
            let helping = self.profiles_with_an_id();
            let helping = if helping.is_empty() {
                "and neither does any other profile".to_owned()
            } else {
                format!("and these profiles do: {}", helping.join(" "))
            };
            warnings.push(format!("no identifier: this medium fills none of the dialect's, {helping}"));
        }
        let has_view = self.table.parameters().any(|parameter| {
            parameter.field == Some(Field::RequestId) && self.macro_of(parameter, Field::RequestId).is_some()
        });
        // Where marks say the stage, an SDK fires the URL and sets the view's id too.
        if !has_view && self.table.mark_names().next().is_none() {
            warnings.push(
                "no request id: this medium has no macro for one that the dialect takes, so a hit that is sent again counts twice"
                    .to_owned(),
            );
        }
        warnings
    }

    /// The profiles by which a medium would fill an identifier of the dialect.
    fn profiles_with_an_id(&self) -> Vec<&str> {
        let fills = |profile: &Profile| {
            self.table.parameters().any(|parameter| {
                let id = parameter.field.filter(|field| matches!(field, Field::Id(_)));
                id.is_some_and(|id| profile.macro_for(parameter.template_macro, id).is_some())
            })
        };
        self.maker.profiles.iter().filter(|profile| fills(profile)).map(|profile| profile.name()).collect()
    }
}

#[cfg(test)]
mod tests;
