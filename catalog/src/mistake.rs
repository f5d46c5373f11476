//! What is wrong with what was written or entered: in words, and as a code with the values that the words name, for whoever words it in another language.
//!
//! A code stays when words change. Each is written once, with its words, where the mistake is found: `mistake!("id_form", "a {what}'s id …", what)`.

use std::fmt;

/// What is wrong and what is allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mistake {
    /// Which one it is; empty where only whoever writes a file can make it.
    pub code: &'static str,
    /// What the words name.
    pub values: Vec<(&'static str, String)>,
    /// In English.
    pub words: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl From<String> for Mistake {
    fn from(words: String) -> Self {
        Self { words, ..Self::default() }
    }
}

impl From<&str> for Mistake {
    fn from(words: &str) -> Self {
        words.to_owned().into()
    }
}

/// A [`Mistake`] of a code, its words, and the values that stand in them.
#[macro_export]
macro_rules! mistake {
    ($code:literal, $words:literal $(, $name:ident)* $(,)?) => {
        $crate::Mistake {
            code: $code,
            values: vec![$((stringify!($name), $name.to_string())),*],
            words: format!($words $(, $name = $name)*),
        }
    };
}
