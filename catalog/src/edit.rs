//! Changing the catalog's text as a person would: what is named is changed, every other byte stays where it is, comments included.
//!
//! A change is pure: text in, text out. The text before has to be a right catalog, and so has the one behind; else nothing comes out. What stands
//! around a change follows the habits of people: a comment right above a header or key belongs to it and goes with it; one that a blank line parts
//! from the header below belongs to what stands above.
//!
//! Must never: write a text that [`Catalog::parse_with`] refuses, or touch a campaign that no change names.

mod check;
mod document;
mod value;

use event::profile::Profiles;

pub use self::check::{FieldError, check_campaign, check_placement};
use self::document::Document;
pub use self::value::{Fields, Value, field};
use crate::{Catalog, Error};

/// Longest text that is edited, and that comes out of an edit, bytes: a tree of it is held in memory. Larger ones are edited as files.
pub const TEXT_BYTES_MAX: usize = 16 << 20;

/// One change.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A campaign that is not there yet, behind the others.
    AddCampaign(Fields),
    /// Other values for some keys of a campaign.
    SetCampaign {
        /// Its id, which stays.
        campaign: String,
        /// What changes; `None` takes a key away.
        fields: Fields,
    },
    /// A campaign goes with all of its placements.
    RemoveCampaign {
        /// Its id.
        campaign: String,
    },
    /// A placement that is not there yet, behind the campaign's others.
    AddPlacement {
        /// Its campaign.
        campaign: String,
        /// Its keys.
        fields: Fields,
    },
    /// Other values for some keys of a placement.
    SetPlacement {
        /// Its campaign.
        campaign: String,
        /// Its id, which stays.
        placement: String,
        /// What changes; `None` takes a key away.
        fields: Fields,
    },
    /// A placement goes.
    RemovePlacement {
        /// Its campaign.
        campaign: String,
        /// Its id.
        placement: String,
    },
}

/// A changed catalog.
#[derive(Debug)]
pub struct Edited {
    /// Its text.
    pub text: String,
    /// What is read from it.
    pub catalog: Catalog,
}

/// Why nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// Whoever edits the text by hand: as it stands it is no right catalog.
    #[error("the catalog as it stands has a mistake and has to be mended by hand first: {0}")]
    Broken(Error),
    /// Whoever edits the text by hand: it is written in a way that cannot be changed in place.
    #[error("the catalog's text cannot be edited in place: {0}")]
    NotEditable(&'static str),
    /// Caller: there is no such campaign.
    #[error("no campaign of that id is known")]
    UnknownCampaign,
    /// Caller: the campaign has no such placement.
    #[error("the campaign has no placement of that id")]
    UnknownPlacement,
    /// Caller: what is to be added is there already.
    #[error("{what} `{id}` is there already")]
    Exists {
        /// `campaign` or `placement`.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// Caller: an id cannot be changed, for it stands in tracking URLs and stored events.
    #[error("an id stays as it is, for tracking URLs carry it: add another one instead")]
    IdStays,
    /// Caller: a value is not allowed, or does not go with the others.
    #[error("{0}")]
    Refused(String),
}

/// Applies changes one after the other: all of them, or none.
///
/// # Errors
/// See [`EditError`].
pub fn edit(text: &str, changes: &[Change], profiles: &Profiles) -> Result<Edited, EditError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(EditError::NotEditable("it is longer than 16 MiB: edit the file"));
    }
    Catalog::parse_with(text, "catalog", profiles).map_err(EditError::Broken)?;
    let mut document = Document::parse(text)?;
    for change in changes {
        document.apply(change)?;
    }
    let text = document.into_text();
    if text.len() > TEXT_BYTES_MAX {
        return Err(EditError::Refused(too_long(text.len(), TEXT_BYTES_MAX)));
    }
    let catalog = Catalog::parse_with(&text, "catalog", profiles)
        .map_err(|error| EditError::Refused(error.problem.words))?;
    Ok(Edited { text, catalog })
}

/// What is said of a change that would make the catalog's text too long.
pub fn too_long(bytes: usize, bytes_max: usize) -> String {
    format!(
        "the catalog would have {bytes} bytes, and at most {bytes_max} can be kept here: remove campaigns that are over, or write fewer ranges into plans"
    )
}
