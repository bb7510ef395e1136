//! Performs what the in-service machine asks: local things at once, calls in tasks whose answers come back as news.

use std::future::Future;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use holdfast_issu::limits::{self as run_limits, request_deadline};
use holdfast_issu::{Answer, Check, Daemon, Request, RequestId, Side, State};
use holdfast_proto::v1;

use crate::calls::{Link, answer};
use crate::chassis::{Chassis, Learned, News, Slot, Waiter};
use crate::evidence;
use crate::forecast;
use crate::limits;
use crate::restarts;
use crate::runtime::Running;

/// A prompt answer, or `None`: it comes as news.
type Prompt = Option<Result<Answer, String>>;

impl Chassis {
    /// Does what is asked; the caller feeds a prompt answer back.
    pub fn perform(&mut self, id: RequestId, request: Request) -> Prompt {
        let within = request_deadline(&request);
        match request {
            Request::Record { state, committed } => Some(self.record(state, committed)),
            Request::RaiseEpoch { epoch } => {
                self.raise_epoch(epoch);
                Some(Ok(Answer::Done))
            }
            Request::Fence { side } => Some(self.fence(side, true)),
            Request::Unfence { side } => Some(self.fence(side, false)),
            Request::Flip { side } => {
                let slot = self.slot(side);
                self.master = slot;
                Some(self.flip(slot).map(|()| Answer::Done).map_err(|error| error.to_string()))
            }
            Request::PreChecks => self.pre_checks(id, within),
            Request::CollectBaseline => {
                let journal = Some(self.journal.clone());
                let sources = evidence::Sources { journal, ..self.sources(self.present()) };
                self.collect(id, sources, Learned::Baseline)
            }
            Request::CollectEvidence { side } => {
                let mut sources = self.sources(side);
                if let Some(run) = self.run.as_mut() {
                    (sources.silence, sources.silences) = (run.silence.take(), std::mem::take(&mut run.silences));
                }
                self.collect(id, sources, move |after| Learned::Evidence((side, after)))
            }
            Request::Spawn { daemons } => self.spawn_backup(id, daemons, within),
            Request::Respawn { side, daemon, epoch } => {
                let (slot, waiter) = (self.slot(side), Waiter::Engine(id));
                self.replace(slot, daemon, epoch, waiter);
                None
            }
            Request::Retire => self.retire(id),
            Request::Kill { side, daemon } => self.kill(id, side, daemon, within),
            Request::Synchronization { side, daemon } => self.ask_synchronization(id, side, daemon, within),
            Request::Prepare { daemon } => self.ask_readiness(id, daemon, within),
            Request::Cancel { daemon } => self.call(id, Side::Old, daemon, within, |link| async move {
                answer(within, link.daemon().cancel(v1::CancelRequest {})).await.map(|_| Answer::Done)
            }),
            Request::Freeze { side, daemon } => self.ask_freeze(id, side, daemon, within),
            Request::Follow { side, daemon, epoch } => self.call(id, side, daemon, within, move |link| async move {
                answer(within, link.daemon().follow(v1::FollowRequest { epoch })).await.map(|_| Answer::Done)
            }),
            Request::Watch { side, daemon } => self.call(id, side, daemon, within, move |link| async move {
                link.status(within).await.map(|_| Answer::Done)
            }),
            Request::Activate { side, daemon, epoch, peer_lost } => {
                self.ask_activation(id, side, daemon, epoch, peer_lost, within)
            }
            Request::Commit { side, daemon, epoch } => self.call(id, side, daemon, within, move |link| async move {
                let reply = answer(within, link.daemon().commit(v1::CommitRequest { epoch })).await?;
                Ok(Answer::Live { mono_ns: reply.live_mono_ns })
            }),
            Request::Verify { side, daemon } => self.ask_verification(id, side, daemon, within),
        }
    }

    fn slot(&self, side: Side) -> Slot {
        self.run.as_ref().map_or(self.master, |run| run.slot(side))
    }

    /// The side that serves now.
    fn present(&self) -> Side {
        self.run.as_ref().map_or(Side::Old, |run| run.side(self.master))
    }

    fn link(&self, side: Side, daemon: Daemon) -> Option<Link> {
        self.process(self.slot(side), daemon).map(|process| process.link.clone())
    }

    /// The journal; before the switch also epochs set aside, so that nothing slow happens during it.
    fn record(&mut self, state: State, committed: bool) -> Result<Answer, String> {
        let Some(run) = &self.run else { return Err("no run".into()) };
        let record = {
            let mut record = run.log.lock();
            record.committed = committed;
            record.run.elapsed_ms = run.elapsed_ms();
            record.clone()
        };
        self.journal.write(&record).map_err(|error| error.to_string())?;
        if state == State::Switching && !committed {
            self.store.persistent.epoch = self.epoch + limits::EPOCHS_RESERVED;
            self.store.save().map_err(|error| error.to_string())?;
        }
        Ok(Answer::Done)
    }

    fn fence(&mut self, side: Side, stop: bool) -> Result<Answer, String> {
        let slot = self.slot(side);
        for ((of, _), process) in &mut self.processes {
            if *of == slot && process.running.exit().is_none() {
                if stop {
                    process.running.fence()
                } else {
                    process.running.unfence()
                }
                process.fenced = stop;
                process.misses = 0;
            }
        }
        Ok(Answer::Done)
    }

    /// Runs `work` in a task; its result is the machine's answer.
    fn call<F>(
        &self,
        id: RequestId,
        side: Side,
        daemon: Daemon,
        _within: Duration,
        work: impl FnOnce(Link) -> F,
    ) -> Prompt
    where
        F: Future<Output = Result<Answer, String>> + Send + 'static,
    {
        let Some(link) = self.link(side, daemon) else { return Some(Err("the process does not run".into())) };
        self.answer_later(id, work(link));
        None
    }

    fn answer_later(&self, id: RequestId, work: impl Future<Output = Result<Answer, String>> + Send + 'static) {
        let news = self.news.clone();
        tokio::spawn(async move {
            let result = work.await;
            let _ = news.send(News::Answered(id, result)).await;
        });
    }

    /// Like `call`, for replies that the report keeps.
    fn learn<F>(&self, id: RequestId, side: Side, daemon: Daemon, work: impl FnOnce(Link) -> F) -> Prompt
    where
        F: Future<Output = Result<Learned, String>> + Send + 'static,
    {
        let Some(link) = self.link(side, daemon) else { return Some(Err("the process does not run".into())) };
        let (work, news) = (work(link), self.news.clone());
        tokio::spawn(async move {
            let message = match work.await {
                Ok(learned) => News::Learned(id, Box::new(learned)),
                Err(error) => News::Answered(id, Err(error)),
            };
            let _ = news.send(message).await;
        });
        None
    }

    fn pre_checks(&self, id: RequestId, within: Duration) -> Prompt {
        let run_id = self.machine.run_id().unwrap_or_default();
        let force = self.run.as_ref().is_some_and(|run| run.request.force || run.request.dry_run);
        let request = v1::CheckReadinessRequest { run_id, force };
        let (steadiness, news) = (self.steadiness(), self.news.clone());
        self.learn(id, Side::Old, Daemon::Mgd, move |link| async move {
            let _ = news.send(News::Steadiness(steadiness.await)).await;
            let mut client = link.management();
            answer(within, client.check_readiness(request)).await.map(Learned::Checked)
        })
    }

    fn sources(&self, side: Side) -> evidence::Sources {
        let (mgd, rpd) = (self.link(side, Daemon::Mgd), self.link(side, Daemon::Rpd));
        evidence::Sources { mgd, rpd, pfed: self.link(side, Daemon::Pfed), ..Default::default() }
    }

    fn collect(
        &self,
        id: RequestId,
        sources: evidence::Sources,
        learned: impl FnOnce(evidence::Baseline) -> Learned + Send + 'static,
    ) -> Prompt {
        let news = self.news.clone();
        tokio::spawn(async move {
            let collected = evidence::collect(sources).await;
            let _ = news.send(News::Learned(id, Box::new(learned(collected)))).await;
        });
        None
    }

    fn spawn_backup(&mut self, id: RequestId, daemons: &'static [Daemon], within: Duration) -> Prompt {
        let slot = self.slot(Side::New);
        let mut links = Vec::new();
        for &daemon in daemons {
            if let Err(error) = self.start_process(slot, daemon, "backup", self.epoch) {
                return Some(Err(error.to_string()));
            }
            links.extend(self.process(slot, daemon).map(|process| process.link.clone()));
        }
        self.answer_later(id, async move {
            for link in links {
                answers(&link, within, false).await?;
            }
            Ok(Answer::Done)
        });
        None
    }

    /// Kills what is there, then `Replace` starts the successor.
    pub fn replace(&mut self, slot: Slot, daemon: Daemon, epoch: u64, waiter: Waiter) {
        self.expect_end(slot, Some(daemon));
        let running = self.process(slot, daemon).map(|process| process.running.clone());
        let news = self.news.clone();
        tokio::spawn(async move {
            if let Some(running) = running {
                running.kill(limits::EXIT_DEADLINE).await;
            }
            let _ = news.send(News::Replace { slot, daemon, epoch, waiter }).await;
        });
    }

    /// Starts the successor as primary and tells the waiter when it is ready. One that nobody waits for any more, because the
    /// run has taken another way meanwhile, must not come up as a second primary.
    pub fn start_replacement(&mut self, slot: Slot, daemon: Daemon, epoch: u64, waiter: Waiter) {
        if matches!(&waiter, Waiter::Engine(id) if !self.machine.waits_for(*id)) {
            return;
        }
        if daemon == Daemon::Rpd {
            self.close_sessions();
        }
        self.places.entry((slot, daemon)).or_default().restarts += 1;
        let started = self.start_process(slot, daemon, "primary", epoch).map_err(|error| error.to_string());
        let link = self.process(slot, daemon).map(|process| process.link.clone());
        let within = run_limits::SPAWN_DEADLINE;
        let ready = async move {
            started?;
            let link = link.ok_or("it ended at once")?;
            answers(&link, within, true).await.map(|_| Answer::Done)
        };
        match waiter {
            Waiter::Engine(id) => self.answer_later(id, ready),
            Waiter::Operator(reply, text) => {
                tokio::spawn(async move {
                    let _ = reply.send(ready.await.map(|_| text));
                });
            }
        }
    }

    /// After the death of the rpd that owned them the sessions' other halves must learn of it; listeners stay.
    pub fn close_sessions(&mut self) {
        let closed = self.vault().remove_kind("bgp/", "session");
        self.interrupted.note(&closed, Instant::now());
        if !closed.is_empty() {
            tracing::warn!("{} sessions of a lost rpd were closed: {}", closed.len(), closed.join(", "));
        }
    }

    /// Sessions that a crash has interrupted and that are back are interrupted no more.
    pub fn note_returned(&mut self) {
        let vault = self.vault.lock().unwrap_or_else(PoisonError::into_inner);
        self.interrupted.forget_returned(&vault);
    }

    fn retire(&mut self, id: RequestId) -> Prompt {
        let slot = self.slot(Side::Old);
        self.expect_end(slot, None);
        let of_slot = Daemon::ALL.into_iter().filter_map(|daemon| self.process(slot, daemon));
        let old: Vec<(Running, Link)> = of_slot.map(|p| (p.running.clone(), p.link.clone())).collect();
        let slot_dir = self.run_dir.slot_dir(slot);
        let runtime = self.runtime.clone();
        self.answer_later(id, async move {
            for (running, _) in &old {
                running.unfence();
            }
            let ends: Vec<_> = old.into_iter().map(|(running, link)| tokio::spawn(retire(running, link))).collect();
            for end in ends {
                let _ = end.await;
            }
            runtime.release(slot, true).await?;
            let _ = std::fs::remove_dir_all(slot_dir);
            Ok(Answer::Done)
        });
        None
    }

    fn kill(&mut self, id: RequestId, side: Side, daemon: Option<Daemon>, within: Duration) -> Prompt {
        let slot = self.slot(side);
        self.expect_end(slot, daemon);
        let doomed: Vec<Running> = match daemon {
            Some(daemon) => self.process(slot, daemon).map(|process| process.running.clone()).into_iter().collect(),
            None => self.running(slot),
        };
        doomed.iter().for_each(Running::kill_now);
        let whole_slot = daemon.is_none().then(|| (self.run_dir.slot_dir(slot), self.runtime.clone()));
        self.answer_later(id, async move {
            for running in doomed {
                if running.exited(within).await.is_none() {
                    return Err(format!("process {} does not end", running.pid()));
                }
            }
            if let Some((slot_dir, runtime)) = whole_slot {
                let _ = std::fs::remove_dir_all(slot_dir);
                // Beside the way back, which is in a hurry: the processes are gone, only their container is not.
                tokio::spawn(crate::shutdown::told(runtime.release(slot, false)));
            }
            Ok(Answer::Done)
        });
        None
    }

    fn ask_synchronization(&self, id: RequestId, side: Side, daemon: Daemon, within: Duration) -> Prompt {
        let slot = self.slot(side);
        let was_ready = self.process(slot, daemon).is_some_and(|process| process.ready);
        self.learn(id, side, daemon, move |link| async move {
            if !was_ready {
                let status = link.status(within).await?;
                if !status.error.is_empty() {
                    return Err(status.error);
                }
                if !status.ready {
                    let detail = format!("{} is starting: {}", status.name, status.detail);
                    let reply = v1::SynchronizationReply { detail, ..Default::default() };
                    return Ok(Learned::Synchronization(side, daemon, reply));
                }
            }
            let mut client = link.daemon();
            let reply = answer(within, client.synchronization(v1::SynchronizationRequest {})).await?;
            if reply.lost {
                if side == Side::New {
                    // A primary that has died ends its stream, too: its death is heard of first, and says more.
                    tokio::time::sleep(limits::LOST_STREAM_WAIT).await;
                }
                return Err(reply.detail);
            }
            Ok(Learned::Synchronization(side, daemon, reply))
        })
    }

    fn ask_readiness(&self, id: RequestId, daemon: Daemon, within: Duration) -> Prompt {
        let run_id = self.machine.run_id().unwrap_or_default();
        let deadline_ms = within.as_millis() as u32;
        self.learn(id, Side::Old, daemon, move |link| async move {
            let request = v1::PrepareRequest { run_id, deadline_ms };
            answer(within, link.daemon().prepare(request)).await.map(Learned::Prepared)
        })
    }

    fn ask_freeze(&mut self, id: RequestId, side: Side, daemon: Daemon, within: Duration) -> Prompt {
        let epoch = self.epoch;
        if let Some(run) = self.run.as_mut() {
            run.handed_over[daemon.index()] = None; // an earlier word of whoever froze then
        }
        self.learn(id, side, daemon, move |link| async move {
            let reply = answer(within, link.daemon().freeze(v1::FreezeRequest { epoch })).await?;
            Ok(Learned::Frozen(side, daemon, reply))
        })
    }

    fn ask_activation(
        &self,
        id: RequestId,
        side: Side,
        daemon: Daemon,
        epoch: u64,
        peer_lost: bool,
        within: Duration,
    ) -> Prompt {
        // Only a successor compares, with what the other side said when it froze. When that has died, where it once stood
        // is not where its stream ends; and an engine that is thawed must not fail because something moved around it
        // while it stood still.
        let expected = self.run.as_ref().filter(|_| !peer_lost).map(|run| run.expected(side.other(), daemon));
        let (expected_tables, expected_sessions) = expected.unwrap_or_default();
        let request = v1::ActivateRequest { epoch, peer_lost, expected_tables, expected_sessions };
        self.learn(id, side, daemon, move |link| async move {
            let reply = answer(within, link.daemon().activate(request)).await?;
            if !reply.ok {
                return Err(if reply.reason.is_empty() { "it refused without a reason".into() } else { reply.reason });
            }
            Ok(Learned::Activated(daemon, reply))
        })
    }

    fn ask_verification(&self, id: RequestId, side: Side, daemon: Daemon, within: Duration) -> Prompt {
        self.learn(id, side, daemon, move |link| async move {
            answer(within, link.daemon().verify(v1::VerifyRequest {}))
                .await
                .map(|reply| Learned::Verified(daemon, reply))
        })
    }

    /// Keeps what was learned for the report and turns it into the machine's answer.
    pub fn learned(&mut self, learned: Learned) -> Answer {
        let state = self.machine.state();
        let Some(run) = self.run.as_mut() else { return Answer::Done };
        match learned {
            Learned::Checked(reply) => {
                let checks = engine_checks(&reply.checks);
                run.log.lock().run.checks = reply.checks;
                let minimum_spacing = Duration::from_secs(reply.minimum_spacing_s.into());
                Answer::Checks { checks, minimum_spacing }
            }
            Learned::Baseline(baseline) => {
                // A second one ends soaking; what was expected of the run does not change with it.
                if run.baseline.is_none() {
                    run.expect(forecast::predict(&baseline.past, baseline.sizes()));
                }
                run.note_baseline(baseline);
                Answer::Done
            }
            Learned::Evidence(after) => {
                let (side, mut after) = after;
                // Silences are of the switches; evidence that is collected once more after soaking has no new ones.
                if let Some((_, earlier)) = run.evidence.as_mut().filter(|_| after.silences.is_empty()) {
                    after.silences = std::mem::take(&mut earlier.silences);
                }
                let (losses, missing) = evidence::judge(run, side, &after);
                let sessions = evidence::sessions(run, side, &after);
                for session in sessions.iter().filter(|s| !s.note.is_empty()) {
                    run.say(false, format!("{} session with {}: {}", session.protocol, session.neighbor, session.note));
                }
                run.evidence = Some((side, after));
                Answer::Evidence { losses, missing, remark: restarts::remark(&sessions) }
            }
            Learned::Synchronization(side, daemon, reply) => {
                let progress = progress_marker(&reply);
                let answer = Answer::Synchronization {
                    synchronized: reply.synchronized,
                    pending_writes: if daemon == Daemon::Pfed { reply.pending_writes } else { 0 },
                    progress,
                    detail: reply.detail,
                };
                run.synchronization[daemon.index()] = reply.tables;
                run.log.lock().run.tables = run.synchronization.iter().flatten().cloned().collect();
                let place = (run.slot(side), daemon);
                if let Some(process) = self.processes.get_mut(&place) {
                    process.ready |= reply.synchronized;
                }
                answer
            }
            Learned::Prepared(reply) => {
                let mut record = run.log.lock();
                for session in reply.sessions {
                    let same =
                        |r: &v1::SessionReadiness| (r.protocol == session.protocol) && r.neighbor == session.neighbor;
                    record.run.readiness.retain(|readiness| !same(readiness));
                    record.run.readiness.push(session);
                }
                let wait = Duration::from_millis(reply.wait_ms.into());
                match restarts::refusal(&record.run.readiness).filter(|_| !run.request.force && !run.request.dry_run) {
                    Some(reason) => Answer::Readiness { ready: false, reason, wait: Duration::ZERO },
                    None => Answer::Readiness { ready: reply.ready, reason: reply.reason, wait },
                }
            }
            Learned::Frozen(side, daemon, reply) => {
                let mono_ns = reply.frozen_mono_ns;
                run.handed_over[daemon.index()] = Some((side, reply.clone()));
                if side == Side::Old {
                    run.frozen[daemon.index()] = Some(reply);
                }
                Answer::Frozen { mono_ns }
            }
            Learned::Activated(daemon, reply) => {
                if state == State::Switching {
                    run.activated[daemon.index()] = Some(reply);
                }
                Answer::Done
            }
            Learned::Verified(daemon, reply) => {
                let answer = Answer::Verified { done: reply.done, ok: reply.ok, reason: reply.reason.clone() };
                let follower_lost = reply.follower_lost.clone();
                run.verified[daemon.index()] = Some(reply);
                if !follower_lost.is_empty() {
                    self.machine.note_follower_lost(&follower_lost);
                }
                answer
            }
        }
    }
}

/// Waits until a daemon answers Status, or until it says that it is ready.
async fn answers(link: &Link, within: Duration, until_ready: bool) -> Result<Answer, String> {
    let deadline = tokio::time::Instant::now() + within;
    let mut last = String::from("it does not answer");
    while tokio::time::Instant::now() < deadline {
        match link.status(limits::WATCH_TIMEOUT).await {
            Ok(status) if !status.error.is_empty() => return Err(status.error),
            Ok(status) if status.ready || !until_ready => return Ok(Answer::Done),
            Ok(status) => last = status.detail,
            Err(error) => last = error,
        }
        tokio::time::sleep(limits::START_POLL).await;
    }
    Err(format!("not up within {} s: {last}", within.as_secs()))
}

/// Politely, then not.
pub async fn retire(running: Running, link: Link) {
    let request = v1::TerminateRequest { mode: v1::terminate_request::Mode::Retire.into(), ..Default::default() };
    let asked = answer(limits::RETIRE_GRACE, link.daemon().terminate(request)).await;
    if asked.is_ok() && running.exited(limits::RETIRE_GRACE).await.is_some() {
        return;
    }
    running.kill(limits::EXIT_DEADLINE).await;
}

/// Entries by which tables have to grow to count as progress: routes that come and go are none.
const PROGRESS_ENTRIES: u64 = 1024;

/// Changes whenever the backup has come nearer to its primary; not with every route that changes on both.
fn progress_marker(reply: &v1::SynchronizationReply) -> u64 {
    let equal = reply.tables.iter().filter(|table| table.equal).count() as u64;
    equal.rotate_left(32) ^ (reply.entries_done / PROGRESS_ENTRIES)
}

/// What the machine prints and decides on: the founding document's checks, and of ours those that did not pass.
fn engine_checks(checks: &[v1::Check]) -> Vec<Check> {
    const LAST_OF_DOCUMENT: &str = "ready";
    let documented = checks.iter().position(|check| check.id == LAST_OF_DOCUMENT).map_or(checks.len(), |last| last + 1);
    let others = checks.iter().skip(documented).filter(|check| !check.passed);
    let mut told: Vec<Check> = checks.iter().take(documented).chain(others).map(engine_check).collect();
    // The conjunction is printed as it is, but those that it is made of say why.
    let explained = told.iter().any(|check| check.id != LAST_OF_DOCUMENT && !check.passed && !check.warning);
    for conjunction in told.iter_mut().filter(|check| check.id == LAST_OF_DOCUMENT) {
        conjunction.passed |= explained;
    }
    told
}

fn engine_check(check: &v1::Check) -> Check {
    Check {
        id: check.id.clone(),
        title: check.title.clone(),
        value: check.value.clone(),
        passed: check.passed,
        warning: check.warning,
        observed: check.observed.clone(),
        required: check.required.clone(),
        remedy: check.remedy.clone(),
    }
}

#[cfg(test)]
mod tests {
    use holdfast_proto::check::Rule;

    use super::*;

    #[test]
    fn the_machine_is_told_the_documents_checks_and_of_ours_what_did_not_pass() {
        let check = |id: &str, passed: bool| Rule::refuses(id, id, "").found(passed, "");
        let told = engine_checks(&[check("a", true), check("ready", false), check("b", true), check("c", false)]);
        let told: Vec<(&str, bool, &str)> = told.iter().map(|c| (c.id.as_str(), c.passed, c.value.as_str())).collect();
        assert_eq!(told, [("a", true, "Valid"), ("ready", true, "Invalid"), ("c", false, "Invalid")]);
        assert_eq!(engine_checks(&[check("a", true)]).len(), 1, "without the document's last everything is told");
    }
}
