//! What a hit says happened to the ad. One ad view passes through several stages; exactly one of them is the impression
//! (DOMAIN §3, VAST tracking events).

/// A stage of an ad view. The number is what is stored: never change one, only add.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Stage {
    /// The ad was downloaded; nothing was shown yet.
    Tracked = 1,
    /// The ad began to render: the impression.
    Impression = 2,
    /// Measured, and viewable by the MRC rule.
    Viewable = 3,
    /// Measured, and not viewable.
    NotViewable = 4,
    /// Viewability could not be measured.
    NotMeasurable = 5,
    /// Video playback started.
    Start = 6,
    /// 25 % of the video.
    FirstQuartile = 7,
    /// 50 % of the video.
    Midpoint = 8,
    /// 75 % of the video.
    ThirdQuartile = 9,
    /// 100 % of the video.
    Complete = 10,
    /// A click.
    Click = 11,
    /// Something the advertiser wanted happened after the ad.
    Conversion = 12,
}

impl Stage {
    /// Every stage, in the order of its number.
    pub const ALL: [Self; 12] = [
        Self::Tracked,
        Self::Impression,
        Self::Viewable,
        Self::NotViewable,
        Self::NotMeasurable,
        Self::Start,
        Self::FirstQuartile,
        Self::Midpoint,
        Self::ThirdQuartile,
        Self::Complete,
        Self::Click,
        Self::Conversion,
    ];

    /// The name in paths (`/e/{stage}`), in JSON and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tracked => "tracked",
            Self::Impression => "impression",
            Self::Viewable => "viewable",
            Self::NotViewable => "not-viewable",
            Self::NotMeasurable => "not-measurable",
            Self::Start => "start",
            Self::FirstQuartile => "first-quartile",
            Self::Midpoint => "midpoint",
            Self::ThirdQuartile => "third-quartile",
            Self::Complete => "complete",
            Self::Click => "click",
            Self::Conversion => "conversion",
        }
    }

    /// The stage of a stored number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| *stage as u8 == number)
    }

    /// The stage of a name as it stands in a path or in JSON. Case matters; `imp` and `impression` are one.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        if name == b"imp" {
            return Some(Self::Impression);
        }
        Self::ALL.into_iter().find(|stage| stage.name().as_bytes() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_one_to_one() {
        for stage in Stage::ALL {
            assert_eq!(Stage::from_name(stage.name().as_bytes()), Some(stage));
            assert_eq!(Stage::from_number(stage as u8), Some(stage));
        }
        assert_eq!(Stage::from_number(0), None);
        assert_eq!(Stage::from_name(b"notUsed"), None);
    }
}
