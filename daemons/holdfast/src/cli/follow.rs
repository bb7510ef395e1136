//! Following an in-service run at chassisd, through every break, from its first event to its last.

use std::time::{Duration, Instant};

use holdfast_ipc::RunDir;
use holdfast_proto::v1::{FollowRunRequest, RunEvent, chassis_client::ChassisClient};
use jiff::{Timestamp, tz::TimeZone};
use tonic::{Code, Streaming};

use super::{error::CliError, pipe::Pipeline};
use crate::stop;

/// How long chassisd may be away before the watch is given up.
const CHASSIS_PATIENCE: Duration = Duration::from_secs(60);
/// Between two tries to reach it.
const RETRY: Duration = Duration::from_millis(100);
/// Looks in a row, [`RETRY`] apart, that must find no chassisd before it counts as ended and not as away.
const LOOKS: u32 = 10;

/// A run's events, each once and in order, whatever breaks on the way.
pub struct Follower {
    run_dir: RunDir,
    run_id: u64,
    next_sequence: u64,
    stream: Option<Streaming<RunEvent>>,
    heard: Instant,
    looks: u32,
}

impl Follower {
    /// From the run's first event.
    pub fn new(run_dir: &RunDir, run_id: u64) -> Self {
        let heard = Instant::now();
        Self { run_dir: run_dir.clone(), run_id, next_sequence: 1, stream: None, heard, looks: 0 }
    }

    /// The next event; an error when it cannot be had any more.
    pub async fn next(&mut self) -> Result<RunEvent, CliError> {
        loop {
            if let Some(stream) = &mut self.stream {
                // A broken stream is like one that ended early: the rest is asked for again.
                while let Ok(Some(event)) = stream.message().await {
                    if event.sequence >= self.next_sequence {
                        self.next_sequence = event.sequence + 1;
                        return Ok(event);
                    }
                }
                self.heard = Instant::now(); // a run that waits for its confirmation says nothing for a long time
                self.stream = None;
                self.pause().await?;
            }
            let mut client = ChassisClient::new(holdfast_ipc::channel(&self.run_dir.chassis_socket()));
            let request = FollowRunRequest { run_id: self.run_id, from_sequence: self.next_sequence };
            match client.follow_run(request).await {
                Ok(stream) => self.stream = Some(stream.into_inner()),
                Err(status)
                    if matches!(status.code(), Code::NotFound | Code::InvalidArgument | Code::Unimplemented) =>
                {
                    return Err(CliError::Refused(status.message().to_owned()));
                }
                Err(_) => self.pause().await?,
            }
        }
    }

    /// Before the next try, unless there is nobody left to try.
    async fn pause(&mut self) -> Result<(), CliError> {
        self.looks = if stop::has_ended(&self.run_dir) { self.looks + 1 } else { 0 };
        let (run_dir, run_id) = (self.run_dir.path().to_owned(), self.run_id);
        if self.looks >= LOOKS {
            return Err(CliError::RouterEnded { run_dir, run_id });
        }
        if self.heard.elapsed() >= CHASSIS_PATIENCE {
            return Err(CliError::LostRun { run_dir, seconds: CHASSIS_PATIENCE.as_secs(), run_id });
        }
        tokio::time::sleep(RETRY).await;
        Ok(())
    }
}

/// Prints a run's events; succeeds when the run does.
pub async fn follow(run_dir: &RunDir, run_id: u64, json: bool, pipeline: &mut Pipeline) -> Result<(), CliError> {
    let mut follower = Follower::new(run_dir, run_id);
    loop {
        let event = follower.next().await?;
        pipeline.write(&shown(&event, json))?;
        if event.ended {
            return verdict(&event);
        }
    }
}

/// Whether the run whose last event this is was a success.
pub fn verdict(event: &RunEvent) -> Result<(), CliError> {
    let (run_id, verdict) = (event.run_id, event.verdict.clone());
    if event.success { Ok(()) } else { Err(CliError::RunFailed { run_id, verdict }) }
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
