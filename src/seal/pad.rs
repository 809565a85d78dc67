//! Optional padding that hides a value's exact length: ISO/IEC 7816-4, one byte 0x80 and then zeros up
//! to a multiple of N. A flag in the header says that a value is padded (see [`super::format::PADDED`]),
//! so values sealed before and after a change of `pad` live side by side.

use super::SealError;
use crate::seal::Plaintext;

/// The largest `pad`, in bytes.
pub const MAX_PAD: u32 = 65_536;

/// The padded length of `len` bytes: the smallest multiple of `pad` above `len`, since the marker takes
/// one byte. A length that is a multiple already grows too; otherwise such lengths would show.
pub fn padded_len(len: u64, pad: u32) -> u64 {
    let pad = u64::from(pad.max(1));
    (len / pad).saturating_add(1).saturating_mul(pad)
}

/// The padded copy of `value`.
pub fn pad(value: &[u8], pad: u32) -> Result<Plaintext, SealError> {
    if pad == 0 || pad > MAX_PAD {
        return Err(SealError::Pad);
    }
    let total = padded_len(value.len() as u64, pad);
    let total = usize::try_from(total).map_err(|_| SealError::TooLong)?;
    let mut out = Vec::with_capacity(total);
    out.extend(value);
    out.push(0x80);
    out.resize(total, 0);
    Ok(Plaintext::new(out))
}

/// The length of the value inside `padded`, which was authenticated before.
pub fn unpadded_len(padded: &[u8]) -> Result<usize, SealError> {
    let marker = padded.iter().rposition(|byte| *byte != 0).ok_or(SealError::Malformed)?;
    if padded.get(marker) == Some(&0x80) { Ok(marker) } else { Err(SealError::Malformed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_round_trips_and_fills_whole_multiples() {
        for size in [1, 2, 16, 100] {
            for len in 0..210_usize {
                let value = vec![0x80; len];
                let padded = pad(&value, size).unwrap();
                assert_eq!(padded.expose().len() as u64, padded_len(len as u64, size));
                assert_eq!(padded.expose().len() % size as usize, 0);
                assert_eq!(unpadded_len(padded.expose()).unwrap(), len);
            }
        }
    }

    #[test]
    fn values_that_end_in_zeros_keep_them() {
        let padded = pad(&[1, 0, 0], 16).unwrap();
        assert_eq!(unpadded_len(padded.expose()), Ok(3));
    }

    #[test]
    fn padding_without_a_marker_is_refused() {
        assert_eq!(unpadded_len(&[0; 16]), Err(SealError::Malformed));
        assert_eq!(unpadded_len(&[1, 2, 3]), Err(SealError::Malformed));
        assert_eq!(unpadded_len(&[]), Err(SealError::Malformed));
        assert!(pad(b"x", 0).is_err());
        assert!(pad(b"x", MAX_PAD + 1).is_err());
    }
}
