//! What has to hold with the real speaker: neighbours know what a router that never rebooted would have told them, equal digests
//! mean equal tables, and only planned sessions begin anew.

use std::collections::BTreeMap;
use std::time::Duration;

use holdfast_bgp::session::ConnectionSide;
use holdfast_bgp::speaker::Action;
use holdfast_issu::{Daemon, Outcome, Request};

use super::{DESTINATIONS, Engine, Peer, whole};
use crate::fib::Key;
use crate::world::{Time, World};

/// Turns of a router without time until nothing moves.
const TURNS_MAX: usize = 10_000;
/// What was said so recently may be on its way, or was discarded with the connection.
const SETTLED: Duration = Duration::from_millis(100);

/// A router that never rebooted, told by the same neighbours what they say at last.
struct Reference {
    engine: Engine,
    peers: Vec<Peer>,
    established: Vec<bool>,
}

impl Reference {
    fn new(peers: &[Peer], restarting: u32) -> Result<Reference, String> {
        let now = Duration::from_secs(1);
        let mut engine = Engine::new(false, peers.len(), restarting, now)?;
        let mut peers = peers.to_vec();
        for (number, peer) in peers.iter_mut().enumerate() {
            peer.connected();
            let accepted = engine.speaker.tcp_accepted(super::address(number), &mut engine.rib, now);
            accepted.map_err(|rejection| rejection.reason)?;
        }
        let established = vec![false; peers.len()];
        Ok(Reference { engine, peers, established })
    }

    fn run(&mut self, now: Duration) -> Result<(), String> {
        for _ in 0..TURNS_MAX {
            let mut busy = self.hear(now)?;
            self.act(now)?;
            busy |= !self.engine.rib_turn().is_empty() || self.engine.speaker.has_background();
            for number in 0..self.peers.len() {
                let (id, mut out) = (self.engine.id(number), Vec::new());
                if self.established[number] && self.engine.has_output(number) {
                    self.engine.speaker.fill_output(id, &mut self.engine.rib, &mut out, now);
                    busy = true;
                }
                self.peers[number].hear(&mut out)?;
            }
            if !busy {
                return Ok(());
            }
        }
        Err("the reference router finds no rest".into())
    }

    fn hear(&mut self, now: Duration) -> Result<bool, String> {
        let mut busy = false;
        for number in 0..self.peers.len() {
            let bytes = std::mem::take(&mut self.peers[number].out);
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                busy = true;
                let (message, more) = rest.split_at(whole(rest, false)?);
                self.engine.receive(number, ConnectionSide::Accepted, message, now);
                self.act(now)?;
                rest = more;
            }
        }
        Ok(busy)
    }

    fn act(&mut self, now: Duration) -> Result<(), String> {
        while let Some(action) = self.engine.speaker.poll() {
            let number = |engine: &Engine, id| engine.number(id).ok_or("a neighbor without a number");
            match action {
                Action::Send { neighbor, mut message, .. } => {
                    let number = number(&self.engine, neighbor)?;
                    self.peers[number].hear(&mut message)?;
                }
                Action::Established { neighbor, side } => {
                    let number = number(&self.engine, neighbor)?;
                    self.established[number] = true;
                    let ends = Engine::ends(number);
                    self.engine.speaker.established(neighbor, side, ends, 1, now, &mut self.engine.rib);
                }
                Action::Down { reason, .. } => return Err(format!("a session of the reference router: {reason}")),
                _ => {}
            }
        }
        Ok(())
    }
}

impl World {
    /// A primary has frozen: these are its tables.
    pub(crate) fn note_tables(&mut self, dump: Vec<String>) {
        self.frozen_dump = Some(dump);
    }

    /// The digests were found equal at a switch.
    pub(crate) fn check_tables(&mut self, dump: &[String]) {
        let Some(frozen) = self.frozen_dump.take() else { return };
        let differs =
            frozen.iter().find(|line| !dump.contains(line)).or(dump.iter().find(|line| !frozen.contains(line)));
        if let Some(line) = differs {
            self.violate(format!("digests are equal, tables are not: {line}"));
        }
    }

    /// Stale routes stay until the neighbour has told them again, or that this is all.
    pub(crate) fn check_removal(&mut self, key: Key, value: u32) {
        let faultless = self.faults.is_empty();
        for neighbor in &self.neighbors {
            let Some(peer) = neighbor.peer.as_ref().filter(|peer| faultless && peer.is_returning) else { continue };
            let settled = |at: &Time| self.now >= *at + SETTLED;
            let was_taken_back = peer.withdrawn_at.get(&key.1).is_some_and(|at| !settled(at));
            let tells = peer.own.get(&key.1).is_some_and(|own| settled(&own.since));
            if value == 0 && tells && !was_taken_back {
                let what = format!("destination {} is removed while a neighbor that tells of it restarts", key.1);
                return self.violate(what);
            }
        }
    }

    /// Everything that was said has arrived, and nobody restarted who was not to.
    pub(crate) fn check_routing(&mut self) {
        self.check_restarts();
        let peers: Vec<Peer> = self.neighbors.iter().filter_map(|neighbor| neighbor.peer.clone()).collect();
        if let Some(id) = peers.iter().position(|peer| !peer.is_up) {
            return self.violate(format!("after the run the session of neighbor {id} is not up"));
        }
        let expected = Reference::new(&peers, self.restarting).and_then(|mut reference| {
            reference.run(Duration::from_secs(2))?;
            Ok(reference)
        });
        let reference = match expected {
            Ok(reference) => reference,
            Err(what) => return self.violate(format!("the reference router: {what}")),
        };
        for (id, (peer, due)) in peers.iter().zip(&reference.peers).enumerate() {
            let differs = due.table.iter().find(|(net, route)| peer.table.get(*net) != Some(*route));
            let differs = differs.or(peer.table.iter().find(|(net, _)| !due.table.contains_key(*net)));
            if let Some((net, _)) = differs {
                let (has, ought) = (peer.table.get(net), due.table.get(net));
                self.violate(format!("neighbor {id} knows {net} as {has:?}, a router without a reboot says {ought:?}"));
            }
        }
        let due: BTreeMap<u32, u32> = reference.engine.forwarding().into_iter().collect();
        for destination in 0..DESTINATIONS {
            let due = due.get(&destination).copied().unwrap_or_default();
            let written = self.fib.entries.get(&(0, destination)).copied().unwrap_or_default();
            if due != written {
                self.violate(format!("destination {destination} is forwarded to {written}, it ought to be {due}"));
            }
        }
    }

    fn check_restarts(&mut self) {
        let commits = self.chassis.requests.iter().filter(|(_, request)| {
            matches!(
                request,
                Request::Commit { daemon: Daemon::Rpd, .. } | Request::Respawn { daemon: Daemon::Rpd, .. }
            )
        });
        let commits = commits.count() as u32;
        let finished =
            self.faults.is_empty() && self.chassis.end.as_ref().is_some_and(|end| end.outcome == Outcome::Finished);
        for id in 0..self.neighbors.len() {
            let Some(restarts) = self.neighbors[id].peer.as_ref().map(|peer| peer.restarts) else { continue };
            let planned = self.restarting >> id & 1 == 1;
            if planned && finished && restarts != 1 {
                self.violate(format!("neighbor {id} was to restart gracefully once, it did {restarts} times"));
            }
            if self.faults.len() < 2 && restarts > commits {
                self.violate(format!("neighbor {id} restarted {restarts} times, there were {commits} commits"));
            }
        }
    }
}
