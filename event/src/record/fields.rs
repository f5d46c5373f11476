//! The stored fields as a table: what each is for, how sensitive it is, how long it stays. The privacy page is made from it.

/// How much a field says about a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sensitivity {
    /// Says nothing about a person.
    None,
    /// Personal data that does not single a person out by itself.
    Personal,
    /// Stands for a device or a view; linkable for whoever holds the events, not reversible without the key.
    Pseudonym,
}

/// What the privacy page says about one stored field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldNote {
    /// Name of the field in [`super::Event`].
    pub name: &'static str,
    /// What it is kept for.
    pub purpose: &'static str,
    /// How much it says about a person.
    pub sensitivity: Sensitivity,
    /// How long it stays.
    pub retention: &'static str,
}

/// Retention of an event: the journal's segments go after 7 days, the store's rows 190 days after receipt (both by setting);
/// unresolved events after 7 days.
pub const EVENT_RETENTION: &str = "190 days from receipt; 7 days while its placement is unknown";

/// Retention of what an erasure blanks.
pub const ERASABLE_RETENTION: &str =
    "190 days from receipt, or until erased on request; 7 days while its placement is unknown";

const fn note(name: &'static str, purpose: &'static str, sensitivity: Sensitivity) -> FieldNote {
    FieldNote { name, purpose, sensitivity, retention: EVENT_RETENTION }
}

const fn erasable(name: &'static str, purpose: &'static str, sensitivity: Sensitivity) -> FieldNote {
    FieldNote { name, purpose, sensitivity, retention: ERASABLE_RETENTION }
}

/// Every field of [`super::Event`], in its order.
pub const FIELDS: &[FieldNote] = &[
    note("received_ms", "order, retention, plausibility of the client's time", Sensitivity::None),
    note("time_ms", "day and hour of the figures, order of the hits of one view", Sensitivity::None),
    note("client_time_ms", "recognising repeats, checks of clocks", Sensitivity::None),
    note("day", "figures by day", Sensitivity::None),
    note("hour", "figures by hour", Sensitivity::None),
    note("stage", "what is counted: impression, viewable, click …", Sensitivity::None),
    note("source", "which validity rules apply", Sensitivity::None),
    note("platform", "figures by platform, choice of the identifier", Sensitivity::None),
    note("flags", "validity, and why a device key is missing (privacy signals)", Sensitivity::Personal),
    note("campaign", "what is counted", Sensitivity::None),
    note("placement", "what is counted", Sensitivity::None),
    note("creative", "figures by creative", Sensitivity::None),
    note("region", "figures by region", Sensitivity::Personal),
    note("catalog_version", "audit of how it was resolved", Sensitivity::None),
    erasable("device", "reach and frequency, by a keyed hash", Sensitivity::Pseudonym),
    note("view", "repeats, clicks and viewability of one ad view", Sensitivity::Pseudonym),
    erasable(
        "network",
        "robot and data-centre lists of later months, on an address cut to /24 or /48",
        Sensitivity::Personal,
    ),
    erasable("agent", "robot lists of later months", Sensitivity::Personal),
    note("site", "on which sites a web placement ran", Sensitivity::None),
];
