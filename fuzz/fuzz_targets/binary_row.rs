//! Binary rows: the places tile the payload behind the NULL bitmap.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealwire::wire::binary::row_values;

fuzz_target!(|data: &[u8]| {
    let Some((&columns, rest)) = data.split_first() else { return };
    let Some((types, payload)) = rest.split_at_checked(usize::from(columns)) else { return };
    let Ok(values) = row_values(payload, types) else { return };
    assert_eq!(values.len(), types.len());
    let mut at = 1 + (types.len() + 9) / 8;
    for place in values.into_iter().flatten() {
        assert_eq!((place.whole.start, place.whole.end), (at, place.value.end));
        at = place.whole.end;
    }
    assert_eq!(at, payload.len());
});
