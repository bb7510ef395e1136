//! Routing policy: its expressions, and policies as a whole.
//!
//! - [`expression`]: whatever text stands for an AS-path expression or a community.
//! - [`whole`]: a policy of any shape as an operator's text, through everything that a commit does with it, and then routes, beside a
//!   `model` that reads the same messages and changes a copy of the route as it goes. `text` writes it from a fuzzer's octets,
//!   over the few names, prefixes and numbers of `world`, so that what is written meets what is asked.

pub mod expression;
mod model;
mod text;
pub mod whole;
mod world;

pub(crate) use text::Choices;

/// The text that decisions lead to, for other targets' seeds.
pub(crate) fn policies_of(decisions: &[u8]) -> String {
    text::policies(&mut Choices::new(decisions))
}
