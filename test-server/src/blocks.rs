//! ClickHouse's own compressed blocks, as `compress=1` and `decompress=1` have them.
//!
//! ```text
//!  CityHash128 (v1.0.2) of what follows   16 bytes, its high half first
//!  method                                  1 byte: 0x82 LZ4, 0x02 none
//!  bytes from the method on               u32 little-endian
//!  bytes unpacked                         u32 little-endian
//!  the data
//! ```

/// LZ4.
const LZ4: u8 = 0x82;
/// As it is.
const NONE: u8 = 0x02;
/// Method and the two lengths.
const HEAD: usize = 9;
/// The checksum.
const CHECK: usize = 16;
/// Largest block that is unpacked, bytes: the server's own limit (`MAX_COMPRESSED_SIZE`).
const BLOCK_BYTES_MAX: usize = 1 << 30;
/// Bytes of one block that we make.
const PIECE_BYTES: usize = 1 << 20;

/// Packs bytes into blocks.
pub fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() / 2 + 64);
    for piece in bytes.chunks(PIECE_BYTES) {
        let data = lz4_flex::block::compress(piece);
        let mut block = Vec::with_capacity(HEAD + data.len());
        block.push(LZ4);
        block.extend_from_slice(&((HEAD + data.len()) as u32).to_le_bytes());
        block.extend_from_slice(&(piece.len() as u32).to_le_bytes());
        block.extend_from_slice(&data);
        out.extend_from_slice(&checksum(&block));
        out.extend_from_slice(&block);
    }
    out
}

/// Unpacks blocks.
///
/// # Errors
/// The server's code and words for what does not fit: 40 `CHECKSUM_DOESNT_MATCH`, 271 `CANNOT_DECOMPRESS`, 33 `CANNOT_READ_ALL_DATA`,
/// 49 for lengths that cannot be.
pub fn unpack(mut bytes: &[u8]) -> Result<Vec<u8>, (u32, &'static str)> {
    let mut out = Vec::with_capacity(bytes.len() * 3);
    while !bytes.is_empty() {
        let cut_off = (33, "Cannot read all data of a compressed block");
        let (check, rest) = bytes.split_at_checked(CHECK).ok_or(cut_off)?;
        let (head, _) = rest.split_at_checked(HEAD).ok_or(cut_off)?;
        let [method, lengths @ ..] = head else { return Err(cut_off) };
        let number = |bytes: Option<&[u8]>| {
            bytes.and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes) as usize
        };
        let (length, unpacked) = (number(lengths.get(..4)), number(lengths.get(4..)));
        if !(HEAD..=BLOCK_BYTES_MAX).contains(&length) || unpacked > BLOCK_BYTES_MAX {
            return Err((49, "Too large or too small size of a compressed block"));
        }
        let (block, next) = rest.split_at_checked(length).ok_or(cut_off)?;
        if checksum(block) != check {
            return Err((40, "Checksum doesn't match: corrupted data"));
        }
        let data = block.get(HEAD..).unwrap_or_default();
        match *method {
            NONE => out.extend_from_slice(data),
            LZ4 => {
                let piece = lz4_flex::block::decompress(data, unpacked);
                let piece = piece.map_err(|_| (271, "Cannot decompress an LZ4-encoded block"))?;
                if piece.len() != unpacked {
                    return Err((271, "Cannot decompress an LZ4-encoded block"));
                }
                out.extend_from_slice(&piece);
            }
            _ => return Err((89, "Unknown compression method")),
        }
        bytes = next;
    }
    Ok(out)
}

fn checksum(block: &[u8]) -> [u8; CHECK] {
    cityhash_rs::cityhash_102_128(block).rotate_right(64).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_come_back_as_they_were_packed() {
        for length in [0, 1, 100, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES] {
            let bytes: Vec<u8> = (0..length).map(|n| (n / 7 % 251) as u8).collect();
            assert_eq!(unpack(&pack(&bytes)).as_deref(), Ok(bytes.as_slice()), "{length}");
        }
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let packed = pack(b"some rows, some rows, some rows");
        for at in 0..packed.len() {
            let mut changed = packed.clone();
            changed[at] ^= 1;
            assert!(unpack(&changed).is_err(), "byte {at}");
        }
        assert_eq!(
            unpack(&packed[..packed.len() - 1]),
            Err((33, "Cannot read all data of a compressed block"))
        );
    }
}
