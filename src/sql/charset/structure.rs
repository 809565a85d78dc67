//! How the bytes of a multi-byte character set form characters, assigned or not: the servers'
//! `my_ismbchar`. A lexer needs it, as the last byte of a character may look like a backslash.

use super::Charset;

/// Length in bytes of the multi-byte character that `bytes` begins with; 1 if it begins with none, and in
/// UTF-8, where no byte of a character looks like another character.
pub fn char_len(charset: Charset, bytes: &[u8]) -> usize {
    let Some(&lead) = bytes.first() else { return 1 };
    let Charset::Legacy(legacy) = charset else { return 1 };
    if lead < 0x80 {
        return 1;
    }
    let second = bytes.get(1).copied().unwrap_or(0);
    let third = bytes.get(2).copied().unwrap_or(0);
    let pair = match legacy.name() {
        "big5" => matches!(lead, 0xA1..=0xF9) && matches!(second, 0x40..=0x7E | 0xA1..=0xFE),
        "sjis" | "cp932" => matches!(lead, 0x81..=0x9F | 0xE0..=0xFC) && matches!(second, 0x40..=0x7E | 0x80..=0xFC),
        "gbk" => matches!(lead, 0x81..=0xFE) && matches!(second, 0x40..=0x7E | 0x80..=0xFE),
        "gb2312" => matches!(lead, 0xA1..=0xF7) && matches!(second, 0xA1..=0xFE),
        "euckr" => matches!(lead, 0x81..=0xFE) && matches!(second, 0x41..=0x5A | 0x61..=0x7A | 0x81..=0xFE),
        "gb18030" => {
            let fourth = bytes.get(3).copied().unwrap_or(0);
            if matches!(lead, 0x81..=0xFE)
                && second.is_ascii_digit()
                && matches!(third, 0x81..=0xFE)
                && fourth.is_ascii_digit()
            {
                return 4;
            }
            matches!(lead, 0x81..=0xFE) && matches!(second, 0x40..=0x7E | 0x80..=0xFE)
        }
        "ujis" | "eucjpms" => {
            if lead == 0x8F && matches!(second, 0xA1..=0xFE) && matches!(third, 0xA1..=0xFE) {
                return 3;
            }
            (lead == 0x8E && matches!(second, 0xA1..=0xDF))
                || (matches!(lead, 0xA1..=0xFE) && matches!(second, 0xA1..=0xFE))
        }
        _ => false,
    };
    if pair { 2 } else { 1 }
}

/// Length in bytes of the UTF-8 character of `longest` bytes at most that `bytes` begins with, or 1.
pub fn utf8_len(bytes: &[u8], longest: usize) -> usize {
    let head = bytes.get(..longest.min(bytes.len())).unwrap_or_default();
    head.utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next()).map_or(1, char::len_utf8)
}

/// Whether a byte can only be the beginning of a multi-byte character.
pub fn is_lead(charset: Charset, byte: u8) -> bool {
    let legacy = match charset {
        Charset::Utf8mb3 => return matches!(byte, 0xC2..=0xEF),
        Charset::Utf8mb4 => return matches!(byte, 0xC2..=0xF4),
        Charset::Legacy(legacy) => legacy,
        _ => return false,
    };
    match legacy.name() {
        "big5" => matches!(byte, 0xA1..=0xF9),
        "sjis" | "cp932" => matches!(byte, 0x81..=0x9F | 0xE0..=0xFC),
        "gb2312" => matches!(byte, 0xA1..=0xF7),
        "gbk" | "gb18030" | "euckr" => matches!(byte, 0x81..=0xFE),
        "ujis" | "eucjpms" => matches!(byte, 0x8E..=0x8F | 0xA1..=0xFE),
        _ => false,
    }
}
