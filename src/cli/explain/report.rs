//! The statements of a log, counted: untouched, rewritten, refused, and why. Examples show no values: what
//! a log holds is as secret as what the columns hold.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;

use super::{Analyst, Exit, Failure, Verdict, log};
use crate::cli::paint::{Color, Paint};
use crate::sql::lex::{LexMode, TokenKind, lex};
use crate::sql::refusal::RefusalCode;
use crate::sql::{Charset, Outcome, ParamRole, Plan, ResultRoles};

/// As many characters of a statement as an example shows.
const EXAMPLE: usize = 160;

#[derive(Default)]
struct Counts {
    /// Relayed as they are.
    untouched: u64,
    /// Of those the ones that name a protected table, but nothing of it that is sealed or opened.
    passed: u64,
    /// A value is sealed or compared, or a result opened.
    rewritten: u64,
    refused: u64,
    reasons: HashMap<RefusalCode, HashMap<String, Seen>>,
}

struct Seen {
    count: u64,
    /// The line of the first.
    line: usize,
}

/// Reports on standard output.
pub(super) fn run(analyst: &mut Analyst, path: &Path, examples: usize) -> Result<Exit, Failure> {
    let mut counts = Counts::default();
    log::read(path, &mut |entry| {
        let schema = entry.schema.or_else(|| analyst.schema.clone());
        let mode = entry.sql_mode.unwrap_or(analyst.sql_mode);
        match analyst.judge(&entry.sql, schema.as_deref(), mode)? {
            Verdict::Untouched(_) => counts.untouched += 1,
            Verdict::Outcome(Outcome::Refuse(refusal)) => {
                counts.refused += 1;
                let lex_mode = LexMode { sql_mode: mode, version: analyst.snapshot.version, charset: Charset::Utf8mb4 };
                let shape = shape(&entry.sql, lex_mode);
                let shapes = counts.reasons.entry(refusal.code).or_default();
                shapes.entry(shape).or_insert(Seen { count: 0, line: entry.line }).count += 1;
            }
            Verdict::Outcome(Outcome::Plan(plan)) if changes(&plan) => counts.rewritten += 1,
            Verdict::Outcome(_) => {
                counts.untouched += 1;
                counts.passed += 1;
            }
        }
        Ok(())
    })?;
    print!("{}", counts.print(examples, Paint::for_stdout()));
    Ok(Exit::Fine)
}

fn changes(plan: &Plan) -> bool {
    !plan.edits.is_empty()
        || plan.params.iter().any(|role| matches!(role, ParamRole::Seal(_)))
        || plan.statements.iter().any(|statement| match &statement.result {
            ResultRoles::Plain => false,
            ResultRoles::Load(load) => load.fields.iter().any(|field| field.seal.is_some()),
            ResultRoles::Columns(columns) => columns.iter().any(|column| column.open.is_some()),
        })
}

impl Counts {
    fn print(&self, examples: usize, paint: Paint) -> String {
        let total = self.untouched + self.rewritten + self.refused;
        let mut out = format!("{total} statements\n\n");
        let rows = [
            ("untouched", self.untouched, Color::Green),
            ("rewritten", self.rewritten, Color::Green),
            ("refused", self.refused, Color::Red),
        ];
        let longest = total.to_string().len();
        for (name, count, color) in rows {
            let color = if count == 0 { Color::Dim } else { color };
            let name = paint.text(color, &format!("{name:<9}"));
            let _ = writeln!(out, "  {name}  {count:>longest$}  {}", percent(count, total));
        }
        let touching = self.passed + self.rewritten + self.refused;
        if touching > 0 {
            let _ = writeln!(
                out,
                "\nOf the {touching} statements that touch something protected {} are refused.",
                percent(self.refused, touching).trim_start()
            );
        }
        let count = |shapes: &HashMap<String, Seen>| shapes.values().map(|seen| seen.count).sum::<u64>();
        let mut reasons: Vec<_> = self.reasons.iter().map(|(code, shapes)| (code, count(shapes), shapes)).collect();
        reasons.sort_by_key(|(code, count, _)| (std::cmp::Reverse(*count), code.entry().number));
        for (code, count, shapes) in reasons {
            let mut shapes: Vec<(&String, &Seen)> = shapes.iter().collect();
            shapes.sort_by_key(|(_, seen)| (std::cmp::Reverse(seen.count), seen.line));
            let entry = code.entry();
            let head = paint.text(Color::Bold, &format!("{code} {}", entry.title));
            let _ = writeln!(out, "\n{head}: {count}\n  {}", entry.advice);
            for (shape, seen) in shapes.iter().take(examples) {
                let _ = writeln!(out, "  {} x  line {}: {shape}", seen.count, seen.line);
            }
            if shapes.len() > examples {
                let _ = writeln!(out, "  and {} more", shapes.len() - examples);
            }
        }
        out
    }
}

fn percent(count: u64, total: u64) -> String {
    if total == 0 {
        return String::new();
    }
    // In hundredths of a percent, rounded: floating point would need casts.
    let hundredths = (count * 10_000 + total / 2) / total;
    format!("{:>3}.{:02} %", hundredths / 100, hundredths % 100)
}

/// The statement without its values, comments and line breaks; lists of values are shown once.
fn shape(sql: &[u8], mode: LexMode) -> String {
    // Under another reading of quotes a value might be taken for something else: nothing is shown then.
    let Ok(tokens) = lex(sql, mode) else { return "(cannot be split into tokens)".to_owned() };
    let mut space = false;
    let mut out = String::new();
    for token in tokens {
        let word = match token.kind {
            TokenKind::Whitespace | TokenKind::Comment => {
                space = true;
                continue;
            }
            TokenKind::String | TokenKind::Number | TokenKind::Hex | TokenKind::Bit => "?".to_owned(),
            _ => String::from_utf8_lossy(token.text(sql)).into_owned(),
        };
        if space && !out.is_empty() {
            out.push(' ');
        }
        space = false;
        out.push_str(&word);
        // `?, ?, ?` and `(?), (?)` become one.
        out = folded(out);
        if out.chars().count() > EXAMPLE {
            out = out.chars().take(EXAMPLE).collect();
            out.push('…');
            break;
        }
    }
    out
}

fn folded(text: String) -> String {
    for (long, short) in [("?, ?", "?"), ("?,?", "?"), ("? ?", "?"), ("(?), (?)", "(?)"), ("(?),(?)", "(?)")] {
        if let Some(start) = text.strip_suffix(long) {
            return format!("{start}{short}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{ServerFlavor, ServerVersion};
    use crate::sql::SqlMode;

    fn shown(sql: &str, sql_mode: SqlMode) -> String {
        let version = ServerVersion { flavor: ServerFlavor::MySql, number: 80_400 };
        shape(sql.as_bytes(), LexMode { sql_mode, version, charset: Charset::Utf8mb4 })
    }

    #[test]
    fn an_example_holds_no_value() {
        let mode = SqlMode::default();
        assert_eq!(
            shown("SELECT  a /* secret */ FROM t\n WHERE b = 'secret' 'more' AND c IN (1, 2,3) -- s", mode),
            "SELECT a FROM t WHERE b = ? AND c IN (?)"
        );
        assert_eq!(shown("INSERT INTO t VALUES (1, 'a'), (2, x'00'),(3,'c')", mode), "INSERT INTO t VALUES (?)");
        assert_eq!(shown("SELECT 'x", mode), "(cannot be split into tokens)");
        assert!(shown(&format!("SELECT {}", "a, ".repeat(500)), mode).chars().count() <= EXAMPLE + 1);
    }

    #[test]
    fn percentages_are_rounded_to_hundredths() {
        assert_eq!(percent(1, 3), " 33.33 %");
        assert_eq!(percent(2, 3), " 66.67 %");
        assert_eq!(percent(5, 5), "100.00 %");
    }
}
