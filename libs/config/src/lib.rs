//! The router's configuration: Junos-style text, a YANG-modelled tree, and what the daemons take.
//!
//! One tree has three views: hierarchical text, `set` commands and JSON (RFC 7951). The YANG modules under
//! `yang/` say which statements exist; the text is read by a grammar that knows only words, braces and
//! semicolons, and is then mapped to the tree by the modules. So a new statement is a few lines of YANG, a rule in
//! [`validate`](self) when it refers to something else, and its place in the compiled form.
//!
//! ```text
//! text --lexer, statement--> words --map (schema, types)--> Tree --json--> libyang (model)
//!                                                            |--> validate: references, families, duplicates
//!                                                            |--> text, set, json: the three views
//!                                                            '--> compile: v1::RouterConfig for the daemons
//! ```
//!
//! A [`Draft`] is a tree that is still being edited: statement by statement, each of them checked alone, the rules between
//! them only when it is to become a [`Configuration`].
//!
//! ```text
//! set, load --map--> small Tree --merge--> Draft --text--> Configuration::parse (all of the above)
//! delete, show, edit, rename, copy, insert --place--> nodes of it;   compare: two of them;   complete: what may stand next
//! ```
//!
//! Every mistake is reported, not only the first, each with file, line, column and path. A statement that would do
//! nothing in this version is not in the models and so is refused.
//!
//! This crate must never read or write a file, never panic on any input, and never hand out a
//! [`RouterConfig`](holdfast_proto::v1::RouterConfig) of a configuration that has an error.

mod compare;
mod compile;
mod complete;
mod configuration;
mod draft;
mod error;
mod json;
mod lexer;
pub mod limits;
mod map;
mod model;
mod near;
mod place;
mod schema;
mod set;
mod statement;
mod text;
mod tree;
mod types;
mod validate;

pub use complete::{Purpose, Suggestion, Suggestions};
pub use configuration::Configuration;
pub use draft::{Draft, Load, Rearrange};
pub use error::{ConfigError, EditError, SchemaError};
pub use schema::Schema;
