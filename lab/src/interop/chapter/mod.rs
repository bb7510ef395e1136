//! What a scenario is about beyond sessions: what the router is configured with, what neighbours announce, and what each must
//! be told of it by the RFCs.
//!
//! A chapter is a file here that implements [`Chapter`], and a variant of [`Topic`]. It says what *changes* against plain
//! sessions between ASes: [`super::expect`] knows those.

mod add_paths;
mod aggregates;
mod as_paths;
mod attributes;
mod communities;
mod contests;
mod limits;
mod policies;
mod reflection;
mod restarts;
mod route_server;
mod sessions;

use serde::Serialize;

use super::{
    decide,
    expect::{self, Rival},
    offer::{self, Offer},
    peer::{Maker, PeerPlan, Session, Wishes},
    seen::Seen,
};

/// What a scenario is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Topic {
    /// Attributes of routes, as they are.
    Attributes,
    /// What policies do to them.
    Policies,
    /// Route reflection.
    Reflection,
    /// A route server and its clients.
    RouteServer,
    /// Communities that the router acts on.
    Communities,
    /// What becomes of AS paths; the rules for each neighbour turned round or not.
    AsPaths(bool),
    /// Several paths to one destination, the best of which counts; MEDs always compare or not.
    Contests(bool),
    /// Aggregates of FRR's and BIRD's routes, or turned round.
    Aggregates(bool),
    /// Several paths to one destination in one session.
    AddPaths,
    /// Limits of prefixes.
    Limits,
    /// Graceful restarts of neighbours; for longer than their restart time or not.
    Restarts(bool),
    /// What sessions have beyond the usual.
    Sessions,
}

impl Topic {
    /// Its chapter.
    pub fn chapter(self) -> &'static dyn Chapter {
        match self {
            Self::Attributes => &attributes::Attributes,
            Self::Policies => &policies::Policies,
            Self::Reflection => &reflection::Reflection,
            Self::RouteServer => &route_server::RouteServer,
            Self::Communities => &communities::Communities,
            Self::AsPaths(true) => &as_paths::AsPaths { turned: true },
            Self::AsPaths(false) => &as_paths::AsPaths { turned: false },
            Self::Contests(true) => &contests::Contests { always: true },
            Self::Contests(false) => &contests::Contests { always: false },
            Self::Aggregates(true) => &aggregates::Aggregates { turned: true },
            Self::Aggregates(false) => &aggregates::Aggregates { turned: false },
            Self::AddPaths => &add_paths::AddPaths,
            Self::Limits => &limits::Limits,
            Self::Restarts(true) => &restarts::Restarts { long: true },
            Self::Restarts(false) => &restarts::Restarts { long: false },
            Self::Sessions => &sessions::Sessions,
        }
    }
}

/// A route in the kernel of the router, which `ip route show` has to describe with all of these words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelRoute {
    /// Its destination.
    pub prefix: String,
    /// Words of its description.
    pub words: Vec<String>,
}

/// See the module.
pub trait Chapter: Sync {
    /// Statements of the router's `routing-options`.
    fn options(&self) -> &'static str {
        ""
    }

    /// The router's `policy-options`, whole.
    fn policies(&self) -> &'static str {
        ""
    }

    /// Statements of `protocols bgp`, for all neighbours.
    fn protocol(&self) -> &'static str {
        ""
    }

    /// Statements of the group of one neighbour's session.
    fn group(&self, _neighbor: &PeerPlan, _session: &Session) -> String {
        String::new()
    }

    /// Statements of its family.
    fn family(&self, _neighbor: &PeerPlan) -> &'static str {
        ""
    }

    /// The AS number of an external neighbour, where it matters; `usual` is one that no other has.
    fn autonomous_system(&self, _maker: Maker, usual: u32) -> u32 {
        usual
    }

    /// What neighbours are configured with.
    fn wishes(&self) -> Wishes {
        Wishes::default()
    }

    /// What a neighbour announces in the beginning, and when it has changed that.
    fn offers(&self, _neighbor: &PeerPlan, changed: bool) -> Vec<Offer> {
        if changed { offer::changed() } else { offer::first() }
    }

    /// What `to` is told of a route if it is the only one, or nothing; `plain` is what it would be told in plain sessions.
    fn told(&self, _hop: &Hop<'_>, plain: Option<Seen>) -> Option<Seen> {
        plain
    }

    /// What `to` is told of it while the session with the neighbour that announced it is down; `told` is what it was told before.
    fn told_of_absent(&self, _hop: &Hop<'_>, _told: Option<Seen>) -> Option<Seen> {
        None
    }

    /// LOCAL_PREF of a route, as the router has it.
    fn local_preference(&self, _from: &PeerPlan, _offer: &Offer) -> u32 {
        expect::LOCAL_PREFERENCE_DEFAULT
    }

    /// Which of several routes to one destination a neighbour is told, by their places.
    fn choose(&self, to: &PeerPlan, rivals: &[Rival<'_>]) -> Vec<usize> {
        decide::best(rivals, self.metrics_compare_always())
            .filter(|best| rivals[*best].is_told(to))
            .into_iter()
            .collect()
    }

    /// MEDs of different ASes compare.
    fn metrics_compare_always(&self) -> bool {
        false
    }

    /// What a neighbour is told beside the routes of others: prefix and route.
    fn own(&self, _to: &PeerPlan, _session: &Session, _all: &[PeerPlan], _changed: bool) -> Vec<(String, Seen)> {
        Vec::new()
    }

    /// What the router's kernel must have.
    fn kernel(&self, _all: &[PeerPlan], _changed: bool) -> Vec<KernelRoute> {
        Vec::new()
    }
}

/// A route on its way from one neighbour through the router to another.
#[derive(Debug, Clone, Copy)]
pub struct Hop<'a> {
    /// Who announces it.
    pub from: &'a PeerPlan,
    /// Who may be told.
    pub to: &'a PeerPlan,
    /// In which of its sessions.
    pub session: &'a Session,
    /// What is announced.
    pub offer: &'a Offer,
}

impl Hop<'_> {
    /// The address from which it is announced: its next hop.
    pub fn announced_from(&self) -> Option<std::net::IpAddr> {
        self.from.sessions.iter().find(|other| other.family == self.session.family).map(|session| session.local)
    }
}
