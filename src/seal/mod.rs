//! One value: from plaintext to its sealed form and back. No keys are fetched here.

/// What a value is bound to: the sealed-as names of its table and column.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope {
    /// `schema.table`, also the KMS encryption context's `table`.
    pub table: String,
    pub column: String,
}

/// A value before sealing or after opening: UTF-8 for text columns, the bytes as they are for
/// binary ones. Wiped on drop, never printed.
#[derive(Clone)]
pub struct Plaintext(zeroize::Zeroizing<Vec<u8>>);

impl Plaintext {
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(zeroize::Zeroizing::new(bytes))
    }
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(plaintext)")
    }
}
