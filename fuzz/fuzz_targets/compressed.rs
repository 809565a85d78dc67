//! Compressed packets: no more is made of one than it announces; what is compressed comes back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealwire::wire::compress::{Algorithm, HEADER, Header, decode, put};

fuzz_target!(|data: &[u8]| {
    let Some((&choice, input)) = data.split_first() else { return };
    let algorithm = if choice & 1 == 0 { Algorithm::Zlib } else { Algorithm::Zstd { level: choice >> 4 } };
    if let Some(header) = Header::parse(input) {
        if let Some(payload) = input.get(HEADER..HEADER + header.length) {
            if let Ok(plain) = decode(algorithm, header, payload) {
                let announced = if header.uncompressed == 0 { header.length } else { header.uncompressed };
                assert_eq!(plain.len(), announced);
            }
        }
    }
    let (mut out, mut sequence) = (Vec::new(), 0);
    put(&mut out, algorithm, &mut sequence, input);
    if let Some(header) = Header::parse(&out) {
        assert_eq!(decode(algorithm, header, &out[HEADER..]).expect("what was compressed"), input);
    }
});
