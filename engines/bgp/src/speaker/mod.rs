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
//! - `connections`: what the daemon tells of them. `establishment`: a session comes up, and ends.
//! - `attributes`: distinct attribute sets, interned as received, kept as bytes (`contents`), counted. `ranks`: what of them is compared.
//! - `table`: every neighbour's path to every prefix, 16 bytes each.
//! - `input`: an UPDATE becomes paths; import policy; loops. `decision`: which path is best; `choice`: where it leads, and what stands by;
//!   `next_hops`: which next hops a neighbour may name.
//! - `import_rules`, `export_rules`, `as_path_rules`, `communities`: what holds before any policy: loops, first AS; to whom a route may go and
//!   what changes on the way, reflection, AS numbers shown and hidden.
//! - `malformed`: what is remembered, and logged, of UPDATEs that cannot be taken as they are.
//! - `prefix_limit`: how many prefixes a neighbour may tell.
//! - `group`: what a route becomes on its way out, worked out once per distinct set and group of like neighbours, but for
//!   our own address as next hop, which is filled in for each.
//! - `told`: what the members of a group have been told, noted once for all; `advertised`: each neighbour's part of it.
//! - `leak`: which routes a neighbour's role forbids.
//! - `own_addresses`: under which address of ours it is told.
//! - `output`: what a neighbour is to be told, compared with what it was told, packed into UPDATEs (`together`: those of one attribute set).
//! - `too_long`: what has no room in a message to a neighbour.
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
mod bfd;
mod choice;
mod client_view;
mod communities;
mod connections;
mod contents;
mod contributions;
mod decision;
mod establishment;
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
mod malformed;
mod neighbor;
mod next_hops;
mod out_delay;
mod output;
mod own_addresses;
mod path_order;
mod policy_test;
mod policy_view;
mod prefix_limit;
mod ranks;
mod recovery;
mod refresh;
mod restart;
mod rules_view;
mod settings;
mod several;
mod shares;
mod snapshot;
mod table;
mod together;
mod told;
mod too_long;
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

use crate::session::{ConnectionSide, Output};

pub use action::{Action, ConnectSpec, Kept, Rejection};
pub use bfd::{Consequence, Watched, WayLost};
pub use neighbor::Counters;
pub use policy_test::TriedFor;
pub use settings::SettingsError;
pub use table::NeighborId;
pub use transport::{AuthenticationKey, Transport};

use aggregate::{Aggregate, Members};
use allowed::Allowed;
use attributes::{AttributeId, AttributeTable};
use decision::MedRules;
use group::ExportGroup;
use neighbor::Neighbor;
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
    /// [`Rib::link_changes`] when our addresses were looked at last.
    links_seen: u64,
    /// Attributes under which static and direct routes leave us.
    local_origin: AttributeId,
    actions: VecDeque<Action>,
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
            links_seen: 0,
            local_origin: AttributeId::NONE,
            actions: VecDeque::new(),
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
            self.enforce_limits(id, now);
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
                    match self.connect_spec(id, rib) {
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

    /// Forgets numbers of attribute sets that nobody uses any more, everywhere.
    fn forget_freed(&mut self) {
        if !self.attributes.has_freed() {
            return;
        }
        let freed = self.attributes.take_freed();
        for group in self.groups.iter_mut().flatten() {
            group.forget(&freed);
        }
        for neighbor in self.neighbors.iter_mut().flatten().filter(|neighbor| !neighbor.import_memo.is_empty()) {
            for id in &freed {
                neighbor.import_memo.remove(id);
            }
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
