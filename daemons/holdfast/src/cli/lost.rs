//! What became of a command whose answer got lost, because the management process ended before it gave it.
//!
//! Nothing is guessed and nothing is asked for twice. Every command bears a name of its own, a run that it started bears
//! it too, and chassisd, which runs on, knows its last run.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use holdfast_ipc::{RunDir, unix_ms};
use holdfast_proto::v1::{GetRunRequest, chassis_client::ChassisClient};

/// A request that was on its way when mgd ended has reached chassisd by then.
const UNDER_WAY: Duration = Duration::from_secs(1);
/// Between two questions.
const RETRY: Duration = Duration::from_millis(100);

/// A name that no other command of this host has.
pub fn request_id() -> String {
    static COMMANDS: AtomicU64 = AtomicU64::new(0);
    let number = COMMANDS.fetch_add(1, Ordering::Relaxed);
    format!("{}-{}-{number}", unix_ms(), std::process::id())
}

/// The run that a command started, if it did.
pub async fn run_of(run_dir: &RunDir, request_id: &str) -> Option<u64> {
    let started = Instant::now();
    loop {
        let mut client = ChassisClient::new(holdfast_ipc::channel(&run_dir.chassis_socket()));
        let request = GetRunRequest { run_id: 0, request_id: request_id.to_owned() };
        match tokio::time::timeout(UNDER_WAY, client.get_run(request)).await {
            // One that does not know request ids answers with its last run.
            Ok(Ok(reply)) if reply.get_ref().request_id == request_id => return Some(reply.into_inner().run_id),
            _ if started.elapsed() >= UNDER_WAY => return None,
            _ => tokio::time::sleep(RETRY).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_commands_have_one_name() {
        let names: std::collections::HashSet<String> = (0..100).map(|_| request_id()).collect();
        assert_eq!(names.len(), 100);
    }
}
