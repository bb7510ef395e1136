//! # One BGP speaker: all neighbours, their tables, what is chosen and what is told on
//!
//! The speaker is a value. The daemon feeds it bytes, RIB changes and time; it answers with [`Action`]s and, when a
//! socket has room, with bytes to write ([`Speaker::fill_output`]). It opens no socket and reads no clock.
//!
//! ```text
//! bytes -> session -> input -> PathTable -> decision -> Rib -> output -> bytes
//!                       |                                       |
//!                 attributes (interned)                export groups (memo)
//! ```
//!
//! - `attributes`: distinct attribute sets, interned as received, kept as bytes, counted.
//! - `table`: every neighbour's path to every prefix, 16 bytes each.
//! - `input`: an UPDATE becomes paths; import policy; loops. `decision`: which path is best.
//! - `import_rules`, `export_rules`, `as_path_rules`, `communities`: what holds before any policy: loops, first AS; to whom a route may go and
//!   what changes on the way, reflection, AS numbers shown and hidden.
//! - `prefix_limit`: how many prefixes a neighbour may tell.
//! - `group`: what a route becomes on its way out, worked out once per distinct set and group of like neighbours, but for
//!   our own address as next hop, which is filled in for each.
//! - `told`: what the members of a group have been told, noted once for all; `advertised`: each neighbour's part of it.
//! - `leak`: which routes a neighbour's role forbids.
//! - `output`: what a neighbour is to be told, compared with what it was told, packed into UPDATEs.
//! - `client_view`: what a route server's client is told instead, where the best path cannot go to it.
//! - `out_delay`: changes that wait before they are told.
//! - `aggregate`, `contributions`: routes of our own that stand for longer ones, and what these have in common.
//! - `several`, `path_order`: which paths a neighbour is told that hears several to one destination.
//! - `background`: work on whole tables, in slices: sweeping a lost neighbour's paths, new policies, next hops that moved.
//! - `facts`: the same speaker as follower: what [`Switchover`](holdfast_replication::Switchover) asks for. A follower
//!   runs the same input and decision; what was *sent* it learns from facts, so that after a switchover
//!   the difference between what a neighbour should have and what it has is known exactly (and normally empty).
//! - `snapshot`: the tables in slices, for a follower that has joined.
//! - `refresh`: everything once more, asked for by either side.
//! - `restart`: graceful restart, the neighbour's and our own; which road each session would take through a switchover.
//! - `long_lived`: what stays when a neighbour's graceful restart is over.
//! - `allowed`: neighbours that need not be configured. `history`: what is remembered of a session that has ended.
//! - `recovery`: our restart as a whole, after a crash that nobody took over.
//! - `settings`: configuration, by difference. `transport`: what connections are protected by. `views`, `rules_view`: for
//!   operators.

mod action;
mod advertised;
mod aggregate;
mod allowed;
mod as_path_rules;
mod attributes;
mod background;
mod client_view;
mod communities;
mod contributions;
mod decision;
mod explain;
mod export_rules;
mod facts;
mod group;
mod history;
mod import_rules;
mod input;
mod leak;
pub mod limits;
mod local;
mod long_lived;
mod neighbor;
mod out_delay;
mod output;
mod path_order;
mod policy_test;
mod policy_view;
mod prefix_limit;
mod recovery;
mod refresh;
mod restart;
mod rules_view;
mod settings;
mod several;
mod snapshot;
mod table;
mod told;
mod transport;
mod views;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hashbrown::{HashMap, HashSet};
use holdfast_policy::PolicySet;
use holdfast_rib::{Family, NexthopSetId, Rib};

use crate::session::{ConnectionSide, Output, Verdict};
use crate::wire::{self, Cease, MessageType, NotificationMessage};

pub use action::{Action, ConnectSpec, Kept, Rejection};
pub use neighbor::Counters;
pub use settings::SettingsError;
pub use table::NeighborId;
pub use transport::{AuthenticationKey, Transport};

use aggregate::{Aggregate, Members};
use allowed::Allowed;
use attributes::{AttributeId, AttributeTable, Remembered};
use decision::MedRules;
use group::ExportGroup;
use neighbor::{Neighbor, Sweep, Up};
use prefix_limit::LimitState;
use recovery::Recovery;
use table::PathTable;

/// One BGP speaker.
pub struct Speaker {
    neighbors: Vec<Option<Neighbor>>,
    by_address: HashMap<IpAddr, NeighborId>,
    attributes: AttributeTable,
    tables: [PathTable; 2],
    groups: Vec<Option<ExportGroup>>,
    policies: PolicySet,
    /// Prefixes that neighbours are accepted from without being configured.
    allowed: Vec<Allowed>,
    router_id: std::net::Ipv4Addr,
    /// Whether the configuration names it.
    router_id_configured: bool,
    local_as: u32,
    /// Clusters that we are the reflector of (RFC 4456 §7).
    clusters: Vec<std::net::Ipv4Addr>,
    maximum_paths: u32,
    med_rules: MedRules,
    /// Some neighbours are clients of a route server.
    serves_clients: bool,
    /// Families of which anybody hears several paths to one destination.
    several: [bool; 2],
    listen_port: u16,
    /// Attributes under which static and direct routes leave us.
    local_origin: AttributeId,
    actions: VecDeque<Action>,
    multipaths: HashMap<smallvec::SmallVec<[IpAddr; 1]>, NexthopSetId>,
    /// Next hops that moved and the scan that decides anew for the paths that use them.
    moved_nexthops: HashSet<NexthopSetId>,
    rescan: [Option<u32>; 2],
    /// Routes put together from longer ones.
    aggregates: Vec<Aggregate>,
    /// What was counted for earlier ones.
    former_members: Vec<(Family, Members)>,
    /// Neighbours whose sessions stand still because another engine owns them.
    following: bool,
    preparing: bool,
    /// The process before this one died, and this one does not know yet what that had chosen.
    recovery: Option<Recovery>,
    /// Neighbours that a configuration has removed, until the daemon has done what is to be done for them.
    departed: HashMap<NeighborId, IpAddr>,
    /// Neighbours that a configuration has removed here while the primary may still tell facts about them.
    unfollowed: HashSet<IpAddr>,
    seed: u64,
}

/// What the daemon knows of a connection that the speaker does not.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionEnds {
    /// Our end.
    pub local: SocketAddr,
    /// The neighbour's end.
    pub remote: SocketAddr,
}

impl Speaker {
    /// A speaker without neighbours. `following`: its sessions belong to another engine until `activate`.
    /// `seed` feeds the jitter of retries.
    pub fn new(following: bool, seed: u64) -> Self {
        Self {
            neighbors: Vec::new(),
            by_address: HashMap::new(),
            attributes: AttributeTable::default(),
            tables: Default::default(),
            groups: Vec::new(),
            policies: PolicySet::default(),
            allowed: Vec::new(),
            router_id: std::net::Ipv4Addr::UNSPECIFIED,
            router_id_configured: false,
            local_as: 0,
            clusters: Vec::new(),
            maximum_paths: 1,
            med_rules: MedRules::default(),
            serves_clients: false,
            several: [false; 2],
            listen_port: 0,
            local_origin: AttributeId::NONE,
            actions: VecDeque::new(),
            multipaths: HashMap::new(),
            moved_nexthops: HashSet::new(),
            rescan: [None; 2],
            aggregates: Vec::new(),
            former_members: Vec::new(),
            following,
            preparing: false,
            recovery: None,
            departed: HashMap::new(),
            unfollowed: HashSet::new(),
            seed,
        }
    }

    fn get(&self, id: NeighborId) -> Option<&Neighbor> {
        self.neighbors.get(id.0 as usize)?.as_ref()
    }

    fn get_mut(&mut self, id: NeighborId) -> Option<&mut Neighbor> {
        self.neighbors.get_mut(id.0 as usize)?.as_mut()
    }

    /// All configured neighbours.
    pub fn neighbor_ids(&self) -> Vec<NeighborId> {
        self.neighbors.iter().flatten().map(|neighbor| neighbor.id).collect()
    }

    /// The neighbour with this address.
    pub fn find_neighbor(&self, address: IpAddr) -> Option<NeighborId> {
        self.by_address.get(&address.to_canonical()).copied()
    }

    /// The neighbour's address. Of one that was removed too, until all [`Action`]s have been polled.
    pub fn neighbor_address(&self, id: NeighborId) -> Option<IpAddr> {
        self.get(id).map(|neighbor| neighbor.address).or_else(|| self.departed.get(&id).copied())
    }

    /// Whether the neighbour's session is established on this connection.
    pub fn is_established(&self, id: NeighborId, side: ConnectionSide) -> bool {
        self.get(id).is_some_and(|neighbor| neighbor.up.as_ref().is_some_and(|up| up.side == side))
    }

    /// A connection that [`Action::Connect`] asked for is up.
    pub fn tcp_connected(&mut self, id: NeighborId, rib: &mut Rib, now: Duration) {
        if let Some(neighbor) = self.get_mut(id) {
            neighbor.session.tcp_connected(now);
        }
        self.collect(id, rib, now);
    }

    /// It could not be made.
    pub fn tcp_failed(&mut self, id: NeighborId, reason: &str, rib: &mut Rib, now: Duration) {
        if let Some(neighbor) = self.get_mut(id) {
            neighbor.session.tcp_failed(reason, now);
        }
        self.collect(id, rib, now);
    }

    /// Somebody connected to us. With the neighbour comes the side of a dead connection that this one replaces: it is to be
    /// closed first. `Err` says why the new connection is to be closed at once.
    pub fn tcp_accepted(
        &mut self,
        from: IpAddr,
        rib: &mut Rib,
        now: Duration,
    ) -> Result<(NeighborId, Option<ConnectionSide>), Rejection> {
        let from = from.to_canonical();
        let id = match self.find_neighbor(from) {
            Some(id) => id,
            None => self.welcome(from, rib, now)?,
        };
        self.renew_scope(id, rib);
        let gone = || Rejection { reason: format!("{from} is not a configured neighbor"), notification: None };
        let neighbor = self.get_mut(id).ok_or_else(gone)?;
        if neighbor.config.disable {
            let notification = Some(neighbor.shutdown_notification());
            return Err(Rejection { reason: format!("neighbor {from} is shut down here"), notification });
        }
        let replaced = match neighbor.session.tcp_accepted(now) {
            Verdict::Accept => None,
            Verdict::Replace { closes } => Some(closes),
            Verdict::Refuse(reason) => {
                // RFC 4271 §6.8: the established one is kept.
                let collision = neighbor.up.is_some().then(|| NotificationMessage::cease(Cease::ConnectionCollision));
                return Err(Rejection { reason: format!("neighbor {from}: {reason}"), notification: collision });
            }
        };
        self.collect(id, rib, now);
        Ok((id, replaced))
    }

    /// A connection has ended without our doing.
    pub fn tcp_closed(&mut self, id: NeighborId, side: ConnectionSide, reason: &str, rib: &mut Rib, now: Duration) {
        if let Some(neighbor) = self.get_mut(id) {
            neighbor.session.tcp_closed(side, reason, now);
        }
        self.collect(id, rib, now);
    }

    /// Takes whole messages (one or many) of one connection. Until a session is established the caller passes one message
    /// at a time, so that [`Action::Established`] falls exactly between two messages.
    pub fn receive(&mut self, id: NeighborId, side: ConnectionSide, bytes: &[u8], rib: &mut Rib, now: Duration) {
        let mut rest = bytes;
        while !rest.is_empty() {
            match wire::frame(rest) {
                Ok(Some((length, kind))) => {
                    let body = &rest[wire::HEADER_LEN..length];
                    rest = &rest[length..];
                    if let Err(error) = self.message(id, side, kind, body, rib, now) {
                        self.fail(id, side, error, rib, now);
                        break;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    self.fail(id, side, error, rib, now);
                    break;
                }
            }
            self.collect(id, rib, now);
        }
        self.forget_freed();
        self.collect(id, rib, now);
    }

    /// The bytes on a connection are not BGP, in whatever state it is (RFC 4271 §6.1).
    pub fn fail(
        &mut self,
        id: NeighborId,
        side: ConnectionSide,
        error: NotificationMessage,
        rib: &mut Rib,
        now: Duration,
    ) {
        if let Some(neighbor) = self.get_mut(id) {
            neighbor.session.fail_on(side, error, now);
        }
        self.collect(id, rib, now);
    }

    /// The kernel takes no more of what was made for this connection. A neighbour that goes on saying KEEPALIVE and reads nothing
    /// is given up in the end (RFC 9687).
    pub fn output_blocked(&mut self, id: NeighborId, side: ConnectionSide, now: Duration) {
        if let Some(neighbor) = self.get_mut(id) {
            neighbor.session.output_blocked(side, now);
        }
    }

    /// The kernel has taken some of it.
    pub fn output_moves(&mut self, id: NeighborId, side: ConnectionSide) {
        if let Some(neighbor) = self.get_mut(id) {
            neighbor.session.output_moves(side);
        }
    }

    fn message(
        &mut self,
        id: NeighborId,
        side: ConnectionSide,
        kind: MessageType,
        body: &[u8],
        rib: &mut Rib,
        now: Duration,
    ) -> Result<(), NotificationMessage> {
        use crate::session::Received;
        let Some(neighbor) = self.get_mut(id) else { return Ok(()) };
        neighbor.counters.messages_in += 1;
        neighbor.last_read = now;
        match neighbor.session.receive(side, kind, body, now) {
            Received::Update => {
                neighbor.counters.updates_in += 1;
                neighbor.note_growth(now);
                self.update(id, body, rib)?;
                self.enforce_limits(id, now);
            }
            Received::RouteRefresh(message) => self.refresh_heard(id, message, now),
            Received::Handled => {}
        }
        Ok(())
    }

    /// Lets time pass: hold timers, retries, stale routes.
    pub fn tick(&mut self, rib: &mut Rib, now: Duration) {
        if self.following {
            return;
        }
        for id in self.neighbor_ids() {
            self.expire_stale(id, now);
            self.note_restart(id, now);
            self.note_delay(id, rib, now);
            self.end_idle(id, now);
            self.expire_refresh(id, now);
            self.collect(id, rib, now);
        }
        self.forget_allowed(rib, now);
        self.recovery_tick(now);
    }

    /// When [`Speaker::tick`] has to be called at the latest.
    pub fn next_deadline(&self) -> Option<Duration> {
        if self.following {
            return None;
        }
        let of = |neighbor: &Neighbor| {
            let restarts = [neighbor.stale_deadline(), neighbor.claims_restart_until];
            let waits = [neighbor.delay_ends(), neighbor.idle_until, neighbor.refresh_ends()];
            restarts.into_iter().chain(waits).chain([neighbor.session.next_deadline()])
        };
        self.neighbors.iter().flatten().flat_map(of).chain([self.recovery_deadline()]).flatten().min()
    }

    /// What the daemon has to do next.
    pub fn poll(&mut self) -> Option<Action> {
        let action = self.actions.pop_front();
        if action.is_none() {
            self.departed.clear(); // their numbers may be given out anew
        }
        action
    }

    /// Takes a session's outputs over into the speaker's tables and actions.
    fn collect(&mut self, id: NeighborId, rib: &mut Rib, now: Duration) {
        if self.following {
            return;
        }
        while let Some(output) = self.get_mut(id).and_then(|neighbor| neighbor.session.poll(now)) {
            match output {
                Output::Connect => {
                    self.renew_scope(id, rib);
                    match self.connect_spec(id) {
                        Ok(spec) => self.actions.push_back(Action::Connect { neighbor: id, spec }),
                        Err(reason) => {
                            if let Some(neighbor) = self.get_mut(id) {
                                neighbor.session.tcp_failed(&reason, now);
                            }
                        }
                    }
                }
                Output::Close { side } => self.actions.push_back(Action::Close { neighbor: id, side }),
                Output::Send { side, message } => {
                    if let Some(neighbor) = self.get_mut(id) {
                        neighbor.counters.messages_out += 1;
                        neighbor.last_written = now;
                    }
                    self.actions.push_back(Action::Send { neighbor: id, side, message });
                }
                Output::Established { side } => self.actions.push_back(Action::Established { neighbor: id, side }),
                Output::Down { reason } => {
                    if let Some(neighbor) = self.get_mut(id) {
                        neighbor.ended_blameless = reason.is_nobodys_fault();
                    }
                    let kept = self.session_down(id, &reason.text, reason.graceful, rib, now);
                    self.actions.push_back(Action::Down { neighbor: id, reason: reason.text, kept });
                }
            }
        }
        self.note_notifications(id);
    }

    fn connect_spec(&self, id: NeighborId) -> Result<ConnectSpec, String> {
        let neighbor = self.get(id).ok_or("the neighbor is gone")?;
        if !neighbor.config.interface.is_empty() && neighbor.scope.is_none() {
            return Err(format!("there is no interface {}", neighbor.config.interface));
        }
        let port = u16::try_from(neighbor.config.port).ok().filter(|port| *port != 0).unwrap_or(limits::BGP_PORT);
        Ok(ConnectSpec {
            remote: SocketAddr::new(neighbor.address, port),
            scope: neighbor.scope.unwrap_or_default(),
            local: neighbor.config.local_address.parse().ok(),
            transport: Transport::of(&neighbor.config),
        })
    }

    /// After [`Action::Established`]: the daemon tells the connection's ends; the exchange of routes begins.
    pub fn established(
        &mut self,
        id: NeighborId,
        side: ConnectionSide,
        ends: ConnectionEnds,
        unix_ms: u64,
        now: Duration,
        rib: &mut Rib,
    ) {
        let Some(neighbor) = self.get_mut(id) else { return };
        let Some(negotiated) = neighbor.session.negotiated().cloned() else { return };
        let up = Up {
            negotiated,
            side,
            local_open: neighbor.session.local_open_wire().unwrap_or_default().to_vec(),
            remote_open: neighbor.session.remote_open_wire().unwrap_or_default().to_vec(),
            local: ends.local,
            remote: ends.remote,
            established_unix_ms: unix_ms,
            established_at: now,
        };
        self.session_up(id, up, rib, now);
    }

    fn session_up(&mut self, id: NeighborId, up: Up, rib: &mut Rib, now: Duration) {
        let Some(neighbor) = self.get_mut(id) else { return };
        neighbor.last_error.clear();
        for family in Family::ALL {
            let state = &mut neighbor.families[family.index()];
            state.end_of_rib_received = false;
            state.end_of_rib_sent = false;
            state.refresh = None;
            state.unrefreshed = None;
            state.limit = LimitState::default();
            state.initial = up.negotiated.families[family.index()].then_some(0);
        }
        let router_id = up.negotiated.peer_router_id;
        let renamed = std::mem::replace(&mut neighbor.router_id, router_id) != router_id;
        let stale = neighbor.stale;
        neighbor.up = Some(up.clone());
        neighbor.forwarded = true;
        neighbor.is_back();
        if let Some(stale) = stale {
            if renamed {
                // What waits was chosen, or not, under the old name, and reflected under it.
                self.import_anew(id);
                self.advertise_all_anew();
            }
            self.came_back(id, stale, &up, now);
        }
        self.renew_session_config(id);
        self.assign_group(id, rib);
        self.note_several();
    }

    /// A session has ended: what was sent is forgotten, what was received is kept as stale or goes. Returns which.
    fn session_down(&mut self, id: NeighborId, reason: &str, graceful: bool, rib: &mut Rib, now: Duration) -> Kept {
        let Some(neighbor) = self.get_mut(id) else { return Kept::Nothing };
        reason.clone_into(&mut neighbor.last_error);
        let Some(up) = neighbor.up.take() else { return Kept::Nothing };
        neighbor.counters.flaps += 1;
        let helps = graceful && neighbor.config.graceful_restart_helper;
        let kept = if helps { up.retained() } else { [false; 2] };
        let any_kept = kept.contains(&true);
        neighbor.went_away(any_kept, &up, now);
        self.take_down(id, kept, rib);
        self.keep_beyond_restart(id, &up, kept, now);
        if any_kept { Kept::WhileItRestarts } else { Kept::Nothing }
    }

    /// `kept`: families whose routes stay as stale. What was stale before goes in any case (RFC 4724 §4.2, consecutive restarts).
    fn take_down(&mut self, id: NeighborId, kept: [bool; 2], rib: &mut Rib) {
        let Some(neighbor) = self.get_mut(id) else { return };
        neighbor.generation = neighbor.generation.wrapping_add(1);
        for (state, kept) in neighbor.families.iter_mut().zip(kept) {
            state.initial = None;
            state.refresh = None;
            state.unrefreshed = None;
            state.end_of_rib_received = false;
            state.end_of_rib_sent = false;
            state.long_lived = None;
            state.sweep = Some(Sweep { from: 0, keeps_last: kept });
        }
        self.forget_advertised(id, rib);
        self.note_several();
    }

    /// Forgets numbers of attribute sets that nobody uses any more, everywhere.
    fn forget_freed(&mut self) {
        if !self.attributes.has_freed() {
            return;
        }
        let freed = self.attributes.take_freed();
        for group in self.groups.iter_mut().flatten() {
            group.forget(&freed);
        }
        for neighbor in self.neighbors.iter_mut().flatten() {
            for id in &freed {
                if let Some(memo) = neighbor.import_memo.get_mut(id.index()) {
                    *memo = Remembered::default();
                }
            }
        }
    }

    /// Why a session is not established, in an operator's words.
    fn why_not_established(&self, neighbor: &Neighbor) -> String {
        if neighbor.up.is_some() {
            String::new()
        } else if neighbor.config.disable {
            "shut down by the configuration (statement shutdown)".into()
        } else if let Some(why) = neighbor.why_idle() {
            why
        } else if self.following {
            neighbor.last_error.clone()
        } else {
            let why = neighbor.session.why_not_established().unwrap_or_default();
            let drops = if neighbor.session.is_connected() { "" } else { neighbor.silent_drops() };
            format!("{why}{drops}")
        }
    }

    /// Port on which to listen.
    pub fn listen_port(&self) -> u16 {
        self.listen_port
    }

    /// Our BGP identifier.
    pub fn router_id(&self) -> std::net::Ipv4Addr {
        self.router_id
    }

    /// Every neighbour that can be up is, and has said everything it has: tables are complete.
    pub fn has_heard_everybody(&self, now: Duration) -> bool {
        let mut expected = self.neighbors.iter().flatten().filter(|neighbor| !neighbor.config.disable);
        !self.has_background() && expected.all(|neighbor| neighbor.has_told_everything(now))
    }
}
