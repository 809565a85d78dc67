//! A script as the `mysql` client cuts it: statements by delimiter, `DELIMITER` lines, and executable
//! comments opened, whatever their version (a dump writes them for the server it came from).

use super::DdlProblem;

/// One statement: its text with the marks of executable comments blanked, and the line it begins on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    pub text: Vec<u8>,
    pub line: usize,
}

/// Comments of this version and above are for no server (`/*!999999\- enable the sandbox mode */`).
const NO_SERVER: u32 = 900_000;

/// Cuts `text`.
///
/// # Errors
/// A string or comment that is not closed.
pub fn pieces(text: &[u8]) -> Result<Vec<Piece>, DdlProblem> {
    let mut cutter = Cutter { text, at: 0, delimiter: b";".to_vec(), open_comment: false, out: Vec::new() };
    let mut found = Vec::new();
    while let Some(piece) = cutter.next()? {
        found.push(piece);
    }
    Ok(found)
}

struct Cutter<'a> {
    text: &'a [u8],
    at: usize,
    delimiter: Vec<u8>,
    /// Within an executable comment.
    open_comment: bool,
    out: Vec<u8>,
}

impl Cutter<'_> {
    fn rest(&self) -> &[u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn take(&mut self, count: usize) {
        let end = (self.at + count).min(self.text.len());
        self.out.extend_from_slice(self.text.get(self.at..end).unwrap_or_default());
        self.at = end;
    }

    fn blank(&mut self, count: usize) {
        let end = (self.at + count).min(self.text.len());
        self.out.extend(self.text.get(self.at..end).unwrap_or_default().iter().map(|b| match b {
            b'\n' => b'\n',
            _ => b' ',
        }));
        self.at = end;
    }

    fn line(&self, at: usize) -> usize {
        1 + self.text.get(..at).unwrap_or_default().iter().filter(|b| **b == b'\n').count()
    }

    fn problem<T>(&self, at: usize, message: &str) -> Result<T, DdlProblem> {
        Err(DdlProblem { line: self.line(at), message: message.to_owned() })
    }

    /// The next statement that is more than space and comments.
    fn next(&mut self) -> Result<Option<Piece>, DdlProblem> {
        loop {
            self.out.clear();
            let mut start = None;
            loop {
                if start.is_none() && self.delimiter_line() {
                    continue;
                }
                let rest = self.rest();
                let Some(&byte) = rest.first() else { break };
                if rest.starts_with(&self.delimiter) {
                    self.at += self.delimiter.len();
                    break;
                }
                let before = self.at;
                let meant = self.step(byte)?;
                if meant {
                    start.get_or_insert(before);
                }
            }
            match start {
                Some(start) => {
                    let text = std::mem::take(&mut self.out);
                    self.open_comment = false;
                    return Ok(Some(Piece { text, line: self.line(start) }));
                }
                None if self.at >= self.text.len() => return Ok(None),
                None => {}
            }
        }
    }

    /// Takes `DELIMITER x` at the beginning of a statement.
    fn delimiter_line(&mut self) -> bool {
        const WORD: &[u8] = b"delimiter";
        let rest = self.rest();
        let is_word = rest.get(..WORD.len()).is_some_and(|w| w.eq_ignore_ascii_case(WORD))
            && rest.get(WORD.len()).is_some_and(|b| matches!(b, b' ' | b'\t'));
        if !is_word {
            return false;
        }
        let end = rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
        let delimiter = rest.get(WORD.len()..end).unwrap_or_default().trim_ascii().to_vec();
        self.at += end;
        if !delimiter.is_empty() {
            self.delimiter = delimiter;
        }
        true
    }

    /// One string, comment or byte. `true` if it means something.
    fn step(&mut self, byte: u8) -> Result<bool, DdlProblem> {
        let start = self.at;
        let rest = self.rest();
        match byte {
            b'\'' | b'"' | b'`' => {
                let length = quoted(rest);
                match length {
                    Some(length) => self.take(length),
                    None => return self.problem(start, "a string or quoted identifier is not closed"),
                }
                Ok(true)
            }
            b'#' => {
                let end = rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
                self.blank(end);
                Ok(false)
            }
            b'-' if rest.starts_with(b"--") && rest.get(2).is_none_or(|b| b.is_ascii_whitespace()) => {
                let end = rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
                self.blank(end);
                Ok(false)
            }
            b'/' if rest.starts_with(b"/*!") || rest.starts_with(b"/*M!") => {
                let bang = if rest.starts_with(b"/*!") { 3 } else { 4 };
                let digits = rest.iter().skip(bang).take(6).take_while(|b| b.is_ascii_digit()).count();
                let number = rest.iter().skip(bang).take(digits).fold(0, |n, b| n * 10 + u32::from(b - b'0'));
                if digits >= 5 && number >= NO_SERVER {
                    return self.comment(start);
                }
                self.open_comment = true;
                self.blank(bang + if digits >= 5 { digits } else { 0 });
                Ok(false)
            }
            b'/' if rest.starts_with(b"/*") => self.comment(start),
            b'*' if rest.starts_with(b"*/") && self.open_comment => {
                self.open_comment = false;
                self.blank(2);
                Ok(false)
            }
            _ => {
                self.take(1);
                Ok(!byte.is_ascii_whitespace())
            }
        }
    }

    fn comment(&mut self, start: usize) -> Result<bool, DdlProblem> {
        let length = self.rest().windows(2).skip(2).position(|w| w == b"*/").map(|n| n + 4);
        match length {
            Some(length) => self.blank(length),
            None => return self.problem(start, "a comment is not closed"),
        }
        Ok(false)
    }
}

/// The length of the quoted text that `text` begins with.
fn quoted(text: &[u8]) -> Option<usize> {
    let quote = *text.first()?;
    let mut at = 1;
    loop {
        match *text.get(at)? {
            b'\\' if quote != b'`' => at += 2,
            byte if byte == quote && text.get(at + 1) == Some(&quote) => at += 2,
            byte if byte == quote => return Some(at + 1),
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<(String, usize)> {
        let trimmed = |piece: Piece| (String::from_utf8(piece.text).unwrap().trim().to_owned(), piece.line);
        pieces(text.as_bytes()).unwrap().into_iter().map(trimmed).collect()
    }

    #[test]
    fn statements_end_at_the_delimiter_in_force_and_not_within_quotes() {
        let found = cut("-- head; er\nSELECT ';' ;\nDELIMITER $$\nCREATE x BEGIN a; b; END$$\ndelimiter ;\n/* ; */ c");
        let expected = [("SELECT ';'", 2), ("CREATE x BEGIN a; b; END", 4), ("c", 6)];
        assert_eq!(found, expected.map(|(text, line)| (text.to_owned(), line)));
    }

    #[test]
    fn executable_comments_are_opened() {
        let found = cut("/*!999999\\- enable the sandbox mode */\n/*!50003 CREATE*/ /*M!100301 X */ /*!Y*/;;");
        let words: Vec<&str> = found[0].0.split_whitespace().collect();
        assert_eq!((words, found[0].1, found.len()), (vec!["CREATE", "X", "Y"], 2, 1));
    }

    #[test]
    fn what_is_not_closed_is_a_problem_with_its_line() {
        assert_eq!(pieces(b"a;\n'x").unwrap_err().line, 2);
        assert_eq!(pieces(b"/* x").unwrap_err().line, 1);
    }
}
