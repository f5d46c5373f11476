//! Writes a region library in MaxMind's format (MaxMind DB File Format Specification 2.0), for tests: a tree of 24-bit records over IPv6, IPv4 below `::/96`.
//!
//! ```text
//! file     = tree · 16 zero bytes · data · marker · metadata
//! node     = left u24 · right u24, big-endian: below the number of nodes another node, equal to it nothing, above it 16 + the number of
//!            nodes + an offset in data
//! value    = control byte (type << 5 | size) · payload; types: 2 text, 5 u16, 6 u32, 7 map; of extended ones 0, then type − 7: 2 u64, 4 array
//! ```

#![allow(clippy::indexing_slicing, reason = "a test that fails panics")]

use std::collections::BTreeMap;
use std::net::IpAddr;

const MARKER: &[u8] = b"\xab\xcd\xefMaxMind.com";

/// A value of the data section.
enum Value<'a> {
    Text(&'a str),
    Number(u8, u64),
    Map(Vec<(&'a str, Value<'a>)>),
    List(Vec<Value<'a>>),
}

fn put(out: &mut Vec<u8>, value: &Value<'_>) {
    let control = |out: &mut Vec<u8>, kind: u8, size: usize| {
        let (small, more) = if size < 29 { (size as u8, None) } else { (29, Some((size - 29) as u8)) };
        if kind > 7 {
            out.extend([small, kind - 7]);
        } else {
            out.push(kind << 5 | small);
        }
        out.extend(more);
    };
    match value {
        Value::Text(text) => {
            control(out, 2, text.len());
            out.extend_from_slice(text.as_bytes());
        }
        Value::Number(kind, number) => {
            let bytes: Vec<u8> = number.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
            control(out, *kind, bytes.len());
            out.extend(bytes);
        }
        Value::Map(entries) => {
            control(out, 7, entries.len());
            for (name, value) in entries {
                put(out, &Value::Text(name));
                put(out, value);
            }
        }
        Value::List(values) => {
            control(out, 11, values.len());
            for value in values {
                put(out, value);
            }
        }
    }
}

/// A record as libraries of cities have it: names and places stand before what is wanted.
fn record<'a>(country: &'a str, subdivision: &'a str) -> Value<'a> {
    let names = || {
        Value::Map(vec![
            ("de", Value::Text("Name")),
            ("en", Value::Text("Name")),
            ("zh-CN", Value::Text("名")),
        ])
    };
    let mut entries = vec![
        ("city", Value::Map(vec![("geoname_id", Value::Number(6, 1_796_236)), ("names", names())])),
        ("continent", Value::Map(vec![("code", Value::Text("AS")), ("names", names())])),
    ];
    if !country.is_empty() {
        let country = vec![
            ("geoname_id", Value::Number(6, 1_814_991)),
            ("iso_code", Value::Text(country)),
            ("names", names()),
        ];
        entries.push(("country", Value::Map(country)));
    }
    entries.push(("location", Value::Map(vec![("time_zone", Value::Text("Asia/Shanghai"))])));
    if !subdivision.is_empty() {
        let of_it = |code| Value::Map(vec![("iso_code", Value::Text(code)), ("names", names())]);
        entries.push(("subdivisions", Value::List(vec![of_it(subdivision), of_it("ZZ")])));
    }
    Value::Map(entries)
}

/// A library of these networks (`192.0.2.0/24`), each with its country and subdivision, which may be empty.
pub(crate) fn library(name: &str, built: u64, networks: &[(&str, &str, &str)]) -> Vec<u8> {
    let mut data = Vec::new();
    let mut offsets = BTreeMap::new();
    // Each node has two ends: another node, or the offset of a record.
    let mut nodes: Vec<[Option<Result<usize, usize>>; 2]> = vec![[None; 2]];
    for (network, country, subdivision) in networks {
        let offset = *offsets.entry((country, subdivision)).or_insert_with(|| {
            let offset = data.len();
            put(&mut data, &record(country, subdivision));
            offset
        });
        let (address, bits) = network.split_once('/').expect("a network");
        let bits: usize = bits.parse().expect("a number");
        let (address, bits) = match address.parse().expect("an address") {
            IpAddr::V4(v4) => (u128::from(v4.to_bits()), bits + 96),
            IpAddr::V6(v6) => (v6.to_bits(), bits),
        };
        let mut node = 0;
        for depth in 0..bits {
            let side = usize::from(address >> (127 - depth) & 1 == 1);
            if depth + 1 == bits {
                nodes[node][side] = Some(Err(offset));
            } else if let Some(Ok(next)) = nodes[node][side] {
                node = next;
            } else {
                nodes.push([None; 2]);
                let next = nodes.len() - 1;
                nodes[node][side] = Some(Ok(next));
                node = next;
            }
        }
    }
    let mut file = Vec::new();
    for end in nodes.iter().flatten() {
        let number = match end {
            None => nodes.len(),
            Some(Ok(node)) => *node,
            Some(Err(offset)) => nodes.len() + 16 + offset,
        };
        file.extend_from_slice(&(number as u32).to_be_bytes()[1..]);
    }
    file.extend([0; 16]);
    file.extend(data);
    file.extend_from_slice(MARKER);
    let metadata = Value::Map(vec![
        ("binary_format_major_version", Value::Number(5, 2)),
        ("binary_format_minor_version", Value::Number(5, 0)),
        ("build_epoch", Value::Number(9, built)),
        ("database_type", Value::Text(name)),
        ("description", Value::Map(vec![("en", Value::Text("Made by a test"))])),
        ("ip_version", Value::Number(5, 6)),
        ("languages", Value::List(vec![Value::Text("en")])),
        ("node_count", Value::Number(6, nodes.len() as u64)),
        ("record_size", Value::Number(5, 24)),
    ]);
    put(&mut file, &metadata);
    file
}
