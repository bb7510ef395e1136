//! Watching an in-service run at chassisd, through every break, from its first event to its last.

use std::time::{Duration, Instant};

use holdfast_ipc::RunDir;
use holdfast_proto::v1::{FollowRunRequest, RunEvent, chassis_client::ChassisClient};
use jiff::{Timestamp, tz::TimeZone};
use tonic::Code;

use super::{error::CliError, pipe::Pipeline};
use crate::stop;

/// How long chassisd may be away before the watch is given up.
const CHASSIS_PATIENCE: Duration = Duration::from_secs(60);
/// Between two tries to reach it.
const RETRY: Duration = Duration::from_millis(100);
/// Looks in a row, [`RETRY`] apart, that must find no chassisd before it counts as ended and not as away.
const LOOKS: u32 = 10;

/// Prints a run's events; succeeds when the run does.
pub async fn follow(run_dir: &RunDir, run_id: u64, json: bool, pipeline: &mut Pipeline) -> Result<(), CliError> {
    let mut next_sequence = 1;
    let mut heard = Instant::now();
    let mut looks = 0;
    loop {
        let mut client = ChassisClient::new(holdfast_ipc::channel(&run_dir.chassis_socket()));
        let request = FollowRunRequest { run_id, from_sequence: next_sequence };
        match client.follow_run(request).await {
            Ok(stream) => {
                let mut stream = stream.into_inner();
                // A broken stream is like one that ended early: the rest is asked for again.
                while let Ok(Some(event)) = stream.message().await {
                    if event.sequence < next_sequence {
                        continue;
                    }
                    next_sequence = event.sequence + 1;
                    pipeline.write(&shown(&event, json))?;
                    if event.ended {
                        return verdict(event);
                    }
                }
                heard = Instant::now(); // a run that waits for its confirmation says nothing for a long time
            }
            Err(status) if matches!(status.code(), Code::NotFound | Code::InvalidArgument | Code::Unimplemented) => {
                return Err(CliError::Refused(status.message().to_owned()));
            }
            Err(_) => {}
        }
        looks = if stop::has_ended(run_dir) { looks + 1 } else { 0 };
        if looks >= LOOKS {
            return Err(CliError::RouterEnded { run_dir: run_dir.path().to_owned(), run_id });
        }
        if heard.elapsed() >= CHASSIS_PATIENCE {
            let (run_dir, seconds) = (run_dir.path().to_owned(), CHASSIS_PATIENCE.as_secs());
            return Err(CliError::LostRun { run_dir, seconds, run_id });
        }
        tokio::time::sleep(RETRY).await;
    }
}

fn verdict(event: RunEvent) -> Result<(), CliError> {
    if event.success { Ok(()) } else { Err(CliError::RunFailed { run_id: event.run_id, verdict: event.verdict }) }
}

/// One event as it is printed.
pub fn shown(event: &RunEvent, json: bool) -> String {
    if json {
        // Serialising a message of ours to memory cannot fail.
        return serde_json::to_string(event).unwrap_or_default() + "\n";
    }
    match (event.line.is_empty(), event.stamped) {
        (true, _) => String::new(),
        (false, true) => format!("[{}]:ISSU: {}\n", stamp(event.unix_ms), event.line),
        (false, false) => format!("{}\n", event.line),
    }
}

/// As the founding document prints it: `Feb 22 02:37:04`, local time.
fn stamp(unix_ms: u64) -> String {
    let time = i64::try_from(unix_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or_default();
    time.to_zoned(TimeZone::system()).strftime("%b %d %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_as_lines() {
        let event = RunEvent {
            line: "Preparing Backup RE".into(),
            stamped: true,
            unix_ms: 1_708_569_424_000,
            sequence: 1,
            ..Default::default()
        };
        let text = shown(&event, false);
        // The hour depends on the machine's zone, the form does not.
        assert!(text.starts_with("[Feb 2") && text.ends_with(":04]:ISSU: Preparing Backup RE\n"), "{text}");
        assert_eq!(shown(&RunEvent { stamped: false, ..event.clone() }, false), "Preparing Backup RE\n");
        assert_eq!(shown(&RunEvent { line: String::new(), ..event.clone() }, false), "");
        let json = shown(&event, true);
        assert_eq!(serde_json::from_str::<RunEvent>(&json).unwrap(), event);
        assert_eq!(json.lines().count(), 1);
    }
}
