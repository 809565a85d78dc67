//! Keys from keys: HKDF-SHA-256 (RFC 5869) of a data key, and the associated data that binds a value
//! to its place. Everything variable is length-prefixed, so that no two places share an encoding.

use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use zeroize::Zeroizing;

use super::{Row, Scope, SealError};

/// The fixed salt of every derivation.
pub const SALT: &[u8] = b"sealwire/v1/hkdf-sha-256";
/// Purpose of the keys that seal the values of one column.
pub const PURPOSE_COLUMN: &str = "column";
/// Purpose of the keys that make the nonces of a searchable column.
pub const PURPOSE_SEARCH: &str = "search";
/// Purpose of the key that authenticates a row of the vault.
pub const PURPOSE_VAULT_ROW: &str = "vault-row";

/// A 256-bit data key. Wiped on drop, never printed; boxed, so that moving it leaves no copy behind.
#[derive(Clone)]
pub struct DataKey(Box<Zeroizing<[u8; 32]>>);

impl DataKey {
    /// `None` unless `bytes` are exactly 32.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut key = Box::new(Zeroizing::new([0; 32]));
        if bytes.len() != key.len() {
            return None;
        }
        key.copy_from_slice(bytes);
        Some(Self(key))
    }

    /// 256 bits of HKDF output for `info`.
    pub fn derive(&self, info: &[u8]) -> Result<Box<Zeroizing<[u8; 32]>>, SealError> {
        struct Len;
        impl KeyType for Len {
            fn len(&self) -> usize {
                32
            }
        }
        let prk = Salt::new(HKDF_SHA256, SALT).extract(self.0.as_slice());
        let mut out = Box::new(Zeroizing::new([0; 32]));
        prk.expand(&[info], Len).and_then(|okm| okm.fill(out.as_mut_slice())).map_err(|_| SealError::Library)?;
        Ok(out)
    }
}

/// Appends `field` with its length as a big-endian u32 before it.
pub fn push_field(out: &mut Vec<u8>, field: &[u8]) {
    // A field is a name or a wrapped key; none comes near 4 GiB.
    let len = u32::try_from(field.len()).unwrap_or(u32::MAX);
    out.extend(len.to_be_bytes());
    out.extend(field);
}

/// The HKDF info of a key that seals a column's values.
pub fn column_info(alg: u8, scope: &Scope) -> Vec<u8> {
    info(PURPOSE_COLUMN, alg, scope)
}

/// The HKDF info of a column's key: purpose, algorithm, table, column.
pub fn info(purpose: &str, alg: u8, scope: &Scope) -> Vec<u8> {
    let mut info = Vec::with_capacity(64);
    push_field(&mut info, purpose.as_bytes());
    push_field(&mut info, &[alg]);
    push_scope(&mut info, scope);
    info
}

/// The associated data of a value: the bytes before its ciphertext, then table and column, then what its row is
/// told apart by, if it is bound to one.
pub fn associated_data(header: &[u8], scope_fields: &[u8], row: Option<&Row>) -> Vec<u8> {
    let row = row.map_or(&[][..], Row::fields);
    [header, scope_fields, row].concat()
}

/// The scope's fields, each length-prefixed.
pub fn push_scope(out: &mut Vec<u8>, scope: &Scope) {
    push_field(out, scope.table.as_bytes());
    push_field(out, scope.column.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_concatenate_alike_give_different_info() {
        let a = Scope { table: "a.b".into(), column: "c".into() };
        let b = Scope { table: "a.".into(), column: "bc".into() };
        assert_ne!(column_info(1, &a), column_info(1, &b));
        assert_ne!(column_info(1, &a), column_info(2, &a));
    }

    #[test]
    fn a_data_key_has_exactly_32_bytes() {
        assert!(DataKey::new(&[0; 31]).is_none());
        assert!(DataKey::new(&[0; 33]).is_none());
        assert!(DataKey::new(&[0; 32]).is_some());
    }
}
