//! Tests of the room as a whole: texts in, tokens, trees, verdicts and spliced texts out.
mod ddl;
mod lexing;
mod packets;
mod parsing;
mod side_doors;
mod splicing;
mod upstream;

use super::testing::{context, snapshot};
use super::{Context, Outcome, Pass, RefusalCode, analyse};

/// What becomes of `sql`: `pass`, `ddl`, `scrub`, `plan`, `need` or the refusal's name.
fn verdict_in(sql: &[u8], change: impl FnOnce(&mut Context<'_>)) -> String {
    let catalog = snapshot();
    let mut ctx = context(&catalog);
    ctx.multi_statements = true;
    change(&mut ctx);
    match analyse(sql, &ctx) {
        Outcome::Pass(Pass { scrub_rows: true, .. }) => "scrub".to_owned(),
        Outcome::Pass(Pass { invalidates_catalog: true, .. }) => "ddl".to_owned(),
        Outcome::Pass(_) => "pass".to_owned(),
        Outcome::Plan(_) => "plan".to_owned(),
        Outcome::NeedTables(_) => "need".to_owned(),
        Outcome::Refuse(refusal) => format!("{:?}", refusal.code),
    }
}

fn verdict(sql: &str) -> String {
    verdict_in(sql.as_bytes(), |_| {})
}

fn all(expected: &str, statements: &[&str]) {
    let wrong: Vec<String> = statements
        .iter()
        .map(|s| (s, verdict(s)))
        .filter(|(_, v)| v != expected)
        .map(|(s, v)| format!("{v}: {s}"))
        .collect();
    assert!(wrong.is_empty(), "not {expected}:\n{}", wrong.join("\n"));
}

fn refused(code: RefusalCode, statements: &[&str]) {
    all(&format!("{code:?}"), statements);
}
