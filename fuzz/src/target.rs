//! The list of what is fuzzed.

use crate::{attributes, configuration, engine, policy, session, wire};

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
}

impl Target {
    /// All of them.
    pub const ALL: [Target; 15] = [
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
            Target::Expression => policy::check_expression,
        }
    }
}
