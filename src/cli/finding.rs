//! What there is to say about a manifest, and where: the words of every check.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use super::source::{Document, Position, SourceError};
use crate::engine::word::words;

words! {
    /// How much a finding weighs.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
    #[serde(rename_all = "lowercase")]
    pub enum Severity {
        /// The API server refuses the manifest.
        Error = "error",
        /// It is taken, but may not do what is meant.
        Warning = "warning",
        /// Only told.
        Note = "note",
    }
}

/// One finding: the field, what is wrong with its value, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Finding {
    /// The file of the manifest.
    pub file: String,
    /// The line at which the manifest begins.
    pub line: usize,
    /// The column in that line.
    pub column: usize,
    /// How much it weighs.
    pub severity: Severity,
    /// Path of the field, `spec.phoneNumber`; empty for the document.
    pub path: String,
    /// A text for people.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

impl Finding {
    /// A finding about a document.
    pub fn new(
        document: &Document,
        severity: Severity,
        path: &str,
        at: Position,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            file: document.file.clone(),
            line: at.line,
            column: at.column,
            severity,
            path: path.to_owned(),
            message: message.into(),
            remedy: remedy.into(),
        }
    }
}

impl From<SourceError> for Finding {
    fn from(error: SourceError) -> Self {
        Self {
            file: error.file,
            line: error.at.line,
            column: error.at.column,
            severity: Severity::Error,
            path: String::new(),
            message: error.message,
            remedy: error.remedy,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}: ", self.file, self.line, self.column, self.severity.as_str())?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        write!(f, "{}; {}", self.message, self.remedy)
    }
}

/// What lint found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Report {
    /// What was found.
    pub findings: Vec<Finding>,
    /// Manifests of our kinds that were checked.
    pub checked: usize,
}

impl Report {
    /// Whether the API server would refuse something.
    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|f| f.severity == Severity::Error)
    }
}
