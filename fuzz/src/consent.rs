//! Consent strings: any bytes where a TCF string, a GPP string and the ids of its sections belong.
//!
//! * reading them twice says the same, and never a flag that is none of theirs;
//! * no vendor has consent that no vendor id at all would have had too;
//! * saying that GDPR applies withholds no less, saying that no section of GPP applies no more;
//! * what stands behind the core of a TCF string says nothing.

use std::num::NonZeroU16;

use event::consent::{tcf, withheld};
use event::hit::Hit;
use event::record::flag;

/// Vendors that are asked for: the ends, the edges of a character, and some between.
const VENDORS: [u16; 8] = [1, 2, 6, 7, 755, 793, 4_095, u16::MAX];

/// Three values with line ends between them: `gdpr_consent`, `gpp`, `gpp_sid`.
pub fn run(input: &[u8]) {
    let mut values =
        input.splitn(3, |byte| *byte == b'\n').map(|value| Some(value).filter(|v| !v.is_empty()));
    let mut next = || values.next().flatten();
    let hit = Hit { gdpr_consent: next(), gpp: next(), gpp_sid: next(), ..Hit::default() };
    for vendor in VENDORS.into_iter().map(NonZeroU16::new) {
        let flags = withheld(&hit, vendor);
        assert_eq!(flags, withheld(&hit, vendor));
        assert_eq!(flags & !flag::WITHHELD, 0);
        assert_eq!(flags & !withheld(&hit, None), 0, "without a vendor no less is withheld");
        let under_gdpr = Hit { gdpr: Some(b"1"), ..hit.clone() };
        assert_eq!(flags & !withheld(&under_gdpr, vendor), 0, "under GDPR no less is withheld");
        let nowhere = Hit { gpp_sid: Some(b"-1"), ..hit.clone() };
        if hit.gdpr_consent.is_some() || hit.gpp.is_none() {
            assert_eq!(withheld(&nowhere, vendor) & !flags & !flag::WITHHELD_CONSENT, 0);
        }
        if let (Some(string), Some(vendor)) = (hit.gdpr_consent, vendor) {
            let is_allowed = tcf::is_measuring_allowed(string, vendor);
            let mut longer = string.to_vec();
            longer.extend(b".IAAA");
            assert_eq!(
                is_allowed,
                tcf::is_measuring_allowed(&longer, vendor),
                "what is behind the core says nothing"
            );
        }
    }
}
