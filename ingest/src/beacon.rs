//! The decision about one beacon: stored as which event, opted out, or rejected for which reason.
//!
//! It is one pure function of values, time included; the only thing it changes is the buffer that takes the event's bytes. It owns the order
//! of the questions. It must never store an identifier in any form but the keyed hash, and never let an opted-out device's caller see a
//! difference: whether a device opted out is the last question, asked only of beacons that would be stored otherwise.
//!
//! A node that cannot know every opt-out stops before that question, for all beacons alike: before any identifier is hashed, and whether the
//! browser carries the opt-out cookie or not, since an answer that depended on it would tell.
//!
//! # Choices where no standard decides
//!
//! * `ip` and `ua` come from registered servers. In a batch, using them without that right is [`Outcome::NotPermitted`]: whoever writes
//!   JSON can mend it. In a pixel's URL they are ignored: media put them into templates for their own vendors, and the viewer is at the
//!   other end of the connection anyway.
//! * A sender that presents a server key is not the viewer: its connection and its agent never stand in for the viewer's, neither do those
//!   of whoever fires a placement that is declared server-to-server or stitched.
//! * A request whose signature is not its sender's, or that had to be signed, is rejected as [`Outcome::BadSignature`]: it is not the viewer's hit
//!   either.
//! * What consent strings say is [`event::consent`]'s to read, with its own choices.

use std::net::IpAddr;
use std::num::NonZeroU16;

use catalog::{Campaign, Catalog, Found, Placement, PlacementState, host_of};
use event::address;
use event::agent;
use event::clock::UnixMs;
use event::consent;
use event::dialect::{Entry, Reading};
use event::givt::{self, Automated};
use event::hit::{Hit, is_yes, risk};
use event::identifier::{self, Identity};
use event::key::KeyRing;
use event::link::{LinkKeys, Signed};
use event::outcome::Outcome;
use event::profile::Remap;
use event::record::{Device, Event, Platform, SITE_BYTES_MAX, SourceKind, encode_event, flag};
use event::time::{self, Judged};
use smallvec::SmallVec;

use crate::caller::{Caller, Signals};
use crate::region::{Region, Regions};
use crate::senders::Sender;

/// What the beacon itself says.
pub(crate) struct Said<'a> {
    pub(crate) hit: Hit<'a>,
    /// The first thing that is wrong with its parameters.
    pub(crate) defect: Option<Outcome>,
    /// Name of its dialect.
    pub(crate) dialect: &'a str,
    /// Number of it, by which the placement's profile knows how its medium fills the dialect's parameters.
    pub(crate) dialect_number: usize,
    /// The names that the hit's `parameters_dropped` count by.
    pub(crate) dropped_names: &'a [Box<str>],
    /// A click that asked for a landing host which is not registered.
    pub(crate) is_landing_refused: bool,
    /// An item of a batch.
    pub(crate) is_item: bool,
}

impl<'a> Said<'a> {
    /// A beacon that came to a path of this dialect.
    pub(crate) fn of(entry: &Entry<'a, '_>, reading: Reading<'a>) -> Self {
        Self {
            hit: reading.hit,
            defect: reading.defect,
            dialect: entry.table.name(),
            dialect_number: entry.number,
            dropped_names: entry.table.dropped_names(),
            is_landing_refused: false,
            is_item: false,
        }
    }
}

/// What a beacon is judged by.
pub(crate) struct Rules<'a> {
    pub(crate) catalog: &'a Catalog,
    pub(crate) keys: &'a KeyRing,
    /// What signed links are held against; `None` takes every link as it is.
    pub(crate) link_keys: Option<&'a LinkKeys>,
    /// This thread's view of the list.
    pub(crate) opt_outs: &'a mut opt_out::Reader,
    pub(crate) honour_dnt: bool,
    /// Our id in the TCF's global vendor list.
    pub(crate) tcf_vendor: Option<NonZeroU16>,
    /// This thread's view of the region library; `None` says no region.
    pub(crate) regions: Option<&'a mut Regions>,
    /// Whether the node knows every opt-out now.
    pub(crate) may_measure: bool,
}

/// What is done with a beacon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Its event goes to the journal, and it is this once it is there: accepted or unresolved.
    Store(Outcome),
    /// Nothing of it is stored. Whoever sent it sees what would have become of it otherwise.
    OptOut {
        /// Accepted or unresolved.
        shown: Outcome,
    },
    /// Nothing of it is stored, for this reason.
    Reject(Outcome),
    /// Nothing of it is stored, and it is to be sent again: the node does not know whether the device opted out.
    Unknown,
}

/// What was found out about a beacon on the way to its decision, as far as that went: for the list of a trial placement's hits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Findings {
    /// Its placement is in its trial state.
    pub(crate) is_trial: bool,
    pub(crate) source: SourceKind,
    pub(crate) platform: Platform,
    pub(crate) client_time_ms: Option<UnixMs>,
    pub(crate) flags: u32,
    pub(crate) ids_present: u32,
    pub(crate) ids_usable: u32,
}

/// Decides about one beacon. If it is to be stored, its event stands in `record`.
pub(crate) fn decide(
    said: &Said<'_>,
    caller: &Caller<'_>,
    rules: &mut Rules<'_>,
    now_ms: UnixMs,
    record: &mut Vec<u8>,
) -> (Decision, Findings) {
    let hit = &said.hit;
    let place = Place::find(rules.catalog, hit);
    let mut findings = Findings {
        is_trial: place.is_trial(),
        source: place.source(caller.sender),
        platform: Platform::Unknown,
        client_time_ms: None,
        flags: 0,
        ids_present: hit
            .ids
            .iter()
            .enumerate()
            .fold(0, |bits, (at, id)| bits | u32::from(id.is_some()) << at),
        ids_usable: 0,
    };
    let case = Case { said, caller, place, now_ms };
    let decision = match weigh(&case, rules, record, &mut findings) {
        Ok(decision) => decision,
        Err(outcome) => Decision::Reject(outcome),
    };
    (decision, findings)
}

/// How a hit reached us: as its placement declares it, or by who sent it while the placement is unknown.
pub(crate) fn source(catalog: &Catalog, hit: &Hit<'_>, sender: Sender) -> SourceKind {
    Place::find(catalog, hit).source(sender)
}

/// What a decision is about.
struct Case<'a, 'r> {
    said: &'a Said<'a>,
    caller: &'a Caller<'a>,
    place: Place<'r>,
    now_ms: UnixMs,
}

impl Case<'_, '_> {
    /// Holds the link of a hit against what its placement asks for. A registered server needs none: it says itself who it is.
    fn check_link(&self, keys: Option<&LinkKeys>) -> Result<(), Outcome> {
        match (self.place.placement, keys, self.caller.sender) {
            (Some(placement), Some(keys), Sender::Viewer | Sender::UnknownKey | Sender::Refused(_)) => {
                check_link(placement, &self.said.hit, keys, self.now_ms)
            }
            (None, _, _) | (_, None, _) | (_, _, Sender::Server(_)) => Ok(()),
        }
    }
}

fn weigh(
    case: &Case<'_, '_>,
    rules: &mut Rules<'_>,
    record: &mut Vec<u8>,
    findings: &mut Findings,
) -> Result<Decision, Outcome> {
    let Case { said, caller, place, now_ms } = *case;
    let hit = &said.hit;
    if caller.signals.has(Signals::PREFETCH) {
        return Err(Outcome::Prefetch);
    }
    if let Sender::Refused(_) = caller.sender {
        return Err(Outcome::BadSignature);
    }
    if let Some(defect) = said.defect {
        return Err(defect);
    }
    let stage = hit.stage.ok_or(Outcome::UnknownStage)?;
    let campaign_id = hit.campaign.ok_or(Outcome::MissingCampaign)?;
    let placement_id = hit.placement.ok_or(Outcome::MissingPlacement)?;
    let (campaign, placement) = (text(campaign_id)?, text(placement_id)?);
    let creative = text(hit.creative.unwrap_or_default())?;
    let rights = caller.sender.rights();
    if said.is_item && ((hit.ip.is_some() && !rights.ip) || (hit.user_agent.is_some() && !rights.ua)) {
        return Err(Outcome::NotPermitted);
    }
    case.check_link(rules.link_keys)?;
    let start_ms = place.campaign.and_then(Campaign::campaign_start_ms);
    let time = time::judge_at_offset(hit.time, hit.time_offset_minutes, now_ms, start_ms, rights.backdate)?;
    findings.client_time_ms = time.client_time_ms;
    let viewer = Viewer::of(said, caller, findings.source)?;

    if !rules.may_measure {
        return Ok(Decision::Unknown);
    }
    let platform = agent::platform(hit.os, viewer.agent);
    // An item is written by a program, which means the names as they are; macros stand in links alone.
    let by_link = place.placement.filter(|_| !said.is_item);
    let remap = by_link.map_or(Remap::none(), |placement| placement.remap(said.dialect_number));
    let identity = identifier::identify(hit, platform, rules.keys, remap);
    let flags = flags(said, caller, rules, &identity, &time)
        | if viewer.agent.is_empty() { flag::AGENT_EMPTY } else { 0 }
        | if place.is_known() { 0 } else { flag::UNRESOLVED }
        | if findings.is_trial { flag::TRIAL } else { 0 };
    (findings.platform, findings.flags, findings.ids_usable) = (platform, flags, identity.ids_usable);
    findings.flags |= automated_flag(findings.is_trial, viewer.agent);
    let shown = if place.is_known() { Outcome::Accepted } else { Outcome::Unresolved };
    if caller.signals.has(Signals::OPTED_OUT) || rules.opt_outs.contains_any(&identity.opt_out) {
        return Ok(Decision::OptOut { shown });
    }
    let local = place.known().map(|(campaign, _)| campaign.local_time(time.time_ms));
    record.clear();
    encode_event(
        &Event {
            received_ms: now_ms,
            time_ms: time.time_ms,
            client_time_ms: time.client_time_ms,
            day: local.map(|local| local.day),
            hour: local.map_or(0, |local| local.hour),
            stage,
            source: viewer.source,
            platform,
            flags,
            campaign,
            placement,
            creative,
            region: region(viewer.address, rules.regions.as_deref_mut()).as_str(),
            catalog_version: rules.catalog.version,
            device: device(&identity, flags, now_ms),
            view: view_id(hit).map_or(caller.view, |id| rules.keys.view_hash(id)),
            network: &viewer.address.map(address::cut).unwrap_or_default(),
            agent: agent::cut(viewer.agent),
            site: std::str::from_utf8(&viewer.site).unwrap_or_default(),
        },
        record,
    );
    Ok(Decision::Store(shown))
}

/// What the catalog knows of a beacon's place.
#[derive(Clone, Copy)]
struct Place<'a> {
    campaign: Option<&'a Campaign>,
    placement: Option<&'a Placement>,
}

impl<'a> Place<'a> {
    fn find(catalog: &'a Catalog, hit: &Hit<'_>) -> Self {
        match catalog.find(hit.campaign.unwrap_or_default(), hit.placement.unwrap_or_default()) {
            Found::Known(campaign, placement) => {
                Self { campaign: Some(campaign), placement: Some(placement) }
            }
            Found::UnknownPlacement(campaign) => Self { campaign: Some(campaign), placement: None },
            Found::UnknownCampaign => Self { campaign: None, placement: None },
        }
    }

    fn known(&self) -> Option<(&'a Campaign, &'a Placement)> {
        self.campaign.zip(self.placement)
    }

    fn is_known(&self) -> bool {
        self.known().is_some()
    }

    fn is_trial(&self) -> bool {
        self.placement.is_some_and(|placement| placement.state == PlacementState::Trial)
    }

    /// How the beacon reached us: as the placement declares it, or by who sent it while the placement is unknown.
    fn source(&self, sender: Sender) -> SourceKind {
        match (self.placement, sender) {
            (Some(placement), _) => placement.source,
            (None, Sender::Server(_)) => SourceKind::Server,
            (None, Sender::Viewer | Sender::UnknownKey | Sender::Refused(_)) => SourceKind::Client,
        }
    }
}

/// Whether a placement that takes signed links only may take this hit.
///
/// # Errors
/// [`Outcome::BadSignature`], [`Outcome::LinkExpired`].
pub(crate) fn check_link(
    placement: &Placement,
    hit: &Hit<'_>,
    keys: &LinkKeys,
    now_ms: UnixMs,
) -> Result<(), Outcome> {
    if !placement.signed_links {
        return Ok(());
    }
    let link = Signed {
        campaign: hit.campaign.unwrap_or_default(),
        placement: hit.placement.unwrap_or_default(),
        expires: hit.link_expires,
        signature: hit.link_signature,
    };
    keys.verify(&link, now_ms)
}

/// Whose ad view it was.
struct Viewer<'a> {
    source: SourceKind,
    address: Option<IpAddr>,
    agent: &'a [u8],
    /// Host of the page, lower case, or empty.
    site: SmallVec<[u8; 64]>,
}

impl<'a> Viewer<'a> {
    fn of(said: &Said<'a>, caller: &Caller<'a>, source: SourceKind) -> Result<Self, Outcome> {
        let (hit, is_item) = (&said.hit, said.is_item);
        let rights = caller.sender.rights();
        let is_own_connection = match (source, caller.sender) {
            (SourceKind::Client, Sender::Viewer | Sender::UnknownKey | Sender::Refused(_)) => true,
            (SourceKind::Client, Sender::Server(_)) | (SourceKind::Server | SourceKind::Stitching, _) => {
                false
            }
        };
        let said_ip = hit.ip.or(caller.device_ip).filter(|_| rights.ip);
        let said_agent = hit.user_agent.or(caller.device_agent).filter(|_| rights.ua);
        let address = match said_ip.map(crate::address::parse) {
            // Whoever writes JSON can mend it; media's templates say `unknown`, or a list of proxies, and the ad was shown all the same.
            Some(None) if is_item => return Err(Outcome::Malformed),
            Some(said) => said,
            None if is_own_connection => caller.address,
            None => None,
        };
        let agent = match said_agent {
            Some(said) => said,
            None if is_own_connection => caller.agent,
            None => b"",
        };
        let site = if is_own_connection { site(caller.referer) } else { SmallVec::new() };
        Ok(Self { source, address, agent, site })
    }
}

/// Where the viewer is: by the whole address, which is cut beside this and goes no further.
fn region(address: Option<IpAddr>, regions: Option<&mut Regions>) -> Region {
    address.zip(regions).map_or(Region::NONE, |(address, regions)| regions.find(address))
}

/// The host of a `Referer`, lower case: all that is looked at of it.
fn site(referer: Option<&[u8]>) -> SmallVec<[u8; 64]> {
    let host = referer.and_then(host_of).map(|(_, host)| host).filter(|host| host.len() <= SITE_BYTES_MAX);
    let mut site = SmallVec::from_slice(host.unwrap_or_default().as_bytes());
    site.make_ascii_lowercase();
    site
}

/// What whoever integrates a placement is told of the agent: its hits would leave net. Events keep the agent itself, and are judged by later
/// lists too.
fn automated_flag(is_trial: bool, agent: &[u8]) -> u32 {
    if !is_trial {
        return 0;
    }
    match givt::automated(agent) {
        Some(Automated::Robot) => flag::AGENT_ROBOT,
        Some(Automated::NonBrowser) => flag::AGENT_NO_BROWSER,
        None => 0,
    }
}

fn flags(said: &Said<'_>, caller: &Caller<'_>, rules: &Rules<'_>, identity: &Identity, time: &Judged) -> u32 {
    let hit = &said.hit;
    let asks_no_tracking = rules.honour_dnt && caller.signals.has(Signals::DNT);
    let consent = consent::withheld(hit, rules.tcf_vendor);
    [
        (hit.macros_unreplaced > 0, flag::MACRO_UNREPLACED),
        (caller.signals.has(Signals::GPC), flag::WITHHELD_GPC),
        (asks_no_tracking, flag::WITHHELD_DNT),
        (is_on(hit.limit_ad_tracking), flag::WITHHELD_LMT),
        (is_on(hit.child_directed), flag::WITHHELD_CHILD),
        (said.is_landing_refused, flag::LANDING_REFUSED),
        (is_named(hit.group_id), flag::DUPLICATE_BY_TIME),
        (hit.device_risk & risk::ROOT != 0, flag::DEVICE_ROOT),
        (hit.device_risk & risk::EMULATOR != 0, flag::DEVICE_EMULATOR),
        (hit.device_risk & risk::HOOK != 0, flag::DEVICE_HOOK),
        (hit.device_risk & risk::ADB != 0, flag::DEVICE_ADB),
    ]
    .into_iter()
    .filter_map(|(is_set, bit)| is_set.then_some(bit))
    .fold(identity.flags | time.flags | consent, |flags, bit| flags | bit)
}

/// The id that ties the hits of the view: the SDK's group, else the request. A word that stands for nothing (`-1`, `null`, zeros) names no view: all
/// that sends it would be repeats of one.
fn view_id<'a>(hit: &Hit<'a>) -> Option<&'a [u8]> {
    [hit.group_id, hit.request_id].into_iter().find(|id| is_named(*id)).flatten()
}

pub(crate) fn is_named(id: Option<&[u8]>) -> bool {
    id.is_some_and(|id| !identifier::stands_for_nothing(id))
}

/// The device, unless a signal withholds it; with what it was under the key before as long as the two overlap.
fn device(identity: &Identity, flags: u32, now_ms: UnixMs) -> Option<Device> {
    let device = identity.device.filter(|_| flags & flag::WITHHELD == 0)?;
    Some(Device { former: device.former.filter(|former| former.is_in_force(now_ms)), ..device })
}

/// Whether nothing in the hit or the request asks not to be recognised: only then a cookie id is read or given (DOMAIN §7). `DNT` counts here
/// whether or not it withholds the device key: a cookie is ours to give, and a person who asks for nothing of the kind gets none.
pub(crate) fn may_be_recognised(hit: &Hit<'_>, caller: &Caller<'_>, tcf_vendor: Option<NonZeroU16>) -> bool {
    const ASKS_NOT_TO: [Signals; 4] = [Signals::OPTED_OUT, Signals::PREFETCH, Signals::GPC, Signals::DNT];
    !ASKS_NOT_TO.into_iter().any(|signal| caller.signals.has(signal))
        && !is_on(hit.limit_ad_tracking)
        && !is_on(hit.child_directed)
        && consent::withheld(hit, tcf_vendor) == 0
}

/// Whether a flag parameter is set.
fn is_on(value: Option<&[u8]>) -> bool {
    value.is_some_and(is_yes)
}

fn text(bytes: &[u8]) -> Result<&str, Outcome> {
    std::str::from_utf8(bytes).map_err(|_| Outcome::Malformed)
}
