//! Where the catalog's text is kept, as the report API sees it: something that can be read and replaced. Files and topics are the program's matter.

use catalog::edit::Edited;

/// Keeps the catalog's text. All methods block.
pub trait CatalogText: Send + Sync {
    /// The text as it is kept now, which may be newer than the catalog in force.
    ///
    /// # Errors
    /// It cannot be read at present.
    fn read(&self) -> Result<String, CatalogTextError>;

    /// Longest text that can be kept, bytes.
    fn bytes_max(&self) -> usize;

    /// Replaces the text if its version is still `before`, durably, and puts the new catalog in force here. Nobody else of this process replaces it
    /// meanwhile.
    ///
    /// # Errors
    /// See [`CatalogTextError`]. Only after [`CatalogTextError::Unsure`] the text may have been replaced.
    fn replace(&self, before: u32, edited: Edited) -> Result<(), CatalogTextError>;
}

/// Why the text was not read or replaced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogTextError {
    /// Caller: somebody else replaced it; read it again.
    #[error("the catalog is at version {present:08x} by now")]
    Changed {
        /// The version that is kept.
        present: u32,
    },
    /// Machine or Kafka: it was not replaced; try again.
    #[error("{0}")]
    Away(String),
    /// Machine or Kafka: it may have been replaced; look before trying again.
    #[error("{0}")]
    Unsure(String),
}
