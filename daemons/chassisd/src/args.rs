//! The command line.

use std::path::PathBuf;

use crate::limits;

/// How routing engines are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum RuntimeArg {
    /// Plain processes: needs nothing installed.
    Process,
    /// OCI containers.
    Oci,
}

/// Mastership, processes, the descriptor vault and the in-service run of one router. Says "ready" on standard
/// output when the router is up; its log goes to standard error. SIGTERM and SIGINT stop the router, kernel
/// routes stay.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "chassisd", version)]
pub struct Args {
    /// Where the router's sockets are
    #[arg(long, default_value = "/run/holdfast")]
    pub run_dir: PathBuf,
    /// Where the router's lasting files are
    #[arg(long, default_value = "/var/lib/holdfast")]
    pub state_dir: PathBuf,
    /// The configuration to load; without it the last committed one
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// The name of the network namespace it was started in, for display
    #[arg(long, default_value = "")]
    pub netns: String,
    /// How routing engines are run
    #[arg(long, value_enum, default_value = "process")]
    pub re_runtime: RuntimeArg,
    /// The container runtime (default: runc, crun or youki, as PATH has them)
    #[arg(long, value_name = "PROGRAM")]
    pub oci_runtime: Option<PathBuf>,
    /// Memory that the container of a routing engine may use, in MiB
    #[arg(long, value_name = "MIB", default_value_t = limits::ENGINE_MEMORY_MIB_DEFAULT,
          value_parser = clap::value_parser!(u64).range(limits::MEMORY_MIB_LEAST..))]
    pub re_memory_limit: u64,
    /// CPU time that the container of a routing engine may use, 100 being one CPU (default: no limit but its weight)
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(limits::CPU_PERCENT_LEAST..))]
    pub re_cpu_limit: Option<u32>,
    /// Leave the session of the terminal: Ctrl-C and hang-up there are not for this router
    #[arg(long)]
    pub detach: bool,
    /// Where mgd, rpd and pfed are (default: beside this binary)
    #[arg(long, hide = true)]
    pub bin_dir: Option<PathBuf>,
}
