//! Which road each session takes at a handoff: its connection goes over, or it begins anew; and the watch over those that do.
//!
//! A session goes over when it may (configuration), its descriptor is in the vault and the kernel's counters agree
//! with the facts. Any other restarts gracefully, alone: when this engine begins to lead its connection is closed
//! without a word, its routes wait as stale, and it is made anew at once (RFC 4724 §4.1). Until then
//! nothing of it is touched, so an engine that is thawed goes on with it.

use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use holdfast_bgp::speaker::NeighborId;
use holdfast_kernel::tcp;
use holdfast_proto::v1;
use holdfast_vault::BGP_SESSION_PREFIX;

use super::Core;
use crate::limits::{CLOSE_DISCARD_LEN, RESTART_VERIFY_MAX};

/// What an activation found.
#[derive(Default)]
pub struct Roads {
    /// Where the sessions stand that go over.
    pub positions: Vec<v1::SessionPosition>,
    /// Those that begin anew.
    pub restarts: Vec<v1::SessionReadiness>,
}

/// How far the sessions are that begin anew.
#[derive(Default)]
pub struct RestartProgress {
    /// Neighbours and what is awaited of them.
    pub waiting: Vec<String>,
    /// Neighbours that were given up.
    pub failed: Vec<String>,
}

impl Core {
    /// Takes every session's descriptor and holds the kernel's counters against the facts. Nothing is read, written or closed.
    pub(super) fn take_descriptors(&mut self, peer_lost: bool) -> Result<Roads, String> {
        let mut roads = Roads::default();
        let untold = if peer_lost { self.untold_sessions() } else { Ok(Vec::new()) };
        if let Err(error) = &untold {
            tracing::warn!("whether sessions were left that nobody was told of is not known: {error}");
        }
        self.adopted.set_untold(untold.unwrap_or_default());
        for neighbor in self.adopted.neighbors() {
            let id = neighbor.parse().ok().and_then(|address: IpAddr| self.protocols.bgp.find_neighbor(address));
            // A neighbour that the configuration has removed here meanwhile has no session to go on with.
            let Some(id) = id else { continue };
            match self.take_descriptor(&neighbor, id) {
                Ok(position) => roads.positions.push(position),
                Err(reason) => roads.restarts.push(self.take_the_other_road(&neighbor, id, &reason, peer_lost)?),
            }
        }
        Ok(roads)
    }

    /// A session is put into the vault before it is told of. One whose owner died in between is known to nobody.
    fn untold_sessions(&mut self) -> Result<Vec<String>, String> {
        let known = self.adopted.descriptor_names();
        let entries =
            self.vault()?.list(BGP_SESSION_PREFIX).map_err(|error| format!("the vault cannot be read: {error}"))?;
        Ok(entries.into_iter().map(|entry| entry.name).filter(|name| !known.contains(name)).collect())
    }

    fn take_descriptor(&mut self, neighbor: &str, id: NeighborId) -> Result<v1::SessionPosition, String> {
        if let Some(own) = self.adopted.own_descriptor(neighbor)? {
            return self.adopted.make_ready(neighbor, own);
        }
        if let Some(reason) = self.protocols.bgp.why_not_nonstop(id) {
            return Err(reason.into());
        }
        let fd = self.withdraw(neighbor)?;
        self.adopted.make_ready(neighbor, fd)
    }

    fn withdraw(&mut self, neighbor: &str) -> Result<OwnedFd, String> {
        let name = self.adopted.descriptor_name(neighbor)?;
        let withdrawn = self.vault()?.withdraw(&name);
        Ok(withdrawn.map_err(|error| format!("its connection cannot be taken from the vault: {error}"))?.0)
    }

    /// The session begins anew when this engine leads. Refused if the neighbour would give up our routes meanwhile and nobody could
    /// know that before: then it is better to go back.
    fn take_the_other_road(
        &mut self,
        neighbor: &str,
        id: NeighborId,
        reason: &str,
        peer_lost: bool,
    ) -> Result<v1::SessionReadiness, String> {
        let bgp = &self.protocols.bgp;
        let lost = bgp.why_not_restart(id);
        if let Some(why_not) = lost.filter(|_| bgp.why_not_nonstop(id).is_none() && !peer_lost) {
            return Err(format!("neighbor {neighbor}: {reason}; its session would be lost, because {why_not}"));
        }
        // Where the connection can be had it is closed, which tells the neighbour at once.
        let fd = self.withdraw(neighbor).ok();
        self.adopted.interrupt(neighbor, fd, reason);
        let mode = if lost.is_some() { v1::SwitchoverMode::Lost } else { v1::SwitchoverMode::Gr };
        Ok(v1::SessionReadiness {
            protocol: "bgp".into(),
            neighbor: neighbor.into(),
            mode: mode.into(),
            ready: true,
            reason: reason.into(),
            ..v1::SessionReadiness::default()
        })
    }

    /// From here on this engine leads: connections that do not go over are closed, and their sessions begin anew with the
    /// protocols' activation.
    pub(super) fn interrupt_sessions(&mut self) {
        for name in self.adopted.take_untold() {
            tracing::warn!("{name}: its owner died before it told of this session; it is closed and begins anew");
            if let Err(error) = self.vault().and_then(|vault| vault.remove(&name).map_err(|error| error.to_string())) {
                tracing::warn!("{name} cannot be removed from the vault: {error}");
            }
        }
        for (neighbor, fd, reason) in self.adopted.take_interrupted() {
            let id = neighbor.parse().ok().and_then(|address: IpAddr| self.protocols.bgp.find_neighbor(address));
            let Some(id) = id else { continue };
            tracing::info!("BGP neighbor {neighbor}: its session begins anew: {reason}");
            self.protocols.bgp.interrupt(id, &reason);
            if let Some(fd) = fd {
                // Unread input would turn the end into a reset. Duplicates are elsewhere (the vault's, the frozen engine's): the end has
                // to be said, not left to the last close.
                let _ = tcp::discard(fd.as_fd(), CLOSE_DISCARD_LEN);
                let _ = std::net::TcpStream::from(fd).shutdown(std::net::Shutdown::Both);
            }
        }
    }

    /// RFC 4724 §4.1 by neighbour and family: not over before both sides have said End-of-RIB and what was not told again is
    /// swept; given up when the neighbour's time is over, or the run's patience.
    pub(super) fn restart_progress(&self, waited: Duration) -> RestartProgress {
        let mut progress = RestartProgress::default();
        let bgp = &self.protocols.bgp;
        for id in bgp.neighbor_ids() {
            let Some(address) = bgp.neighbor_address(id) else { continue };
            if bgp.restart_expired(id) {
                progress.failed.push(format!("{address}: its time is over"));
            } else if let Some(what) = bgp.restart_waits_for(id) {
                let list = if waited < RESTART_VERIFY_MAX { &mut progress.waiting } else { &mut progress.failed };
                list.push(format!("{address}: waiting for {what}"));
            }
        }
        progress
    }
}
