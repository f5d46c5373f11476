//! Which URLs are asked for: of which dialects, and for what. The names here are those of the command line and of the report API.

use event::stage::Stage;

/// Which dialects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The placement's own, if it names one; else those that media ask for most: native and Miaozhen's, and VAST where the placement is stitched
    /// or has a VAST tag.
    Usual,
    /// Every one that can carry the placement.
    All,
    /// This one.
    Named(String),
}

/// What a URL is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A hit that says this stage.
    Stage(Stage),
    /// The VAST wrapper of the placement. It counts nothing itself and asks the player for every stage.
    VastTag,
}

/// The name of [`Purpose::VastTag`].
const VAST_TAG: &str = "vast-tag";

impl Purpose {
    /// The stage's name, or `vast-tag`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stage(stage) => stage.name(),
            Self::VastTag => VAST_TAG,
        }
    }

    /// The purpose of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        if name == VAST_TAG {
            return Some(Self::VastTag);
        }
        Stage::from_name(name.as_bytes()).map(Self::Stage)
    }
}

/// Which URLs of a dialect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Purposes {
    /// What every medium needs: impression, click, and the VAST wrapper of a placement that has one.
    #[default]
    Usual,
    /// Each that the dialect has.
    All,
    /// These.
    Named(Vec<Purpose>),
}

/// A name that is no stage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no stage {name:?}: all, or some of {known}, with commas between them")]
pub struct UnknownPurpose {
    name: String,
    known: String,
}

impl Purposes {
    /// Reads `all`, or names with commas between them: `impression,viewable`.
    ///
    /// # Errors
    /// A name that is none, with those that there are.
    pub fn parse(text: &str) -> Result<Self, UnknownPurpose> {
        if text.trim() == "all" {
            return Ok(Self::All);
        }
        let named = text.split(',').map(str::trim).map(|name| {
            Purpose::from_name(name).ok_or_else(|| {
                let stages = Stage::ALL.into_iter().map(Stage::name).chain([VAST_TAG]);
                UnknownPurpose { name: name.to_owned(), known: stages.collect::<Vec<_>>().join(" ") }
            })
        });
        named.collect::<Result<_, _>>().map(Self::Named)
    }

    /// Whether such a URL is asked for.
    pub fn has(&self, purpose: Purpose) -> bool {
        match self {
            Self::All => true,
            Self::Usual => {
                matches!(purpose, Purpose::Stage(Stage::Impression | Stage::Click) | Purpose::VastTag)
            }
            Self::Named(named) => named.contains(&purpose),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_named_one_by_one_or_all() {
        assert_eq!(Purposes::parse("all"), Ok(Purposes::All));
        let named = Purposes::parse("impression, vast-tag").expect("are stages");
        assert!(named.has(Purpose::Stage(Stage::Impression)) && named.has(Purpose::VastTag));
        assert!(!named.has(Purpose::Stage(Stage::Click)));
        assert!(Purposes::Usual.has(Purpose::Stage(Stage::Click)));
        assert!(!Purposes::Usual.has(Purpose::Stage(Stage::Viewable)));
        for wrong in ["", "impresion", "impression,", "all,click", "Impression"] {
            let error = Purposes::parse(wrong).expect_err("is none").to_string();
            assert!(error.contains("first-quartile") && error.contains("vast-tag"), "{error}");
        }
    }
}
