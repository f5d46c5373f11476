//! The decoder of batches. The first byte of an input says how the rest comes: as text, as what claims to be gzip or zstd, or as text that
//! is packed properly. Any bytes are refused with a status that the contract names, or give one verdict for each item, and a text gives
//! the same verdicts however it was packed.

use std::io::Write;

use event::outcome::Outcome;
use ingest::Limits;

/// Largest body after decompression: small, so that the limit is reached.
const DECODED_BYTES_MAX: usize = 32 * 1024;

/// Most items: small for the same reason.
const ITEMS_MAX: usize = 64;

/// One body.
pub fn run(input: &[u8]) {
    let Some((way, rest)) = input.split_first() else { return };
    match way % 4 {
        0 => drop(decode(b"", rest)),
        1 => drop(decode(b"gzip", rest)),
        2 => drop(decode(b"zstd", rest)),
        _ => packed(rest),
    }
}

fn decode(encoding: &[u8], raw: &[u8]) -> Result<Vec<Option<Outcome>>, u16> {
    let limits =
        Limits { body_decoded_bytes_max: DECODED_BYTES_MAX, batch_items_max: ITEMS_MAX, ..Limits::default() };
    let verdicts = ingest::decode_batch(encoding, raw.to_vec(), &limits);
    match &verdicts {
        Ok(items) => assert!(items.len() <= ITEMS_MAX, "{} items", items.len()),
        Err(status) => assert!([400, 413, 415].contains(status), "status {status}"),
    }
    verdicts
}

/// The same text three ways. Its first byte says how often it is repeated, so that bombs are small inputs.
fn packed(input: &[u8]) {
    let Some((times, text)) = input.split_first() else { return };
    let text = text.repeat(1 + usize::from(*times));
    // A text that is not packed is held to the limit of what may be sent, before it comes here.
    let plain = if text.len() > DECODED_BYTES_MAX { Err(413) } else { decode(b"", &text) };
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&text).expect("memory takes everything");
    assert_eq!(decode(b"gzip", &gzip.finish().expect("memory takes everything")), plain);
    assert_eq!(
        decode(b"zstd", &zstd::encode_all(text.as_slice(), 1).expect("memory takes everything")),
        plain
    );
}
