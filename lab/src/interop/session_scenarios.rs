//! Scenarios of what sessions can have: the usual routes, and whether they have it.

use super::{
    chapter::Topic,
    features::{Feature, Role, Sessions},
    peer::Maker,
    scenario::{Interop, Kind, Neighbor, Step},
};

/// The built-in ones.
pub fn built_in() -> Vec<Interop> {
    vec![
        of(
            "interop-keys",
            "sessions signed with TCP MD5 go through an in-service reboot, get another key, and are begun anew by the new engine",
            Kind::External,
            Sessions { features: vec![Feature::Key], ..Sessions::default() },
            vec![Step::Reboot, Step::Change, Step::NewKeys, Step::Anew],
        ),
        of(
            "interop-near",
            "sessions of one hop (GTSM) in which nobody counts a hold time, called by the neighbours alone, go through an in-service reboot, and both sides read what the other's operator says at the end of each",
            Kind::External,
            Sessions { features: vec![Feature::Near, Feature::Passive], hold_time_s: Some(0), ..Sessions::default() },
            vec![Step::Reboot, Step::Change, Step::Words],
        ),
        of(
            "interop-agreed",
            "long messages, roles of a provider and a customer, graceful restart, marks of a refresh, with a hold time of 3 s: agreed on once, in force through an in-service reboot",
            Kind::External,
            Sessions {
                features: vec![
                    Feature::ExtendedMessages,
                    Feature::Roles,
                    Feature::GracefulRestart,
                    Feature::EnhancedRefresh,
                ],
                hold_time_s: Some(3),
                roles: vec![(Maker::Frr, Role::Provider), (Maker::Bird, Role::Customer)],
            },
            vec![Step::Reboot, Step::AskAgain, Step::Change, Step::Anew],
        ),
        of(
            "interop-crash",
            "the routing process that took over in an in-service reboot dies: it restarts gracefully, and whoever helps keeps its routes until it tells them again (RFC 4724)",
            Kind::External,
            Sessions { features: vec![Feature::GracefulRestart], ..Sessions::default() },
            vec![Step::Reboot, Step::Crash, Step::Change],
        ),
        of(
            "interop-peers",
            "what a peer told does not reach another one (RFC 9234), through an in-service reboot",
            Kind::External,
            Sessions {
                features: vec![Feature::Roles],
                roles: vec![(Maker::Frr, Role::Peer), (Maker::Bird, Role::Peer)],
                ..Sessions::default()
            },
            vec![Step::Reboot, Step::Change, Step::Anew],
        ),
        of(
            "interop-next-hops",
            "IPv4 routes in sessions over IPv6, also between link-local addresses, go through an in-service reboot and are begun anew",
            Kind::Inet6,
            Sessions { features: vec![Feature::ExtendedNextHop], ..Sessions::default() },
            vec![Step::Reboot, Step::Change, Step::Anew],
        ),
        of(
            "interop-allowed",
            "neighbours that nobody has configured go through an in-service reboot, and come again to the new engine",
            Kind::External,
            Sessions { features: vec![Feature::Allowed], ..Sessions::default() },
            vec![Step::Reboot, Step::Change, Step::Anew],
        ),
        of(
            "interop-local-as",
            "sessions that belong to another AS, in each of the ways that paths can say so, go through an in-service reboot",
            Kind::External,
            Sessions { features: vec![Feature::LocalAs], ..Sessions::default() },
            vec![Step::Reboot, Step::Change, Step::Anew],
        ),
    ]
}

fn of(name: &'static str, shows: &'static str, kind: Kind, sessions: Sessions, steps: Vec<Step>) -> Interop {
    let neighbors = Maker::ALL.map(|maker| Neighbor { maker, kind }).to_vec();
    Interop { name, shows, neighbors, topic: Topic::Sessions, sessions, steps }
}
