//! Packets of any payload are framed and found again, and numbered on.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealwire::wire::frame::{HEADER, Header, MAX_PAYLOAD, put_packet};

fuzz_target!(|data: &[u8]| {
    if let Some(header) = Header::parse(data) {
        assert_eq!(header.encode(), data[..HEADER]);
        assert!(header.length <= MAX_PAYLOAD);
    }
    let (mut out, mut sequence) = (Vec::new(), data.first().copied().unwrap_or(0));
    let first = sequence;
    put_packet(&mut out, &mut sequence, data);
    assert_eq!(Header::parse(&out), Some(Header { length: data.len(), sequence: first }));
    assert_eq!(&out[HEADER..], data);
    assert_eq!(sequence, first.wrapping_add(1));
});
