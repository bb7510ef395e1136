//! What a session is configured with, and the OPEN that follows from it.

use crate::wire::{ADD_PATH_RECEIVE, ADD_PATH_SEND, Capability, ExtendedNextHopEntry, LongLived, OpenMessage, Role};
use holdfast_rib::Family;
use std::net::Ipv4Addr;

/// Graceful restart as we announce it (RFC 4724 §3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GracefulRestart {
    /// How long the neighbour should keep our routes, in seconds; 12 bits on the wire.
    pub restart_time_s: u16,
    /// The kernel went on forwarding over our last restart.
    pub forwarding_kept: bool,
}

/// Our role on a session (RFC 9234 §4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RoleConfig {
    /// What we say.
    pub role: Role,
    /// A neighbour that says nothing is refused.
    pub strict: bool,
}

/// What a session is configured with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionConfig {
    /// Our AS number on this session.
    pub local_as: u32,
    /// The neighbour's; any other is refused.
    pub peer_as: u32,
    /// iBGP.
    pub internal: bool,
    /// Our BGP Identifier.
    pub router_id: Ipv4Addr,
    /// Hold time that we propose, in seconds: 0 (none) or at least 3.
    pub hold_time_s: u16,
    /// Wait for the neighbour to connect.
    pub passive: bool,
    /// Families that we offer, by [`Family::index`].
    pub families: [bool; 2],
    /// Exchange IPv4 routes with IPv6 next hops too (RFC 8950).
    pub extended_next_hop: bool,
    /// What we are to the neighbour (RFC 9234); external sessions only.
    pub role: Option<RoleConfig>,
    /// Families of which we take several paths (RFC 7911), by [`Family::index`].
    pub receives_paths: [bool; 2],
    /// Families of which we tell several.
    pub sends_paths: [bool; 2],
    /// Graceful restart, if we want the neighbour to keep our routes.
    pub graceful_restart: Option<GracefulRestart>,
    /// Keep the neighbour's routes while it restarts; announced without families if [`Self::graceful_restart`] is not set.
    pub helper: bool,
    /// Long-lived graceful restart (RFC 9494): how long the neighbour should keep our routes beyond graceful restart, in seconds, by
    /// [`Family::index`]; 0: we only help.
    pub long_lived: Option<[u32; 2]>,
    /// We have restarted, the neighbour's routes are not learned anew yet: the neighbour should not wait for our End-of-RIB.
    pub restarting: bool,
}

impl SessionConfig {
    /// The OPEN that says all this.
    pub(crate) fn open(&self) -> OpenMessage {
        let mut capabilities = Vec::with_capacity(9);
        capabilities.extend(self.offered().map(Capability::MultiProtocol));
        capabilities.extend([Capability::RouteRefresh, Capability::EnhancedRouteRefresh]);
        capabilities.push(Capability::FourOctetAs(self.local_as));
        capabilities.push(Capability::ExtendedMessage);
        if self.extended_next_hop && self.families[Family::Ipv4Unicast.index()] {
            capabilities.push(Capability::ExtendedNextHop(vec![ExtendedNextHopEntry::IPV4_BY_IPV6]));
        }
        capabilities.extend(self.add_path_capability());
        capabilities.extend(self.role.map(|config| Capability::Role(config.role.code())));
        let restart = self.graceful_restart_capability();
        let long_lived = restart.is_some().then(|| self.long_lived_capability()).flatten();
        capabilities.extend(restart.into_iter().chain(long_lived));
        OpenMessage {
            autonomous_system: self.local_as,
            hold_time_s: self.hold_time_s,
            router_id: self.router_id,
            capabilities,
        }
    }

    /// Families that we offer.
    pub(crate) fn offered(&self) -> impl Iterator<Item = Family> + '_ {
        Family::ALL.into_iter().filter(|family| self.families[family.index()])
    }

    /// RFC 7911 §4.
    fn add_path_capability(&self) -> Option<Capability> {
        let entry = |family: Family| {
            let receive = if self.receives_paths[family.index()] { ADD_PATH_RECEIVE } else { 0 };
            let send = if self.sends_paths[family.index()] { ADD_PATH_SEND } else { 0 };
            (receive | send != 0).then_some((family.afi(), family.safi(), receive | send))
        };
        let entries: Vec<_> = self.offered().filter_map(entry).collect();
        (!entries.is_empty()).then_some(Capability::AddPath(entries))
    }

    fn graceful_restart_capability(&self) -> Option<Capability> {
        let (time_s, families) = match self.graceful_restart {
            Some(restart) => {
                let families = self.offered().map(|family| (family, restart.forwarding_kept)).collect();
                (restart.restart_time_s, families)
            }
            None if self.helper => (0, Vec::new()),
            None => return None,
        };
        Some(Capability::GracefulRestart { restarting: self.restarting, notification: true, time_s, families })
    }

    fn long_lived_capability(&self) -> Option<Capability> {
        let times = self.long_lived?;
        let forwarding_kept = self.graceful_restart.is_some_and(|restart| restart.forwarding_kept);
        let entry = |family: Family| LongLived { family, forwarding_kept, time_s: times[family.index()] };
        Some(Capability::LongLivedGracefulRestart(self.offered().map(entry).collect()))
    }

    /// Would the neighbour have to be told by a new OPEN, or be refused? "We have restarted" is true of one moment only and
    /// does not count.
    pub(crate) fn needs_new_session(&self, new: &SessionConfig) -> bool {
        let lasting = |config: &SessionConfig| SessionConfig {
            restarting: false,
            passive: false,
            graceful_restart: config.graceful_restart.map(|r| GracefulRestart { forwarding_kept: false, ..r }),
            ..config.clone()
        };
        lasting(self) != lasting(new)
    }
}
