//! Sealing and opening one value with its column's key: AES-256-GCM-SIV (RFC 8452). Algorithm 1 takes
//! random nonces: one that repeats, where many proxies share a key, shows only that two values are equal.
//! Algorithm 2 takes the value's own (see [`super::search`]), and shows that wherever values are equal.

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, Nonce, UnboundKey};

use super::format::{self, ALG_SIV_RANDOM, ALG_SIV_SEARCH, Header, NONCE_LEN, Sealed};
use super::{DataKey, Plaintext, Scope, SealError, SearchKey, derive, pad};
use crate::catalog::Physical;

/// The keys of one column under one data key, one for each algorithm. Never printed; the library wipes
/// them on drop.
pub struct ColumnKey {
    random: LessSafeKey,
    search: LessSafeKey,
    key_id: u32,
    /// Table and column, length-prefixed, for the associated data.
    scope_fields: Vec<u8>,
}

impl ColumnKey {
    /// Derives the key of `scope` from the data key that the vault knows as `key_id`.
    pub fn derive(data_key: &DataKey, key_id: u32, scope: &Scope) -> Result<Self, SealError> {
        let key = |alg| {
            let bytes = data_key.derive(&derive::column_info(alg, scope))?;
            let key = UnboundKey::new(&AES_256_GCM_SIV, bytes.as_slice()).map_err(|_| SealError::Library)?;
            Ok(LessSafeKey::new(key))
        };
        let mut scope_fields = Vec::new();
        derive::push_scope(&mut scope_fields, scope);
        Ok(Self { random: key(ALG_SIV_RANDOM)?, search: key(ALG_SIV_SEARCH)?, key_id, scope_fields })
    }

    /// Seals `value` and answers the stored form. `pad` rounds its length up first.
    pub fn seal(&self, value: &Plaintext, pad: Option<u32>, physical: Physical) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0; NONCE_LEN];
        aws_lc_rs::rand::fill(&mut nonce).map_err(|_| SealError::Library)?;
        Ok(format::encode_stored(self.seal_with_nonce(value, pad, nonce)?, physical))
    }

    /// Seals `value` so that equal values have equal stored forms under the same keys.
    pub fn seal_searchable(
        &self,
        search_key: &SearchKey,
        value: &Plaintext,
        physical: Physical,
    ) -> Result<Vec<u8>, SealError> {
        let header = Header {
            alg: ALG_SIV_SEARCH,
            search_version: search_key.version(),
            nonce: search_key.nonce(value),
            key_id: self.key_id,
            padded: false,
        };
        Ok(format::encode_stored(self.encrypt(header, value)?, physical))
    }

    /// The byte form of algorithm 1 under a given nonce, for vectors.
    pub(crate) fn seal_with_nonce(
        &self,
        value: &Plaintext,
        pad: Option<u32>,
        nonce: [u8; NONCE_LEN],
    ) -> Result<Vec<u8>, SealError> {
        let header =
            Header { alg: ALG_SIV_RANDOM, search_version: 0, nonce, key_id: self.key_id, padded: pad.is_some() };
        let padded = pad.map(|size| pad::pad(value.expose(), size)).transpose()?;
        self.encrypt(header, padded.as_ref().unwrap_or(value))
    }

    fn encrypt(&self, header: Header, value: &Plaintext) -> Result<Vec<u8>, SealError> {
        let nonce = Nonce::assume_unique_for_key(header.nonce);
        let key = self.key(header.alg);
        let header = header.to_bytes();
        let mut text = zeroize::Zeroizing::new(value.expose().to_vec());
        let aad = Aad::from(derive::associated_data(&header, &self.scope_fields));
        let tag = key.seal_in_place_separate_tag(nonce, aad, text.as_mut_slice()).map_err(|_| SealError::TooLong)?;
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
        let key = self.key(sealed.header.alg);
        let opened = key.open_in_place(nonce, aad, body.as_mut_slice()).map_err(|_| SealError::Authentication)?;
        let len = if sealed.header.padded { pad::unpadded_len(opened)? } else { opened.len() };
        let value = opened.get(..len).ok_or(SealError::Malformed)?;
        Ok(Plaintext::new(value.to_vec()))
    }

    /// [`Sealed::parse`] lets no other algorithm through.
    fn key(&self, alg: u8) -> &LessSafeKey {
        if alg == ALG_SIV_SEARCH { &self.search } else { &self.random }
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

    fn search_key(seed: u8, version: u32, scope: &Scope) -> SearchKey {
        SearchKey::derive(&DataKey::new(&[seed; 32]).unwrap(), version, scope).unwrap()
    }

    #[test]
    fn equal_values_of_a_searchable_column_seal_alike_and_others_do_not() {
        let here = scope("shop.users", "email");
        let value = |text: &str| Plaintext::new(text.as_bytes().to_vec());
        let seal = |k: &ColumnKey, s: &SearchKey, text| k.seal_searchable(s, &value(text), Physical::Text).unwrap();
        let (k, s) = (key(1, 7, &here), search_key(2, 1, &here));
        let sealed = seal(&k, &s, "bob");
        assert_eq!(sealed, seal(&key(1, 7, &here), &search_key(2, 1, &here), "bob"));
        assert!(sealed.starts_with(b"pQIB"));
        assert_eq!(sealed.len() as u64, super::super::sealed_len(3, None, Physical::Text));
        assert_eq!(open(&k, &sealed, Physical::Text).unwrap(), b"bob");
        for other in ["Bob", "bob ", "", "bo"] {
            assert_ne!(seal(&k, &s, other)[..20], sealed[..20], "{other}");
        }
        // The search tag depends on the search key, its version and the place; not on the data key.
        assert_eq!(seal(&key(9, 8, &here), &s, "bob")[..20], sealed[..20]);
        assert_ne!(seal(&key(9, 8, &here), &s, "bob"), sealed);
        let elsewhere = scope("shop.users", "phone");
        for other in [search_key(3, 1, &here), search_key(2, 2, &here), search_key(2, 1, &elsewhere)] {
            assert_ne!(seal(&k, &other, "bob")[..20], sealed[..20]);
        }
    }

    #[test]
    fn algorithms_do_not_open_each_others_values() {
        let here = scope("shop.users", "email");
        let (k, s) = (key(1, 7, &here), search_key(2, 1, &here));
        let value = Plaintext::new(b"bob".to_vec());
        let mut searchable = k.seal_searchable(&s, &value, Physical::Binary).unwrap();
        searchable[1..3].copy_from_slice(&[1, 0]);
        assert_eq!(open(&k, &searchable, Physical::Binary), Err(SealError::Authentication));
        let mut random = k.seal(&value, None, Physical::Binary).unwrap();
        random[1..3].copy_from_slice(&[2, 1]);
        assert_eq!(open(&k, &random, Physical::Binary), Err(SealError::Authentication));
    }

    #[test]
    fn search_versions_are_1_to_63() {
        for version in [0, 64, 300] {
            assert!(SearchKey::derive(&DataKey::new(&[1; 32]).unwrap(), version, &scope("a.b", "c")).is_err());
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
