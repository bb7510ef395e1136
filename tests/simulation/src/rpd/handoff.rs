//! Freeze here, Activate and Commit there. See `core/handoff.rs` of the daemon.

use std::collections::BTreeMap;
use std::time::Duration;

use holdfast_bgp::session::ConnectionSide;
use holdfast_issu::{Answer, RequestId};
use holdfast_proto::v1::fact::Kind;
use holdfast_replication::Switchover;
use holdfast_replication::ledger::{FollowerLedger, KernelCounters, Remainder};

use super::sessions::fact;
use super::{Adopted, Connection, Rpd};
use crate::daemon::take_standing;
use crate::fault::Bug;
use crate::neighbor::KEEPALIVE_TIME;
use crate::process::Role;
use crate::replication::Tables;

/// As in the daemon's `limits`.
const FREEZE_FLUSH_MAX: Duration = Duration::from_millis(500);
const HANDOFF_MARK_MAX: Duration = Duration::from_millis(1000);

/// What is watched after a Commit.
#[derive(Default)]
pub(super) struct Verification {
    expected: BTreeMap<usize, Watched>,
}

struct Watched {
    acknowledged_beyond: u64,
    consumed_before: u64,
}

impl Rpd {
    /// Primary -> frozen.
    pub(super) async fn freeze(&mut self, id: RequestId, epoch: u64) {
        let next = match self.standing.frozen() {
            Ok(next) => next,
            Err(reason) => return self.os.answer(id, Err(reason)).await,
        };
        let until = self.os.now() + FREEZE_FLUSH_MAX;
        self.finish_stalled(until).await;
        self.finish_background();
        self.act().await;
        self.stand_still();
        let tables = self.tables();
        if let Some(engine) = &mut self.engine {
            engine.speaker.stand_still();
            let world = &mut *self.os.world.borrow_mut();
            let dump = engine.dump(world.neighbors.len());
            world.note_tables(dump);
        }
        self.standing = next;
        self.os.is_now(next.role, next.epoch);
        self.hand_off(epoch, until).await;
        self.os.call(|world, pid| world.answer_frozen(pid, id, tables)).await;
    }

    /// Bytes that the follower was told of are consumed here too, so that both stand at the same place.
    async fn finish_stalled(&mut self, until: Duration) {
        while !self.flush_replication().await && self.os.now() < until {
            self.os.work(Duration::from_micros(200)).await;
        }
        for neighbor in self.connections.keys().copied().collect::<Vec<_>>() {
            if self.connections.get(&neighbor).is_some_and(|connection| connection.ledger.is_told_ahead()) {
                self.read(neighbor).await;
            }
        }
    }

    /// Turns every session into what a follower knows of it. What was made and not told is told now.
    fn stand_still(&mut self) {
        let now = self.os.now();
        // Handshakes have nothing to hand over: they begin anew on the other side.
        for (neighbor, connection) in std::mem::take(&mut self.connections).into_iter().filter(|(_, c)| c.established) {
            if let (Some(sender), Some(sent)) = (&mut self.sender, connection.ledger.untold(now)) {
                sender.push_stream(fact(neighbor, Kind::Sent(sent.head)), sent.data);
            }
            let ledger = FollowerLedger::from_own(&connection.ledger);
            self.adopted
                .insert(neighbor, Adopted { own: Some(connection.socket), ledger, ready: None, interrupted: None });
        }
    }

    /// Backup or frozen -> activated. On failure nothing has changed.
    pub(super) async fn activate(
        &mut self,
        epoch: u64,
        peer_lost: bool,
        expected: Option<Tables>,
    ) -> Result<(), String> {
        let next = self.standing.activated(epoch)?;
        let planned = !peer_lost && (self.standing.role == Role::Backup || expected.is_some());
        self.drain_facts(planned).await?;
        if !self.failure.is_empty() {
            return Err(self.failure.clone());
        }
        if peer_lost {
            self.finish_background();
        } else if expected.is_some() {
            self.rib_turn();
        }
        let compares = expected.is_some();
        let tables = expected.map(|expected| self.compared(&expected)).unwrap_or_default();
        if let Some(unequal) = tables.iter().find(|table| !table.equal) {
            return Err(format!("table {} differs from the primary's", unequal.table));
        }
        if let Some(engine) = self.engine.as_ref().filter(|_| compares) {
            let world = &mut *self.os.world.borrow_mut();
            let dump = engine.dump(world.neighbors.len());
            world.check_tables(&dump);
        }
        self.take_descriptors(epoch).await?;
        self.thawed = self.standing.role == Role::Frozen;
        self.standing = next;
        self.os.is_now(next.role, next.epoch);
        Ok(())
    }

    /// Takes over what the other engine still has to say. `planned`: it has said that it froze, so its last fact comes.
    async fn drain_facts(&mut self, planned: bool) -> Result<(), String> {
        let until = self.os.now() + HANDOFF_MARK_MAX;
        loop {
            let taken = self.take_frames(usize::MAX).await;
            let Some(follower) = self.follower.as_ref().filter(|_| self.failure.is_empty()) else { return Ok(()) };
            if follower.handoff.is_some() {
                return Ok(());
            }
            match (taken, planned) {
                (_, true) if follower.ended => return Err("the stream has ended before the last fact".into()),
                (_, false) if follower.ended => return Ok(()),
                (0, false) => return Ok(()),
                (0, true) if self.os.now() >= until => return Err("the last fact has not come".into()),
                (0, true) => self.os.work(Duration::from_micros(200)).await,
                _ => {}
            }
        }
    }

    async fn take_descriptors(&mut self, epoch: u64) -> Result<(), String> {
        let trusts_books = self.bug(Bug::ThawWithoutCounters);
        for neighbor in self.adopted.keys().copied().collect::<Vec<_>>() {
            let own = self.adopted[&neighbor].own;
            if own.is_none()
                && let Some(reason) = self.why_not_nonstop(neighbor)
            {
                let socket = self.os.vault(|world, pid| world.withdraw(pid, epoch, neighbor)).await.ok();
                let session = self.adopted.get_mut(&neighbor);
                session.into_iter().for_each(|session| session.interrupted = Some((socket, reason.to_owned())));
                continue;
            }
            let socket = match own {
                Some(socket) => socket,
                None => self
                    .os
                    .vault(|world, pid| world.withdraw(pid, epoch, neighbor))
                    .await
                    .map_err(|error| format!("neighbor {neighbor}: {error}"))?,
            };
            let counters = self.os.call(|world, _| world.counters(socket)).await;
            let Some(session) = self.adopted.get_mut(&neighbor) else { continue };
            let remainder = match counters {
                Some(_) if trusts_books && own.is_some() => Ok(session.ledger.nothing_left()),
                Some(counters) => session.ledger.remainder(counters),
                // The neighbour has ended it meanwhile. That is this session's own fate, not the others'.
                None => Ok(session.ledger.nothing_left()),
            };
            session.ready = Some((socket, remainder.map_err(|error| format!("neighbor {neighbor}: {error}"))?));
        }
        Ok(())
    }

    /// Activated -> primary: the commit point.
    pub(super) async fn commit(&mut self, id: RequestId, epoch: u64) {
        let next = match self.standing.committed(epoch) {
            Ok(next) => next,
            Err(reason) => return self.os.answer(id, Err(reason)).await,
        };
        if self.thawed {
            // pfed may have missed the last of what was sent to it before both stood still: it gets the whole table again.
            let side = self.os.world.borrow().processes[self.os.pid].side;
            self.os.call(|world, _| world.close_forwarding_stream(side)).await;
        }
        self.standing = next;
        self.os.is_now(next.role, next.epoch);
        self.turn_stream();
        let interrupted = |(neighbor, session): (&usize, &Adopted)| session.interrupted.as_ref().map(|_| *neighbor);
        let restarting: Vec<usize> = self.adopted.iter().filter_map(interrupted).collect();
        self.interrupt_sessions().await;
        for (neighbor, session) in std::mem::take(&mut self.adopted) {
            self.resume(neighbor, session).await;
        }
        self.real_activate(&restarting).await;
        self.prove_sessions();
        self.primary_turn().await;
        let mono_ns = self.os.now().as_nanos() as u64;
        take_standing(&self.os, &mut self.standing, id, Ok(next), Answer::Live { mono_ns }).await;
    }

    async fn resume(&mut self, neighbor: usize, session: Adopted) {
        let Some((socket, mut remainder)) = session.ready else { return };
        if self.bug(Bug::ForgetTail) {
            remainder.to_write.clear();
        }
        if !self.bug(Bug::ForgetDiscard) {
            self.discard(socket, &remainder).await;
        }
        let ledger = session.ledger.resume(&remainder);
        let keepalive_due = match self.engine {
            Some(_) => super::real::NEVER,
            None => self.os.now() + KEEPALIVE_TIME,
        };
        let side = ConnectionSide::Opened;
        self.connections.insert(neighbor, Connection { socket, ledger, keepalive_due, established: true, side });
    }

    async fn discard(&mut self, socket: usize, remainder: &Remainder) {
        if remainder.to_discard > 0 {
            self.os.call(|world, pid| world.discard(pid, socket, remainder.to_discard)).await;
        }
    }

    /// Sends each neighbour a KEEPALIVE: its acknowledgement proves that the session works in both directions.
    fn prove_sessions(&mut self) {
        self.verification.expected.clear();
        for neighbor in self.connections.keys().copied().collect::<Vec<_>>() {
            let ledger = &self.connections[&neighbor].ledger;
            let watched = Watched { acknowledged_beyond: ledger.made(), consumed_before: ledger.consumed() };
            self.verification.expected.insert(neighbor, watched);
            self.make_keepalive(neighbor);
        }
    }

    /// Checks after the switch.
    pub(super) fn verify(&mut self) -> Answer {
        let world = self.os.world.borrow();
        let (mut lost, mut unheard) = (0, 0);
        for (neighbor, watched) in &self.verification.expected {
            let Some(connection) = self.connections.get(neighbor) else {
                lost += 1;
                continue;
            };
            let bases: KernelCounters = connection.ledger.bases();
            let acknowledged = world.bytes_acked(connection.socket).saturating_sub(bases.written);
            let heard =
                acknowledged > watched.acknowledged_beyond || connection.ledger.consumed() > watched.consumed_before;
            unheard += usize::from(!heard);
        }
        drop(world);
        let fails = self.fails_checks();
        let settled = self.fib_is_settled() && !self.restarts_under_way();
        let done = lost > 0 || fails || (unheard == 0 && settled);
        let reason = match (lost, fails) {
            (0, true) => "the checks are made to fail".to_owned(),
            (0, false) => format!("{unheard} neighbors have not acknowledged since the switch"),
            (lost, _) => format!("{lost} sessions went down after the switch"),
        };
        Answer::Verified {
            done,
            ok: lost == 0 && !fails,
            reason: if lost == 0 && !fails && done { String::new() } else { reason },
        }
    }

    fn fails_checks(&self) -> bool {
        let world = self.os.world.borrow();
        world.checks_fail && world.processes[self.os.pid].side == holdfast_issu::Side::New
    }
}
