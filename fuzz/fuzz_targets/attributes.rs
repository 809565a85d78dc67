//! Query attributes: the text begins within the payload, and what precedes it is what was sent.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealwire::wire::attributes::text_start;

fuzz_target!(|data: &[u8]| {
    if let Ok(start) = text_start(data) {
        assert!((3..=data.len()).contains(&start));
        // The text itself does not matter to where it begins.
        let mut other = data[..start].to_vec();
        other.extend_from_slice(b"SELECT 1");
        assert_eq!(text_start(&other), Ok(start));
    }
});
