//! What a session runs by. It follows from the two OPENs alone, so a backup that has both knows all of it.

use super::capability::{ADD_PATH_RECEIVE, ADD_PATH_SEND, Capability, ExtendedNextHopEntry, LongLived};
use super::encode::Format;
use super::open::OpenMessage;
use super::role::Role;
use super::route_refresh::RouteRefresh;
use holdfast_rib::Family;
use std::net::Ipv4Addr;

/// The parameters that two OPENs agree on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Negotiated {
    /// The neighbour's AS.
    pub peer_as: u32,
    /// Ours on this session.
    pub local_as: u32,
    /// Both are the same: iBGP.
    pub internal: bool,
    /// The neighbour's BGP Identifier.
    pub peer_router_id: Ipv4Addr,
    /// Ours.
    pub local_router_id: Ipv4Addr,
    /// The smaller of both proposals (RFC 4271 §4.2); 0: no hold timer, no KEEPALIVE.
    pub hold_time_s: u16,
    /// A third of it.
    pub keepalive_s: u16,
    /// AS numbers have four octets on this session.
    pub four_octet_as: bool,
    /// Messages of up to 65,535 octets go both ways (RFC 8654).
    pub extended_messages: bool,
    /// IPv4 unicast routes may have an IPv6 next hop, both ways (RFC 8950).
    pub extended_next_hop: bool,
    /// Families that both offered, by [`Family::index`].
    pub families: [bool; 2],
    /// What we are and what the neighbour is, if both said so (RFC 9234).
    pub roles: Option<(Role, Role)>,
    /// The neighbour tells several paths of these families: what comes from it has path identifiers (RFC 7911 §4).
    pub receives_paths: [bool; 2],
    /// We do: what goes to it has them.
    pub sends_paths: [bool; 2],
    /// Both understand ROUTE-REFRESH.
    pub route_refresh: bool,
    /// Both mark begin and end of a refresh (RFC 7313).
    pub enhanced_route_refresh: bool,
    /// The neighbour can restart gracefully and says for which families.
    pub peer_graceful_restart: Option<PeerGracefulRestart>,
    /// A NOTIFICATION, but for a Hard Reset, does not end graceful restart: both said so (RFC 8538 §2).
    pub notification_restart: bool,
    /// The neighbour sends End-of-RIB after its routes (RFC 4724 §3: whoever sends the capability, with families or not).
    pub peer_sends_end_of_rib: bool,
    /// We announced the capability, so the neighbour expects ours.
    pub local_sends_end_of_rib: bool,
    /// The neighbour's long-lived graceful restart (RFC 9494), by [`Family::index`], where both announced it.
    pub peer_long_lived: [Option<LongLived>; 2],
    /// The neighbour knows what long-lived stale routes are (RFC 9494 §4.4: it has announced the capability, with families or not).
    pub peer_knows_long_lived: bool,
    /// The neighbour keeps our routes over our restart for these families: we announced that we can.
    pub local_graceful_restart: [bool; 2],
}

/// The neighbour's graceful restart capability (RFC 4724 §3).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerGracefulRestart {
    /// It has restarted: it waits for our End-of-RIB before it selects routes.
    pub restarting: bool,
    /// How long we keep its routes while it is away, in seconds.
    pub time_s: u16,
    /// Families of the session, each with "forwarding state was kept". Empty: it only helps.
    pub families: Vec<(Family, bool)>,
}

impl Negotiated {
    /// What follows from both OPENs. Their validity is the session's matter.
    pub fn from_opens(local: &OpenMessage, remote: &OpenMessage) -> Negotiated {
        let hold_time_s = local.hold_time_s.min(remote.hold_time_s);
        let (ours, theirs) = (local.families(), remote.families());
        let families = [ours[0] && theirs[0], ours[1] && theirs[1]];
        let (ours, theirs) = (add_path_modes(local), add_path_modes(remote));
        let agreed = |our_mode: u8, their_mode: u8| {
            Family::ALL.map(|family| {
                let at = family.index();
                families[at] && ours[at] & our_mode != 0 && theirs[at] & their_mode != 0
            })
        };
        let both = |wanted: &Capability| local.capabilities.contains(wanted) && remote.capabilities.contains(wanted);
        let local_restart = graceful_restart(local, families);
        let peer_restart = graceful_restart(remote, families);
        let peer_long_lived = long_lived(remote, families).filter(|_| peer_restart.is_some()); // RFC 9494 §4.1: else it is ignored
        let mut local_graceful_restart = [false; 2];
        for (family, _) in local_restart.iter().flat_map(|restart| &restart.families) {
            local_graceful_restart[family.index()] = true;
        }
        Negotiated {
            peer_as: remote.autonomous_system,
            local_as: local.autonomous_system,
            internal: remote.autonomous_system == local.autonomous_system,
            peer_router_id: remote.router_id,
            local_router_id: local.router_id,
            hold_time_s,
            keepalive_s: hold_time_s / 3,
            four_octet_as: local.four_octet_as() && remote.four_octet_as(),
            extended_next_hop: by_ipv6(local) && by_ipv6(remote) && families[Family::Ipv4Unicast.index()],
            extended_messages: both(&Capability::ExtendedMessage),
            families,
            roles: role(local).zip(role(remote)),
            receives_paths: agreed(ADD_PATH_RECEIVE, ADD_PATH_SEND),
            sends_paths: agreed(ADD_PATH_SEND, ADD_PATH_RECEIVE),
            route_refresh: both(&Capability::RouteRefresh),
            enhanced_route_refresh: both(&Capability::EnhancedRouteRefresh),
            notification_restart: survives_notification(local) && survives_notification(remote),
            peer_sends_end_of_rib: peer_restart.is_some(),
            local_sends_end_of_rib: local_restart.is_some(),
            peer_knows_long_lived: peer_long_lived.is_some(),
            peer_long_lived: match (&local_restart, long_lived(local, families)) {
                (Some(_), Some(_)) => peer_long_lived.unwrap_or_default(),
                _ => [None; 2],
            },
            peer_graceful_restart: peer_restart,
            local_graceful_restart,
        }
    }

    /// How we write UPDATEs.
    pub fn format(&self) -> Format {
        match self.extended_messages {
            true => Format::extended(self.four_octet_as),
            false => Format::plain(self.four_octet_as),
        }
    }

    /// What both sides can and use, for operators.
    pub fn agreed(&self) -> Vec<String> {
        let families = Family::ALL.into_iter().filter(|family| self.carries(*family));
        let families = families.map(|family| format!("multiprotocol {}", family.name()));
        let restart = self.peer_sends_end_of_rib && self.local_sends_end_of_rib;
        let features = [
            (self.route_refresh, "route-refresh"),
            (self.enhanced_route_refresh, "enhanced route-refresh"),
            (self.four_octet_as, "4-octet AS"),
            (self.extended_messages, "extended message"),
            (self.extended_next_hop, "extended next hop ipv4-unicast by ipv6"),
            (restart, "graceful-restart"),
            (self.notification_restart, "graceful-restart after NOTIFICATION"),
            (self.peer_long_lived.iter().any(Option::is_some), "long-lived graceful-restart"),
        ];
        let features = features.into_iter().filter(|(both, _)| *both).map(|(_, name)| name.to_owned());
        let several = Family::ALL.into_iter().filter_map(|family| {
            let at = family.index();
            let what = match (self.receives_paths[at], self.sends_paths[at]) {
                (true, true) => "received and sent",
                (true, false) => "received",
                (false, true) => "sent",
                (false, false) => return None,
            };
            Some(format!("several paths {} {what}", family.name()))
        });
        let roles = self.roles.map(|(ours, theirs)| format!("roles: {ours} here, {theirs} there"));
        families.chain(features).chain(several).chain(roles).collect()
    }

    /// The parameters by which the neighbour reads what we write.
    pub fn as_sent(&self) -> Negotiated {
        Negotiated { receives_paths: self.sends_paths, ..self.clone() }
    }

    /// Whether a ROUTE-REFRESH means something on this session.
    pub fn expects(&self, message: RouteRefresh) -> bool {
        match message {
            RouteRefresh::Request(family) => self.carries(family),
            RouteRefresh::Begin(family) | RouteRefresh::End(family) => {
                self.enhanced_route_refresh && self.carries(family)
            }
            RouteRefresh::Ignored => false,
        }
    }

    /// Are routes of this family exchanged?
    pub fn carries(&self, family: Family) -> bool {
        self.families[family.index()]
    }
}

/// The role that a speaker claims; contradictions were refused (RFC 9234 §4.2).
fn role(open: &OpenMessage) -> Option<Role> {
    open.roles().next().and_then(Role::from_code)
}

/// Does the speaker take IPv6 next hops of IPv4 unicast routes?
fn by_ipv6(open: &OpenMessage) -> bool {
    let entries = |capability: &Capability| matches!(capability, Capability::ExtendedNextHop(entries) if entries.contains(&ExtendedNextHopEntry::IPV4_BY_IPV6));
    open.capabilities.iter().any(entries)
}

/// The long-lived graceful restart capability of an OPEN for the session's families; `None`: it has none.
fn long_lived(open: &OpenMessage, negotiated: [bool; 2]) -> Option<[Option<LongLived>; 2]> {
    let last = open.capabilities.iter().rev().find_map(|capability| match capability {
        Capability::LongLivedGracefulRestart(entries) => Some(entries),
        _ => None,
    })?;
    let of = |family: Family| last.iter().rev().find(|entry| entry.family == family).copied();
    Some(Family::ALL.map(|family| of(family).filter(|_| negotiated[family.index()])))
}

/// Does the last graceful restart capability of an OPEN have the N bit?
fn survives_notification(open: &OpenMessage) -> bool {
    let last = open.capabilities.iter().rev().find_map(|capability| match capability {
        Capability::GracefulRestart { notification, .. } => Some(*notification),
        _ => None,
    });
    last == Some(true)
}

/// What a speaker offers to do with several paths of each family. An entry that says none of the three is passed over (RFC 7911 §4).
fn add_path_modes(open: &OpenMessage) -> [u8; 2] {
    let mut modes = [0; 2];
    for capability in &open.capabilities {
        let Capability::AddPath(entries) = capability else { continue };
        for (afi, safi, mode) in entries {
            let meaningful = (ADD_PATH_RECEIVE..=ADD_PATH_RECEIVE | ADD_PATH_SEND).contains(mode);
            if let Some(family) = Family::from_afi_safi(*afi, *safi).filter(|_| meaningful) {
                modes[family.index()] = *mode;
            }
        }
    }
    modes
}

/// The last graceful restart capability of an OPEN (RFC 4724 §3: "the last one counts"), for the session's families.
fn graceful_restart(open: &OpenMessage, negotiated: [bool; 2]) -> Option<PeerGracefulRestart> {
    open.capabilities.iter().rev().find_map(|capability| match capability {
        Capability::GracefulRestart { restarting, time_s, families, .. } => Some(PeerGracefulRestart {
            restarting: *restarting,
            time_s: *time_s,
            families: families.iter().copied().filter(|(f, _)| negotiated[f.index()]).collect(),
        }),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(asn: u32, hold_time_s: u16, capabilities: Vec<Capability>) -> OpenMessage {
        OpenMessage { autonomous_system: asn, hold_time_s, router_id: Ipv4Addr::new(1, 1, 1, 1), capabilities }
    }

    #[test]
    fn only_what_both_offer_is_used() {
        let restart =
            |families| Capability::GracefulRestart { restarting: false, notification: true, time_s: 90, families };
        let local = open(
            1,
            90,
            vec![
                Capability::MultiProtocol(Family::Ipv4Unicast),
                Capability::MultiProtocol(Family::Ipv6Unicast),
                Capability::FourOctetAs(1),
                Capability::RouteRefresh,
                restart(vec![]),
            ],
        );
        let remote = open(
            2,
            9,
            vec![
                Capability::MultiProtocol(Family::Ipv6Unicast),
                Capability::FourOctetAs(2),
                restart(vec![(Family::Ipv4Unicast, true), (Family::Ipv6Unicast, true)]),
            ],
        );
        let negotiated = Negotiated::from_opens(&local, &remote);
        assert_eq!(negotiated.families, [false, true]);
        assert_eq!((negotiated.hold_time_s, negotiated.keepalive_s), (9, 3));
        assert!(negotiated.four_octet_as && !negotiated.route_refresh && !negotiated.internal);
        let peer = negotiated.peer_graceful_restart.unwrap();
        assert_eq!(peer.families, [(Family::Ipv6Unicast, true)]);
        assert_eq!(negotiated.local_graceful_restart, [false; 2]);
        assert!(negotiated.peer_sends_end_of_rib && negotiated.local_sends_end_of_rib);
        assert!(negotiated.notification_restart);
    }

    #[test]
    fn several_paths_go_where_one_sends_and_the_other_receives() {
        let open = |entries: &[(u16, u8, u8)]| {
            let families = Family::ALL.map(Capability::MultiProtocol);
            open(1, 90, families.into_iter().chain([Capability::AddPath(entries.to_vec())]).collect())
        };
        let agreed = |ours: &[(u16, u8, u8)], theirs: &[(u16, u8, u8)]| {
            let negotiated = Negotiated::from_opens(&open(ours), &open(theirs));
            let sent = negotiated.as_sent();
            assert_eq!(sent.receives_paths, negotiated.sends_paths);
            (negotiated.receives_paths, negotiated.sends_paths)
        };
        assert_eq!(agreed(&[(1, 1, 3), (2, 1, 1)], &[(1, 1, 3), (2, 1, 2)]), ([true, true], [true, false]));
        assert_eq!(agreed(&[(1, 1, 1)], &[(1, 1, 1)]), ([false; 2], [false; 2]));
        assert_eq!(agreed(&[(1, 1, 3)], &[(1, 1, 4), (1, 2, 3), (2, 1, 0)]), ([false; 2], [false; 2]));
    }

    #[test]
    fn hold_time_zero_means_none() {
        let negotiated = Negotiated::from_opens(&open(1, 0, vec![]), &open(1, 90, vec![]));
        assert_eq!((negotiated.hold_time_s, negotiated.keepalive_s), (0, 0));
        assert_eq!(negotiated.families, [true, false]);
        assert!(negotiated.internal && !negotiated.peer_sends_end_of_rib);
    }
}
