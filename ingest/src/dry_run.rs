//! What would become of a hit, without storing or counting anything: the tracker's own decision, for `sightline explain`.
//!
//! It owns nothing but the setting: whoever fires the hit is an ordinary viewer who asks for no privacy, whom no server key and no cookie
//! speaks for, and nobody opted out. It must never decide anything itself: [`crate::beacon`] does.

use std::num::NonZeroU16;

use catalog::{Catalog, Placement};
use event::clock::UnixMs;
use event::dialect::{Entry, Scratch};
use event::hit::Hit;
use event::key::KeyRing;
use event::link::LinkKeys;
use event::outcome::Outcome;
use event::record::{Device, Platform, Record, SourceKind, decode};
use event::stage::Stage;

use crate::beacon::{self, Decision, Rules, Said};
use crate::caller::Caller;
use crate::vast;

/// Any address of the tracker: the wrapper that is made with it is thrown away.
const BASE: &str = "https://t.example";

/// Under what circumstances.
#[derive(Clone, Copy)]
pub struct DryRun<'a> {
    /// The catalog.
    pub catalog: &'a Catalog,
    /// Any keys: device key and view say no more than whether there is one.
    pub keys: &'a KeyRing,
    /// What signed links are held against; `None` where nobody has the keys: then every link is taken as it is.
    pub link_keys: Option<&'a LinkKeys>,
    /// Our id in the TCF's global vendor list.
    pub tcf_vendor: Option<NonZeroU16>,
    /// User agent of whoever fires it, or empty.
    pub agent: &'a [u8],
    /// When it is received, Unix milliseconds.
    pub received_ms: UnixMs,
}

/// What would become of it.
#[derive(Clone, Copy, Debug)]
pub struct Verdict {
    /// Its outcome: accepted, unresolved, or why not.
    pub outcome: Outcome,
    /// How it is taken to have reached us.
    pub source: SourceKind,
    /// What it was shown on, as far as that was asked.
    pub platform: Platform,
    /// Bits of [`event::record::flag`], as far as the decision went.
    pub flags: u32,
    /// Which identifiers stood in it: bit n for the [`event::identifier::IdField`] with number n.
    pub ids_present: u32,
    /// Which of them identify a device, as far as that was asked.
    pub ids_usable: u32,
    /// The event that would be stored.
    pub counted: Option<Counted>,
}

/// What would be stored of it, in short.
#[derive(Clone, Copy, Debug)]
pub struct Counted {
    /// What it says happened.
    pub stage: Stage,
    /// The time by which it counts, Unix milliseconds.
    pub time_ms: UnixMs,
    /// The campaign's day, days since 1970-01-01.
    pub day: Option<u16>,
    /// The device. Its key is of the keys that were given.
    pub device: Option<Device>,
    /// An id ties it to other hits of its view, and tells its repeats.
    pub has_view: bool,
}

impl DryRun<'_> {
    /// Asks for the VAST wrapper with this query; status and words of the refusal if there is none.
    ///
    /// # Errors
    /// As `GET /vast` would answer.
    pub fn wrapper(&self, query: &str) -> Result<(), (u16, &'static str)> {
        let is_good = |placement: &Placement, hit: &Hit<'_>| {
            self.link_keys
                .is_none_or(|keys| beacon::check_link(placement, hit, keys, self.received_ms).is_ok())
        };
        let mut scratch = Scratch::new();
        match vast::wrapper(
            self.catalog,
            query.as_bytes(),
            &mut scratch,
            (BASE, [0; vast::RID_BYTES]),
            is_good,
        ) {
            Ok(_) => Ok(()),
            Err((status, words)) => Err((status.as_u16(), words)),
        }
    }

    /// Decides about a hit.
    pub fn decide(&self, entry: &Entry<'_, '_>) -> Verdict {
        let mut scratch = Scratch::new();
        let said = Said::of(entry, entry.read(&mut scratch));
        let nobody = opt_out::List::new(opt_out::ListSettings::default());
        let mut rules = Rules {
            catalog: self.catalog,
            keys: self.keys,
            link_keys: self.link_keys,
            opt_outs: &mut nobody.reader(),
            honour_dnt: false,
            tcf_vendor: self.tcf_vendor,
            regions: None,
            may_measure: true,
        };
        let caller = Caller::viewer(self.agent);
        let mut record = Vec::new();
        let (decision, findings) = beacon::decide(&said, &caller, &mut rules, self.received_ms, &mut record);
        let outcome = match decision {
            Decision::Store(outcome) | Decision::Reject(outcome) => outcome,
            Decision::OptOut { shown } => shown,
            Decision::Unknown => Outcome::OptOutUnknown,
        };
        let counted = match decode(&record) {
            Ok(Record::Event(event)) => Some(Counted {
                stage: event.stage,
                time_ms: event.time_ms,
                day: event.day,
                device: event.device,
                has_view: event.view != 0,
            }),
            Ok(Record::Outcomes(_) | Record::TrialHit(_) | Record::RegionLibrary(_)) | Err(_) => None,
        };
        Verdict {
            outcome,
            source: findings.source,
            platform: findings.platform,
            flags: findings.flags,
            ids_present: findings.ids_present,
            ids_usable: findings.ids_usable,
            counted: counted.filter(|_| outcome.is_stored()),
        }
    }
}

#[cfg(test)]
mod tests {
    use event::dialect::Dialects;

    use super::*;

    fn verdict(path: &str, query: &str) -> Verdict {
        let text = "[[campaign]]\nid = \"k\"\nname = \"K\"\ntime_zone = \"UTC\"\n[[campaign.placement]]\nid = \"p\"\nname = \"P\"\nmedium = \"M\"\n\
                    [[campaign.placement]]\nid = \"signed\"\nname = \"S\"\nmedium = \"M\"\nsigned_links = true\n";
        let mut next = 0_u8;
        let keys = KeyRing::generate(|bytes| {
            for byte in bytes {
                next = next.wrapping_mul(31).wrapping_add(7);
                *byte = next;
            }
        });
        let catalog = Catalog::parse(text, "c").expect("a catalog");
        let link_keys = LinkKeys::from_texts([format!("sightline_link_{}", "0123456789abcdef".repeat(4))]);
        let run = DryRun {
            catalog: &catalog,
            keys: &keys,
            link_keys: link_keys.as_ref().ok(),
            tcf_vendor: None,
            agent: b"",
            received_ms: 1_795_262_400_000,
        };
        run.decide(&Dialects::built_in().route(path, Some(query)).expect("a path"))
    }

    #[test]
    fn it_says_what_a_wrapper_would_be_answered_with() {
        let text = "[[campaign]]\nid = \"k\"\nname = \"K\"\ntime_zone = \"UTC\"\n[[campaign.placement]]\nid = \"p\"\nname = \"P\"\nmedium = \"M\"\n\
                    [[campaign.placement]]\nid = \"video\"\nname = \"V\"\nmedium = \"M\"\nvast_tag = \"https://ads.example/tag\"\nsigned_links = true\n";
        let catalog = Catalog::parse(text, "c").expect("a catalog");
        let keys = KeyRing::generate(|bytes| {
            for (at, byte) in bytes.iter_mut().enumerate() {
                *byte = at as u8;
            }
        });
        let link_keys = LinkKeys::from_texts([format!("sightline_link_{}", "0123456789abcdef".repeat(4))]);
        let link_keys = link_keys.expect("a key");
        let run = DryRun {
            catalog: &catalog,
            keys: &keys,
            link_keys: Some(&link_keys),
            tcf_vendor: None,
            agent: b"",
            received_ms: 1_795_262_400_000,
        };
        let status = |query: &str| run.wrapper(query).err().map(|(status, _)| status);
        let signature = link_keys.sign("k", "video", None).expect("signs");
        assert_eq!(status(&format!("c=k&p=video&sig={signature}")), None);
        assert_eq!(status("c=k&p=video"), Some(403));
        assert_eq!(status("c=k&p=p"), Some(404), "it has no vast_tag");
        assert_eq!(status("c=k&p=none"), Some(404));
        assert_eq!(status("c=k"), Some(400));
    }

    #[test]
    fn it_says_what_the_tracker_would() {
        let good = verdict("/i", "c=k&p=p&oaid=1fe9a970-efbb-29e0-0bdd-f5dbbf751ab5&t=1795262300&rid=r1");
        assert_eq!(good.outcome, Outcome::Accepted);
        let counted = good.counted.expect("is stored");
        assert!(counted.device.is_some() && counted.has_view && counted.day == Some(20_778));
        assert_eq!((good.ids_present, good.ids_usable), (1, 1));
        assert_eq!(verdict("/i", "c=k&p=other").outcome, Outcome::Unresolved);
        assert_eq!(verdict("/i", "p=p").outcome, Outcome::MissingCampaign);
        assert_eq!(verdict("/i", "c=k&p=signed").outcome, Outcome::BadSignature);
        let unsigned_and_late = verdict("/i", "c=k&p=signed&t=1794571200");
        assert_eq!(
            unsigned_and_late.outcome,
            Outcome::BadSignature,
            "the tracker asks for the signature first"
        );
        let late = verdict("/i", "c=k&p=p&t=1794571200");
        assert_eq!(late.outcome, Outcome::TooLate);
        assert!(late.counted.is_none());
    }
}
