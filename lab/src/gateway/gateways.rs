//! A gateway: the lab's own speaker with the whole table, and BIRD for BFD and nothing else.

use std::{collections::HashSet, fs, path::PathBuf, sync::Arc};

use super::{
    place::{Place, Role},
    scenario::{GatewayLoss, MULTIPLIER, Paths},
};
use crate::{
    bgp::{
        feeder::{Feeder, FeederPlan},
        table::Table,
    },
    error::{Doing, Result},
    host::process::Guarded,
    neighbor::bird,
    topology::{HOLD_TIME_S, TO_ROUTER},
};

/// A running gateway. It ends with the value.
pub struct Gateway {
    role: Role,
    feeder: Feeder,
    bfd: Guarded,
    socket: PathBuf,
}

impl Gateway {
    /// Starts it.
    pub fn start(place: &Place, role: Role, scenario: &GatewayLoss, table: &Table) -> Result<Self> {
        let folder = place.setting.folder().join(role.name());
        fs::create_dir_all(&folder).doing(|| format!("create {}", folder.display()))?;
        let socket = folder.join("bird.ctl");
        let bfd = bird::spawn(place.gateway(role), &folder, &bfd_configuration(role, scenario.bfd_ms), &socket)?;
        let feeder = Feeder::start(place.gateway(role), speaker(role, scenario.paths, table))?;
        Ok(Self { role, feeder, bfd, socket })
    }

    /// Why its session with the router is not up, or the router may not have heard everything.
    pub fn not_ready(&mut self) -> Result<Option<String>> {
        self.bfd.check_running()?;
        if self.feeder.has_sent_all() {
            return Ok(None);
        }
        let why = self.feeder.last_error().unwrap_or_default();
        Ok(Some(format!("the {} gateway has not told everything yet {why}", self.role.name())))
    }

    /// Whether its BFD hears the router and the router hears it, as BIRD says.
    pub fn bfd_is_up(&self) -> Result<bool> {
        let text = bird::control(&self.socket, "show bfd sessions")?;
        // "10.111.1.1   router   Up   12:00:00.123   0.050   0.150"
        Ok(text.lines().any(|line| line.split_whitespace().nth(2) == Some("Up")))
    }

    /// How many routes the router has told it.
    pub fn heard(&self) -> usize {
        self.feeder.prefixes_heard()
    }

    /// How often its session has ended.
    pub fn times_down(&self) -> u64 {
        self.feeder.state().times_down()
    }
}

fn speaker(role: Role, paths: Paths, table: &Table) -> FeederPlan {
    let peer = role.peer();
    // What stands in front twice is the longer path.
    let times = if paths == Paths::Best && role == Role::Backup { 2 } else { 1 };
    FeederPlan {
        name: format!("the {} gateway", role.name()),
        address: peer.address,
        autonomous_system: peer.autonomous_system,
        peer: role.router().address,
        hold_time_s: HOLD_TIME_S,
        table: Arc::new(table.bytes(0, &vec![peer.autonomous_system; times], peer.address)),
        // What the router has chosen is heard by the other: nothing of it is an echo.
        own: Arc::new(HashSet::new()),
        sends: None,
        hears: Vec::new(),
        number: role.number(),
        churn: None,
    }
}

fn bfd_configuration(role: Role, ms: u32) -> String {
    let (own, router) = (role.peer().address, role.router().address);
    format!(
        "router id {own};
protocol device {{}}
protocol bfd {{
  interface \"{TO_ROUTER}\" {{ interval {ms} ms; multiplier {MULTIPLIER}; }};
  neighbor {router} dev \"{TO_ROUTER}\" local {own};
}}
"
    )
}
