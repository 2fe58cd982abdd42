//! A manifest as it was written: a tree of values, each with its position.
//!
//! Values are never shown by `Debug`: a document may be a Secret. Where the tree comes from is not known here.

use std::fmt;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

/// The position of a value, counted from one.
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

/// The beginning of a file.
pub const START: Position = Position { line: 1, column: 1 };

/// What is said about a whole file.
pub fn told(file: &str, message: String, remedy: &str) -> SourceError {
    SourceError { file: file.to_owned(), at: START, message, remedy: remedy.to_owned() }
}

/// A file that cannot be read.
pub fn unreadable(file: &str, error: &std::io::Error) -> SourceError {
    told(file, format!("cannot be read: {error}"), "check the path and its permissions")
}
