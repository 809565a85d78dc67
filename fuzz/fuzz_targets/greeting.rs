//! The server's greeting: edited in its capability bytes and nowhere else.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealwire::wire::capability::PASSED;
use sealwire::wire::handshake::Greeting;

fuzz_target!(|data: &[u8]| {
    let Ok(greeting) = Greeting::parse(data.to_vec()) else { return };
    let edited = greeting.with_capabilities(greeting.capabilities & PASSED, greeting.extended_capabilities);
    assert_eq!(edited.len(), data.len());
    let again = Greeting::parse(edited).expect("an edited greeting is a greeting");
    assert_eq!(again.capabilities, greeting.capabilities & PASSED);
    assert_eq!(again.auth_plugin_data, greeting.auth_plugin_data);
    assert_eq!(again.auth_plugin, greeting.auth_plugin);
    assert_eq!((again.connection_id, again.server_version), (greeting.connection_id, greeting.server_version));
});
