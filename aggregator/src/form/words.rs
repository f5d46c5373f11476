//! Names of the API in the words of whoever reads a sheet: headings, what is known of all rows, and values that the API names.
//!
//! Must never: change a figure, or a text that somebody else wrote.

mod list;

use std::collections::BTreeMap;

use self::list::{FACTS, HEADINGS, VALUES, Word};
use super::{Column, Place};

/// In whose words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    /// English.
    English,
    /// Chinese.
    Chinese,
}

/// What rows are called whose key is an id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    /// Columns of names, by their own.
    pub(crate) columns: &'static [&'static str],
    /// The names of a key, one for each column.
    pub(crate) of: BTreeMap<String, Vec<String>>,
}

impl Language {
    /// That of its name in requests.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        match name {
            "en" => Some(Self::English),
            "zh" => Some(Self::Chinese),
            _ => None,
        }
    }

    /// The one of two texts that is in it.
    pub(crate) fn of<T>(self, english: T, chinese: T) -> T {
        match self {
            Self::English => english,
            Self::Chinese => chinese,
        }
    }

    fn word(self, words: &[Word], name: &str) -> Option<&'static str> {
        words.iter().find(|(of, ..)| *of == name).map(|(_, english, chinese)| self.of(*english, *chinese))
    }

    /// The heading of a column by its flat name.
    pub(crate) fn named(self, name: &str) -> Option<&'static str> {
        self.word(HEADINGS, name)
    }

    /// What a fact is called.
    pub(crate) fn fact(self, name: &str) -> Option<&'static str> {
        self.word(FACTS, name)
    }

    /// The words of a value of something.
    pub(crate) fn value(self, of: &str, value: &str) -> Option<&'static str> {
        let is_it = |name: &str| name.strip_prefix(of).and_then(|rest| rest.strip_prefix('.')) == Some(value);
        VALUES.iter().find(|(name, ..)| is_it(name)).map(|(_, english, chinese)| self.of(*english, *chinese))
    }
}

/// The heading of a column whose rows are keyed `by` something, in a list of so many entries; the API's own name where there is no other.
pub(super) fn heading(column: &Column, (by, entries): (&str, usize), language: Language) -> String {
    let with = |pattern: &str, word: &str| language.named(pattern).map(|pattern| pattern.replace('#', word));
    let worded = match &column.place {
        Place::Alone("key") => language.value("by", by).map(str::to_owned),
        Place::Alone(name) => language.named(name).map(str::to_owned),
        Place::Member("identified_by_kind", kind) => {
            with("identified_by_kind_#", language.value("id_kind", kind).unwrap_or(kind))
        }
        Place::Member(group @ ("interval_low" | "interval_high" | "adjustment"), name) => {
            language.named(name).and_then(|name| with(&format!("{group}_of"), name))
        }
        Place::Member(..) => language.named(&column.place.flat()).map(str::to_owned),
        Place::Item(list, number) if *number == entries && list.starts_with("exactly") => {
            with(&format!("{list}_last"), &number.to_string())
        }
        Place::Item(list, number) | Place::Name(list, number) => {
            with(&format!("{list}_#"), &number.to_string())
        }
    };
    worded.unwrap_or_else(|| column.place.flat())
}

/// What a text stands for in a column.
pub(super) fn value(column: &Column, by: &str, text: &str, language: Language) -> Option<&'static str> {
    match column.place {
        Place::Alone("key") | Place::Name(..) => language.value(by, text),
        Place::Alone(of @ ("kind" | "state" | "source")) => language.value(of, text),
        _ => None,
    }
}

/// What a fact says.
pub(super) fn fact(name: &str, text: &str, language: Language) -> Option<&'static str> {
    ["by", "filter", "report"].contains(&name).then(|| language.value(name, text)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_stands_once_and_in_both_languages() {
        for list in [HEADINGS, FACTS, VALUES] {
            for (at, (name, english, chinese)) in list.iter().enumerate() {
                assert!(!english.is_empty() && !chinese.is_empty(), "{name}");
                assert!(list.iter().skip(at + 1).all(|(other, ..)| other != name), "{name} stands twice");
                assert_eq!(english.contains('#'), chinese.contains('#'), "{name}");
            }
        }
    }
}
