//! Text → documents: YAML with the position of every value, within bounds.
//!
//! What kubectl refuses is an error here, and a list of objects is as many documents, as for kubectl.

use std::collections::{HashMap, HashSet};

use granit_parser::{Event, Parser, ScalarStyle, Span};
use serde_json::Value;

use super::{
    document::{Content, Document, Entry, Node, Position, SourceError},
    scalar::{is_no_number, resolve},
};

/// Most values in one document, aliases resolved.
const MOST_NODES: usize = 100_000;
/// Most bytes of texts that aliases stand for, in one file. The values that they stand for are bounded there as well.
const MOST_COPIED: usize = 8 * 1_048_576;
/// So many places of a file are told that kubectl refuses for the same reason.
const MOST_TOLD: usize = 10;
/// Deepest nesting.
const MOST_DEPTH: usize = 64;

/// Everything that was read: documents in order, and what could not be read.
#[derive(Debug, Default)]
pub struct Source {
    pub documents: Vec<Document>,
    pub errors: Vec<SourceError>,
    /// What was passed over.
    pub notes: Vec<SourceError>,
}

impl Source {
    /// Adds what was read elsewhere.
    pub fn add(&mut self, more: Self) {
        self.documents.extend(more.documents);
        self.errors.extend(more.errors);
        self.notes.extend(more.notes);
    }
}

/// Adds the documents of a text to what was read before. Gives back how many values they have; it stops where there are more
/// than these.
pub fn parse_into(source: &mut Source, file: &str, text: &str, most: usize) -> usize {
    source.errors.extend(crowded_marks(file, text));
    let mut builder = Builder {
        events: Parser::new_from_str(text),
        anchors: HashMap::new(),
        nodes: 0,
        all: 0,
        most,
        copied: Weight::default(),
    };
    loop {
        match builder.document() {
            Ok(Some(root)) => {
                // A document with nothing but comments is skipped by everyone.
                if !matches!(&root.content, Content::Scalar { value: Value::Null, .. }) {
                    push(source, Document { file: file.to_owned(), root });
                }
            }
            Ok(None) => return builder.all,
            // Whoever knows what is read beside it tells that.
            Err(_) if builder.all > most => return builder.all,
            Err(problem) => {
                source.errors.push(SourceError {
                    file: file.to_owned(),
                    at: problem.at,
                    message: problem.message,
                    remedy: problem.remedy.to_owned(),
                });
                return builder.all;
            }
        }
    }
}

/// Marks between documents that share their line with content. YAML allows that, and kubectl refuses it.
fn crowded_marks(file: &str, text: &str) -> Vec<SourceError> {
    let crowded = |line: &str| {
        let behind = line.strip_prefix("---").map(str::trim);
        behind.is_some_and(|behind| !behind.is_empty() && !behind.starts_with('#'))
    };
    text.split('\n')
        .zip(1..)
        .filter(|(line, _)| crowded(line))
        .take(MOST_TOLD)
        .map(|(_, line)| SourceError {
            file: file.to_owned(),
            at: Position { line, column: 1 },
            message:
                "has more than --- and a comment on the line between two documents, which kubectl refuses"
                    .into(),
            remedy: "put what follows --- on a line of its own".into(),
        })
        .collect()
}

/// A list of objects is as many documents, as for kubectl: also one inside another, and one of a kind of its own such
/// as `WhatsAppChannelList`.
fn push(source: &mut Source, document: Document) {
    if let Some(of) = document.kind().strip_suffix("List")
        && let Some(Content::List(items)) = document.root.get("items").map(|items| &items.content)
    {
        for item in items {
            let mut root = item.clone();
            inherit(&mut root, "apiVersion", document.api_version(), of);
            inherit(&mut root, "kind", of, of);
            push(source, Document { file: document.file.clone(), root });
        }
        return;
    }
    source.documents.push(document);
}

/// Items of a list of one kind may leave out what they are.
fn inherit(item: &mut Node, key: &str, value: &str, of: &str) {
    let at = item.at;
    if let Content::Map(entries) = &mut item.content
        && !of.is_empty()
        && !entries.iter().any(|entry| entry.key == key)
    {
        let value = Value::String(value.to_owned());
        let content = Content::Scalar { text: String::new(), plain: false, value };
        entries.push(Entry { key: key.to_owned(), at, value: Node { at, content } });
    }
}

struct Problem {
    at: Position,
    message: String,
    remedy: &'static str,
}

struct Builder<'a> {
    events: Parser<'a, granit_parser::StrInput<'a>>,
    anchors: HashMap<usize, Node>,
    /// Of this document.
    nodes: usize,
    /// Of all documents, and most of them.
    all: usize,
    most: usize,
    /// Of all documents.
    copied: Weight,
}

/// What a copy of a value takes.
#[derive(Clone, Copy, Default)]
struct Weight {
    nodes: usize,
    bytes: usize,
}

impl Weight {
    fn of(node: &Node) -> Self {
        let Self { nodes, bytes } = match &node.content {
            Content::Scalar { text, .. } => Self { nodes: 0, bytes: text.len() },
            Content::List(items) => items.iter().map(Self::of).fold(Self::default(), Self::plus),
            Content::Map(entries) => entries.iter().map(Self::of_entry).fold(Self::default(), Self::plus),
        };
        Self { nodes: nodes.saturating_add(1), bytes }
    }

    fn of_entry(entry: &Entry) -> Self {
        Self::of(&entry.value).plus(Self { nodes: 1, bytes: entry.key.len() })
    }

    fn plus(self, more: Self) -> Self {
        Self { nodes: self.nodes.saturating_add(more.nodes), bytes: self.bytes.saturating_add(more.bytes) }
    }
}

fn start(span: &Span) -> Position {
    Position { line: span.start.line(), column: span.start.col() + 1 }
}

impl<'a> Builder<'a> {
    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, Problem> {
        match self.events.next_event() {
            None => Ok(None),
            Some(Ok(event)) => Ok(Some(event)),
            Some(Err(error)) => Err(Problem {
                at: Position { line: error.marker().line(), column: error.marker().col() + 1 },
                message: format!("is not valid YAML: {}", error.info()),
                remedy: "check indentation, quotes and brackets there and on the lines before",
            }),
        }
    }

    /// The next document, until there is none.
    fn document(&mut self) -> Result<Option<Node>, Problem> {
        self.anchors.clear();
        self.nodes = 0;
        loop {
            match self.next()? {
                None | Some((Event::StreamEnd, _)) => return Ok(None),
                Some((
                    event @ (Event::Scalar(..)
                    | Event::SequenceStart(..)
                    | Event::MappingStart(..)
                    | Event::Alias(_)),
                    span,
                )) => return self.node(event, span, 0).map(Some),
                Some(_) => {}
            }
        }
    }

    /// The next event that is part of a document's content.
    fn content(&mut self, after: Position) -> Result<(Event<'a>, Span), Problem> {
        loop {
            match self.next()? {
                None => {
                    return Err(Problem {
                        at: after,
                        message: "is not valid YAML: it ends in the middle of a value".into(),
                        remedy: "close every quote and bracket",
                    });
                }
                Some((
                    event @ (Event::Scalar(..)
                    | Event::SequenceStart(..)
                    | Event::SequenceEnd
                    | Event::MappingStart(..)
                    | Event::MappingEnd
                    | Event::Alias(_)),
                    span,
                )) => return Ok((event, span)),
                Some(_) => {}
            }
        }
    }

    fn count(&mut self, more: usize, at: Position) -> Result<(), Problem> {
        self.nodes = self.nodes.saturating_add(more);
        self.all = self.all.saturating_add(more);
        if self.nodes > MOST_NODES || self.all > self.most {
            return Err(Problem {
                at,
                message: format!("has more than {MOST_NODES} values, aliases resolved"),
                remedy: "split the document, or write aliases out",
            });
        }
        Ok(())
    }

    /// Before a value is copied: a short text may stand for any number of them.
    fn count_copy(&mut self, weight: Weight, at: Position) -> Result<(), Problem> {
        self.count(weight.nodes, at)?;
        self.copied = self.copied.plus(weight);
        if self.copied.nodes > MOST_NODES || self.copied.bytes > MOST_COPIED {
            return Err(Problem {
                at,
                message: format!(
                    "has aliases that stand for more than {MOST_NODES} values, or {} MiB, in one file",
                    MOST_COPIED / 1_048_576
                ),
                remedy: "split the file, or write aliases out",
            });
        }
        Ok(())
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Problem> {
        let at = start(&span);
        self.count(1, at)?;
        if depth > MOST_DEPTH {
            return Err(Problem {
                at,
                message: format!("is nested more than {MOST_DEPTH} levels deep"),
                remedy: "flatten it; no kind needs this",
            });
        }
        let anchor = event.anchor_id();
        let tagged_string = event.tag().is_some_and(|tag| tag.suffix() == "str");
        let content = match event {
            Event::Scalar(text, style, _, _) => {
                let plain = style == ScalarStyle::Plain;
                let value = if plain && !tagged_string {
                    if is_no_number(&text) {
                        return Err(Problem {
                            at,
                            message: format!(
                                "{text} is infinity or no number to YAML, which JSON cannot hold"
                            ),
                            remedy: "put it in quotes if it is a text",
                        });
                    }
                    resolve(&text)
                } else {
                    Value::String(text.clone().into_owned())
                };
                Content::Scalar { text: text.into_owned(), plain, value }
            }
            Event::SequenceStart(..) => {
                let mut items = Vec::new();
                loop {
                    match self.content(at)? {
                        (Event::SequenceEnd, _) => break,
                        (event, span) => items.push(self.node(event, span, depth + 1)?),
                    }
                }
                Content::List(items)
            }
            Event::MappingStart(..) => Content::Map(self.map(at, depth)?),
            Event::Alias(id) => {
                let Some(weight) = self.anchors.get(&id).map(Weight::of) else {
                    return Err(Problem {
                        at,
                        message: "is an alias of a value that contains it, or of none".into(),
                        remedy: "write the value out",
                    });
                };
                self.count_copy(weight, at)?;
                self.anchors[&id].content.clone()
            }
            _ => {
                return Err(Problem {
                    at,
                    message: "is not valid YAML here".into(),
                    remedy: "check indentation, quotes and brackets there and on the lines before",
                });
            }
        };
        let node = Node { at, content };
        if let Some(id) = anchor {
            self.count_copy(Weight::of(&node), at)?;
            self.anchors.insert(id, node.clone());
        }
        Ok(node)
    }

    fn map(&mut self, at: Position, depth: usize) -> Result<Vec<Entry>, Problem> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut merged: Vec<Entry> = Vec::new();
        let mut names = HashSet::new();
        loop {
            let (event, span) = self.content(at)?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let key = self.node(event, span, depth + 1)?;
            let (event, span) = self.content(at)?;
            let value = self.node(event, span, depth + 1)?;
            let name = match &key.content {
                Content::Scalar { text, plain: true, .. } if text == "<<" => {
                    merged.extend(merge(value)?);
                    continue;
                }
                // A key that reads as something else is sent as the text of that: `yes` becomes `true`.
                Content::Scalar { value: Value::String(text), .. } => text.clone(),
                Content::Scalar { value, .. } => value.to_string(),
                Content::List(_) | Content::Map(_) => {
                    return Err(Problem {
                        at: key.at,
                        message: "a list or map cannot be a key".into(),
                        remedy: "put quotes around template braces, as in \"{{ value }}\"",
                    });
                }
            };
            if !names.insert(name.clone()) {
                return Err(Problem {
                    at: key.at,
                    message: format!("the key {name} is there twice"),
                    remedy: "remove one of them",
                });
            }
            entries.push(Entry { key: name, at: key.at, value });
        }
        for entry in merged {
            if names.insert(entry.key.clone()) {
                entries.push(entry);
            }
        }
        Ok(entries)
    }
}

/// The entries that `<<` brings in; the first of several maps wins.
fn merge(value: Node) -> Result<Vec<Entry>, Problem> {
    match value.content {
        Content::Map(entries) => Ok(entries),
        Content::List(items) => {
            let mut all = Vec::new();
            for item in items {
                all.extend(merge(item)?);
            }
            Ok(all)
        }
        Content::Scalar { .. } => Err(Problem {
            at: value.at,
            message: "<< needs a map".into(),
            remedy: "name an anchor of a map, or write the fields out",
        }),
    }
}
