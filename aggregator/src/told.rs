//! A mistake as the API tells it: in English, and by a code with the values of its words, so that whoever shows it can word it in another language.

use std::collections::BTreeMap;

use catalog::Mistake;
use serde::Serialize;

/// What is wrong with a field or a cell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Told {
    /// What is wrong and what is allowed.
    pub(crate) message: String,
    /// Which mistake it is; not there where nobody is meant to word it otherwise.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(crate) code: &'static str,
    /// What the words name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) values: BTreeMap<&'static str, String>,
}

impl From<Mistake> for Told {
    fn from(mistake: Mistake) -> Self {
        Self { message: mistake.words, code: mistake.code, values: mistake.values.into_iter().collect() }
    }
}
