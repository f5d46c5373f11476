//! Reading, for who holds the private key.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::record::{END, Method, RECORD_BYTES, Role, Route, decode, rows};
use crate::seal::{HEAD_BYTES, Opener, PrivateKey};
use crate::write::files;

/// Longest frame that is read, bytes: none that we write is.
const FRAME_BYTES_MAX: usize = 4 << 20;
/// Most records of a frame.
const RECORDS_MAX: usize = 1 << 20;

/// A request that was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When, Unix seconds.
    pub time_seconds: u32,
    /// Where from; `None` where a proxy of ours did not know.
    pub address: Option<IpAddr>,
    /// Who was asked.
    pub role: Role,
    /// The route's name.
    pub route: &'static str,
    /// The method's name.
    pub method: &'static str,
    /// Status of the answer.
    pub status: u16,
    /// Bytes of its body, at most 4 GiB.
    pub bytes: u32,
}

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Files.
    pub files: u64,
    /// Requests.
    pub entries: u64,
    /// Files whose end cannot be read: cut by a crash, or changed.
    pub torn: u64,
    /// Files without the frame that ends one: being written, left by a process that was killed, or cut between two frames.
    pub unended: Vec<PathBuf>,
}

/// Reads every file in `dir` from `since_seconds` on, oldest first.
///
/// # Errors
/// The disk; a key that opens none of the files.
pub fn read(
    dir: &Path,
    key: &PrivateKey,
    since_seconds: u32,
    mut see: impl FnMut(Entry) -> io::Result<()>,
) -> Result<Summary, Error> {
    let mut summary = Summary::default();
    let (mut unopened, mut has_opened) = (None, false);
    for listed in files(dir)? {
        // A day later at most is the next file's.
        if listed.began_ms / 1000 + 2 * 24 * 60 * 60 < i64::from(since_seconds) {
            continue;
        }
        summary.files += 1;
        let mut file = BufReader::new(File::open(&listed.path)?);
        let mut head = [0; HEAD_BYTES];
        if !fill(&mut file, &mut head)? {
            summary.torn += 1;
            continue;
        }
        let Some(mut opener) = Opener::new(key, head) else {
            unopened.get_or_insert_with(|| listed.path.clone());
            summary.torn += 1;
            continue;
        };
        let (mut frames, mut is_ended) = (0, false);
        loop {
            let mut length = [0; 4];
            let begun = file.by_ref().take(4).read(&mut length)?;
            if begun == 0 {
                if opener.has_end && !is_ended {
                    summary.unended.push(listed.path.clone());
                }
                break;
            }
            // Nothing stands behind the end.
            let read = if is_ended { None } else { frame(&mut file, &mut opener, (length, begun))? };
            let Some(records) = read else {
                if frames == 0 {
                    unopened.get_or_insert_with(|| listed.path.clone());
                }
                summary.torn += 1;
                break;
            };
            frames += 1;
            has_opened = true;
            let Frame::Records(records) = records else {
                is_ended = true;
                continue;
            };
            for record in records.iter().filter_map(decode) {
                if record.time_seconds < since_seconds {
                    continue;
                }
                let (role, route) = Route::of_byte(record.route);
                summary.entries += 1;
                see(Entry {
                    time_seconds: record.time_seconds,
                    address: record.address,
                    role,
                    route,
                    method: Method::of_byte(record.method),
                    status: record.status,
                    bytes: record.bytes,
                })?;
            }
        }
    }
    // One file that does not open was torn by a crash in its first second, or changed; where none opens, the key is another.
    match unopened {
        Some(file) if !has_opened => Err(Error::OtherKey { file }),
        Some(_) | None => Ok(summary),
    }
}

enum Frame {
    Records(Vec<[u8; RECORD_BYTES]>),
    /// The last one.
    End,
}

/// A frame whose length has begun to be read; `None` if it is torn or changed.
fn frame(
    file: &mut impl Read,
    opener: &mut Opener,
    (mut length, begun): ([u8; 4], usize),
) -> io::Result<Option<Frame>> {
    if !fill(file, length.get_mut(begun..).unwrap_or_default())? {
        return Ok(None);
    }
    let length = u32::from_le_bytes(length) as usize;
    if length > FRAME_BYTES_MAX {
        return Ok(None);
    }
    let mut sealed = vec![0; length];
    if !fill(file, &mut sealed)? {
        return Ok(None);
    }
    let Some(plain) = opener.open(sealed) else { return Ok(None) };
    let Some((count, packed)) = plain.split_first_chunk::<4>() else { return Ok(None) };
    let count = u32::from_le_bytes(*count);
    if count == END {
        return Ok(packed.is_empty().then_some(Frame::End));
    }
    let bytes = (count as usize).min(RECORDS_MAX) * RECORD_BYTES;
    Ok(zstd::bulk::decompress(packed, bytes).ok().map(|columns| Frame::Records(rows(&columns))))
}

/// Fills the bytes; false where the file ends before.
fn fill(file: &mut impl Read, bytes: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
