//! Manifests from files, folders and standard input, with the position of every value.
//!
//! A plain scalar is resolved exactly as kubectl and the API server resolve it (`no` is a boolean, `+551…`
//! is a number), so that what is checked here is what would be sent. Positions are kept for findings.
//! Values are never shown by `Debug`: a document may be a Secret.

use std::{
    fmt,
    io::Read as _,
    path::{Path, PathBuf},
};

use granit_parser::{Event, Parser, ScalarStyle, Span};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Number, Value};

/// Most bytes of one file; the API server takes no larger object either.
const MOST_BYTES: u64 = 3 * 1024 * 1024;
/// Most values in one document, aliases resolved.
const MOST_NODES: usize = 100_000;
/// Deepest nesting.
const MOST_DEPTH: usize = 64;

/// Where a value stands, counted from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

/// A value with its position.
#[derive(Clone)]
pub struct Node {
    pub at: Position,
    pub content: Content,
}

/// What a value is.
#[derive(Clone)]
pub enum Content {
    /// A scalar: its text as written, and what it is to Kubernetes.
    Scalar {
        text: String,
        plain: bool,
        value: Value,
    },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Clone)]
pub struct Entry {
    pub key: String,
    pub at: Position,
    pub value: Node,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({}:{})", self.at.line, self.at.column)
    }
}

impl Node {
    /// The value under a key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The entry of a key.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.content {
            Content::Map(entries) => entries.iter().find(|entry| entry.key == key),
            Content::Scalar { .. } | Content::List(_) => None,
        }
    }

    /// The text, if the value is a string.
    pub fn as_str(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar { value: Value::String(text), .. } => Some(text),
            _ => None,
        }
    }

    /// The value as the API server keeps it: keys without a value are dropped.
    pub fn json(&self) -> Value {
        match &self.content {
            Content::Scalar { value, .. } => value.clone(),
            Content::List(items) => Value::Array(items.iter().map(Node::json).collect()),
            Content::Map(entries) => Value::Object(
                entries
                    .iter()
                    .filter(|e| !matches!(e.value.content, Content::Scalar { value: Value::Null, .. }))
                    .map(|e| (e.key.clone(), e.value.json()))
                    .collect::<Map<_, _>>(),
            ),
        }
    }
}

/// One document of a file.
#[derive(Clone)]
pub struct Document {
    /// Name of the file as it was given, or `<stdin>`.
    pub file: String,
    pub root: Node,
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document")
            .field("file", &self.file)
            .field("kind", &self.kind())
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}

impl Document {
    /// `apiVersion`, or nothing.
    pub fn api_version(&self) -> &str {
        self.root.get("apiVersion").and_then(Node::as_str).unwrap_or_default()
    }

    /// `kind`, or nothing.
    pub fn kind(&self) -> &str {
        self.root.get("kind").and_then(Node::as_str).unwrap_or_default()
    }

    /// The API group; the core group is empty.
    pub fn group(&self) -> &str {
        self.api_version().split_once('/').map_or("", |(group, _)| group)
    }

    /// `metadata.name`.
    pub fn name(&self) -> Option<&str> {
        self.root.get("metadata")?.get("name")?.as_str()
    }

    /// `metadata.namespace`.
    pub fn namespace(&self) -> Option<&str> {
        self.root.get("metadata")?.get("namespace")?.as_str()
    }

    /// Where a path such as `spec.access[0].namespaces` stands; the deepest part that is there, else the
    /// start of the document. The position is that of the value.
    pub fn position(&self, path: &str) -> Position {
        let mut node = &self.root;
        for part in path.split(['.', '[', ']']).filter(|part| !part.is_empty()) {
            let next = match &node.content {
                Content::Map(_) => node.get(part),
                Content::List(items) => part.parse::<usize>().ok().and_then(|at| items.get(at)),
                Content::Scalar { .. } => None,
            };
            match next {
                Some(next) => node = next,
                None => break,
            }
        }
        node.at
    }

    /// The same but for what stands under a key of the root.
    #[must_use]
    pub fn without(&self, key: &str) -> Self {
        let mut rest = self.clone();
        if let Content::Map(entries) = &mut rest.root.content {
            entries.retain(|entry| entry.key != key);
        }
        rest
    }

    /// The document as a typed object.
    ///
    /// # Errors
    ///
    /// Names the kind but never the value, which may be a secret.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, SourceError> {
        serde_json::from_value(self.root.json()).map_err(|_| SourceError {
            file: self.file.clone(),
            at: self.root.at,
            message: format!("{} cannot be read as its kind", self.kind()),
            remedy: "run lint on it, or check it with kubectl apply --dry-run=server".into(),
        })
    }
}

/// A file that cannot be read, or YAML that cannot be parsed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{}:{}: {message}; {remedy}", at.line, at.column)]
pub struct SourceError {
    pub file: String,
    pub at: Position,
    pub message: String,
    pub remedy: String,
}

const START: Position = Position { line: 1, column: 1 };

/// Everything that was read: documents in order, and what could not be read.
#[derive(Debug, Default)]
pub struct Source {
    pub documents: Vec<Document>,
    pub errors: Vec<SourceError>,
}

/// Reads files, folders (every `.yaml`, `.yml` and `.json` below them) and `-`, standard input.
///
/// A file that cannot be read is an error beside the documents of the others.
pub fn read(paths: &[PathBuf]) -> Source {
    let mut source = Source::default();
    for path in paths {
        if path == Path::new("-") {
            let mut bytes = Vec::new();
            match std::io::stdin().lock().take(MOST_BYTES + 1).read_to_end(&mut bytes) {
                Ok(_) => take(&mut source, "<stdin>", &bytes),
                Err(error) => source.errors.push(unreadable("<stdin>", &error)),
            }
            continue;
        }
        let mut files = Vec::new();
        if let Err(error) = collect(path, true, 0, &mut files) {
            source.errors.push(unreadable(&path.display().to_string(), &error));
        }
        if files.is_empty() && path.is_dir() {
            source.errors.push(SourceError {
                file: path.display().to_string(),
                at: START,
                message: "holds no manifest".into(),
                remedy: "name a folder with .yaml, .yml or .json files, or a file".into(),
            });
        }
        for file in files {
            let name = file.display().to_string();
            let bytes = std::fs::File::open(&file).and_then(|f| {
                let mut bytes = Vec::new();
                f.take(MOST_BYTES + 1).read_to_end(&mut bytes).map(|_| bytes)
            });
            match bytes {
                Ok(bytes) => take(&mut source, &name, &bytes),
                Err(error) => source.errors.push(unreadable(&name, &error)),
            }
        }
    }
    source
}

fn unreadable(file: &str, error: &std::io::Error) -> SourceError {
    SourceError {
        file: file.to_owned(),
        at: START,
        message: format!("cannot be read: {error}"),
        remedy: "check the path and its permissions".into(),
    }
}

/// Files below a path, in the order of their names.
fn collect(path: &Path, named: bool, depth: usize, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if !std::fs::metadata(path)?.is_dir() {
        let wanted = path.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json");
        if named || wanted {
            files.push(path.to_owned());
        }
        return Ok(());
    }
    if depth > MOST_DEPTH {
        return Ok(());
    }
    let mut entries = std::fs::read_dir(path)?.map(|e| e.map(|e| e.path())).collect::<Result<Vec<_>, _>>()?;
    entries.sort();
    for entry in entries {
        collect(&entry, false, depth + 1, files)?;
    }
    Ok(())
}

fn take(source: &mut Source, file: &str, bytes: &[u8]) {
    if bytes.len() as u64 > MOST_BYTES {
        source.errors.push(SourceError {
            file: file.to_owned(),
            at: START,
            message: "is larger than 3 MiB".into(),
            remedy: "split it into several files".into(),
        });
        return;
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => parse_into(source, file, text),
        Err(error) => {
            let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let line = before.iter().filter(|b| **b == b'\n').count() + 1;
            let column = before.iter().rev().take_while(|b| **b != b'\n').count() + 1;
            source.errors.push(SourceError {
                file: file.to_owned(),
                at: Position { line, column },
                message: "is not UTF-8 text".into(),
                remedy: "save the file as UTF-8".into(),
            });
        }
    }
}

/// Reads the documents of a text.
pub fn parse(file: &str, text: &str) -> Source {
    let mut source = Source::default();
    parse_into(&mut source, file, text);
    source
}

fn parse_into(source: &mut Source, file: &str, text: &str) {
    source.errors.extend(crowded_marks(file, text));
    let mut builder = Builder { events: Parser::new_from_str(text), anchors: Vec::new(), nodes: 0 };
    loop {
        match builder.document() {
            Ok(Some(root)) => {
                // A document with nothing but comments is skipped by everyone.
                if !matches!(&root.content, Content::Scalar { value: Value::Null, .. }) {
                    push(source, Document { file: file.to_owned(), root });
                }
            }
            Ok(None) => return,
            Err(problem) => {
                source.errors.push(SourceError {
                    file: file.to_owned(),
                    at: problem.at,
                    message: problem.message,
                    remedy: problem.remedy.to_owned(),
                });
                return;
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
    anchors: Vec<(usize, Node)>,
    nodes: usize,
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
        if self.nodes > MOST_NODES {
            return Err(Problem {
                at,
                message: format!("has more than {MOST_NODES} values, aliases resolved"),
                remedy: "split the document, or write aliases out",
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
                let target =
                    self.anchors.iter().rev().find(|(known, _)| *known == id).map(|(_, n)| n.clone());
                let Some(target) = target else {
                    return Err(Problem {
                        at,
                        message: "is an alias of a value that contains it, or of none".into(),
                        remedy: "write the value out",
                    });
                };
                self.count(weight(&target), at)?;
                target.content
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
            self.count(weight(&node), at)?;
            self.anchors.push((id, node.clone()));
        }
        Ok(node)
    }

    fn map(&mut self, at: Position, depth: usize) -> Result<Vec<Entry>, Problem> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut merged: Vec<Entry> = Vec::new();
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
            if entries.iter().any(|entry| entry.key == name) {
                return Err(Problem {
                    at: key.at,
                    message: format!("the key {name} is there twice"),
                    remedy: "remove one of them",
                });
            }
            entries.push(Entry { key: name, at: key.at, value });
        }
        for entry in merged {
            if !entries.iter().any(|known| known.key == entry.key) {
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

fn weight(node: &Node) -> usize {
    1 + match &node.content {
        Content::Scalar { .. } => 0,
        Content::List(items) => items.iter().map(weight).sum(),
        Content::Map(entries) => entries.iter().map(|e| 1 + weight(&e.value)).sum::<usize>(),
    }
}

/// Whether a plain scalar is one of the numbers that kubectl cannot send.
fn is_no_number(text: &str) -> bool {
    matches!(text, ".nan" | ".NaN" | ".NAN")
        || matches!(text.strip_prefix(['+', '-']).unwrap_or(text), ".inf" | ".Inf" | ".INF")
}

/// What a plain scalar is to kubectl and the API server.
fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Value::Bool(true);
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Value::Bool(false);
        }
        _ => {}
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return Value::String(text.to_owned());
    }
    let digits = text.replace('_', "");
    integer(&digits).or_else(|| float(&digits)).map_or_else(|| Value::String(text.to_owned()), Value::Number)
}

fn integer(text: &str) -> Option<Number> {
    let (negative, body) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = body.to_ascii_lowercase();
    let (radix, digits) = if let Some(hex) = lower.strip_prefix("0x") {
        (16, hex)
    } else if let Some(octal) = lower.strip_prefix("0o") {
        (8, octal)
    } else if let Some(binary) = lower.strip_prefix("0b") {
        (2, binary)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (8, &lower[1..])
    } else {
        (10, lower.as_str())
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let value = u64::from_str_radix(digits, radix).ok()?;
    if negative {
        i64::try_from(i128::from(value).checked_neg()?).ok().map(Number::from)
    } else {
        Some(Number::from(value))
    }
}

fn float(text: &str) -> Option<Number> {
    let body = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match body.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (body, None),
    };
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if !digits(whole) || !digits(part) || (whole.is_empty() && part.is_empty()) {
        return None;
    }
    if let Some(exponent) = exponent {
        let power = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        if power.is_empty() || !digits(power) {
            return None;
        }
    }
    Number::from_f64(text.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn one(text: &str) -> Document {
        let source = parse("t.yaml", text);
        assert_eq!(source.errors, []);
        source.documents.into_iter().next().expect("one document")
    }

    #[test]
    fn plain_scalars_are_what_kubectl_would_send() {
        for (text, value) in [
            ("+5511912345678", json!(5_511_912_345_678_u64)),
            ("5511912345678", json!(5_511_912_345_678_u64)),
            ("0123", json!(83)),
            ("0189", json!(189.0)),
            ("0x1F", json!(31)),
            ("1_000", json!(1000)),
            ("1.10", json!(1.1)),
            ("-7", json!(-7)),
            ("1e3", json!(1000.0)),
            ("no", json!(false)),
            ("on", json!(true)),
            ("~", json!(null)),
            ("2026-01-01", json!("2026-01-01")),
            ("+55 11 91234", json!("+55 11 91234")),
            ("12:30:45", json!("12:30:45")),
            ("BR", json!("BR")),
        ] {
            assert_eq!(resolve(text), value, "{text}");
        }
    }

    #[test]
    fn quotes_and_blocks_make_strings() {
        let document = one("a: \"+5511912345678\"\nb: 'no'\nc: !!str 12\nd: |\n  7\n");
        assert_eq!(document.root.json(), json!({"a": "+5511912345678", "b": "no", "c": "12", "d": "7\n"}));
    }

    #[test]
    fn every_value_knows_its_line_and_column() {
        let document = one("# a comment\nspec:\n  access:\n  - namespaces: [a, 7]\n");
        assert_eq!(document.position("spec.access[0].namespaces[1]"), Position { line: 4, column: 21 });
        assert_eq!(document.position("spec.access[0].missing"), document.position("spec.access[0]"));
    }

    #[test]
    fn documents_without_content_are_skipped() {
        let source = parse("t.yaml", "---\n# nothing\n---\nkind: A\n---\nkind: B\n");
        assert_eq!(source.documents.iter().map(Document::kind).collect::<Vec<_>>(), ["A", "B"]);
    }

    #[test]
    fn aliases_and_merges_are_resolved() {
        let document = one("base: &b {x: 1, y2: 2}\nother: {<<: *b, x: 3}\n");
        assert_eq!(document.root.json()["other"], json!({"x": 3, "y2": 2}));
    }

    #[test]
    fn a_bomb_of_aliases_is_refused() {
        let mut text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for n in 1..9 {
            let list = vec![format!("*a{}", n - 1); 10].join(",");
            text.push_str(&format!("a{n}: &a{n} [{list}]\n"));
        }
        let source = parse("t.yaml", &text);
        assert!(source.errors[0].message.contains("values"), "{:?}", source.errors);
    }

    #[test]
    fn broken_yaml_is_an_error_with_a_place() {
        for (text, line) in
            [("a: [1, 2\nb: 3\n", 2), ("a: 1\na: 2\n", 2), ("a: \"x\n", 1), ("a:\n\t- b\n", 2)]
        {
            let source = parse("t.yaml", text);
            assert_eq!(source.errors.len(), 1, "{text}");
            assert!(source.errors[0].at.line >= line, "{text}: {}", source.errors[0]);
        }
    }

    #[test]
    fn a_list_is_as_many_documents() {
        let source = parse("t.yaml", "apiVersion: v1\nkind: List\nitems:\n- kind: A\n- kind: B\n");
        assert_eq!(source.documents.iter().map(Document::kind).collect::<Vec<_>>(), ["A", "B"]);
    }

    #[test]
    fn lists_in_lists_and_lists_of_one_kind_are_flattened() {
        let inner = "{apiVersion: v1, kind: List, items: [{kind: A}, {apiVersion: v1, kind: List, items: [{kind: B}]}]}";
        let of_one = "{apiVersion: a.example/v1, kind: ThingList, items: [{metadata: {name: x}}, {kind: C}]}";
        let source = parse("t.yaml", &format!("{inner}\n---\n{of_one}\n"));
        assert_eq!(source.errors, []);
        let found: Vec<_> = source.documents.iter().map(|d| (d.api_version(), d.kind())).collect();
        assert_eq!(found, [("", "A"), ("", "B"), ("a.example/v1", "Thing"), ("a.example/v1", "C")]);
    }

    #[test]
    fn what_kubectl_does_not_read_is_an_error() {
        for (text, line, words) in [
            ("kind: A\n--- {kind: B}\n", 2, "line of its own"),
            ("--- kind: A\n", 1, "line of its own"),
            ("kind: A\nb: .inf\n", 2, "in quotes"),
            ("kind: A\nb: [-.Inf]\n", 2, "in quotes"),
            ("kind: .NaN\n", 1, "in quotes"),
        ] {
            let source = parse("t.yaml", text);
            let told = source.errors.iter().any(|e| e.at.line == line && e.remedy.contains(words));
            assert!(told, "{text}: {:?}", source.errors);
        }
        for text in ["kind: A\n--- # a comment\nkind: B\n", "kind: \".inf\"\n", "kind: A\n---  \r\nkind: B\n"]
        {
            assert_eq!(parse("t.yaml", text).errors, [], "{text}");
        }
    }

    #[test]
    fn a_secret_is_readable_and_its_error_silent() {
        let document =
            one("apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {token: hunter2}\n");
        let secret: k8s_openapi::api::core::v1::Secret = document.parse().expect("a Secret");
        assert_eq!(secret.string_data.expect("data")["token"], "hunter2");
        let document = one("apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: hunter2\n");
        let error = document.parse::<k8s_openapi::api::core::v1::Secret>().expect_err("no map");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    proptest::proptest! {
        #[test]
        fn no_text_brings_it_down(text in "[-a:\\[\\]{}&*!|>'\"%@#~ \n\t0-9é.?]{0,80}") {
            let source = parse("t.yaml", &text);
            for document in &source.documents {
                let _ = (document.root.json(), document.position("a[0].b"));
            }
        }
    }

    #[test]
    fn debug_shows_no_value() {
        let document = one("kind: Secret\nstringData: {token: hunter2}\n");
        assert!(!format!("{document:?} {:?}", document.root).contains("hunter2"));
    }
}
