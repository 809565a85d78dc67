//! Text for a person at a terminal: colours where there is one, columns that line up.

use std::io::IsTerminal;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    Green,
    Yellow,
    Red,
    Bold,
    Dim,
}

/// Whether to colour: standard output is a terminal and `NO_COLOR` is not set.
#[derive(Clone, Copy, Debug)]
pub struct Paint(bool);

impl Paint {
    pub fn for_stdout() -> Self {
        Self(std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()))
    }

    pub fn text(self, color: Color, text: &str) -> String {
        let code = match color {
            Color::Green => "32",
            Color::Yellow => "33",
            Color::Red => "31",
            Color::Bold => "1",
            Color::Dim => "2",
        };
        if self.0 { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Rows of cells under a head, two spaces apart, indented by two. The last column is not padded, so
/// that it may hold colours.
pub fn table(head: &[&str], rows: &[Vec<String>], paint: Paint) -> String {
    let width = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count());
        cells.chain(head.get(at).map(|cell| cell.chars().count())).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: &[&str]| {
        let last = cells.len().saturating_sub(1);
        let padded = cells.iter().zip(&widths).enumerate().map(|(at, (cell, width))| {
            if at == last { (*cell).to_owned() } else { format!("{cell}{}", " ".repeat(width - cell.chars().count())) }
        });
        padded.collect::<Vec<_>>().join("  ")
    };
    let mut out = format!("  {}\n", paint.text(Color::Dim, &line(head)));
    for row in rows {
        let cells: Vec<&str> = row.iter().map(String::as_str).collect();
        out.push_str(&format!("  {}\n", line(&cells)));
    }
    out
}
