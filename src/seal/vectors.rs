//! The golden vectors of `tests/vectors/sealed.json`, which an independent script wrote and
//! `tests/vectors/verify.py` opens. Whatever changes them breaks stored data.

use serde::Deserialize;

use super::{ColumnKey, DataKey, Plaintext, Row, Scope, Sealed, SearchKey, format};
use crate::catalog::Physical;

#[derive(Deserialize)]
struct File {
    sealed: Vec<Vector>,
    searchable: Vec<Searchable>,
    gcm: Vec<Vector>,
    bound: Vec<Bound>,
    refused: Vec<Refused>,
}

#[derive(Deserialize)]
struct Vector {
    name: String,
    data_key: String,
    key_id: u32,
    table: String,
    column: String,
    nonce: String,
    pad: Option<u32>,
    plaintext: String,
    bytes: String,
    text: String,
}

#[derive(Deserialize)]
struct Bound {
    #[serde(flatten)]
    vector: Vector,
    row: Vec<String>,
}

#[derive(Deserialize)]
struct Searchable {
    name: String,
    data_key: String,
    search_key: String,
    search_version: u32,
    key_id: u32,
    table: String,
    column: String,
    plaintext: String,
    bytes: String,
    text: String,
}

#[derive(Deserialize)]
struct Refused {
    name: String,
    data_key: String,
    table: String,
    column: String,
    text: String,
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn file() -> File {
    serde_json::from_str(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/sealed.json"))).unwrap()
}

fn key(data_key: &str, id: u32, table: &str, column: &str) -> ColumnKey {
    let scope = Scope { table: table.into(), column: column.into() };
    ColumnKey::derive(&DataKey::new(&unhex(data_key)).unwrap(), id, &scope).unwrap()
}

#[test]
fn every_vector_seals_and_opens_as_recorded() {
    let vectors = file().sealed;
    assert!(vectors.len() >= 6);
    for vector in vectors {
        let key = key(&vector.data_key, vector.key_id, &vector.table, &vector.column);
        let plaintext = Plaintext::new(unhex(&vector.plaintext));
        let nonce = unhex(&vector.nonce).try_into().unwrap();
        let bytes = key.seal_with_nonce(&plaintext, vector.pad, None, nonce).unwrap();
        assert_eq!(bytes, unhex(&vector.bytes), "{}", vector.name);
        assert_eq!(format::encode_text(&bytes), vector.text.as_bytes(), "{}", vector.name);
        let decoded = format::decode_stored(vector.text.as_bytes(), Physical::Text).unwrap();
        let sealed = Sealed::parse(&decoded).unwrap();
        assert_eq!(sealed.header.key_id, vector.key_id, "{}", vector.name);
        assert_eq!(key.open(&sealed, None).unwrap().expose(), plaintext.expose(), "{}", vector.name);
    }
}

#[test]
fn every_searchable_vector_seals_and_opens_as_recorded() {
    let vectors = file().searchable;
    assert!(vectors.len() >= 5);
    for vector in vectors {
        let key = key(&vector.data_key, vector.key_id, &vector.table, &vector.column);
        let scope = Scope { table: vector.table.clone(), column: vector.column.clone() };
        let search_key = DataKey::new(&unhex(&vector.search_key)).unwrap();
        let search = SearchKey::derive(&search_key, vector.search_version, &scope).unwrap();
        let plaintext = Plaintext::new(unhex(&vector.plaintext));
        assert_eq!(key.seal_searchable(&search, &plaintext, Physical::Binary).unwrap(), unhex(&vector.bytes));
        let stored = key.seal_searchable(&search, &plaintext, Physical::Text).unwrap();
        assert_eq!(stored, vector.text.as_bytes(), "{}", vector.name);
        let decoded = format::decode_stored(&stored, Physical::Text).unwrap();
        assert_eq!(
            key.open(&Sealed::parse(&decoded).unwrap(), None).unwrap().expose(),
            plaintext.expose(),
            "{}",
            vector.name
        );
    }
}

#[test]
fn every_vector_of_algorithm_3_opens_as_recorded() {
    let vectors = file().gcm;
    assert!(vectors.len() >= 4);
    for vector in vectors {
        let key = key(&vector.data_key, vector.key_id, &vector.table, &vector.column);
        let decoded = format::decode_stored(vector.text.as_bytes(), Physical::Text).unwrap();
        assert_eq!(*decoded, unhex(&vector.bytes), "{}", vector.name);
        let sealed = Sealed::parse(&decoded).unwrap();
        assert_eq!(sealed.header.nonce.to_vec(), unhex(&vector.nonce), "{}", vector.name);
        assert_eq!(sealed.header.padded, vector.pad.is_some(), "{}", vector.name);
        assert_eq!(key.open(&sealed, None).unwrap().expose(), unhex(&vector.plaintext), "{}", vector.name);
    }
}

#[test]
fn every_bound_vector_opens_in_its_row_as_recorded() {
    let vectors = file().bound;
    assert!(vectors.len() >= 5);
    for Bound { vector, row } in vectors {
        let key = key(&vector.data_key, vector.key_id, &vector.table, &vector.column);
        let values: Vec<Vec<u8>> = row.iter().map(|value| unhex(value)).collect();
        let row = Row::of(values.iter().map(Vec::as_slice));
        let decoded = format::decode_stored(vector.text.as_bytes(), Physical::Text).unwrap();
        assert_eq!(*decoded, unhex(&vector.bytes), "{}", vector.name);
        let sealed = Sealed::parse(&decoded).unwrap();
        let plaintext = key.open(&sealed, Some(&row)).unwrap();
        assert_eq!(plaintext.expose(), unhex(&vector.plaintext), "{}", vector.name);
        assert!(key.open(&sealed, Some(&Row::of([&b"other"[..]]))).is_err(), "{}", vector.name);
        if sealed.header.alg == format::ALG_SIV_RANDOM {
            let nonce = unhex(&vector.nonce).try_into().unwrap();
            assert_eq!(key.seal_with_nonce(&plaintext, vector.pad, Some(&row), nonce).unwrap(), *decoded);
        }
    }
}

#[test]
fn every_refused_vector_is_refused() {
    let vectors = file().refused;
    assert!(vectors.len() >= 8);
    for vector in vectors {
        let opened = format::decode_stored(vector.text.as_bytes(), Physical::Text).and_then(|bytes| {
            let sealed = Sealed::parse(&bytes)?;
            key(&vector.data_key, sealed.header.key_id, &vector.table, &vector.column).open(&sealed, None)
        });
        assert!(opened.is_err(), "{}", vector.name);
    }
}
