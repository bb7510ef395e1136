//! Deaths and hangs. During a run they are events of the in-service machine; at rest the process is restarted at once,
//! with a growing pause when it dies again and again.

use std::time::Duration;

use holdfast_ipc::mono_ns;
use holdfast_issu::{Daemon, Event};
use holdfast_proto::v1;

use crate::chassis::{Chassis, News, Slot};
use crate::limits;

impl Chassis {
    /// A process has ended.
    pub fn exited(&mut self, slot: Slot, daemon: Daemon, generation: u64, how: String) {
        let Some(process) = self.processes.get(&(slot, daemon)).filter(|p| p.generation == generation) else {
            return; // replaced already
        };
        let expected = process.end_expected || self.stopping;
        let lived = process.started.elapsed();
        let place = self.places.entry((slot, daemon)).or_default();
        place.last_exit.clone_from(&how);
        if expected {
            tracing::info!("{slot}/{daemon} has ended ({how})");
            return;
        }
        tracing::error!("{slot}/{daemon} has ended: {how}");
        if let Some(run) = &self.run {
            let side = run.side(slot);
            let event = Event::ProcessDied { side, daemon, how };
            self.machine.handle(event, Duration::from_nanos(mono_ns()));
            return;
        }
        let delay = if lived >= limits::RESTART_FORGIVEN { Duration::ZERO } else { place.delay };
        place.delay = (delay * 2).clamp(limits::RESTART_DELAY_MIN, limits::RESTART_DELAY_MAX);
        self.alarm(format!("{slot}/{daemon} ended ({how}) and is restarted"));
        if daemon == Daemon::Rpd {
            self.close_sessions();
        }
        self.restart_after(slot, daemon, delay);
    }

    fn restart_after(&self, slot: Slot, daemon: Daemon, delay: Duration) {
        let news = self.news.clone();
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            let _ = news.send(News::Restart { slot, daemon }).await;
        });
    }

    /// Starts the process of a place anew, as primary of the current term.
    pub fn restart(&mut self, slot: Slot, daemon: Daemon) {
        if self.stopping || self.run.is_some() || slot != self.master || self.process(slot, daemon).is_some() {
            return;
        }
        self.places.entry((slot, daemon)).or_default().restarts += 1;
        if let Err(error) = self.start_process(slot, daemon, "primary", self.epoch) {
            self.alarm(error.to_string());
            self.restart_after(slot, daemon, limits::RESTART_DELAY_MAX);
        }
    }

    /// After a run: whatever of the primary slot does not run is restarted.
    pub fn mend_at_rest(&mut self) {
        for daemon in Daemon::ALL {
            if self.process(self.master, daemon).is_none() {
                if daemon == Daemon::Rpd {
                    self.close_sessions();
                }
                self.restart(self.master, daemon);
            }
        }
    }

    /// Asks everyone who ought to answer. `late`: the machine stood still, so earlier silence proves nothing.
    pub fn watch(&mut self, late: bool) {
        let in_run = self.run.is_some();
        let old_may_be_silent = self.machine.old_may_be_silent();
        for (&(slot, daemon), process) in &mut self.processes {
            // The machine keeps its own deadlines for the new slot, and for the old one from the switch on.
            let watched = !in_run || (slot == self.master && !old_may_be_silent);
            if late || !watched || process.fenced || process.end_expected || process.running.exit().is_some() {
                process.misses = 0;
                continue;
            }
            let (link, generation, news) = (process.link.clone(), process.generation, self.news.clone());
            tokio::spawn(async move {
                let answer = link.status(limits::WATCH_TIMEOUT).await;
                let _ = news.send(News::Watched { slot, daemon, generation, answer }).await;
            });
        }
    }

    /// An answer to the watchdog, or none.
    pub fn watched(&mut self, slot: Slot, daemon: Daemon, generation: u64, answer: Result<v1::DaemonStatus, String>) {
        let silent_is_fine = self.run.is_some() && (slot != self.master || self.machine.old_may_be_silent());
        let process = self.processes.get_mut(&(slot, daemon)).filter(|process| process.generation == generation);
        let Some(process) = process.filter(|p| !p.fenced && !p.end_expected && p.running.exit().is_none()) else {
            return;
        };
        match answer {
            Ok(status) => {
                process.misses = 0;
                process.ready |= status.ready;
                if slot == self.master && status.role() == v1::Role::Primary {
                    self.complaints(daemon, &status.alarms);
                }
            }
            // A process that has never been ready may still be reading a large configuration.
            Err(_) if silent_is_fine || (!process.ready && process.started.elapsed() < limits::START_DEADLINE) => {}
            Err(error) => {
                process.misses += 1;
                if let Some(since) = &mut self.since_run {
                    since.misses += 1;
                }
                tracing::warn!(misses = process.misses, error, "{slot}/{daemon} does not answer");
                if process.misses >= limits::WATCH_MISSES_MAX {
                    let running = process.running.clone();
                    self.alarm(format!(
                        "{slot}/{daemon} hangs (no answer {} times) and is killed",
                        limits::WATCH_MISSES_MAX
                    ));
                    running.kill_now();
                }
            }
        }
    }
}
