//! Sealing and opening one value with its column's key. Algorithm 1 is AES-256-GCM-SIV (RFC 8452) with random
//! nonces: one that repeats, where many proxies share a key, shows only that two values are equal. Algorithm 2
//! takes the value's own (see [`super::search`]), and shows that wherever values are equal. Algorithm 3 is
//! AES-256-GCM, whose nonces the cryptographic module draws itself, as its FIPS approval asks for.

use aws_lc_rs::aead::{AES_256_GCM, AES_256_GCM_SIV, Aad, LessSafeKey, Nonce, RandomizedNonceKey, UnboundKey};

use super::format::{self, ALG_GCM_RANDOM, ALG_SIV_RANDOM, ALG_SIV_SEARCH, BOUND, Header, NONCE_LEN, Sealed};
use super::{DataKey, Plaintext, Row, Scope, SealError, SearchKey, derive, pad};
use crate::catalog::Physical;

/// The keys of one column under one data key, one for each algorithm. Never printed; the library wipes
/// them on drop.
pub struct ColumnKey {
    random: LessSafeKey,
    search: LessSafeKey,
    gcm: RandomizedNonceKey,
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
        let gcm = data_key.derive(&derive::column_info(ALG_GCM_RANDOM, scope))?;
        let gcm = RandomizedNonceKey::new(&AES_256_GCM, gcm.as_slice()).map_err(|_| SealError::Library)?;
        Ok(Self { random: key(ALG_SIV_RANDOM)?, search: key(ALG_SIV_SEARCH)?, gcm, key_id, scope_fields })
    }

    /// Seals `value` and answers the stored form. `pad` rounds its length up first; `row` is what it opens in alone.
    pub fn seal(
        &self,
        value: &Plaintext,
        pad: Option<u32>,
        row: Option<&Row>,
        physical: Physical,
    ) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0; NONCE_LEN];
        aws_lc_rs::rand::fill(&mut nonce).map_err(|_| SealError::Library)?;
        Ok(format::encode_stored(self.seal_with_nonce(value, pad, row, nonce)?, physical))
    }

    /// Seals `value` with AES-256-GCM. The caller counts: no more than 2³² values under one data key, by all
    /// who have it (NIST SP 800-38D section 8.3).
    pub fn seal_gcm(
        &self,
        value: &Plaintext,
        pad: Option<u32>,
        row: Option<&Row>,
        physical: Physical,
    ) -> Result<Vec<u8>, SealError> {
        let padded = pad.map(|size| pad::pad(value.expose(), size)).transpose()?;
        let mut text = zeroize::Zeroizing::new(padded.as_ref().unwrap_or(value).expose().to_vec());
        let mut header = Header {
            alg: ALG_GCM_RANDOM,
            search_version: bound(row),
            nonce: [0; NONCE_LEN],
            key_id: self.key_id,
            padded: pad.is_some(),
        };
        let aad = Aad::from(derive::associated_data(&header.without_nonce(), &self.scope_fields, row));
        let (nonce, tag) =
            self.gcm.seal_in_place_separate_tag(aad, text.as_mut_slice()).map_err(|_| SealError::TooLong)?;
        header.nonce = *nonce.as_ref();
        Ok(format::encode_stored(assemble(header, &text, tag.as_ref()), physical))
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
        Ok(format::encode_stored(self.encrypt(header, value, None)?, physical))
    }

    /// The byte form of algorithm 1 under a given nonce, for vectors.
    pub(crate) fn seal_with_nonce(
        &self,
        value: &Plaintext,
        pad: Option<u32>,
        row: Option<&Row>,
        nonce: [u8; NONCE_LEN],
    ) -> Result<Vec<u8>, SealError> {
        let (key_id, padded) = (self.key_id, pad.is_some());
        let header = Header { alg: ALG_SIV_RANDOM, search_version: bound(row), nonce, key_id, padded };
        let padded = pad.map(|size| pad::pad(value.expose(), size)).transpose()?;
        self.encrypt(header, padded.as_ref().unwrap_or(value), row)
    }

    fn encrypt(&self, header: Header, value: &Plaintext, row: Option<&Row>) -> Result<Vec<u8>, SealError> {
        let nonce = Nonce::assume_unique_for_key(header.nonce);
        let key = if header.alg == ALG_SIV_SEARCH { &self.search } else { &self.random };
        let mut text = zeroize::Zeroizing::new(value.expose().to_vec());
        let aad = Aad::from(derive::associated_data(&header.to_bytes(), &self.scope_fields, row));
        let tag = key.seal_in_place_separate_tag(nonce, aad, text.as_mut_slice()).map_err(|_| SealError::TooLong)?;
        Ok(assemble(header, &text, tag.as_ref()))
    }

    /// Opens a sealed value. `row`: the one that it stands in, where its column binds values to theirs. Whatever is
    /// wrong with key, place or bytes is [`SealError::Authentication`].
    pub fn open(&self, sealed: &Sealed<'_>, row: Option<&Row>) -> Result<Plaintext, SealError> {
        let header = sealed.header;
        match (header.is_bound(), row) {
            (true, None) => return Err(SealError::Bound),
            // An attacker would otherwise put values from before the binding into any row.
            (false, Some(_)) => return Err(SealError::NotBound),
            (true, Some(_)) | (false, None) => {}
        }
        let aad = |header: &[u8]| Aad::from(derive::associated_data(header, &self.scope_fields, row));
        let nonce = Nonce::assume_unique_for_key(header.nonce);
        let mut body = zeroize::Zeroizing::new(sealed.body.to_vec());
        // [`Sealed::parse`] lets no other algorithm through.
        let opened = match header.alg {
            ALG_GCM_RANDOM => self.gcm.open_in_place(nonce, aad(&header.without_nonce()), body.as_mut_slice()),
            ALG_SIV_SEARCH => self.search.open_in_place(nonce, aad(&header.to_bytes()), body.as_mut_slice()),
            _ => self.random.open_in_place(nonce, aad(&header.to_bytes()), body.as_mut_slice()),
        };
        let opened = opened.map_err(|_| SealError::Authentication)?;
        let len = if sealed.header.padded { pad::unpadded_len(opened)? } else { opened.len() };
        let value = opened.get(..len).ok_or(SealError::Malformed)?;
        Ok(Plaintext::new(value.to_vec()))
    }
}

/// What stands where searchable values have their search version.
fn bound(row: Option<&Row>) -> u8 {
    if row.is_some() { BOUND } else { 0 }
}

fn assemble(header: Header, text: &[u8], tag: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(format::OVERHEAD.saturating_add(text.len()));
    out.extend(header.to_bytes());
    out.extend(text);
    out.extend(tag);
    out
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
        Ok(key.open(&Sealed::parse(&bytes)?, None)?.expose().to_vec())
    }

    #[test]
    fn values_of_every_length_come_back_in_both_forms() {
        let key = key(1, 7, &scope("shop.users", "email"));
        for physical in [Physical::Text, Physical::Binary] {
            for pad in [None, Some(1), Some(32)] {
                for len in [0, 1, 2, 3, 15, 16, 17, 107, 155, 5000] {
                    let value: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
                    let plaintext = Plaintext::new(value.clone());
                    for stored in
                        [key.seal(&plaintext, pad, None, physical), key.seal_gcm(&plaintext, pad, None, physical)]
                    {
                        let stored = stored.unwrap();
                        assert_eq!(stored.len() as u64, super::super::sealed_len(len, pad, physical));
                        assert_eq!(open(&key, &stored, physical).unwrap(), value);
                    }
                }
            }
        }
    }

    #[test]
    fn the_same_value_seals_differently_every_time() {
        let key = key(1, 7, &scope("shop.users", "email"));
        let value = Plaintext::new(b"x".to_vec());
        assert_ne!(key.seal(&value, None, None, Physical::Text), key.seal(&value, None, None, Physical::Text));
        let nonces: std::collections::HashSet<_> =
            (0..1000).map(|_| key.seal_gcm(&value, None, None, Physical::Binary).unwrap()[3..15].to_vec()).collect();
        assert_eq!(nonces.len(), 1000);
    }

    #[test]
    fn a_value_opens_only_in_its_table_and_column_and_under_its_key() {
        let here = scope("shop.users", "email");
        let secret = Plaintext::new(b"secret".to_vec());
        let own = key(1, 7, &here);
        for stored in [own.seal(&secret, None, None, Physical::Text), own.seal_gcm(&secret, None, None, Physical::Text)]
        {
            let stored = stored.unwrap();
            for other in
                [key(1, 7, &scope("shop.users", "phone")), key(1, 7, &scope("shop.staff", "email")), key(2, 7, &here)]
            {
                assert_eq!(open(&other, &stored, Physical::Text), Err(SealError::Authentication));
            }
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
        let values = [
            ([1, 0], k.seal(&value, None, None, Physical::Binary).unwrap()),
            ([2, 1], k.seal_searchable(&s, &value, Physical::Binary).unwrap()),
            ([3, 0], k.seal_gcm(&value, None, None, Physical::Binary).unwrap()),
        ];
        for (own, sealed) in &values {
            for (other, _) in &values {
                let mut relabelled = sealed.clone();
                assert_eq!(relabelled[1..3], *own);
                relabelled[1..3].copy_from_slice(other);
                let expected = if own == other { Ok(b"bob".to_vec()) } else { Err(SealError::Authentication) };
                assert_eq!(open(&k, &relabelled, Physical::Binary), expected, "{own:?} as {other:?}");
            }
        }
    }

    #[test]
    fn a_bound_value_opens_in_its_row_only() {
        let key = key(1, 7, &scope("shop.users", "email"));
        let value = Plaintext::new(b"bob".to_vec());
        let (row, other) = (Row::of([&b"5"[..]]), Row::of([&b"6"[..]]));
        for seal in [ColumnKey::seal, ColumnKey::seal_gcm] {
            for pad in [None, Some(8)] {
                let bound = seal(&key, &value, pad, Some(&row), Physical::Binary).unwrap();
                let free = seal(&key, &value, pad, None, Physical::Binary).unwrap();
                assert_eq!((bound.len(), bound[2], free[2]), (free.len(), 1, 0));
                let open = |bytes: &[u8], row| Ok(key.open(&Sealed::parse(bytes)?, row)?.expose().to_vec());
                assert_eq!(open(&bound, Some(&row)), Ok(b"bob".to_vec()));
                assert_eq!(open(&bound, Some(&other)), Err(SealError::Authentication));
                let longer = Row::of([&b"5"[..], b""]);
                assert_eq!(open(&bound, Some(&longer)), Err(SealError::Authentication));
                assert_eq!(open(&bound, None), Err(SealError::Bound));
                assert_eq!(open(&free, Some(&row)), Err(SealError::NotBound));
                // The mark cannot be set or taken off.
                let relabelled = |bytes: &[u8], mark| [&bytes[..2], &[mark], &bytes[3..]].concat();
                assert_eq!(open(&relabelled(&bound, 0), None), Err(SealError::Authentication));
                assert_eq!(open(&relabelled(&free, 1), Some(&row)), Err(SealError::Authentication));
            }
        }
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
        let secret = Plaintext::new(b"secret".to_vec());
        let sealed = [
            key.seal(&secret, Some(8), None, Physical::Binary),
            key.seal_gcm(&secret, Some(8), None, Physical::Binary),
        ];
        let each_bit = |stored: Vec<u8>| (0..stored.len() * 8).map(move |at| (at, stored.clone()));
        for (at, stored) in sealed.into_iter().map(Result::unwrap).flat_map(each_bit) {
            let mut changed = stored.clone();
            changed[at / 8] ^= 1 << (at % 8);
            assert!(open(&key, &changed, Physical::Binary).is_err(), "bit {at}");
        }
    }
}
