//! Statements of any kind: an answer without a panic; the tokens tile the text; and a plan, applied, is a
//! statement with the same plan, whose values are the sealed ones.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use sealwire::catalog::Snapshot;
use sealwire::sql::lex::LexMode;
use sealwire::sql::splice::{sealed_literals, splice};
use sealwire::sql::testing::{context, snapshot};
use sealwire::sql::{Outcome, Plan, Protocol, ResultRoles, analyse};

static CATALOG: LazyLock<Snapshot> = LazyLock::new(snapshot);

/// What must not change: roles of the parameters and of the columns.
fn roles(plan: &Plan) -> Vec<String> {
    let mut out = vec![format!("{} parameters", plan.params.len())];
    for statement in &plan.statements {
        out.push(statement.verb.to_owned());
        if let ResultRoles::Columns(columns) = &statement.result {
            out.extend(columns.iter().map(|column| column.open.as_ref().map_or(String::new(), |open| open.name.clone())));
        }
    }
    out
}

fuzz_target!(|data: &[u8]| {
    let Some((&choice, text)) = data.split_first() else { return };
    let mut context = context(&CATALOG);
    context.sql_mode.ansi_quotes = choice & 1 != 0;
    context.sql_mode.no_backslash_escapes = choice & 2 != 0;
    context.multi_statements = choice & 4 != 0;
    context.protocol = if choice & 8 != 0 { Protocol::Prepared } else { Protocol::Text };
    let Outcome::Plan(plan) = analyse(text, &context) else { return };

    let stored: Vec<Vec<u8>> = (0..sealed_literals(&plan.edits).count())
        .map(|index| format!("pQEAsealed{index:08}.").into_bytes())
        .collect();
    let spliced = splice(text, &plan.edits, &stored, LexMode::of(&context)).expect("a plan can be applied");
    let Outcome::Plan(again) = analyse(&spliced, &context) else {
        panic!("the statement with its sealed values is no longer planned: {}", String::from_utf8_lossy(&spliced))
    };
    let columns = |plan: &Plan| sealed_literals(&plan.edits).map(|l| Arc::clone(&l.column)).collect::<Vec<_>>();
    let names = |plan: &Plan| columns(plan).iter().map(|c| format!("{}.{}", c.table, c.name)).collect::<Vec<_>>();
    assert_eq!(names(&again), names(&plan));
    assert_eq!(roles(&again), roles(&plan));
    for (literal, stored) in sealed_literals(&again.edits).zip(&stored) {
        assert_eq!(literal.value.expose(), stored.as_slice());
    }
});
