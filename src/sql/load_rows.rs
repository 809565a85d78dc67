//! The rows of a file for LOAD DATA, as servers split it, with the bytes of each field kept: fields that are not
//! sealed go on as they came. Where servers repair a malformed row in ways of their own, it is an error.

use std::ops::Range;

use super::load_data::LoadFormat;

/// What is wrong with a row. Holds nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    #[error("a field's closing quote is followed by something else than the end of the field")]
    Quote,
    #[error("the file ends within quotes or behind an escape character")]
    Unfinished,
    #[error("a field has more than {} bytes", LARGEST_ROW)]
    TooLong,
}

/// The most bytes of one row that are held.
pub const LARGEST_ROW: usize = 1 << 28;

/// One field: where its bytes stand in the row, delimiters excluded, and what they say.
#[derive(Debug, PartialEq, Eq)]
pub struct Field {
    pub span: Range<usize>,
    /// `None` is NULL.
    pub value: Option<Vec<u8>>,
}

/// One row, its end included in `bytes`.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    pub bytes: Vec<u8>,
    pub fields: Vec<Field>,
}

/// Splits what arrives in pieces.
pub struct Rows {
    format: LoadFormat,
    input: Vec<u8>,
    /// Everything before was handed out.
    at: usize,
    skipped: u64,
}

enum Scan {
    Found(Row, usize),
    Skipped(usize),
    NeedMore,
}

impl Rows {
    pub fn new(format: LoadFormat) -> Self {
        Self { format, input: Vec::new(), at: 0, skipped: 0 }
    }

    /// Takes a piece of the file.
    pub fn push(&mut self, piece: &[u8]) {
        self.input.drain(..self.at);
        self.at = 0;
        self.input.extend_from_slice(piece);
    }

    /// The next row, or the lines that IGNORE n LINES skips (a row without fields). `None`: more of the file is
    /// needed, or with `last` there is nothing more.
    pub fn next(&mut self, last: bool) -> Result<Option<Row>, RowError> {
        let rest = self.input.get(self.at..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(None);
        }
        let scan = if self.skipped < self.format.skip_lines { self.skip(rest, last) } else { self.scan(rest, last)? };
        match scan {
            Scan::Found(row, length) => {
                self.at += length;
                Ok(Some(row))
            }
            Scan::Skipped(length) => {
                let bytes = rest.get(..length).unwrap_or_default().to_vec();
                self.at += length;
                self.skipped += 1;
                Ok(Some(Row { bytes, fields: Vec::new() }))
            }
            Scan::NeedMore if rest.len() > LARGEST_ROW => Err(RowError::TooLong),
            Scan::NeedMore => Ok(None),
        }
    }

    /// A line that is skipped ends at the next line end, whatever the quotes say.
    fn skip(&self, rest: &[u8], last: bool) -> Scan {
        let end = &self.format.line_end;
        match rest.windows(end.len()).position(|window| window == end) {
            Some(at) => Scan::Skipped(at + end.len()),
            None if last => Scan::Skipped(rest.len()),
            None => Scan::NeedMore,
        }
    }

    fn scan(&self, rest: &[u8], last: bool) -> Result<Scan, RowError> {
        let format = &self.format;
        let mut fields = Vec::new();
        let mut at = 0;
        loop {
            let start = at;
            let enclosed = format.enclosed.filter(|quote| rest.get(at) == Some(quote));
            at += usize::from(enclosed.is_some());
            let (mut value, mut null) = (Vec::new(), false);
            let ended = loop {
                let Some(&byte) = rest.get(at) else {
                    if !last {
                        return Ok(Scan::NeedMore);
                    }
                    if enclosed.is_some() {
                        return Err(RowError::Unfinished);
                    }
                    break End::File;
                };
                if Some(byte) == format.escape {
                    let Some(&escaped) = rest.get(at + 1) else {
                        return if last { Err(RowError::Unfinished) } else { Ok(Scan::NeedMore) };
                    };
                    null |= escaped == b'N';
                    value.push(unescape(escaped));
                    at += 2;
                    continue;
                }
                if Some(byte) == enclosed {
                    let behind = rest.get(at + 1..).unwrap_or_default();
                    if behind.first() == enclosed.as_ref() {
                        value.push(byte);
                        at += 2;
                        continue;
                    }
                    at += 1;
                    if behind.is_empty() && last {
                        break End::File;
                    }
                    if behind.starts_with(&format.line_end) {
                        break End::Line;
                    }
                    if behind.starts_with(&format.field_end) {
                        break End::Field;
                    }
                    let longest = format.line_end.len().max(format.field_end.len());
                    if behind.len() < longest && !last {
                        return Ok(Scan::NeedMore);
                    }
                    return Err(RowError::Quote);
                }
                if enclosed.is_none() {
                    let here = rest.get(at..).unwrap_or_default();
                    if here.starts_with(&format.line_end) {
                        break End::Line;
                    }
                    if here.starts_with(&format.field_end) {
                        break End::Field;
                    }
                    let begins = |end: &[u8]| here.len() < end.len() && end.starts_with(here);
                    if !last && (begins(&format.line_end) || begins(&format.field_end)) {
                        return Ok(Scan::NeedMore);
                    }
                }
                value.push(byte);
                at += 1;
            };
            null &= value.len() == 1;
            null |= enclosed.is_none() && format.enclosed.is_some() && value == b"NULL";
            fields.push(Field { span: start..at, value: (!null).then_some(value) });
            match ended {
                End::Field => at += format.field_end.len(),
                End::Line => {
                    at += format.line_end.len();
                    break;
                }
                End::File => break,
            }
            // A file that ends behind a field's end has one more field, an empty one: no.
            if at == rest.len() {
                if !last {
                    return Ok(Scan::NeedMore);
                }
                break;
            }
        }
        Ok(Scan::Found(Row { bytes: rest.get(..at).unwrap_or_default().to_vec(), fields }, at))
    }
}

enum End {
    Field,
    Line,
    File,
}

/// What stands for an escaped byte.
fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b't' => b'\t',
        b'r' => b'\r',
        b'0' => 0,
        b'b' => 8,
        b'Z' => 26,
        other => other,
    }
}

impl Row {
    /// The row with the fields of `values` (by their index, ascending) replaced by stored forms.
    pub fn rewrite(&self, format: &LoadFormat, values: &[(usize, Vec<u8>)]) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes.len() + values.len() * 64);
        let mut copied = 0;
        for (index, stored) in values {
            let Some(field) = self.fields.get(*index) else { continue };
            out.extend_from_slice(self.bytes.get(copied..field.span.start).unwrap_or_default());
            put_field(&mut out, format, stored);
            copied = field.span.end;
        }
        out.extend_from_slice(self.bytes.get(copied..).unwrap_or_default());
        out
    }
}

/// A value as the format writes it, with every byte escaped that would end it.
fn put_field(out: &mut Vec<u8>, format: &LoadFormat, value: &[u8]) {
    let (field, line) = (format.field_end.first().copied(), format.line_end.first().copied());
    out.extend(format.enclosed);
    for byte in value {
        let special = [field, line, format.enclosed, format.escape].contains(&Some(*byte)) || *byte == 0;
        match format.escape {
            Some(escape) if special => {
                out.push(escape);
                out.push(if *byte == 0 { b'0' } else { *byte });
            }
            _ => out.push(*byte),
        }
    }
    out.extend(format.enclosed);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv() -> LoadFormat {
        LoadFormat {
            field_end: b",".to_vec(),
            line_end: b"\r\n".to_vec(),
            enclosed: Some(b'"'),
            ..LoadFormat::default()
        }
    }

    /// The values of every row, whatever the pieces; `-` is NULL.
    fn read(format: &LoadFormat, file: &[u8], piece: usize) -> Result<Vec<Vec<String>>, RowError> {
        let mut rows = Rows::new(format.clone());
        let mut out = Vec::new();
        let mut bytes = Vec::new();
        let pieces: Vec<&[u8]> = file.chunks(piece).collect();
        for (n, piece) in pieces.iter().enumerate() {
            rows.push(piece);
            while let Some(row) = rows.next(n + 1 == pieces.len())? {
                bytes.extend_from_slice(&row.bytes);
                let show =
                    |field: &Field| field.value.as_ref().map_or("-".into(), |v| String::from_utf8_lossy(v).into());
                out.push(row.fields.iter().map(show).collect());
            }
        }
        assert_eq!(bytes, file, "every byte is in one row");
        Ok(out)
    }

    fn reads(format: &LoadFormat, file: &[u8], expected: &[&[&str]]) {
        for piece in [1, 2, 3, 1000] {
            let rows = read(format, file, piece).unwrap();
            let expected: Vec<Vec<String>> =
                expected.iter().map(|row| row.iter().map(|v| (*v).to_owned()).collect()).collect();
            assert_eq!(rows, expected, "{} in pieces of {piece}", String::from_utf8_lossy(file));
        }
    }

    #[test]
    fn rows_are_split_as_the_server_splits_them() {
        let plain = LoadFormat::default();
        reads(&plain, b"1\ta\n2\tb\\tc\\n\n", &[&["1", "a"], &["2", "b\tc\n"]]);
        reads(&plain, b"1\t\\N\n2\tN\n3\t\\\\N\n", &[&["1", "-"], &["2", "N"], &["3", "\\N"]]);
        reads(&plain, b"1\ta", &[&["1", "a"]]);
        reads(&plain, b"1\t\n\n", &[&["1", ""], &[""]]);
        reads(&plain, b"1\t\"a\"\n", &[&["1", "\"a\""]]);
        reads(&csv(), b"1,\"a,b\"\r\n\"2\",c\"d\r\n", &[&["1", "a,b"], &["2", "c\"d"]]);
        reads(&csv(), b"\"a\"\"b\",\"x\r\ny\"\r\n", &[&["a\"b", "x\r\ny"]]);
        reads(&csv(), b"NULL,\"NULL\",\\N,\"\\N\",a\rb\r\n", &[&["-", "NULL", "-", "-", "a\rb"]]);
        reads(&csv(), b"1,\"a\"", &[&["1", "a"]]);
        let skipping = LoadFormat { skip_lines: 1, ..csv() };
        reads(&skipping, b"id,\"na\r\n1,a\r\n", &[&[], &["1", "a"]]);
        let unescaped = LoadFormat { escape: None, ..csv() };
        reads(&unescaped, b"a\\,\"b\\\"\r\n", &[&["a\\", "b\\"]]);
    }

    #[test]
    fn what_servers_repair_in_their_own_ways_is_an_error() {
        assert_eq!(read(&csv(), b"1,\"a\"b\r\n", 1000), Err(RowError::Quote));
        assert_eq!(read(&csv(), b"1,\"a\r\n", 1000), Err(RowError::Unfinished));
        assert_eq!(read(&csv(), b"1,a\\", 1), Err(RowError::Unfinished));
    }

    #[test]
    fn fields_are_replaced_and_the_others_stay_as_they_are() {
        for (format, file, expected) in [
            (LoadFormat::default(), &b"1\ta\\\tb\t3\n"[..], &b"1\tx\\\ty\\\\\\0\t3\n"[..]),
            (csv(), b"\"1\",\"a\"\"b\",c\r\n", b"\"1\",\"x\ty\\\\\\0\",c\r\n"),
            (csv(), b"\"1\",NULL,c", b"\"1\",\"x\ty\\\\\\0\",c"),
        ] {
            let mut rows = Rows::new(format.clone());
            rows.push(file);
            let row = rows.next(true).unwrap().unwrap();
            let stored = b"x\ty\\\0".to_vec();
            let out = row.rewrite(&format, &[(1, stored.clone())]);
            assert_eq!(out, expected, "{}", String::from_utf8_lossy(&out));
            let mut again = Rows::new(format);
            again.push(&out);
            assert_eq!(again.next(true).unwrap().unwrap().fields[1].value, Some(stored));
        }
    }
}
