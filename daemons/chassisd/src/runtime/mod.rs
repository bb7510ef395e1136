//! How the processes of a routing engine are run: as plain processes, or in OCI containers.
//!
//! The rest of chassisd knows one trait, [`Runtime`], and one handle, [`Running`]. What it relies on, whatever the way:
//! a process is named by its pid on the host and held by a pidfd; its end comes with its exit status; it can be made to
//! stand still at once and for certain (the fence of ADR 8) and killed while it does; and when a slot is released nothing
//! of it is left: no process, container, control group, mount or directory.

mod oci;
mod process;
mod running;

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;

use holdfast_issu::Daemon;
use holdfast_proto::v1;

use crate::chassis::Slot;
use crate::error::ChassisError;
use crate::image::Source;

pub use oci::{OciOptions, OciRuntime, remove_left_overs};
pub use process::{ProcessRuntime, adopt_program, spawn_program};
pub use running::Running;

/// What to start.
#[derive(Clone, Debug)]
pub struct ProcessSpec {
    /// Where it belongs.
    pub slot: Slot,
    /// Which program.
    pub daemon: Daemon,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// The configuration that it loads first, if it is to.
    pub load: Option<PathBuf>,
    /// Where its output is appended.
    pub log: PathBuf,
}

impl ProcessSpec {
    /// "re0/rpd", for messages.
    pub fn name(&self) -> String {
        format!("{}/{}", self.slot, self.daemon)
    }
}

/// What a [`Runtime`] does in its own time.
pub type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A way to run processes.
pub trait Runtime: Send + Sync {
    /// "process", "oci".
    fn name(&self) -> &'static str;
    /// The program behind it and its version; empty where there is none.
    fn version(&self) -> String;
    /// Called once, when both directories are locked and before anything is started.
    fn prepare(&self) -> Work<Result<(), ChassisError>>;
    /// Starts one; does not wait until it is ready, nor until it exists.
    fn spawn(&self, spec: &ProcessSpec) -> Result<Running, ChassisError>;
    /// Removes what is left of a slot whose processes have ended, in its own time: what is started in the slot next waits
    /// for it. `politely`: whoever else is logged in there is told first.
    fn release(&self, slot: Slot, politely: bool) -> Work<Result<(), String>>;
    /// What it starts routing engines from, once it was prepared.
    fn software(&self) -> Option<Source>;
    /// The containers that exist, with limits and use.
    fn containers(&self) -> Vec<v1::ContainerState>;
}
