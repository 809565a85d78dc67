//! The session character sets that are understood: names, collation ids, and transcoding between
//! them and UTF-8 the way the servers do it. Also `sql_mode` in its text form.

use std::borrow::Cow;

mod structure;
pub mod table;

pub use structure::{char_len, is_lead, utf8_len};
use table::Table;

use super::plan::{Charset, SqlMode};
use crate::catalog::ProtectedColumn;

/// A character set that has a table of its own (see [`table::NAMES`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Legacy(u8);

impl Legacy {
    fn named(name: &str) -> Option<Self> {
        let index = table::NAMES.iter().position(|known| *known == name)?;
        u8::try_from(index).ok().map(Self)
    }

    pub fn name(self) -> &'static str {
        table::NAMES.get(usize::from(self.0)).copied().unwrap_or_default()
    }

    fn table(self) -> Option<&'static Table> {
        table::table(self.0)
    }
}

/// Every character set that is understood.
pub fn all() -> impl Iterator<Item = Charset> {
    let legacy = (0u8..).take(table::NAMES.len()).map(|index| Charset::Legacy(Legacy(index)));
    [Charset::Ascii, Charset::Latin1, Charset::Utf8mb3, Charset::Utf8mb4].into_iter().chain(legacy)
}

impl Charset {
    /// By the name that `character_set_client` and introducers use, in whatever case.
    pub fn from_name(name: &str) -> Self {
        match name.to_ascii_lowercase().as_str() {
            "ascii" => Self::Ascii,
            "latin1" => Self::Latin1,
            "utf8" | "utf8mb3" => Self::Utf8mb3,
            "utf8mb4" => Self::Utf8mb4,
            "binary" => Self::Binary,
            name => Legacy::named(name).map_or(Self::Other, Self::Legacy),
        }
    }

    /// The servers' name; empty for [`Charset::Other`].
    pub fn name(self) -> &'static str {
        match self {
            Self::Ascii => "ascii",
            Self::Latin1 => "latin1",
            Self::Utf8mb3 => "utf8mb3",
            Self::Utf8mb4 => "utf8mb4",
            Self::Binary => "binary",
            Self::Legacy(legacy) => legacy.name(),
            Self::Other => "",
        }
    }

    /// By collation id, as in handshakes and column definitions. From `information_schema.COLLATIONS`
    /// of MariaDB 10.11 and 11.8 and of MySQL 9.7.
    pub fn from_collation_id(id: u16) -> Self {
        match id {
            11 | 65 => Self::Ascii,
            5 | 8 | 15 | 31 | 47 | 48 | 49 | 94 => Self::Latin1,
            33 | 76 | 83 | 192..=215 | 223 => Self::Utf8mb3,
            45 | 46 | 224..=247 | 255..=323 => Self::Utf8mb4,
            63 => Self::Binary,
            // MariaDB's own: the nopad twins (id + 1024), Croatian, Myanmar, Thai, and UCA 14.0.0.
            1035 | 1089 => Self::Ascii,
            1032 | 1071 => Self::Latin1,
            576..=579 | 1057 | 1107 | 1216 | 1238 | 2048..=2303 => Self::Utf8mb3,
            608..=611 | 1069 | 1070 | 1248 | 1270 | 2304..=2559 => Self::Utf8mb4,
            _ => {
                let padded = if (1025..=1151).contains(&id) { id - 1024 } else { id };
                table::of_collation(padded).map_or(Self::Other, |index| Self::Legacy(Legacy(index)))
            }
        }
    }

    /// Bytes of the longest character, by which the servers reckon the length of columns.
    pub fn longest(self) -> u8 {
        match self {
            Self::Ascii | Self::Latin1 | Self::Binary => 1,
            Self::Utf8mb3 => 3,
            Self::Utf8mb4 | Self::Other => 4,
            Self::Legacy(legacy) => match legacy.name() {
                "big5" | "cp932" | "euckr" | "gb2312" | "gbk" | "sjis" => 2,
                "eucjpms" | "ujis" => 3,
                "gb18030" => 4,
                _ => 1,
            },
        }
    }

    /// Separates tokens, beyond ASCII's spaces: as the servers' lexers were seen to take it.
    pub fn is_space(self, byte: u8) -> bool {
        match self {
            Self::Latin1 => byte == 0xA0,
            Self::Legacy(legacy) => byte >= 0x80 && legacy.table().is_some_and(|table| table.is_space(byte)),
            _ => false,
        }
    }

    /// Behind `--` it begins a comment, as spaces do.
    pub fn is_control(self, byte: u8) -> bool {
        match self {
            Self::Legacy(legacy) => legacy.table().is_some_and(|table| table.is_control(byte)),
            _ => byte.is_ascii_control(),
        }
    }

    /// Every ASCII byte means its ASCII character: in all but swe7.
    pub fn reads_ascii(self) -> bool {
        match self {
            Self::Legacy(legacy) => legacy.table().is_some_and(|table| table.ascii_in),
            _ => true,
        }
    }
}

/// `bytes` of this character set in UTF-8; `None` if they are not valid in it, hold a code without a
/// character, or it is not understood. [`Charset::Binary`] stands for bytes that a utf8mb4 column takes as
/// they are.
pub fn decode_to_utf8(bytes: &[u8], charset: Charset) -> Option<Cow<'_, [u8]>> {
    match charset {
        Charset::Ascii => bytes.is_ascii().then_some(Cow::Borrowed(bytes)),
        Charset::Latin1 if bytes.is_ascii() => Some(Cow::Borrowed(bytes)),
        // MySQL's latin1 is windows-1252 with the five unassigned bytes as C1 controls, which is the
        // WHATWG's definition too.
        Charset::Latin1 => {
            let (text, _) = encoding_rs::WINDOWS_1252.decode_without_bom_handling(bytes);
            Some(Cow::Owned(text.into_owned().into_bytes()))
        }
        Charset::Utf8mb3 => {
            let text = std::str::from_utf8(bytes).ok()?;
            text.chars().all(|c| c.len_utf8() < 4).then_some(Cow::Borrowed(bytes))
        }
        Charset::Utf8mb4 | Charset::Binary => std::str::from_utf8(bytes).ok().map(|_| Cow::Borrowed(bytes)),
        Charset::Legacy(legacy) => {
            let table = legacy.table()?;
            if table.ascii_in && bytes.is_ascii() {
                return Some(Cow::Borrowed(bytes));
            }
            let mut text = String::with_capacity(bytes.len() + bytes.len() / 2);
            let mut at = 0;
            while at < bytes.len() {
                let (character, length) = table.first(bytes.get(at..)?)?;
                text.push(character);
                at += length;
            }
            Some(Cow::Owned(text.into_bytes()))
        }
        Charset::Other => None,
    }
}

/// UTF-8 in this character set, `?` for what it lacks, as the servers convert results. Bytes that are
/// not UTF-8 become `?` as well, but in [`Charset::Binary`], which takes all as it is.
pub fn encode_from_utf8(utf8: &[u8], charset: Charset) -> Vec<u8> {
    let table = match charset {
        Charset::Legacy(legacy) => legacy.table(),
        _ => None,
    };
    if charset == Charset::Binary || utf8.is_ascii() && table.is_none_or(|table| table.ascii_out) {
        return utf8.to_vec();
    }
    let mut encoded = Vec::with_capacity(utf8.len());
    for chunk in utf8.utf8_chunks() {
        for c in chunk.valid().chars() {
            let mut buffer = [0; 4];
            let bytes = c.encode_utf8(&mut buffer);
            match (charset, table) {
                (_, Some(table)) => {
                    if !table.put(c, &mut encoded) {
                        encoded.push(b'?');
                    }
                }
                (Charset::Ascii, _) if !c.is_ascii() => encoded.push(b'?'),
                (Charset::Utf8mb3, _) if bytes.len() == 4 => encoded.push(b'?'),
                (Charset::Latin1, _) => match encoding_rs::WINDOWS_1252.encode(bytes) {
                    (latin1, _, false) => encoded.extend_from_slice(&latin1),
                    _ => encoded.push(b'?'),
                },
                _ => encoded.extend_from_slice(bytes.as_bytes()),
            }
        }
        if !chunk.invalid().is_empty() {
            encoded.push(b'?');
        }
    }
    encoded
}

/// The character set in which a protected column takes binary strings, and in which its values leave
/// when `character_set_results` is NULL. That of a column in ascii, which is advised for searchable ones, says
/// nothing of the values.
pub fn of_column(column: &ProtectedColumn) -> Charset {
    match Charset::from_name(&column.charset) {
        Charset::Ascii | Charset::Binary | Charset::Utf8mb3 | Charset::Utf8mb4 => Charset::Utf8mb4,
        other => other,
    }
}

/// A string literal or string parameter in `character_set_client` as the servers turn it into one in
/// `character_set_connection`, with `?` for what that lacks. `None`: not valid in the former, one of them
/// is not understood, or the servers differ.
pub fn to_connection(bytes: &[u8], client: Charset, connection: Charset) -> Option<Cow<'_, [u8]>> {
    if client == Charset::Other || connection == Charset::Other {
        return None;
    }
    if taken_as_is(client, connection) {
        return Some(Cow::Borrowed(bytes));
    }
    let utf8 = decode_to_utf8(bytes, client)?;
    let encoded = encode_from_utf8(&utf8, connection);
    // MariaDB leaves a string of nothing but ASCII as it is even where the connection's character set
    // has other characters there (swe7) or codes of its own for them (the backslash in sjis).
    if utf8.is_ascii() && encoded != *utf8 {
        return None;
    }
    Some(Cow::Owned(encoded))
}

fn taken_as_is(client: Charset, connection: Charset) -> bool {
    client == connection || client == Charset::Binary || connection == Charset::Binary
}

/// [`to_connection`] leaves these bytes as they are.
pub fn unconverted(bytes: &[u8], client: Charset, connection: Charset) -> bool {
    to_connection(bytes, client, connection).is_some_and(|converted| *converted == *bytes)
}

impl SqlMode {
    /// From the value of `@@sql_mode`: names with commas between.
    pub fn parse(text: &str) -> Self {
        let mut mode = Self::default();
        for name in text.split(',') {
            match name.trim().to_ascii_uppercase().as_str() {
                "ANSI" | "DB2" | "MAXDB" | "MSSQL" | "POSTGRESQL" => {
                    mode.ansi_quotes = true;
                    mode.pipes_as_concat = true;
                    mode.ignore_space = true;
                }
                "ANSI_QUOTES" => mode.ansi_quotes = true,
                "NO_BACKSLASH_ESCAPES" => mode.no_backslash_escapes = true,
                "PIPES_AS_CONCAT" => mode.pipes_as_concat = true,
                "HIGH_NOT_PRECEDENCE" => mode.high_not_precedence = true,
                "IGNORE_SPACE" => mode.ignore_space = true,
                "STRICT_TRANS_TABLES" => mode.strict_trans_tables = true,
                "STRICT_ALL_TABLES" => mode.strict_all_tables = true,
                "TRADITIONAL" => {
                    mode.strict_trans_tables = true;
                    mode.strict_all_tables = true;
                    mode.no_zero_date = true;
                    mode.no_zero_in_date = true;
                }
                "NO_ZERO_DATE" => mode.no_zero_date = true,
                "NO_ZERO_IN_DATE" => mode.no_zero_in_date = true,
                "ALLOW_INVALID_DATES" => mode.allow_invalid_dates = true,
                "TIME_TRUNCATE_FRACTIONAL" => mode.time_truncate_fractional = true,
                "TIME_ROUND_FRACTIONAL" => mode.time_round_fractional = true,
                "NO_AUTO_VALUE_ON_ZERO" => mode.no_auto_value_on_zero = true,
                "ORACLE" | "EMPTY_STRING_IS_NULL" | "PAD_CHAR_TO_FULL_LENGTH" => mode.unsupported = true,
                _ => {}
            }
        }
        mode
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latin1_is_windows_1252_with_c1_controls() {
        let all: Vec<u8> = (0..=255).collect();
        let utf8 = decode_to_utf8(&all, Charset::Latin1).unwrap();
        assert_eq!(utf8.iter().filter(|b| **b == b'?').count(), 1);
        assert_eq!(
            decode_to_utf8(b"\x80\x81\xe9", Charset::Latin1).unwrap().as_ref(),
            "\u{20ac}\u{81}\u{e9}".as_bytes()
        );
        assert_eq!(encode_from_utf8(&utf8, Charset::Latin1), all);
    }

    #[test]
    fn what_a_character_set_lacks_becomes_a_question_mark() {
        assert_eq!(encode_from_utf8("aé\u{1f600}ж".as_bytes(), Charset::Latin1), b"a\xe9??");
        assert_eq!(encode_from_utf8("aé".as_bytes(), Charset::Ascii), b"a?");
        assert_eq!(encode_from_utf8("é\u{1f600}".as_bytes(), Charset::Utf8mb3), "é?".as_bytes());
    }

    #[test]
    fn invalid_bytes_are_not_decoded() {
        assert!(decode_to_utf8(b"\xff", Charset::Utf8mb4).is_none());
        assert!(decode_to_utf8("\u{1f600}".as_bytes(), Charset::Utf8mb3).is_none());
        assert!(decode_to_utf8(b"\xe9", Charset::Ascii).is_none());
        assert!(decode_to_utf8(b"a", Charset::Other).is_none());
        assert!(decode_to_utf8(b"\x81", Charset::from_name("gbk")).is_none());
        assert!(decode_to_utf8(b"a\x80", Charset::from_name("gbk")).is_none());
    }

    #[test]
    fn characters_are_where_the_servers_have_them() {
        // Where MySQL differs from the WHATWG, and where that has nothing.
        for (name, code, character) in [
            ("sjis", &b"\x81\x5f"[..], "\\"),
            ("cp932", b"\x81\x5f", "\u{ff3c}"),
            ("big5", b"\xa1\x45", "\u{2022}"),
            ("ujis", b"\xa1\xc1", "\u{301c}"),
            ("eucjpms", b"\xa1\xc1", "\u{ff5e}"),
            ("cp850", b"\x9d", "\u{d8}"),
            ("dec8", b"\xd7", "\u{152}"),
            ("swe7", b"{", "\u{e4}"),
            ("gb18030", b"\x94\x39\xda\x33", "\u{1f4a9}"),
        ] {
            let charset = Charset::from_name(name);
            assert_eq!(decode_to_utf8(code, charset).as_deref(), Some(character.as_bytes()), "{name}");
            assert_eq!(encode_from_utf8(character.as_bytes(), charset), code, "{name}");
        }
    }

    #[test]
    fn sql_modes_are_read_by_name() {
        let mode = SqlMode::parse("ANSI_QUOTES,STRICT_TRANS_TABLES");
        assert!(mode.ansi_quotes && mode.strict_trans_tables && !mode.no_backslash_escapes);
        assert_eq!(SqlMode::parse(""), SqlMode::default());
        assert!(SqlMode::parse("PIPES_AS_CONCAT,ORACLE").unsupported);
    }
}
