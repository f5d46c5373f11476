//! Reading a dialect table's text: strict, so that a typing error in a table is found when it is loaded and not by a beacon.

use std::collections::BTreeMap;

use super::{Parameter, Table};
use crate::hit::Field;

/// Most parameters of one table.
const PARAMETERS_MAX: usize = 512;
/// Longest name of a parameter, bytes.
const NAME_BYTES_MAX: usize = 64;

/// Why a dialect table was refused: whoever wrote the table has to mend it.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// Not TOML, or with keys that a table does not have; says where.
    #[error("dialect table: {0}")]
    Form(#[from] toml::de::Error),
    /// A parameter fills a field that does not exist.
    #[error("dialect table: parameter `{parameter}`: field `{field}` does not exist")]
    UnknownField {
        /// Name of the parameter.
        parameter: String,
        /// The field that it names.
        field: String,
    },
    /// A separator or equalizer that is not exactly one byte, or two that are the same.
    #[error("dialect table: separator and equalizer must be two different ASCII characters")]
    Separators,
    /// A name that could never be found: empty, too long, or holding a separator.
    #[error("dialect table: parameter `{0}` has a name that the grammar cannot carry")]
    Name(String),
    /// More parameters than the limit.
    #[error("dialect table: more than {PARAMETERS_MAX} parameters")]
    TooMany,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    name: String,
    separator: char,
    equalizer: char,
    #[serde(default)]
    plus_is_space: bool,
    #[serde(default)]
    amp_entity: bool,
    parameters: BTreeMap<String, Entry>,
}

#[derive(serde::Deserialize)]
#[serde(untagged, expecting = "expected a field name, or { field, plus_is_space, json_only }")]
enum Entry {
    Short(String),
    Long(Long),
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Long {
    field: String,
    plus_is_space: Option<bool>,
    #[serde(default)]
    json_only: bool,
}

impl Table {
    /// Reads and checks a table of the form of `dialects/native.toml`.
    ///
    /// # Errors
    /// When the text is not such a table; says what and where.
    pub fn parse_toml(text: &str) -> Result<Self, TableError> {
        let text: Text = toml::from_str(text)?;
        let separators = u8::try_from(text.separator).ok().zip(u8::try_from(text.equalizer).ok());
        let (separator, equalizer) = separators
            .filter(|(s, e)| s != e && s.is_ascii() && e.is_ascii())
            .ok_or(TableError::Separators)?;
        if text.parameters.len() > PARAMETERS_MAX {
            return Err(TableError::TooMany);
        }
        let mut parameters = ahash::HashMap::default();
        for (name, entry) in text.parameters {
            let long = match entry {
                Entry::Short(field) => Long { field, plus_is_space: None, json_only: false },
                Entry::Long(long) => long,
            };
            let bytes = name.as_bytes();
            if bytes.is_empty()
                || bytes.len() > NAME_BYTES_MAX
                || bytes.contains(&separator)
                || bytes.contains(&equalizer)
            {
                return Err(TableError::Name(name));
            }
            let field = Field::from_name(&long.field)
                .ok_or(TableError::UnknownField { parameter: name.clone(), field: long.field })?;
            let plus_is_space = long.plus_is_space.unwrap_or(text.plus_is_space);
            let parameter = Parameter { field, plus_is_space, json_only: long.json_only };
            parameters.insert(name.into_bytes().into_boxed_slice(), parameter);
        }
        Ok(Self {
            name: text.name,
            separator,
            equalizer,
            amp_entity: text.amp_entity && separator == b'&',
            name_bytes_max: parameters.keys().map(|name| name.len()).max().unwrap_or(0),
            parameters,
        })
    }
}
