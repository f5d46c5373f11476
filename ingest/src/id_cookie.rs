//! The id cookie for browsers: a random number that stands for a browser where media have no device id. Off unless the operator sets `id_cookie`.
//!
//! It owns the cookie's life; its name and form are the vocabulary's ([`event::id_cookie`]). It must never be read or given against a signal (`beacon::may_be_recognised`), and never depend
//! on whether a device's id is in the list of opt-outs: who may be told apart by an answer would be found out by it. (A browser that sends the
//! opt-out cookie knows that it does.) Of a placement whose hits come from servers the cookie is the server's own, and no device.
//!
//! Only a cookie that came back is a device: a browser that keeps none would be a new one with each ad and swell the reach. So the first hit of
//! a browser has none.

use catalog::Catalog;
pub(crate) use event::id_cookie::find;
use event::id_cookie::{NAME, RANDOM_BYTES, mint};
use event::identifier::IdField;
use event::key::KeyRing;
use event::record::{SourceKind, flag};
use hyper::header::{HeaderValue, SET_COOKIE};

use crate::answer::Answer;
use crate::beacon::{self, Decision, Findings, Said};
use crate::caller::Caller;
use crate::senders::Sender;
use crate::settings::Settings;

/// Life of the cookie, seconds: as long as events are kept by default (190 days). It is not renewed.
const SECONDS: u32 = 190 * 24 * 60 * 60;

/// Takes the browser's id into a hit that has no cookie id of its own, where nothing speaks against it. The cookie to give to a browser that has
/// none, if what is found out about the hit [allows](allowed) it.
pub(crate) fn recognise<'a>(
    said: &mut Said<'a>,
    caller: &Caller<'a>,
    settings: &Settings,
    catalog: &Catalog,
    keys: &KeyRing,
) -> Option<HeaderValue> {
    if !settings.id_cookie
        || caller.sender != Sender::Viewer
        // A hit with a defect may have said no where it could not be read.
        || said.defect.is_some()
        || !beacon::may_be_recognised(&said.hit, caller, settings.tcf_vendor())
        || beacon::source(catalog, &said.hit, caller.sender) != SourceKind::Client
    {
        return None;
    }
    let hit = &mut said.hit;
    match caller.id_cookie {
        Some(id) => {
            if let Some(slot) = hit.ids.get_mut(IdField::Cookie as usize) {
                slot.get_or_insert(id);
            }
            None
        }
        None => fresh(keys, settings.id_cookie_domain.as_deref()),
    }
}

/// The cookie, if its hit counts and no identifier in it (zeros) asks for no tracking. An opted-out hit looks like one that counts.
pub(crate) fn allowed(
    cookie: Option<HeaderValue>,
    decision: Decision,
    findings: &Findings,
) -> Option<HeaderValue> {
    cookie.filter(|_| {
        matches!(decision, Decision::Store(_) | Decision::OptOut { .. })
            && findings.flags & flag::WITHHELD == 0
    })
}

/// Puts the cookie on an answer.
pub(crate) fn give(answer: &mut Answer, cookie: Option<HeaderValue>) {
    if let Some(cookie) = cookie {
        answer.headers_mut().insert(SET_COOKIE, cookie);
    }
}

/// A new cookie; none if the system has no randomness to give.
fn fresh(keys: &KeyRing, domain: Option<&str>) -> Option<HeaderValue> {
    let mut random = [0; RANDOM_BYTES];
    getrandom::fill(&mut random).ok()?;
    let id = mint(random, keys);
    let domain = domain.map(|domain| format!("; Domain={domain}")).unwrap_or_default();
    let text = format!("{NAME}={id}; Max-Age={SECONDS}; Path=/; Secure; HttpOnly; SameSite=None{domain}");
    HeaderValue::try_from(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_cookie_is_found_again_and_no_two_are_alike() {
        let keys = KeyRing::generate(|bytes| getrandom::fill(bytes).expect("randomness"));
        let cookies: Vec<_> = (0..3).map(|_| fresh(&keys, None).expect("randomness")).collect();
        for cookie in &cookies {
            let text = cookie.to_str().expect("ascii");
            assert!(text.ends_with("; Path=/; Secure; HttpOnly; SameSite=None"), "{text}");
            let pair = text.split(';').next().expect("a pair");
            assert!(event::id_cookie::is_ours(find(pair.as_bytes()).expect("an id"), &keys));
        }
        assert!(cookies[0] != cookies[1] && cookies[1] != cookies[2]);
        let of_domain = fresh(&keys, Some("example.com")).expect("randomness");
        assert!(of_domain.to_str().expect("ascii").ends_with("; SameSite=None; Domain=example.com"));
    }
}
