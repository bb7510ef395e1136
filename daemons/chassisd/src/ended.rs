//! The end of a run: its report, its record, and what the next one builds on.

use holdfast_ipc::unix_ms;
use holdfast_issu::{End, Outcome, Side};
use holdfast_proto::v1;

use crate::alarms::Cause;
use crate::chassis::{Chassis, Slot};
use crate::evidence;
use crate::limits;
use crate::steady::SinceRun;

impl Chassis {
    /// The report, the journal, and what the next run builds on.
    pub fn end_run(&mut self, mut end: End) {
        let Some(mut run) = self.run.take() else { return };
        self.master = run.slot(end.primary);
        self.raise_epoch(end.epoch);
        let report = evidence::report(&mut run, &end);
        end.verdict.clone_from(&report.verdict);
        let record = {
            let mut record = run.log.lock();
            record.run.ended = true;
            record.run.verdict = end.verdict.clone();
            record.run.success = end.success;
            record.run.state = "idle".into();
            record.report = Some(report);
            record.clone()
        };
        let event = v1::RunEvent {
            run_id: end.run_id,
            unix_ms: unix_ms(),
            state: "idle".into(),
            ended: true,
            verdict: end.verdict.clone(),
            success: end.success,
            ..v1::RunEvent::default()
        };
        let mut written = record;
        written.events.push(v1::RunEvent { sequence: written.events.len() as u64 + 1, ..event.clone() });
        if let Err(error) = self.journal.write(&written) {
            self.alarm_of(Cause::Disk, format!("the report of run {} cannot be kept yet: {error}", end.run_id));
            self.unkept.truncate(limits::RUNS_KEPT - 1);
            self.unkept.insert(0, written.clone());
        }
        run.log.say(event); // after the report is there to be asked for
        self.journal.prune();
        if !end.success && (end.outcome != Outcome::Refused || run.scheduled) {
            self.alarm(format!("run {} ended: {} ({})", end.run_id, end.verdict, end.reason));
        }
        if end.switched && end.success {
            // Every process was replaced, every session proven; what came up on the way is still to be looked at.
            self.alarms.end_earlier(Cause::Operation, written.run.started_unix_ms);
        }
        if end.switched {
            self.store.persistent.last_run_ended_unix_ms = unix_ms();
            self.since_run = written.report.clone().map(|report| SinceRun { report, alarms: 0, misses: 0 });
        }
        self.store.persistent.epoch = self.epoch; // those set aside for the switch were not needed
        self.forget_other_slot(run.slot(if end.primary == Side::Old { Side::New } else { Side::Old }));
        self.remember_processes();
        self.mend_at_rest();
        if end.outcome == Outcome::Finished {
            // The last of the router's processes to be replaced; whatever becomes of it, the run stands.
            self.replace_periodic(None);
        }
    }

    fn forget_other_slot(&mut self, slot: Slot) {
        for running in self.running(slot) {
            tracing::warn!(pid = running.pid(), "a process of {slot} outlived its run; it is killed");
            running.kill_now();
        }
        self.release(slot, false);
        self.processes.retain(|(of, _), _| *of != slot);
        self.places.retain(|(of, _), _| *of != slot);
    }

    /// Records of runs whose end the disk did not take (it was full): as soon as it does, so that the next run finds them ended.
    pub fn keep_ends(&mut self) {
        while let Some(record) = self.unkept.last() {
            if self.journal.write(record).is_err() {
                return; // there is an alarm, and another try with the next tick
            }
            tracing::info!("the report of run {} is kept now", record.run.run_id);
            self.unkept.pop();
            if self.unkept.is_empty() {
                self.alarms.end(Cause::Disk);
            }
        }
    }
}
