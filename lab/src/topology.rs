//! The shape of a lab as data: a router in the middle, neighbours around it, a feeder behind each.
//!
//! ```text
//!   feeder ──── neighbour ──── router ──── neighbour ──── feeder
//!   65101        65001         65000        65002          65102
//!      10.112.0.0/24  10.111.0.0/24  10.111.1.0/24  10.112.1.0/24
//! ```
//!
//! A neighbour of the lab's own kind is its own feeder.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::{
    bgp::message::Prefix,
    error::{LabError, Result},
    limits,
    neighbor::{Kind, Peer},
};

/// The router's AS number.
pub const ROUTER_AS: u32 = 65_000;
/// Hold time of the router's sessions.
pub const HOLD_TIME_S: u16 = 9;
/// The router's node.
pub const ROUTER_NODE: &str = "router";
/// A neighbour's interface towards the router.
pub const TO_ROUTER: &str = "router";
/// A neighbour's interface towards its feeder, and the feeder's own.
pub const FEEDER_LINK: &str = "feeder";

/// What is configured for a session, on both sides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Road {
    /// Nonstop routing; no graceful restart and no helper, so a session that ends is seen as one.
    #[default]
    Nonstop,
    /// Graceful restart: the neighbour helps, and the router restarts the session in a run.
    Graceful,
    /// Both: nonstop routing in a run, and the neighbour helps when the router's routing dies.
    Both,
}

/// One neighbour with its feeder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NeighborNode {
    /// The node's name: `frr`, `bird`, `frr2`, ...
    pub name: String,
    /// The implementation.
    pub kind: Kind,
    /// Which one it is, from 0: its share of the table, its subnets.
    pub index: u8,
    /// What is configured for its session.
    pub road: Road,
    /// Milliseconds between BFD packets; None: no BFD.
    pub bfd_ms: Option<u32>,
}

/// A lab's shape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Topology {
    /// The neighbours, in order.
    pub neighbors: Vec<NeighborNode>,
}

impl Topology {
    /// One neighbour of each kind in the list.
    pub fn new(kinds: &[Kind]) -> Result<Self> {
        if !(2..=limits::NEIGHBORS_MAX).contains(&kinds.len()) {
            return Err(LabError::Usage(format!(
                "{} neighbors given; a lab takes 2 to {}, for example --neighbors frr,bird",
                kinds.len(),
                limits::NEIGHBORS_MAX
            )));
        }
        let mut neighbors: Vec<NeighborNode> = Vec::with_capacity(kinds.len());
        for (index, &kind) in (0u8..).zip(kinds) {
            let same = neighbors.iter().filter(|n| n.kind == kind).count();
            let name = if same == 0 { kind.name().to_owned() } else { format!("{}{}", kind.name(), same + 1) };
            neighbors.push(NeighborNode { name, kind, index, road: Road::Nonstop, bfd_ms: None });
        }
        Ok(Self { neighbors })
    }

    /// The sessions' roads, in order; the list is repeated as long as there are neighbours. An empty one changes nothing.
    pub fn with_roads(mut self, roads: &[Road]) -> Self {
        for (node, road) in self.neighbors.iter_mut().zip(roads.iter().cycle()) {
            node.road = *road;
        }
        self
    }

    /// BFD on the way to every neighbour that knows it, at these intervals in order; the list is repeated. An empty one: none.
    pub fn with_bfd(mut self, bfd_ms: &[u32]) -> Self {
        for (node, ms) in self.neighbors.iter_mut().zip(bfd_ms.iter().cycle()) {
            node.bfd_ms = Some(*ms).filter(|_| !node.feeds_itself());
        }
        self
    }

    /// Whether a neighbour's feeder takes part in churn: if the lab has speakers at the router itself, then only they do,
    /// because others merge changes.
    pub fn churns(&self, node: &NeighborNode) -> bool {
        node.feeds_itself() || !self.neighbors.iter().any(NeighborNode::feeds_itself)
    }

    /// Any neighbour helps the router restart gracefully.
    pub fn has_helpers(&self) -> bool {
        self.has(Road::Graceful) || self.has(Road::Both)
    }

    /// Any session takes this road.
    pub fn has(&self, road: Road) -> bool {
        self.neighbors.iter().any(|node| node.road == road)
    }

    /// Pairs of (sender, receiver): each neighbour sends to the next one, in a ring. With two, that is both directions.
    pub fn directions(&self) -> Vec<(&NeighborNode, &NeighborNode)> {
        self.neighbors.iter().zip(self.neighbors.iter().cycle().skip(1)).collect()
    }

    /// The router's address on the first link, which is also its router id.
    pub fn router_id(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 111, 0, 1)
    }
}

impl NeighborNode {
    /// The router's interface towards it.
    pub fn router_interface(&self) -> String {
        format!("to-{}", self.name)
    }

    /// The router, as this neighbour sees it.
    pub fn router(&self) -> Peer {
        Peer { address: Ipv4Addr::new(10, 111, self.index, 1), autonomous_system: ROUTER_AS }
    }

    /// The neighbour, as the router sees it.
    pub fn peer(&self) -> Peer {
        Peer {
            address: Ipv4Addr::new(10, 111, self.index, 2),
            autonomous_system: ROUTER_AS + 1 + u32::from(self.index),
        }
    }

    /// The neighbour's address towards its feeder.
    pub fn feeder_side(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 112, self.index, 1)
    }

    /// The feeder, as the neighbour sees it.
    pub fn feeder(&self) -> Peer {
        Peer {
            address: Ipv4Addr::new(10, 112, self.index, 2),
            autonomous_system: ROUTER_AS + 101 + u32::from(self.index),
        }
    }

    /// Whether it needs no feeder behind it: it speaks itself.
    pub fn feeds_itself(&self) -> bool {
        self.kind == Kind::Lab
    }

    /// The prefix that its feeder announces and withdraws all the time.
    pub fn beacon(&self) -> Prefix {
        Prefix::new(u32::from(Ipv4Addr::new(198, 18, self.index, 0)), 24)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_and_two_make_both_directions() {
        let topology = Topology::new(&[Kind::Frr, Kind::Bird, Kind::Frr]).unwrap();
        let names: Vec<_> = topology.neighbors.iter().map(|n| n.name.as_str()).collect();
        assert_eq!(names, ["frr", "bird", "frr2"]);
        let two = Topology::new(&[Kind::Frr, Kind::Bird]).unwrap();
        let pairs: Vec<_> = two.directions().into_iter().map(|(a, b)| (a.index, b.index)).collect();
        assert_eq!(pairs, [(0, 1), (1, 0)]);
        assert!(Topology::new(&[Kind::Frr]).is_err());
        let mixed = topology.with_roads(&[Road::Nonstop, Road::Graceful]);
        let roads: Vec<_> = mixed.neighbors.iter().map(|n| n.road).collect();
        assert_eq!(roads, [Road::Nonstop, Road::Graceful, Road::Nonstop]);
        let watched = Topology::new(&[Kind::Frr, Kind::Lab, Kind::Holdfast]).unwrap().with_bfd(&[50, 50, 10]);
        assert_eq!(watched.neighbors.iter().map(|n| n.bfd_ms).collect::<Vec<_>>(), [Some(50), None, Some(10)]);
        assert!(watched.with_bfd(&[]).neighbors[0].bfd_ms.is_some(), "an empty list changes nothing");
    }
}
