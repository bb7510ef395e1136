//! Answers to chassisd and to operators.

use holdfast_proto::v1;

use super::{Core, now};
use crate::input::Command;

impl Core {
    pub(super) fn command(&mut self, command: Command) {
        // Who asked may be gone by now; the answer is lost then, and that is all.
        match command {
            Command::Status(answer) => drop(answer.send(self.status())),
            Command::Synchronization(answer) => drop(answer.send(self.synchronization())),
            Command::Prepare(answer) => drop(answer.send(self.prepare())),
            Command::Cancel(answer) => {
                self.protocols.notify(false);
                let _ = answer.send(v1::CancelReply {});
            }
            Command::Freeze(request, answer) => drop(answer.send(self.freeze(&request))),
            Command::Activate(request, answer) => drop(answer.send(self.activate(&request))),
            Command::Commit(request, answer) => drop(answer.send(self.commit(&request))),
            Command::Follow(request, answer) => drop(answer.send(self.follow_successor(&request))),
            Command::Verify(answer) => drop(answer.send(self.verify())),
            Command::Terminate(request, answer) => self.terminate(&request, answer),
            Command::BgpSummary(answer) => drop(answer.send(self.protocols.bgp.summary(now()))),
            Command::BgpNeighbors(address, answer) => drop(answer.send(self.neighbors(&address))),
            Command::RoutePage(request, from, answer) => drop(answer.send(self.route_page(&request, from))),
            Command::ForwardingPage(from, answer) => drop(answer.send(Ok(self.forwarding_page(from)))),
            Command::RouteSummary(answer) => drop(answer.send(self.route_summary())),
            Command::TestPolicyPage(request, from, answer) => drop(answer.send(self.test_policy_page(&request, from))),
            Command::Policies(name, answer) => drop(answer.send(self.policies(&name))),
            Command::Replication(answer) => drop(answer.send(self.replication())),
            Command::Clear(request, answer) => drop(answer.send(self.clear(&request))),
        }
    }

    fn status(&self) -> v1::DaemonStatus {
        v1::DaemonStatus {
            name: "rpd".into(),
            slot: self.slot.clone(),
            pid: std::process::id(),
            role: self.role.into(),
            epoch: self.epoch,
            ready: self.is_ready(),
            detail: self.waits_for().into(),
            error: self.failure.clone(),
            version: env!("CARGO_PKG_VERSION").into(),
            started_mono_ns: self.started.as_nanos() as u64,
            alarms: Vec::new(),
        }
    }

    fn synchronization(&self) -> v1::SynchronizationReply {
        let Some(follower) = &self.follower else {
            let detail = if self.failure.is_empty() { self.waits_for().to_owned() } else { self.failure.clone() };
            return v1::SynchronizationReply { detail, ..v1::SynchronizationReply::default() };
        };
        let tables = follower.comparisons().to_vec();
        let unequal = tables.iter().filter(|table| !table.equal).count();
        let detail = if !self.failure.is_empty() {
            self.failure.clone()
        } else if follower.has_ended() {
            "the primary has ended the stream of facts".into()
        } else if !follower.is_snapshot_done() {
            "the snapshot is coming in".into()
        } else if tables.is_empty() {
            "the primary has not marked its digests yet".into()
        } else if unequal > 0 {
            format!("{unequal} of {} tables differ", tables.len())
        } else {
            String::new()
        };
        v1::SynchronizationReply {
            synchronized: detail.is_empty(),
            detail,
            entries_done: tables.iter().filter_map(|table| table.backup.as_ref()).map(|table| table.entries).sum(),
            tables,
            lag_bytes: follower.lag_bytes(),
            pending_writes: 0,
            lost: follower.has_ended() || !self.failure.is_empty(),
        }
    }

    fn replication(&self) -> v1::Replication {
        let tables = self.follower.as_ref().map(|follower| follower.comparisons().to_vec()).unwrap_or_default();
        let state = match (&self.sender, &self.follower) {
            (Some(sender), _) if sender.is_snapshot_done() => "replicating",
            (Some(_), _) => "sending snapshot",
            (_, Some(follower)) if follower.is_snapshot_done() => "following",
            (_, Some(_)) => "receiving snapshot",
            _ => "no backup",
        };
        v1::Replication {
            role: self.role.into(),
            epoch: self.epoch,
            peer_connected: self.sender.is_some() || self.follower.is_some(),
            state: state.into(),
            facts_sent: self.sender.as_ref().map_or(0, |sender| sender.frames()),
            facts_received: self.follower.as_ref().map_or(0, |follower| follower.frames()),
            lag_bytes: self.sender.as_ref().map_or_else(
                || self.follower.as_ref().map_or(0, |follower| follower.lag_bytes()),
                |sender| sender.unread(),
            ),
            tables,
            sessions: self.protocols.readiness(now()),
            snapshot_done: self.sender.as_ref().is_some_and(|sender| sender.is_snapshot_done())
                || self.follower.as_ref().is_some_and(|follower| follower.is_snapshot_done()),
            working_on: self.working_on().into(),
        }
    }

    /// What a switchover would have to wait for, of this engine alone.
    fn working_on(&self) -> &'static str {
        if self.protocols.bgp.has_background() {
            "tables are being worked through"
        } else if self.role == v1::Role::Primary && !self.converged {
            "neighbors have not yet said all they have to say since the start"
        } else if self.role == v1::Role::Primary && !self.fib.is_settled(&self.rib) {
            "routes are on their way to pfed"
        } else {
            ""
        }
    }

    fn neighbors(&self, address: &str) -> Result<v1::BgpNeighbors, String> {
        let ids = if address.is_empty() {
            self.protocols.bgp.neighbor_ids()
        } else {
            let parsed = address.parse().map_err(|_| format!("{address:?} is not an IP address"))?;
            vec![
                self.protocols
                    .bgp
                    .find_neighbor(parsed)
                    .ok_or_else(|| format!("{address} is not a configured neighbor"))?,
            ]
        };
        let mut neighbors: Vec<v1::BgpNeighborDetail> =
            ids.iter().filter_map(|id| self.protocols.bgp.detail(*id, now())).collect();
        for (id, detail) in ids.iter().zip(&mut neighbors) {
            if !detail.why_not_established.is_empty() {
                detail.why_not_established.push_str(&self.silence_in_words(*id));
                detail.why_not_established.push_str(&self.drops_in_words(*id));
            }
            if let Some(connection) = self.connections.iter().find(|c| c.neighbor == *id && c.established) {
                detail.bytes_in = connection.ledger.consumed();
                detail.bytes_out = connection.ledger.written();
                detail.in_vault = self.protocols.bgp.is_deposited(*id);
            }
        }
        self.describe_bfd(&mut neighbors);
        Ok(v1::BgpNeighbors { neighbors })
    }

    fn clear(&mut self, request: &v1::ClearBgpNeighborRequest) -> Result<v1::ClearBgpNeighborReply, String> {
        if self.role != v1::Role::Primary {
            return Err("this routing engine is not the primary; ask the primary".into());
        }
        let ids = if request.address == "all" || request.address.is_empty() {
            self.protocols.bgp.neighbor_ids()
        } else {
            let known = request.address.parse().ok().and_then(|address| self.protocols.bgp.find_neighbor(address));
            vec![known.ok_or_else(|| format!("{} is not a configured neighbor", request.address))?]
        };
        for id in &ids {
            match (request.soft, request.soft_inbound) {
                (_, true) => self.protocols.bgp.ask_anew(*id),
                (true, false) => self.protocols.bgp.send_anew(*id),
                (false, false) => self.protocols.bgp.reset(*id, &request.message, &mut self.rib, now()),
            }
        }
        self.act();
        self.connections.mark_output_all();
        Ok(v1::ClearBgpNeighborReply { cleared: ids.len() as u32 })
    }

    fn terminate(&mut self, request: &v1::TerminateRequest, answer: tokio::sync::oneshot::Sender<v1::TerminateReply>) {
        if request.mode() == v1::terminate_request::Mode::Stop && self.role == v1::Role::Primary {
            // The sessions end, the kernel's routes stay: pfed hears nothing of what follows.
            self.fib.restart();
            for id in self.protocols.bgp.neighbor_ids() {
                self.protocols.bgp.shut_down(id, &request.message, &mut self.rib, now());
            }
            self.act();
            self.write_sessions(now());
        }
        self.ending = true;
        let _ = answer.send(v1::TerminateReply {});
        // Time for the answer to leave; the process ends with the core's thread.
        std::thread::sleep(std::time::Duration::from_millis(20));
    }

    /// The vault, connected when needed.
    pub(super) fn vault(&mut self) -> Result<&mut holdfast_vault::VaultClient, String> {
        if self.vault.is_none() {
            let name = format!("{}/rpd", self.slot);
            let client = holdfast_vault::VaultClient::connect(&self.run_dir.vault_socket(), &name)
                .map_err(|error| error.to_string())?;
            self.vault = Some(client);
        }
        let epoch = self.epoch;
        let vault = self.vault.as_mut().ok_or("the descriptor vault cannot be reached")?;
        vault.set_epoch(epoch);
        Ok(vault)
    }
}
