//! Stored values: one encoding a value, and none opens that was not sealed with the key.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use sealwire::catalog::Physical;
use sealwire::seal::format::{Sealed, decode_stored, decode_text, encode_stored, encode_text};
use sealwire::seal::{ColumnKey, DataKey, Plaintext, Row, Scope, direct, scrub};

static KEY: LazyLock<ColumnKey> = LazyLock::new(|| {
    let scope = Scope { table: "shop.users".into(), column: "email".into() };
    ColumnKey::derive(&DataKey::new(&[7; 32]).expect("32 bytes"), 7, &scope).expect("a key")
});

fuzz_target!(|data: &[u8]| {
    let _ = scrub::looks_sealed(data);
    let _ = scrub::scrub(data);
    if let Ok(bytes) = decode_text(data) {
        // Under PAD_CHAR_TO_FULL_LENGTH a CHAR arrives with spaces behind it.
        assert_eq!(encode_text(&bytes), data.trim_ascii_end(), "one text a value");
    }
    for physical in [Physical::Text, Physical::Binary] {
        let _ = direct::decode(data, physical);
        let Ok(bytes) = decode_stored(data, physical) else { continue };
        let Ok(sealed) = Sealed::parse(&bytes) else { continue };
        assert!(KEY.open(&sealed, None).is_err(), "a forged value");
    }
    // What is sealed opens, and not with a bit changed.
    let value = Plaintext::new(data.to_vec());
    let seal = if data.len() % 2 == 0 { ColumnKey::seal } else { ColumnKey::seal_gcm };
    let row = Row::of([data]);
    let row = (data.len() % 3 == 0).then_some(&row);
    let stored = seal(&KEY, &value, None, row, Physical::Binary).expect("sealing");
    let open = |stored: &[u8]| {
        let bytes = decode_stored(stored, Physical::Binary)?;
        KEY.open(&Sealed::parse(&bytes)?, row)
    };
    assert_eq!(open(&stored).expect("our own value").expose(), data);
    let mut forged = stored.clone();
    let at = data.first().map_or(0, |byte| usize::from(*byte)) % forged.len();
    forged[at] ^= 1 << (data.len() % 8);
    assert!(open(&forged).is_err());
    let text = encode_stored(stored.clone(), Physical::Text);
    assert_eq!(decode_stored(&text, Physical::Text).expect("our own text").as_ref(), stored.as_slice());
});
