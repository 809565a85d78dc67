//! Reading typed values out of the positioned tree, gathering every problem instead of stopping at
//! the first.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::Problem;
use super::interpolate::{InterpolateError, interpolate};
use super::tree::{Key, Node, Pos, Value};
use super::values::parse_duration;

/// One section: its path (`*` stands for a name of the user's) and the keys it knows.
#[derive(Clone, Copy, Debug)]
pub struct Keys {
    pub path: &'static str,
    pub names: &'static [&'static str],
    /// Known to a later version: refused with that reason.
    pub later: &'static [&'static str],
}

pub struct Reader<'a> {
    pub problems: Vec<Problem>,
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// Relative paths start here: the folder of the configuration file.
    pub base: &'a Path,
}

/// The entries of one section, known keys only.
pub struct Section<'n> {
    pub pos: Pos,
    entries: Vec<(&'n Key, &'n Node)>,
}

impl<'n> Section<'n> {
    pub fn get(&self, name: &str) -> Option<&'n Node> {
        self.entry(name).map(|(_, node)| node)
    }

    /// As [`Section::get`], with the key's place.
    pub fn entry(&self, name: &str) -> Option<(&'n Key, &'n Node)> {
        self.entries.iter().find(|(key, node)| key.name == name && !matches!(node.value, Value::Null)).copied()
    }

    pub fn key_pos(&self, name: &str) -> Pos {
        self.entries.iter().find(|(key, _)| key.name == name).map_or(self.pos, |(key, _)| key.pos)
    }
}

impl Reader<'_> {
    pub fn problem(&mut self, pos: Pos, message: impl Into<String>, hint: impl Into<String>) {
        self.problems.push(Problem::at(pos, message).hint(hint));
    }

    /// A mapping with known keys; unknown ones are problems. `Null` is an empty section.
    pub fn section<'n>(&mut self, pos: Pos, node: &'n Node, keys: Keys) -> Section<'n> {
        let mut section = Section { pos, entries: Vec::new() };
        let place = if keys.path.is_empty() { "at the top level".to_owned() } else { format!("in `{}`", keys.path) };
        match &node.value {
            Value::Null => {}
            Value::Mapping(entries) => {
                for (key, node) in entries {
                    if keys.names.contains(&key.name.as_str()) {
                        section.entries.push((key, node));
                    } else if keys.later.contains(&key.name.as_str()) {
                        self.problem(
                            key.pos,
                            format!("`{}` comes in a later version", key.name),
                            "remove it; without it the column is sealed as text or bytes, without search",
                        );
                    } else {
                        self.problem(
                            key.pos,
                            format!("unknown key `{}` {place}", key.name),
                            suggest(&key.name, keys.names),
                        );
                    }
                }
            }
            _ => self.problem(
                node.pos,
                format!("{} must be a mapping", quoted(keys.path)),
                format!("write `key: value` lines below it; it knows {}", list(keys.names)),
            ),
        }
        section
    }

    /// A mapping whose keys are the user's own names.
    pub fn mapping<'n>(&mut self, node: &'n Node, what: &str, hint: &str) -> &'n [(Key, Node)] {
        match &node.value {
            Value::Mapping(entries) => entries,
            Value::Null => &[],
            _ => {
                self.problem(node.pos, format!("`{what}` must be a mapping"), hint);
                &[]
            }
        }
    }

    /// A scalar's text, interpolated; whether it may be read as a number or a boolean.
    fn scalar(&mut self, node: &Node, what: &str) -> Option<(String, bool)> {
        let Value::Scalar { text, plain } = &node.value else {
            let found = match node.value {
                Value::Sequence(_) => "a list",
                Value::Mapping(_) => "a mapping",
                _ => "nothing",
            };
            self.problem(
                node.pos,
                format!("`{what}` must be a single value, not {found}"),
                "write it on the line of its key",
            );
            return None;
        };
        match interpolate(text, self.env) {
            Ok((text, replaced)) => Some((text, *plain || replaced)),
            Err(InterpolateError::Missing(name)) => {
                self.problem(
                    node.pos,
                    format!("the environment variable `{name}` is not set"),
                    format!("set it, or give a default: ${{{name}:-…}}; a dollar sign itself is written $$"),
                );
                None
            }
            Err(InterpolateError::Malformed) => {
                self.problem(
                    node.pos,
                    format!("`{what}` holds a `${{` that is not a variable"),
                    "write ${NAME} or ${NAME:-default}; a dollar sign itself is written $$",
                );
                None
            }
        }
    }

    /// A text; empty is a problem.
    pub fn text(&mut self, node: &Node, what: &str) -> Option<String> {
        let (text, _) = self.scalar(node, what)?;
        if text.is_empty() {
            self.problem(node.pos, format!("`{what}` is empty"), "give it a value or remove the key");
            return None;
        }
        Some(text)
    }

    /// A text that may be empty, such as a password.
    pub fn any_text(&mut self, node: &Node, what: &str) -> Option<String> {
        self.scalar(node, what).map(|(text, _)| text)
    }

    pub fn path(&mut self, node: &Node, what: &str) -> Option<PathBuf> {
        let text = self.text(node, what)?;
        Some(self.base.join(text))
    }

    pub fn boolean(&mut self, section: &Section<'_>, name: &str, default: bool) -> bool {
        let Some(node) = section.get(name) else { return default };
        match self.scalar(node, name) {
            Some((text, true)) if text == "true" => true,
            Some((text, true)) if text == "false" => false,
            Some(_) => {
                self.problem(
                    node.pos,
                    format!("`{name}` must be true or false"),
                    format!("write `{name}: true` or `{name}: false`"),
                );
                default
            }
            None => default,
        }
    }

    pub fn integer(&mut self, section: &Section<'_>, name: &str, range: std::ops::RangeInclusive<u64>) -> Option<u64> {
        let node = section.get(name)?;
        let (text, number) = self.scalar(node, name)?;
        let digits = number && text.bytes().all(|b| b.is_ascii_digit());
        match text.parse::<u64>() {
            Ok(value) if digits && range.contains(&value) => Some(value),
            _ => {
                self.problem(
                    node.pos,
                    format!("`{name}` must be a whole number from {} to {}", range.start(), range.end()),
                    format!("for example `{name}: {}`", range.start()),
                );
                None
            }
        }
    }

    pub fn duration(
        &mut self,
        section: &Section<'_>,
        name: &str,
        min: Duration,
        max: Duration,
        default: Duration,
    ) -> Duration {
        let Some(node) = section.get(name) else { return default };
        let Some((text, _)) = self.scalar(node, name) else { return default };
        match parse_duration(&text) {
            Some(value) if value >= min && value <= max => value,
            Some(_) => {
                self.problem(
                    node.pos,
                    format!("`{name}` must be between {min:?} and {max:?}"),
                    format!("the default is {default:?}"),
                );
                default
            }
            None => {
                self.problem(
                    node.pos,
                    format!("`{name}` is not a duration"),
                    "write a number and a unit: 500ms, 1s, 5m or 1h",
                );
                default
            }
        }
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&mut self, section: &Section<'_>, name: &str, choices: &[(&'static str, T)]) -> Option<T> {
        let node = section.get(name)?;
        let (text, _) = self.scalar(node, name)?;
        let found = choices.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            self.problem(node.pos, format!("`{name}` cannot be `{text}`"), suggest(&text, &words));
        }
        found.map(|(_, value)| *value)
    }
}

/// "did you mean …" or the list of what there is.
pub fn suggest(word: &str, known: &[&str]) -> String {
    let lower = word.to_lowercase();
    let best = known.iter().map(|name| (strsim::damerau_levenshtein(&lower, &name.to_lowercase()), name)).min();
    match best {
        Some((distance, name)) if distance <= 1 + name.len() / 4 => format!("did you mean `{name}`?"),
        _ => format!("known are {}", list(known)),
    }
}

fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn quoted(path: &str) -> String {
    if path.is_empty() { "the file".into() } else { format!("`{path}`") }
}
