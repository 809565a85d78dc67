//! The KMS encryption context: which pairs a ciphertext is bound to. `table` is always among them.

use std::collections::BTreeMap;

use super::error::KeyError;
use crate::config::{Config, TableName};
use crate::seal::derive::push_field;

/// Keys that only the proxy sets.
const RESERVED: [&str; 4] = ["purpose", "table", "key", "column"];
/// The `purpose` of a wrapped data key. Direct values have none.
const DATA_KEY: &str = "sealwire-data-key";

/// Sorted pairs; KMS compares them exactly, case included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncryptionContext(BTreeMap<String, String>);

impl EncryptionContext {
    /// As given: an application's own context, or one read from the vault.
    pub fn new(pairs: BTreeMap<String, String>) -> Self {
        Self(pairs)
    }

    /// What a direct value of `table` (`schema.table`) is bound to.
    pub fn direct(table: &str, fixed: &BTreeMap<String, String>) -> Self {
        let mut pairs = fixed.clone();
        pairs.insert("table".into(), table.into());
        Self(pairs)
    }

    /// What the wrapped data key `id` of `table` is bound to.
    pub fn data_key(table: &str, id: u32, fixed: &BTreeMap<String, String>) -> Self {
        let mut pairs = fixed.clone();
        pairs.insert("purpose".into(), DATA_KEY.into());
        pairs.insert("table".into(), table.into());
        pairs.insert("key".into(), id.to_string());
        Self(pairs)
    }

    /// Whether this is a data key's context for that table and id, with whatever static pairs were
    /// configured when it was made.
    pub fn is_data_key_of(&self, table: &str, id: u32) -> bool {
        let is = |key: &str, value: &str| self.0.get(key).is_some_and(|v| v == value);
        is("purpose", DATA_KEY) && is("table", table) && is("key", &id.to_string())
    }

    pub fn pairs(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// One encoding for one context: keys in byte order, every key and value length-prefixed.
    pub fn canonical(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (key, value) in &self.0 {
            push_field(&mut out, key.as_bytes());
            push_field(&mut out, value.as_bytes());
        }
        out
    }
}

/// Refuses static pairs and scope names that could make two contexts alike.
pub fn validate(config: &Config) -> Result<(), KeyError> {
    for key in config.kms.encryption_context.keys() {
        let lower = key.to_lowercase();
        if RESERVED.contains(&lower.as_str()) {
            return Err(KeyError::Config(format!("kms.encryption_context: `{key}` is set by the proxy itself")));
        }
        if lower.starts_with("aws:") {
            return Err(KeyError::Config(format!("kms.encryption_context: `{key}`: AWS reserves `aws:`")));
        }
        if key.is_empty() {
            return Err(KeyError::Config("kms.encryption_context: a key is empty".into()));
        }
    }
    for (name, table) in &config.tables {
        for name in [Some(name), table.sealed_as.as_ref()].into_iter().flatten() {
            valid_name(name)?;
        }
        for column in table.columns.keys() {
            if column.contains('\0') {
                return Err(KeyError::Config(format!("tables: {name}: a column name holds a NUL")));
            }
        }
    }
    Ok(())
}

fn valid_name(name: &TableName) -> Result<(), KeyError> {
    let bad = |part: &str| part.is_empty() || part.contains(['.', '\0']);
    if bad(&name.schema) || bad(&name.table) {
        return Err(KeyError::Config(format!(
            "tables: `{name}`: schema and table must not be empty or hold a dot or NUL"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(list: &[(&str, &str)]) -> BTreeMap<String, String> {
        list.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect()
    }

    #[test]
    fn a_data_key_context_belongs_to_one_table_and_id() {
        let context = EncryptionContext::data_key("shop.users", 7, &pairs(&[("service", "billing")]));
        assert!(context.is_data_key_of("shop.users", 7));
        assert!(!context.is_data_key_of("shop.users", 8));
        assert!(!context.is_data_key_of("shop.Users", 7));
        assert!(!EncryptionContext::direct("shop.users", &pairs(&[("key", "7")])).is_data_key_of("shop.users", 7));
    }

    #[test]
    fn the_canonical_form_tells_shifted_pairs_apart() {
        let a = EncryptionContext::new(pairs(&[("ab", "c")]));
        let b = EncryptionContext::new(pairs(&[("a", "bc")]));
        assert_ne!(a.canonical(), b.canonical());
    }
}
