//! Interoperation scenarios as data: who takes part, over which kind of sessions, under which policy, and the script.

use serde::Serialize;

use super::peer::Maker;
use crate::error::{LabError, Result};

/// What stands between the router and a neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Another AS on the same link.
    External,
    /// The router's own AS on the same link.
    Internal,
    /// Another AS, from loopback to loopback.
    Multihop,
}

/// One neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Neighbor {
    /// Who made it.
    pub maker: Maker,
    /// What stands between.
    pub kind: Kind,
}

/// One thing done, after which every neighbour's view is looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Every neighbour changes what it announces: a route is new, one is gone, one is another; the other way round the next time.
    Change,
    /// Every neighbour asks for everything again (RFC 2918), and the router judges anew what it was told.
    AskAgain,
    /// An in-service reboot, while every neighbour changes what it announces.
    Reboot,
    /// An in-service reboot that is taken back when its new engine is primary, changes before and after.
    TakenBack,
}

/// A scenario.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Interop {
    /// Its name.
    pub name: &'static str,
    /// What it shows, in a sentence.
    pub shows: &'static str,
    /// Who takes part.
    pub neighbors: Vec<Neighbor>,
    /// The router changes what it learns and what it tells by policies.
    pub policies: bool,
    /// What is done, in order, after everybody has seen everything.
    pub steps: Vec<Step>,
}

/// What they all need, beside root.
pub const NEEDS: &str = "Debian packages frr, bird2, gobgpd, exabgp, tcpdump, iproute2";

impl Interop {
    /// The built-in ones.
    pub fn built_in() -> Vec<Self> {
        let all = |kind| Maker::ALL.map(|maker| Neighbor { maker, kind }).to_vec();
        let of = |kinds: [Kind; 4]| {
            Maker::ALL.into_iter().zip(kinds).map(|(maker, kind)| Neighbor { maker, kind }).collect::<Vec<_>>()
        };
        let (external, internal) = (Kind::External, Kind::Internal);
        let usual = vec![Step::AskAgain, Step::Reboot, Step::Change, Step::AskAgain];
        vec![
            Self {
                name: "interop-routes",
                shows: "every attribute of IPv4 and IPv6 routes passes between FRR, BIRD, GoBGP and ExaBGP as the RFCs say, through an in-service reboot that meets changes, by each neighbour's own tools",
                neighbors: all(external),
                policies: false,
                steps: usual.clone(),
            },
            Self {
                name: "interop-internal",
                shows: "the same with FRR and GoBGP in the router's own AS",
                neighbors: of([internal, external, internal, external]),
                policies: false,
                steps: usual.clone(),
            },
            Self {
                name: "interop-internal-2",
                shows: "the same with BIRD and ExaBGP in the router's own AS",
                neighbors: of([external, internal, external, internal]),
                policies: false,
                steps: usual.clone(),
            },
            Self {
                name: "interop-policies",
                shows: "local preference, MED, communities and paths set by policies reach external and internal neighbours, through an in-service reboot",
                neighbors: of([internal, external, external, internal]),
                policies: true,
                steps: usual.clone(),
            },
            Self {
                name: "interop-multihop",
                shows: "sessions from loopback to loopback, through an in-service reboot",
                neighbors: all(Kind::Multihop),
                policies: false,
                steps: usual,
            },
            Self {
                name: "interop-rollback",
                shows: "an in-service reboot is taken back after the switch, and another one succeeds: no neighbour notices either, and all see every change",
                neighbors: all(external),
                policies: false,
                steps: vec![Step::TakenBack, Step::Change, Step::Reboot],
            },
        ]
    }

    /// One by its name.
    pub fn find(name: &str) -> Option<Self> {
        Self::built_in().into_iter().find(|scenario| scenario.name == name)
    }

    /// Keeps only neighbours of some makers.
    pub fn keep(&mut self, makers: &[Maker]) -> Result<()> {
        self.neighbors.retain(|neighbor| makers.contains(&neighbor.maker));
        if self.neighbors.len() < 2 {
            return Err(LabError::Usage(format!("{} takes two neighbors at least, for example frr,bird", self.name)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_reboots_and_has_every_maker() {
        for scenario in Interop::built_in() {
            assert!(scenario.steps.contains(&Step::Reboot), "{}", scenario.name);
            let makers: Vec<_> = scenario.neighbors.iter().map(|n| n.maker).collect();
            assert_eq!(makers, Maker::ALL, "{}", scenario.name);
            assert_eq!(Interop::find(scenario.name), Some(scenario));
        }
        let mut one = Interop::find("interop-routes").unwrap();
        assert!(one.keep(&[Maker::Frr]).is_err());
    }
}
