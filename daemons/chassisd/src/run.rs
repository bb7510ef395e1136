//! The run under way as chassisd sees it: what was said, what was learned, where the report grows.

use std::sync::Arc;
use std::time::Duration;

use holdfast_ipc::{mono_ns, unix_ms};
use holdfast_issu::{Daemon, Side, State};
use holdfast_proto::v1;

use crate::chassis::Slot;
use crate::evidence::{Baseline, Silence, SilenceWatch};
use crate::journal::{Record, RunLog};

/// One run.
pub struct CurrentRun {
    /// What was said; shared with followers.
    pub log: Arc<RunLog>,
    /// The slot that was primary.
    pub from: Slot,
    /// The slot spawned for the run.
    pub to: Slot,
    /// As asked for.
    pub request: v1::StartRunRequest,
    /// It began by itself: nobody may be watching.
    pub scheduled: bool,
    /// Before.
    pub baseline: Option<Baseline>,
    /// Of the sessions, from before the freeze until the evidence is collected.
    pub silence: Option<SilenceWatch>,
    /// What an earlier watch found: nobody watches while a confirmation is waited for.
    pub silences: Vec<Silence>,
    /// After, and on which side.
    pub evidence: Option<(Side, Baseline)>,
    /// From the old daemons.
    pub frozen: [Option<v1::FreezeReply>; 3],
    /// What the side that froze last said then, for its successor to compare.
    pub handed_over: [Option<(Side, v1::FreezeReply)>; 3],
    /// From the new daemons.
    pub activated: [Option<v1::ActivateReply>; 3],
    /// From the daemons that are primary at the end.
    pub verified: [Option<v1::VerifyReply>; 3],
    /// What it raised alarms about.
    pub alarms: Vec<String>,
    /// The last synchronization, table by table.
    pub synchronization: [Vec<v1::TableComparison>; 3],
    started_mono_ns: u64,
    phase_mono_ns: u64,
}

impl CurrentRun {
    /// A run that begins now.
    pub fn new(run_id: u64, from: Slot, to: Slot, epoch: u64, request: v1::StartRunRequest) -> Self {
        let run = v1::RunState {
            run_id,
            state: State::Validating.name().into(),
            steps: State::STEPS,
            started_unix_ms: unix_ms(),
            from_slot: from.into(),
            to_slot: to.into(),
            dry_run: request.dry_run,
            requested_by: request.requested_by.clone(),
            message: request.message.clone(),
            request_id: request.request_id.clone(),
            ..v1::RunState::default()
        };
        let (from_slot, to_slot) = (from.into(), to.into());
        let record = Record { run, from_slot, to_slot, epoch_before: epoch, ..Record::default() };
        CurrentRun {
            log: RunLog::new(record),
            from,
            to,
            request,
            scheduled: false,
            baseline: None,
            silence: None,
            silences: Vec::new(),
            evidence: None,
            frozen: Default::default(),
            handed_over: Default::default(),
            activated: Default::default(),
            verified: Default::default(),
            alarms: Vec::new(),
            synchronization: Default::default(),
            started_mono_ns: mono_ns(),
            phase_mono_ns: mono_ns(),
        }
    }

    /// The slot of a side.
    pub fn slot(&self, side: Side) -> Slot {
        match side {
            Side::Old => self.from,
            Side::New => self.to,
        }
    }

    /// The side of a slot.
    pub fn side(&self, slot: Slot) -> Side {
        if slot == self.from { Side::Old } else { Side::New }
    }

    /// A state begins: the one before it gets its duration.
    pub fn enter(&mut self, state: State) {
        let mut record = self.log.lock();
        close_phase(&mut record.run, &mut self.phase_mono_ns);
        record.run.state = state.name().into();
        record.run.step = state.step();
        record.run.elapsed_ms = (mono_ns() - self.started_mono_ns) / 1_000_000;
        let forecast_ms = forecast_ms(&record.run, state.name());
        let (name, started_unix_ms) = (state.name().into(), unix_ms());
        record.run.phases.push(v1::PhaseTime { name, started_unix_ms, duration_ms: 0, forecast_ms });
    }

    /// What the run is expected to take, as soon as the sizes of the tables are known.
    pub fn expect(&mut self, forecast: v1::Forecast) {
        let mut record = self.log.lock();
        record.run.forecast = Some(forecast);
        let run = &mut record.run;
        let expected: Vec<u64> = run.phases.iter().map(|phase| forecast_ms(run, &phase.name)).collect();
        for (phase, forecast_ms) in run.phases.iter_mut().zip(expected) {
            phase.forecast_ms = forecast_ms;
        }
    }

    /// The state from which the rest of the run is judged. A second one ends soaking: what neighbours did in that time is told
    /// and is no loss of the run's. Counters go on from the first one.
    pub fn note_baseline(&mut self, now: Baseline) {
        let Some(before) = self.baseline.as_mut() else {
            self.baseline = Some(now);
            return;
        };
        let Some(sessions) = now.sessions else { return };
        let lines = moved_meanwhile(before.sessions.as_deref().unwrap_or_default(), &sessions);
        before.sessions = Some(sessions);
        lines.into_iter().for_each(|line| self.say(false, line));
    }

    /// Until when the confirmation has to come; `None`: it is not waited for (any more).
    pub fn confirm_until(&self, left: Option<Duration>) {
        let until = left.map_or(0, |left| unix_ms() + left.as_millis() as u64);
        self.log.lock().run.confirm_until_unix_ms = until;
    }

    /// A line for the operator.
    pub fn say(&self, stamped: bool, line: String) {
        let (run_id, state) = {
            let record = self.log.lock();
            (record.run.run_id, record.run.state.clone())
        };
        tracing::info!(run_id, state, "{line}");
        let unix_ms = unix_ms();
        self.log.say(v1::RunEvent { run_id, unix_ms, state, line, stamped, ..v1::RunEvent::default() });
    }

    /// Closes the clocks; returns (started_unix_ms, duration_ms, phases).
    pub fn finish_times(&mut self) -> (u64, u64, Vec<v1::PhaseTime>) {
        let mut record = self.log.lock();
        close_phase(&mut record.run, &mut self.phase_mono_ns);
        record.run.elapsed_ms = (mono_ns() - self.started_mono_ns) / 1_000_000;
        (record.run.started_unix_ms, record.run.elapsed_ms, record.run.phases.clone())
    }

    /// Milliseconds since the run began.
    pub fn elapsed_ms(&self) -> u64 {
        (mono_ns() - self.started_mono_ns) / 1_000_000
    }

    /// The digests and positions that a daemon of `side` gave when it froze, for its successor to compare; empty when it was
    /// not the last to freeze.
    pub fn expected(&self, side: Side, daemon: Daemon) -> (Vec<v1::TableDigest>, Vec<v1::SessionPosition>) {
        match &self.handed_over[daemon.index()] {
            Some((by, reply)) if *by == side => (reply.tables.clone(), reply.sessions.clone()),
            _ => (Vec::new(), Vec::new()),
        }
    }
}

fn forecast_ms(run: &v1::RunState, phase: &str) -> u64 {
    let phases = run.forecast.iter().flat_map(|forecast| &forecast.phases);
    phases.into_iter().find(|expected| expected.name == phase).map_or(0, |expected| expected.duration_ms)
}

fn close_phase(run: &mut v1::RunState, phase_mono_ns: &mut u64) {
    let now = mono_ns();
    if let Some(phase) = run.phases.last_mut() {
        phase.duration_ms = (now - *phase_mono_ns) / 1_000_000;
    }
    *phase_mono_ns = now;
}

/// One line for each session that is not the one it was.
fn moved_meanwhile(before: &[v1::BgpNeighborDetail], now: &[v1::BgpNeighborDetail]) -> Vec<String> {
    let shown = |neighbor: &v1::BgpNeighborDetail| {
        let summary = neighbor.summary.clone().unwrap_or_default();
        (summary.address, summary.state, neighbor.established_unix_ms)
    };
    let mut lines = Vec::new();
    for (address, state, since) in before.iter().map(shown) {
        match now.iter().map(shown).find(|(other, ..)| *other == address) {
            Some((_, state_now, since_now)) if (&state_now, since_now) == (&state, since) => {}
            Some((_, state_now, _)) => {
                lines.push(format!("while soaking: the session with {address} moved ({state_now} now)"))
            }
            None => lines.push(format!("while soaking: neighbor {address} went away")),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moved_while_soaking_is_named() {
        let neighbor = |address: &str, state: &str, established_unix_ms| {
            let summary = v1::BgpNeighborSummary { address: address.into(), state: state.into(), ..Default::default() };
            v1::BgpNeighborDetail { summary: Some(summary), established_unix_ms, ..Default::default() }
        };
        let before = [neighbor("10.0.0.2", "Established", 1), neighbor("10.0.0.3", "Established", 1)];
        assert!(moved_meanwhile(&before, &before).is_empty());
        let now = [neighbor("10.0.0.2", "Established", 5)];
        assert_eq!(
            moved_meanwhile(&before, &now),
            [
                "while soaking: the session with 10.0.0.2 moved (Established now)",
                "while soaking: neighbor 10.0.0.3 went away"
            ]
        );
    }
}
