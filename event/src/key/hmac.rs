//! HMAC-SHA-256 (RFC 2104, FIPS 198-1) of short messages with the keyed state made once: two compressions for a message of up to 55
//! bytes, about 0.15 µs. The compression itself is the `sha2` crate's; `hmac` is compared with in the tests and not used here,
//! because cloning and finishing its general state costs half as much again, four times for each beacon.

use sha2::block_api::compress256;
use zeroize::Zeroize;

/// Block size of SHA-256, bytes.
const BLOCK: usize = 64;
/// Length of a hash, bytes.
const HASH: usize = 32;
/// Where the message's length stands in the last block.
const LENGTH_AT: usize = BLOCK - 8;
/// The initial hash value (FIPS 180-4, 5.3.3).
const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// The hash states after the inner and the outer padded key. Wiped when dropped.
pub(crate) struct Keyed {
    inner: [u32; 8],
    outer: [u32; 8],
}

impl Drop for Keyed {
    fn drop(&mut self) {
        self.inner.zeroize();
        self.outer.zeroize();
    }
}

impl Keyed {
    pub(crate) fn new(key: &[u8; super::KEY_BYTES]) -> Self {
        Self { inner: after_key(key, 0x36), outer: after_key(key, 0x5c) }
    }

    /// The first 16 bytes of the HMAC of the parts, one after the other.
    #[inline]
    pub(crate) fn hash(&self, parts: &[&[u8]]) -> [u8; 16] {
        let mut inner = self.inner;
        match short_block(parts) {
            Some(block) => compress256(&mut inner, &[block]),
            None => compress_parts(&mut inner, parts),
        }
        let mut block = OUTER_PADDING;
        for (bytes, word) in block.as_chunks_mut::<4>().0.iter_mut().zip(inner) {
            *bytes = word.to_be_bytes();
        }
        let mut outer = self.outer;
        compress256(&mut outer, &[block]);
        let mut hash = [0; 16];
        for (bytes, word) in hash.as_chunks_mut::<4>().0.iter_mut().zip(outer) {
            *bytes = word.to_be_bytes();
        }
        hash
    }
}

/// The block that follows the outer padded key, but for the inner hash at its beginning: the end mark behind that, and the length.
const OUTER_PADDING: [u8; BLOCK] = {
    let mut block = [0; BLOCK];
    let [high, low] = (((BLOCK + HASH) * 8) as u16).to_be_bytes();
    block[HASH] = 0x80;
    block[BLOCK - 2] = high;
    block[BLOCK - 1] = low;
    block
};

/// The padded block of a message that fits into one: of every identifier's but those that came as SHA-256.
#[inline]
fn short_block(parts: &[&[u8]]) -> Option<[u8; BLOCK]> {
    let mut block = [0; BLOCK];
    let mut filled = 0;
    for part in parts {
        let end = filled + part.len();
        if end >= LENGTH_AT {
            return None;
        }
        block.get_mut(filled..end)?.copy_from_slice(part);
        filled = end;
    }
    *block.get_mut(filled)? = 0x80;
    *block.last_chunk_mut::<8>()? = ((BLOCK + filled) as u64 * 8).to_be_bytes();
    Some(block)
}

/// The state after a message of any length.
fn compress_parts(state: &mut [u32; 8], parts: &[&[u8]]) {
    let mut block = Block::new();
    for part in parts {
        block.take(part, state);
    }
    block.finish(state);
}

/// The state after one block of the key xor `pad`.
fn after_key(key: &[u8; super::KEY_BYTES], pad: u8) -> [u32; 8] {
    let mut block = zeroize::Zeroizing::new([pad; BLOCK]);
    block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
    let mut state = INITIAL;
    compress256(&mut state, std::slice::from_ref(&*block));
    state
}

/// The block in hand of a message that follows a padded key.
struct Block {
    bytes: [u8; BLOCK],
    filled: usize,
    /// Length of the message so far, the padded key included, bytes.
    length: u64,
}

impl Block {
    fn new() -> Self {
        Self { bytes: [0; BLOCK], filled: 0, length: BLOCK as u64 }
    }

    /// Takes the next bytes of the message; compresses each block that becomes full.
    fn take(&mut self, mut part: &[u8], state: &mut [u32; 8]) {
        self.length += part.len() as u64;
        loop {
            let room = self.bytes.get_mut(self.filled..).unwrap_or_default();
            let count = part.len().min(room.len());
            let (now, later) = part.split_at(count);
            if let Some(room) = room.get_mut(..count) {
                room.copy_from_slice(now);
            }
            self.filled += count;
            part = later;
            if self.filled < BLOCK {
                return;
            }
            compress256(state, &[self.bytes]);
            self.bytes = [0; BLOCK];
            self.filled = 0;
        }
    }

    /// Pads the block in hand and compresses it.
    fn finish(mut self, state: &mut [u32; 8]) {
        if let Some(slot) = self.bytes.get_mut(self.filled) {
            *slot = 0x80;
        }
        if self.filled >= LENGTH_AT {
            compress256(state, &[self.bytes]);
            self.bytes = [0; BLOCK];
        }
        if let Some(last) = self.bytes.last_chunk_mut::<8>() {
            *last = (self.length * 8).to_be_bytes();
        }
        compress256(state, &[self.bytes]);
    }
}
