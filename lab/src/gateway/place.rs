//! Where it happens: the router between a source of packets and two gateways, behind which is the same world.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::scenario::Loss;
use crate::{
    bench::setting::Setting,
    error::Result,
    family::Family,
    host::{
        link_state,
        netns::{self, Namespace},
    },
    neighbor::Peer,
    time::Window,
    topology::{ROUTER_AS, TO_ROUTER},
};

/// The switch's port towards the primary gateway.
const TO_GATEWAY: &str = "gateway";
/// A gateway's interface towards the world.
const TO_WORLD: &str = "world";
/// The router's interface towards the source.
const TO_SOURCE: &str = "to-source";

/// One of the two gateways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The one that is lost.
    Primary,
    /// The one that stays.
    Backup,
}

/// Both ends of the link between the router and a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// The router's.
    pub router: IpAddr,
    /// The gateway's.
    pub gateway: IpAddr,
}

/// An address of link `n` of the lab (RFC 3849).
fn inet6(link: u16, host: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, link, 0, 0, 0, 0, host)
}

impl Role {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Primary, Self::Backup];

    /// In names of namespaces, interfaces and groups.
    pub fn name(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Backup => "backup",
        }
    }

    /// The router's interface towards it.
    pub fn router_interface(self) -> String {
        format!("to-{}", self.name())
    }

    /// Its number, from 1.
    pub fn number(self) -> u8 {
        match self {
            Self::Primary => 1,
            Self::Backup => 2,
        }
    }

    /// The router, as it sees it.
    pub fn router(self) -> Peer {
        Peer { address: Ipv4Addr::new(10, 111, self.number(), 1), autonomous_system: ROUTER_AS }
    }

    /// It itself, as the router sees it.
    pub fn peer(self) -> Peer {
        let autonomous_system = ROUTER_AS + u32::from(self.number());
        Peer { address: Ipv4Addr::new(10, 111, self.number(), 2), autonomous_system }
    }

    /// What the router and it use in a family.
    pub fn addresses(self, family: Family) -> Addresses {
        let link = u16::from(self.number());
        let router = family.pick(self.router().address.into(), inet6(link, 1).into());
        let gateway = family.pick(self.peer().address.into(), inet6(link, 2).into());
        Addresses { router, gateway }
    }

    /// Its own address towards the world, and the world's.
    fn to_world(self, family: Family) -> [IpAddr; 2] {
        let (number, link) = (self.number(), 0x100 + u16::from(self.number()));
        [1, 2].map(|host| family.pick(Ipv4Addr::new(10, 112, number, host).into(), inet6(link, host.into()).into()))
    }

    /// Of the world's interface towards it: known beforehand, so that nobody has to ask for it when packets come by this way for the first time.
    fn world_ethernet(self) -> String {
        format!("02:00:00:00:00:{:02x}", self.number())
    }
}

/// The router's address towards the source, and the source's.
fn source_link(family: Family) -> [IpAddr; 2] {
    [1, 2].map(|host| family.pick(Ipv4Addr::new(10, 111, 0, host).into(), inet6(0, host.into()).into()))
}

/// Packets are forwarded, wherever they come from, and an IPv6 address is usable at once, and stays when its link is set down, as in IPv4.
fn prepare(namespace: &Namespace) -> Result<()> {
    namespace.sysctl("net/ipv4/ip_forward", "1")?;
    namespace.sysctl("net/ipv6/conf/all/forwarding", "1")?;
    for key in ["all", "default"] {
        namespace.sysctl(&format!("net/ipv4/conf/{key}/rp_filter"), "0")?;
        namespace.sysctl(&format!("net/ipv6/conf/{key}/accept_dad"), "0")?;
        namespace.sysctl(&format!("net/ipv6/conf/{key}/keep_addr_on_down"), "1")?;
    }
    Ok(())
}

fn give(namespace: &Namespace, interface: &str, address: IpAddr) -> Result<()> {
    let length = if address.is_ipv6() { 64 } else { 24 };
    namespace.ip(&format!("address add {address}/{length} dev {interface}")).map(drop)
}

/// Namespaces and links.
pub struct Place {
    /// Removes everything; its world is where the packets go.
    pub setting: Setting,
    /// Where packets come from.
    pub source: Namespace,
    /// Where each gateway lives, in the order of [`Role::ALL`].
    pub gateways: [Namespace; 2],
    switch: Namespace,
}

impl Place {
    /// Makes it.
    pub fn build(name: &str, family: Family) -> Result<Self> {
        let setting = Setting::build(name, &[])?;
        let (source, switch) = (setting.namespace("source")?, setting.namespace("switch")?);
        let gateways = [setting.namespace(Role::Primary.name())?, setting.namespace(Role::Backup.name())?];
        let place = Self { setting, source, gateways, switch };
        let router = &place.setting.router;
        for namespace in [router, &place.setting.world, &place.gateways[0], &place.gateways[1], &place.source] {
            prepare(namespace)?;
        }
        netns::join((router, TO_SOURCE), (&place.source, TO_ROUTER))?;
        for (namespace, interface, end) in [(router, TO_SOURCE, 0), (&place.source, TO_ROUTER, 1)] {
            give(namespace, interface, source_link(family)[end])?;
        }
        place.source.ip(&format!("route add default via {}", source_link(family)[0]))?;
        place.add_primary_link()?;
        netns::join((router, &Role::Backup.router_interface()), (place.gateway(Role::Backup), TO_ROUTER))?;
        Role::ALL.into_iter().try_for_each(|role| place.add_gateway(role, family))?;
        Ok(place)
    }

    /// Where a gateway lives.
    pub fn gateway(&self, role: Role) -> &Namespace {
        match role {
            Role::Primary => &self.gateways[0],
            Role::Backup => &self.gateways[1],
        }
    }

    /// By way of the switch. The ports are made in this order because the kernel lets a second pass until it believes a lost carrier where both
    /// ends of a pair happen to have the same number in their namespaces: here the router's has 3 and the switch's 4.
    fn add_primary_link(&self) -> Result<()> {
        self.switch.ip("link add bridge type bridge")?;
        netns::join((&self.switch, TO_GATEWAY), (self.gateway(Role::Primary), TO_ROUTER))?;
        netns::join((&self.switch, TO_ROUTER), (&self.setting.router, &Role::Primary.router_interface()))?;
        for port in [TO_GATEWAY, TO_ROUTER] {
            self.switch.ip(&format!("link set {port} master bridge"))?;
        }
        self.switch.ip("link set bridge up").map(drop)
    }

    fn add_gateway(&self, role: Role, family: Family) -> Result<()> {
        let (router, gateway, world) = (&self.setting.router, self.gateway(role), &self.setting.world);
        let (link, [own, beyond]) = (role.addresses(family), role.to_world(family));
        give(router, &role.router_interface(), link.router)?;
        give(gateway, TO_ROUTER, link.gateway)?;
        let from_here = format!("from-{}", role.name());
        netns::join((gateway, TO_WORLD), (world, &from_here))?;
        give(gateway, TO_WORLD, own)?;
        give(world, &from_here, beyond)?;
        let ethernet = role.world_ethernet();
        world.ip(&format!("link set {from_here} address {ethernet}"))?;
        gateway.ip(&format!("neighbor replace {beyond} lladdr {ethernet} dev {TO_WORLD} nud permanent"))?;
        gateway.ip(&format!("route add default via {beyond}")).map(drop)
    }

    /// The primary gateway is lost, or comes back; between which moments.
    pub fn set(&self, loss: Loss, there: bool) -> Result<Window> {
        let interface = Role::Primary.router_interface();
        let (namespace, interface) = match loss {
            Loss::Carrier => (&self.switch, TO_ROUTER),
            Loss::Silence => (&self.switch, TO_GATEWAY),
            Loss::AdminDown => (&self.setting.router, interface.as_str()),
        };
        link_state::set(namespace, interface, there)
    }
}
