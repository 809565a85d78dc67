//! Direct mode: the stored value is a KMS `CiphertextBlob`, in padded base64 for text columns. What is
//! inside the blob is KMS's own; nothing here opens it.

use base64::alphabet::STANDARD;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, Engine as _};

use super::SealError;
use super::format::without_char_padding;
use crate::catalog::Physical;

/// The most that KMS `Encrypt` takes under a symmetric key, in bytes
/// (<https://docs.aws.amazon.com/kms/latest/APIReference/API_Encrypt.html>).
pub const MAX_PLAINTEXT: usize = 4096;
/// The longest blob that KMS `Decrypt` takes, in bytes.
pub const MAX_BLOB: usize = 6144;
/// What a symmetric KMS key adds to a plaintext, in bytes. Measured, not promised: an estimate only.
pub const OVERHEAD_ESTIMATE: u64 = 152;

/// Writes padding; reads with and without it, since applications stored both.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The stored form of a blob.
pub fn encode(blob: Vec<u8>, physical: Physical) -> Vec<u8> {
    match physical {
        Physical::Text => BASE64.encode(&blob).into_bytes(),
        Physical::Binary => blob,
    }
}

/// The blob of a stored value. A binary column may hold base64 that an application put there: a blob
/// itself never consists of base64 characters alone.
pub fn decode(stored: &[u8], physical: Physical) -> Result<Vec<u8>, SealError> {
    let blob = match physical {
        Physical::Text => BASE64.decode(without_char_padding(stored)).map_err(|_| SealError::NotSealed)?,
        Physical::Binary => BASE64.decode(stored).unwrap_or_else(|_| stored.to_vec()),
    };
    // Blobs of every KMS carry a key's id, a nonce and a tag.
    if blob.len() < 44 || blob.len() > MAX_BLOB { Err(SealError::NotSealed) } else { Ok(blob) }
}

/// The blob of a value that AWS KMS `Encrypt` made, told by its own form: it begins with the bytes 01, 01 or
/// 02, 02, 00, 7x, in base64 `AQECAH` or `AQICAH`. Sealed values never do, nor do wrapped data keys (`AQIDAH`);
/// no promise of AWS's, but so have been the blobs of symmetric keys from the beginning.
pub fn aws_blob(stored: &[u8], physical: Physical) -> Option<Vec<u8>> {
    let blob = decode(stored, physical).ok()?;
    matches!(blob.get(..5), Some([1, 1 | 2, 2, 0, 0x70..=0x7F])).then_some(blob)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blobs_of_aws_are_told_by_their_first_bytes() {
        let blob = |head: &[u8]| [head, &[0xEE; 150]].concat();
        for head in [[1, 2, 2, 0, 0x78], [1, 1, 2, 0, 0x78], [1, 2, 2, 0, 0x7F]] {
            let text = encode(blob(&head), Physical::Text);
            assert!(text.starts_with(b"AQICAH") || text.starts_with(b"AQECAH"));
            assert_eq!(aws_blob(&text, Physical::Text).unwrap(), blob(&head));
            for stored in [&text, &blob(&head)] {
                assert_eq!(aws_blob(stored, Physical::Binary).unwrap(), blob(&head));
            }
            assert!(aws_blob(&text[..text.len() - 3], Physical::Text).is_none(), "cut");
            assert!(aws_blob(&text[..40], Physical::Text).is_none(), "too short for a blob");
            assert!(aws_blob(&blob(&head), Physical::Text).is_none(), "bytes in a text column");
        }
        for head in
            [[1, 2, 3, 0, 0x78], [0xA5, 1, 0, 0, 0x78], [1, 3, 2, 0, 0x78], [1, 2, 2, 1, 0x78], [1, 2, 2, 0, 0x88]]
        {
            assert!(aws_blob(&encode(blob(&head), Physical::Text), Physical::Text).is_none());
            assert!(aws_blob(&blob(&head), Physical::Binary).is_none());
        }
    }

    #[test]
    fn blobs_come_back_from_both_forms() {
        let blob: Vec<u8> = (1..=160).collect();
        for physical in [Physical::Text, Physical::Binary] {
            assert_eq!(decode(&encode(blob.clone(), physical), physical).unwrap(), blob);
        }
        let text = encode(blob.clone(), Physical::Text);
        assert_eq!(decode(&text, Physical::Binary).unwrap(), blob);
        let unpadded = String::from_utf8(text).unwrap();
        assert_eq!(decode(unpadded.trim_end_matches('=').as_bytes(), Physical::Text).unwrap(), blob);
    }

    #[test]
    fn plaintext_is_not_a_blob() {
        for value in ["", "jane@example.org", "c2hvcnQ=", "password"] {
            assert_eq!(decode(value.as_bytes(), Physical::Text), Err(SealError::NotSealed), "{value}");
        }
    }
}
