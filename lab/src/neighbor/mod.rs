//! The neighbours: other people's routers, each in a namespace of its own, run as they would be anywhere.
//!
//! Another implementation is another file here: a type that implements [`Neighbor`], and a line in [`Kind`].

pub(crate) mod bird;
pub(crate) mod frr;
mod holdfast;
mod speaker;

use std::{net::Ipv4Addr, path::PathBuf, str::FromStr};

use serde::{Deserialize, Serialize};

pub use self::{bird::Bird, frr::Frr, holdfast::Holdfast, speaker::Speaker};
use crate::{
    bgp::feeder::Feeder,
    error::{LabError, Result},
    host::netns::Namespace,
    topology::Road,
};

/// The implementations the lab knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// FRRouting's bgpd.
    Frr,
    /// BIRD 2.
    Bird,
    /// Another router of this project.
    Holdfast,
    /// The lab's own speaker, for tables that would keep others busy: it needs no feeder behind it.
    Lab,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Frr, Self::Bird, Self::Holdfast, Self::Lab];

    /// Its name on the command line and in names of nodes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Frr => "frr",
            Self::Bird => "bird",
            Self::Holdfast => "holdfast",
            Self::Lab => "lab",
        }
    }

    /// Fails if its programs are missing.
    pub fn check_installed(self) -> Result<()> {
        use crate::host::programs;
        let programs = match self {
            Self::Frr => vec![programs::BGPD, programs::VTYSH], // and zebra and bfdd of the same package, for BFD
            Self::Bird => vec![programs::BIRD, programs::BIRDC],
            Self::Holdfast => return programs::own_binary("holdfast").map(drop),
            Self::Lab => Vec::new(),
        };
        programs.iter().try_for_each(|p| p.find().map(drop))
    }

    /// Starts one; of the lab's own kind the feeder is the neighbour itself.
    pub fn start(self, plan: NeighborPlan, feeder: &Feeder) -> Result<Box<dyn Neighbor>> {
        Ok(match self {
            Self::Frr => Box::new(Frr::start(plan)?),
            Self::Bird => Box::new(Bird::start(plan)?),
            Self::Holdfast => Box::new(Holdfast::start(plan)?),
            Self::Lab => Box::new(Speaker::new(feeder.state())),
        })
    }
}

impl FromStr for Kind {
    type Err = LabError;

    fn from_str(text: &str) -> Result<Self> {
        let known = || Self::ALL.map(Self::name).join(", ");
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| LabError::Usage(format!("neighbor kind {text:?} is not known; known are: {}", known())))
    }
}

/// What a neighbour is told.
#[derive(Debug, Clone)]
pub struct NeighborPlan {
    /// The node's name.
    pub name: String,
    /// Where it lives.
    pub namespace: Namespace,
    /// Its files.
    pub folder: PathBuf,
    /// Its AS number.
    pub autonomous_system: u32,
    /// Its address towards the router.
    pub address: Ipv4Addr,
    /// The router.
    pub router: Peer,
    /// The feeder behind it.
    pub feeder: Peer,
    /// Towards the router; the keepalive time is a third.
    pub hold_time_s: u16,
    /// Whether it helps the router restart gracefully.
    pub road: Road,
    /// Milliseconds between BFD packets to the router, whose loss ends the session; None: no BFD.
    pub bfd_ms: Option<u32>,
}

/// A BGP peer.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    /// Its address.
    pub address: Ipv4Addr,
    /// Its AS number.
    pub autonomous_system: u32,
}

/// A session as the neighbour's own tools show it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SessionView {
    /// Established.
    pub up: bool,
    /// The state in the implementation's own words.
    pub state: String,
    /// How long it has been up, when the implementation says it.
    pub uptime_s: Option<f64>,
}

/// A running neighbour. It ends with the value.
pub trait Neighbor: Send {
    /// The implementation's name.
    fn implementation(&self) -> &'static str;
    /// Its version, as it says itself.
    fn version(&self) -> &str;
    /// Its session with the router, as its own tools show it now.
    fn session(&self) -> Result<SessionView>;
    /// How often its own log says that the session with the router went down, since it was started.
    fn times_down(&self) -> Result<u64>;
    /// How often its own log says that it keeps the router's routes because that seems to restart. 0 where it does not help.
    fn times_helped(&self) -> Result<u64>;
    /// Whether its BFD hears the router, and the router hears it, as its own tools say. False where it has no BFD.
    fn bfd_is_up(&self) -> Result<bool> {
        Ok(false)
    }
    /// How often its BFD session with the router has left Up, as its own log or counter says.
    fn times_bfd_down(&self) -> Result<u64> {
        Ok(0)
    }
    /// Resets the session with the router, at its own console.
    fn reset(&self) -> Result<()>;
    /// Fails if one of its processes has ended.
    fn check_running(&mut self) -> Result<()>;
}

/// Counts lines of a log for which something holds.
pub(crate) fn count_lines(log: &std::path::Path, holds: impl Fn(&str) -> bool) -> Result<u64> {
    use crate::error::Doing;
    let bytes = std::fs::read(log).doing(|| format!("read {}", log.display()))?;
    Ok(String::from_utf8_lossy(&bytes).lines().filter(|line| holds(line)).count() as u64)
}
