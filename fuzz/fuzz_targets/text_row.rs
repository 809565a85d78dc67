//! Text rows: the places tile the payload.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealwire::wire::text::row_values;

fuzz_target!(|data: &[u8]| {
    let Some((&columns, payload)) = data.split_first() else { return };
    let Ok(values) = row_values(payload, usize::from(columns)) else { return };
    assert_eq!(values.len(), usize::from(columns));
    let mut at = 0;
    for value in values {
        match value {
            None => at += 1,
            Some(place) => {
                assert_eq!((place.whole.start, place.whole.end), (at, place.value.end));
                at = place.whole.end;
            }
        }
    }
    assert_eq!(at, payload.len());
});
