//! The client's handshake response: read, and edited in its capability bytes and nowhere else.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealwire::wire::capability::{CLIENT_SSL, PASSED};
use sealwire::wire::handshake::HandshakeResponse;

fuzz_target!(|data: &[u8]| {
    let _ = HandshakeResponse::is_ssl_request(data);
    let Ok(response) = HandshakeResponse::parse(data.to_vec()) else { return };
    let capabilities = response.capabilities & PASSED;
    let edited = response.with_capabilities(capabilities, response.extended_capabilities);
    assert_eq!(edited.len() + usize::from(response.zstd_level.is_some()), data.len());
    assert!(HandshakeResponse::is_ssl_request(
        &response.ssl_request(capabilities | CLIENT_SSL, response.extended_capabilities)
    ));
    let again = HandshakeResponse::parse(edited).expect("an edited response is a response");
    assert_eq!(again.capabilities, capabilities);
    assert_eq!((again.user, again.schema), (response.user, response.schema));
});
