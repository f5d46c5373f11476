//! Which stage a hit's marks say (DOMAIN §3): an ordered list of rules; the first whose conditions all hold decides.

use crate::outcome::Outcome;
use crate::stage::Stage;

/// Most marks of one table.
pub(super) const MARKS_MAX: usize = 8;

/// The marks of one hit, by their numbers; an absent or unreplaced one is empty.
#[derive(Default)]
pub(super) struct Marks<'a>([&'a [u8]; MARKS_MAX]);

impl<'a> Marks<'a> {
    #[inline]
    pub(super) fn set(&mut self, number: u8, value: &'a [u8]) {
        if let Some(mark) = self.0.get_mut(usize::from(number)) {
            *mark = value;
        }
    }

    #[inline]
    fn get(&self, number: u8) -> &'a [u8] {
        self.0.get(usize::from(number)).copied().unwrap_or_default()
    }
}

/// One rule.
#[derive(Debug)]
pub(super) struct Rule {
    /// `None`: an event that no figure counts.
    pub(super) stage: Option<Stage>,
    pub(super) conditions: Box<[Condition]>,
}

/// A mark and the values that hold; an empty one is that of an absent mark.
#[derive(Debug)]
pub(super) struct Condition {
    pub(super) mark: u8,
    pub(super) values: Box<[Box<[u8]>]>,
}

impl Rule {
    fn holds(&self, marks: &Marks<'_>) -> bool {
        self.conditions.iter().all(|condition| {
            let value = marks.get(condition.mark);
            condition.values.iter().any(|known| **known == *value)
        })
    }

    /// Whether this rule holds wherever the other does, so that the other behind it never decides.
    pub(super) fn covers(&self, other: &Self) -> bool {
        self.conditions.iter().all(|mine| {
            other.conditions.iter().any(|theirs| {
                mine.mark == theirs.mark && theirs.values.iter().all(|value| mine.values.contains(value))
            })
        })
    }
}

/// The stage by the first rule that holds.
///
/// # Errors
/// [`Outcome::UnknownStage`] if none does: a mark has a value that nobody knows. [`Outcome::UncountedEvent`] if the rule says so.
pub(super) fn stage(rules: &[Rule], marks: &Marks<'_>) -> Result<Stage, Outcome> {
    let rule = rules.iter().find(|rule| rule.holds(marks)).ok_or(Outcome::UnknownStage)?;
    rule.stage.ok_or(Outcome::UncountedEvent)
}
