//! COM_STMT_EXECUTE: what is read and written again with the same parameters reads the same; and the
//! text of every value that is read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealwire::wire::execute::{Execute, OutParam, ParamType, ParamValue};
use sealwire::wire::number::{Style, text_of};

fuzz_target!(|data: &[u8]| {
    let [parameters, choice, payload @ ..] = data else { return };
    let parameters = usize::from(*parameters);
    let attributes = choice & 1 != 0;
    let remembered = vec![ParamType { column_type: 253, unsigned: false }; parameters];
    let remembered = if choice & 2 != 0 { remembered.as_slice() } else { &[] };
    let long_data = |index: usize| choice & 4 != 0 && index == 0;
    let Ok(execute) = Execute::parse(payload, parameters, remembered, attributes, long_data) else { return };
    let mut params = Vec::new();
    for (kind, value) in execute.types.iter().zip(&execute.values) {
        if let ParamValue::Inline(place) = value {
            for style in [Style::MariaDb, Style::MySql] {
                let _ = text_of(*kind, &payload[place.value.clone()], style);
            }
        }
        params.push((*kind, match value {
            ParamValue::Null => OutParam::Null,
            ParamValue::LongData => OutParam::LongData,
            ParamValue::Inline(place) => OutParam::Raw(&payload[place.whole.clone()]),
        }));
    }
    let written = execute.encode(payload, &params);
    let again = Execute::parse(&written, parameters, &[], attributes, long_data).expect("what was written is read");
    assert_eq!(again.types, execute.types);
    assert_eq!(again.statement_id, execute.statement_id);
    for (before, after) in execute.values.iter().zip(&again.values) {
        match (before, after) {
            (ParamValue::Inline(before), ParamValue::Inline(after)) => {
                assert_eq!(payload[before.value.clone()], written[after.value.clone()]);
            }
            (before, after) => assert_eq!(before, after),
        }
    }
});
