//! A row of the vault: one wrapped data key and what it is for, every field under a MAC that only the
//! data key itself can make. Reading and writing the table is in [`super::store`].

use aws_lc_rs::hmac;

use super::context::EncryptionContext;
use super::error::KeyError;
use super::provider::KmsError;
use crate::seal::DataKey;
use crate::seal::derive::{PURPOSE_VAULT_ROW, push_field};

/// Of a row whose key seals and opens values.
pub const PURPOSE_DATA: &str = "data";
/// Of a row whose key makes the nonces of searchable columns; its version is their search version.
pub const PURPOSE_SEARCH: &str = "search";
/// Opens, and will seal once every proxy has had the time to see it.
pub const STATE_PENDING: &str = "pending";
/// Seals new values, and opens. One of a scope and purpose.
pub const STATE_ACTIVE: &str = "active";
/// Only opens: a newer version seals.
pub const STATE_SUPERSEDED: &str = "superseded";
/// Kept for old backups: neither seals nor opens.
pub const STATE_RETIRED: &str = "retired";
/// The wrapped key is gone.
pub const STATE_SHREDDED: &str = "shredded";

/// As the table holds it.
#[derive(Clone, PartialEq, Eq)]
pub struct VaultRow {
    /// 1 to 2³¹ − 1, random, never used again.
    pub id: u32,
    /// `schema.table`.
    pub scope: String,
    pub purpose: String,
    pub version: u32,
    pub state: String,
    /// The ARN of the KMS key that wrapped it: for people; never used to choose a key.
    pub kms_key: String,
    pub context: EncryptionContext,
    pub wrapped: Vec<u8>,
    /// UTC, `YYYY-MM-DD hh:mm:ss`.
    pub created_at: String,
    pub mac: Vec<u8>,
}

impl VaultRow {
    /// What the MAC is over: every other field, each length-prefixed.
    fn message(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        push_field(&mut out, b"sealwire/v1/vault-row");
        push_field(&mut out, &self.id.to_be_bytes());
        push_field(&mut out, self.scope.as_bytes());
        push_field(&mut out, self.purpose.as_bytes());
        push_field(&mut out, &self.version.to_be_bytes());
        push_field(&mut out, self.state.as_bytes());
        push_field(&mut out, self.kms_key.as_bytes());
        push_field(&mut out, &self.context.canonical());
        push_field(&mut out, &self.wrapped);
        push_field(&mut out, self.created_at.as_bytes());
        out
    }

    /// The MAC that `key` makes for this row.
    pub fn mac_with(&self, key: &DataKey) -> Result<Vec<u8>, KeyError> {
        Ok(hmac::sign(&self.mac_key(key)?, &self.message()).as_ref().to_vec())
    }

    /// Whether the row is as the holder of `key` wrote it.
    pub fn verify(&self, key: &DataKey) -> Result<(), KeyError> {
        hmac::verify(&self.mac_key(key)?, &self.message(), &self.mac).map_err(|_| KeyError::VaultRow { id: self.id })
    }

    fn mac_key(&self, key: &DataKey) -> Result<hmac::Key, KeyError> {
        let mut info = Vec::new();
        push_field(&mut info, PURPOSE_VAULT_ROW.as_bytes());
        let bytes = key.derive(&info).map_err(|_| KmsError::Rejected { code: "HKDF".into() })?;
        Ok(hmac::Key::new(hmac::HMAC_SHA256, bytes.as_slice()))
    }

    /// Whether the row is what it must be before KMS is asked: a key of `table` for `purpose` whose context
    /// names that table and the row's own id.
    pub fn belongs_to(&self, table: &str, purpose: &str) -> bool {
        self.scope == table && self.purpose == purpose && self.context.is_data_key_of(table, self.id)
    }
}

/// The current time as the vault writes it: UTC, `YYYY-MM-DD hh:mm:ss`.
pub fn now() -> String {
    use aws_sdk_kms::primitives::{DateTime, DateTimeFormat};
    let time = DateTime::from_secs(DateTime::from(std::time::SystemTime::now()).secs());
    time.fmt(DateTimeFormat::DateTime).unwrap_or_default().replace('T', " ").trim_end_matches('Z').to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Vector {
        data_key: String,
        id: u32,
        scope: String,
        purpose: String,
        version: u32,
        state: String,
        kms_key: String,
        context: BTreeMap<String, String>,
        wrapped: String,
        created_at: String,
        mac: String,
    }

    fn unhex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    fn vectors() -> Vec<(DataKey, VaultRow)> {
        let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/vault_rows.json"));
        let vectors: Vec<Vector> = serde_json::from_str(text).unwrap();
        let row = |v: Vector| VaultRow {
            id: v.id,
            scope: v.scope,
            purpose: v.purpose,
            version: v.version,
            state: v.state,
            kms_key: v.kms_key,
            context: EncryptionContext::new(v.context),
            wrapped: unhex(&v.wrapped),
            created_at: v.created_at,
            mac: unhex(&v.mac),
        };
        vectors.into_iter().map(|v| (DataKey::new(&unhex(&v.data_key)).unwrap(), row(v))).collect()
    }

    #[test]
    fn the_mac_is_that_of_the_golden_vectors() {
        assert!(!vectors().is_empty());
        for (key, row) in vectors() {
            assert_eq!(row.mac_with(&key).unwrap(), row.mac);
            row.verify(&key).unwrap();
        }
    }

    #[test]
    fn every_field_of_a_row_is_authenticated() {
        let changes: [fn(&mut VaultRow); 10] = [
            |row| row.id += 1,
            |row| row.scope.push('x'),
            |row| row.purpose.push('x'),
            |row| row.version += 1,
            |row| row.state.push('x'),
            |row| row.kms_key.push('x'),
            |row| row.context = EncryptionContext::new(BTreeMap::new()),
            |row| row.wrapped.push(0),
            |row| row.created_at.push('0'),
            |row| row.mac.clear(),
        ];
        for change in changes {
            let (key, mut row) = vectors().remove(0);
            change(&mut row);
            assert_eq!(row.verify(&key), Err(KeyError::VaultRow { id: row.id }));
        }
    }

    #[test]
    fn times_are_written_as_the_server_reads_them() {
        let now = now();
        assert_eq!(now.len(), 19, "{now}");
        assert_eq!((&now[4..5], &now[10..11], &now[16..17]), ("-", " ", ":"));
    }
}
