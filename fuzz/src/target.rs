//! The list of what is fuzzed.

use crate::{attributes, bfd, configuration, engine, machine, policy, session, wire};

/// Something under test.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// Message headers.
    Frame,
    /// OPEN.
    Open,
    /// Its capabilities.
    Capabilities,
    /// UPDATE.
    Update,
    /// NOTIFICATION.
    Notification,
    /// ROUTE-REFRESH.
    RouteRefresh,
    /// One path attribute of any type.
    Attribute,
    /// AS_PATH and AS4_PATH.
    AsPath,
    /// The three kinds of communities.
    Communities,
    /// MP_REACH_NLRI and MP_UNREACH_NLRI.
    Multiprotocol,
    /// The state machine of one neighbour.
    Session,
    /// A speaker with two sessions.
    Speaker,
    /// A follower of another engine.
    Facts,
    /// An operator's text.
    Configuration,
    /// Expressions of routing policy.
    Expression,
    /// A whole routing policy, and routes.
    Policy,
    /// Lines of configure mode.
    Editing,
    /// Datagrams of rtnetlink.
    Netlink,
    /// Packets for the vault.
    Vault,
    /// The file of a lab scenario.
    Scenario,
    /// BFD's control packet.
    BfdPacket,
    /// BFD's sessions.
    BfdSessions,
}

impl Target {
    /// All of them.
    pub const ALL: [Target; 22] = [
        Target::Frame,
        Target::Open,
        Target::Capabilities,
        Target::Update,
        Target::Notification,
        Target::RouteRefresh,
        Target::Attribute,
        Target::AsPath,
        Target::Communities,
        Target::Multiprotocol,
        Target::Session,
        Target::Speaker,
        Target::Facts,
        Target::Configuration,
        Target::Expression,
        Target::Policy,
        Target::Editing,
        Target::Netlink,
        Target::Vault,
        Target::Scenario,
        Target::BfdPacket,
        Target::BfdSessions,
    ];

    /// The name of the target and of its corpus.
    pub fn name(self) -> &'static str {
        match self {
            Target::Frame => "frame",
            Target::Open => "open",
            Target::Capabilities => "capabilities",
            Target::Update => "update",
            Target::Notification => "notification",
            Target::RouteRefresh => "route_refresh",
            Target::Attribute => "attribute",
            Target::AsPath => "as_path",
            Target::Communities => "communities",
            Target::Multiprotocol => "multiprotocol",
            Target::Session => "session",
            Target::Speaker => "speaker",
            Target::Facts => "facts",
            Target::Configuration => "configuration",
            Target::Expression => "expression",
            Target::Policy => "policy",
            Target::Editing => "editing",
            Target::Netlink => "netlink",
            Target::Vault => "vault",
            Target::Scenario => "scenario",
            Target::BfdPacket => "bfd_packet",
            Target::BfdSessions => "bfd_sessions",
        }
    }

    /// What it does with its input.
    pub fn check(self) -> fn(&[u8]) {
        match self {
            Target::Frame => wire::check_frame,
            Target::Open => wire::check_open,
            Target::Capabilities => wire::check_capabilities,
            Target::Update => wire::check_update,
            Target::Notification => wire::check_notification,
            Target::RouteRefresh => wire::check_route_refresh,
            Target::Attribute => attributes::check_attribute,
            Target::AsPath => attributes::check_as_path,
            Target::Communities => attributes::check_communities,
            Target::Multiprotocol => attributes::check_multiprotocol,
            Target::Session => session::check_session,
            Target::Speaker => engine::check_speaker,
            Target::Facts => engine::check_facts,
            Target::Configuration => configuration::check_configuration,
            Target::Expression => policy::expression::check_expression,
            Target::Policy => policy::whole::check_policy,
            Target::Editing => configuration::check_editing,
            Target::Netlink => machine::check_netlink,
            Target::Vault => machine::check_vault,
            Target::Scenario => machine::check_scenario,
            Target::BfdPacket => bfd::check_packet,
            Target::BfdSessions => bfd::check_sessions,
        }
    }
}
