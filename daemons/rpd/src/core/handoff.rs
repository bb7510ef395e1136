//! Freeze here, Activate and Commit there: how sessions change hands, and how they come back.
//!
//! Frozen: nothing is read or written; where each session stands is known exactly, from our own books. Activated: the
//! descriptors are withdrawn from the vault, the kernel's counters say where the sessions really stand, and both agree;
//! nothing has been touched. Up to here the other engine can go on as if nothing had happened. Commit: the session's bytes flow again.

use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use holdfast_bgp::session::ConnectionSide;
use holdfast_bgp::speaker::NeighborId;
use holdfast_ipc::mono_ns;
use holdfast_kernel::tcp;
use holdfast_proto::v1;
use holdfast_proto::v1::Role;
use holdfast_replication::compare_tables;

use super::adopted::Resumed;
use super::connections::Connection;
use super::roads::Roads;
use super::stream::Follower;
use super::{Core, now};
use crate::limits::{BACKGROUND_FINISH_MAX, FREEZE_FLUSH_MAX, HANDOFF_MARK_MAX, SILENCE_MIN, UNHEARD_MAX_DIVISOR};

/// What is watched after a Commit until everything has proven itself.
#[derive(Default)]
pub struct Verification {
    /// The Commit's time.
    since: Duration,
    expected: Vec<Watched>,
    /// Why the engine that stands by does not hold every fact since then any more; empty as long as it does.
    pub(super) follower_lost: String,
}

struct Watched {
    neighbor: NeighborId,
    address: IpAddr,
    /// Offset of the stream beyond which an acknowledgement was caused by us, after the switch.
    acknowledged_beyond: u64,
    consumed_before: u64,
    /// The kernel's count of bytes acknowledged at the Commit, if more waited for the neighbour then.
    waited_at: Option<u64>,
    heard: bool,
    /// Why its session has ended since, for a reason that no engine answers for.
    ended: Option<String>,
}

/// What a session says of a switch.
enum Sign {
    /// It is up.
    Up,
    /// Nothing is to be expected of it, and no engine could change that.
    Excused { is_up: bool, why: String },
    /// This engine has lost it, or is about to.
    Lost { is_up: bool, why: String },
}

impl Verification {
    /// A neighbour's session has ended; `why`, if no engine answers for it. Noted at once: when somebody asks, the neighbour may be back, with a
    /// connection whose counters say nothing of the one before, or be forgotten, if it is not configured, and its number another's.
    fn note_end(&mut self, neighbor: NeighborId, why: Option<&str>) {
        let mut ended = self.expected.iter_mut().filter(|watched| watched.neighbor == neighbor);
        if let (Some(watched), Some(why)) = (ended.next(), why) {
            watched.ended.get_or_insert_with(|| why.to_owned());
        }
    }
}

impl Watched {
    /// Why no sign of life is to be expected, for a reason that is older than the switch or has nothing to do with it.
    fn excuse(&self, bytes_acked: u64, link_is_up: bool, waited: Duration) -> Option<&'static str> {
        if !link_is_up {
            Some("its link is down")
        } else if self.waited_at == Some(bytes_acked) && waited >= SILENCE_MIN {
            Some("it has not taken what waited for it before the switch")
        } else {
            None
        }
    }
}

impl Core {
    /// Primary -> frozen.
    pub(super) fn freeze(&mut self, request: &v1::FreezeRequest) -> Result<v1::FreezeReply, String> {
        if self.role != Role::Primary {
            return Err(format!("rpd of {} is {}, only a primary can be frozen", self.slot, self.role.as_str_name()));
        }
        let now = now();
        self.finish_stalled(now);
        self.finish_background();
        // What the last bytes caused is said as long as there is somebody to say it.
        self.act();
        self.close_unfinished();
        let positions = self.stand_still();
        let tables = self.tables();
        // From here the books are closed: what comes is the other engine's.
        self.protocols.stand_still();
        self.listeners.close(self.inputs.poll.registry());
        self.role = Role::Frozen;
        self.bfd.mark_stale();
        if let Err(error) = self.hand_off(request.epoch, now + FREEZE_FLUSH_MAX) {
            tracing::error!("{error}");
        }
        tracing::info!("frozen for epoch {}: {} sessions stand still", request.epoch, positions.len());
        Ok(v1::FreezeReply { frozen_mono_ns: mono_ns(), tables, sessions: positions })
    }

    /// Bytes that the follower was told of are consumed here too, so that both stand at the same place.
    fn finish_stalled(&mut self, at: Duration) {
        let until = at + FREEZE_FLUSH_MAX;
        while !self.flush_replication(now()) && now() < until {
            std::thread::sleep(Duration::from_micros(200));
        }
        for token in self.connections.tokens() {
            if self.connections.get_mut(token).is_some_and(|connection| connection.ledger.is_told_ahead()) {
                self.read(token, now());
            }
        }
    }

    /// Tables that are half worked through have digests of a moment that the other engine never sees. What is not finished
    /// in this time makes them differ, and the switchover is undone.
    pub(super) fn finish_background(&mut self) {
        let until = now() + BACKGROUND_FINISH_MAX;
        while self.protocols.bgp.has_background() && now() < until {
            self.rib_turn();
        }
    }

    /// Connections without an established session have nothing to hand over: they begin anew on the other side.
    fn close_unfinished(&mut self) {
        for token in self.connections.tokens() {
            if self.connections.get_mut(token).is_some_and(|connection| !connection.established) {
                self.connections.remove(token, self.inputs.poll.registry());
            }
        }
    }

    /// Turns every session into what a follower knows of it.
    fn stand_still(&mut self) -> Vec<v1::SessionPosition> {
        let mut positions = Vec::new();
        for token in self.connections.tokens() {
            let Some(connection) = self.connections.remove(token, self.inputs.poll.registry()) else { continue };
            let Some(address) = self.protocols.bgp.neighbor_address(connection.neighbor) else { continue };
            let name = address.to_string();
            positions.push(v1::SessionPosition {
                neighbor: name.clone(),
                bytes_consumed: connection.ledger.consumed(),
                bytes_written: connection.ledger.written(),
            });
            // What was made but not replicated was not written either: it is made again by whoever goes on. It must be
            // part of the books, though, because our own tables count it as sent.
            self.tell_rest(&connection);
            self.adopted.keep(name, super::sessions::vault_name(address), connection);
        }
        positions
    }

    /// Output that was made but not yet told to the follower is told now: our tables count it as sent.
    fn tell_rest(&mut self, connection: &Connection) {
        let now = now();
        let (Some(sender), Some(sent)) = (&mut self.sender, connection.ledger.untold(now)) else { return };
        if let Some(fact) = self.protocols.bgp.sent_fact(connection.neighbor, sent.head) {
            sender.push_stream(fact, sent.data, now);
        }
    }

    /// Frozen -> backup: the engine that has taken over goes on, and this one follows it from exactly where it stopped.
    pub(super) fn follow_successor(&mut self, request: &v1::FollowRequest) -> Result<v1::FollowReply, String> {
        if !matches!(self.role, Role::Frozen | Role::Backup) || request.epoch < self.epoch {
            let (slot, role, epoch) = (&self.slot, self.role.as_str_name(), self.epoch);
            return Err(format!("rpd of {slot} is {role} in epoch {epoch}, it cannot follow epoch {}", request.epoch));
        }
        match &self.follower {
            Some(follower) if !follower.has_ended() && self.failure.is_empty() => {}
            _ if !self.failure.is_empty() => return Err(self.failure.clone()),
            _ => return Err("there is no stream of facts from the engine that has taken over".into()),
        }
        self.role = Role::Backup;
        self.epoch = request.epoch;
        // What happened while this process stood still may lie in the stream, its event spent.
        self.replication_event(true);
        tracing::info!("following the primary of epoch {} as its backup", self.epoch);
        Ok(v1::FollowReply {})
    }

    /// Backup or frozen -> activated. On failure nothing has changed.
    pub(super) fn activate(&mut self, request: &v1::ActivateRequest) -> v1::ActivateReply {
        match self.try_activate(request) {
            Ok(reply) => reply,
            Err(reason) => {
                tracing::error!("cannot be activated for epoch {}: {reason}", request.epoch);
                v1::ActivateReply { ok: false, reason, ..v1::ActivateReply::default() }
            }
        }
    }

    fn try_activate(&mut self, request: &v1::ActivateRequest) -> Result<v1::ActivateReply, String> {
        if !matches!(self.role, Role::Backup | Role::Frozen) {
            return Err(format!("rpd of {} is {}, not a backup", self.slot, self.role.as_str_name()));
        }
        if request.epoch <= self.epoch {
            return Err(format!("epoch {} is not newer than {}", request.epoch, self.epoch));
        }
        // The other engine has frozen and says where: its last fact is the mark.
        let planned = !request.peer_lost && (self.role == Role::Backup || !request.expected_tables.is_empty());
        self.drain_facts(planned)?;
        if !self.failure.is_empty() {
            return Err(self.failure.clone());
        }
        if self.role == Role::Backup && !self.follower.as_ref().is_some_and(Follower::is_snapshot_done) {
            return Err("the primary's tables had not come over as a whole".into());
        }
        let mut tables = Vec::new();
        if request.peer_lost {
            // Nobody says what the tables have to be. What the other engine made of its last facts is in the kernel: the same has to follow
            // from them here before pfed is told that it has heard everything.
            self.finish_background();
        } else if !request.expected_tables.is_empty() {
            self.rib_turn();
            tables = compare_tables(&request.expected_tables, &self.tables());
            if let Some(unequal) = tables.iter().find(|table| !table.equal) {
                return Err(format!("table {} differs from the primary's", unequal.table));
            }
        }
        let epoch_before = self.epoch;
        self.epoch = request.epoch;
        match self.take_descriptors(request.peer_lost) {
            Ok(Roads { positions: sessions, restarts }) => {
                self.adopted.set_thawed(self.role == Role::Frozen);
                self.role = Role::Activated;
                let sessions_adopted = sessions.len() as u32;
                Ok(v1::ActivateReply { ok: true, reason: String::new(), tables, sessions, sessions_adopted, restarts })
            }
            Err(reason) => {
                self.epoch = epoch_before;
                Err(reason)
            }
        }
    }

    /// Takes over what the other engine still has to say. `planned`: it has said that it froze, so its last fact comes.
    fn drain_facts(&mut self, planned: bool) -> Result<(), String> {
        let until = now() + HANDOFF_MARK_MAX;
        // The event that announces the last bytes may not have been looked at yet.
        self.replication_event(true);
        loop {
            let taken = self.take_frames(usize::MAX);
            let Some(follower) = self.follower.as_ref().filter(|_| self.failure.is_empty()) else { return Ok(()) };
            if follower.handoff().is_some() {
                return Ok(());
            }
            let ended = follower.has_ended();
            match (taken, planned) {
                (_, true) if ended => return Err("the other engine has ended the stream before its last fact".into()),
                (_, false) if ended => return Ok(()),
                (0, false) => return Ok(()),
                (0, true) if now() >= until => {
                    let milliseconds = HANDOFF_MARK_MAX.as_millis();
                    return Err(format!("the other engine's last fact has not come within {milliseconds} ms"));
                }
                (0, true) => {
                    std::thread::sleep(Duration::from_micros(200));
                    self.replication_event(true);
                }
                _ => {}
            }
        }
    }

    /// Activated -> primary: the commit point.
    pub(super) fn commit(&mut self, request: &v1::CommitRequest) -> Result<v1::CommitReply, String> {
        if self.role != Role::Activated || request.epoch != self.epoch {
            return Err(format!(
                "rpd of {} is {} in epoch {}; only an activated engine can be committed, in its own epoch",
                self.slot,
                self.role.as_str_name(),
                self.epoch
            ));
        }
        if self.adopted.thawed() {
            // pfed may have missed the last of what was sent to it before both stood still: it gets the whole table again.
            self.fib.restart();
        }
        self.role = Role::Primary;
        self.turn_stream();
        let now = now();
        self.verification = Verification { since: now, ..Verification::default() };
        self.interrupt_sessions();
        for (neighbor, session) in self.adopted.take() {
            self.resume(&neighbor, session);
        }
        self.protocols.activate(&mut self.rib, now);
        self.act();
        if let Err(error) = self.listen() {
            tracing::error!("neighbors cannot connect: {error}");
        }
        self.bfd.mark_stale();
        self.end_lost_sessions(); // what was lost while nobody led
        self.prove_sessions();
        self.primary_turn();
        tracing::info!("primary in epoch {}: {} sessions go on", self.epoch, self.verification.expected.len());
        Ok(v1::CommitReply { live_mono_ns: mono_ns() })
    }

    fn resume(&mut self, neighbor: &str, session: Resumed) {
        let Some(id) = neighbor.parse::<IpAddr>().ok().and_then(|address| self.protocols.bgp.find_neighbor(address))
        else {
            return;
        };
        if let Err(error) = tcp::discard(session.fd.as_fd(), session.to_discard) {
            tracing::warn!("neighbor {neighbor}: {error} while the handed-over input was discarded");
        }
        let Some(transport) = self.protocols.bgp.transport(id) else { return };
        let mut connection = Connection::new(session.fd, id, ConnectionSide::Opened, false, transport);
        connection.established = true;
        connection.output = true;
        connection.ledger = session.ledger;
        self.add_connection(connection);
    }

    /// Sends each neighbour a KEEPALIVE: its acknowledgement proves that the session works in both directions.
    fn prove_sessions(&mut self) {
        for token in self.connections.tokens() {
            let Some(connection) = self.connections.get_mut(token).filter(|connection| connection.established) else {
                continue;
            };
            let (neighbor, side) = (connection.neighbor, connection.side);
            let Some(address) = self.protocols.bgp.neighbor_address(neighbor) else { continue };
            let watched = Watched {
                neighbor,
                address,
                acknowledged_beyond: connection.ledger.made(),
                consumed_before: connection.ledger.consumed(),
                waited_at: tcp::tcp_counters(connection.socket())
                    .ok()
                    .filter(|counters| counters.send_queue > 0)
                    .map(|counters| counters.bytes_acked),
                heard: false,
                ended: None,
            };
            let keepalive = self.protocols.bgp.keepalive(neighbor, now());
            self.enqueue(neighbor, side, &keepalive);
            self.verification.expected.push(watched);
        }
    }

    /// Checks after the switch.
    pub(super) fn verify(&mut self) -> v1::VerifyReply {
        let mut expected = std::mem::take(&mut self.verification.expected);
        let waited = now().saturating_sub(self.verification.since);
        let (mut up, mut excused, mut lost) = (0, Vec::new(), Vec::new());
        for watched in &mut expected {
            match self.judge(watched, waited) {
                Sign::Up => up += 1,
                Sign::Excused { is_up, why } => {
                    up += u32::from(is_up);
                    excused.push(why);
                }
                Sign::Lost { is_up, why } => {
                    up += u32::from(is_up);
                    lost.push(why);
                }
            }
        }
        let heard = expected.iter().filter(|watched| watched.heard).count() as u32;
        let total = expected.len() as u32;
        let answered = heard as usize + excused.len() == expected.len();
        self.verification.expected = expected;
        let restarts = self.restart_progress(waited);
        let mut reason = match lost.as_slice() {
            [] if heard < total && !excused.is_empty() => format!(
                "{heard} of {total} neighbors have acknowledged since the switch; not expected of {}",
                excused.join(", ")
            ),
            [] if heard < total => format!("{heard} of {total} neighbors have acknowledged since the switch"),
            [] => String::new(),
            lost => format!("lost after the switch: {}", lost.join(", ")),
        };
        for (what, neighbors) in
            [("restarting gracefully", &restarts.waiting), ("graceful restart has failed", &restarts.failed)]
        {
            if !neighbors.is_empty() {
                let separator = if reason.is_empty() { "" } else { "; " };
                reason = format!("{reason}{separator}{what}: {}", neighbors.join(", "));
            }
        }
        v1::VerifyReply {
            done: !lost.is_empty()
                || (answered
                    && restarts.waiting.is_empty()
                    && !self.protocols.bgp.has_background()
                    && self.fib.is_settled(&self.rib)),
            // A session that went by graceful restart has begun anew: no engine brings the earlier one back. What is missing is
            // told, the evidence counts it, and the roles stay where they are.
            ok: lost.is_empty(),
            reason,
            sessions_expected: total,
            sessions_up: up,
            neighbors_heard: heard,
            follower_lost: self.verification.follower_lost.clone(),
            ..v1::VerifyReply::default()
        }
    }

    /// A session has ended: what that says of the switch is known now.
    pub(super) fn note_end(&mut self, neighbor: NeighborId) {
        self.verification.note_end(neighbor, self.protocols.bgp.ended_blameless(neighbor));
    }

    /// What one neighbour's session says of the switch so far.
    fn judge(&self, watched: &mut Watched, waited: Duration) -> Sign {
        let (bgp, address) = (&self.protocols.bgp, watched.address);
        let is_known = bgp.neighbor_address(watched.neighbor) == Some(address);
        let link_is_up = bgp.link_is_up(watched.neighbor, &self.rib);
        let mut connections = self.connections.iter();
        let connection = connections.find(|c| is_known && c.neighbor == watched.neighbor && c.established);
        // No engine brings back a session that the neighbour or an operator has ended, or that lost its link.
        if let Some(reason) = &watched.ended {
            let why = format!("{address}: its session has ended ({reason})");
            watched.heard = false;
            return Sign::Excused { is_up: connection.is_some(), why };
        }
        let Some(connection) = connection else {
            watched.heard = false;
            return match bgp.ended_blameless(watched.neighbor).filter(|_| is_known) {
                Some(reason) => {
                    Sign::Excused { is_up: false, why: format!("{address}: its session has ended ({reason})") }
                }
                None if !link_is_up => Sign::Excused { is_up: false, why: format!("{address}: its link is down") },
                None => Sign::Lost { is_up: false, why: address.to_string() },
            };
        };
        let bytes_acked = tcp::tcp_counters(connection.socket()).map_or(0, |counters| counters.bytes_acked);
        let acknowledged = bytes_acked.saturating_sub(connection.ledger.bases().written);
        watched.heard |=
            acknowledged > watched.acknowledged_beyond || connection.ledger.consumed() > watched.consumed_before;
        if watched.heard {
            return Sign::Up;
        }
        if let Some(why) = watched.excuse(bytes_acked, link_is_up, waited) {
            return Sign::Excused { is_up: true, why: format!("{address}: {why}") };
        }
        // Its hold timer runs: whoever may still reach it has to be given the time.
        let patience = bgp.hold_time(watched.neighbor).map(|hold_time| hold_time / UNHEARD_MAX_DIVISOR);
        if watched.waited_at.is_none() && patience.is_some_and(|patience| waited >= patience) {
            let why = format!("{address} (up, but nothing of ours was acknowledged within {} ms)", waited.as_millis());
            return Sign::Lost { is_up: true, why };
        }
        Sign::Up
    }

    /// Ready by the protocols' own word?
    pub(super) fn prepare(&mut self) -> v1::PrepareReply {
        self.protocols.notify(true);
        let sessions = self.protocols.readiness(now());
        let unready = sessions.iter().find(|session| !session.ready);
        let (following, lost) = match (self.role, &self.sender, &self.follower) {
            (Role::Primary, Some(sender), _) => (sender.is_snapshot_done(), false),
            (Role::Primary, None, _) => (false, true),
            (_, _, follower) => (follower.as_ref().is_some_and(Follower::is_snapshot_done), false),
        };
        let reason = match unready {
            _ if lost => "the backup does not follow any more".into(),
            Some(session) => format!("{} neighbor {}: {}", session.protocol, session.neighbor, session.reason),
            None if self.protocols.bgp.has_background() => "tables are being worked through".into(),
            None if !following => "the backup does not hold all facts yet".into(),
            None => String::new(),
        };
        // A backup that was given up does not come back within the run: there is nothing to wait for.
        let wait_ms = if reason.is_empty() || lost { 0 } else { 100 };
        v1::PrepareReply { ready: reason.is_empty(), reason, wait_ms, sessions }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_a_session_ended_stays_known_when_its_neighbor_is_forgotten() {
        let watched = |neighbor| Watched {
            neighbor: NeighborId(neighbor),
            address: IpAddr::from([10, 0, 0, neighbor as u8]),
            acknowledged_beyond: 10,
            consumed_before: 0,
            waited_at: None,
            heard: true,
            ended: None,
        };
        let mut verification = Verification { expected: vec![watched(3), watched(4)], ..Verification::default() };
        verification.note_end(NeighborId(4), Some("NOTIFICATION received"));
        // Another one by the same number, whose handshake failed here.
        verification.note_end(NeighborId(4), None);
        verification.note_end(NeighborId(3), None);
        let ended: Vec<Option<&str>> = verification.expected.iter().map(|watched| watched.ended.as_deref()).collect();
        assert_eq!(ended, [None, Some("NOTIFICATION received")]);
    }

    #[test]
    fn silence_is_excused_only_when_it_is_older_than_the_switch() {
        let watched = |waited_at| Watched {
            neighbor: NeighborId(0),
            address: IpAddr::from([10, 0, 0, 1]),
            acknowledged_beyond: 10,
            consumed_before: 0,
            waited_at,
            heard: false,
            ended: None,
        };
        assert_eq!(watched(None).excuse(5, true, SILENCE_MIN), None, "nothing waited: an answer is due");
        assert_eq!(watched(Some(4)).excuse(5, true, SILENCE_MIN), None, "it takes data again: an answer is due");
        assert_eq!(watched(Some(5)).excuse(5, true, Duration::ZERO), None, "it may just be busy");
        assert!(watched(Some(5)).excuse(5, true, SILENCE_MIN).is_some());
        assert!(watched(None).excuse(5, false, Duration::ZERO).is_some());
    }
}
