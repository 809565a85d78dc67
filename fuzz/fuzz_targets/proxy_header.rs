//! A PROXY protocol header of either version: addresses, none, or a reason, and what is told can be told on.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealwire::config::ProxyHeader;
use sealwire::session::proxy_protocol::{parse, server_header};

fuzz_target!(|data: &[u8]| {
    let Ok(Some(addresses)) = parse(data) else { return };
    for version in [ProxyHeader::V1, ProxyHeader::V2] {
        let told = parse(&server_header(version, Some(addresses))).expect("a header").expect("addresses");
        assert_eq!(told.source.port(), addresses.source.port());
        assert_eq!(told.source.ip().to_canonical(), addresses.source.ip());
    }
});
