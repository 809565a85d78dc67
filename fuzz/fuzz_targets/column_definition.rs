//! Column definitions.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealwire::wire::column::ColumnDefinition;

fuzz_target!(|data: &[u8]| {
    for extended in [false, true] {
        if let Ok(column) = ColumnDefinition::parse(data, extended) {
            let names = column.name.len() + column.org_name.len() + column.table.len();
            assert!(names + column.extended.unwrap_or_default().len() <= data.len());
            let restored = column.restored(column.fixed(), column.extended.unwrap_or_default());
            assert_eq!(ColumnDefinition::parse(&restored, extended).as_ref(), Ok(&column));
        }
    }
});
