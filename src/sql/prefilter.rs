//! One scan over a statement's bytes that tells whether it needs to be analysed. May say so needlessly;
//! never misses.

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, MatchKind};

use crate::catalog::Snapshot;

/// Words that let a statement act on what it does not name, or that change what the proxy must know.
const SIDE_DOORS: [&str; 9] =
    ["prepare", "execute", "call", "binlog", "handler", "load", "session_track", "warnings", "errors"];
/// First words of statements that change the schema.
const DDL: [&str; 7] = ["create", "alter", "drop", "rename", "truncate", "import", "flashback"];

pub struct Prefilter {
    /// `None` if a watched name has letters beyond ASCII: its bytes depend on the session's character set.
    words: Option<AhoCorasick>,
    ddl: Option<AhoCorasick>,
}

impl Prefilter {
    pub fn new(snapshot: &Snapshot) -> Self {
        let names = snapshot.watched.keys().map(String::as_str);
        let ascii = names.clone().all(str::is_ascii);
        let words = automaton(names.chain(SIDE_DOORS));
        Self { words: words.filter(|_| ascii), ddl: automaton(DDL.into_iter()) }
    }

    /// Whether `text`, the SQL of one packet, must be analysed.
    pub fn hit(&self, text: &[u8]) -> bool {
        let Some(words) = &self.words else { return true };
        if words.is_match(text) || starts_with_ddl(text) {
            return true;
        }
        // Several statements: a later one may be DDL.
        let trimmed = text.trim_ascii_end();
        let several = trimmed.split_last().is_some_and(|(_, head)| head.contains(&b';'));
        several && self.ddl.as_ref().is_none_or(|ddl| ddl.is_match(text))
    }
}

fn automaton<'a>(words: impl Iterator<Item = &'a str>) -> Option<AhoCorasick> {
    AhoCorasickBuilder::new().ascii_case_insensitive(true).match_kind(MatchKind::Standard).build(words).ok()
}

/// Whether the first word is one of [`DDL`]; also if that word hides in an executable comment.
fn starts_with_ddl(text: &[u8]) -> bool {
    let mut rest = text;
    loop {
        rest = rest.trim_ascii_start();
        rest = match rest {
            [b'(', tail @ ..] => tail,
            // 0x0B counts as white space for the servers, and a latin1 session's 0xA0 too.
            [0x0B | 0xA0, tail @ ..] => tail,
            [b'/', b'*', b'!' | b'M', ..] => return true,
            [b'/', b'*', tail @ ..] => match tail.windows(2).position(|pair| pair == b"*/") {
                Some(end) => tail.get(end + 2..).unwrap_or_default(),
                None => return true,
            },
            [b'#', ..] | [b'-', b'-', ..] => match rest.iter().position(|byte| *byte == b'\n') {
                Some(end) => rest.get(end + 1..).unwrap_or_default(),
                None => return false,
            },
            _ => break,
        };
    }
    let word = rest.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let word = rest.get(..word).unwrap_or_default();
    DDL.iter().any(|ddl| word.eq_ignore_ascii_case(ddl.as_bytes()))
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
            ["SELECT * FROM orders WHERE id = 1;", "INSERT INTO t VALUES (1)", "/* c */ SELECT 1", "# drop\nSELECT 1"]
        {
            assert!(!filter.hit(pass.as_bytes()), "{pass}");
        }
    }

    #[test]
    fn a_watched_name_beyond_ascii_sends_everything_to_the_analyser() {
        assert!(prefilter(&["kundé"]).hit(b"SELECT 1"));
    }
}
