//! The schemas of everything that crosses a process boundary, and with it a version boundary.
//!
//! The `.proto` files beside this crate are the contract; this crate holds what is generated from them.
//! protobuf's rules carry an upgrade in service: numbers are never reused, unknown fields are ignored.
//! Every message also serialises with serde, under its field names: these are the stable keys of `--format json`.

pub mod check;
mod packed;

pub use packed::PackedRoute;

/// Version 1 of the package `holdfast`.
// The schemas' comments are plain text, not rustdoc's Markdown.
#[allow(missing_docs, clippy::all, rustdoc::invalid_html_tags, rustdoc::broken_intra_doc_links, rustdoc::bare_urls)]
pub mod v1 {
    tonic::include_proto!("holdfast.v1");
}
