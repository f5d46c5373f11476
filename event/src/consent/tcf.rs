//! The core of a TCF v2 string: whether a vendor has consent to measure.
//!
//! Read as the IAB Europe's "Consent string and vendor list formats v2" draws it. What follows the core behind a dot is not looked at.
//!
//! ```text
//! bits  field                                          bits  field
//!    6  version = 2                                      24  purposes, consent: bit n for purpose n + 1
//!   36  created                                          24  purposes, legitimate interest
//!   36  updated                                           1  purpose 1 was not asked for
//!   12  CMP, 12 its version, 6 screen                    12  publisher's country
//!   12  language                                         16  greatest vendor, 1 range?, then a bit for each or ranges     consent
//!   12  vendor list, 6 policy                            16  likewise                                                     legitimate interest
//!    1  service specific, 1 own texts                    12  restrictions: 6 purpose, 2 kind, then ranges
//!   12  special features
//!
//! ranges = 12 bits n, then n × (1 is a group?, 16 first, 16 last of a group)
//! ```

use std::num::NonZeroU16;

use super::bits::Bits;

/// The first character of a version 2 string.
pub(super) const FIRST: u8 = b'C';

/// The purposes that measuring needs: to read an identifier from the device, and to measure advertising with it.
const PURPOSES: [u32; 2] = [1, 7];

/// Bits of what stands before the purposes, behind the version.
const HEAD_BITS: usize = 36 + 36 + 12 + 12 + 6 + 12 + 12 + 6 + 1 + 1 + 12;

/// Kinds of a publisher's restriction under which there is no consent to rely on: the purpose is forbidden, or only legitimate interest is left.
const FORBIDDEN: u32 = 0;
const LEGITIMATE_INTEREST_ONLY: u32 = 2;

/// Whether this vendor may measure by consent. A string that ends early, or holds what it must not, allows nothing.
pub fn is_measuring_allowed(string: &[u8], vendor: NonZeroU16) -> bool {
    let core = string.split(|byte| *byte == b'.').next().unwrap_or_default();
    read(core, u32::from(vendor.get())).unwrap_or(false)
}

fn read(core: &[u8], vendor: u32) -> Option<bool> {
    // Also where what it would hold is passed over.
    if !Bits::are_in(core) {
        return None;
    }
    let mut bits = Bits::new(core);
    if bits.number(6)? != 2 {
        return None;
    }
    bits.skip(HEAD_BITS);
    let purposes = bits.number(24)?;
    bits.skip(24 + 1 + 12);
    let has_vendor = vendors(&mut bits, vendor)?;
    vendors(&mut bits, vendor)?;
    let has_purposes = PURPOSES.iter().all(|purpose| purposes >> (24 - purpose) & 1 == 1);
    Some(has_vendor && has_purposes && !is_restricted(&mut bits, vendor)?)
}

/// Whether a vendor stands in the list here; the place is behind it then.
fn vendors(bits: &mut Bits<'_>, vendor: u32) -> Option<bool> {
    let greatest = bits.number(16)?;
    if bits.bit()? {
        return ranges(bits, vendor);
    }
    let mut own = *bits;
    own.skip(vendor as usize - 1);
    let is_in = vendor <= greatest && own.bit()?;
    bits.skip(greatest as usize);
    Some(is_in)
}

/// Whether a vendor stands in the ranges here; the place is behind them then.
fn ranges(bits: &mut Bits<'_>, vendor: u32) -> Option<bool> {
    let mut is_in = false;
    for _ in 0..bits.number(12)? {
        let is_group = bits.bit()?;
        let first = bits.number(16)?;
        let last = if is_group { bits.number(16)? } else { first };
        // A range that is none is not guessed at.
        if first == 0 || last < first {
            return None;
        }
        is_in |= (first..=last).contains(&vendor);
    }
    Some(is_in)
}

/// Whether the publisher took one of the purposes from this vendor.
fn is_restricted(bits: &mut Bits<'_>, vendor: u32) -> Option<bool> {
    let mut is_restricted = false;
    for _ in 0..bits.number(12)? {
        let (purpose, kind) = (bits.number(6)?, bits.number(2)?);
        let is_meant = ranges(bits, vendor)?;
        let is_against = matches!(kind, FORBIDDEN | LEGITIMATE_INTEREST_ONLY);
        is_restricted |= is_meant && is_against && PURPOSES.contains(&purpose);
    }
    Some(is_restricted)
}
