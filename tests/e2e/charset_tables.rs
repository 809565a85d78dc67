//! Every code of every character set, in both directions, is what the server's own conversion makes of
//! it; and the servers' lexers split text in it where the proxy's does.
//!
//! `SEALWIRE_WRITE_CHARSETS=1` writes `src/sql/charset/tables.txt` from what MySQL answers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use sealwire::catalog::{ServerFlavor, ServerVersion};
use sealwire::sql::charset::{all, char_len, decode_to_utf8, encode_from_utf8, table};
use sealwire::sql::lex::LexMode;
use sealwire::sql::literal::string;
use sealwire::sql::{Charset, SqlMode};

use crate::on_every_server;
use crate::support::{Schema, Server};

/// What one server says of one character set.
#[derive(Debug, Default)]
struct Facts {
    /// Codes that stand for one character.
    decode: BTreeMap<u32, char>,
    /// Codes of more than one byte that form one character, assigned or not.
    characters: BTreeSet<u32>,
    /// Characters that have a code.
    encode: BTreeMap<char, u32>,
    spaces: Vec<u8>,
    /// Bytes that begin a comment behind `--`, from 0x7F.
    controls: Vec<u8>,
    collations: Vec<u16>,
}

fn is_multi_byte(name: &str) -> bool {
    matches!(name, "gbk" | "gb2312" | "gb18030" | "big5" | "sjis" | "cp932" | "ujis" | "eucjpms" | "euckr")
}

/// Byte strings that may be one character: all of one and two bytes, EUC's of three, GB 18030's of four
/// in the BMP.
fn codes() -> Vec<Vec<u8>> {
    let mut codes: Vec<Vec<u8>> = (0..=255).map(|b| vec![b]).collect();
    codes.extend((0x80..=255).flat_map(|a| (0..=255).map(move |b| vec![a, b])));
    codes.extend(
        [0x8E, 0x8F].into_iter().flat_map(|a| (0x80..=255).flat_map(move |b| (0x80..=255).map(move |c| vec![a, b, c]))),
    );
    for linear in 0..39_420u32 {
        let byte = |n: u32, first: u32| (n + first) as u8;
        codes.push(vec![
            byte(linear / 12_600, 0x81),
            byte(linear / 1260 % 10, 0x30),
            byte(linear / 10 % 126, 0x81),
            byte(linear % 10, 0x30),
        ]);
    }
    codes
}

/// The characters of the BMP and of the two planes above it.
fn characters() -> impl Iterator<Item = char> {
    (0..0x3_0000).filter_map(char::from_u32)
}

async fn fill(conn: &mut Conn) {
    conn.query_drop("CREATE TABLE codes (n int unsigned PRIMARY KEY, b varbinary(4))").await.unwrap();
    for (chunk, codes) in codes().chunks(10_000).enumerate() {
        let rows: Vec<String> =
            codes.iter().enumerate().map(|(n, b)| format!("({},x'{}')", chunk * 10_000 + n, hex(b))).collect();
        conn.query_drop(format!("INSERT INTO codes VALUES {}", rows.join(","))).await.unwrap();
    }
    conn.query_drop("CREATE TABLE chars (n int unsigned PRIMARY KEY, c varchar(1)) CHARACTER SET utf8mb4")
        .await
        .unwrap();
    for chars in characters().collect::<Vec<_>>().chunks(10_000) {
        let rows: Vec<String> = chars
            .iter()
            .map(|c| format!("({},_utf8mb4 x'{}')", u32::from(*c), hex(c.to_string().as_bytes())))
            .collect();
        conn.query_drop(format!("INSERT INTO chars VALUES {}", rows.join(","))).await.unwrap();
    }
    conn.query_drop("SET group_concat_max_len = 1000000").await.unwrap();
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        write!(out, "{byte:02X}").unwrap();
        out
    })
}

fn unhex(text: &str) -> Vec<u8> {
    text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |code, byte| code << 8 | u32::from(*byte))
}

async fn ask(conn: &mut Conn, name: &str) -> Facts {
    let mut facts = Facts::default();
    let longest = if is_multi_byte(name) { 4 } else { 1 };
    let rows: Vec<(Vec<u8>, u64, u64, Option<String>)> = conn
        .query(format!(
            "SELECT b, COALESCE(LENGTH(CONVERT(b USING {name})), 0), COALESCE(CHAR_LENGTH(CONVERT(b USING {name})), 0), \
             HEX(CONVERT(CONVERT(b USING {name}) USING utf8mb4)) FROM codes WHERE LENGTH(b) <= {longest}"
        ))
        .await
        .unwrap();
    for (bytes, length, characters, utf8) in rows {
        // What is malformed became NULL, was cut, or turned into question marks.
        if length != bytes.len() as u64 || characters != 1 {
            continue;
        }
        if bytes.len() > 1 {
            facts.characters.insert(number(&bytes));
        }
        let utf8 = String::from_utf8(unhex(&utf8.unwrap_or_default())).unwrap();
        let mut chars = utf8.chars();
        if let (Some(character), None) = (chars.next(), chars.next())
            && (character != '?' || bytes == b"?")
        {
            facts.decode.insert(number(&bytes), character);
        }
    }
    let rows: Vec<(u32, String)> = conn
        .query(format!(
            "SELECT n DIV 256, GROUP_CONCAT(HEX(CONVERT(c USING {name})) ORDER BY n) FROM chars GROUP BY n DIV 256 ORDER BY 1"
        ))
        .await
        .unwrap();
    for (block, list) in rows {
        for (n, code) in list.split(',').enumerate() {
            let character = char::from_u32(block * 256 + n as u32).unwrap();
            if code != "3F" || character == '?' {
                facts.encode.insert(character, number(&unhex(code)));
            }
        }
    }
    facts.collations = conn
        .query(format!(
            "SELECT c.ID FROM information_schema.COLLATIONS c JOIN information_schema.COLLATION_CHARACTER_SET_APPLICABILITY a \
             USING (COLLATION_NAME) WHERE a.CHARACTER_SET_NAME = '{name}' AND c.ID IS NOT NULL ORDER BY 1"
        ))
        .await
        .unwrap_or_default();
    conn.query_drop(format!("SET NAMES {name}")).await.unwrap();
    for byte in 0x7F..=0xFFu8 {
        if reads(conn, &[b"SELECT", &[byte], b"1"]).await == Some(1) {
            facts.spaces.push(byte);
        }
        if reads(conn, &[b"SELECT 7--", &[byte], b"2 '\n"]).await == Some(7) {
            facts.controls.push(byte);
        }
    }
    conn.query_drop("SET NAMES utf8mb4").await.unwrap();
    facts
}

async fn reads(conn: &mut Conn, parts: &[&[u8]]) -> Option<u32> {
    conn.query_first::<u32, _>(parts.concat()).await.ok().flatten()
}

/// `A-B=V` for runs of numbers whose values rise with them.
fn runs(pairs: &[(u32, Option<u32>)]) -> String {
    let mut words: Vec<(u32, u32, Option<u32>)> = Vec::new();
    for (key, value) in pairs {
        match words.last_mut() {
            Some((from, to, first)) if *key == *to + 1 && *value == first.map(|v| v + key - *from) => *to = *key,
            _ => words.push((*key, *key, *value)),
        }
    }
    let mut lines = String::new();
    let mut width = 0;
    for (from, to, value) in words {
        let value = value.map_or("-".to_owned(), |v| format!("{v:X}"));
        let word = if from == to { format!(" {from:X}={value}") } else { format!(" {from:X}-{to:X}={value}") };
        if width + word.len() > 110 {
            lines.push('\n');
            width = 0;
        }
        width += word.len();
        lines.push_str(&word);
    }
    lines
}

fn section(name: &str, facts: &Facts) -> String {
    let mut out = format!("[{name}]\n");
    let bytes = |bytes: &[u8]| bytes.iter().map(|b| format!(" {b:02X}")).collect::<String>();
    let spaces: Vec<u8> = facts.spaces.iter().copied().filter(|b| *b >= 0x80).collect();
    let controls: Vec<u8> = facts.controls.iter().copied().filter(|b| *b >= 0x80).collect();
    if !spaces.is_empty() {
        writeln!(out, "space{}", bytes(&spaces)).unwrap();
    }
    if !controls.is_empty() {
        writeln!(out, "control{}", bytes(&controls)).unwrap();
    }
    if !facts.controls.contains(&0x7F) {
        out.push_str("letter 7F\n");
    }
    let ids: Vec<String> = facts.collations.iter().map(u16::to_string).collect();
    writeln!(out, "collations {}", ids.join(" ")).unwrap();
    let base = table::base(name);
    let codes: BTreeSet<u32> = base.keys().chain(facts.decode.keys()).copied().collect();
    let different: Vec<(u32, Option<u32>)> = codes
        .iter()
        .filter(|code| base.get(code) != facts.decode.get(code))
        .filter(|code| !(name == "gb18030" && **code >= 0x9030_8130))
        .map(|code| (*code, facts.decode.get(code).map(|c| u32::from(*c))))
        .collect();
    for line in runs(&different).lines() {
        writeln!(out, "decode{line}").unwrap();
    }
    let mut lowest: BTreeMap<char, u32> = BTreeMap::new();
    for (code, character) in &facts.decode {
        lowest.entry(*character).or_insert(*code);
    }
    let different: Vec<(u32, Option<u32>)> = facts
        .encode
        .iter()
        .filter(|(c, code)| u32::from(**c) < 0x1_0000 && lowest.get(c) != Some(code))
        .map(|(c, code)| (u32::from(*c), Some(*code)))
        .collect();
    for line in runs(&different).lines() {
        writeln!(out, "encode{line}").unwrap();
    }
    out
}

on_every_server! {
    async fn every_code_is_converted_as_the_server_converts_it(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let mut conn = schema.direct().await;
        fill(&mut conn).await;
        let known: Vec<String> =
            conn.query("SELECT CHARACTER_SET_NAME FROM information_schema.CHARACTER_SETS").await.unwrap();
        let write = backend.server == Server::MySql97 && std::env::var_os("SEALWIRE_WRITE_CHARSETS").is_some();
        let mut written = String::new();
        let mut proven = 0;
        for charset in all().filter(|charset| known.iter().any(|name| name == charset.name())) {
            let name = charset.name();
            let facts = ask(&mut conn, name).await;
            if write {
                if matches!(charset, Charset::Legacy(_)) {
                    written.push_str(&section(name, &facts));
                }
                continue;
            }
            prove(&mut conn, charset, &facts).await;
            proven += 1;
        }
        if write {
            std::fs::write("src/sql/charset/tables.txt", written).unwrap();
        } else {
            assert_eq!(proven, if backend.is_mariadb() { 35 } else { 36 });
        }
    }
}

/// In strings, a backslash behind any byte is an escape or the end of a character where the server's lexer
/// takes it so.
async fn prove_escapes(conn: &mut Conn, charset: Charset) {
    let name = charset.name();
    let mode = LexMode {
        sql_mode: SqlMode::default(),
        version: ServerVersion { flavor: ServerFlavor::MySql, number: 90_700 },
        charset,
    };
    conn.query_drop(format!("SET NAMES {name}")).await.unwrap();
    for lead in 0x80..=0xFFu8 {
        let escaped = [b"'", &[lead][..], b"\\n'"].concat();
        let query = [b"SELECT HEX(_binary", escaped.as_slice(), b")"].concat();
        let theirs: Option<String> = conn.query_first(query).await.unwrap();
        assert_eq!(string(&escaped, mode).map(|bytes| hex(&bytes)), theirs, "{name}: {lead:X}");
    }
    conn.query_drop("SET NAMES utf8mb4").await.unwrap();
}

async fn prove(conn: &mut Conn, charset: Charset, facts: &Facts) {
    let name = charset.name();
    let mut wrong = Vec::new();
    for bytes in codes().iter().filter(|bytes| is_multi_byte(name) || bytes.len() == 1) {
        let mut utf8 = decode_to_utf8(bytes, charset).map(|utf8| String::from_utf8(utf8.into_owned()).unwrap());
        // Two characters are each proven by themselves.
        utf8 = utf8.filter(|text| text.chars().count() == 1);
        let expected = facts
            .decode
            .get(&number(bytes))
            .map(char::to_string)
            .filter(|_| bytes.first() != Some(&0) || bytes.len() == 1);
        if utf8 != expected {
            wrong.push(format!("decode {} is {utf8:?}, server {expected:?}", hex(bytes)));
        }
        let one = bytes.len() > 1 && char_len(charset, bytes) == bytes.len();
        if is_multi_byte(name) && one != facts.characters.contains(&number(bytes)) {
            wrong.push(format!("{} is one character: {one}", hex(bytes)));
        }
    }
    for character in characters() {
        let code = encode_from_utf8(character.to_string().as_bytes(), charset);
        let expected = facts.encode.get(&character).copied().unwrap_or(u32::from(b'?'));
        if number(&code) != expected {
            wrong.push(format!("encode {character:?} is {}, server {expected:X}", hex(&code)));
        }
    }
    for byte in 0x7F..=0xFF {
        if charset.is_space(byte) != facts.spaces.contains(&byte) {
            wrong.push(format!("space {byte:02X}"));
        }
        if charset.is_control(byte) || charset.is_space(byte) {
            if !facts.controls.contains(&byte) {
                wrong.push(format!("no control {byte:02X}"));
            }
        } else if facts.controls.contains(&byte) {
            wrong.push(format!("control {byte:02X}"));
        }
    }
    for id in &facts.collations {
        if Charset::from_collation_id(*id) != charset {
            wrong.push(format!("collation {id}"));
        }
    }
    assert!(wrong.is_empty(), "{name}: {} differences: {:#?}", wrong.len(), &wrong[..wrong.len().min(20)]);
    prove_escapes(conn, charset).await;
    // Results are converted as CONVERT converts, however long they are.
    conn.query_drop(format!("SET character_set_results = {name}")).await.unwrap();
    let blocks: Vec<(u32, Vec<u8>)> = conn
        .query("SELECT n DIV 1024, GROUP_CONCAT(c ORDER BY n SEPARATOR '') FROM chars GROUP BY 1 ORDER BY 1")
        .await
        .unwrap();
    conn.query_drop("SET character_set_results = utf8mb4").await.unwrap();
    assert!(blocks.len() > 180, "{}", blocks.len());
    for (block, bytes) in blocks {
        let text: String = (block * 1024..(block + 1) * 1024).filter_map(char::from_u32).collect();
        let encoded = encode_from_utf8(text.as_bytes(), charset);
        let at = encoded.iter().zip(&bytes).position(|(ours, theirs)| ours != theirs);
        assert!(encoded == bytes, "{name}: result block {block:X} differs at {at:?}");
    }
}
