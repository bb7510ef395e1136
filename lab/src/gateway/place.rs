//! Where it happens: the router between a source of packets and two gateways, behind which is the same world.

use std::net::Ipv4Addr;

use super::scenario::Loss;
use crate::{
    bench::setting::Setting,
    error::Result,
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

    fn world(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 112, self.number(), 2)
    }

    /// Of the world's interface towards it: known beforehand, so that nobody has to ask for it when packets come by this way for the first time.
    fn world_ethernet(self) -> String {
        format!("02:00:00:00:00:{:02x}", self.number())
    }
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
    pub fn build(name: &str) -> Result<Self> {
        let setting = Setting::build(name, &[])?;
        let (source, switch) = (setting.namespace("source")?, setting.namespace("switch")?);
        let gateways = [setting.namespace(Role::Primary.name())?, setting.namespace(Role::Backup.name())?];
        let place = Self { setting, source, gateways, switch };
        let router = &place.setting.router;
        for namespace in [router, &place.setting.world, &place.gateways[0], &place.gateways[1]] {
            namespace.sysctl("net/ipv4/ip_forward", "1")?;
            for key in ["all", "default"] {
                namespace.sysctl(&format!("net/ipv4/conf/{key}/rp_filter"), "0")?;
            }
        }
        netns::link((router, TO_SOURCE, "10.111.0.1/24"), (&place.source, TO_ROUTER, "10.111.0.2/24"))?;
        place.source.ip("route add default via 10.111.0.1")?;
        place.add_primary_link()?;
        netns::join((router, &Role::Backup.router_interface()), (place.gateway(Role::Backup), TO_ROUTER))?;
        Role::ALL.into_iter().try_for_each(|role| place.add_gateway(role))?;
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

    fn add_gateway(&self, role: Role) -> Result<()> {
        let (router, gateway, world) = (&self.setting.router, self.gateway(role), &self.setting.world);
        router.ip(&format!("address add {}/24 dev {}", role.router().address, role.router_interface()))?;
        gateway.ip(&format!("address add {}/24 dev {TO_ROUTER}", role.peer().address))?;
        let from_here = format!("from-{}", role.name());
        let own = Ipv4Addr::new(10, 112, role.number(), 1);
        netns::link((gateway, TO_WORLD, &format!("{own}/24")), (world, &from_here, &format!("{}/24", role.world())))?;
        let ethernet = role.world_ethernet();
        world.ip(&format!("link set {from_here} address {ethernet}"))?;
        gateway.ip(&format!("neighbor replace {} lladdr {ethernet} dev {TO_WORLD} nud permanent", role.world()))?;
        gateway.ip(&format!("route add default via {}", role.world())).map(drop)
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
