//! The line of a text that holds a span, with carets under it.

use std::ops::Range;

/// As wide as a line may be; of a longer one the part around the span is shown.
const WIDTH: usize = 100;

/// Two lines, indented by two: the source and the carets. Tabs and control characters are shown as
/// spaces, so that the carets stand where they should.
pub(super) fn caret(text: &str, span: Range<usize>) -> String {
    let start = floor(text, span.start.min(text.len()));
    let line_start = text.get(..start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
    let line_end = text.get(start..).and_then(|rest| rest.find('\n')).map_or(text.len(), |at| start + at);
    let end = floor(text, span.end.clamp(start, line_end));
    let shown = |range: Range<usize>| -> Vec<char> {
        let part = text.get(range).unwrap_or_default();
        part.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
    };
    let before = shown(line_start..start);
    let marked = shown(start..end);
    let after = shown(end..line_end);
    let total = before.len() + marked.len() + after.len();
    let (mut from, mut to) = (0, total);
    if total > WIDTH {
        from = before.len().saturating_sub(WIDTH / 3);
        to = total.min(from + WIDTH);
    }
    let line: Vec<char> = before.iter().chain(&marked).chain(&after).copied().collect();
    let visible: String = line.get(from..to).unwrap_or_default().iter().collect();
    let left = if from > 0 { "…" } else { "" };
    let right = if to < total { "…" } else { "" };
    let indent = before.len() - from + left.chars().count();
    let carets = marked.len().clamp(1, to.saturating_sub(before.len()).max(1));
    format!("  {left}{}{right}\n  {}{}\n", visible.trim_end(), " ".repeat(indent), "^".repeat(carets))
}

/// The start of the character that byte `at` belongs to.
fn floor(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Line and column, from 1, of a byte.
pub(super) fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..floor(text, at.min(text.len()))).unwrap_or_default();
    let line = 1 + before.matches('\n').count();
    let column = 1 + before.rsplit('\n').next().unwrap_or_default().chars().count();
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carets_stand_under_the_span_of_the_line_that_holds_it() {
        let text = "SELECT é\n\tFROM users\nWHERE 1";
        let at = text.find("users").unwrap();
        assert_eq!(caret(text, at..at + 5), "   FROM users\n        ^^^^^\n");
        assert_eq!(position(text, at), (2, 7));
        assert_eq!(position(text, text.find('\n').unwrap()), (1, 9));
    }

    #[test]
    fn a_span_over_lines_an_empty_one_and_one_beyond_the_text_get_a_caret_too() {
        assert_eq!(caret("a b\nc", 2..5), "  a b\n    ^\n");
        assert_eq!(caret("ab", 1..1), "  ab\n   ^\n");
        assert_eq!(caret("ab", 9..12), "  ab\n    ^\n");
    }

    #[test]
    fn of_a_long_line_the_part_around_the_span_is_shown() {
        let text = format!("{}email{}", "x".repeat(300), "y".repeat(300));
        let shown = caret(&text, 300..305);
        let lines: Vec<&str> = shown.lines().collect();
        let at = lines[1].chars().position(|c| c == '^').unwrap();
        assert_eq!(lines[0].chars().skip(at).take(5).collect::<String>(), "email");
        assert!(lines[0].chars().count() < 110 && lines[0].trim_start().starts_with('…') && lines[0].ends_with('…'));
    }
}
