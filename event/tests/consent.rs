//! Consent strings: those that the IAB's own libraries publish as their tests, every way of writing one, and what no string at all means.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::num::NonZeroU16;

use event::consent::{tcf, withheld};
use event::hit::Hit;
use event::record::flag::{WITHHELD_CHILD, WITHHELD_CONSENT, WITHHELD_GPC, WITHHELD_GPP};
use proptest::prelude::*;

/// Consent for purposes 1 to 10, to 772 vendors.
const CONSENT: &str = "CPi8wgAPi8wgAAOACBENCuCoAP_AAEfAACiQJHNd_H__bX9n-f7_6ft0eY1f9_r37uQzDhfNk-8F3L_W_LwX_2E7NF36tq4KmR4ku1LBIUNtHMnUDUmxaokVrzHsak2cpzNKJ_BkknsZe2dYGF9vm5tj-QKZ7_5_d3f52T_9_9v-39z33913v3d93-_13LjdV5_9H_v9fR_b8_Kf9_5-_4v8_____3_e______8AEEggCTDVuIAuxLHAm0DCKBECMKwkKoFABBQDC0QGADg4KdlYBPrCBAAgFAEYEQIcAUYEAgAAAgCQiACQIsEAAAIgEAAIAEQiEABAwCCgAsDAIAAQDQMUQoABAkIMiAiKUwICIEggJbKhBKC6Q0wgCrLACgkRsFAAiAAAUgACAsHAMESAlYsECTFG-QAjBCgFEqFaAGGgAwABBI4RABgACCRwqADAAEEjgA";
/// Consent for no purpose, to nobody.
const NO_CONSENT: &str = "CPSG_8APSG_8ANwAAAENAwCAAAAAAAAAAAAAAAAAAAAA.QAAA.IAAA";

fn vendor(id: u16) -> NonZeroU16 {
    NonZeroU16::new(id).unwrap()
}

/// The flags of a hit with these parameters, for a vendor who has consent in [`CONSENT`].
fn flags(pairs: &[(&str, &str)]) -> u32 {
    flags_for(Some(vendor(2)), pairs)
}

fn flags_for(own: Option<NonZeroU16>, pairs: &[(&str, &str)]) -> u32 {
    let mut hit = Hit::default();
    for (name, value) in pairs {
        let value = Some(value.as_bytes());
        match *name {
            "gdpr" => hit.gdpr = value,
            "gdpr_consent" => hit.gdpr_consent = value,
            "gpp" => hit.gpp = value,
            "gpp_sid" => hit.gpp_sid = value,
            other => panic!("{other}"),
        }
    }
    withheld(&hit, own)
}

#[test]
fn as_many_vendors_have_consent_as_the_published_string_says() {
    let allowed = |string: &str| {
        (1..=2_000).filter(|id| tcf::is_measuring_allowed(string.as_bytes(), vendor(*id))).count()
    };
    assert_eq!(allowed(CONSENT), 772);
    assert_eq!(allowed(NO_CONSENT), 0);
    // Purposes 1 to 3 only, so not the seventh.
    assert_eq!(
        allowed(
            "COvFyGBOvFyGBAbAAAENAPCAAOAAAAAAAAAAAEEUACCKAAA.IFoEUQQgAIQwgIwQABAEAAAAOIAACAIAAAAQAIAgEAACEAAAAAgAQBAAAAAAAGBAAgAAAAAAAFAAECAAAgAAQARAEQAAAAAJAAIAAgAAAYQEAAAQmAgBC3ZAYzUw"
        ),
        0
    );
    for length in 0..CONSENT.len() {
        // A cut core has no restrictions to hold against, or ends before the vendor.
        let cut = &CONSENT[..length];
        assert!(length >= 420 || allowed(cut) == 0, "cut at {length}");
    }
}

#[test]
fn tcf_applies_where_it_is_said_or_a_string_is_there() {
    for (pairs, expected) in [
        (&[][..], 0),
        (&[("gdpr", "0")], 0),
        (&[("gdpr", "1")], WITHHELD_CONSENT),
        (&[("gdpr", "1"), ("gdpr_consent", CONSENT)], 0),
        (&[("gdpr", "1"), ("gdpr_consent", NO_CONSENT)], WITHHELD_CONSENT),
        (&[("gdpr", "0"), ("gdpr_consent", NO_CONSENT)], 0),
        // Neither yes nor no: the string is heard.
        (&[("gdpr", "2"), ("gdpr_consent", NO_CONSENT)], WITHHELD_CONSENT),
        (&[("gdpr", "undefined"), ("gdpr_consent", NO_CONSENT)], WITHHELD_CONSENT),
        (&[("gdpr", "-1"), ("gdpr_consent", CONSENT)], 0),
        (&[("gdpr", "False"), ("gdpr_consent", NO_CONSENT)], 0),
        // Two strings that disagree.
        (
            &[("gdpr_consent", CONSENT), ("gpp", &format!("DBABM~{NO_CONSENT}")), ("gpp_sid", "2")],
            WITHHELD_CONSENT,
        ),
        (&[("gdpr_consent", NO_CONSENT)], WITHHELD_CONSENT),
        (&[("gdpr_consent", CONSENT)], 0),
        (&[("gdpr", "1"), ("gdpr_consent", "BOEFEAyOEFEAyAHABDENAI4AAAB9vABAASA")], WITHHELD_CONSENT),
        (&[("gdpr", "1"), ("gdpr_consent", "1YNN")], WITHHELD_CONSENT),
        // In a GPP string, and in its place.
        (&[("gpp", &format!("DBABM~{CONSENT}"))], 0),
        (&[("gpp", &format!("DBABM~{CONSENT}")), ("gpp_sid", "2")], 0),
        (&[("gpp", &format!("DBABM~{NO_CONSENT}")), ("gpp_sid", "2")], WITHHELD_CONSENT),
        (&[("gpp", &format!("DBABM~{NO_CONSENT}")), ("gpp_sid", "-1")], 0),
        (&[("gdpr", "1"), ("gpp", &format!("DBABM~{CONSENT}")), ("gpp_sid", "-1")], 0),
        (&[("gdpr", "1"), ("gpp", &format!("DBABM~{NO_CONSENT}")), ("gpp_sid", "-1")], WITHHELD_CONSENT),
        (&[("gpp_sid", "2")], WITHHELD_CONSENT),
        (&[("gpp_sid", "2"), ("gdpr_consent", CONSENT)], 0),
        (&[("gpp", CONSENT)], 0),
        (&[("gpp", NO_CONSENT)], WITHHELD_CONSENT),
        (&[("gpp", CONSENT), ("gpp_sid", "7")], WITHHELD_GPP),
    ] {
        assert_eq!(flags(pairs), expected, "{pairs:?}");
        let has_consent = pairs.iter().any(|(_, value)| value.contains(CONSENT));
        let without = expected | if has_consent { WITHHELD_CONSENT } else { 0 };
        assert_eq!(flags_for(None, pairs), without, "without a vendor id: {pairs:?}");
    }
}

#[test]
fn sections_of_the_united_states_say_what_the_published_strings_do() {
    const ALL: u32 = WITHHELD_GPP | WITHHELD_CHILD | WITHHELD_GPC;
    for (gpp, expected) in [
        ("DBABTA~1YNN", 0),
        ("DBABTA~1YYN", WITHHELD_GPP),
        ("DBABTA~1---", 0),
        ("1YNN", 0),
        ("1YYN", WITHHELD_GPP),
        ("DBACNYA~CPSG_8APSG_8ANwAAAENAwCAAAAAAAAAAAAAAAAAAAAA.QAAA.IAAA~1YNN", WITHHELD_CONSENT),
        // The country: nothing said; opted out of all, a known child, GPC; the older form; without the part.
        ("DBABLA~BAAAAAAAAABA.QA", 0),
        ("DBABLA~BVVVkkkkkpFY.YA", ALL),
        ("DBABLA~BVVVkkkkkpFY", WITHHELD_GPP | WITHHELD_CHILD),
        ("DBABLA~BVQqAAAACg", 0),
        ("DBABLA~BVQVAAAACg", WITHHELD_GPP),
        // California, Utah, Delaware.
        ("DBABBg~BAAAAABA.QA", 0),
        ("DBABBg~BVWSSSVY.YA", ALL),
        ("DBABJg~BAAAAAQ", 0),
        ("DBABJg~BVVkklW", WITHHELD_GPP | WITHHELD_CHILD),
        // Canada is not read, and what is none of them neither.
        ("DBABjw~CPSG_8APSG_8AAyACAENGdCgf_gfgAfgfgBgABABAAABAB4AACAC.fHHHA4444ao~1YNN", WITHHELD_GPP),
        ("DBAA", WITHHELD_GPP),
        ("DBABLA", WITHHELD_GPP),
        ("DBABLA~", WITHHELD_GPP),
        ("DBABLA~CAAA", WITHHELD_GPP),
        ("DBABLA~BAAAAAAAAABA~BAAAAAAAAABA", WITHHELD_GPP),
        ("DCABLA~BAAAAAAAAABA", WITHHELD_GPP),
        ("garbage", WITHHELD_GPP),
        ("z", WITHHELD_GPP),
        ("~", WITHHELD_GPP),
    ] {
        assert_eq!(flags(&[("gpp", gpp)]), expected, "{gpp}");
        assert_eq!(flags(&[("gpp", gpp), ("gpp_sid", "-1")]), 0, "{gpp}: no section applies");
    }
}

#[test]
fn only_sections_that_apply_are_looked_at_and_those_must_be_there() {
    // Two ids, and the same as a range.
    for header in ["DBACLY", "DBABrw"] {
        only_those_that_apply(&format!("{header}~BVVVkkkkkpFY.YA~BAAAAABA.QA"));
    }
}

fn only_those_that_apply(two: &str) {
    for (sids, expected) in [
        ("7", WITHHELD_GPP | WITHHELD_CHILD | WITHHELD_GPC),
        ("8", 0),
        ("7,8", WITHHELD_GPP | WITHHELD_CHILD | WITHHELD_GPC),
        ("7_8", WITHHELD_GPP | WITHHELD_CHILD | WITHHELD_GPC),
        ("8, 8", 0),
        ("9", WITHHELD_GPP),
        ("8,9", WITHHELD_GPP),
        ("2", WITHHELD_CONSENT),
        ("-2", WITHHELD_GPP),
        ("0", WITHHELD_GPP),
        ("64", WITHHELD_GPP),
        ("8,", WITHHELD_GPP),
        ("eight", WITHHELD_GPP),
    ] {
        assert_eq!(flags(&[("gpp", two), ("gpp_sid", sids)]), expected, "{sids}");
    }
}

/// What a string is made of.
#[derive(Clone, Debug)]
struct Model {
    purposes: BTreeSet<u32>,
    consent: BTreeSet<u16>,
    interest: BTreeSet<u16>,
    as_ranges: (bool, bool),
    restrictions: Vec<(u32, u32, BTreeSet<u16>)>,
}

#[derive(Default)]
struct Writer(String);

impl Writer {
    fn number(&mut self, value: u32, bits: usize) {
        write!(self.0, "{value:0bits$b}").unwrap();
    }

    fn ranges(&mut self, vendors: &BTreeSet<u16>) {
        let mut ranges: Vec<(u16, u16)> = Vec::new();
        for id in vendors {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == *id => *last = *id,
                _ => ranges.push((*id, *id)),
            }
        }
        self.number(ranges.len() as u32, 12);
        for (first, last) in ranges {
            self.number(u32::from(first != last), 1);
            self.number(u32::from(first), 16);
            if first != last {
                self.number(u32::from(last), 16);
            }
        }
    }

    fn vendors(&mut self, vendors: &BTreeSet<u16>, as_ranges: bool) {
        let greatest = vendors.last().copied().unwrap_or(0);
        self.number(u32::from(greatest), 16);
        self.number(u32::from(as_ranges), 1);
        if as_ranges {
            self.ranges(vendors);
        } else {
            (1..=greatest).for_each(|id| self.number(u32::from(vendors.contains(&id)), 1));
        }
    }

    fn packed(mut self) -> String {
        const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        while !self.0.len().is_multiple_of(6) {
            self.0.push('0');
        }
        let six = |at: usize| usize::from_str_radix(&self.0[at..at + 6], 2).unwrap();
        (0..self.0.len()).step_by(6).map(|at| char::from(ALPHABET[six(at)])).collect()
    }
}

impl Model {
    fn written(&self) -> String {
        let mut writer = Writer::default();
        writer.number(2, 6);
        for bits in [36, 36, 12, 12, 6, 12, 12, 6, 1, 1, 12] {
            writer.number(1, bits);
        }
        (1..=24).for_each(|purpose| writer.number(u32::from(self.purposes.contains(&purpose)), 1));
        for bits in [24, 1, 12] {
            writer.number(1, bits);
        }
        writer.vendors(&self.consent, self.as_ranges.0);
        writer.vendors(&self.interest, self.as_ranges.1);
        writer.number(self.restrictions.len() as u32, 12);
        for (purpose, kind, vendors) in &self.restrictions {
            writer.number(*purpose, 6);
            writer.number(*kind, 2);
            writer.ranges(vendors);
        }
        writer.packed()
    }

    /// Whether a vendor may measure, by the rule as it is written down.
    fn allows(&self, id: u16) -> bool {
        let taken = |purpose: u32| {
            self.restrictions.iter().any(|(restricted, kind, vendors)| {
                *restricted == purpose && matches!(kind, 0 | 2) && vendors.contains(&id)
            })
        };
        self.consent.contains(&id) && [1, 7].iter().all(|one| self.purposes.contains(one) && !taken(*one))
    }
}

fn vendors() -> impl Strategy<Value = BTreeSet<u16>> {
    proptest::collection::btree_set(1_u16..60, 0..40)
}

fn model() -> impl Strategy<Value = Model> {
    let restriction = (prop_oneof![Just(1_u32), Just(7), 1_u32..25], 0_u32..4, vendors());
    (
        prop_oneof![Just((1..=10).collect()), proptest::collection::btree_set(1_u32..25, 0..24)],
        vendors(),
        vendors(),
        any::<(bool, bool)>(),
        proptest::collection::vec(restriction, 0..4),
    )
        .prop_map(|(purposes, consent, interest, as_ranges, restrictions)| Model {
            purposes,
            consent,
            interest,
            as_ranges,
            restrictions,
        })
}

proptest! {
    #[test]
    fn a_string_is_read_as_it_was_written(model in model()) {
        let string = model.written();
        for id in 1..70 {
            prop_assert_eq!(
                tcf::is_measuring_allowed(string.as_bytes(), vendor(id)),
                model.allows(id),
                "vendor {} in {}", id, string
            );
        }
        // One character less, and something is missing, whatever it was: nobody is allowed anything.
        let cut = &string[..string.len() - 1];
        for id in 1..70 {
            prop_assert!(!tcf::is_measuring_allowed(cut.as_bytes(), vendor(id)), "vendor {} in {}", id, cut);
        }
    }

    #[test]
    fn a_character_outside_the_alphabet_makes_it_no_string_of_the_tcf(model in model(), at in any::<prop::sample::Index>()) {
        let mut string = model.written().into_bytes();
        let at = at.index(string.len());
        for character in [b'!', b'=', b' ', b'%', 0xc3] {
            string[at] = character;
            for id in 1..70 {
                prop_assert!(!tcf::is_measuring_allowed(&string, vendor(id)), "character {} at {}", character, at);
            }
        }
    }

    #[test]
    fn any_bytes_are_survived_and_none_lifts_what_another_withholds(
        gpp in proptest::option::of("(D[A-D][A-C][A-P]{1,4}(~[A-Za-z0-9_.-]{0,20}){0,4}|\\PC{0,40})"),
        sids in proptest::option::of("(-?[0-9]{1,2}([,_][0-9]{1,2}){0,3}|\\PC{0,5})"),
        consent in proptest::option::of("(C[A-Za-z0-9_-]{0,80}|\\PC{0,40})"),
    ) {
        let pairs: Vec<(&str, &str)> = [("gpp", &gpp), ("gpp_sid", &sids), ("gdpr_consent", &consent)]
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.as_deref()?)))
            .collect();
        let with = flags(&[&pairs[..], &[("gdpr", "1")]].concat());
        prop_assert_eq!(flags(&pairs) & !with, 0, "saying that GDPR applies withholds no less");
        if sids.is_some() && sids.as_deref() != Some("-1") && gpp.is_none() && consent.is_none() {
            prop_assert!(flags(&pairs) != 0, "sections apply, and nothing says what was chosen");
        }
    }
}
