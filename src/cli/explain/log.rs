//! Statements out of a file: a general log of MariaDB or MySQL, JSON lines with `sql`, or one statement a
//! line. Any of them compressed with gzip.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use crate::cli::Failure;
use crate::sql::SqlMode;

/// One statement of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub sql: Vec<u8>,
    /// The line it begins on.
    pub line: usize,
    /// The current schema where the log tells.
    pub schema: Option<String>,
    /// The session's sql_mode where the log tells.
    pub sql_mode: Option<SqlMode>,
}

/// How many lines may pass before the format must have shown.
const LINES_TO_TELL: usize = 50;

/// Commands of the general log. Others carry no statement.
const COMMANDS: &[&str] = &[
    "Query",
    "Prepare",
    "Execute",
    "Connect",
    "Init DB",
    "Change user",
    "Quit",
    "Close stmt",
    "Reset stmt",
    "Long Data",
    "Field List",
    "Ping",
    "Statistics",
    "Sleep",
    "Set option",
    "Fetch",
    "Daemon",
    "Binlog Dump",
    "Register Slave",
    "Kill",
    "Refresh",
    "Shutdown",
    "Debug",
    "Reset connection",
    "Bulk_execute",
    "Error",
    "Binlog Dump GTID",
    "Processlist",
    "Create DB",
    "Drop DB",
    "Time",
    "Delayed insert",
    "Connect Out",
    "Table Dump",
    "Slave_worker",
    "Slave_IO",
    "Slave_SQL",
    "Com_multi",
];

/// The whole of a file, decompressed.
pub(super) fn contents(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    open(path)?.read_to_end(&mut text).map_err(|error| unreadable(path, &error))?;
    Ok(text)
}

fn open(path: &Path) -> Result<Box<dyn BufRead>, Failure> {
    let file = std::fs::File::open(path).map_err(|error| unreadable(path, &error))?;
    let mut reader = BufReader::new(file);
    let head = reader.fill_buf().map_err(|error| unreadable(path, &error))?;
    if head.starts_with(&[0x1F, 0x8B]) {
        return Ok(Box::new(BufReader::new(flate2::bufread::MultiGzDecoder::new(reader))));
    }
    Ok(Box::new(reader))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Input(format!("{} cannot be read: {error}", path.display()))
}

/// Hands every statement of the file to `take`, in order, without holding the file in memory.
pub(super) fn read(path: &Path, take: &mut dyn FnMut(Entry) -> Result<(), Failure>) -> Result<(), Failure> {
    let mut reader = open(path)?;
    let mut head: Vec<Vec<u8>> = Vec::new();
    while head.len() < LINES_TO_TELL {
        match next(reader.as_mut(), path)? {
            Some(line) => head.push(line),
            None => break,
        }
    }
    let mut format = Format::of(&head);
    for (at, line) in head.into_iter().enumerate() {
        format.line(line, at + 1, take)?;
    }
    let mut at = LINES_TO_TELL;
    while let Some(line) = next(reader.as_mut(), path)? {
        at += 1;
        format.line(line, at, take)?;
    }
    format.end(take)
}

/// A line without its end.
fn next(reader: &mut dyn BufRead, path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    let mut line = Vec::new();
    let read = reader.read_until(b'\n', &mut line).map_err(|error| unreadable(path, &error))?;
    if read == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(Some(line))
}

enum Format {
    General(Box<General>),
    Json,
    Lines,
}

impl Format {
    fn of(head: &[Vec<u8>]) -> Self {
        let header = |line: &Vec<u8>| {
            let text = String::from_utf8_lossy(line);
            text.split_whitespace().eq(["Time", "Id", "Command", "Argument"])
        };
        if head.iter().any(|line| header(line) || event(line).is_some()) {
            return Self::General(Box::default());
        }
        match head.iter().find(|line| !line.trim_ascii().is_empty()) {
            Some(line) if line.trim_ascii().starts_with(b"{") => Self::Json,
            _ => Self::Lines,
        }
    }

    fn line(
        &mut self,
        line: Vec<u8>,
        at: usize,
        take: &mut dyn FnMut(Entry) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let plain = |sql: Vec<u8>| Entry { sql, line: at, schema: None, sql_mode: None };
        match self {
            Self::General(general) => general.line(line, at, take),
            _ if line.trim_ascii().is_empty() => Ok(()),
            Self::Lines => take(plain(line)),
            Self::Json => {
                let object: serde_json::Value = serde_json::from_slice(&line)
                    .map_err(|error| Failure::Input(format!("line {at} is not JSON (column {})", error.column())))?;
                let text = |key: &str| object.get(key).and_then(serde_json::Value::as_str);
                let Some(sql) = text("sql") else {
                    return Err(Failure::Input(format!("line {at}: the object has no text \"sql\"")));
                };
                let mut entry = plain(sql.as_bytes().to_vec());
                entry.schema = text("schema").map(str::to_owned);
                entry.sql_mode = text("flags").map(SqlMode::parse);
                take(entry)
            }
        }
    }

    fn end(&mut self, take: &mut dyn FnMut(Entry) -> Result<(), Failure>) -> Result<(), Failure> {
        match self {
            Self::General(general) => general.flush(take),
            Self::Json | Self::Lines => Ok(()),
        }
    }
}

/// What the log has told of a connection.
#[derive(Default)]
struct Connection {
    schema: Option<String>,
    sql_mode: Option<SqlMode>,
    /// Its prepared statements were seen, so what it executes was counted already.
    prepares: bool,
}

#[derive(Default)]
struct General {
    connections: HashMap<u64, Connection>,
    /// The event that further lines may belong to.
    current: Option<(u64, &'static str, Vec<u8>, usize)>,
}

impl General {
    fn line(
        &mut self,
        line: Vec<u8>,
        at: usize,
        take: &mut dyn FnMut(Entry) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        match event(&line) {
            Some((id, command, argument)) => {
                let argument = argument.to_vec();
                self.flush(take)?;
                self.current = Some((id, command, argument, at));
            }
            None if is_banner(&line) => self.flush(take)?,
            None => {
                if let Some((_, _, argument, _)) = &mut self.current {
                    argument.push(b'\n');
                    argument.extend_from_slice(&line);
                }
            }
        }
        Ok(())
    }

    fn flush(&mut self, take: &mut dyn FnMut(Entry) -> Result<(), Failure>) -> Result<(), Failure> {
        let Some((id, command, argument, line)) = self.current.take() else { return Ok(()) };
        let connection = self.connections.entry(id).or_default();
        let text = String::from_utf8_lossy(&argument);
        match command {
            "Connect" | "Change user" => {
                let schema = text.split_once(" on ").map(|(_, rest)| rest.split(" using ").next().unwrap_or_default());
                *connection = Connection {
                    schema: schema.map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned),
                    ..Connection::default()
                };
            }
            "Init DB" => connection.schema = Some(text.trim().to_owned()),
            "Quit" => {
                self.connections.remove(&id);
            }
            "Query" | "Prepare" | "Execute" | "Bulk_execute" => {
                connection.prepares |= command == "Prepare";
                if command.ends_with("xecute") && connection.prepares {
                    return Ok(());
                }
                let entry = Entry {
                    sql: argument.clone(),
                    line,
                    schema: connection.schema.clone(),
                    sql_mode: connection.sql_mode,
                };
                take(entry)?;
                connection.follow(&text);
            }
            _ => {}
        }
        Ok(())
    }
}

impl Connection {
    /// `USE x` and `SET sql_mode = '…'` hold for the statements after them.
    fn follow(&mut self, sql: &str) {
        let sql = sql.trim().trim_end_matches(';');
        let mut words = sql.split_whitespace();
        let verb = words.next().unwrap_or_default();
        if verb.eq_ignore_ascii_case("use") {
            self.schema = words.next().map(|name| name.trim_matches('`').replace("``", "`"));
        } else if verb.eq_ignore_ascii_case("set") && sql.to_ascii_lowercase().contains("sql_mode") {
            let at = sql.to_ascii_lowercase().find("sql_mode").unwrap_or(0);
            let value = sql.get(at..).unwrap_or_default();
            // Anything but one constant is not followed.
            let mut parts = value.splitn(3, ['\'', '"']);
            let (before, constant) = (parts.next().unwrap_or_default(), parts.next());
            let assigned = before.trim_start_matches(|c: char| c.is_ascii_alphabetic() || c == '_').trim();
            if let (Some(constant), "=" | ":=") = (constant, assigned) {
                self.sql_mode = Some(SqlMode::parse(constant));
            }
        }
    }
}

/// Lines that the server writes when it opens the log.
fn is_banner(line: &[u8]) -> bool {
    let text = String::from_utf8_lossy(line);
    text.contains(", Version: ") && text.ends_with("started with:")
        || text.starts_with("Tcp port: ")
        || text.split_whitespace().eq(["Time", "Id", "Command", "Argument"])
}

/// `TIME\tID COMMAND\tARGUMENT`; MariaDB writes two tabs where the time is that of the line before.
fn event(line: &[u8]) -> Option<(u64, &'static str, &[u8])> {
    let (first, rest) = split(line)?;
    let timed = first.first().is_some_and(u8::is_ascii_digit)
        && first.iter().all(|b| b.is_ascii_digit() || b" :-.TZ+".contains(b));
    let rest = match first {
        [] => split(rest).filter(|(second, _)| second.is_empty()).map(|(_, rest)| rest)?,
        _ if timed => rest,
        _ => return None,
    };
    let (head, argument) = split(rest).unwrap_or((rest, b""));
    let head = std::str::from_utf8(head).ok()?;
    let (id, command) = head.trim_start().split_once(' ')?;
    let command = COMMANDS.iter().find(|known| **known == command.trim())?;
    Some((id.parse().ok()?, command, argument))
}

fn split(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|b| *b == b'\t')?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(text: &[u8]) -> Vec<(String, usize, Option<String>)> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, text).unwrap();
        let mut found = Vec::new();
        let mut take = |entry: Entry| {
            found.push((String::from_utf8(entry.sql).unwrap(), entry.line, entry.schema));
            Ok(())
        };
        read(file.path(), &mut take).unwrap();
        found
    }

    fn row(sql: &str, line: usize, schema: &str) -> (String, usize, Option<String>) {
        (sql.to_owned(), line, Some(schema.to_owned()).filter(|name| !name.is_empty()))
    }

    #[test]
    fn a_log_of_mariadb_gives_its_statements_with_their_schema() {
        let log = "/usr/sbin/mariadbd, Version: 10.11.6-MariaDB (x). started with:\nTcp port: 3306  Unix socket: /x\n\
                   Time\t\t    Id Command\tArgument\n251125  3:13:07\t     5 Connect\tapp@localhost on shop using Socket\n\
                   \t\t     5 Query\tSELECT 1\n\tFROM users\n\t\t     6 Connect\tapp@localhost on  using TCP/IP\n\
                   \t\t     6 Query\tUSE `other`\n\t\t     6 Prepare\tSELECT ?\n\t\t     6 Execute\tSELECT 7\n\
                   251125  3:13:08\t     5 Query\tSELECT\t2\n\t\t     5 Quit\t\n";
        let expected = [
            row("SELECT 1\n\tFROM users", 5, "shop"),
            row("USE `other`", 8, ""),
            row("SELECT ?", 9, "other"),
            row("SELECT\t2", 11, "shop"),
        ];
        assert_eq!(entries(log.as_bytes()), expected);
    }

    #[test]
    fn a_log_of_mysql_gives_its_statements_with_their_schema() {
        let log = "2024-01-01T00:00:00.000001Z\t    8 Connect\tapp@localhost on shop using TCP/IP\n\
                   2024-01-01T00:00:00.000002Z\t    8 Init DB\tcrm\n\
                   2024-01-01T00:00:00.000002Z\t    9 Execute\tSELECT 7\n\
                   2024-01-01T00:00:00.000003Z\t    8 Query\tSELECT 2\n";
        assert_eq!(entries(log.as_bytes()), [row("SELECT 7", 3, ""), row("SELECT 2", 4, "crm")]);
    }

    #[test]
    fn json_lines_and_lines_are_told_apart_and_gzip_is_opened() {
        let json = b"{\"sql\": \"SELECT 1\", \"schema\": \"a\"}\n\n{\"sql\": \"SELECT\\n2\"}\n";
        assert_eq!(entries(json), [row("SELECT 1", 1, "a"), row("SELECT\n2", 3, "")]);
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut packed, b"SELECT 1;\r\n\nSELECT 2").unwrap();
        assert_eq!(entries(&packed.finish().unwrap()), [row("SELECT 1;", 1, ""), row("SELECT 2", 3, "")]);
    }

    #[test]
    fn a_session_that_sets_its_sql_mode_is_followed() {
        let mut connection = Connection::default();
        connection.follow("SET SESSION sql_mode='ANSI_QUOTES,STRICT_ALL_TABLES'");
        assert!(connection.sql_mode.is_some_and(|mode| mode.ansi_quotes && mode.strict_all_tables));
        connection.follow("SET sql_mode = CONCAT(@@sql_mode, ',NO_BACKSLASH_ESCAPES')");
        assert!(connection.sql_mode.is_some_and(|mode| mode.ansi_quotes && !mode.no_backslash_escapes));
    }
}
