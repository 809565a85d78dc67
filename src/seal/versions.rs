//! Which versions of a table's data key its values may be sealed with. With one, equal values of a searchable
//! column have equal stored forms; with several they share only the search tag, which no data key changes.

use std::collections::BTreeMap;

use crate::catalog::Physical;

/// The data keys that seal or may have sealed, by `schema.table` as sealed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct KeyVersions {
    keys: BTreeMap<String, Vec<u32>>,
    /// The vault could not be read for too long.
    unknown: bool,
}

/// How the values of one table compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparing {
    /// One version at most: by whole values.
    Whole,
    /// Several versions: by their tags.
    Tags,
    /// Nobody knows: not at all.
    Unknown,
}

impl KeyVersions {
    /// Where nothing is searchable.
    pub const NONE: &'static Self = &Self { keys: BTreeMap::new(), unknown: false };

    /// Tables with the ids of their live keys.
    pub fn new(keys: impl IntoIterator<Item = (String, u32)>) -> Self {
        let mut versions = Self::default();
        for (table, id) in keys {
            versions.keys.entry(table).or_default().push(id);
        }
        versions.keys.values_mut().for_each(|ids| ids.sort_unstable());
        versions
    }

    /// What it is while the vault cannot be read.
    pub fn unknown() -> Self {
        Self { keys: BTreeMap::new(), unknown: true }
    }

    pub fn comparing(&self, table: &str) -> Comparing {
        match self.keys.get(table) {
            _ if self.unknown => Comparing::Unknown,
            Some(ids) if ids.len() > 1 => Comparing::Tags,
            _ => Comparing::Whole,
        }
    }

    /// The ids of a table's live keys, ascending.
    pub fn of(&self, table: &str) -> &[u32] {
        self.keys.get(table).map_or(&[], Vec::as_slice)
    }
}

/// What of a stored value stands in a statement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    #[default]
    Whole,
    /// The search tag: 15 bytes, 20 characters of text.
    Tag,
    /// A pattern of LIKE for what begins with the tag. Of text only: base64 has no character that LIKE knows.
    Prefix,
}

/// How long a search tag is.
pub fn tag_len(physical: Physical) -> usize {
    match physical {
        Physical::Text => 20,
        Physical::Binary => 15,
    }
}

impl Form {
    pub fn of(self, mut stored: Vec<u8>, physical: Physical) -> Vec<u8> {
        if self != Self::Whole {
            stored.truncate(tag_len(physical));
        }
        if self == Self::Prefix {
            stored.push(b'%');
        }
        stored
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::{ColumnKey, DataKey, Plaintext, Scope, SearchKey};

    #[test]
    fn values_of_two_versions_share_their_tags_and_nothing_else() {
        let scope = Scope { table: "shop.users".into(), column: "email".into() };
        let search = SearchKey::derive(&DataKey::new(&[9; 32]).unwrap(), 1, &scope).unwrap();
        for physical in [Physical::Text, Physical::Binary] {
            let seal = |version: u8, value: &str| {
                let key = ColumnKey::derive(&DataKey::new(&[version; 32]).unwrap(), version.into(), &scope).unwrap();
                key.seal_searchable(&search, &Plaintext::new(value.as_bytes().to_vec()), physical).unwrap()
            };
            let tag = |stored| Form::Tag.of(stored, physical);
            assert_ne!(seal(1, "bob"), seal(2, "bob"));
            assert_eq!(tag(seal(1, "bob")), tag(seal(2, "bob")));
            assert_ne!(tag(seal(1, "bob")), tag(seal(1, "Bob")));
            assert_eq!(tag(seal(1, "bob")).len(), tag_len(physical));
        }
    }

    #[test]
    fn tags_compare_while_several_versions_are_live() {
        let versions = KeyVersions::new([("shop.users".into(), 9), ("shop.users".into(), 3), ("shop.cars".into(), 5)]);
        assert_eq!(versions.comparing("shop.users"), Comparing::Tags);
        assert_eq!(versions.of("shop.users"), [3, 9]);
        assert_eq!(versions.comparing("shop.cars"), Comparing::Whole);
        assert_eq!(versions.comparing("shop.boats"), Comparing::Whole);
        assert_eq!(KeyVersions::unknown().comparing("shop.users"), Comparing::Unknown);
    }
}
