//! The VAST wrapper of a placement, `GET /vast?c=…&p=…`: an ad that says "the ad itself is over there, and tell me too what becomes of it".
//!
//! It owns the XML (VAST 4.2, of which a reader of 3.0 understands all but the viewability) and which events of a player become which stage.
//! Asking for a wrapper counts nothing. It must never point anywhere but to the `vast_tag` that the catalog has for the placement: an
//! address from the URL would make an open proxy of the tracker. It must never put a byte into the XML that is not that of a URL.
//!
//! ```text
//! VAST 4.2
//! └─ Ad ─ Wrapper          one view: one random rid in every URL
//!    ├─ Impression         /vast/impression       ├─ Linear: loaded, start … complete   /vast/loaded, /vast/start … /vast/complete
//!    ├─ ViewableImpression /vast/viewable, /vast/notViewable, /vast/viewUndetermined
//!    ├─ VideoClicks        /vast/clickTracking: the player itself opens the ad's landing page
//!    └─ VASTAdTagURI       the placement's vast_tag
//! ```
//!
//! The URLs are those of the dialect `vast`, with the macros of its table in them, which the player fills in: time, device, consent. What the
//! caller says about these and about the creative stands in their place, as it came. `rid`, `gid`, `t`, `u`, `ip`, `ua` and the signature of a
//! link are not passed on: they belong to one hit, or to a registered server. Other events of players (mute, pause, skip …) are not asked for.
//!
//! The URLs begin with `public_url` where that is set, else with the `Host` that was asked, and `https` only if a trusted proxy says so.

use std::fmt::Write;
use std::net::IpAddr;

use catalog::{Catalog, Found, Placement};
use event::dialect::{Dialects, Scratch, Table};
use event::hit::Hit;
use hyper::StatusCode;
use hyper::header::{HOST, HeaderMap, HeaderName};

use crate::address;
use crate::answer::{self, Answer};
use crate::beacon;
use crate::connection::Connection;
use crate::lane::{Desk, Lane};
use crate::route::emptied;
use crate::settings::Settings;

/// Longest `Host` that is repeated in a URL, bytes: a name of DNS and a port (RFC 1035).
const HOST_BYTES_MAX: usize = 253 + 6;
/// Random bytes of a request id: no two views of all time share one.
pub(crate) const RID_BYTES: usize = 16;

const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The dialect of the URLs.
const DIALECT: &str = "vast";

/// Events of a linear ad that are stages of its view. Readers of VAST 3 pass over the first.
const LINEAR: [&str; 6] = ["loaded", "start", "firstQuartile", "midpoint", "thirdQuartile", "complete"];

/// What a player says about viewability: element and event.
const VIEWABILITY: [(&str, &str); 3] =
    [("Viewable", "viewable"), ("NotViewable", "notViewable"), ("ViewUndetermined", "viewUndetermined")];

/// Parameters that are not taken over from the wrapper's own URL.
const NOT_PASSED_ON: [&str; 8] = ["c", "p", "rid", "gid", "t", "u", "ip", "ua"];

/// Parameters whose macro is not put into the URLs: the view's id is ours, and who the viewer is says the connection.
const NOT_ASKED_FOR: [&str; 3] = ["rid", "ip", "ua"];

/// Answers `GET` and `HEAD` of a wrapper.
pub(crate) fn serve(lane: &Lane, connection: &Connection, query: &str, headers: HeaderMap) -> Answer {
    let base = base(&lane.settings, (connection.peer, connection.is_secure), &headers);
    let headers = emptied(headers);
    let Some(base) = base else {
        return answer::text(
            StatusCode::BAD_REQUEST,
            headers,
            "the Host header is no host name: set public_url, or ask by name\n",
        );
    };
    let mut rid = [0; RID_BYTES];
    if getrandom::fill(&mut rid).is_err() {
        return answer::try_later(headers);
    }
    let mut desk = lane.desk();
    let Desk { catalog, scratch, .. } = &mut *desk;
    let is_good = |placement: &Placement, hit: &Hit<'_>| {
        beacon::check_link(placement, hit, &lane.link_keys, lane.clock.now_ms()).is_ok()
    };
    match wrapper(catalog.load(), query.as_bytes(), scratch, (&base, rid), is_good) {
        Ok(xml) => answer::xml(headers, xml),
        Err((status, words)) => answer::text(status, headers, words),
    }
}

/// The wrapper of the placement that a query names, or the status and words of the refusal.
pub(crate) fn wrapper(
    catalog: &Catalog,
    query: &[u8],
    scratch: &mut Scratch,
    (base, rid): (&str, [u8; RID_BYTES]),
    is_good: impl FnOnce(&Placement, &Hit<'_>) -> bool,
) -> Result<String, (StatusCode, &'static str)> {
    let hit = Table::native().read(query, scratch).hit;
    let (Some(campaign), Some(placement)) = (hit.campaign, hit.placement) else {
        return Err((StatusCode::BAD_REQUEST, "c and p have to name a campaign and a placement\n"));
    };
    let (campaign, placement) = match catalog.find(campaign, placement) {
        Found::Known(campaign, placement) => (campaign, placement),
        Found::UnknownPlacement(_) => {
            return Err((StatusCode::NOT_FOUND, "the campaign has no such placement\n"));
        }
        Found::UnknownCampaign => return Err((StatusCode::NOT_FOUND, "there is no such campaign\n")),
    };
    // Its events carry the same signature, so a wrapper without a good one would be of no use.
    if !is_good(placement, &hit) {
        return Err((
            StatusCode::FORBIDDEN,
            "the placement takes signed links only, and this one is not signed or has ended\n",
        ));
    }
    let Some(vast_tag) = &placement.vast_tag else {
        let words =
            "the placement has no vast_tag: give it one in the catalog, the address of the ad itself\n";
        return Err((StatusCode::NOT_FOUND, words));
    };
    // Both are of A-Za-z0-9._- (catalog).
    let mut common = format!("?c={}&p={}&rid=", campaign.id, placement.id);
    for byte in rid {
        append(&mut common, format_args!("{byte:02x}"));
    }
    push_parameters(&mut common, query);
    Ok(write(base, &common, vast_tag))
}

/// The document. `common` and `base` hold bytes of URLs only.
fn write(base: &str, common: &str, vast_tag: &str) -> String {
    let url = |event: &str| format!("<![CDATA[{base}/{DIALECT}/{event}{common}]]>");
    let mut xml = String::with_capacity(2048 + 12 * common.len());
    xml.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<VAST version=\"4.2\" xmlns=\"http://www.iab.com/VAST\">\n<Ad id=\"sightline\">\n");
    xml.push_str("<Wrapper followAdditionalWrappers=\"true\" allowMultipleAds=\"false\">\n<AdSystem>Sightline</AdSystem>\n");
    append(&mut xml, format_args!("<Impression>{}</Impression>\n<ViewableImpression>\n", url("impression")));
    for (name, event) in VIEWABILITY {
        append(&mut xml, format_args!("<{name}>{}</{name}>\n", url(event)));
    }
    xml.push_str("</ViewableImpression>\n<Creatives>\n<Creative>\n<Linear>\n<TrackingEvents>\n");
    for event in LINEAR {
        append(&mut xml, format_args!("<Tracking event=\"{event}\">{}</Tracking>\n", url(event)));
    }
    append(
        &mut xml,
        format_args!(
            "</TrackingEvents>\n<VideoClicks>\n<ClickTracking>{}</ClickTracking>\n</VideoClicks>\n</Linear>\n</Creative>\n</Creatives>\n",
            url("clickTracking")
        ),
    );
    xml.push_str("<VASTAdTagURI><![CDATA[");
    push_safe(&mut xml, vast_tag.as_bytes());
    xml.push_str("]]></VASTAdTagURI>\n</Wrapper>\n</Ad>\n</VAST>\n");
    xml
}

fn append(text: &mut String, words: std::fmt::Arguments<'_>) {
    text.write_fmt(words).expect("memory takes every byte");
}

/// Appends what each URL says of device, consent and creative: as the caller of the wrapper says it, else by the macro for the player.
fn push_parameters(common: &mut String, query: &[u8]) {
    let Some(table) = Dialects::built_in().get(DIALECT) else { return };
    for parameter in table.parameters().filter(|parameter| !parameter.is_dropped && !parameter.is_json_only) {
        let name = parameter.name;
        let said =
            Some(name).filter(|name| !NOT_PASSED_ON.contains(name)).and_then(|name| value(query, name));
        if let Some(said) = said {
            append(common, format_args!("&{name}="));
            push_safe(common, said);
        } else if let Some(asked) = parameter.template_macro.filter(|_| !NOT_ASKED_FOR.contains(&name)) {
            append(common, format_args!("&{name}=[{asked}]"));
        }
    }
}

/// What a query says under a name, undecoded; an empty value is none.
fn value<'q>(query: &'q [u8], name: &str) -> Option<&'q [u8]> {
    query.split(|byte| *byte == b'&').find_map(|pair| {
        // A URL that was copied out of HTML has `&amp;` between its parameters.
        let pair = pair.strip_prefix(b"amp;").unwrap_or(pair);
        pair.strip_prefix(name.as_bytes())?.strip_prefix(b"=").filter(|value| !value.is_empty())
    })
}

/// Appends bytes of a URL: what cannot stand in one is percent-encoded, `>` above all, which could end a CDATA section.
fn push_safe(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        let has_meaning = matches!(byte, b'"' | b'\'' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'|');
        if byte.is_ascii_graphic() && !has_meaning {
            text.push(char::from(*byte));
        } else {
            append(text, format_args!("%{byte:02X}"));
        }
    }
}

/// What the tracker's URLs begin with, without a slash at the end; `None` where the request names no sound host.
fn base(settings: &Settings, (peer, is_secure): (IpAddr, bool), headers: &HeaderMap) -> Option<String> {
    if let Some(url) = &settings.public_url {
        let mut base = String::with_capacity(url.len());
        push_safe(&mut base, url.trim_end_matches('/').as_bytes());
        return Some(base);
    }
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next()?.to_str().ok().filter(|host| is_host(host))?;
    if hosts.next().is_some() {
        return None;
    }
    let is_secure = match headers.get(X_FORWARDED_PROTO) {
        // What the viewer spoke to the proxy, whatever the proxy speaks to us.
        Some(proto) if address::is_trusted(peer.to_canonical(), &settings.trusted_proxies) => {
            proto.as_bytes().eq_ignore_ascii_case(b"https")
        }
        _ => is_secure,
    };
    let scheme = if is_secure { "https" } else { "http" };
    Some(format!("{scheme}://{host}"))
}

/// Whether a text is a host name or an address, with or without a port: nothing that means anything in XML or elsewhere in a URL.
fn is_host(text: &str) -> bool {
    let is_port = |text: &str| {
        text.is_empty() || text.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok())
    };
    if text.len() > HOST_BYTES_MAX {
        return false;
    }
    if let Some(rest) = text.strip_prefix('[') {
        return rest
            .split_once(']')
            .is_some_and(|(address, rest)| address.parse::<std::net::Ipv6Addr>().is_ok() && is_port(rest));
    }
    let end = text.find(':').unwrap_or(text.len());
    let (name, port) = text.split_at(end);
    let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    !name.is_empty() && name.bytes().all(is_name_byte) && is_port(port)
}

#[cfg(test)]
mod tests;
