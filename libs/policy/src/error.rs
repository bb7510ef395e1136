//! What can be wrong with `policy-options`.

use std::borrow::Cow;

/// Why a configuration could not be compiled. Each names the place, the observed and the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Two definitions of one name.
    #[error("{kind} {name} is defined twice; rename or delete one of them")]
    Duplicate {
        /// `policy-statement`, `prefix-list`, `community`, `as-path` or `as-path-group`.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// A term refers to something that is not there.
    #[error(
        "policy-statement {statement} term {term}: {kind} {name} is not defined; define it under policy-options or \
         remove it from the term"
    )]
    Undefined {
        /// The statement.
        statement: String,
        /// The term.
        term: String,
        /// What it is to be.
        kind: &'static str,
        /// The name that was not found.
        name: String,
    },
    /// An import or export list names a statement that is not there.
    #[error(
        "policy-statement {name} is not defined; define it under policy-options or remove it from the import or export list"
    )]
    UndefinedStatement {
        /// The name that was not found.
        name: String,
    },
    /// A value that cannot be read or makes no sense.
    #[error("{place}: {what} \"{observed}\" is not valid; required: {required}")]
    Invalid {
        /// The statement, such as `prefix-list NAME`, `as-path-group NAME as-path NAME` or `policy-statement NAME term NAME`.
        place: String,
        /// What kind of value.
        what: &'static str,
        /// The value as written.
        observed: String,
        /// What would be valid.
        required: Cow<'static, str>,
    },
    /// A statement asks itself.
    #[error("policy-statement {path}: a policy asks itself; take one `from policy` of these out")]
    Recursion {
        /// The names in the order of asking.
        path: String,
    },
    /// Subroutines below each other.
    #[error("policy-statement {path}: more than {limit} policies ask each other in a row; ask fewer")]
    TooDeep {
        /// The names in the order of asking.
        path: String,
        /// How many may be below each other.
        limit: usize,
    },
    /// One route may take too long.
    #[error(
        "policy-statement {statement}: one route may run through {observed} terms, subroutines included, at most {limit} are \
         allowed; ask fewer policies"
    )]
    TooCostly {
        /// The statement.
        statement: String,
        /// Terms.
        observed: usize,
        /// Terms allowed.
        limit: usize,
    },
    /// More statements than a list may have.
    #[error(
        "the import or export list names {observed} policy statements, at most {limit} are allowed; merge some of them"
    )]
    ChainTooLong {
        /// Statements named.
        observed: usize,
        /// Statements allowed.
        limit: usize,
    },
}
