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

#[cfg(test)]
mod tests {
    use super::*;

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
