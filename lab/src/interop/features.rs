//! What a scenario's sessions have beyond the usual: which neighbour can have it, what the router is configured for it, and what in a
//! neighbour's own view shows it.
//!
//! The neighbours' files in `peer` say it in their languages; what the wire must show is in `evidence`.

use serde::Serialize;

use super::peer::{Maker, PeerPlan};
use crate::topology::HOLD_TIME_S;

/// One thing that sessions may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Feature {
    /// Every segment is signed (TCP MD5, RFC 2385).
    Key,
    /// Who is not on the link is not heard (GTSM, RFC 5082).
    Near,
    /// The router waits to be called.
    Passive,
    /// The router knows a prefix, not its neighbours.
    Allowed,
    /// The router's session is another AS's.
    LocalAs,
    /// Messages longer than 4,096 octets (RFC 8654).
    ExtendedMessages,
    /// Roles, and routes marked Only to Customer (RFC 9234).
    Roles,
    /// IPv4 routes by IPv6 next hops (RFC 8950).
    ExtendedNextHop,
    /// Graceful restart (RFC 4724), also over NOTIFICATIONs (RFC 8538).
    GracefulRestart,
    /// Marks around what was asked for again (RFC 7313).
    EnhancedRefresh,
}

/// What a neighbour is to the router (RFC 9234 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The router buys from it.
    Provider,
    /// It buys from the router.
    Customer,
    /// Neither.
    Peer,
}

impl Role {
    /// Its name.
    pub fn word(self) -> &'static str {
        ["provider", "customer", "peer"][self as usize]
    }

    /// What the router is to it.
    pub fn other(self) -> Self {
        match self {
            Self::Provider => Self::Customer,
            Self::Customer => Self::Provider,
            Self::Peer => Self::Peer,
        }
    }
}

/// What a scenario's sessions have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Sessions {
    /// Beyond the usual, where the neighbour can have it.
    pub features: Vec<Feature>,
    /// If another one than the lab's usual.
    pub hold_time_s: Option<u16>,
    /// What neighbours are to the router; the others have no role.
    pub roles: Vec<(Maker, Role)>,
}

impl Sessions {
    /// What a neighbour's sessions have.
    pub fn of(&self, maker: Maker) -> (Vec<Feature>, Option<Role>) {
        let role = self.roles.iter().find(|(of, _)| *of == maker).map(|(_, role)| *role);
        let has = |feature: &Feature| maker.lacks(*feature).is_none() && (*feature != Feature::Roles || role.is_some());
        (self.features.iter().copied().filter(has).collect(), role)
    }

    /// The hold time with a neighbour.
    pub fn hold_time_s(&self, maker: Maker) -> u16 {
        match self.hold_time_s {
            Some(0) if !maker.lives_without_hold_time() => HOLD_TIME_S,
            seconds => seconds.unwrap_or(HOLD_TIME_S),
        }
    }

    /// What somebody cannot have, and why.
    pub fn skipped(&self, maker: Maker) -> Vec<String> {
        let name = maker.name();
        let lacks = |feature: &Feature| Some(format!("{name}: {feature:?}: {}", maker.lacks(*feature)?));
        let hold_time = (self.hold_time_s == Some(0) && !maker.lives_without_hold_time()).then(|| {
            format!("{name}: hold time 0: it takes that for the time that a write may last, and none succeeds")
        });
        let key = (self.features.contains(&Feature::Key) && !maker.takes_another_key())
            .then(|| format!("{name}: another key in service: it goes on with the one it has begun with"));
        self.features.iter().filter_map(lacks).chain(hold_time).chain(key).collect()
    }
}

/// What neighbours that restart gracefully say that it takes.
pub const RESTART_TIME_S: u16 = 60;
/// The first key, and the one that takes its place.
pub const KEYS: [&str; 2] = ["the-first-key", "another-key"];
/// The AS that the router's sessions belong to where they have one of their own; it does not fit two octets.
pub const LOCAL_AS: u32 = 4_200_000_999;

/// How a neighbour's sessions use the AS of their own: every combination is somebody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalAsStyle {
    /// Others do not see it in what the neighbour told.
    pub no_prepend: bool,
    /// The neighbour does not see the router's own behind it.
    pub replace_as: bool,
}

impl PeerPlan {
    /// Whether its sessions have it.
    pub fn has(&self, feature: Feature) -> bool {
        self.features.contains(&feature)
    }

    /// If its sessions use an AS of their own.
    pub fn local_as(&self) -> Option<LocalAsStyle> {
        let (no_prepend, replace_as) = (self.index & 1 != 0, self.index & 2 != 0);
        self.has(Feature::LocalAs).then_some(LocalAsStyle { no_prepend, replace_as })
    }
}

impl Maker {
    /// Why its sessions cannot have something, if so.
    pub fn lacks(self, feature: Feature) -> Option<&'static str> {
        match (self, feature) {
            (Self::Gobgp, Feature::ExtendedMessages) => Some("GoBGP 3.10 does not know RFC 8654"),
            (Self::Gobgp, Feature::Roles) => Some("GoBGP 3.10 does not know RFC 9234"),
            (Self::Gobgp, Feature::EnhancedRefresh) => Some("GoBGP 3.10 does not know RFC 7313"),
            (Self::Exabgp, Feature::Roles) => Some("ExaBGP 4.2 does not know RFC 9234"),
            _ => None,
        }
    }

    /// Whether it announces that it restarts gracefully over NOTIFICATIONs as well (RFC 8538).
    pub fn restarts_over_notifications(self) -> bool {
        matches!(self, Self::Frr | Self::Gobgp)
    }

    /// Whether it keeps the routes of a router that restarts (RFC 4724 §4.2). ExaBGP keeps nothing, it tells what it hears.
    pub fn helps_who_restarts(self) -> bool {
        self != Self::Exabgp
    }

    /// Whether it keeps a session in which no hold time is counted (RFC 4271 §4.2).
    pub fn lives_without_hold_time(self) -> bool {
        self != Self::Gobgp
    }

    /// Whether it can be given another key while it runs. GoBGP goes on to sign with the one it has begun with.
    pub fn takes_another_key(self) -> bool {
        self != Self::Gobgp
    }

    /// Whether it ends its sessions when it is given another key.
    pub fn ends_sessions_for_a_key(self) -> bool {
        matches!(self, Self::Frr | Self::Bird | Self::Exabgp)
    }

    /// Whether it has words for the router's operator when it ends a session. GoBGP's command takes them, and they do not arrive.
    pub fn says_words(self) -> bool {
        matches!(self, Self::Frr | Self::Bird)
    }

    /// Whether it logs what the router's operator says.
    pub fn hears_words(self) -> bool {
        self != Self::Exabgp
    }

    /// Whether its view of a route has Only to Customer.
    pub fn shows_only_to_customer(self) -> bool {
        matches!(self, Self::Frr | Self::Bird)
    }

    /// How its view of a session says the hold time that was agreed on.
    pub fn shows_hold_time(self, seconds: u16) -> String {
        match self {
            Self::Frr => format!("\"bgpTimerHoldTimeMsecs\":{}", u32::from(seconds) * 1000),
            Self::Bird => format!("/{seconds}\n    Keepalive timer:"),
            Self::Gobgp => format!("Hold time is {seconds},"),
            Self::Exabgp => format!("\"hold_time\":{seconds},"),
        }
    }

    /// Words that its view of a session must have where the session has a feature; none: its tools show nothing of it.
    pub fn shows(self, feature: Feature) -> &'static [&'static str] {
        match (self, feature) {
            (Self::Frr, Feature::Key) => &["\"authenticationEnabled\":1"],
            (Self::Frr, Feature::ExtendedMessages) => &["\"extendedMessage\":\"advertisedAndReceived\""],
            (Self::Frr, Feature::Roles) => &["\"role\":\"advertisedAndReceived\""],
            (Self::Frr, Feature::ExtendedNextHop) => &["\"extendedNexthop\":\"advertisedAndReceived\""],
            (Self::Frr, Feature::GracefulRestart) => {
                &["\"gracefulRestart\":\"advertisedAndReceived\"", "\"nBit\":true"]
            }
            (Self::Frr, Feature::EnhancedRefresh) => &["\"enhancedRouteRefresh\":\"advertisedAndReceived\""],
            (Self::Bird, Feature::ExtendedMessages) => &["Extended message"],
            (Self::Bird, Feature::Roles) => &["Role: "],
            (Self::Bird, Feature::ExtendedNextHop) => &["Extended next hop"],
            (Self::Bird, Feature::GracefulRestart) => &["Graceful restart"],
            (Self::Bird, Feature::EnhancedRefresh) => &["Enhanced refresh"],
            (Self::Gobgp, Feature::ExtendedNextHop) => &["extended-nexthop:\tadvertised and received"],
            (Self::Gobgp, Feature::GracefulRestart) => {
                // Whether we have restarted stands between the two.
                &[
                    "graceful-restart:\tadvertised and received",
                    "Remote: restart time 60 sec, ",
                    "notification flag set",
                ]
            }
            (Self::Exabgp, Feature::ExtendedMessages) => &["\"message_size\":65535"],
            (Self::Exabgp, Feature::EnhancedRefresh) => &["\"refresh\":\"enhanced\""],
            (Self::Exabgp, Feature::GracefulRestart) => &["\"name\":\"graceful restart\""],
            _ => &[],
        }
    }
}

/// The router's statements for a session.
pub fn statements(plan: &PeerPlan) -> String {
    let statement = |feature: &Feature| match feature {
        Feature::Key => format!("authentication-key {}; ", plan.key),
        Feature::Near => "ttl-security; ".into(),
        Feature::Passive => "passive; ".into(),
        Feature::GracefulRestart => format!("graceful-restart {{ restart-time {RESTART_TIME_S}; }} "),
        Feature::Roles => {
            let ours = plan.role.map(|role| format!("role {{ {}; strict; }} ", role.other().word()));
            ours.unwrap_or_default()
        }
        Feature::LocalAs => local_as(plan),
        // The session's family, its neighbour statement; the rest is always offered.
        Feature::Allowed | Feature::ExtendedMessages | Feature::ExtendedNextHop | Feature::EnhancedRefresh => {
            String::new()
        }
    };
    plan.features.iter().map(statement).collect()
}

fn local_as(plan: &PeerPlan) -> String {
    let options = match plan.local_as() {
        Some(LocalAsStyle { no_prepend: true, replace_as: true }) => " { no-prepend; replace-as; }",
        Some(LocalAsStyle { no_prepend: true, replace_as: false }) => " { no-prepend; }",
        Some(LocalAsStyle { no_prepend: false, replace_as: true }) => " { replace-as; }",
        _ => ";",
    };
    format!("local-as {LOCAL_AS}{options} ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_lacks_is_named_and_not_configured() {
        let sessions = Sessions {
            features: vec![Feature::Key, Feature::Roles],
            roles: vec![(Maker::Frr, Role::Provider), (Maker::Gobgp, Role::Peer)],
            ..Sessions::default()
        };
        assert_eq!(sessions.of(Maker::Frr), (vec![Feature::Key, Feature::Roles], Some(Role::Provider)));
        assert_eq!(sessions.of(Maker::Gobgp).0, [Feature::Key]);
        assert_eq!(sessions.of(Maker::Bird), (vec![Feature::Key], None), "nothing to it");
        assert_eq!(sessions.skipped(Maker::Gobgp).len(), 2, "roles, and another key");
        assert_eq!((Role::Provider.other(), Role::Peer.other()), (Role::Customer, Role::Peer));
    }
}
