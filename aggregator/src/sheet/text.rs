//! CSV as programs write it: UTF-8 with or without a mark, UTF-16 with one, or GB 18030 as a Chinese Excel saves it; commas, semicolons, tabs.

use encoding_rs::{GB18030, UTF_16BE, UTF_16LE};

use super::{Grid, SheetError, cell_text, limit};

/// What may stand between cells.
const SEPARATORS: [u8; 3] = [b',', b';', b'\t'];

/// The rows of a text.
pub(super) fn read(bytes: &[u8]) -> Result<Grid, SheetError> {
    let text = decode(bytes)?;
    let (text, said, rows_ahead) = separator_line(&text);
    let separator = said.unwrap_or_else(|| guess(text));
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(separator)
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes());
    let mut grid = Grid::default();
    let mut record = csv::StringRecord::new();
    let mut numbers = row_numbers(text, separator).into_iter();
    let mut count = 0;
    loop {
        let has_more = reader.read_record(&mut record).map_err(|error| match error.kind() {
            csv::ErrorKind::Utf8 { .. } => SheetError::Encoding,
            _ => SheetError::Csv(error.to_string()),
        })?;
        if !has_more {
            return Ok(grid);
        }
        // Before anything is made of them: a cell takes more than the sign that parts it from the next.
        if record.len() > limit::COLUMNS_MAX {
            return Err(SheetError::TooLarge(format!("{} columns", limit::COLUMNS_MAX)));
        }
        count += record.len();
        if count > limit::CELLS_MAX {
            return Err(SheetError::TooLarge(format!("{} cells", limit::CELLS_MAX)));
        }
        let cells = record.iter().map(cell_text).collect::<Result<Vec<_>, _>>()?;
        grid.push(numbers.next().unwrap_or_default() + rows_ahead, cells)?;
    }
}

/// Numbers of the rows that are not empty, from 1 as a spreadsheet shows them: an empty line is a row there, and a cell with line ends in it is in
/// one. The reader of CSV skips the former, and the lines that it tells count the latter as several.
fn row_numbers(text: &str, separator: u8) -> Vec<usize> {
    let mut numbers = Vec::new();
    let (mut row, mut is_quoted, mut is_start, mut is_empty) = (1, false, true, true);
    let mut bytes = text.bytes().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            // A quote within quotes is written twice: the second one opens them again.
            b'"' if is_quoted => is_quoted = bytes.next_if_eq(&b'"').is_some(),
            _ if is_quoted => {}
            b'\r' | b'\n' => {
                if byte == b'\r' {
                    let _ = bytes.next_if_eq(&b'\n');
                }
                numbers.extend((!is_empty).then_some(row));
                row += 1;
                (is_start, is_empty) = (true, true);
                continue;
            }
            b'"' if is_start => is_quoted = true,
            _ => {}
        }
        is_start = byte == separator && !is_quoted;
        is_empty = false;
    }
    numbers.extend((!is_empty).then_some(row));
    numbers
}

/// The text of a file.
fn decode(bytes: &[u8]) -> Result<String, SheetError> {
    let marked = |mark: &[u8], encoding: &'static encoding_rs::Encoding| {
        let rest = bytes.strip_prefix(mark)?;
        let text = encoding.decode_without_bom_handling_and_without_replacement(rest);
        Some(text.map(std::borrow::Cow::into_owned).ok_or(SheetError::Encoding))
    };
    if let Some(text) = marked(b"\xff\xfe", UTF_16LE).or_else(|| marked(b"\xfe\xff", UTF_16BE)) {
        return text;
    }
    let bare = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    // No text has it, and every file that is something else does.
    if bare.contains(&0) {
        return Err(SheetError::Encoding);
    }
    if let Ok(text) = std::str::from_utf8(bare) {
        return Ok(text.to_owned());
    }
    if bare.len() != bytes.len() {
        return Err(SheetError::Encoding);
    }
    let text = GB18030.decode_without_bom_handling_and_without_replacement(bytes);
    text.map(std::borrow::Cow::into_owned).ok_or(SheetError::Encoding)
}

/// Excel's own `sep=;` on the first line: the text behind it, what it says, and how many rows it takes up.
fn separator_line(text: &str) -> (&str, Option<u8>, usize) {
    let (line, rest) = text.split_once('\n').unwrap_or((text, ""));
    match line.trim_end().strip_prefix("sep=").map(str::as_bytes) {
        Some([separator]) if SEPARATORS.contains(separator) => (rest, Some(*separator), 1),
        // A tab was taken for a blank.
        Some([]) => (rest, Some(b'\t'), 1),
        _ => (text, None, 0),
    }
}

/// The separator that the first lines have most of, outside of quotes, within which lines may end.
fn guess(text: &str) -> u8 {
    const LINES_MAX: usize = 20;
    let mut counts = [0_usize; SEPARATORS.len()];
    let (mut is_quoted, mut is_start, mut is_empty, mut lines) = (false, true, true, 0);
    let mut bytes = text.bytes().peekable();
    while let Some(byte) = bytes.next() {
        let at = SEPARATORS.iter().position(|separator| *separator == byte);
        match byte {
            b'"' if is_quoted => is_quoted = bytes.next_if_eq(&b'"').is_some(),
            _ if is_quoted => {}
            b'\n' => {
                lines += usize::from(!is_empty);
                if lines == LINES_MAX {
                    break;
                }
                (is_start, is_empty) = (true, true);
                continue;
            }
            // Elsewhere it is a sign like others: inches.
            b'"' if is_start => is_quoted = true,
            _ => {
                if let Some(count) = at.and_then(|at| counts.get_mut(at)) {
                    *count += 1;
                }
            }
        }
        is_start = at.is_some() && !is_quoted;
        is_empty &= byte.is_ascii_whitespace();
    }
    let most = counts.iter().max().copied().unwrap_or(0);
    // The first of equals: a comma.
    SEPARATORS
        .into_iter()
        .zip(counts)
        .find(|(_, count)| *count == most)
        .map_or(b',', |(separator, _)| separator)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::Cell;

    fn rows(bytes: &[u8]) -> Vec<(usize, Vec<&'static str>)> {
        let grid = read(bytes).expect("a sheet");
        let row = |(row, cells): (usize, Vec<Option<Cell>>)| {
            let texts = cells.into_iter().map(|cell| match cell {
                None => "",
                Some(Cell::Text(text)) => &*text.leak(),
                Some(other) => panic!("{other:?}"),
            });
            (row, texts.collect())
        };
        grid.rows.into_iter().map(row).collect()
    }

    #[test]
    fn the_same_rows_come_out_of_every_way_to_write_them() {
        let expected = vec![(1, vec!["点位ID", "名称"]), (2, vec!["p1", "首页, 通栏"])];
        let text = "点位ID,名称\r\np1,\"首页, 通栏\"\r\n,\r\n  ,　\r\n";
        assert_eq!(rows(text.as_bytes()), expected, "empty rows at the end are none");
        assert_eq!(rows(format!("\u{feff}{text}").as_bytes()), expected);
        assert_eq!(rows(&GB18030.encode(text).0), expected);
        let utf16: Vec<u8> = format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(rows(&utf16), expected);
        let utf16: Vec<u8> = format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(rows(&utf16), expected);
        assert_eq!(rows("点位ID;名称\np1;首页, 通栏".as_bytes()), expected);
        assert_eq!(rows("点位ID\t名称\np1\t首页, 通栏".as_bytes()), expected);
        assert_eq!(rows("sep=;\np,1;a\n".as_bytes()), [(2, vec!["p,1", "a"])]);
        assert_eq!(
            rows("a,\"b\n;;;;\"\n".as_bytes()),
            [(1, vec!["a", "b\n;;;;"])],
            "lines end within quotes"
        );
        assert_eq!(rows("a,15\" d;\nb,15\" d;\n".as_bytes()).len(), 2, "a sign of inches opens nothing");
    }

    #[test]
    fn rows_are_numbered_as_a_spreadsheet_shows_them() {
        let text = "a,b\r\n\r\n\"two\n\"\"lines\",c\r\n15\" d,e\n\n,\n\nf";
        assert_eq!(
            rows(text.as_bytes()),
            [(1, vec!["a", "b"]), (3, vec!["two\n\"lines", "c"]), (4, vec!["15\" d", "e"]), (8, vec!["f"])]
        );
    }

    #[test]
    fn nothing_is_made_of_more_cells_than_there_may_be() {
        let refused = |text: String| match read(text.as_bytes()) {
            Err(SheetError::TooLarge(what)) => what,
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(",".repeat(limit::COLUMNS_MAX)), "500 columns", "empty ones too");
        let row = format!("a{}\n", ",".repeat(limit::COLUMNS_MAX - 1));
        assert_eq!(refused(row.repeat(limit::CELLS_MAX / limit::COLUMNS_MAX + 1)), "1000000 cells");
    }

    #[test]
    fn what_is_no_text_is_refused() {
        for bytes in [&b"a,b\n\xff\xff,c"[..], b"\xef\xbb\xbfa,\xb5\xe3", b"a\0b", b"\xff\xfe\x00\xd8"] {
            assert_eq!(read(bytes), Err(SheetError::Encoding), "{bytes:?}");
        }
    }
}
