//! The lexer's tokens tile the text in every mode.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealwire::catalog::{ServerFlavor, ServerVersion};
use sealwire::sql::lex::{LexMode, lex};
use sealwire::sql::{Charset, SqlMode};

fuzz_target!(|data: &[u8]| {
    let Some((&choice, text)) = data.split_first() else { return };
    let sql_mode =
        SqlMode { ansi_quotes: choice & 1 != 0, no_backslash_escapes: choice & 2 != 0, ..SqlMode::default() };
    let version = match choice & 4 {
        0 => ServerVersion { flavor: ServerFlavor::MariaDb, number: 101_106 },
        _ => ServerVersion { flavor: ServerFlavor::MySql, number: 90_700 },
    };
    let charset = if choice & 8 == 0 { Charset::Utf8mb4 } else { Charset::Latin1 };
    let Ok(tokens) = lex(text, LexMode { sql_mode, version, charset }) else { return };
    let mut at = 0;
    for token in tokens {
        assert_eq!(token.start(), at);
        assert!(token.end() > at);
        at = token.end();
    }
    assert_eq!(at, text.len());
});
