//! The text of a table as TOML gives it: names and types of its keys, nothing decided. It owns which keys there are.

use std::collections::BTreeMap;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Text {
    pub(super) name: String,
    pub(super) title: Option<String>,
    pub(super) separator: String,
    pub(super) equalizer: String,
    #[serde(default)]
    pub(super) plus_is_space: bool,
    #[serde(default)]
    pub(super) amp_entity: bool,
    #[serde(default)]
    pub(super) whole_encoded: bool,
    pub(super) repeats: Option<String>,
    pub(super) rest: Option<String>,
    pub(super) time_offset: Option<String>,
    #[serde(default)]
    pub(super) missing: Vec<String>,
    #[serde(default)]
    pub(super) withheld: Vec<String>,
    pub(super) positional: Option<String>,
    #[serde(default)]
    pub(super) marks: Vec<String>,
    #[serde(default)]
    pub(super) dropped: Vec<String>,
    #[serde(default)]
    pub(super) paths: Vec<PathText>,
    #[serde(default)]
    pub(super) stages: Vec<StageText>,
    #[serde(default)]
    pub(super) events: BTreeMap<String, String>,
    pub(super) parameters: BTreeMap<String, Named>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PathText {
    pub(super) path: String,
    pub(super) stage: Option<String>,
    pub(super) when: Option<String>,
    pub(super) answer: Option<String>,
    pub(super) query: Option<String>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StageText {
    pub(super) stage: String,
    #[serde(default)]
    pub(super) marks: BTreeMap<String, Values>,
}

#[derive(serde::Deserialize)]
#[serde(untagged, expecting = "expected a value or a list of values, each in quotes")]
pub(super) enum Values {
    One(String),
    Many(Vec<String>),
}

impl Values {
    pub(super) fn all(&self) -> &[String] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Many(values) => values,
        }
    }
}

#[derive(serde::Deserialize)]
#[serde(
    untagged,
    expecting = "expected a field name, or { field or pattern or words, digest, encoding, macro, plus_is_space, json_only }"
)]
pub(super) enum Named {
    Short(String),
    Long(Long),
}

#[derive(Clone, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Long {
    pub(super) field: Option<String>,
    pub(super) pattern: Option<String>,
    pub(super) words: Option<BTreeMap<String, String>>,
    pub(super) digest: Option<String>,
    pub(super) encoding: Option<String>,
    #[serde(rename = "macro")]
    pub(super) template_macro: Option<String>,
    pub(super) plus_is_space: Option<bool>,
    #[serde(default)]
    pub(super) number: bool,
    #[serde(default)]
    pub(super) json_only: bool,
}
