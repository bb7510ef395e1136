//! What can be wrong with a configuration, and where.

/// One mistake in a configuration text. Displays as `FILE:LINE:COL: [path] message; allowed: ...`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {}{message}{}", bracketed(path), allowed_suffix(allowed))]
pub struct ConfigError {
    /// The text's name as given to [`Configuration::parse`](crate::Configuration::parse).
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Statement it concerns, as an operator would type it after `set`; empty for mistakes of the grammar.
    pub path: String,
    /// What was observed and what is required.
    pub message: String,
    /// What is allowed in this place; empty when the message says it already.
    pub allowed: String,
}

fn bracketed(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("[{path}] ") }
}

fn allowed_suffix(allowed: &str) -> String {
    if allowed.is_empty() { String::new() } else { format!("; allowed: {allowed}") }
}

/// Why an editing command was not carried out. Nothing was changed then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The statement or path is no such thing.
    #[error("column {column}: {}{message}{}", bracketed(path), allowed_suffix(allowed))]
    Statement {
        /// Column in the words given, from 1.
        column: u32,
        /// Statement it concerns; empty for mistakes of the grammar.
        path: String,
        /// What was observed and what is required.
        message: String,
        /// What is allowed in this place.
        allowed: String,
    },
    /// The path is one, but nothing stands there.
    #[error("[{path}] is not in the configuration; show displays what is")]
    Absent {
        /// The path in its canonical spelling.
        path: String,
    },
    /// A text to be loaded has mistakes.
    #[error("{}", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Text {
        /// All of them.
        errors: Vec<ConfigError>,
    },
}

impl EditError {
    pub(crate) fn of(problem: Problem, columns_before: u32) -> Self {
        let Problem { span, path, message, allowed } = problem;
        Self::Statement { column: span.column.saturating_sub(columns_before).max(1), path, message, allowed }
    }

    /// The same where the words stand further right in their line.
    pub fn shifted(self, columns: u32) -> Self {
        match self {
            Self::Statement { column, path, message, allowed } => {
                Self::Statement { column: column.saturating_add(columns), path, message, allowed }
            }
            other => other,
        }
    }
}

/// The models built into this program could not be loaded: a defect of the build, not of a configuration.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// libyang refused a module.
    #[error("YANG module {module}: {reason}")]
    Module {
        /// The module's name.
        module: String,
        /// libyang's words.
        reason: String,
    },
    /// A module uses a construct that the text mapping has no form for.
    #[error("YANG module {module}: {path}: {reason}")]
    Unsupported {
        /// The module's name.
        module: String,
        /// Schema path of the node.
        path: String,
        /// What is not supported.
        reason: &'static str,
    },
}

/// A place in a text, both from 1; the default stands for "no place".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord)]
pub(crate) struct Span {
    pub line: u32,
    pub column: u32,
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A mistake before the file's name is put to it.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub span: Span,
    pub path: String,
    pub message: String,
    pub allowed: String,
}

impl Problem {
    pub(crate) fn new(span: Span, message: impl Into<String>) -> Self {
        Self { span, path: String::new(), message: message.into(), allowed: String::new() }
    }

    pub(crate) fn at(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    pub(crate) fn allowed(mut self, allowed: impl Into<String>) -> Self {
        self.allowed = allowed.into();
        self
    }

    pub(crate) fn in_file(self, file: &str) -> ConfigError {
        let Self { span, path, message, allowed } = self;
        ConfigError { file: file.to_owned(), line: span.line, column: span.column, path, message, allowed }
    }
}
