//! `mgd`, the management process: the configuration, the operational commands, and what the in-service reboot asks of
//! management.
//!
//! One mgd runs in each routing-engine slot. The primary's owns the committed configuration (`store`); a backup's
//! fetches the text from it, reads it with its own models, and compares digests (`peer`): so a new version proves that it
//! understands the configuration before it is asked for readiness. Both give the compiled form to the daemons of their slot.
//!
//! ```text
//! file --store--> Committed --watch--> SubscribeConfiguration --> rpd, pfed --ReportApplied--> ready
//!                    '---------------> pre-checks (readiness), show configuration
//! configure mode --candidate--> commit --store, watch--> as above, or back to what was in force; unconfirmed: later, too
//! line --grammar--> Invocation --commands--> chassisd, rpd, pfed --render--> text or JSON, in pieces
//! ```
//!
//! mgd never decides its own role, never touches a protocol session or the kernel, and holds nothing that is not also on
//! disk: it may be killed at any moment.

mod applied;
mod candidate;
mod check;
mod clients;
mod commands;
mod commit;
mod daemon_service;
mod error;
mod grammar;
mod limits;
mod management_service;
mod peer;
mod readiness;
mod render;
mod start;
mod state;
mod store;
#[cfg(test)]
mod tests;
mod unconfirmed;
mod when;

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use holdfast_ipc::DaemonArgs;

#[derive(Parser)]
#[command(name = "mgd", version, about = "Holdfast's management process; started by chassisd")]
struct Arguments {
    /// Validate a configuration, print its mistakes, do nothing else
    #[arg(long, value_name = "FILE", exclusive = true)]
    check: Option<PathBuf>,
    /// Commit this file as the active configuration (first start)
    #[arg(long, value_name = "FILE")]
    load: Option<PathBuf>,
    #[command(flatten)]
    daemon: Option<DaemonArgs>,
}

fn main() -> ExitCode {
    let Arguments { check, load, daemon } = Arguments::parse();
    match (check, daemon) {
        (Some(file), _) => check::run(&file),
        (None, Some(daemon)) => start::run(daemon, load),
        (None, None) => {
            eprintln!("mgd: --slot, --run-dir, --state-dir, --role and --epoch are required, or --check FILE");
            ExitCode::FAILURE
        }
    }
}
