//! YAML text into a tree whose nodes know where they stand. `serde_yaml` lets the last of two equal
//! keys win and forgets positions; this does neither.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use super::error::Problem;

/// A place in the file: line and column from 1, length in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pos {
    pub line: usize,
    pub column: usize,
    pub length: usize,
}

#[derive(Clone, Debug)]
pub struct Node {
    pub pos: Pos,
    pub value: Value,
}

#[derive(Clone, Debug)]
pub enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// `plain` is unquoted: only then can it be a number or a boolean.
    Scalar {
        text: String,
        plain: bool,
    },
    Sequence(Vec<Node>),
    Mapping(Vec<(Key, Node)>),
}

#[derive(Clone, Debug)]
pub struct Key {
    pub pos: Pos,
    pub name: String,
}

/// Aliases multiply nodes; no honest configuration comes near this.
const MAX_NODES: usize = 100_000;

/// Parses one YAML document. Beside the tree: tags, keys that are not scalars, and keys given twice, of
/// which the tree holds the first.
///
/// # Errors
/// Broken YAML, more than one document.
pub fn parse(text: &str) -> Result<(Node, Vec<Problem>), Vec<Problem>> {
    let parser = Parser::new_from_str(text);
    let mut builder = Builder { parser, anchors: HashMap::new(), problems: Vec::new(), nodes: 0 };
    match builder.document() {
        Ok(node) => Ok((node, builder.problems)),
        Err(problem) => {
            builder.problems.push(*problem);
            Err(builder.problems)
        }
    }
}

type Fatal = Box<Problem>;

struct Builder<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    anchors: HashMap<usize, Node>,
    problems: Vec<Problem>,
    nodes: usize,
}

impl<'a> Builder<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Pos), Fatal> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, pos(span))),
            Some(Err(error)) => {
                let mark = error.marker();
                let pos = Pos { line: mark.line(), column: mark.col() + 1, length: 1 };
                Err(Box::new(
                    Problem::at(pos, format!("this is not YAML: {}", error.info()))
                        .hint("check indentation (spaces, not tabs), colons and quotes above this place"),
                ))
            }
            None => Ok((Event::StreamEnd, Pos { line: 1, column: 1, length: 1 })),
        }
    }

    fn document(&mut self) -> Result<Node, Fatal> {
        let mut root = None;
        loop {
            let (event, pos) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentEnd | Event::Nothing => {}
                Event::DocumentStart(_) if root.is_some() => {
                    return Err(Box::new(
                        Problem::at(pos, "a second YAML document starts here").hint("keep one document a file"),
                    ));
                }
                Event::DocumentStart(_) => {
                    let (event, pos) = self.next()?;
                    root = Some(self.node(event, pos)?);
                }
                Event::StreamEnd => break,
                _ => return Err(Box::new(Problem::at(pos, "this is not where a value can stand"))),
            }
        }
        Ok(root.unwrap_or(Node { pos: Pos { line: 1, column: 1, length: 1 }, value: Value::Null }))
    }

    fn node(&mut self, event: Event<'a>, at: Pos) -> Result<Node, Fatal> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(Box::new(Problem::at(at, "the file holds too many values")));
        }
        let (anchor, tag) = match &event {
            Event::Scalar(_, _, anchor, tag) | Event::SequenceStart(anchor, tag) | Event::MappingStart(anchor, tag) => {
                (*anchor, tag.as_ref().map(|tag| tag.to_string()))
            }
            _ => (0, None),
        };
        if let Some(tag) = tag {
            self.problems
                .push(Problem::at(at, format!("YAML tags such as `{tag}` are not used here")).hint("remove the tag"));
        }
        let value = match event {
            Event::Scalar(text, style, ..) => {
                let plain = style == ScalarStyle::Plain;
                if plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL") {
                    Value::Null
                } else {
                    Value::Scalar { text: text.into_owned(), plain }
                }
            }
            Event::SequenceStart(..) => self.sequence()?,
            Event::MappingStart(..) => self.mapping()?,
            Event::Alias(id) => {
                let node = self.anchors.get(&id).cloned();
                let Some(node) = node else {
                    return Err(Box::new(Problem::at(at, "this alias names no anchor above it")));
                };
                self.nodes += count(&node);
                return Ok(node);
            }
            _ => return Err(Box::new(Problem::at(at, "a value is missing here"))),
        };
        let node = Node { pos: at, value };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn sequence(&mut self) -> Result<Value, Fatal> {
        let mut items = Vec::new();
        loop {
            let (event, pos) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(Value::Sequence(items));
            }
            items.push(self.node(event, pos)?);
        }
    }

    fn mapping(&mut self) -> Result<Value, Fatal> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        loop {
            let (event, pos) = self.next()?;
            let name = match event {
                Event::MappingEnd => return Ok(Value::Mapping(entries)),
                Event::Scalar(text, ..) => Some(text.into_owned()),
                other => {
                    self.problems.push(Problem::at(pos, "a key must be a simple word"));
                    self.node(other, pos)?;
                    None
                }
            };
            let (event, value_pos) = self.next()?;
            let node = self.node(event, value_pos)?;
            let Some(name) = name else { continue };
            if let Some((first, _)) = entries.iter().find(|(key, _)| key.name == name) {
                self.problems.push(
                    Problem::at(pos, format!("`{name}` is given twice"))
                        .hint(format!("the first one is in line {}; remove one of the two", first.pos.line)),
                );
                continue;
            }
            entries.push((Key { pos, name }, node));
        }
    }
}

fn count(node: &Node) -> usize {
    match &node.value {
        Value::Null | Value::Scalar { .. } => 1,
        Value::Sequence(items) => 1 + items.iter().map(count).sum::<usize>(),
        Value::Mapping(entries) => 1 + entries.iter().map(|(_, node)| count(node)).sum::<usize>(),
    }
}

fn pos(span: Span) -> Pos {
    let length = if span.start.line() == span.end.line() { span.end.col().saturating_sub(span.start.col()) } else { 1 };
    // The parser counts columns from 0 although its documentation says 1.
    Pos { line: span.start.line(), column: span.start.col() + 1, length }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_columns_from_one() {
        let (node, _) = parse("a: 1\nbc:\n  ü: [x, yy]\n").unwrap();
        let Value::Mapping(top) = &node.value else { panic!() };
        assert_eq!((top[0].0.pos.line, top[0].0.pos.column, top[0].0.pos.length), (1, 1, 1));
        assert_eq!((top[0].1.pos.line, top[0].1.pos.column), (1, 4));
        let Value::Mapping(inner) = &top[1].1.value else { panic!() };
        assert_eq!((inner[0].0.pos.line, inner[0].0.pos.column), (3, 3));
        let Value::Sequence(items) = &inner[0].1.value else { panic!() };
        assert_eq!((items[1].pos.line, items[1].pos.column, items[1].pos.length), (3, 10, 2));
    }

    #[test]
    fn a_key_given_twice_is_an_error_at_the_second() {
        let (_, problems) = parse("a: 1\nb: 2\na: 3\n").unwrap();
        assert_eq!((problems[0].line, problems[0].column), (3, 1));
        assert!(problems[0].hint.as_deref().unwrap().contains("line 1"));
    }

    #[test]
    fn broken_yaml_and_second_documents_are_errors_with_a_place() {
        assert_eq!(parse("a: [1\nb: 2\n").unwrap_err().len(), 1);
        assert_eq!(parse("a: 1\n---\nb: 2\n").unwrap_err()[0].line, 2);
        assert!(parse("a: *nowhere\n").is_err());
        assert_eq!(parse("a: !!str 1\n").unwrap().1.len(), 1);
    }

    #[test]
    fn aliases_repeat_their_anchor_but_do_not_explode() {
        let (node, _) = parse("a: &x {k: v}\nb: *x\n").unwrap();
        let Value::Mapping(top) = &node.value else { panic!() };
        assert!(matches!(&top[1].1.value, Value::Mapping(entries) if entries.len() == 1));
        let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
        for n in 1..9 {
            let alias = format!("*a{}", n - 1);
            bomb.push_str(&format!("a{n}: &a{n} [{}]\n", vec![alias; 10].join(",")));
        }
        assert!(parse(&bomb).is_err());
    }
}
