//! The RSA step of the password exchange, with a peer's key and a peer's ciphertext.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use sealwire::wire::auth::{RsaKeyPair, encrypt_password};

static PAIR: LazyLock<RsaKeyPair> = LazyLock::new(|| RsaKeyPair::generate().expect("a key"));

fuzz_target!(|data: &[u8]| {
    let scramble = b"abcdefghijklmnopqrst";
    let _ = encrypt_password(data, b"password\0", scramble);
    let _ = PAIR.decrypt_password(data, data.get(..20).unwrap_or(scramble));
    if data.len() <= 200 {
        let sent = encrypt_password(PAIR.public_pem().as_bytes(), data, scramble).expect("a short password");
        assert_eq!(PAIR.decrypt_password(&sent, scramble).expect("our own key").as_slice(), data);
    }
});
