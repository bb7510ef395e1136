//! A gateway: the lab's own speaker with the whole table, and its own BFD.

use std::{collections::HashSet, sync::Arc};

use super::{
    place::{Addresses, Place, Role},
    scenario::{GatewayLoss, Paths},
    watch::Watch,
};
use crate::{
    bgp::{
        feeder::{Feeder, FeederPlan},
        table::Table,
    },
    error::Result,
    topology::HOLD_TIME_S,
};

/// A running gateway. It ends with the value.
pub struct Gateway {
    role: Role,
    feeder: Feeder,
    bfd: Watch,
}

impl Gateway {
    /// Starts it.
    pub fn start(place: &Place, role: Role, scenario: &GatewayLoss, table: &Table) -> Result<Self> {
        let namespace = place.gateway(role);
        let Addresses { router, gateway } = role.addresses(scenario.family);
        let bfd = Watch::start(namespace, role.number(), gateway, router, scenario.bfd_ms)?;
        let feeder = Feeder::start(namespace, speaker(role, scenario, table))?;
        Ok(Self { role, feeder, bfd })
    }

    /// Why its session with the router is not up, or the router may not have heard everything.
    pub fn not_ready(&self) -> Option<String> {
        if self.feeder.has_sent_all() {
            return None;
        }
        let why = self.feeder.last_error().unwrap_or_default();
        Some(format!("the {} gateway has not told everything yet {why}", self.role.name()))
    }

    /// Whether its BFD hears the router and the router hears it.
    pub fn bfd_is_up(&self) -> bool {
        self.bfd.is_up()
    }

    /// How often its BFD was up and is not any more.
    pub fn times_bfd_down(&self) -> u64 {
        self.bfd.times_down()
    }

    /// For how long, at most, the machine stood still since this was asked last, as seen by its BFD.
    pub fn stood_still(&self) -> std::time::Duration {
        self.bfd.stood_still()
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

fn speaker(role: Role, scenario: &GatewayLoss, table: &Table) -> FeederPlan {
    let (peer, addresses) = (role.peer(), role.addresses(scenario.family));
    // What stands in front twice is the longer path.
    let times = if scenario.paths == Paths::Best && role == Role::Backup { 2 } else { 1 };
    FeederPlan {
        name: format!("the {} gateway", role.name()),
        address: peer.address,
        autonomous_system: peer.autonomous_system,
        peer: role.router().address,
        over: addresses.gateway.is_ipv6().then_some((addresses.gateway, addresses.router)),
        hold_time_s: HOLD_TIME_S,
        table: Arc::new(table.bytes(0, &vec![peer.autonomous_system; times], addresses.gateway)),
        // What the router has chosen is heard by the other: nothing of it is an echo.
        own: Arc::new(HashSet::new()),
        sends: None,
        hears: Vec::new(),
        number: role.number(),
        churn: None,
    }
}
