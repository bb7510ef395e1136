//! Interoperation scenarios as data: who takes part, over which kind of sessions, under which policy, and the script.

use serde::Serialize;

use super::{chapter::Topic, features::Sessions, peer::Maker, session_scenarios};
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
    /// The router's own AS, and a client of its route reflection.
    Client,
    /// Another AS on a link with others.
    Shared,
    /// Another AS on the same link, IPv4 routes in a session over IPv6, and IPv6 routes between link-local addresses.
    Inet6,
}

impl Kind {
    /// Of the router's own AS.
    pub fn is_internal(self) -> bool {
        matches!(self, Self::Internal | Self::Client)
    }
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
    /// The first and every second neighbour after it (0), or all others (1), announce more than they may: their sessions end and rest.
    Exceed(u8),
    /// They die without a word.
    Die(u8),
    /// Who is not there comes back, or is let in again.
    Return,
    /// An in-service reboot that is taken back when its new engine is primary, changes before and after.
    TakenBack,
    /// The router begins every session anew.
    Anew,
    /// Both sides of every session get another key.
    NewKeys,
    /// The router's routing process dies: it restarts gracefully.
    Crash,
    /// Each side ends every session with words for the other's operator (RFC 9003).
    Words,
}

impl Step {
    /// How often a neighbour must, and may, see each of its sessions end by it.
    pub fn ends(self, maker: Maker) -> (u64, u64) {
        match self {
            Self::Anew | Self::Crash => (1, 1),
            Self::NewKeys => (0, u64::from(maker.ends_sessions_for_a_key())),
            Self::Words => {
                let times = u64::from(maker.hears_words()) + u64::from(maker.says_words());
                (times, times)
            }
            // Where others end, who ends them is excused.
            _ => (0, 0),
        }
    }
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
    /// What it is about.
    pub topic: Topic,
    /// What the sessions have beyond the usual.
    pub sessions: Sessions,
    /// What is done, in order, after everybody has seen everything.
    pub steps: Vec<Step>,
}

/// What they all need, beside root.
pub const NEEDS: &str = "Debian packages frr, bird2, gobgpd, exabgp, tcpdump, iproute2";

impl Interop {
    /// The built-in ones.
    pub fn built_in() -> Vec<Self> {
        let everybody = |kind| Maker::ALL.map(|maker| Neighbor { maker, kind }).to_vec();
        let of = |kinds: [Kind; 4]| {
            Maker::ALL.into_iter().zip(kinds).map(|(maker, kind)| Neighbor { maker, kind }).collect::<Vec<_>>()
        };
        let (external, internal) = (Kind::External, Kind::Internal);
        let client = Kind::Client;
        let about = |name, topic, neighbors, shows| Self {
            name,
            shows,
            neighbors,
            topic,
            sessions: Sessions::default(),
            steps: vec![Step::Reboot, Step::Change],
        };
        let usual = vec![Step::AskAgain, Step::Reboot, Step::Change, Step::AskAgain];
        let mut all = vec![
            Self {
                name: "interop-routes",
                shows: "every attribute of IPv4 and IPv6 routes passes between FRR, BIRD, GoBGP and ExaBGP as the RFCs say, through an in-service reboot that meets changes, by each neighbour's own tools",
                neighbors: everybody(external),
                topic: Topic::Attributes,
                sessions: Sessions::default(),
                steps: usual.clone(),
            },
            Self {
                name: "interop-internal",
                shows: "the same with FRR and GoBGP in the router's own AS",
                neighbors: of([internal, external, internal, external]),
                topic: Topic::Attributes,
                sessions: Sessions::default(),
                steps: usual.clone(),
            },
            Self {
                name: "interop-internal-2",
                shows: "the same with BIRD and ExaBGP in the router's own AS",
                neighbors: of([external, internal, external, internal]),
                topic: Topic::Attributes,
                sessions: Sessions::default(),
                steps: usual.clone(),
            },
            Self {
                name: "interop-policies",
                shows: "local preference, MED, communities and paths set by policies reach external and internal neighbours, through an in-service reboot",
                neighbors: of([internal, external, external, internal]),
                topic: Topic::Policies,
                sessions: Sessions::default(),
                steps: usual.clone(),
            },
            Self {
                name: "interop-multihop",
                shows: "sessions from loopback to loopback, through an in-service reboot",
                neighbors: everybody(Kind::Multihop),
                topic: Topic::Attributes,
                sessions: Sessions::default(),
                steps: usual,
            },
            Self {
                name: "interop-rollback",
                shows: "an in-service reboot is taken back after the switch, and another one succeeds: no neighbour notices either, and all see every change",
                neighbors: everybody(external),
                topic: Topic::Attributes,
                sessions: Sessions::default(),
                steps: vec![Step::TakenBack, Step::Change, Step::Reboot],
            },
            about(
                "interop-reflection",
                Topic::Reflection,
                of([client, client, internal, external]),
                "route reflection: FRR and BIRD are clients, GoBGP is not, ExaBGP is of another AS; who is told what, who made it, which clusters it passed, what is a loop",
            ),
            about(
                "interop-reflection-2",
                Topic::Reflection,
                of([internal, external, client, client]),
                "route reflection: GoBGP and ExaBGP are clients, FRR is not, BIRD is of another AS; loops that ExaBGP makes",
            ),
            about(
                "interop-route-server",
                Topic::RouteServer,
                everybody(Kind::Shared),
                "a route server: nothing of it is in what its clients hear of each other, and a path that policy keeps from one hides no other",
            ),
            about(
                "interop-communities",
                Topic::Communities,
                of([internal, external, external, external]),
                "graceful-shutdown, blackhole, no-peer, no-export-subconfed; FRR is of the router's own AS",
            ),
            about(
                "interop-communities-2",
                Topic::Communities,
                of([external, internal, internal, external]),
                "the same with BIRD and GoBGP in the router's own AS",
            ),
            about(
                "interop-as-paths",
                Topic::AsPaths(false),
                everybody(external),
                "remove-private in its three kinds and as-override",
            ),
            about(
                "interop-as-paths-2",
                Topic::AsPaths(true),
                everybody(external),
                "the same, each for another neighbour",
            ),
            about(
                "interop-contests",
                Topic::Contests(false),
                of([external, external, external, internal]),
                "the best of several paths by MED, length and origin, several used together, inactive ones told on",
            ),
            about(
                "interop-contests-2",
                Topic::Contests(true),
                of([external, external, external, internal]),
                "the same where MEDs of all ASes compare and paths through several are used together",
            ),
            about(
                "interop-aggregates",
                Topic::Aggregates(false),
                everybody(external),
                "aggregates of FRR's and BIRD's routes, with and without AS_SET, as GoBGP and ExaBGP see them",
            ),
            about(
                "interop-aggregates-2",
                Topic::Aggregates(true),
                everybody(external),
                "aggregates of GoBGP's and ExaBGP's routes, as FRR and BIRD see them",
            ),
            about(
                "interop-add-paths",
                Topic::AddPaths,
                everybody(external),
                "several paths to one destination, both ways, each told once and under the same identifier before and after an in-service reboot",
            ),
            about(
                "interop-add-paths-2",
                Topic::AddPaths,
                of([internal, external, internal, external]),
                "the same with FRR and GoBGP in the router's own AS",
            ),
            Self {
                name: "interop-limits",
                shows: "who tells too many prefixes is told so, rests through an in-service reboot, and comes back when it is let in",
                neighbors: everybody(external),
                topic: Topic::Limits,
                sessions: Sessions::default(),
                steps: vec![Step::Exceed(0), Step::Reboot, Step::Return, Step::Exceed(1), Step::Reboot, Step::Return],
            },
            Self {
                name: "interop-restarts",
                shows: "neighbours die and come back: their routes stay with all others, through an in-service reboot meanwhile",
                neighbors: everybody(external),
                topic: Topic::Restarts(false),
                sessions: Sessions::default(),
                steps: vec![Step::Die(0), Step::Reboot, Step::Return, Step::Die(1), Step::Reboot, Step::Return],
            },
            Self {
                name: "interop-long-lived",
                shows: "neighbours stay away for longer than they said: their routes stay, marked as stale, with those who know what that is",
                neighbors: of([internal, external, external, external]),
                topic: Topic::Restarts(true),
                sessions: Sessions::default(),
                steps: vec![Step::Die(0), Step::Reboot, Step::Return, Step::Die(1), Step::Reboot, Step::Return],
            },
        ];
        all.extend(session_scenarios::built_in());
        all
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
