//! The plan of one statement, for a person to read.

use std::fmt::Write as _;

use super::caret::{caret, position};
use super::{Analyst, Exit, Verdict};
use crate::catalog::{ProtectedColumn, Width};
use crate::cli::paint::{Color, Paint};
use crate::config::KmsMode;
use crate::seal;
use crate::sql::refusal::Refusal;
use crate::sql::{COMPARED, Outcome, ParamRole, Piece, Plan, ResultRoles, SealedLiteral};

/// Explains one packet of SQL on standard output.
pub(super) fn run(analyst: &mut Analyst, sql: &str) -> Exit {
    let paint = Paint::for_stdout();
    let (text, exit) = describe(analyst, sql, paint);
    print!("{text}");
    exit
}

fn describe(analyst: &mut Analyst, sql: &str, paint: Paint) -> (String, Exit) {
    let (schema, mode) = (analyst.schema.clone(), analyst.sql_mode);
    let verdict = match analyst.judge(sql.as_bytes(), schema.as_deref(), mode) {
        Ok(verdict) => verdict,
        Err(failure) => return (format!("{failure}\n"), Exit::Failed),
    };
    match verdict {
        Verdict::Untouched(pass) => {
            let mut out = format!(
                "{}: it reaches the server as it is, and nothing of its result is opened\n",
                paint.text(Color::Green, "untouched")
            );
            if pass.invalidates_catalog {
                out.push_str("  the schema is read again afterwards\n");
            }
            if pass.scrub_rows {
                out.push_str("  sealed values are taken out of the rows of warnings and errors\n");
            }
            if pass.refuse_sealed {
                out.push_str("  a result that holds a sealed value is refused\n");
            }
            (out, Exit::Fine)
        }
        Verdict::Outcome(Outcome::Plan(plan)) => planned(sql, &plan, paint),
        Verdict::Outcome(Outcome::Refuse(refusal)) => (refused(sql, &refusal, paint), Exit::Failed),
        Verdict::Outcome(Outcome::Pass(_) | Outcome::NeedTables(_)) => (String::new(), Exit::Failed),
    }
}

fn refused(sql: &str, refusal: &Refusal, paint: Paint) -> String {
    let entry = refusal.code.entry();
    let mut out = format!(
        "{}: {} {} (MySQL error {}, SQLSTATE {})\n\n",
        paint.text(Color::Red, "refused"),
        refusal.code,
        entry.title,
        entry.errno,
        entry.sqlstate
    );
    let span = refusal.span.clone().unwrap_or(0..sql.len());
    out.push_str(&caret(sql, span));
    let _ = write!(
        out,
        "\n  what        {}\n  why         {}\n  what to do  {}\n",
        refusal.message.trim_end_matches('.'),
        entry.explanation,
        entry.advice
    );
    out
}

fn planned(sql: &str, plan: &Plan, paint: Paint) -> (String, Exit) {
    let verbs: Vec<&str> = plan.statements.iter().map(|statement| statement.verb).collect();
    let touched = if plan.edits.is_empty() { "as it is" } else { "rewritten" };
    let mut out = format!("{} {touched}\n\n", paint.text(Color::Green, &verbs.join("; ")));
    let mut lines = Vec::new();
    let mut too_long = None;
    for edit in &plan.edits {
        let (line, column) = position(sql, edit.span.start);
        for piece in &edit.pieces {
            let Piece::Seal(literal) = piece else { continue };
            let mut place = format!("line {line}, column {column}");
            if literal.row > 1 {
                let _ = write!(place, ", row {}", literal.row);
            }
            place.push_str(bound(literal.bound.is_some()));
            if !fits(literal) {
                too_long.get_or_insert((edit.span.clone(), literal));
            }
            lines.push((verb(literal.row), &literal.column, place));
        }
    }
    for (n, role) in plan.params.iter().enumerate() {
        if let ParamRole::Seal(param) = role {
            let place = format!("parameter {}{}", n + 1, bound(!param.bound.is_empty()));
            lines.push((verb(param.row), &param.column, place));
        }
    }
    for statement in &plan.statements {
        if let ResultRoles::Columns(columns) = &statement.result {
            for (n, result) in columns.iter().enumerate() {
                let Some(column) = &result.open else { continue };
                let name = result.name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
                let bound = bound(!result.bound.is_empty());
                lines.push(("open", column, format!("result column {}{name}{bound}", n + 1)));
            }
        }
        if let ResultRoles::Load(load) = &statement.result {
            for (n, field) in load.fields.iter().enumerate() {
                let Some(column) = &field.seal else { continue };
                lines.push(("seal", column, format!("field {} of the file", n + 1)));
            }
        }
    }
    if let Some((span, literal)) = too_long {
        let mut out = format!(
            "{}: SW-1801 Data too long for column '{}' (MySQL error 1406, SQLSTATE 22001)\n\n",
            paint.text(Color::Red, "refused"),
            literal.column.name
        );
        out.push_str(&caret(sql, span));
        let (needed, holds) = (stored_len(literal), width(&literal.column).unwrap_or(0));
        let _ = write!(
            out,
            "\n  what        the sealed value needs {needed} characters, {} holds {holds}\n  \
             what to do  widen the column\n",
            name(&literal.column)
        );
        return (out, Exit::Failed);
    }
    if lines.is_empty() {
        out.push_str("  nothing to seal or to open: no protected column has a part in it\n");
    }
    let longest = lines.iter().map(|(_, column, _)| name(column).chars().count()).max().unwrap_or(0);
    for (verb, column, place) in lines {
        let _ = writeln!(out, "  {verb:<5}  {:<longest$}  {place}", name(column));
    }
    if !plan.edits.is_empty() {
        let _ = write!(out, "\nsent to the server:\n\n");
        for line in sent(sql, plan).lines() {
            let _ = writeln!(out, "  {line}");
        }
    }
    (out, Exit::Fine)
}

fn bound(is_bound: bool) -> &'static str {
    if is_bound { ", bound to its row" } else { "" }
}

fn verb(row: u32) -> &'static str {
    if row == COMPARED { "match" } else { "seal" }
}

fn name(column: &ProtectedColumn) -> String {
    format!("{}.{}", column.table, column.name)
}

/// The text with a placeholder for each sealed value.
fn sent(sql: &str, plan: &Plan) -> String {
    let mut out = String::new();
    let mut at = 0;
    for edit in &plan.edits {
        out.push_str(sql.get(at..edit.span.start).unwrap_or_default());
        for piece in &edit.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Seal(literal) => {
                    let _ = write!(out, "'<sealed {}>'", name(&literal.column));
                }
            }
        }
        at = edit.span.end;
    }
    out.push_str(sql.get(at..).unwrap_or_default());
    out
}

fn width(column: &ProtectedColumn) -> Option<u64> {
    match column.width {
        Width::Characters(width) | Width::Bytes(width) => Some(width),
        Width::None => None,
    }
}

/// How long the stored form is; in direct mode about.
fn stored_len(literal: &SealedLiteral) -> u64 {
    let column = &literal.column;
    let len = literal.value.expose().len() as u64;
    match column.mode {
        KmsMode::Envelope => seal::sealed_len(len, column.pad, column.physical),
        KmsMode::Direct => seal::direct_len_estimate(len, column.physical),
    }
}

fn fits(literal: &SealedLiteral) -> bool {
    literal.row == COMPARED || width(&literal.column).is_none_or(|width| stored_len(literal) <= width)
}
