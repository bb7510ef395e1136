//! What a run did and lost, from counters: the state before and after it, compared, and the report.
//!
//! `collect` asks, `silence` measures, `sessions` and `differences` compare, `judge` says what was lost and what cannot be
//! known, `report` puts it together. Nothing here decides what happens in a run.

mod collect;
mod differences;
mod judge;
mod report;
mod sessions;
mod silence;

use holdfast_proto::v1;

pub use collect::{Sources, collect};
pub use judge::judge;
pub use report::{interrupted, report};
pub use sessions::sessions;
pub use silence::{Silence, SilenceWatch};

use crate::forecast::Past;

/// Sessions, interfaces, routes and configuration at one moment; `None` where the daemon did not answer.
#[derive(Debug, Default)]
pub struct Baseline {
    /// From rpd.
    pub sessions: Option<Vec<v1::BgpNeighborDetail>>,
    /// From rpd.
    pub routes: Option<v1::RouteSummary>,
    /// From pfed.
    pub interfaces: Option<Vec<v1::Interface>>,
    /// From pfed.
    pub forwarding: Option<v1::ForwardingSummary>,
    /// From mgd: the commit in force, without its text.
    pub configuration: Option<v1::GetConfigurationReply>,
    /// Around the switch; only afterwards.
    pub silences: Vec<Silence>,
    /// Past runs, for the forecast; only before.
    pub past: Vec<Past>,
    /// Why something is missing.
    pub missing: Vec<String>,
}

impl Baseline {
    /// The sizes of the tables.
    pub fn sizes(&self) -> v1::TableSizes {
        let absent = || "not asked".to_string();
        let sessions = self.sessions.clone().ok_or_else(absent);
        let forwarding = self.forwarding.clone().ok_or_else(absent);
        crate::readiness::sizes(&Tables { sessions, forwarding })
    }
}

/// What a forecast is reckoned for.
#[derive(Debug)]
pub struct Tables {
    /// From rpd.
    pub sessions: Result<Vec<v1::BgpNeighborDetail>, String>,
    /// From pfed.
    pub forwarding: Result<v1::ForwardingSummary, String>,
}

/// Whether a session is up.
pub fn is_established(neighbor: &v1::BgpNeighborDetail) -> bool {
    state(neighbor).eq_ignore_ascii_case("established")
}

/// Whether a descriptor of the vault is the session with this neighbour: "bgp/session/10.0.0.2".
pub fn is_session_of(name: &str, neighbor: &str) -> bool {
    name.strip_prefix("bgp/").and_then(|rest| rest.rsplit('/').next()) == Some(neighbor)
}

fn address(neighbor: &v1::BgpNeighborDetail) -> &str {
    neighbor.summary.as_ref().map_or("", |summary| &summary.address)
}

fn state(neighbor: &v1::BgpNeighborDetail) -> &str {
    neighbor.summary.as_ref().map_or("", |summary| &summary.state)
}
