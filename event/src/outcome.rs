//! What became of a beacon. Each has exactly one outcome, counted in one place, and the books balance:
//! received = the sum of all outcomes (+ those whose commit is still under way).
//!
//! There is never a `_ =>` on [`Outcome`]: a new fate must be looked at everywhere.

macro_rules! outcomes {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $name:literal;)*) => {
        /// The fate of one beacon. The number is its place in [`crate::record::OutcomeCounts`] and is stored: never change one, only add.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Outcome { $($(#[$doc])* $variant = $number,)* }

        impl Outcome {
            /// Every outcome, in the order of its number.
            pub const ALL: [Self; [$($number),*].len()] = [$(Self::$variant),*];

            /// The name in metrics, in `x-sightline-outcome` and in batch results.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

outcomes! {
    /// Stored as an event of a known campaign and placement.
    Accepted = 0, "accepted";
    /// Stored, but its campaign or placement is not in the catalog (yet): kept 7 days for adoption.
    Unresolved = 1, "unresolved";
    /// A click redirected before the journal confirmed it within the bound (20 ms); it may or may not be stored.
    UnconfirmedClick = 2, "unconfirmed_click";
    /// A click redirected while the journal refused it: counted here, not stored.
    LostClick = 3, "lost_click";
    /// The journal could not take it: the caller got 503 and shall send it again.
    StorageFailed = 4, "storage_failed";
    /// The device or the browser opted out: nothing is stored. Callers see `accepted`.
    OptedOut = 5, "opted_out";
    /// Prefetched or prerendered by a browser: not an ad shown, not even in gross.
    Prefetch = 6, "prefetch";
    /// The node cannot know whether it has heard every opt-out: it does not measure.
    OptOutUnknown = 7, "opt_out_unknown";
    /// No campaign parameter.
    MissingCampaign = 8, "missing_campaign";
    /// No placement parameter.
    MissingPlacement = 9, "missing_placement";
    /// A parameter's escape is broken, or its value is not what its field takes.
    Malformed = 10, "malformed";
    /// Parameters contradict each other (the same one twice with different values).
    Contradictory = 11, "contradictory";
    /// The stage is not one that is known.
    UnknownStage = 12, "unknown_stage";
    /// The client's time lies 7 to 30 days back: too late to be counted.
    TooLate = 13, "too_late";
    /// A right (`ip`, `ua`, `backdate`) was used without a server key that carries it.
    NotPermitted = 14, "not_permitted";
    /// A field is longer than its limit.
    TooLong = 15, "too_long";
    /// The placement takes signed links only, and this one's signature is absent or wrong.
    BadSignature = 16, "bad_signature";
    /// The signed link's time has passed.
    LinkExpired = 17, "link_expired";
    /// An event of a player that no figure counts: mute, pause, `notUsed` …
    UncountedEvent = 18, "uncounted_event";
}

impl Outcome {
    /// How many outcomes there are.
    pub const COUNT: usize = Self::ALL.len();

    /// The outcome of a stored number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// Whether a beacon with this outcome has a record in the journal for certain.
    pub fn is_stored(self) -> bool {
        match self {
            Self::Accepted | Self::Unresolved => true,
            Self::UnconfirmedClick
            | Self::LostClick
            | Self::StorageFailed
            | Self::OptedOut
            | Self::Prefetch
            | Self::OptOutUnknown
            | Self::MissingCampaign
            | Self::MissingPlacement
            | Self::Malformed
            | Self::Contradictory
            | Self::UnknownStage
            | Self::TooLate
            | Self::NotPermitted
            | Self::TooLong
            | Self::BadSignature
            | Self::LinkExpired
            | Self::UncountedEvent => false,
        }
    }

    /// What a caller may be told: an opted-out device looks like an accepted one, so that nobody learns from an answer who opted out.
    #[must_use]
    pub fn shown_to_caller(self) -> Self {
        match self {
            Self::OptedOut => Self::Accepted,
            Self::Accepted
            | Self::Unresolved
            | Self::UnconfirmedClick
            | Self::LostClick
            | Self::StorageFailed
            | Self::Prefetch
            | Self::OptOutUnknown
            | Self::MissingCampaign
            | Self::MissingPlacement
            | Self::Malformed
            | Self::Contradictory
            | Self::UnknownStage
            | Self::TooLate
            | Self::NotPermitted
            | Self::TooLong
            | Self::BadSignature
            | Self::LinkExpired
            | Self::UncountedEvent => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_positions_and_names_are_unique() {
        for (index, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, index);
            assert_eq!(Outcome::ALL.iter().filter(|o| o.name() == outcome.name()).count(), 1);
        }
    }

    #[test]
    fn an_opt_out_is_not_told() {
        assert_eq!(Outcome::OptedOut.shown_to_caller(), Outcome::Accepted);
    }
}
