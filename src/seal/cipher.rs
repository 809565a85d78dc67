//! Sealing and opening one value with its column's key: AES-256-GCM-SIV (RFC 8452) with random nonces,
//! algorithm 1. A repeated nonce then shows only that two values are equal, which matters where many
//! proxies share a key.

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, Nonce, UnboundKey};

use super::format::{self, ALG_SIV_RANDOM, Header, NONCE_LEN, Sealed};
use super::{DataKey, Plaintext, Scope, SealError, derive, pad};
use crate::catalog::Physical;

/// The key of one column under one data key. Never printed; the library wipes it on drop.
pub struct ColumnKey {
    key: LessSafeKey,
    key_id: u32,
    /// Table and column, length-prefixed, for the associated data.
    scope_fields: Vec<u8>,
}

impl ColumnKey {
    /// Derives the key of `scope` from the data key that the vault knows as `key_id`.
    pub fn derive(data_key: &DataKey, key_id: u32, scope: &Scope) -> Result<Self, SealError> {
        let bytes = data_key.derive(&derive::column_info(ALG_SIV_RANDOM, scope))?;
        let key = UnboundKey::new(&AES_256_GCM_SIV, bytes.as_slice()).map_err(|_| SealError::Library)?;
        let mut scope_fields = Vec::new();
        derive::push_scope(&mut scope_fields, scope);
        Ok(Self { key: LessSafeKey::new(key), key_id, scope_fields })
    }

    /// Seals `value` and answers the stored form. `pad` rounds its length up first.
    pub fn seal(&self, value: &Plaintext, pad: Option<u32>, physical: Physical) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0; NONCE_LEN];
        aws_lc_rs::rand::fill(&mut nonce).map_err(|_| SealError::Library)?;
        Ok(format::encode_stored(self.seal_with_nonce(value, pad, nonce)?, physical))
    }

    /// The byte form under a given nonce: for vectors, and for what must be deterministic.
    pub(crate) fn seal_with_nonce(
        &self,
        value: &Plaintext,
        pad: Option<u32>,
        nonce: [u8; NONCE_LEN],
    ) -> Result<Vec<u8>, SealError> {
        let header =
            Header { alg: ALG_SIV_RANDOM, search_version: 0, nonce, key_id: self.key_id, padded: pad.is_some() }
                .to_bytes();
        let padded = pad.map(|size| pad::pad(value.expose(), size)).transpose()?;
        let mut text = zeroize::Zeroizing::new(padded.as_ref().unwrap_or(value).expose().to_vec());
        let aad = Aad::from(derive::associated_data(&header, &self.scope_fields));
        let tag = self
            .key
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), aad, text.as_mut_slice())
            .map_err(|_| SealError::TooLong)?;
        let mut out = Vec::with_capacity(format::OVERHEAD.saturating_add(text.len()));
        out.extend(header);
        out.extend(text.as_slice());
        out.extend(tag.as_ref());
        Ok(out)
    }

    /// Opens a sealed value. Whatever is wrong with key, place or bytes is [`SealError::Authentication`].
    pub fn open(&self, sealed: &Sealed<'_>) -> Result<Plaintext, SealError> {
        let header = sealed.header.to_bytes();
        let aad = Aad::from(derive::associated_data(&header, &self.scope_fields));
        let nonce = Nonce::assume_unique_for_key(sealed.header.nonce);
        let mut body = zeroize::Zeroizing::new(sealed.body.to_vec());
        let opened = self.key.open_in_place(nonce, aad, body.as_mut_slice()).map_err(|_| SealError::Authentication)?;
        let len = if sealed.header.padded { pad::unpadded_len(opened)? } else { opened.len() };
        let value = opened.get(..len).ok_or(SealError::Malformed)?;
        Ok(Plaintext::new(value.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(table: &str, column: &str) -> Scope {
        Scope { table: table.into(), column: column.into() }
    }

    fn key(seed: u8, id: u32, scope: &Scope) -> ColumnKey {
        ColumnKey::derive(&DataKey::new(&[seed; 32]).unwrap(), id, scope).unwrap()
    }

    fn open(key: &ColumnKey, stored: &[u8], physical: Physical) -> Result<Vec<u8>, SealError> {
        let bytes = format::decode_stored(stored, physical)?;
        Ok(key.open(&Sealed::parse(&bytes)?)?.expose().to_vec())
    }

    #[test]
    fn values_of_every_length_come_back_in_both_forms() {
        let key = key(1, 7, &scope("shop.users", "email"));
        for physical in [Physical::Text, Physical::Binary] {
            for pad in [None, Some(1), Some(32)] {
                for len in [0, 1, 2, 3, 15, 16, 17, 107, 155, 5000] {
                    let value: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
                    let stored = key.seal(&Plaintext::new(value.clone()), pad, physical).unwrap();
                    assert_eq!(stored.len() as u64, super::super::sealed_len(len, pad, physical));
                    assert_eq!(open(&key, &stored, physical).unwrap(), value);
                }
            }
        }
    }

    #[test]
    fn the_same_value_seals_differently_every_time() {
        let key = key(1, 7, &scope("shop.users", "email"));
        let value = Plaintext::new(b"x".to_vec());
        assert_ne!(key.seal(&value, None, Physical::Text), key.seal(&value, None, Physical::Text));
    }

    #[test]
    fn a_value_opens_only_in_its_table_and_column_and_under_its_key() {
        let here = scope("shop.users", "email");
        let stored = key(1, 7, &here).seal(&Plaintext::new(b"secret".to_vec()), None, Physical::Text).unwrap();
        for other in
            [key(1, 7, &scope("shop.users", "phone")), key(1, 7, &scope("shop.staff", "email")), key(2, 7, &here)]
        {
            assert_eq!(open(&other, &stored, Physical::Text), Err(SealError::Authentication));
        }
    }

    #[test]
    fn no_changed_bit_goes_unnoticed() {
        let key = key(1, 7, &scope("shop.users", "email"));
        let stored = key.seal(&Plaintext::new(b"secret".to_vec()), Some(8), Physical::Binary).unwrap();
        for at in 0..stored.len() * 8 {
            let mut changed = stored.clone();
            changed[at / 8] ^= 1 << (at % 8);
            assert!(open(&key, &changed, Physical::Binary).is_err(), "bit {at}");
        }
    }
}
