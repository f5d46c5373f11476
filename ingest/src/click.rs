//! A click: where it lands, and for how long the journal may hold it up.
//!
//! It owns the order of the two: the landing is decided before storage, from the catalog alone. It must never redirect to a host that nobody
//! registered, and never keep a person waiting for a disk.
//!
//! | landing | what the caller gets | waits for the journal |
//! |---|---|---|
//! | the asked URL, or the placement's page | 302 | at most `click_wait_ms_max`, then it is an unconfirmed click, or a lost one if the journal fails later |
//! | an unregistered host, and no page | a plain page | the same |
//! | nothing asked for, and no page (media fire such clicks in the background) | the pixel | as a pixel: 503 if it is not stored |
//!
//! While the node does not know every opt-out, nothing is stored and nothing waited for; the click lands all the same.

use std::rc::Rc;
use std::time::Duration;

use catalog::{Catalog, Found, Landing};
use event::dialect::Entry;
use event::hit::Hit;
use event::outcome::Outcome;
use hyper::Uri;
use hyper::header::{HeaderMap, HeaderValue};
use tokio::time::timeout;

use crate::answer::{self, Answer};
use crate::beacon::{self, Said};
use crate::books::Books;
use crate::caller::Caller;
use crate::connection::Connection;
use crate::id_cookie;
use crate::lane::{Desk, Fate, Lane};
use crate::route::{Pixel, emptied};

/// Where a click goes.
enum Destination {
    To(HeaderValue),
    PlainPage,
    Nowhere,
}

/// Answers a click and counts it.
pub(crate) async fn serve(
    lane: &Rc<Lane>,
    connection: &Connection,
    (uri, entry): (&Uri, &Entry<'_, '_>),
    headers: HeaderMap,
) -> Answer {
    let is_debugging = lane.senders.is_debugging(&headers);
    let (destination, fate, cookie) = {
        let mut desk = lane.desk();
        let Desk { catalog, opt_outs, regions, scratch, record } = &mut *desk;
        let catalog = catalog.load();
        let caller = Caller::read(&headers, connection.peer, &lane.settings, &lane.senders)
            .proved(lane, &headers, uri);
        let mut said = Said::of(entry, entry.read(scratch));
        lane.tally.read(entry.number, &said.hit);
        let (destination, is_landing_refused) = land(catalog, &said.hit);
        said.is_landing_refused = is_landing_refused;
        let cookie = id_cookie::recognise(&mut said, &caller, &lane.settings, catalog, &lane.keys);
        let now_ms = lane.clock.now_ms();
        let mut rules = lane.rules(catalog, (opt_outs, regions), now_ms);
        let (decision, findings) = beacon::decide(&said, &caller, &mut rules, now_ms, record);
        let failed = if matches!(destination, Destination::Nowhere) {
            Outcome::StorageFailed
        } else {
            Outcome::LostClick
        };
        let fate = lane.carry_out(Books::receive(), decision, record, failed);
        lane.list_trial_hit(&said, (decision, &findings), now_ms, record);
        (destination, fate, id_cookie::allowed(cookie, decision, &findings))
    };
    let headers = emptied(headers);
    if matches!(destination, Destination::Nowhere) {
        let pixel = Pixel::new(lane, connection, fate, (headers, is_debugging, cookie));
        return pixel.wait(lane, connection).await;
    }
    let outcome = wait_briefly(lane, fate).await;
    let mut answer = go(destination, headers);
    id_cookie::give(&mut answer, cookie);
    if is_debugging {
        answer::tell(&mut answer, outcome);
    }
    answer
}

/// Answers as for a click, and counts nothing.
pub(crate) fn look(lane: &Lane, entry: &Entry<'_, '_>, headers: HeaderMap) -> Answer {
    let mut desk = lane.desk();
    let Desk { catalog, scratch, .. } = &mut *desk;
    let reading = entry.read(scratch);
    go(land(catalog.load(), &reading.hit).0, headers)
}

/// Where the click lands, and whether it asked for an unregistered host.
fn land(catalog: &Catalog, hit: &Hit<'_>) -> (Destination, bool) {
    let found = match (hit.campaign, hit.placement) {
        (Some(campaign), placement) => catalog.find(campaign, placement.unwrap_or_default()),
        (None, _) => Found::UnknownCampaign,
    };
    match catalog.landing(found, hit.landing_url) {
        Landing::To(url) => (location(url), false),
        Landing::Page { url, refused } => (location(url), refused),
        Landing::Refused => (Destination::PlainPage, true),
        Landing::Nothing => (Destination::Nowhere, false),
    }
}

/// The header for a URL. What is not printable ASCII is percent-encoded, as a browser does: a line break must not end the header, and
/// media send landing pages with Chinese in them.
fn location(url: &str) -> Destination {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut bytes = Vec::with_capacity(url.len());
    for byte in url.bytes() {
        if byte.is_ascii_graphic() {
            bytes.push(byte);
        } else {
            let digits =
                [byte >> 4, byte & 15].map(|digit| HEX.get(usize::from(digit)).copied().unwrap_or(b'0'));
            bytes.push(b'%');
            bytes.extend_from_slice(&digits);
        }
    }
    HeaderValue::from_bytes(&bytes).map_or(Destination::PlainPage, Destination::To)
}

/// Waits for the journal as long as a person may be kept. The outcome as it may be shown.
async fn wait_briefly(lane: &Lane, fate: Fate) -> Outcome {
    let wait_max = Duration::from_millis(lane.settings.limits.click_wait_ms_max);
    match fate {
        Fate::Settled(outcome) | Fate::Refused(outcome) => outcome,
        Fate::Appended(mut waiting) => {
            if let Ok(outcome) = timeout(wait_max, &mut waiting).await {
                return outcome;
            }
            waiting.leave_as(Outcome::UnconfirmedClick);
            Outcome::UnconfirmedClick
        }
        Fate::Masked(commit, shown) => match timeout(wait_max, commit).await {
            Ok(Ok(_)) => shown,
            Ok(Err(_)) => Outcome::LostClick,
            Err(_) => Outcome::UnconfirmedClick,
        },
    }
}

fn go(destination: Destination, headers: HeaderMap) -> Answer {
    match destination {
        Destination::To(location) => answer::redirect(headers, location),
        Destination::PlainPage => answer::plain_page(headers),
        Destination::Nowhere => answer::pixel(headers),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(url: &str) -> String {
        match location(url) {
            Destination::To(value) => value.to_str().expect("ascii").to_owned(),
            Destination::PlainPage | Destination::Nowhere => panic!("no location"),
        }
    }

    #[test]
    fn a_location_is_printable_ascii() {
        assert_eq!(header("https://a.example/p?x=1&y=%20#z"), "https://a.example/p?x=1&y=%20#z");
        assert_eq!(header("https://a.example/首页"), "https://a.example/%E9%A6%96%E9%A1%B5");
        assert_eq!(header("https://a.example/\r\nset-cookie: x"), "https://a.example/%0D%0Aset-cookie:%20x");
    }
}
