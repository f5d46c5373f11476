//! Where a viewer is: a library of regions by address, a file in MaxMind's format, as the operator has it.
//!
//! Owns the reading of such a file and the code of a region: `CN`, or `CN-SH` where the library knows the subdivision (ISO 3166). The address is looked up
//! in memory, before it is cut, and goes nowhere from here. A look-up allocates nothing. Must never guess: what the library does not say is no region.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use event::record::LIBRARY_NAME_BYTES_MAX;
use maxminddb::{PathElement, Reader, WithinOptions};
use sha2::{Digest, Sha256};

/// Largest file, bytes: the libraries that are sold have about 150 MiB.
const FILE_BYTES_MAX: u64 = 1 << 30;
/// Networks that are looked at before a library is said to know no region.
const NETWORKS_TRIED_MAX: usize = 100_000;
/// Longest code, bytes: two letters, a dash, and three of the subdivision.
const CODE_BYTES_MAX: usize = 6;
/// Data records whose code is remembered, for each lane: networks of one place share their record.
const REMEMBERED: usize = 4096;

const COUNTRY: [PathElement<'_>; 2] = [PathElement::Key("country"), PathElement::Key("iso_code")];
const SUBDIVISION: [PathElement<'_>; 3] =
    [PathElement::Key("subdivisions"), PathElement::Index(0), PathElement::Key("iso_code")];

/// The library in force, shared with the lanes and swapped whole; empty where none is configured.
pub type SharedRegions = Arc<ArcSwapOption<RegionLibrary>>;

/// Why a file is no region library. The operator's to solve.
#[derive(Debug, thiserror::Error)]
pub enum RegionError {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// It is too large.
    #[error("it has {bytes} bytes, more than {FILE_BYTES_MAX}")]
    TooLarge {
        /// Its size.
        bytes: u64,
    },
    /// It is not in MaxMind's format, or damaged.
    #[error("it is no whole library in MaxMind's format (.mmdb): {0}")]
    Format(#[from] maxminddb::MaxMindDbError),
    /// It is of something else.
    #[error(
        "{name} says the country of no address (country.iso_code): a library of countries or cities is needed"
    )]
    NoRegions {
        /// Its type as it says itself.
        name: String,
    },
    /// It says no name, or too long a one.
    #[error("its type must have 1 to {LIBRARY_NAME_BYTES_MAX} bytes")]
    Name,
}

/// A library, checked whole.
pub struct RegionLibrary {
    reader: Reader<Vec<u8>>,
    version: u32,
}

impl RegionLibrary {
    /// Reads and checks a file. Takes a while for a large one.
    ///
    /// # Errors
    /// See [`RegionError`].
    pub fn open(path: &Path) -> Result<Self, RegionError> {
        let bytes = std::fs::metadata(path)?.len();
        if bytes > FILE_BYTES_MAX {
            return Err(RegionError::TooLarge { bytes });
        }
        Self::read(std::fs::read(path)?)
    }

    /// Checks the bytes of a file.
    ///
    /// # Errors
    /// See [`RegionError`].
    pub fn read(bytes: Vec<u8>) -> Result<Self, RegionError> {
        let digest: [u8; 32] = Sha256::digest(&bytes).into();
        let version = digest.iter().take(4).fold(0, |version, byte| version << 8 | u32::from(*byte));
        let reader = Reader::from_source(bytes)?;
        reader.verify()?;
        let library = Self { reader, version };
        if !(1..=LIBRARY_NAME_BYTES_MAX).contains(&library.name().len()) {
            return Err(RegionError::Name);
        }
        let mut networks = library.reader.networks(WithinOptions::default())?.take(NETWORKS_TRIED_MAX);
        let knows_one = networks.any(|found| found.is_ok_and(|found| code(&found) != Region::NONE));
        if knows_one { Ok(library) } else { Err(RegionError::NoRegions { name: library.name().to_owned() }) }
    }

    /// Its type as it says itself, such as `GeoLite2-City`.
    pub fn name(&self) -> &str {
        &self.reader.metadata().database_type
    }

    /// When it was built, Unix seconds.
    pub fn built(&self) -> u64 {
        self.reader.metadata().build_epoch
    }

    /// First 32 bits of the SHA-256 of its file.
    pub fn version(&self) -> u32 {
        self.version
    }
}

impl fmt::Debug for RegionLibrary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegionLibrary").field("name", &self.name()).field("built", &self.built()).finish()
    }
}

/// The code of a region, or that there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    bytes: [u8; CODE_BYTES_MAX],
    length: u8,
}

impl Region {
    /// Not known.
    pub(crate) const NONE: Self = Self { bytes: [0; CODE_BYTES_MAX], length: 0 };

    fn of(country: &str, subdivision: Option<&str>) -> Self {
        let is_code =
            |code: &str| code.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        if country.len() != 2 || !is_code(country) {
            return Self::NONE;
        }
        let mut region = Self::NONE;
        region.push(country);
        if let Some(code) = subdivision.filter(|code| (1..=3).contains(&code.len()) && is_code(code)) {
            region.push("-");
            region.push(code);
        }
        region
    }

    fn push(&mut self, text: &str) {
        let start = usize::from(self.length);
        if let Some(room) = self.bytes.get_mut(start..start + text.len()) {
            room.copy_from_slice(text.as_bytes());
            self.length += text.len() as u8;
        }
    }

    /// The code; empty where there is none.
    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.length)).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

/// The code that a data record says.
fn code<S: AsRef<[u8]>>(found: &maxminddb::LookupResult<'_, S>) -> Region {
    let Ok(Some(country)) = found.decode_path::<&str>(&COUNTRY) else { return Region::NONE };
    let subdivision = found.decode_path::<&str>(&SUBDIVISION).ok().flatten();
    Region::of(country, subdivision)
}

/// A lane's own view of the library.
pub struct Regions {
    library: arc_swap::Cache<SharedRegions, Option<Arc<RegionLibrary>>>,
    /// Codes by the offset of their data record; as long as the library is this one.
    remembered: Box<[(usize, Region)]>,
    of: Option<Arc<RegionLibrary>>,
}

impl Regions {
    /// A view of what is in force.
    pub fn new(shared: &SharedRegions) -> Self {
        Self {
            library: arc_swap::Cache::new(Arc::clone(shared)),
            remembered: vec![(usize::MAX, Region::NONE); REMEMBERED].into(),
            of: None,
        }
    }

    /// The library in force now.
    pub(crate) fn library(&mut self) -> Option<&Arc<RegionLibrary>> {
        self.library.load().as_ref()
    }

    /// Keeps no library that another one took the place of.
    pub(crate) fn let_go(&mut self) {
        let library = self.library.load();
        if self.of.is_some() && !same(self.of.as_ref(), library.as_ref()) {
            self.of = None;
        }
    }

    /// Where an address is.
    pub fn find(&mut self, address: IpAddr) -> Region {
        let Some(library) = self.library.load() else { return Region::NONE };
        if !same(self.of.as_ref(), Some(library)) {
            self.remembered.fill((usize::MAX, Region::NONE));
            self.of = Some(Arc::clone(library));
        }
        let Ok(found) = library.reader.lookup(address) else { return Region::NONE };
        let Some(offset) = found.offset() else { return Region::NONE };
        // Neighbours in the file are not neighbours in traffic.
        let place = (offset.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % REMEMBERED;
        let Some(slot) = self.remembered.get_mut(place) else { return Region::NONE };
        if slot.0 != offset {
            *slot = (offset, code(&found));
        }
        slot.1
    }
}

fn same(one: Option<&Arc<RegionLibrary>>, other: Option<&Arc<RegionLibrary>>) -> bool {
    one.zip(other).is_some_and(|(one, other)| Arc::ptr_eq(one, other))
}

#[cfg(test)]
mod tests;
