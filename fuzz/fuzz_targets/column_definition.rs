//! Column definitions.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealwire::wire::column::ColumnDefinition;

fuzz_target!(|data: &[u8]| {
    if let Ok(column) = ColumnDefinition::parse(data) {
        assert!(column.name.len() + column.org_name.len() + column.table.len() <= data.len());
    }
});
