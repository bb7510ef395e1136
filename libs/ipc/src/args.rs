use std::path::PathBuf;

use holdfast_proto::v1;

use crate::{RunDir, other_slot};

/// Role given at the start; later roles come from chassisd by RPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum RoleArg {
    /// Owns sessions, configuration or kernel table.
    Primary,
    /// Follows the other slot's process.
    Backup,
}

/// The arguments that chassisd gives to every daemon.
#[derive(Clone, Debug, clap::Args)]
pub struct DaemonArgs {
    /// The slot this process belongs to: re0 or re1
    #[arg(long, value_parser = ["re0", "re1"])]
    pub slot: String,
    /// Where the router's sockets are
    #[arg(long)]
    pub run_dir: PathBuf,
    /// Where the router's lasting files are
    #[arg(long)]
    pub state_dir: PathBuf,
    /// Whether to begin as primary or as backup
    #[arg(long, value_enum)]
    pub role: RoleArg,
    /// The primary term that is in force
    #[arg(long)]
    pub epoch: u64,
    /// Takes the place of a process that died without a successor, in a router that went on forwarding
    #[arg(long)]
    pub respawned: bool,
    /// With --respawned: a neighbour whose session was up when that process died; may be repeated
    #[arg(long, value_name = "ADDRESS")]
    pub interrupted: Vec<std::net::IpAddr>,
}

impl DaemonArgs {
    /// The role as the other processes name it.
    pub fn role(&self) -> v1::Role {
        match self.role {
            RoleArg::Primary => v1::Role::Primary,
            RoleArg::Backup => v1::Role::Backup,
        }
    }

    /// The other slot.
    pub fn peer_slot(&self) -> &'static str {
        other_slot(&self.slot)
    }

    /// Paths of the router's sockets.
    pub fn run_dir(&self) -> RunDir {
        RunDir::new(&self.run_dir)
    }
}
