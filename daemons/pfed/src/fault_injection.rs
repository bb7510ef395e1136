//! An aid for tests (docs/test-aids.md): notifications that get lost without a word.

use std::path::PathBuf;

use holdfast_kernel::netlink::Event;

/// `@FILE`: as long as there is one, nothing is heard of routes and nexthop objects.
const VARIABLE: &str = "HOLDFAST_DEAF";

/// Whether, and by which file, notifications get lost.
#[derive(Debug)]
pub struct Deafness(Option<PathBuf>);

impl Deafness {
    /// As the environment says.
    pub fn from_environment() -> Self {
        let file = std::env::var(VARIABLE).ok().and_then(|value| value.strip_prefix('@').map(PathBuf::from));
        if let Some(file) = &file {
            tracing::warn!(
                "{VARIABLE} is set: nothing is heard of the kernel's routes while {} exists",
                file.display()
            );
        }
        Self(file)
    }

    /// Takes away what is not to be heard.
    pub fn lose(&self, events: &mut Vec<Event>) {
        if self.0.as_ref().is_some_and(|file| file.exists()) {
            use Event::{Nexthop, NexthopRemoved, Route, RouteRemoved};
            events.retain(|event| !matches!(event, Route(_) | RouteRemoved(_) | Nexthop(_) | NexthopRemoved(_)));
        }
    }
}
