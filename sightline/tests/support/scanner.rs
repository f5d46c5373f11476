//! A search for secrets in every form that they could leak in: as text in any case, without its separators, percent-encoded, as UTF-16, in hex,
//! in base64 at any offset, as the bytes that a hexadecimal or decimal number stands for, and the MD5, SHA-1 and SHA-256 of each spelling as hex,
//! bytes and base64, and their first or last eight bytes alone, which is what a number of 64 bits keeps of them.
//!
//! Everything is compared in lower case, binary forms too: a form is at least [`FORM_BYTES_MIN`] bytes long, so that none is met by chance.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::Sha256;

use super::http::{hex, percent};

/// Shortest form that is looked for, bytes.
pub(crate) const FORM_BYTES_MIN: usize = 8;
/// Bits of the filter in front of the index.
const FILTER_BITS: u32 = 20;
/// Largest file that is looked through, bytes: a larger one fails the test, instead of being left out.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// Something that must be found nowhere.
#[derive(Clone, Debug)]
pub(crate) struct Secret {
    /// What it is, for the message of a failure.
    pub(crate) name: String,
    /// Its text.
    pub(crate) text: String,
}

/// A form of a secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Form {
    /// Of which secret, and which form.
    pub(crate) name: String,
    /// Its bytes in lower case.
    pub(crate) bytes: Vec<u8>,
}

/// A secret that was found.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// Where: a file, or what was asked.
    pub(crate) place: String,
    /// At which byte.
    pub(crate) offset: usize,
    /// Which form of which secret.
    pub(crate) form: String,
}

/// Looks for the forms of many secrets at once.
pub(crate) struct Scanner {
    forms: Vec<Form>,
    /// By the first eight bytes.
    index: HashMap<u64, Vec<usize>>,
    filter: Vec<bool>,
    /// Bytes looked through so far.
    pub(crate) bytes: u64,
    /// What was found.
    pub(crate) found: Vec<Found>,
}

impl Scanner {
    /// A scanner for these secrets.
    pub(crate) fn new(secrets: &[Secret]) -> Self {
        let forms: BTreeSet<Form> = secrets.iter().flat_map(forms_of).collect();
        let forms: Vec<Form> = forms.into_iter().filter(|form| form.bytes.len() >= FORM_BYTES_MIN).collect();
        let mut index: HashMap<u64, Vec<usize>> = HashMap::new();
        let mut filter = vec![false; 1 << FILTER_BITS];
        for (number, form) in forms.iter().enumerate() {
            let first = form.bytes[..8].try_into().expect("eight bytes");
            let key = u64::from_le_bytes(first);
            index.entry(key).or_default().push(number);
            filter[slot(key)] = true;
        }
        Self { forms, index, filter, bytes: 0, found: Vec::new() }
    }

    /// Every form that is looked for.
    pub(crate) fn forms(&self) -> &[Form] {
        &self.forms
    }

    /// Looks through `bytes`; each form is reported once for a place.
    pub(crate) fn look(&mut self, place: &str, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        let lower = bytes.to_ascii_lowercase();
        let mut seen = BTreeSet::new();
        let mut window = 0_u64;
        for (at, byte) in lower.iter().enumerate() {
            window = window >> 8 | u64::from(*byte) << 56;
            if at < 7 || !self.filter[slot(window)] {
                continue;
            }
            let start = at - 7;
            for number in self.index.get(&window).into_iter().flatten() {
                let form = &self.forms[*number];
                if lower[start..].starts_with(&form.bytes) && seen.insert(*number) {
                    self.found.push(Found {
                        place: place.to_owned(),
                        offset: start,
                        form: form.name.clone(),
                    });
                }
            }
        }
    }

    /// Looks through every file below `dir`; how many there were.
    pub(crate) fn look_through(&mut self, dir: &Path) -> usize {
        let files = files_below(dir);
        for path in &files {
            let size = std::fs::metadata(path).map_or(0, |meta| meta.len());
            assert!(size <= FILE_BYTES_MAX, "{} has {size} bytes, too large to look through", path.display());
            let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            self.look(&path.display().to_string(), &bytes);
            self.look("a file's name", path.as_os_str().as_encoded_bytes());
        }
        files.len()
    }
}

/// Every file below a folder.
pub(crate) fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![dir.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        for entry in entries {
            let entry = entry.expect("an entry");
            let kind = entry.file_type().expect("its type");
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    files
}

/// The forms of one secret.
fn forms_of(secret: &Secret) -> Vec<Form> {
    let text = secret.text.as_str();
    let bare: String = text.chars().filter(|c| !matches!(c, '-' | ':')).collect();
    let mut spellings = BTreeSet::new();
    for spelling in [text, bare.as_str()] {
        spellings.extend([spelling.to_owned(), spelling.to_lowercase(), spelling.to_uppercase()]);
    }
    let mut forms = Vec::new();
    let mut add = |what: &str, bytes: Vec<u8>| {
        forms.push(Form { name: format!("{}: {what}", secret.name), bytes: bytes.to_ascii_lowercase() });
    };
    for spelling in &spellings {
        let bytes = spelling.as_bytes();
        add("text", bytes.to_vec());
        add("percent-encoded", percent_every_byte(bytes).into_bytes());
        add("percent-encoded separators", percent(bytes).into_bytes());
        add("hex of text", hex(bytes).into_bytes());
        for (what, form) in encodings(bytes) {
            add(&format!("{what} of text"), form);
        }
        for (digest_name, digest) in digests(bytes) {
            let digest_hex = hex(&digest);
            add(digest_name, digest.clone());
            add(&format!("{digest_name} hex"), digest_hex.clone().into_bytes());
            for (what, form) in encodings(&digest).into_iter().chain(encodings(digest_hex.as_bytes())) {
                add(&format!("{what} of {digest_name}"), form);
            }
            for (what, form) in words(&digest) {
                add(&format!("{what} of {digest_name}"), form);
            }
        }
    }
    for number in numbers(text, &bare) {
        add("number", number);
    }
    forms
}

/// UTF-16 and base64 of bytes. Base64 depends on where in a group of three the bytes begin: the characters that they decide alone.
fn encodings(bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut forms = vec![
        ("utf-16le", bytes.iter().flat_map(|byte| [*byte, 0]).collect()),
        ("utf-16be", bytes.iter().flat_map(|byte| [0, *byte]).collect()),
    ];
    for lead in 0..3_usize {
        let mut shifted = vec![0; lead];
        shifted.extend_from_slice(bytes);
        let first = (lead * 8).div_ceil(6);
        let last = shifted.len() * 8 / 6;
        for text in [STANDARD_NO_PAD.encode(&shifted), URL_SAFE_NO_PAD.encode(&shifted)] {
            forms.push(("base64", text.as_bytes()[first..last].to_vec()));
        }
    }
    forms
}

/// The digests that anybody can compute. A label before the text keeps nobody from it, who can read it in our code: `sightline view 1` was one.
fn digests(bytes: &[u8]) -> [(&'static str, Vec<u8>); 4] {
    let labelled = [b"sightline view 1\0", bytes].concat();
    [
        ("md5", Md5::digest(bytes).to_vec()),
        ("sha-1", Sha1::digest(bytes).to_vec()),
        ("sha-256", Sha256::digest(bytes).to_vec()),
        ("sha-256 behind a label", Sha256::digest(labelled).to_vec()),
    ]
}

/// The number of 64 bits that a digest begins or ends with: its bytes in both orders, and what they read as in hex and in decimal digits.
fn words(digest: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut forms = Vec::new();
    for (what, word) in [("first word", digest.first_chunk::<8>()), ("last word", digest.last_chunk::<8>())] {
        let word = *word.expect("a digest has eight bytes");
        for number in [u64::from_be_bytes(word), u64::from_le_bytes(word)] {
            forms.push((what, number.to_be_bytes().to_vec()));
            forms.push((what, format!("{number:016x}").into_bytes()));
            forms.push((what, number.to_string().into_bytes()));
        }
    }
    forms
}

/// What a hexadecimal or decimal text or an address stands for, numbers in both orders of bytes; a UUID also as a store keeps it, in two
/// halves.
fn numbers(text: &str, bare: &str) -> Vec<Vec<u8>> {
    let mut numbers = Vec::new();
    if bare.len() >= 2 * FORM_BYTES_MIN
        && bare.len().is_multiple_of(2)
        && bare.bytes().all(|b| b.is_ascii_hexdigit())
    {
        let bytes: Vec<u8> = (0..bare.len())
            .step_by(2)
            .filter_map(|at| u8::from_str_radix(&bare[at..at + 2], 16).ok())
            .collect();
        numbers.push(bytes.iter().rev().copied().collect());
        if bytes.len() == 16 {
            let (high, low) = bytes.split_at(8);
            numbers.push(high.iter().rev().chain(low.iter().rev()).copied().collect());
        }
        numbers.push(bytes);
    }
    if let Ok(number) = bare.parse::<u64>() {
        numbers.push(number.to_le_bytes().to_vec());
        numbers.push(number.to_be_bytes().to_vec());
    }
    match text.parse() {
        Ok(IpAddr::V4(address)) => numbers.push(address.to_ipv6_mapped().octets().to_vec()),
        Ok(IpAddr::V6(address)) => numbers.push(address.octets().to_vec()),
        Err(_) => {}
    }
    numbers
}

fn percent_every_byte(bytes: &[u8]) -> String {
    let hex = hex(bytes);
    (0..hex.len()).step_by(2).flat_map(|at| ["%", &hex[at..at + 2]]).collect()
}

fn slot(window: u64) -> usize {
    (window.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - FILTER_BITS)) as usize
}
