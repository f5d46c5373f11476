//! What the page makes of an identifier in the browser against what the program makes of it: the page's own `hash.js`, run by Node.js over every
//! shape of every kind, and held against the hashes that the server lodges for the identifier itself.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};

use event::identifier::{IdKind, LodgeError, TextDigests, lodge, lodge_hashed, words_for_nothing};
use event::key::KeyRing;
use serde_json::{Value, json};

use crate::support;

/// Prints what `read` gives for each pair of kind and value.
const DRIVER: &str = "
import { readFileSync } from 'node:fs';
const { read } = await import(process.argv[1]);
const { words, cases } = JSON.parse(readFileSync(0, 'utf8'));
console.log(JSON.stringify(cases.map(([kind, value]) => read(kind, value, words))));
";

/// What the script gives for each (kind, value).
fn read(cases: &[(IdKind, String)]) -> Vec<Value> {
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/page/hash.js");
    let text = std::fs::read_to_string(&script).expect("the script");
    // Node takes a module's text from a URL, whatever the file is called.
    let encoded = percent_encoding::utf8_percent_encode(&text, percent_encoding::NON_ALPHANUMERIC);
    let module = format!("data:text/javascript,{encoded}");
    let mut node = Command::new("node")
        .args(["--input-type=module", "--eval", DRIVER, &module])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| {
            panic!("Node.js runs the page's script here: run `deploy/tools/install test` ({e})")
        });
    let words: Vec<String> = words_for_nothing().map(str::to_lowercase).collect();
    let cases: Vec<Value> = cases.iter().map(|(kind, value)| json!([kind.name(), value])).collect();
    let asked = json!({"words": words, "cases": cases}).to_string();
    node.stdin.take().expect("piped").write_all(asked.as_bytes()).expect("written");
    let out = node.wait_with_output().expect("ends");
    assert!(out.status.success(), "{:?}", out.status);
    serde_json::from_slice(&out.stdout).expect("JSON")
}

fn hex<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [0; N];
    assert_eq!(text.len(), 2 * N, "{text}");
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).expect("hex");
    }
    bytes
}

fn digests(hashed: &str) -> Vec<TextDigests> {
    let text = |text: &str| {
        let parts: Vec<&str> = text.split('.').collect();
        TextDigests { md5: hex(parts[0]), sha1: hex(parts[1]), sha256: hex(parts[2]) }
    };
    hashed.split('~').map(text).collect()
}

/// Opt-out hashes in the order of their bytes.
fn set(hashes: &[event::key::OptOutHash]) -> BTreeSet<[u8; 16]> {
    hashes.iter().map(|hash| hash.0).collect()
}

/// A UUID without its dashes arrives like a digest; what stands for it in the list cannot be made of a hash.
fn without_dashes(kind: IdKind, value: &str, keys: &KeyRing) -> BTreeSet<[u8; 16]> {
    let bare = value.replace('-', "");
    if bare.len() != 32 || !matches!(kind, IdKind::Aaid | IdKind::Idfa | IdKind::Idfv | IdKind::Oaid) {
        return BTreeSet::new();
    }
    lodge(kind, bare.as_bytes(), keys).map_or_else(|_| BTreeSet::new(), |lodged| set(&lodged.hashes))
}

fn vectors() -> Vec<(IdKind, String)> {
    use IdKind::{Aaid, AndroidId, Caid, Idfa, Idfv, Imei, Mac, Oaid, OpenUdid};
    [
        (Imei, "868049039501257"),
        (Imei, "86-804903-950125-7"),
        (Imei, " 86804903950125 "),
        (Imei, "00000000000000000868049039501257"),
        (Imei, "86804903950125700000000000000000"),
        (Imei, "490154203237518"),
        (Imei, "356938035643805"),
        (Oaid, "1fe9a970-efbb-29e0-0bdd-f5dbbf751ab5"),
        (Oaid, "1FE9A970-EFBB-29E0-0BDD-F5DBBF751AB5"),
        (Oaid, "1Fe9A970-eFBB-29E0-0BDD-F5DBBF751AB5"),
        (Oaid, "a1b2c3d4e5f60718"),
        (Oaid, "aB3d_-aB3daB3d"),
        (Oaid, "4f5e6a7b8c9d0e1f2a3b4c5d6e7f8091"),
        (Oaid, "nullabcd"),
        (Idfa, "3E0046F7-8BD4-4F3E-9F91-358B137D2BF0"),
        (Idfa, "3e0046f7-8bd4-4f3e-9f91-358b137d2bf0"),
        (Idfa, "3e0046f78bd44f3e9f91358b137d2bf0"),
        (Idfa, "00000000-0000-0000-0000-000000000001"),
        (Idfv, "4E0046F7-8BD4-4F3E-9F91-358B137D2BF0"),
        (Aaid, "7268CEB0-5411-4004-B7CB-BD1FEE4B6277"),
        (AndroidId, "A1B2C3D4E5F607"),
        (AndroidId, "00a1b2c3d4e5f607"),
        (AndroidId, "a1b2c3d4e5"),
        (Mac, "00:1a:2b:3c:4d:5e"),
        (Mac, "00-1A-2b-3C-4d-5E"),
        (Mac, "001a2b3c4d5e"),
        (Caid, "4F5E6A7B8C9D0E1F2A3B4C5D6E7F8091"),
        (Caid, "20230330_4f5e6a7b8c9d0e1f2a3b4c5d6e7f8091"),
        (Caid, "20230330_4f5e6a7b8c9d0e1f2a3b4c5d6e7f8091,20220111_5f5e6a7b8c9d0e1f2a3b4c5d6e7f8091"),
        (OpenUdid, "0A1B2C3D4E5F60718293A4B5C6D7E8F901234567"),
    ]
    .map(|(kind, value)| (kind, value.to_owned()))
    .to_vec()
}

#[test]
fn the_script_reaches_every_form_that_the_server_reaches_but_one() {
    let keys = support::keys();
    let cases = vectors();
    for ((kind, value), given) in cases.iter().zip(read(&cases)) {
        let name = format!("{} {value}", kind.name());
        assert_eq!(given["state"], "raw", "{name}: {given}");
        let hashed = given["hashed"].as_str().expect("digests");
        assert!(!hashed.contains(value.trim()), "{name}");
        let Ok(lodged) = lodge_hashed(*kind, &digests(hashed), &keys) else { panic!("{name}") };
        let Ok(whole) = lodge(*kind, value.as_bytes(), &keys) else { panic!("{name}") };
        // Of a value that is also a digest's shape the server lodges both readings; a person who says that it is the identifier means one.
        let missing: Vec<_> = set(&whole.hashes)
            .difference(&set(&lodged.hashes))
            .filter(|hash| !without_dashes(*kind, value, &keys).contains(*hash))
            .copied()
            .collect();
        if given["maybeDigest"] == false {
            assert!(missing.is_empty(), "{name}: {} are missing", missing.len());
        }
        assert!(lodged.hashes.len() > 3 && !lodged.ambiguous, "{name}");
    }
}

#[test]
fn what_the_script_refuses_the_server_refuses_and_the_other_way_round() {
    let keys = support::keys();
    let kinds = [
        IdKind::Oaid,
        IdKind::Idfa,
        IdKind::Aaid,
        IdKind::Imei,
        IdKind::AndroidId,
        IdKind::Mac,
        IdKind::Idfv,
        IdKind::Caid,
        IdKind::OpenUdid,
    ];
    let mut values: Vec<String> = vectors().into_iter().map(|(_, value)| value).collect();
    values.extend(words_for_nothing().map(str::to_owned));
    values.extend(
        "0 00000000 000000000000 00000000000000 000000000000000 0000000000000000 00000000000000000000000000000000 12345 short12 \
         00000000-0000-0000-0000-000000000000 00:00:00:00:00:00 02:00:00:00:00:00 9774d56d682e549c 9774D56D682E549C nUlL 111111111111111 \
         ffffffffffffffff FFFFFFFFFFFFFFFF ff:ff:ff:ff:ff:ff __OAID__ {{IMEI}} {IMEI} [imei] ${IMEI} %%OAID%% $IMEI __Imei__ ---- -- _ :: \
         d41d8cd98f00b204e9800998ecf8427e 5284047f4ffb4e04824a2fd1d1f0cd62 1234567890 a1b2c3d4e 00:1a-2b:3c:4d:5e 00.1a.2b.3c.4d.5e a1b2c3d4%e5f60718 \
         868049039501257x 8d3ebd3654fb46a2832296669cf1b536 d3ebd3654fb46a2832296669cf1b536 da39a3ee5e6b4b0d3255bfef95601890afd80709 \
         e9800998ecf8427ed41d8cd98f00b204e9800998ecf8427ed41d8cd98f00b204 000000000000aaaa0000000000000000 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa null0000000000000000"
            .split(' ')
            .map(str::to_owned),
    );
    let cases: Vec<(IdKind, String)> =
        kinds.iter().flat_map(|kind| values.iter().map(|value| (*kind, value.clone()))).collect();
    let mut seen = BTreeSet::new();
    for ((kind, value), given) in cases.iter().zip(read(&cases)) {
        let name = format!("{} {value:?}: {given}", kind.name());
        let by_server = lodge(*kind, value.as_bytes(), &keys).map(|_| ());
        let by_page = match given["state"].as_str().expect("a state") {
            "empty" => continue,
            "bad" => Err(LodgeError::Bad),
            "malformed" => Err(LodgeError::Malformed(*kind)),
            "digest" => {
                lodge(*kind, given["value"].as_str().expect("a digest").as_bytes(), &keys).map(|_| ())
            }
            // The server looks at every digest that comes: those of a value that many devices send are known.
            _ => lodge_hashed(*kind, &digests(given["hashed"].as_str().expect("digests")), &keys).map(|_| ()),
        };
        seen.insert(format!("{} {:?}", given["state"], by_page.is_ok()));
        assert_eq!(by_page, by_server, "{name}");
    }
    assert!(seen.len() >= 5, "{seen:?}");
}
