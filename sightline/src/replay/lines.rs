//! Lines of a file of past beacons, read with a bound: a line over the limit is skipped whole and said to be too long.

use std::io::{self, BufRead};

/// Longest line taken, bytes. The longest row that means anything (a 3,800-byte landing URL, a 512-byte agent, every
/// identifier) has about 6 kB.
pub(crate) const LINE_BYTES_MAX: usize = 64 * 1024;

/// What a call to [`Lines::next_into`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A line, without its end.
    Whole,
    /// A line over [`LINE_BYTES_MAX`]; it was skipped.
    TooLong,
}

/// Reads lines, counting them and their bytes.
pub(crate) struct Lines<R> {
    input: R,
    /// Number of the line read last, from 1.
    pub(crate) number: u64,
    /// Bytes read so far, line ends included.
    pub(crate) bytes: u64,
}

impl<R: BufRead> Lines<R> {
    /// Lines of `input`.
    pub(crate) fn new(input: R) -> Self {
        Self { input, number: 0, bytes: 0 }
    }

    /// Reads the next line into `line` (cleared first). `None` at the end.
    ///
    /// # Errors
    /// What the input reports.
    pub(crate) fn next_into(&mut self, line: &mut Vec<u8>) -> io::Result<Option<Line>> {
        line.clear();
        let mut kind = Line::Whole;
        let mut any = false;
        loop {
            let chunk = match self.input.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if chunk.is_empty() {
                break;
            }
            any = true;
            let end = chunk.iter().position(|b| *b == b'\n');
            let text = chunk.get(..end.unwrap_or(chunk.len())).unwrap_or_default();
            if line.len() + text.len() > LINE_BYTES_MAX {
                kind = Line::TooLong;
                line.clear();
            } else if kind == Line::Whole {
                line.extend_from_slice(text);
            }
            let used = text.len() + usize::from(end.is_some());
            self.input.consume(used);
            self.bytes += used as u64;
            if end.is_some() {
                break;
            }
        }
        if !any {
            return Ok(None);
        }
        self.number += 1;
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(Some(kind))
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    #[test]
    fn lines_come_without_their_ends_and_a_last_one_needs_none() {
        let mut lines = Lines::new(BufReader::with_capacity(3, &b"one\r\n\ntwo words"[..]));
        let mut line = Vec::new();
        let mut seen = Vec::new();
        while lines.next_into(&mut line).expect("reads").is_some() {
            seen.push(String::from_utf8(line.clone()).expect("text"));
        }
        assert_eq!(seen, ["one", "", "two words"]);
        assert_eq!((lines.number, lines.bytes), (3, 15));
    }

    #[test]
    fn a_line_over_the_limit_is_skipped_and_the_next_is_whole() {
        let mut text = vec![b'x'; LINE_BYTES_MAX + 1];
        text.extend_from_slice(b"\nshort\n");
        let mut lines = Lines::new(BufReader::new(&text[..]));
        let mut line = Vec::new();
        assert_eq!(lines.next_into(&mut line).expect("reads"), Some(Line::TooLong));
        assert_eq!(lines.next_into(&mut line).expect("reads"), Some(Line::Whole));
        assert_eq!(line, b"short");
        let exact = vec![b'y'; LINE_BYTES_MAX];
        let mut lines = Lines::new(BufReader::new(&exact[..]));
        assert_eq!(lines.next_into(&mut line).expect("reads"), Some(Line::Whole));
        assert_eq!(line.len(), LINE_BYTES_MAX);
    }
}
