//! How long sealed values are, and how much plaintext a column has room for.

use super::direct::{MAX_PLAINTEXT, OVERHEAD_ESTIMATE};
use super::format::OVERHEAD;
use super::pad;
use crate::catalog::{Physical, Width};

/// The stored length of a value of `len` bytes: characters (each one byte) for text columns, bytes for
/// binary ones.
pub fn sealed_len(len: u64, pad: Option<u32>, physical: Physical) -> u64 {
    let len = pad.map_or(len, |size| pad::padded_len(len, size));
    let bytes = len.saturating_add(OVERHEAD as u64);
    match physical {
        Physical::Text => bytes.saturating_mul(4).div_ceil(3).saturating_add(1),
        Physical::Binary => bytes,
    }
}

/// The most bytes of plaintext whose sealed form a column of `width` holds. `None`: not even the empty
/// string fits, or the column is not a string.
pub fn max_plaintext(width: Width, physical: Physical, pad: Option<u32>) -> Option<u64> {
    let units = units(width)?;
    let bytes = match physical {
        Physical::Text => three_quarters(units.checked_sub(1)?),
        Physical::Binary => units,
    };
    let plain = bytes.checked_sub(OVERHEAD as u64)?;
    match pad {
        None => Some(plain),
        Some(size) => (plain / u64::from(size.max(1))).checked_mul(u64::from(size.max(1)))?.checked_sub(1),
    }
}

/// The stored length of a direct value of `len` bytes, as KMS makes blobs today: an estimate, since the
/// blob is KMS's own.
pub fn direct_len_estimate(len: u64, physical: Physical) -> u64 {
    let blob = len.saturating_add(OVERHEAD_ESTIMATE);
    match physical {
        Physical::Text => blob.div_ceil(3).saturating_mul(4),
        Physical::Binary => blob,
    }
}

/// The most bytes of plaintext that direct mode gets into a column of `width`: an estimate like
/// [`direct_len_estimate`], and never more than KMS takes.
pub fn max_plaintext_direct(width: Width, physical: Physical) -> Option<u64> {
    let units = units(width)?;
    let blob = match physical {
        Physical::Text => (units / 4).saturating_mul(3),
        Physical::Binary => units,
    };
    let plain = blob.checked_sub(OVERHEAD_ESTIMATE)?.min(MAX_PLAINTEXT as u64);
    (plain > 0).then_some(plain)
}

fn units(width: Width) -> Option<u64> {
    match width {
        Width::Characters(n) | Width::Bytes(n) => Some(n),
        Width::None => None,
    }
}

/// ⌊3n/4⌋ without overflow.
fn three_quarters(n: u64) -> u64 {
    (n / 4).saturating_mul(3).saturating_add((n % 4).saturating_mul(3) / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_widths_hold_what_is_documented() {
        assert_eq!(max_plaintext(Width::Characters(191), Physical::Text, None), Some(107));
        assert_eq!(max_plaintext(Width::Characters(255), Physical::Text, None), Some(155));
        assert_eq!(max_plaintext(Width::Bytes(65_535), Physical::Binary, None), Some(65_500));
        assert_eq!(max_plaintext(Width::Characters(47), Physical::Text, None), None);
        assert_eq!(max_plaintext(Width::None, Physical::Text, None), None);
        assert_eq!(direct_len_estimate(1, Physical::Text), 204);
        assert_eq!(max_plaintext_direct(Width::Characters(203), Physical::Text), None);
        assert_eq!(max_plaintext_direct(Width::Characters(204), Physical::Text), Some(1));
        assert_eq!(max_plaintext_direct(Width::Bytes(u64::from(u32::MAX)), Physical::Text), Some(4096));
    }

    #[test]
    fn the_most_that_fits_fits_and_one_byte_more_does_not() {
        for pad in [None, Some(1), Some(16), Some(64)] {
            for physical in [Physical::Text, Physical::Binary] {
                for units in 0..700 {
                    match max_plaintext(Width::Characters(units), physical, pad) {
                        Some(most) => {
                            assert!(sealed_len(most, pad, physical) <= units);
                            assert!(sealed_len(most + 1, pad, physical) > units);
                        }
                        None => assert!(sealed_len(0, pad, physical) > units),
                    }
                }
            }
        }
        assert!(max_plaintext(Width::Bytes(u64::MAX), Physical::Text, Some(64)).is_some());
    }
}
