//! OK packets with their session state, ERR and EOF packets.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealwire::wire::err::ErrPacket;
use sealwire::wire::ok::{OkPacket, parse_eof};

fuzz_target!(|data: &[u8]| {
    let _ = parse_eof(data);
    if let Ok(error) = ErrPacket::parse(data) {
        assert_eq!(ErrPacket::parse(&error.encode()).as_ref(), Ok(&error));
    }
    for session_track in [false, true] {
        let Ok(ok) = OkPacket::parse(data, session_track) else { continue };
        let _ = ok.changes();
        let stripped = ok.encode_without_session_track();
        let again = OkPacket::parse(&stripped, true).expect("a stripped OK is an OK");
        assert_eq!((again.affected_rows, again.last_insert_id), (ok.affected_rows, ok.last_insert_id));
        assert_eq!((again.warnings, again.info), (ok.warnings, ok.info));
        assert!(again.state_changes.is_empty());
    }
});
