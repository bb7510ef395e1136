//! Why a command was not carried out.

use std::path::PathBuf;

/// Failures as the operator reads them.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// Nobody is there.
    #[error(
        "no router runs in {run_dir}; start one with: holdfast start --config FILE --run-dir {run_dir}, or name another with --run-dir"
    )]
    NoRouter {
        /// The run-dir asked.
        run_dir: PathBuf,
    },
    /// A router is there, but its management process is not.
    #[error("the management process (mgd) of the router in {run_dir} did not answer within {seconds} s: {reason}")]
    NoAnswer {
        /// The run-dir asked.
        run_dir: PathBuf,
        /// How long it was waited for.
        seconds: u64,
        /// The last failure.
        reason: String,
    },
    /// Answers broke off until there was no other try, or after something of one had been shown.
    #[error(
        "the routing engine that answered was replaced or has ended before the answer was whole ({0}); enter the command again (| save FILE and | count begin again by themselves, whatever the length)"
    )]
    BrokenOff(String),
    /// mgd ended before it said what became of a command that changes something.
    #[error(
        "the answer got lost ({0}): it is not known whether the command took effect; see what it would have changed (show ...) before you enter it again"
    )]
    Unanswered(String),
    /// The router said no.
    #[error("{0}")]
    Refused(String),
    /// The pipe behind the command makes no sense.
    #[error("{0}")]
    Pipe(String),
    /// The question was not answered with yes.
    #[error("{0}")]
    NotConfirmed(String),
    /// The candidate could not be locked.
    #[error(
        "the candidate cannot be locked for this session alone: {path}: {reason}; configure works without the lock"
    )]
    Lock {
        /// The lock's file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A text could not be read.
    #[error("cannot read {file}: {source}")]
    Input {
        /// The file, or the terminal.
        file: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// chassisd ended in the middle of a run.
    #[error(
        "chassisd of the router in {run_dir} has ended, and run {run_id} with it; the log in the state-dir and the next start say more"
    )]
    RouterEnded {
        /// The run-dir asked.
        run_dir: PathBuf,
        /// The run that was watched.
        run_id: u64,
    },
    /// A run could not be watched to its end.
    #[error(
        "chassisd of the router in {run_dir} has been silent for {seconds} s; run {run_id} may go on: show chassis in-service-upgrade tells"
    )]
    LostRun {
        /// The run-dir asked.
        run_dir: PathBuf,
        /// How long it was waited for.
        seconds: u64,
        /// The run that was watched.
        run_id: u64,
    },
    /// A run ended otherwise than wanted.
    #[error("run {run_id}: {verdict}")]
    RunFailed {
        /// The run.
        run_id: u64,
        /// Its verdict.
        verdict: String,
    },
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
    /// Ctrl-C while a run was watched.
    #[error(
        "no longer watching; run {run_id} goes on: show chassis in-service-upgrade tells how far it is, request system reboot in-service abort takes it back"
    )]
    StoppedWatching {
        /// The run.
        run_id: u64,
    },
    /// The output could not be written.
    #[error("cannot write {what}: {source}")]
    Output {
        /// Where to.
        what: String,
        /// The system's answer.
        source: std::io::Error,
    },
}

impl CliError {
    /// Whoever read our output has gone (`| head`): nothing to complain about.
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output { source, .. } if source.kind() == std::io::ErrorKind::BrokenPipe)
    }
}
