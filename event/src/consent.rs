//! What a hit's consent strings say about us: which signals withhold the device key.
//!
//! It owns the reading of TCF and GPP strings ([`mod@tcf`], [`mod@gpp`]) and what follows for measuring. It must never take a string that it does not wholly
//! understand for a consent, allocate, or do more work than the string is long.
//!
//! # Choices where no standard decides
//!
//! * **TCF** applies where `gdpr` says yes; where `gdpr` is absent and a consent string is there; and where a section 2 of GPP applies. A device key is
//!   kept if the string gives the configured vendor consent for purposes 1 (store and read information on a device) and 7 (measure advertising
//!   performance), and no publisher's restriction takes purpose 7 away. Legitimate interest is not relied upon: an identifier is read from the
//!   device, for which purpose 1 knows consent alone. Without a configured vendor there is never consent.
//! * **GPP**: `gpp_sid` -1 says that no section applies; else those that it names apply, or, without it, those in the string. A section that applies
//!   and is not there, or cannot be read, withholds. In sections of the United States opting out of sale, of sharing or of targeted advertising
//!   withholds; their `Gpc` counts as the header does, and a known child as a child flag. Canada's TCF is not read, so it withholds.
//! * A TCF string that was put where GPP belongs is told by its first character (`C`, where a GPP string begins with `D`), and a US Privacy string by
//!   its `1` and three letters; both are read as what they are.

pub mod gpp;
pub mod tcf;

mod bits;

use std::num::NonZeroU16;

use crate::hit::{Hit, NO_GPP_SECTION, is_no, is_yes};
use crate::record::flag;

/// The flags ([`flag`]) of the signals in a hit's consent strings: `WITHHELD_CONSENT`, `WITHHELD_GPP`, `WITHHELD_GPC`, `WITHHELD_CHILD`. None: nothing
/// is withheld. `vendor` is our id in the TCF's global vendor list.
pub fn withheld(hit: &Hit<'_>, vendor: Option<NonZeroU16>) -> u32 {
    // What says neither is no answer: a string that stands beside it is heard.
    let said_gdpr =
        hit.gdpr.and_then(|value| is_yes(value).then_some(true).or(is_no(value).then_some(false)));
    if said_gdpr != Some(true) && hit.gdpr_consent.is_none() && hit.gpp.is_none() && hit.gpp_sid.is_none() {
        return 0;
    }
    let mut flags = 0;
    // Where two strings are told, each has to allow it.
    let mut strings = [hit.gdpr_consent, None];
    let mut applies = said_gdpr.unwrap_or(hit.gdpr_consent.is_some());
    if hit.gpp_sid != Some(NO_GPP_SECTION) && (hit.gpp.is_some() || hit.gpp_sid.is_some()) {
        let read = gpp::read(hit.gpp, hit.gpp_sid);
        flags |= read.flags;
        applies |= read.tcf_applies;
        strings[1] = read.tcf.filter(|_| read.tcf_applies || hit.gdpr_consent.is_none());
    } else if let Some(read) = hit.gpp.map(|text| gpp::read(Some(text), None)) {
        // No section applies; under `gdpr` its string may still be the one that was meant.
        strings[0] = hit.gdpr_consent.or(read.tcf);
    }
    let has_consent = || {
        let mut told = strings.iter().flatten().peekable();
        told.peek().is_some()
            && vendor.is_some_and(|vendor| told.all(|string| tcf::is_measuring_allowed(string, vendor)))
    };
    if applies && !has_consent() {
        flags |= flag::WITHHELD_CONSENT;
    }
    flags
}
