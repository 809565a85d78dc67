//! `LOAD DATA LOCAL INFILE … INTO TABLE` of a protected table: how its file is laid out, and which of its fields
//! are to be sealed. Options under which the server's reading of a file could differ from ours are refused.

use std::ops::Range;
use std::sync::Arc;

use super::classify::Decision;
use super::lex::TokenKind;
use super::literal;
use super::live::{Found, Live};
use super::plan::{Charset, Protocol};
use super::refusal::{Refusal, RefusalCode};
use crate::catalog::{Column, ColumnDefault, Physical, ProtectedColumn, Table, TableKind, Watched};

/// How the rows of a file become values.
#[derive(Debug)]
pub struct LoadPlan {
    pub format: LoadFormat,
    /// Of the file; `None` where the server takes that of its current schema: only ASCII is then certain.
    pub charset: Option<Charset>,
    /// One entry a field, in the order of the file.
    pub fields: Vec<LoadField>,
}

#[derive(Debug)]
pub struct LoadField {
    /// What the field's values are sealed for.
    pub seal: Option<Arc<ProtectedColumn>>,
}

/// Delimiters, as in the FIELDS and LINES clauses. All are ASCII, none is empty but where it says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadFormat {
    pub field_end: Vec<u8>,
    pub line_end: Vec<u8>,
    pub enclosed: Option<u8>,
    pub escape: Option<u8>,
    pub skip_lines: u64,
}

impl Default for LoadFormat {
    fn default() -> Self {
        Self { field_end: b"\t".to_vec(), line_end: b"\n".to_vec(), enclosed: None, escape: Some(b'\\'), skip_lines: 0 }
    }
}

/// `LOAD DATA LOCAL …` that names something watched.
pub(super) fn load_local(live: &Live<'_>) -> Decision {
    match plan(live) {
        Ok(Planned::Plan(plan)) => Decision::Load(Arc::new(plan)),
        Ok(Planned::Need(table)) => Decision::Need(vec![table]),
        Ok(Planned::Pass) => super::classify::pass(),
        Err(refusal) => refusal.into(),
    }
}

enum Planned {
    Plan(LoadPlan),
    Need(crate::config::TableName),
    /// The table is not protected after all.
    Pass,
}

fn plan(live: &Live<'_>) -> Result<Planned, Refusal> {
    let refuse = |what: &str, n: usize| live.refuse(RefusalCode::LoadData, format!("LOAD DATA LOCAL {what}"), n);
    if live.ctx.protocol == Protocol::Prepared {
        return Err(refuse("in a prepared statement", 0));
    }
    let Some(into) = live.find(1, &["into"]).filter(|n| live.is(n + 1, "table")) else {
        return Err(refuse("of a form that is not understood", 0));
    };
    // LOAD DATA [LOW_PRIORITY | CONCURRENT] LOCAL INFILE 'name' [REPLACE | IGNORE]
    let local = if live.any(2, &["low_priority", "concurrent"]) { 3 } else { 2 };
    let head = live.is(1, "data")
        && live.is(local, "local")
        && live.is(local + 1, "infile")
        && live.token(local + 2).is_some_and(|t| t.kind == TokenKind::String);
    let n = if live.any(local + 3, &["replace", "ignore"]) { local + 4 } else { local + 3 };
    if !head || n != into {
        return Err(refuse("of a form that is not understood", n));
    }
    let Some(name) = live.qualified(into + 2) else {
        return Err(refuse("of a form that is not understood", into + 2));
    };
    let table = match live.lookup(&name) {
        Found::Table(table) => table,
        Found::Unknown(table) => return Ok(Planned::Need(table)),
        // A temporary table is in no catalog, and none hides a protected one.
        Found::Absent if !live.is_missing(&name) && live.mention(name.next..live.len()).is_none() => {
            return Ok(Planned::Pass);
        }
        Found::Absent | Found::NoSchema => {
            return Err(refuse("into a table that is not known", into + 2));
        }
    };
    if let Some(Watched::Carrier(reason)) = live.ctx.catalog.watched.get(&table.name.table.to_lowercase()) {
        let what = format!("{} reaches a protected table: {reason}", table.name);
        return Err(live.refuse(RefusalCode::Carrier, what, into + 2));
    }
    if !matches!(table.kind, TableKind::Base) {
        return Err(live.refuse(RefusalCode::ViewWrite, format!("LOAD DATA into {}", table.name), into + 2));
    }
    if !table.protected {
        // A name elsewhere in the text: a column or the file's is called like a protected table.
        return match live.mention(name.next..live.len()) {
            Some(n) => Err(refuse("with a protected table's name in it", n)),
            None => Ok(Planned::Pass),
        };
    }
    if !table.triggers.is_empty() {
        return Err(live.refuse(RefusalCode::Trigger, format!("LOAD DATA into {}, which has triggers", table.name), n));
    }
    if live.ctx.sql_mode.unsupported {
        return Err(live.refuse(RefusalCode::UnsupportedSqlMode, "the session's sql_mode", n));
    }
    let mut options = Options { live, n: name.next, format: LoadFormat::default(), charset: None };
    options.read()?;
    let (format, charset, n) = (options.format, options.charset, options.n);
    let fields = fields(live, &table, n)?;
    check_format(live, &format, &fields, charset)?;
    Ok(Planned::Plan(LoadPlan { format, charset, fields }))
}

struct Options<'l, 'a> {
    live: &'l Live<'a>,
    n: usize,
    format: LoadFormat,
    charset: Option<Charset>,
}

impl Options<'_, '_> {
    fn refuse(&self, what: &str) -> Refusal {
        self.live.refuse(RefusalCode::LoadData, format!("LOAD DATA LOCAL with {what}"), self.n)
    }

    fn word(&mut self, word: &str) -> bool {
        let is = self.live.is(self.n, word);
        self.n += usize::from(is);
        is
    }

    /// Everything up to the list of columns.
    fn read(&mut self) -> Result<(), Refusal> {
        if self.word("partition") {
            return Err(self.refuse("PARTITION"));
        }
        if self.live.is(self.n, "rows") && self.live.is(self.n + 1, "identified") {
            return Err(self.refuse("ROWS IDENTIFIED BY"));
        }
        let charset = self.word("charset") || {
            let two = self.live.is(self.n, "character") && self.live.is(self.n + 1, "set");
            self.n += if two { 2 } else { 0 };
            two
        };
        if charset {
            let name = match self.live.token(self.n).map(|t| t.kind) {
                Some(TokenKind::Word | TokenKind::QuotedIdent) => self.live.name(self.n),
                Some(TokenKind::String) => literal::string(self.live.source(self.n), self.live.statement.mode)
                    .and_then(|bytes| String::from_utf8(bytes).ok()),
                _ => None,
            };
            let found = name.map_or(Charset::Other, |name| Charset::from_name(&name.to_lowercase()));
            // In others, a byte of a character may look like a delimiter.
            if !matches!(found, Charset::Ascii | Charset::Latin1 | Charset::Utf8mb3 | Charset::Utf8mb4) {
                return Err(self.refuse("this character set"));
            }
            self.charset = Some(found);
            self.n += 1;
        }
        if self.word("fields") || self.word("columns") {
            let from = self.n;
            loop {
                if self.word("terminated") {
                    self.format.field_end = self.by()?;
                } else if self.word("enclosed") || (self.word("optionally") && self.word("enclosed")) {
                    self.format.enclosed = self.byte()?;
                } else if self.word("escaped") {
                    self.format.escape = self.byte()?;
                } else {
                    break;
                }
            }
            if self.n == from {
                return Err(self.refuse("FIELDS of a form that is not understood"));
            }
        }
        if self.word("lines") {
            let from = self.n;
            loop {
                if self.word("terminated") {
                    self.format.line_end = self.by()?;
                } else if self.word("starting") {
                    if !self.by()?.is_empty() {
                        return Err(self.refuse("LINES STARTING BY"));
                    }
                } else {
                    break;
                }
            }
            if self.n == from {
                return Err(self.refuse("LINES of a form that is not understood"));
            }
        }
        if self.word("ignore") {
            let count = std::str::from_utf8(self.live.source(self.n)).ok().and_then(|digits| digits.parse().ok());
            let Some(count) = count else { return Err(self.refuse("IGNORE of a form that is not understood")) };
            self.format.skip_lines = count;
            self.n += 1;
            if !(self.word("lines") || self.word("rows")) {
                return Err(self.refuse("IGNORE of a form that is not understood"));
            }
        }
        Ok(())
    }

    /// `BY 'string'`.
    fn by(&mut self) -> Result<Vec<u8>, Refusal> {
        if !self.word("by") {
            return Err(self.refuse("a delimiter of a form that is not understood"));
        }
        let source = self.live.source(self.n);
        let bytes = match self.live.token(self.n).map(|t| t.kind) {
            Some(TokenKind::String) => literal::string(source, self.live.statement.mode),
            Some(TokenKind::Hex) => literal::hex(source),
            _ => None,
        };
        let another = self.live.token(self.n + 1).is_some_and(|t| t.kind == TokenKind::String);
        match bytes {
            Some(bytes) if bytes.is_ascii() && !another => {
                self.n += 1;
                Ok(bytes)
            }
            _ => Err(self.refuse("a delimiter of a form that is not understood")),
        }
    }

    fn byte(&mut self) -> Result<Option<u8>, Refusal> {
        match self.by()?.as_slice() {
            [] => Ok(None),
            [byte] => Ok(Some(*byte)),
            _ => Err(self.refuse("a delimiter of more than one character where the server takes one")),
        }
    }
}

/// The list of columns at token `n`, or all of the table's.
fn fields(live: &Live<'_>, table: &Table, n: usize) -> Result<Vec<LoadField>, Refusal> {
    let field = |column: &Column| LoadField { seal: column.protected.clone() };
    let refuse = |what: &str, n: usize| live.refuse(RefusalCode::LoadData, format!("LOAD DATA LOCAL {what}"), n);
    if n >= live.len() {
        return Ok(table.columns.iter().filter(|column| !column.invisible).map(field).collect());
    }
    if live.is(n, "set") {
        return Err(refuse("with SET", n));
    }
    if !live.op(n, "(") {
        return Err(refuse("of a form that is not understood", n));
    }
    let end = live.closing(n);
    if live.is(end, "set") {
        return Err(refuse("with SET", end));
    }
    if end < live.len() {
        return Err(refuse("of a form that is not understood", end));
    }
    let mut named: Vec<&Column> = Vec::new();
    for Range { start, end } in live.list(n + 1..end.saturating_sub(1)) {
        if live.token(start).is_some_and(|t| t.kind == TokenKind::UserVar) {
            return Err(refuse("with a user variable in place of a column", start));
        }
        let name = live.name(start).filter(|_| start + 1 == end);
        let Some(column) = name.and_then(|name| table.column(&name)) else {
            return Err(live.refuse(RefusalCode::UnknownColumn, "a column of LOAD DATA LOCAL is not known", start));
        };
        named.push(column);
    }
    for column in &table.columns {
        let Some(protected) = &column.protected else { continue };
        let stored = named.iter().any(|named| named.name == column.name);
        let stays_null = column.nullable && column.default == ColumnDefault::Null;
        if !stored && !stays_null {
            let what = format!("its default unsealed in protected column {}.{}", protected.table, protected.name);
            return Err(live.refuse(RefusalCode::RawDefault, format!("LOAD DATA would store {what}"), n));
        }
    }
    Ok(named.into_iter().map(field).collect())
}

/// Refuses delimiters under which a file can be read in more than one way, or a sealed value not be written.
fn check_format(
    live: &Live<'_>,
    format: &LoadFormat,
    fields: &[LoadField],
    charset: Option<Charset>,
) -> Result<(), Refusal> {
    let refuse = |what: &str| Err(live.refuse(RefusalCode::LoadData, format!("LOAD DATA LOCAL with {what}"), 0));
    if fields.iter().filter_map(|field| field.seal.as_ref()).any(|column| !column.bind.is_empty()) {
        return refuse("a column whose values are bound to their rows");
    }
    let (Some(field), Some(line)) = (format.field_end.first(), format.line_end.first()) else {
        return refuse("FIELDS or LINES TERMINATED BY ''");
    };
    let mut bytes = vec![*field, *line];
    bytes.extend(format.enclosed);
    bytes.extend(format.escape);
    let distinct = bytes.iter().enumerate().all(|(at, byte)| !bytes.iter().take(at).any(|before| before == byte));
    if !distinct {
        return refuse("two delimiters that begin with the same character");
    }
    let everywhere = format.field_end.iter().chain(&format.line_end).chain(&format.enclosed).chain(&format.escape);
    if everywhere.clone().any(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'.')) {
        return refuse("a delimiter that sealed values hold");
    }
    let binary = fields.iter().any(|f| f.seal.as_ref().is_some_and(|c| c.physical == Physical::Binary));
    if binary && (charset != Some(Charset::Latin1) || format.escape.is_none()) {
        return refuse("a binary protected column, unless it has CHARACTER SET latin1 and an escape character");
    }
    Ok(())
}
