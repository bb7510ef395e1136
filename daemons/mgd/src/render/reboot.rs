//! The reboot that is scheduled.

use holdfast_proto::v1::ScheduledRun;

use super::time::{clock, span};

/// `show system reboot`
pub fn schedule(schedule: &ScheduledRun) -> String {
    let Some(run) = schedule.run.as_ref().filter(|_| schedule.at_unix_ms > 0) else {
        return "No reboot is scheduled\n".to_owned();
    };
    let what = if run.dry_run { "rehearsal of the in-service reboot" } else { "in-service reboot" };
    let left = span(schedule.at_unix_ms.saturating_sub(holdfast_ipc::unix_ms()));
    let mut out = format!(
        "{what} requested by {} at {}, scheduled for {} (in {left})\n",
        run.requested_by,
        clock(schedule.requested_unix_ms),
        clock(schedule.at_unix_ms)
    );
    if run.confirm_s > 0 {
        out.push_str(&format!("  waits {} minutes for a confirmation\n", run.confirm_s / 60));
    }
    if run.force {
        out.push_str("  overrides the minimum spacing\n");
    }
    if !run.message.is_empty() {
        out.push_str(&format!("  message: {}\n", run.message));
    }
    out
}

#[cfg(test)]
mod tests {
    use holdfast_proto::v1::StartRunRequest;

    use super::*;

    #[test]
    fn what_is_scheduled_and_what_is_not() {
        assert_eq!(schedule(&ScheduledRun::default()), "No reboot is scheduled\n");
        let run = StartRunRequest {
            confirm_s: 300,
            message: "new optics".into(),
            requested_by: "ada".into(),
            ..Default::default()
        };
        let at_unix_ms = holdfast_ipc::unix_ms() + 185_500;
        let text = schedule(&ScheduledRun { at_unix_ms, requested_unix_ms: 1, run: Some(run) });
        assert!(text.starts_with("in-service reboot requested by ada at 1970-01-01"), "{text}");
        assert!(
            text.contains("(in 3:05)") && text.contains("waits 5 minutes") && text.ends_with("message: new optics\n")
        );
        assert!(!text.contains("spacing"));
    }
}
