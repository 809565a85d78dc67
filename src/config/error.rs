//! What is wrong in a configuration file, and how a person reads it.

use std::fmt;
use std::path::{Path, PathBuf};

use super::tree::Pos;

/// Everything found wrong in one file, in the order of the file. Never empty.
#[derive(Debug, thiserror::Error)]
pub struct ConfigErrors {
    pub file: PathBuf,
    pub problems: Vec<Problem>,
}

/// One thing wrong. Carries no value of a password: the quoted line is masked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// From 1; 0 when the file could not be read at all.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    pub message: String,
    /// What to do instead.
    pub hint: Option<String>,
    /// The line of the file, secrets masked.
    pub source_line: Option<String>,
    /// How many characters of the line are meant.
    pub length: usize,
}

impl Problem {
    pub(super) fn at(pos: Pos, message: impl Into<String>) -> Self {
        Self {
            line: pos.line,
            column: pos.column,
            message: message.into(),
            hint: None,
            source_line: None,
            length: pos.length.max(1),
        }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl ConfigErrors {
    /// Sorts the problems and quotes the lines they are in.
    pub(super) fn new(file: &Path, text: &str, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| (problem.line, problem.column));
        let lines: Vec<&str> = text.lines().collect();
        for problem in &mut problems {
            let line = problem.line.checked_sub(1).and_then(|index| lines.get(index));
            problem.source_line = line.map(|line| mask(line));
        }
        Self { file: file.to_path_buf(), problems }
    }

    pub(super) fn unreadable(file: &Path, error: &std::io::Error) -> Self {
        let pos = Pos { line: 0, column: 0, length: 0 };
        let problem = Problem::at(pos, format!("cannot read the configuration: {error}"));
        Self { file: file.to_path_buf(), problems: vec![problem] }
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        for problem in &self.problems {
            writeln!(f, "error: {}", problem.message)?;
            if problem.line == 0 {
                writeln!(f, "  --> {file}")?;
            } else {
                writeln!(f, "  --> {file}:{}:{}", problem.line, problem.column)?;
            }
            let margin = " ".repeat(problem.line.to_string().len());
            if let Some(line) = &problem.source_line {
                let before = problem.column.saturating_sub(1);
                let room = line.chars().count().saturating_sub(before).max(1);
                let carets = "^".repeat(problem.length.clamp(1, room));
                writeln!(f, " {margin} |")?;
                writeln!(f, " {} | {line}", problem.line)?;
                writeln!(f, " {margin} | {}{carets}", " ".repeat(before))?;
            }
            if let Some(hint) = &problem.hint {
                writeln!(f, " {margin} = {hint}")?;
            }
            writeln!(f)?;
        }
        match self.problems.len() {
            1 => write!(f, "1 problem in {file}"),
            n => write!(f, "{n} problems in {file}"),
        }
    }
}

/// Stars for whatever follows a key that looks like a secret's, unless it is only a `${VARIABLE}`.
/// Tabs become spaces so that the caret stays under its place.
fn mask(line: &str) -> String {
    const SECRETS: [&str; 5] = ["pass", "pasw", "pwd", "secret", "token"];
    let line = line.replace('\t', " ");
    let lower = line.to_ascii_lowercase();
    let Some(word) = SECRETS.iter().filter_map(|secret| lower.find(secret)).min() else { return line };
    let Some(colon) = lower.get(word..).and_then(|rest| rest.find(':')).map(|at| word + at) else { return line };
    let (head, tail) = line.split_at(colon + 1);
    let value = tail.trim().trim_end_matches(['}', ' ']).trim_matches(['"', '\'']);
    if value.starts_with("${")
        && value.ends_with(|c: char| c == '}' || c.is_ascii_alphanumeric())
        && !value.contains(":-")
    {
        return line;
    }
    let stars: String = tail.chars().map(|c| if c == ' ' { ' ' } else { '*' }).collect();
    format!("{head}{stars}")
}

#[cfg(test)]
mod tests {
    use super::mask;

    #[test]
    fn a_password_in_a_quoted_line_is_masked_and_a_variable_is_not() {
        assert_eq!(mask("  password: hunter2"), "  password: *******");
        assert_eq!(mask("{ user: a, pasword: hunter2, x: 1 }"), "{ user: a, pasword: ******** ** * *");
        assert_eq!(mask("password: \"${PW}\""), "password: \"${PW}\"");
        assert_eq!(mask("password: ${PW:-hunter2}"), "password: **************");
        assert_eq!(mask("address: db:3306"), "address: db:3306");
    }
}
