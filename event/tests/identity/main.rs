//! Identity over the public interface: values of no device in every disguise, vendors' vectors, and what an opt-out reaches.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test"
)]

mod bad;
mod good;
mod kinds;
mod lodged;
mod urls;
mod vectors;

use event::dialect::{Scratch, Table};
use event::hit::Hit;
use event::identifier::{IdField, Identity, identify};
use event::key::KeyRing;
use event::profile::Remap;
use event::record::Platform;
use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::Sha256;

fn keys() -> KeyRing {
    let mut next = 0_u8;
    KeyRing::generate(|bytes| {
        for byte in bytes {
            next = next.wrapping_mul(37).wrapping_add(11);
            *byte = next;
        }
    })
}

fn hex<D: Digest>(text: impl AsRef<[u8]>) -> String {
    D::digest(text).iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

/// MD5, SHA-1, SHA-256 and SHA-256 of the MD5.
fn digests(text: &str) -> [String; 4] {
    let md5 = hex::<Md5>(text);
    let sha256_of_md5 = hex::<Sha256>(&md5);
    [md5, hex::<Sha1>(text), hex::<Sha256>(text), sha256_of_md5]
}

/// Letters in turn large and small.
fn mixed(text: &str) -> String {
    let case = |(at, letter): (usize, char)| {
        if at % 2 == 0 { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() }
    };
    text.chars().enumerate().map(case).collect()
}

fn hit<'a>(ids: &[(IdField, &'a str)]) -> Hit<'a> {
    let mut hit = Hit::default();
    for (field, value) in ids {
        hit.ids[*field as usize] = Some(value.as_bytes());
    }
    hit
}

fn identity(platform: Platform, ids: &[(IdField, &str)]) -> Identity {
    identify(&hit(ids), platform, &keys(), &Remap::NONE)
}

/// Every byte escaped.
fn escaped(value: &str) -> String {
    value.bytes().fold(String::new(), |escaped, byte| escaped + &format!("%{byte:02X}"))
}

/// The identity of a URL's parameters in a dialect.
fn identity_of_query(
    table: &Table,
    query: &str,
    platform: Platform,
    remap: &Remap,
    keys: &KeyRing,
) -> Identity {
    let mut scratch = Scratch::new();
    let reading = table.read(query.as_bytes(), &mut scratch);
    identify(&reading.hit, platform, keys, remap)
}
