//! The byte layout of a sealed value, version 1, and its text form. Parsing is strict: a value has
//! exactly one accepted spelling. The cipher is in [`super::cipher`].

use std::borrow::Cow;

use base64::alphabet::STANDARD;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, Engine as _};

use super::SealError;
use crate::catalog::Physical;

/// The first byte of every sealed value.
pub const MAGIC: u8 = 0xA5;
/// Ends the text form, so that a value cut at the end is seen to be cut.
pub const TERMINATOR: u8 = b'.';
/// Magic, algorithm, search version, nonce, key id.
pub const HEADER_LEN: usize = 19;
pub const NONCE_LEN: usize = 12;
pub const TAG_LEN: usize = 16;
/// What sealing adds to the plaintext, in bytes.
pub const OVERHEAD: usize = HEADER_LEN + TAG_LEN;
/// Set in the key id field when the plaintext was padded. Ids are therefore below 2³¹. The flag sits
/// behind the first 15 bytes, the search tag, so that padding does not change what a search compares.
pub const PADDED: u32 = 0x8000_0000;
/// Search versions fit six bits, so that [`GUARD_PATTERN`] can name the third character.
pub const MAX_SEARCH_VERSION: u8 = 63;
/// In the place of the search version of algorithms that have none: the value is bound to its row.
pub const BOUND: u8 = 1;

/// AES-256-GCM-SIV with a random nonce; search version 0, or [`BOUND`].
pub const ALG_SIV_RANDOM: u8 = 1;
/// AES-256-GCM-SIV with a nonce derived from the plaintext; search versions 1 to 63.
pub const ALG_SIV_SEARCH: u8 = 2;
/// AES-256-GCM with a random nonce; search version 0, or [`BOUND`]. An approved algorithm, whose nonces must not repeat: how
/// many values one key seals is counted.
pub const ALG_GCM_RANDOM: u8 = 3;

/// A regular expression that whole sealed values in text form match and plaintext or a cut value does
/// not; for MariaDB's PCRE and MySQL's ICU. `(?-i)` because `_ci` collations would take a lower-cased
/// value for a whole one.
pub const GUARD_PATTERN: &str = "(?-i)^pQ[EIM][A-Za-z0-9+/]{44,}[.]$";

/// As [`GUARD_PATTERN`], and beside it the base64 of what AWS KMS `Encrypt` answers, which an application put
/// there before. A cut one passes.
const GUARD_PATTERN_MIXED: &str = "(?-i)^(pQ[EIM][A-Za-z0-9+/]{44,}[.]|AQ[EI]CAH[A-Za-z0-9+/]{53,}={0,2})$";

/// [`guard_expression`] for a column that holds values of an application's own encryption, too.
pub fn mixed_guard_expression(column: &str, physical: Physical) -> String {
    match physical {
        Physical::Text => format!("{column} IS NULL OR {column} REGEXP '{GUARD_PATTERN_MIXED}'"),
        Physical::Binary => format!(
            "{column} IS NULL OR (LENGTH({column}) >= {OVERHEAD} AND SUBSTRING({column}, 1, 2) IN \
             (x'a501', x'a502', x'a503')) OR (LENGTH({column}) >= 44 AND SUBSTRING({column}, 1, 4) IN \
             (x'01010200', x'01020200', 'AQIC', 'AQEC'))"
        ),
    }
}

/// The CHECK expression of a column's guard. `column` is the identifier already quoted for SQL. Not for
/// direct mode. For text columns measured on MariaDB 10.11 and MySQL 9.7; binary columns are compared
/// by their first bytes and least length, which cannot see a cut behind them.
pub fn guard_expression(column: &str, physical: Physical) -> String {
    match physical {
        Physical::Text => format!("{column} IS NULL OR {column} REGEXP '{GUARD_PATTERN}'"),
        Physical::Binary => format!(
            "{column} IS NULL OR (LENGTH({column}) >= {OVERHEAD} AND SUBSTRING({column}, 1, 2) IN (x'a501', x'a502', x'a503'))"
        ),
    }
}

const TEXT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(false),
);

/// The clear part of a sealed value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub alg: u8,
    pub search_version: u8,
    pub nonce: [u8; NONCE_LEN],
    /// The vault's id of the data key, below 2³¹.
    pub key_id: u32,
    pub padded: bool,
}

impl Header {
    /// Whether the associated data hold the row, too.
    pub fn is_bound(self) -> bool {
        self.alg != ALG_SIV_SEARCH && self.search_version == BOUND
    }

    /// The bytes before the ciphertext but the nonce, which the cipher itself authenticates: what algorithm 3
    /// binds, whose nonce is not known before it seals.
    pub fn without_nonce(self) -> [u8; HEADER_LEN - NONCE_LEN] {
        let [magic, alg, search, .., k0, k1, k2, k3] = self.to_bytes();
        [magic, alg, search, k0, k1, k2, k3]
    }

    /// The bytes before the ciphertext.
    pub fn to_bytes(self) -> [u8; HEADER_LEN] {
        let [n0, n1, n2, n3, n4, n5, n6, n7, n8, n9, n10, n11] = self.nonce;
        let key = (self.key_id & !PADDED) | if self.padded { PADDED } else { 0 };
        let [k0, k1, k2, k3] = key.to_be_bytes();
        let (a, s) = (self.alg, self.search_version);
        [MAGIC, a, s, n0, n1, n2, n3, n4, n5, n6, n7, n8, n9, n10, n11, k0, k1, k2, k3]
    }
}

/// A sealed value whose layout was checked; whether it is genuine only its key can tell.
#[derive(Clone, Copy)]
pub struct Sealed<'a> {
    pub header: Header,
    /// Ciphertext and tag.
    pub body: &'a [u8],
}

impl<'a> Sealed<'a> {
    /// Parses the byte form.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, SealError> {
        if bytes.first() != Some(&MAGIC) {
            return Err(SealError::NotSealed);
        }
        let (head, body) = bytes.split_first_chunk::<HEADER_LEN>().ok_or(SealError::Malformed)?;
        let [_, alg, search_version, rest @ ..] = *head;
        let [n0, n1, n2, n3, n4, n5, n6, n7, n8, n9, n10, n11, k0, k1, k2, k3] = rest;
        if body.len() < TAG_LEN {
            return Err(SealError::Malformed);
        }
        match (alg, search_version) {
            (ALG_SIV_RANDOM | ALG_GCM_RANDOM, 0 | BOUND) => {}
            (ALG_SIV_SEARCH, 1..=MAX_SEARCH_VERSION) => {}
            (ALG_SIV_RANDOM | ALG_SIV_SEARCH | ALG_GCM_RANDOM, version) => {
                return Err(SealError::UnknownSearchVersion(version));
            }
            (other, _) => return Err(SealError::UnknownAlgorithm(other)),
        }
        let key = u32::from_be_bytes([k0, k1, k2, k3]);
        let header = Header {
            alg,
            search_version,
            nonce: [n0, n1, n2, n3, n4, n5, n6, n7, n8, n9, n10, n11],
            key_id: key & !PADDED,
            padded: key & PADDED != 0,
        };
        Ok(Self { header, body })
    }
}

/// The text form of sealed bytes: base64 without padding, then the terminator.
pub fn encode_text(bytes: &[u8]) -> Vec<u8> {
    let mut text = TEXT.encode(bytes).into_bytes();
    text.push(TERMINATOR);
    text
}

/// The bytes of a text form. Trailing spaces are not part of the value: the server adds them to CHAR
/// columns under `PAD_CHAR_TO_FULL_LENGTH`.
pub fn decode_text(text: &[u8]) -> Result<Vec<u8>, SealError> {
    if !text.starts_with(b"pQ") {
        return Err(SealError::NotSealed);
    }
    let base64 = without_char_padding(text).strip_suffix(&[TERMINATOR]).ok_or(SealError::Malformed)?;
    TEXT.decode(base64).map_err(|_| SealError::Malformed)
}

/// `text` without the spaces at its end.
pub fn without_char_padding(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|byte| *byte != b' ').map_or(0, |at| at.saturating_add(1));
    text.get(..end).unwrap_or(text)
}

/// The sealed bytes of a stored value, whichever form its column holds.
pub fn decode_stored(stored: &[u8], physical: Physical) -> Result<Cow<'_, [u8]>, SealError> {
    match physical {
        Physical::Text => decode_text(stored).map(Cow::Owned),
        Physical::Binary => Ok(Cow::Borrowed(stored)),
    }
}

/// The stored form of sealed bytes.
pub fn encode_stored(bytes: Vec<u8>, physical: Physical) -> Vec<u8> {
    match physical {
        Physical::Text => encode_text(&bytes),
        Physical::Binary => bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(len: usize) -> Vec<u8> {
        let header = Header { alg: 1, search_version: 0, nonce: [7; 12], key_id: 0x1234_5678, padded: false };
        let mut bytes = header.to_bytes().to_vec();
        bytes.extend(std::iter::repeat_n(0xEE, len + TAG_LEN));
        bytes
    }

    #[test]
    fn a_header_survives_a_round_trip_with_its_padded_flag() {
        let header = Header { alg: 1, search_version: 0, nonce: [9; 12], key_id: 0x7FFF_FFFF, padded: true };
        let mut bytes = header.to_bytes().to_vec();
        bytes.extend([0; TAG_LEN]);
        assert!(Sealed::parse(&bytes).unwrap().header == header);
    }

    #[test]
    fn every_shorter_text_is_refused() {
        for len in 0..5 {
            let text = encode_text(&sample(len));
            for cut in 0..text.len() {
                assert!(decode_text(&text[..cut]).and_then(|b| Sealed::parse(&b).map(|_| ())).is_err(), "{cut}");
            }
        }
    }

    #[test]
    fn unused_bits_must_be_zero() {
        let mut text = encode_text(&sample(0));
        let last = text.len() - 2;
        assert!(decode_text(&text).is_ok());
        assert_eq!(text[last], b'4');
        text[last] = b'5';
        assert_eq!(decode_text(&text), Err(SealError::Malformed));
    }

    #[test]
    fn padding_characters_newlines_and_the_url_alphabet_are_refused() {
        let text = String::from_utf8(encode_text(&sample(0))).unwrap();
        let body = text.trim_end_matches('.');
        for wrong in [
            format!("{body}=."),
            format!("{}\n{}.", &body[..8], &body[8..]),
            format!("{}-{}.", &body[..8], &body[9..]),
            format!("{body}.."),
            body.to_owned(),
        ] {
            assert_eq!(decode_text(wrong.as_bytes()), Err(SealError::Malformed), "{wrong}");
        }
    }

    #[test]
    fn spaces_that_char_columns_add_are_not_part_of_the_value() {
        let mut text = encode_text(&sample(3));
        let bytes = decode_text(&text).unwrap();
        text.extend(b"   ");
        assert_eq!(decode_text(&text).unwrap(), bytes);
    }

    #[test]
    fn plaintext_is_not_sealed_and_an_unknown_algorithm_is_named() {
        assert_eq!(decode_text(b"jane@example.org"), Err(SealError::NotSealed));
        assert_eq!(decode_text(b""), Err(SealError::NotSealed));
        assert_eq!(Sealed::parse(b"jane").err(), Some(SealError::NotSealed));
        let mut bytes = sample(0);
        for alg in [0, 4, 255] {
            bytes[1] = alg;
            assert_eq!(Sealed::parse(&bytes).err(), Some(SealError::UnknownAlgorithm(alg)));
        }
        for (alg, version) in [(1, 2), (2, 0), (2, 64), (2, 255), (3, 2), (3, 64)] {
            bytes[1] = alg;
            bytes[2] = version;
            assert_eq!(Sealed::parse(&bytes).err(), Some(SealError::UnknownSearchVersion(version)));
        }
        for (alg, version) in [(1, 0), (1, BOUND), (2, 63), (3, 0), (3, BOUND)] {
            (bytes[1], bytes[2]) = (alg, version);
            assert!(Sealed::parse(&bytes).is_ok());
        }
    }

    #[test]
    fn the_first_fifteen_bytes_are_the_first_twenty_characters() {
        let text = encode_text(&sample(10));
        assert_eq!(TEXT.encode(&sample(10)[..15]).as_bytes(), &text[..20]);
        assert!(text.starts_with(b"pQE"));
    }
}
