//! What whoever integrates a placement should do about an outcome: for `explain` and `watch`. One sentence for each, never a value of a hit.

use event::outcome::Outcome;

/// What the outcome means to whoever sent the hit, and how to mend it.
pub(crate) fn hint(outcome: Outcome) -> &'static str {
    match outcome {
        // An opt-out is not told.
        Outcome::Accepted | Outcome::OptedOut => "counted",
        Outcome::Unresolved => {
            "kept for 7 days and counted once the catalog has this campaign and placement: check both ids"
        }
        Outcome::UnconfirmedClick => {
            "redirected before the journal confirmed it; it may or may not be counted"
        }
        Outcome::LostClick => "redirected, and not stored: the operator has to look at the journal",
        Outcome::StorageFailed => "not stored; answered with 503: send it again",
        Outcome::Prefetch => {
            "fetched ahead of time by a browser: no ad was shown; fire it when the ad renders"
        }
        Outcome::OptOutUnknown => "the node does not know every opt-out at present: send it again",
        Outcome::MissingCampaign => "no campaign: was its parameter cut off, or left out of the template?",
        Outcome::MissingPlacement => "no placement: was its parameter cut off, or left out of the template?",
        Outcome::Malformed => {
            "a value cannot be read: a broken % escape, or an id with characters that no campaign or placement has"
        }
        Outcome::Contradictory => "one parameter stands twice with different values: send it once",
        Outcome::UnknownStage => "what happened is not told: check the path, or the marks of the stage",
        Outcome::TooLate => "the client's time lies 7 to 30 days back: too late to be counted",
        Outcome::NotPermitted => "the viewer's address or agent was sent without a server key that allows it",
        Outcome::TooLong => "a value is longer than its field takes",
        Outcome::BadSignature => {
            "this placement takes signed links only: hand out the links of `sightline links` unchanged"
        }
        Outcome::LinkExpired => "the signed link has ended: hand out a new one",
        Outcome::UncountedEvent => {
            "a player's event that no figure counts (mute, pause, close …): nothing to mend"
        }
    }
}
