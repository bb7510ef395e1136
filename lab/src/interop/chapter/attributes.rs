//! Attributes of routes between ASes and within one, as they are.

use super::Chapter;

/// See the module.
pub struct Attributes;

impl Chapter for Attributes {}
