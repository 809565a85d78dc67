//! What the prefilter lets pass unread is what the analyser passes.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use sealwire::catalog::Snapshot;
use sealwire::sql::testing::{context, snapshot};
use sealwire::sql::{Outcome, Prefilter, analyse};

static CATALOG: LazyLock<Snapshot> = LazyLock::new(snapshot);
static PREFILTER: LazyLock<Prefilter> = LazyLock::new(|| Prefilter::new(&CATALOG));

fuzz_target!(|text: &[u8]| {
    if PREFILTER.hit(text) {
        return;
    }
    let context = context(&CATALOG);
    assert!(
        !matches!(analyse(text, &context), Outcome::Plan(_)),
        "the prefilter misses what the analyser protects: {}",
        String::from_utf8_lossy(text)
    );
});
