//! Reading the kernel's table as a whole: warm boot, and whenever notifications were lost.
//!
//! The monitor is open before the dump begins, and what it hears meanwhile is applied afterwards, in order: the last
//! event of a route says how it is, whatever the dump saw. What was heard *before* a dump must not be applied after it; so
//! the queue is emptied first. No route is written while this goes on, and it begins only when nothing is under way. Objects that are to do
//! without a gateway that fails do change meanwhile ([`super::urgent`]): they are read again at the end. A backup that stayed away from a rush of
//! changes ([`super::rush`]) reads the table when it is over.

use std::time::Instant;

use hashbrown::HashSet;
use holdfast_kernel::netlink::Event;
use holdfast_proto::v1::Role;
use tokio::sync::mpsc;

use super::Agent;
use super::write::Reason;
use crate::error::PfedError;
use crate::limits::{MONITOR_READS_MAX, REPLAY_EVENTS_MAX, RESYNC_SPACING};
use crate::loader::{self, Loaded};

/// How far the reading of the kernel's table is.
#[derive(Debug)]
pub enum Load {
    /// It is known.
    Idle,
    /// It must be read, as soon as nothing is under way and the last reading is long enough ago.
    Wanted {
        /// It was never read before.
        first: bool,
    },
    /// So much of it changes that a backup does not even listen; until [`Agent::away`] is due.
    Away,
    /// A backup listens again, whether that is over.
    Listening {
        /// It is, if nothing more is heard until then.
        until: Instant,
    },
    /// It is being read.
    Reading {
        /// What the thread sends.
        pieces: mpsc::Receiver<Loaded>,
        /// What the kernel told meanwhile of routes and nexthop objects.
        replay: Vec<Event>,
        /// That was too much, or some of it was lost: all over again.
        again: bool,
    },
}

impl Agent {
    /// Our picture of the kernel may be wrong.
    pub(super) fn want_load(&mut self, why: &str) {
        match &mut self.load {
            Load::Idle => {
                tracing::warn!("the kernel's table is read again: {why}");
                self.load = Load::Wanted { first: false };
            }
            Load::Reading { again, .. } => *again = true,
            Load::Wanted { .. } | Load::Away | Load::Listening { .. } => {}
        }
    }

    pub(super) fn load_deadline(&self) -> Option<Instant> {
        match self.load {
            Load::Wanted { .. } if !self.has_writes_under_way() => self.last_load.map(|at| at + RESYNC_SPACING),
            Load::Away => self.away.due,
            Load::Listening { until } => Some(until),
            _ => None,
        }
    }

    pub(super) fn load_is_due(&self, now: Instant) -> bool {
        matches!(self.load, Load::Wanted { .. })
            && !self.has_writes_under_way()
            && self.load_deadline().is_none_or(|at| now >= at)
    }

    /// Reads links, addresses and nexthop objects at once, and has a thread read the routes.
    pub(super) fn begin_load(&mut self) -> Result<(), PfedError> {
        self.last_load = Some(Instant::now());
        self.forget_notifications();
        if let Err(error) = self.read_small_tables() {
            tracing::error!("{error}; trying again");
            return Ok(());
        }
        if let Load::Wanted { first: false } = self.load {
            self.counters.resynchronizations += 1;
        }
        self.fib.begin_reading_routes();
        self.load = Load::Reading { pieces: loader::spawn()?, replay: Vec::new(), again: false };
        Ok(())
    }

    /// Empties the queue of notifications: what they say is older than the dump that follows.
    fn forget_notifications(&mut self) {
        let mut events = Vec::new();
        for _ in 0..MONITOR_READS_MAX {
            if self.monitor.read(&mut events).is_err() {
                break;
            }
            events.clear();
        }
    }

    fn read_small_tables(&mut self) -> Result<(), PfedError> {
        let objects = self.probe.nexthops()?;
        let up = self.read_interfaces()?;
        self.note_links(&up);
        self.fib.read_nexthops(&objects, &up);
        Ok(())
    }

    /// Reads links and addresses; who watches hears the difference. Returns the links that are up.
    fn read_interfaces(&mut self) -> Result<HashSet<u32>, PfedError> {
        let (links, addresses) = (self.probe.links()?, self.probe.addresses()?);
        let up: HashSet<u32> = links.iter().filter(|link| link.is_up()).map(|link| link.index).collect();
        let events = self.links.replace(links, addresses);
        self.tell_watchers(events);
        Ok(up)
    }

    /// Reads links and addresses, and does what the notifications of the difference would have led to.
    pub(super) fn refresh_interfaces(&mut self) -> Result<(), PfedError> {
        let up = self.read_interfaces()?;
        let (went_down, came_up) = self.note_links(&up);
        if went_down {
            self.check_objects();
        }
        if came_up {
            self.begin_reconcile(Reason::LinkUp);
        }
        Ok(())
    }

    /// Notes which links are up; whether one went down, whether one came up.
    fn note_links(&mut self, up: &HashSet<u32>) -> (bool, bool) {
        let (mut went_down, mut came_up) = (false, false);
        for index in self.fib.links_up() {
            went_down |= !up.contains(&index) && self.fib.set_link(index, false);
        }
        for index in up {
            came_up |= self.fib.set_link(*index, true);
        }
        (went_down, came_up)
    }

    pub(super) fn handle_piece(&mut self, piece: Loaded) {
        match piece {
            Loaded::Routes(routes) => routes.iter().for_each(|(prefix, target)| self.fib.read_route(prefix, *target)),
            Loaded::End(Err(error)) => {
                tracing::error!("{error}; the kernel's table is read again");
                self.load = self.not_read();
            }
            Loaded::End(Ok(())) => self.end_load(),
        }
    }

    /// What follows a reading that is good for nothing: another one, but not in the middle of a rush.
    fn not_read(&self) -> Load {
        if self.away.due.is_some() { Load::Away } else { Load::Wanted { first: !self.loaded } }
    }

    fn end_load(&mut self) {
        self.fib.end_reading_routes();
        let Load::Reading { replay, again, .. } = std::mem::replace(&mut self.load, Load::Idle) else { return };
        for event in &replay {
            self.fib_event(event);
        }
        if again || replay.len() >= REPLAY_EVENTS_MAX {
            self.load = self.not_read();
            return;
        }
        let took_ms = self.last_load.map_or(0, |at| at.elapsed().as_millis());
        let [routes, routes6] = crate::fib::FAMILIES.map(|family| self.fib.kernel_digest(family).entries);
        let objects = self.fib.nexthop_objects();
        tracing::info!(
            "kernel read in {took_ms} ms: {routes} IPv4 and {routes6} IPv6 routes of ours, {objects} nexthop objects"
        );
        if !std::mem::replace(&mut self.loaded, true) {
            self.answer_waiting_watchers();
            self.apply_configuration();
        }
        // What groups stand for was read before the replay.
        if self.fib.take_moved_members() || self.recheck_objects {
            self.check_objects();
        }
        if self.role == Role::Primary {
            self.begin_reconcile(Reason::Resynchronized);
        }
    }
}
