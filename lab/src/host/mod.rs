//! The machine under the lab: namespaces, processes, signals, and the removal of all of it.

pub mod cleanup;
pub mod containers;
pub mod guardian;
pub mod interrupt;
pub mod lab_id;
pub mod link_state;
pub mod netns;
pub mod process;
pub mod processors;
pub mod procfs;
pub mod programs;
