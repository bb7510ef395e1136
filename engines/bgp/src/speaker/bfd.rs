//! What BFD (RFC 5880) has to do with sessions: who is to be watched, and what the loss of one means.

use std::net::IpAddr;
use std::time::Duration;

use holdfast_proto::v1::BfdLiveness;
use holdfast_rib::Rib;

use super::Speaker;
use super::table::NeighborId;
use crate::wire::{Cease, NotificationMessage};

/// A neighbour whose way is to be watched.
#[derive(Clone, Debug, PartialEq)]
pub struct Watched {
    /// Who.
    pub neighbor: NeighborId,
    /// Its address.
    pub address: IpAddr,
    /// The link of a link-local address; 0: any.
    pub interface: u32,
    /// Our address, where one is configured.
    pub local: Option<IpAddr>,
    /// How.
    pub liveness: BfdLiveness,
}

/// What the loss of a way means to the session with the neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consequence {
    /// Nothing.
    Nothing,
    /// It ends, and its routes go.
    SessionEnds,
    /// It had ended, and the neighbour's routes waited for a graceful restart: they wait no longer.
    RestartIsOver,
}

impl Speaker {
    /// Every neighbour that is to be watched. One that is shut down is not; one whose link is not there cannot be.
    pub fn watched_by_bfd(&self, rib: &Rib) -> Vec<Watched> {
        let neighbors = self.neighbors.iter().flatten().filter(|neighbor| !neighbor.config.disable);
        neighbors
            .filter_map(|neighbor| {
                let link = &neighbor.config.interface;
                Some(Watched {
                    neighbor: neighbor.id,
                    address: neighbor.address,
                    interface: if link.is_empty() { 0 } else { rib.interface_index(link)? },
                    local: neighbor.config.local_address.parse().ok(),
                    liveness: neighbor.config.bfd.clone()?,
                })
            })
            .collect()
    }

    /// Whether the loss of the way to an address at `since` is the end of every route of who has it: whoever is watched loses its session or
    /// the patience with its restart. Else [`Speaker::bfd_lost`] draws no consequences, or nobody asks it, and routes stay.
    pub fn bfd_loss_counts(&self, address: IpAddr, since: Duration, independent: bool) -> bool {
        let mut concerned = self.neighbors.iter().flatten().filter(|neighbor| neighbor.address == address);
        concerned.all(|neighbor| match &neighbor.up {
            Some(up) => neighbor.config.bfd.is_some() && up.established_at <= since,
            None => independent || neighbor.stale.is_none(),
        })
    }

    /// The way to the neighbour was lost at `since`. A session that was up then ends (RFC 9384); one that came up later has proven
    /// that packets get through, although BFD does not. Where BFD shares the fate of no control plane (`independent`: the neighbour's C bit;
    /// ours is always set), a graceful restart that was under way then is over (RFC 5882 §4.3.1); where it does, its failure is what a restart
    /// looks like, and changes nothing (§4.3.2). An engine that follows hears of it from the other one.
    pub fn bfd_lost(
        &mut self,
        id: NeighborId,
        since: Duration,
        independent: bool,
        rib: &mut Rib,
        now: Duration,
    ) -> Consequence {
        if self.following {
            return Consequence::Nothing;
        }
        let Some(neighbor) = self.get_mut(id) else { return Consequence::Nothing };
        let Some(up) = &neighbor.up else {
            let over = independent && self.abort_restart(id, since, now);
            return if over { Consequence::RestartIsOver } else { Consequence::Nothing };
        };
        if up.established_at > since {
            return Consequence::Nothing;
        }
        neighbor.session.reset(NotificationMessage::cease(Cease::BfdDown), now);
        self.collect(id, rib, now);
        Consequence::SessionEnds
    }
}
