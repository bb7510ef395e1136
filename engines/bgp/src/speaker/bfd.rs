//! What BFD (RFC 5880) has to do with sessions: who is to be watched, and what the loss of one means.

use std::net::IpAddr;
use std::time::Duration;

use holdfast_proto::v1::BfdLiveness;
use holdfast_rib::Rib;

use super::Speaker;
use super::neighbor::Neighbor;
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

/// What the neighbours that are there say to the loss of a way: whether packets are to take another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WayLost {
    /// Nothing speaks against it.
    Counts,
    /// One of them restarts gracefully, and a failure of its BFD is what that looks like (RFC 5882 §4.3.2).
    MayBeRestart,
    /// A session came up since: packets get through, although BFD does not.
    IsProvenOtherwise,
}

impl Neighbor {
    /// Its session was up once, and nothing forbids that it comes up again.
    fn is_to_come_back(&self) -> bool {
        let was_up = self.forwarded || self.counters.flaps > 0;
        was_up && !self.config.disable && self.why_idle().is_none()
    }
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

    /// What neighbours with an address (on a link, if not 0) say to the loss of the way there at `since`. Whether they are watched does not
    /// matter: it is about packets, not about their sessions. `independent` as in [`Speaker::bfd_lost`].
    pub fn way_lost(&self, address: IpAddr, interface: u32, since: Duration, independent: bool) -> WayLost {
        let concerned = || self.at(address, interface);
        if concerned().any(|neighbor| neighbor.up.as_ref().is_some_and(|up| up.established_at > since)) {
            return WayLost::IsProvenOtherwise;
        }
        let restarts = |neighbor: &Neighbor| neighbor.up.is_none() && neighbor.stale.is_some();
        match concerned().any(restarts) && !independent {
            true => WayLost::MayBeRestart,
            false => WayLost::Counts,
        }
    }

    /// Whether somebody at an address (on a link, if not 0) is to tell his routes again: he had a session, and has none now, whenever it ended (it
    /// may end before the loss is noticed); or it came up after the loss of the way there at `since`, and the routes are still coming in. Until then packets that have another way are better off there, and what
    /// is decided of his routes meanwhile is not all. Not one who never had a session, nor one of whom none is expected now.
    pub fn is_to_tell_again(&self, address: IpAddr, interface: u32, since: Duration, now: Duration) -> bool {
        self.at(address, interface).any(|neighbor| match &neighbor.up {
            Some(up) => up.established_at > since && !neighbor.has_told_everything(now),
            None => neighbor.is_to_come_back(),
        })
    }

    /// Neighbours whose sessions have ended and are to come up again: address, link of a link-local one (else 0), and when they ended. Who did not
    /// hear of the loss of a way sees from it that there was one, where BFD is up since a later time.
    pub fn sessions_that_ended(&self) -> impl Iterator<Item = (IpAddr, u32, Duration)> {
        let gone =
            self.neighbors.iter().flatten().filter(|neighbor| neighbor.up.is_none() && neighbor.is_to_come_back());
        gone.map(|neighbor| (neighbor.address, neighbor.scope.unwrap_or_default(), neighbor.down_since))
    }

    /// Neighbours with an address, on a link if not 0.
    fn at(&self, address: IpAddr, interface: u32) -> impl Iterator<Item = &Neighbor> {
        self.neighbors.iter().flatten().filter(move |neighbor| {
            let on_link = interface == 0 || neighbor.scope.is_none_or(|scope| scope == interface);
            neighbor.address == address && on_link
        })
    }

    /// The way to the neighbour was lost at `since`. A session that was up then ends (RFC 9384), and rests before the next one, the longer the
    /// less its ways last: each end moves all of its routes, and a way that comes and goes is worse than one that is gone (RFC 5882 §3.1). One
    /// that came up later has proven that packets get through, although BFD does not. Where BFD shares the fate of no control plane (`independent`: the neighbour's C bit;
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
        neighbor.session.fail(NotificationMessage::cease(Cease::BfdDown), now);
        self.collect(id, rib, now);
        Consequence::SessionEnds
    }
}
