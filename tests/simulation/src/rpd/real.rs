//! What the loop does otherwise when the real speaker is behind it: handshakes, the speaker's actions, sessions that begin anew.

use holdfast_bgp::session::ConnectionSide;
use holdfast_bgp::speaker::Action;
use holdfast_bgp::wire::encode_keepalive;
use holdfast_proto::v1::{Fact, fact::Kind};
use holdfast_replication::Switchover;
use holdfast_replication::ledger::KernelCounters;

use super::{Connection, Rpd};
use crate::bgp::Engine;
use crate::fault::Bug;
use crate::tcp::Holder;
use crate::world::Time;

/// Work on whole tables that is finished before tables are compared: turns.
const BACKGROUND_TURNS_MAX: usize = 1000;
/// The keepalives of a session are the speaker's.
pub(super) const NEVER: Time = Time::MAX;

impl Rpd {
    /// A neighbour has connected.
    pub(super) async fn real_accepted(&mut self, neighbor: usize, socket: usize, counters: KernelCounters) {
        let now = self.os.now();
        let Some(engine) = &mut self.engine else { return };
        let verdict = engine.speaker.tcp_accepted(crate::bgp::address(neighbor), &mut engine.rib, now);
        if verdict.is_err() {
            return self.os.call(|world, pid| world.release(socket, Holder::Process(pid))).await;
        }
        let mut connection = Connection {
            socket,
            ledger: Default::default(),
            keepalive_due: NEVER,
            established: false,
            side: ConnectionSide::Accepted,
        };
        connection.ledger.set_bases(counters);
        self.connections.insert(neighbor, connection);
        self.act().await;
    }

    /// Whole messages came.
    pub(super) async fn real_receive(&mut self, neighbor: usize, bytes: &[u8]) {
        let now = self.os.now();
        let side = self.connections.get(&neighbor).map_or(ConnectionSide::Opened, |connection| connection.side);
        if let Some(engine) = &mut self.engine {
            engine.receive(neighbor, side, bytes, now);
        }
        self.act().await;
    }

    /// Timers.
    pub(super) async fn real_tick(&mut self) {
        let now = self.os.now();
        if let Some(engine) = &mut self.engine {
            engine.speaker.tick(&mut engine.rib, now);
        }
        self.act().await;
    }

    /// Does what the speaker asks.
    pub(super) async fn act(&mut self) {
        while let Some(action) = self.engine.as_mut().and_then(|engine| engine.speaker.poll()) {
            let number = |rpd: &Self, id| rpd.engine.as_ref().and_then(|engine| engine.number(id));
            match action {
                Action::Connect { neighbor, .. } => {
                    let now = self.os.now();
                    let Some(engine) = &mut self.engine else { return };
                    engine.speaker.tcp_failed(neighbor, "neighbors connect", &mut engine.rib, now);
                }
                Action::Send { neighbor, message, .. } => {
                    let connection = number(self, neighbor).and_then(|number| self.connections.get_mut(&number));
                    connection.into_iter().for_each(|connection| connection.ledger.make(&message));
                }
                Action::Established { neighbor, side } => {
                    if let Some(number) = number(self, neighbor) {
                        self.real_established(number, side).await;
                    }
                }
                Action::Close { neighbor, .. } => {
                    let number = number(self, neighbor);
                    if let Some(connection) = number.and_then(|number| self.connections.remove(&number)) {
                        self.os.call(|world, pid| world.release(connection.socket, Holder::Process(pid))).await;
                    }
                }
                Action::Down { neighbor, reason, kept } => {
                    let now = self.os.now();
                    let fact =
                        self.engine.as_ref().and_then(|e| e.speaker.session_down_fact(neighbor, &reason, kept, now));
                    if let Some(fact) = fact {
                        self.replicate(fact).await;
                    }
                    let (epoch, number) = (self.standing.epoch, number(self, neighbor));
                    let remove = |number| self.os.vault(move |world, pid| world.remove(pid, epoch, number));
                    if let Some(number) = number {
                        let _ = remove(number).await;
                    }
                }
                Action::HasOutput | Action::Warn { .. } | Action::Report { .. } => {}
                Action::Replicate(fact) => self.replicate(*fact).await,
            }
        }
    }

    async fn real_established(&mut self, neighbor: usize, side: ConnectionSide) {
        let now = self.os.now();
        let (Some(connection), Some(engine)) = (self.connections.get_mut(&neighbor), &mut self.engine) else { return };
        let (socket, id, epoch) = (connection.socket, engine.id(neighbor), self.standing.epoch);
        connection.established = true;
        connection.ledger.skip_telling();
        engine.speaker.established(id, side, Engine::ends(neighbor), 1, now, &mut engine.rib);
        let deposited = self.os.vault(|world, pid| world.deposit(pid, epoch, socket)).await;
        let Some(engine) = &mut self.engine else { return };
        engine.speaker.set_deposited(id, deposited.is_ok());
        let fact = engine.speaker.session_up_fact(id, false);
        if let Some(mut fact) = fact {
            self.place(&mut fact, neighbor);
            self.replicate(fact).await;
        }
    }

    /// Completes a session's fact by where its byte streams stand.
    fn place(&mut self, fact: &mut Fact, neighbor: usize) {
        let deposited = self.engine.as_ref().is_some_and(|engine| engine.speaker.is_deposited(engine.id(neighbor)));
        let (Some(Kind::Up(up)), Some(connection)) = (&mut fact.kind, self.connections.get_mut(&neighbor)) else {
            return;
        };
        if deposited {
            up.descriptor = "in the vault".into();
        }
        connection.ledger.describe(up);
    }

    pub(super) fn real_describe(&mut self) -> Vec<Fact> {
        let now = self.os.now();
        let Some(engine) = &mut self.engine else { return Vec::new() };
        let mut facts = engine.speaker.describe_sessions(now);
        for fact in &mut facts {
            if let Some(neighbor) = super::sessions::neighbor_of(fact) {
                self.place(fact, neighbor);
            }
        }
        facts
    }

    /// A connection has ended without our doing.
    pub(super) async fn real_closed(&mut self, neighbor: usize, reason: &str) {
        let Some(connection) = self.connections.remove(&neighbor) else { return };
        self.os.call(|world, pid| world.release(connection.socket, Holder::Process(pid))).await;
        let now = self.os.now();
        if let Some(engine) = &mut self.engine {
            let id = engine.id(neighbor);
            engine.speaker.tcp_closed(id, connection.side, reason, &mut engine.rib, now);
        }
        self.act().await;
    }

    /// What follows from routes that moved, on its way to pfed.
    pub(super) fn rib_turn(&mut self) {
        let Some(engine) = &mut self.engine else { return };
        for (destination, gateway) in engine.rib_turn() {
            self.speaker.table.insert((0, destination), gateway);
            self.speaker.changed.insert((0, destination));
        }
    }

    pub(super) fn finish_background(&mut self) {
        for _ in 0..BACKGROUND_TURNS_MAX {
            if !self.engine.as_ref().is_some_and(|engine| engine.speaker.has_background()) {
                return;
            }
            self.rib_turn();
        }
    }

    pub(super) fn real_adopt(&mut self, fact: &Fact) -> Result<(), String> {
        let now = self.os.now();
        if self.bug(Bug::DigestsLie) && matches!(fact.kind, Some(Kind::Received(_))) && now.as_nanos().is_multiple_of(7)
        {
            return Ok(());
        }
        let Some(engine) = &mut self.engine else { return Ok(()) };
        engine.speaker.adopt(&mut engine.rib, fact, now).map_err(|error| error.to_string())
    }

    /// Why a session cannot go over; only who cannot begins anew.
    pub(super) fn why_not_nonstop(&self, neighbor: usize) -> Option<&'static str> {
        let engine = self.engine.as_ref()?;
        if self.bug(Bug::RestartsAnother) && neighbor == 0 {
            return Some("a mistake");
        }
        engine.speaker.why_not_nonstop(engine.id(neighbor))
    }

    /// From here on this engine leads: connections that do not go over are closed.
    pub(super) async fn interrupt_sessions(&mut self) {
        for neighbor in self.adopted.keys().copied().collect::<Vec<_>>() {
            let Some((socket, reason)) = self.adopted.get_mut(&neighbor).and_then(|session| session.interrupted.take())
            else {
                continue;
            };
            let forgets = self.bug(Bug::ForgetStale);
            if let Some(engine) = self.engine.as_mut().filter(|_| !forgets) {
                let id = engine.id(neighbor);
                engine.speaker.interrupt(id, &reason);
            }
            self.adopted.remove(&neighbor);
            if let Some(socket) = socket {
                self.os.call(|world, pid| world.shut_down(pid, socket)).await;
            }
        }
    }

    pub(super) async fn real_activate(&mut self, restarting: &[usize]) {
        let now = self.os.now();
        let forgets = self.bug(Bug::ForgetStale);
        if let Some(engine) = &mut self.engine {
            engine.speaker.activate(&mut engine.rib, now);
            if forgets {
                for neighbor in restarting {
                    let id = engine.id(*neighbor);
                    engine.speaker.tcp_closed(id, ConnectionSide::Opened, "a mistake", &mut engine.rib, now);
                }
            }
        }
        self.act().await;
    }

    pub(super) fn real_keepalive(&mut self, neighbor: usize) {
        let connection = self.connections.get_mut(&neighbor).filter(|connection| connection.established);
        let mut keepalive = Vec::new();
        encode_keepalive(&mut keepalive);
        connection.into_iter().for_each(|connection| connection.ledger.make(&keepalive));
    }

    /// Sessions that begin anew and are not done with it.
    pub(super) fn restarts_under_way(&self) -> bool {
        self.engine.as_ref().is_some_and(|engine| {
            let mut ids = engine.speaker.neighbor_ids().into_iter();
            ids.any(|id| engine.speaker.restart_waits_for(id).is_some())
        })
    }

    /// What holds up the preparation, by the sessions' own word.
    pub(super) fn unready(&self) -> Option<String> {
        let engine = self.engine.as_ref()?;
        let sessions = engine.speaker.readiness(self.os.now());
        let waits = sessions.into_iter().find(|session| !session.ready).map(|session| session.reason);
        waits.or(engine.speaker.has_background().then(|| "tables are being worked through".into()))
    }
}
