//! Where an interoperation scenario takes place: a namespace for the router and one for each neighbour, a link between them
//! with addresses of both families, and a capture on it.

use std::net::{IpAddr, Ipv6Addr};

use super::{
    features::{Feature, KEYS, LOCAL_AS, RESTART_TIME_S},
    offer::Family,
    peer::{Graceful, Maker, PeerPlan, Session},
    router,
    scenario::{Interop, Kind, Neighbor},
};
use crate::{
    bench::setting::Setting,
    capture::tcpdump::Capture,
    error::Result,
    host::netns::{self, Namespace},
    topology::TO_ROUTER,
};

/// Beyond the one hop that there is, so that a session would be lost were the TTL not set.
const MULTIHOP: u8 = 5;
/// The link that several neighbours share.
const SHARED_LINK: &str = "shared";
/// AS numbers of external neighbours: one does not fit two octets (RFC 6793).
const EXTERNAL: [u32; 4] = [65_001, 65_002, 4_200_000_003, 65_004];

/// Links and captures.
pub struct Place {
    /// Removes everything.
    pub setting: Setting,
    /// What the neighbours are told, in the scenario's order.
    pub plans: Vec<PeerPlan>,
    /// On each neighbour's link.
    pub captures: Vec<Capture>,
}

impl Place {
    /// Makes it.
    pub fn build(scenario: &Interop) -> Result<Self> {
        let setting = Setting::build(scenario.name, &[])?;
        let mut place = Self { setting, plans: Vec::new(), captures: Vec::new() };
        place.setting.router.sysctl("net/ipv4/ip_forward", "1")?;
        place.setting.router.sysctl("net/ipv6/conf/all/forwarding", "1")?;
        if scenario.neighbors.iter().any(|neighbor| neighbor.kind == Kind::Shared) {
            make_shared_link(&place.setting.router)?;
        }
        for (neighbor, index) in scenario.neighbors.iter().zip(0u8..) {
            place.add(scenario, *neighbor, index)?;
        }
        Ok(place)
    }

    fn add(&mut self, scenario: &Interop, neighbor: Neighbor, index: u8) -> Result<()> {
        let chapter = scenario.topic.chapter();
        let name = neighbor.maker.name();
        let namespace = self.setting.namespace(name)?;
        let inside = format!("to-{name}");
        let is_shared = neighbor.kind == Kind::Shared;
        let linked = |family| if is_shared { shared_session(family, index) } else { link_session(family, index) };
        let [inet, inet6] = Family::ALL.map(linked);
        netns::link(
            (&self.setting.router, &inside, &format!("{}/24", inet.router)),
            (&namespace, TO_ROUTER, &format!("{}/24", inet.local)),
        )?;
        if is_shared {
            self.setting.router.ip(&format!("address flush dev {inside}"))?;
            self.setting.router.ip(&format!("link set {inside} master {SHARED_LINK}"))?;
        } else {
            // Without looking for duplicates: an address can be used at once.
            self.setting.router.ip(&format!("address add {}/64 dev {inside} nodad", inet6.router))?;
        }
        namespace.ip(&format!("address add {}/64 dev {TO_ROUTER} nodad", inet6.local))?;
        let sessions = match neighbor.kind {
            Kind::Multihop => Family::ALL.map(|family| looped_session(family, index)),
            Kind::External | Kind::Internal | Kind::Client | Kind::Shared => [inet, inet6],
            Kind::Inet6 => inet6_sessions(neighbor.maker, index),
        };
        // Beside those that each link has.
        let on_link = |session: &&Session| [inet, inet6].iter().any(|linked| linked.local == session.local);
        for Session { router, local, .. } in sessions.iter().filter(|s| neighbor.kind == Kind::Inet6 && !on_link(s)) {
            self.setting.router.ip(&format!("address add {router}/64 dev {inside} nodad"))?;
            namespace.ip(&format!("address add {local}/64 dev {TO_ROUTER} nodad"))?;
        }
        if neighbor.kind == Kind::Multihop {
            join_loopbacks(&self.setting.router, &namespace, &[inet, inet6], &sessions, index)?;
        }
        let folder = self.setting.folder();
        self.captures.push(Capture::start(&namespace, TO_ROUTER, &folder, name)?);
        let (features, role) = scenario.sessions.of(neighbor.maker);
        let mut wishes = chapter.wishes();
        if features.contains(&Feature::GracefulRestart) {
            wishes.graceful = Some(Graceful { restart_time_s: RESTART_TIME_S, stale_time_s: None });
        }
        let external = EXTERNAL.get(neighbor.maker as usize).copied().unwrap_or(65_100);
        let external = chapter.autonomous_system(neighbor.maker, external);
        self.plans.push(PeerPlan {
            maker: neighbor.maker,
            kind: neighbor.kind,
            index,
            namespace,
            folder: folder.join(name),
            autonomous_system: if neighbor.kind.is_internal() { router::AUTONOMOUS_SYSTEM } else { external },
            router_as: if features.contains(&Feature::LocalAs) { LOCAL_AS } else { router::AUTONOMOUS_SYSTEM },
            sessions: sessions.to_vec(),
            multihop: (neighbor.kind == Kind::Multihop).then_some(MULTIHOP),
            hold_time_s: scenario.sessions.hold_time_s(neighbor.maker),
            wishes,
            features,
            role,
            key: KEYS[0],
        });
        Ok(())
    }
}

fn address(family: Family, inet: [u8; 4], inet6: [u16; 5]) -> IpAddr {
    let [a, b, c, d, host] = inet6;
    family.pick(IpAddr::from(inet), IpAddr::from([a, b, c, d, 0, 0, 0, host]))
}

/// The session on the link itself.
pub(super) fn link_session(family: Family, index: u8) -> Session {
    let at = |host: u8| address(family, [10, 113, index, host], [0x2001, 0xdb8, 0x113, index.into(), host.into()]);
    Session { family, local: at(2), router: at(1) }
}

/// The session on the link that several share.
fn shared_session(family: Family, index: u8) -> Session {
    let at = |host: u8| address(family, [10, 113, 254, host], [0x2001, 0xdb8, 0x113, 0xfe, host.into()]);
    Session { family, local: at(2 + index), router: at(1) }
}

/// A bridge within the router, with its addresses.
fn make_shared_link(router: &Namespace) -> Result<()> {
    router.ip(&format!("link add {SHARED_LINK} type bridge"))?;
    for family in Family::ALL {
        let (length, more) = family.pick((24, ""), (64, "nodad"));
        router.ip(&format!("address add {}/{length} dev {SHARED_LINK} {more}", shared_session(family, 0).router))?;
    }
    router.ip(&format!("link set {SHARED_LINK} up"))?;
    Ok(())
}

fn looped_session(family: Family, index: u8) -> Session {
    let local = address(family, [10, 114, index, 2], [0x2001, 0xdb8, 0x114, index.into(), 2]);
    let router = address(family, [10, 114, 255, 1], [0x2001, 0xdb8, 0x114, 0xff, 1]);
    Session { family, local, router }
}

/// IPv4 routes over IPv6, and IPv6 routes in another session; one of the two between link-local addresses, where somebody can.
fn inet6_sessions(maker: Maker, index: u8) -> [Session; 2] {
    let between = |family, ends: [IpAddr; 2]| Session { family, router: ends[0], local: ends[1] };
    let [inet, inet6] = Family::ALL.map(|family| Session { family, ..link_session(Family::Inet6, index) });
    let near = [1, 2].map(|host| IpAddr::from(link_local(index, host)));
    let more = [0x11, 0x12].map(|host| IpAddr::from([0x2001, 0xdb8, 0x113, index.into(), 0, 0, 0, host]));
    match maker {
        Maker::Bird => [inet, between(Family::Inet6, near)],
        // Only so it says that it takes such next hops.
        Maker::Gobgp => [between(Family::Inet, near), inet6],
        // FRR knows no interface without zebra; ExaBGP has no scope for an address.
        Maker::Frr | Maker::Exabgp => [inet, between(Family::Inet6, more)],
    }
}

/// One that nobody else has: the router tells neighbours apart by them.
fn link_local(index: u8, host: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0x113, index.into(), host)
}

/// Loopback addresses, and the neighbour's route to the router's; the router has its own in its configuration.
fn join_loopbacks(
    router: &Namespace,
    neighbor: &Namespace,
    links: &[Session; 2],
    sessions: &[Session; 2],
    index: u8,
) -> Result<()> {
    for (link, session) in links.iter().zip(sessions) {
        let (version, length) = session.family.pick(("-4", 32), ("-6", 128));
        neighbor.ip(&format!("address add {}/{length} dev lo", session.local))?;
        if index == 0 {
            router.ip(&format!("address add {}/{length} dev lo", session.router))?;
        }
        neighbor.ip(&format!("{version} route add {}/{length} via {}", session.router, link.router))?;
    }
    Ok(())
}
