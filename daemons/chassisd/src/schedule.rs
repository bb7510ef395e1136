//! A run that is to begin later. Kept on disk, so that it outlives mgd and chassisd; one at a time.

use std::time::Duration;

use holdfast_ipc::unix_ms;
use holdfast_proto::v1;
use serde::{Deserialize, Serialize};

use crate::chassis::Chassis;
use crate::limits::{SCHEDULE_AHEAD_MAX, SCHEDULE_LATE_MAX};

/// As kept on disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// When.
    pub at_unix_ms: u64,
    /// When it was asked for.
    pub requested_unix_ms: u64,
    /// What.
    pub run: v1::StartRunRequest,
}

impl Schedule {
    fn told(&self) -> v1::ScheduledRun {
        let (at_unix_ms, requested_unix_ms) = (self.at_unix_ms, self.requested_unix_ms);
        v1::ScheduledRun { at_unix_ms, requested_unix_ms, run: Some(self.run.clone()) }
    }
}

/// What is to be done about a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    In(Duration),
    Now,
    /// chassisd did not run then.
    Missed,
}

fn due(at_unix_ms: u64, now_unix_ms: u64) -> Due {
    match at_unix_ms.checked_sub(now_unix_ms) {
        Some(left @ 1..) => Due::In(Duration::from_millis(left)),
        _ if Duration::from_millis(now_unix_ms - at_unix_ms) <= SCHEDULE_LATE_MAX => Due::Now,
        _ => Due::Missed,
    }
}

impl Chassis {
    /// Keeps a run for later.
    pub fn schedule_run(&mut self, request: v1::ScheduleRunRequest) -> Result<v1::ScheduledRun, String> {
        if let Some(earlier) = &self.store.persistent.schedule {
            let left_s = earlier.at_unix_ms.saturating_sub(unix_ms()) / 1000;
            return Err(format!(
                "a reboot requested by {} is scheduled already, in {left_s} s; see it with 'show system reboot', take it \
                 back with 'clear system reboot'",
                earlier.run.requested_by
            ));
        }
        let now = unix_ms();
        let run = request.run.unwrap_or_default();
        crate::control::confirm_time(run.confirm_s)?;
        if request.at_unix_ms > now + SCHEDULE_AHEAD_MAX.as_millis() as u64 {
            let days = SCHEDULE_AHEAD_MAX.as_secs() / 86_400;
            return Err(format!("a reboot is scheduled for at most {days} days ahead"));
        }
        let schedule = Schedule { at_unix_ms: request.at_unix_ms, requested_unix_ms: now, run };
        let told = schedule.told();
        self.store.persistent.schedule = Some(schedule);
        if let Err(error) = self.store.save() {
            self.store.persistent.schedule = None;
            return Err(format!("the schedule cannot be kept: {error}"));
        }
        tracing::info!(at_unix_ms = told.at_unix_ms, "a run is scheduled");
        Ok(told)
    }

    /// What is scheduled; without a time: nothing.
    pub fn scheduled(&self) -> v1::ScheduledRun {
        self.store.persistent.schedule.as_ref().map(Schedule::told).unwrap_or_default()
    }

    /// Takes the schedule back.
    pub fn clear_schedule(&mut self, by: &str) -> Result<v1::ScheduledRun, String> {
        let cleared = self.take_schedule().ok_or("no reboot is scheduled")?;
        tracing::info!(by, "the scheduled run is taken back");
        Ok(cleared.told())
    }

    fn take_schedule(&mut self) -> Option<Schedule> {
        let schedule = self.store.persistent.schedule.take()?;
        // Whatever becomes of it, it must not come a second time.
        self.save();
        Some(schedule)
    }

    /// How long until the scheduled run.
    pub fn schedule_due_in(&self) -> Option<Duration> {
        match due(self.store.persistent.schedule.as_ref()?.at_unix_ms, unix_ms()) {
            Due::In(left) => Some(left),
            Due::Now | Due::Missed => Some(Duration::ZERO),
        }
    }

    /// Begins the scheduled run when it is time. Nobody may be watching: what becomes of it is an alarm if it is not good.
    pub fn start_scheduled(&mut self) {
        let Some(schedule) = &self.store.persistent.schedule else { return };
        let due = due(schedule.at_unix_ms, unix_ms());
        if matches!(due, Due::In(_)) {
            return;
        }
        let Some(schedule) = self.take_schedule() else { return };
        let by = schedule.run.requested_by.clone();
        if due == Due::Missed {
            let text = "was missed: chassisd did not run at its time; request it again";
            return self.alarm(format!("the reboot scheduled by {by} {text}"));
        }
        match self.start_run(schedule.run) {
            Ok(_) => {
                if let Some(run) = self.run.as_mut() {
                    run.scheduled = true;
                }
            }
            Err(reason) => self.alarm(format!("the reboot scheduled by {by} was refused: {reason}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_due_once_and_missed_when_it_is_long_past() {
        let late = SCHEDULE_LATE_MAX.as_millis() as u64;
        assert_eq!(due(5_000_001, 5_000_000), Due::In(Duration::from_millis(1)));
        assert_eq!(due(5_000_000, 5_000_000), Due::Now);
        assert_eq!(due(5_000_000, 5_000_000 + late), Due::Now);
        assert_eq!(due(5_000_000, 5_000_001 + late), Due::Missed);
    }
}
