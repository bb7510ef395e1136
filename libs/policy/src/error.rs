//! What can be wrong with `policy-options`.

/// Why a configuration could not be compiled. Each names the place, the observed and the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Two definitions of one name.
    #[error("{kind} {name} is defined twice; rename or delete one of them")]
    Duplicate {
        /// `policy-statement`, `prefix-list` or `community`.
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
        /// `prefix-list` or `community`.
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
        /// `prefix-list NAME`, `community NAME` or `policy-statement NAME term NAME`.
        place: String,
        /// What kind of value.
        what: &'static str,
        /// The value as written.
        observed: String,
        /// What would be valid.
        required: &'static str,
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
