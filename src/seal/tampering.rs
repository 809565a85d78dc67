//! What somebody who can write to the database can do to one sealed value: every changed bit and every cut,
//! for each form that a value has. `docs/threat-model.md` tabulates these; swaps are end-to-end tests.

use super::format::{decode_stored, encode_stored};
use super::*;
use crate::catalog::Physical;

fn scope() -> Scope {
    Scope { table: "shop.users".into(), column: "email".into() }
}

fn key() -> ColumnKey {
    ColumnKey::derive(&DataKey::new(&[1; 32]).unwrap(), 7, &scope()).unwrap()
}

/// One value of each algorithm, padded and not, empty and not, in bytes.
fn values() -> Vec<(&'static str, Vec<u8>)> {
    let search = SearchKey::derive(&DataKey::new(&[2; 32]).unwrap(), 1, &scope()).unwrap();
    let (empty, text) = (Plaintext::new(Vec::new()), Plaintext::new(b"jane@example.org".to_vec()));
    vec![
        ("random", key().seal(&text, None, None, Physical::Binary).unwrap()),
        ("random, empty", key().seal(&empty, None, None, Physical::Binary).unwrap()),
        ("random, padded", key().seal(&text, Some(32), None, Physical::Binary).unwrap()),
        ("random, empty, padded", key().seal(&empty, Some(8), None, Physical::Binary).unwrap()),
        ("gcm", key().seal_gcm(&text, None, None, Physical::Binary).unwrap()),
        ("gcm, empty", key().seal_gcm(&empty, None, None, Physical::Binary).unwrap()),
        ("gcm, padded", key().seal_gcm(&text, Some(32), None, Physical::Binary).unwrap()),
        ("searchable", key().seal_searchable(&search, &text, Physical::Binary).unwrap()),
        ("searchable, empty", key().seal_searchable(&search, &empty, Physical::Binary).unwrap()),
    ]
}

/// Opens it as the proxy does, key id aside: that one is looked up in the vault first.
fn open(stored: &[u8], physical: Physical) -> Result<Plaintext, SealError> {
    let bytes = decode_stored(stored, physical)?;
    key().open(&Sealed::parse(&bytes)?, None)
}

fn every_form() -> impl Iterator<Item = (&'static str, Physical, Vec<u8>)> {
    values().into_iter().flat_map(|(name, bytes)| {
        [Physical::Text, Physical::Binary].map(|physical| (name, physical, encode_stored(bytes.clone(), physical)))
    })
}

#[test]
fn the_values_open_as_long_as_nobody_touches_them() {
    for (name, physical, stored) in every_form() {
        let expected: &[u8] = if name.contains("empty") { b"" } else { b"jane@example.org" };
        assert_eq!(open(&stored, physical).unwrap().expose(), expected, "{name} {physical:?}");
    }
}

#[test]
fn every_changed_bit_is_refused() {
    for (name, physical, stored) in every_form() {
        for bit in 0..stored.len() * 8 {
            let mut changed = stored.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&changed, physical).is_err(), "{name} {physical:?}: bit {bit}");
        }
    }
}

#[test]
fn every_cut_is_refused() {
    for (name, physical, stored) in every_form() {
        for len in 0..stored.len() {
            assert!(open(&stored[..len], physical).is_err(), "{name} {physical:?}: cut to {len}");
            assert!(open(&stored[stored.len() - len..], physical).is_err(), "{name} {physical:?}: last {len}");
        }
    }
}

#[test]
fn nothing_can_be_appended_but_the_spaces_that_a_server_adds() {
    for (name, physical, stored) in every_form() {
        for byte in 0..=u8::MAX {
            let mut longer = stored.clone();
            longer.push(byte);
            let allowed = physical == Physical::Text && byte == b' ';
            assert_eq!(open(&longer, physical).is_ok(), allowed, "{name} {physical:?}: {byte:#04x} appended");
        }
    }
}

#[test]
fn no_other_byte_of_the_header_can_be_substituted() {
    for (name, bytes) in values() {
        for at in 0..format::HEADER_LEN {
            for byte in (0..=u8::MAX).filter(|byte| *byte != bytes[at]) {
                let mut changed = bytes.clone();
                changed[at] = byte;
                assert!(open(&changed, Physical::Binary).is_err(), "{name}: byte {at} as {byte:#04x}");
            }
        }
    }
}

#[test]
fn parts_of_two_values_do_not_make_a_third() {
    let search = SearchKey::derive(&DataKey::new(&[2; 32]).unwrap(), 1, &scope()).unwrap();
    type Seal<'a> = &'a dyn Fn(&Plaintext) -> Result<Vec<u8>, SealError>;
    let kinds: [(&str, Seal<'_>); 3] = [
        ("random", &|text| key().seal(text, None, None, Physical::Binary)),
        ("gcm", &|text| key().seal_gcm(text, None, None, Physical::Binary)),
        ("searchable", &|text| key().seal_searchable(&search, text, Physical::Binary)),
    ];
    for (name, seal) in kinds {
        let two = [b"jane@example.org", b"john@example.org"].map(|text| seal(&Plaintext::new(text.to_vec())).unwrap());
        for physical in [Physical::Text, Physical::Binary] {
            let two = two.clone().map(|value| encode_stored(value, physical));
            let mut opened = 0;
            for at in 0..=two[0].len() {
                let spliced = [&two[0][..at], &two[1][at..]].concat();
                // Both begin alike up to the nonce, and bytes next to a cut may happen to be alike too.
                let whole = two.contains(&spliced);
                assert_eq!(open(&spliced, physical).is_ok(), whole, "{name} {physical:?}: spliced at {at}");
                opened += usize::from(whole);
            }
            assert!(opened < two[0].len() / 2, "{name} {physical:?}: both values are all but the same");
        }
    }
}
