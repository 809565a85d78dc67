//! One value: from plaintext to its sealed form and back. No keys are fetched here, nothing waits,
//! and nothing knows of servers or clocks. `docs/format.md` describes the same format in prose.

pub mod cipher;
pub mod derive;
pub mod direct;
pub mod format;
pub mod module;
pub mod pad;
pub mod row;
pub mod scrub;
pub mod search;
#[cfg(test)]
mod tampering;
pub mod types;
#[cfg(test)]
mod vectors;
pub mod versions;
pub mod width;

pub use cipher::ColumnKey;
pub use derive::DataKey;
pub use format::{GUARD_PATTERN, Header, Sealed, guard_expression, mixed_guard_expression};
pub use row::Row;
pub use scrub::{looks_sealed, scrub};
pub use search::SearchKey;
pub use width::{direct_len_estimate, max_plaintext, max_plaintext_direct, sealed_len};

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
    /// Appends what came later; what it grows out of is wiped.
    pub fn extend(&mut self, more: &[u8]) {
        let needed = self.0.len() + more.len();
        if needed > self.0.capacity() {
            let mut larger = Vec::with_capacity(needed.max(2 * self.0.capacity()));
            larger.extend_from_slice(&self.0);
            self.0 = zeroize::Zeroizing::new(larger);
        }
        self.0.extend_from_slice(more);
    }
}

impl std::fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(plaintext)")
    }
}

/// Why one value could not be sealed or opened. Holds nothing of the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    #[error("it is not a sealed value")]
    NotSealed,
    #[error("it begins like a sealed value but is not whole: it was cut or changed")]
    Malformed,
    #[error("it was sealed with algorithm {0}, which this version does not know")]
    UnknownAlgorithm(u8),
    #[error("it was sealed with search version {0}, which its algorithm does not have")]
    UnknownSearchVersion(u8),
    /// Wrong key, wrong table, wrong column, wrong row, or changed bytes: the cipher cannot tell them apart.
    #[error("it was sealed for another table or column, or was changed")]
    Authentication,
    #[error("it is not bound to a row, as its column now asks for")]
    NotBound,
    #[error("it is bound to a row, which its column does not tell")]
    Bound,
    #[error("pad must be between 1 and {max}", max = pad::MAX_PAD)]
    Pad,
    #[error("the value is too long to seal")]
    TooLong,
    /// The operating system's random numbers or the cipher itself failed.
    #[error("the cryptographic library failed")]
    Library,
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_plaintext_that_is_printed_shows_nothing() {
        assert_eq!(format!("{:?}", super::Plaintext::new(b"jane".to_vec())), "(plaintext)");
    }

    #[test]
    fn a_value_grows_by_what_comes_later() {
        let mut value = super::Plaintext::new(Vec::new());
        for piece in [&b""[..], b"a", b"", b"long enough to move it", b"z"] {
            value.extend(piece);
        }
        assert_eq!(value.expose(), b"along enough to move itz");
    }
}
