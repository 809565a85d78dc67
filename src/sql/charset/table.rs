//! The codes of one character set, as the servers' CONVERT maps them: those of `encoding_rs`, or of
//! ASCII, with the differences listed in `tables.txt`. Tests compare every code with every server.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use encoding_rs::Encoding;

/// Written by the end-to-end test `charset_tables` under `SEALWIRE_WRITE_CHARSETS=1`.
///
/// A section a character set: `[name]`, then lines of these directives, all numbers hexadecimal:
/// `space B …` bytes that separate tokens; `control B …` bytes behind `--` that make it a comment, beyond
/// ASCII's; `letter 7F` where DEL is no such byte; `collations N …` (decimal); `decode C[-C]=U …` codes and
/// their characters, rising together, `-` for none; `encode U[-U]=C …` characters whose code is not the
/// lowest that decodes to them.
const TABLES: &str = include_str!("tables.txt");

/// The character sets with a table, by the servers' names.
pub const NAMES: [&str; 32] = [
    "latin2", "latin5", "latin7", "cp1250", "cp1251", "cp1256", "cp1257", "koi8r", "koi8u", "greek", "hebrew", "cp850",
    "cp852", "cp866", "dec8", "hp8", "macroman", "macce", "keybcs2", "armscii8", "geostd8", "tis620", "swe7", "gbk",
    "gb2312", "gb18030", "big5", "sjis", "cp932", "ujis", "eucjpms", "euckr",
];

#[derive(Default)]
pub struct Table {
    /// Code and character, ascending.
    pub decode: Vec<(u32, char)>,
    /// Character and code, ascending.
    pub encode: Vec<(char, u32)>,
    spaces: Vec<u8>,
    controls: Vec<u8>,
    del_is_letter: bool,
    /// ASCII means ASCII when it is read, and when it is written.
    pub ascii_in: bool,
    pub ascii_out: bool,
    longest: usize,
    /// GB 18030 has a code for every character outside of the BMP.
    supplementary: bool,
    /// The servers look only at the lower 16 bits of a character (tis620).
    wraps: bool,
}

static BUILT: [OnceLock<Table>; NAMES.len()] = [const { OnceLock::new() }; NAMES.len()];

/// The table at this index of [`NAMES`].
pub fn table(index: u8) -> Option<&'static Table> {
    let index = usize::from(index);
    let name = NAMES.get(index)?;
    Some(BUILT.get(index)?.get_or_init(|| Table::build(name, TABLES)))
}

/// The index in [`NAMES`] of the character set that a collation belongs to.
pub fn of_collation(id: u16) -> Option<u8> {
    static COLLATIONS: OnceLock<BTreeMap<u16, u8>> = OnceLock::new();
    let collations = COLLATIONS.get_or_init(|| {
        let lists = (0u8..).zip(NAMES).flat_map(|(index, name)| {
            let lines = section(name, TABLES).filter_map(|line| line.strip_prefix("collations "));
            lines.flat_map(str::split_ascii_whitespace).filter_map(|id| id.parse().ok()).map(move |id| (id, index))
        });
        lists.collect()
    });
    collations.get(&id).copied()
}

/// What `encoding_rs` makes of every code that a character set of this name may have, before the
/// differences: single bytes, pairs, EUC's triples and GB 18030's quadruples in the BMP.
pub fn base(name: &str) -> BTreeMap<u32, char> {
    let mut codes: BTreeMap<u32, char> = (0u8..0x80).map(|b| (u32::from(b), char::from(b))).collect();
    let Some(encoding) = encoding(name) else { return codes };
    let mut add = |bytes: &[u8]| {
        let decoded = encoding.decode_without_bom_handling_and_without_replacement(bytes);
        let mut characters = decoded.iter().flat_map(|text| text.chars());
        if let (Some(character), None) = (characters.next(), characters.next()) {
            codes.insert(code_of(bytes), character);
        }
    };
    for lead in 0x80..=0xFF {
        add(&[lead]);
        for trail in 0x30..=0xFF {
            if encoding.is_single_byte() {
                continue;
            }
            add(&[lead, trail]);
            if lead == 0x8F && matches!(name, "ujis" | "eucjpms") {
                (0xA1..=0xFE).for_each(|last| add(&[lead, trail, last]));
            }
        }
    }
    if name == "gb18030" {
        // 0x8431A439 is U+FFFF.
        (0..=GB18030_LAST_BMP).for_each(|linear| add(&gb18030_bytes(linear)));
    }
    codes
}

fn encoding(name: &str) -> Option<&'static Encoding> {
    Some(match name {
        "latin2" => encoding_rs::ISO_8859_2,
        "latin5" => encoding_rs::WINDOWS_1254,
        "latin7" => encoding_rs::ISO_8859_13,
        "cp1250" => encoding_rs::WINDOWS_1250,
        "cp1251" => encoding_rs::WINDOWS_1251,
        "cp1256" => encoding_rs::WINDOWS_1256,
        "cp1257" => encoding_rs::WINDOWS_1257,
        "koi8r" => encoding_rs::KOI8_R,
        "koi8u" => encoding_rs::KOI8_U,
        "greek" => encoding_rs::ISO_8859_7,
        "hebrew" => encoding_rs::ISO_8859_8,
        "cp866" => encoding_rs::IBM866,
        "macroman" => encoding_rs::MACINTOSH,
        "tis620" => encoding_rs::WINDOWS_874,
        "gbk" | "gb2312" => encoding_rs::GBK,
        "gb18030" => encoding_rs::GB18030,
        "big5" => encoding_rs::BIG5,
        "sjis" | "cp932" => encoding_rs::SHIFT_JIS,
        "ujis" | "eucjpms" => encoding_rs::EUC_JP,
        "euckr" => encoding_rs::EUC_KR,
        _ => return None,
    })
}

impl Table {
    fn build(name: &str, tables: &str) -> Self {
        let mut table = Self { supplementary: name == "gb18030", wraps: name == "tis620", ..Self::default() };
        let mut codes = base(name);
        let mut encode: BTreeMap<char, u32> = BTreeMap::new();
        let mut differences: Vec<(char, u32)> = Vec::new();
        for line in section(name, tables) {
            let mut words = line.split_ascii_whitespace();
            match words.next().unwrap_or_default() {
                "space" => table.spaces.extend(words.filter_map(|w| u8::from_str_radix(w, 16).ok())),
                "control" => table.controls.extend(words.filter_map(|w| u8::from_str_radix(w, 16).ok())),
                "letter" => table.del_is_letter = true,
                "decode" => words.flat_map(run).for_each(|(code, character)| match character {
                    Some(character) => drop(char::from_u32(character).map(|c| codes.insert(code, c))),
                    None => drop(codes.remove(&code)),
                }),
                "encode" => differences.extend(
                    words.flat_map(run).filter_map(|(character, code)| Some((char::from_u32(character)?, code?))),
                ),
                _ => {}
            }
        }
        for (code, character) in &codes {
            // A longer code is a greater number.
            encode.entry(*character).or_insert(*code);
        }
        encode.extend(differences);
        table.ascii_in = (0..0x80u8).all(|b| codes.get(&u32::from(b)) == Some(&char::from(b)));
        table.ascii_out = (0..0x80u8).all(|b| encode.get(&char::from(b)) == Some(&u32::from(b)));
        table.longest = if table.supplementary { 4 } else { codes.keys().map(|c| length(*c)).max().unwrap_or(1) };
        table.decode = codes.into_iter().collect();
        table.encode = encode.into_iter().collect();
        table
    }

    /// The character that `bytes` begins with, and its length in bytes.
    pub fn first(&self, bytes: &[u8]) -> Option<(char, usize)> {
        for length in 1..=self.longest.min(bytes.len()) {
            let code = code_of(bytes.get(..length)?);
            if let Ok(at) = self.decode.binary_search_by_key(&code, |(code, _)| *code) {
                return Some((self.decode.get(at)?.1, length));
            }
        }
        if self.supplementary
            && let Some([a @ 0x90..=0xE3, b @ b'0'..=b'9', c @ 0x81..=0xFE, d @ b'0'..=b'9']) = bytes.get(..4)
        {
            let linear = gb18030_linear([*a, *b, *c, *d]).checked_sub(GB18030_SUPPLEMENTARY)?;
            return Some((char::from_u32(0x1_0000 + linear)?, 4));
        }
        None
    }

    /// Appends the code of a character; `false` if there is none.
    pub fn put(&self, character: char, out: &mut Vec<u8>) -> bool {
        let outside = u32::from(character) > 0xFFFF;
        if outside && self.supplementary {
            out.extend(gb18030_bytes(u32::from(character) - 0x1_0000 + GB18030_SUPPLEMENTARY));
            return true;
        }
        let wrapped = match u32::from(character) & 0xFFFF {
            // The code 0 stands for "none" there.
            0 if outside => return false,
            lower if outside && self.wraps => lower,
            _ => u32::from(character),
        };
        let Ok(at) = self.encode.binary_search_by_key(&wrapped, |(c, _)| u32::from(*c)) else { return false };
        let Some((_, code)) = self.encode.get(at) else { return false };
        out.extend(code.to_be_bytes().iter().skip(4 - length(*code)));
        true
    }

    /// Separates tokens, beyond ASCII's spaces.
    pub fn is_space(&self, byte: u8) -> bool {
        self.spaces.contains(&byte)
    }

    /// Behind `--` it begins a comment.
    pub fn is_control(&self, byte: u8) -> bool {
        match byte {
            0x7F => !self.del_is_letter,
            _ => byte < 0x20 || self.controls.contains(&byte),
        }
    }
}

fn section<'a>(name: &str, tables: &'a str) -> impl Iterator<Item = &'a str> {
    let header = format!("[{name}]");
    tables.lines().skip_while(move |line| *line != header).skip(1).take_while(|line| !line.starts_with('['))
}

/// `A-B=V`: each number from A to B with the value that rises with it; `A=V`; `A=-`.
fn run(word: &str) -> impl Iterator<Item = (u32, Option<u32>)> {
    let parsed = || {
        let (range, value) = word.split_once('=')?;
        let (from, to) = range.split_once('-').unwrap_or((range, range));
        let (from, to) = (u32::from_str_radix(from, 16).ok()?, u32::from_str_radix(to, 16).ok()?);
        let value = if value == "-" { None } else { Some(u32::from_str_radix(value, 16).ok()?) };
        Some((from, to, value))
    };
    parsed().into_iter().flat_map(|(from, to, value)| (from..=to).map(move |n| (n, value.map(|v| v + n - from))))
}

/// The number of bytes of a code.
fn length(code: u32) -> usize {
    (4 - code.leading_zeros() as usize / 8).max(1)
}

fn code_of(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |code, byte| code << 8 | u32::from(*byte))
}

const GB18030_LAST_BMP: u32 = 39_419;
/// Of U+10000, `90308130`.
const GB18030_SUPPLEMENTARY: u32 = 189_000;

fn gb18030_linear([a, b, c, d]: [u8; 4]) -> u32 {
    let [a, b, c, d] = [a - 0x81, b - 0x30, c - 0x81, d - 0x30].map(u32::from);
    ((a * 10 + b) * 126 + c) * 10 + d
}

fn gb18030_bytes(linear: u32) -> [u8; 4] {
    let byte = |n: u32, first: u32| u8::try_from(n + first).unwrap_or(u8::MAX);
    [
        byte(linear / 12_600, 0x81),
        byte(linear / 1260 % 10, 0x30),
        byte(linear / 10 % 126, 0x81),
        byte(linear % 10, 0x30),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_the_tables_is_read() {
        for name in NAMES {
            assert!(TABLES.lines().any(|line| line == format!("[{name}]")), "{name} has no section");
            for line in section(name, TABLES) {
                let (directive, words) = line.split_once(' ').unwrap();
                for word in words.split(' ') {
                    let read = match directive {
                        "space" | "control" | "letter" => u8::from_str_radix(word, 16).is_ok(),
                        "collations" => word.parse::<u16>().is_ok(),
                        "decode" | "encode" => run(word).next().is_some(),
                        _ => false,
                    };
                    assert!(read, "{name}: {line}");
                }
            }
        }
        assert_eq!(of_collation(28), NAMES.iter().position(|name| *name == "gbk").map(|n| n as u8));
    }

    #[test]
    fn no_code_begins_with_another() {
        for (index, name) in NAMES.iter().enumerate() {
            let table = table(index as u8).unwrap();
            for (code, _) in &table.decode {
                for shorter in 1..length(*code) {
                    let begin = code >> (8 * (length(*code) - shorter));
                    assert!(table.decode.binary_search_by_key(&begin, |(c, _)| *c).is_err(), "{}: {code:X}", name);
                }
            }
        }
    }

    #[test]
    fn gb18030_has_every_character() {
        let table = Table::build("gb18030", TABLES);
        for (character, code) in [('\u{10000}', [0x90, 0x30, 0x81, 0x30]), ('\u{10ffff}', [0xE3, 0x32, 0x9A, 0x35])] {
            let mut out = Vec::new();
            assert!(table.put(character, &mut out));
            assert_eq!(out, code);
            assert_eq!(table.first(&code), Some((character, 4)));
        }
        assert_eq!(table.first(&[0xE3, 0x32, 0x9A, 0x36]), None);
        assert_eq!(table.first(&[0x90, 0x30, 0x81]), None);
    }
}
