//! The row that a value is bound to, for columns with `bind:`: what the table's key columns hold there.

use super::derive;

/// The values of the columns that a row is told apart by, in the order of the configuration. A value that is bound
/// opens beside these only.
#[derive(Clone, PartialEq, Eq)]
pub struct Row(Vec<u8>);

impl Row {
    /// Each value in the one form that `docs/format.md` gives for its type.
    pub fn of<'v>(values: impl IntoIterator<Item = &'v [u8]>) -> Self {
        let mut fields = Vec::new();
        values.into_iter().for_each(|value| derive::push_field(&mut fields, value));
        Self(fields)
    }

    /// The values, length-prefixed, as the associated data holds them.
    pub(super) fn fields(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(row)")
    }
}

#[cfg(test)]
mod tests {
    use super::Row;

    #[test]
    fn values_that_concatenate_alike_are_other_rows() {
        assert_ne!(Row::of([&b"1"[..], b"23"]), Row::of([&b"12"[..], b"3"]));
        assert_ne!(Row::of([&b"1"[..]]), Row::of([&b"1"[..], b""]));
    }
}
