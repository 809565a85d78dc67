//! The question asked of every statement: may it touch anything protected? Never misses; hits too
//! often at times, and the analyser then finds nothing.

use aho_corasick::{AhoCorasick, AhoCorasickBuilder};

use crate::catalog::Snapshot;

/// Words that make a statement interesting whatever it names: dynamic SQL, side doors, and rows that
/// quote stored values.
const WORDS: &[&str] = &["PREPARE", "EXECUTE", "CALL", "BINLOG", "HANDLER", "LOAD", "WARNINGS", "ERRORS"];

/// MariaDB reads `` `#mysql50#us@0065rs` `` as the table whose file has that name.
pub(super) const FILE_NAME: &str = "#mysql50#";

/// Words that begin DDL, after which the catalog is stale.
const DDL: &[&str] = &["CREATE", "ALTER", "DROP", "RENAME", "IMPORT"];

/// One scan for the watched names of a snapshot and the words of dynamic SQL.
pub struct Prefilter {
    patterns: Option<AhoCorasick>,
    /// Whether a match counts only where no letter, `_` or `$` adjoins.
    whole: Vec<bool>,
    ddl: Option<AhoCorasick>,
    /// A watched name has no ASCII part to look for.
    any_non_ascii: bool,
    generation: u64,
}

impl Prefilter {
    pub fn new(snapshot: &Snapshot) -> Self {
        let mut patterns: Vec<&str> = WORDS.to_vec();
        let mut whole = vec![true; patterns.len()];
        // The second begins a table's name as the name of its file, which has many spellings.
        patterns.extend(["session_track", FILE_NAME]);
        whole.extend([false, false]);
        let mut any_non_ascii = false;
        for name in snapshot.watched.keys() {
            let simple = !name.is_empty() && name.bytes().all(is_word_byte);
            // Quotes within a name are doubled in the text, what is not ASCII has many spellings, and in some
            // character sets punctuation has two (armscii8, sjis).
            let run = name.split(|c: char| !u8::try_from(c).is_ok_and(is_word_byte)).max_by_key(|r| r.len());
            match run {
                Some(run) if !run.is_empty() => {
                    patterns.push(run);
                    whole.push(simple);
                }
                _ => any_non_ascii = true,
            }
        }
        Self {
            patterns: automaton(&patterns),
            whole,
            ddl: automaton(DDL),
            any_non_ascii,
            generation: snapshot.generation,
        }
    }

    /// The generation of the snapshot it was made for.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// `false`: nothing protected can be touched, and the catalog stays as it is.
    pub fn hit(&self, text: &[u8]) -> bool {
        // No automaton: too many patterns, so nothing is filtered out.
        let (Some(patterns), Some(ddl)) = (&self.patterns, &self.ddl) else { return true };
        let named = patterns.find_overlapping_iter(text).any(|m| {
            !self.whole.get(m.pattern().as_usize()).copied().unwrap_or(false) || is_whole(text, m.start(), m.end())
        });
        named || (self.any_non_ascii && !text.is_ascii()) || ddl_hit(ddl, text)
    }
}

fn ddl_hit(ddl: &AhoCorasick, text: &[u8]) -> bool {
    let trimmed = text.trim_ascii();
    let body = trimmed.strip_suffix(b";").unwrap_or(trimmed);
    let plain = body.first().is_some_and(u8::is_ascii_alphabetic);
    if plain && !body.contains(&b';') {
        let end = body.iter().position(|b| !is_word_byte(*b)).unwrap_or(body.len());
        let first = body.get(..end).unwrap_or_default();
        return DDL.iter().any(|w| first.eq_ignore_ascii_case(w.as_bytes()));
    }
    ddl.find_overlapping_iter(text).any(|m| is_whole(text, m.start(), m.end()))
}

fn automaton(patterns: &[&str]) -> Option<AhoCorasick> {
    AhoCorasickBuilder::new().ascii_case_insensitive(true).build(patterns).ok()
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$'
}

/// A number may end right before a word (`1e5users`), so a digit on the left does not adjoin; neither
/// do bytes that are not ASCII, as some are spaces.
fn is_whole(text: &[u8], start: usize, end: usize) -> bool {
    let left = start.checked_sub(1).and_then(|n| text.get(n));
    let right = text.get(end);
    !left.is_some_and(|b| is_word_byte(*b) && !b.is_ascii_digit()) && !right.is_some_and(|b| is_word_byte(*b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{ServerFlavor, ServerVersion, Watched};

    fn prefilter(names: &[&str]) -> Prefilter {
        Prefilter::new(&Snapshot {
            generation: 1,
            version: ServerVersion { flavor: ServerFlavor::MySql, number: 90_700 },
            lower_case_table_names: 0,
            tables: Default::default(),
            watched: names.iter().map(|name| ((*name).to_owned(), Watched::Protected)).collect(),
            routines: Default::default(),
            protected_schemas: vec!["shop".into()],
            missing: Default::default(),
        })
    }

    #[test]
    fn names_side_doors_and_ddl_hit_and_the_rest_does_not() {
        let filter = prefilter(&["users"]);
        for hit in [
            "select * from Users",
            "SELECT 1; drop database shop",
            "/* x */ -- y\n ( CREATE TABLE a (b int))",
            "/*!40000 drop database shop */",
            "eXecute s",
            "SET @@session.Session_Track_schema=0",
            "SHOW WARNINGS",
        ] {
            assert!(filter.hit(hit.as_bytes()), "{hit}");
        }
        for pass in
            ["SELECT * FROM orders WHERE id = 1;", "INSERT INTO t VALUES (1)", "/* c */ SELECT 1", "# note\nSELECT 1"]
        {
            assert!(!filter.hit(pass.as_bytes()), "{pass}");
        }
    }

    #[test]
    fn words_within_other_words_do_not_hit_but_numbers_before_them_do() {
        let filter = prefilter(&["users", "we`ird"]);
        for pass in [
            "SELECT * FROM users_log",
            "SELECT 'download', recall FROM superusers",
            "INSERT INTO t SET handlers=1",
            "SELECT dropped FROM t",
        ] {
            assert!(!filter.hit(pass.as_bytes()), "{pass}");
        }
        for hit in [
            "SELECT 1e5users.id",
            "SELECT .5users",
            "SELECT 1/*!50110users*/",
            "SELECT `we``ird`",
            "SELECT a FROM`users`",
            "SELECT @users",
        ] {
            assert!(filter.hit(hit.as_bytes()), "{hit}");
        }
        assert!(filter.hit(b"SELECT 1 FROM\xa0users\xa0"));
    }

    #[test]
    fn a_watched_name_beyond_ascii_is_found_by_its_ascii_part() {
        assert!(prefilter(&["élève"]).hit("SELECT * FROM Élève".as_bytes()));
    }
}
