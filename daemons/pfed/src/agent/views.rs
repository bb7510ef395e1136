//! Answers to operators and to chassisd.

use holdfast_proto::v1::{self, Role};
use holdfast_rib::Gateway;
use tonic::Status;

use super::Agent;
use super::load::Load;
use crate::fib::Cursor;
use crate::interface_plan;
use crate::limits::{ALARMS_MAX, PAGE_ENTRIES};
use crate::request::{Request, forwarding_entry};

impl Agent {
    pub(super) fn handle_request(&mut self, request: Request) {
        // Who has gone away in the meantime does not hear the answer; that is all right.
        match request {
            Request::Status(reply) => drop(reply.send(Ok(self.status()))),
            Request::Synchronization(reply) => drop(reply.send(Ok(self.synchronization()))),
            Request::Prepare(reply) => drop(reply.send(Ok(self.prepare()))),
            Request::Freeze(request, reply) => self.freeze(&request, reply),
            Request::Activate(request, reply) => drop(reply.send(self.activate(&request))),
            Request::Commit(request, reply) => drop(reply.send(self.commit(&request))),
            Request::Follow(request, reply) => drop(reply.send(self.follow(&request))),
            Request::Verify(reply) => drop(reply.send(Ok(self.verify()))),
            Request::Terminate(request, reply) => drop(reply.send(self.terminate(request))),
            Request::WatchInterfaces(reply) => self.watch_interfaces(reply),
            Request::Program(ends) => self.open_stream(ends),
            Request::AdoptHistory(seen) => self.links.adopt_history(&seen),
            Request::ShowInterfaces(name, reply) => drop(reply.send(self.show_interfaces(&name))),
            Request::ShowRoute(prefix, reply) => {
                let entry =
                    self.fib.lookup(&prefix).map(|entry| forwarding_entry(&entry, |index| self.links.name(index)));
                drop(reply.send(Ok(entry)));
            }
            Request::ShowPage(cursor, reply) => drop(reply.send(Ok(self.page(cursor)))),
            Request::ShowSummary(reply) => drop(reply.send(Ok(self.summary()))),
            Request::Compare(comparison, reply) => drop(reply.send(self.compare(comparison))),
            Request::Mend(request, reply) => self.mend_all(&request, reply),
        }
    }

    /// What is still missing before this process can do its part.
    fn waiting_for(&self) -> Option<&'static str> {
        if !self.loaded {
            return Some("reading the kernel's table");
        }
        if self.configuration.interfaces.is_none() {
            return Some("waiting for the configuration from mgd");
        }
        (!self.configuration.answered).then_some("applying the configuration of the interfaces")
    }

    fn status(&mut self) -> v1::DaemonStatus {
        let waiting = self.waiting_for();
        let detail = match waiting {
            Some(waiting) => waiting.to_owned(),
            None if !self.fib.is_complete() => "waiting for rpd's table".to_owned(),
            None => format!("{} routes differ", self.fib.pending_writes()),
        };
        v1::DaemonStatus {
            name: "pfed".into(),
            slot: self.slot.clone(),
            pid: std::process::id(),
            role: self.role.into(),
            epoch: self.epoch,
            ready: waiting.is_none(),
            detail,
            error: String::new(),
            version: env!("CARGO_PKG_VERSION").into(),
            started_mono_ns: self.started_mono_ns,
            alarms: self.alarms(),
        }
    }

    /// What the kernel refuses of the configured interfaces, as long as it does.
    fn alarms(&self) -> Vec<String> {
        let refused = self.configuration.failures.iter().take(ALARMS_MAX);
        let alarm = |(at, why): &(String, String)| format!("refused by the kernel: {why}; see show interfaces {at}");
        refused.map(alarm).collect()
    }

    /// What stands between this process and "synchronized".
    fn not_synchronized(&mut self, pending: u64) -> Option<String> {
        if let Some(waiting) = self.waiting_for() {
            return Some(waiting.into());
        }
        if matches!(self.load, Load::Away | Load::Listening { .. }) {
            return Some("so much of the kernel's table changes that it is read once that is over".into());
        }
        if !matches!(self.load, Load::Idle) || self.doubt.due.is_some() {
            return Some("reading the kernel's table again".into());
        }
        if !self.stream_is_complete() {
            return Some("waiting for rpd's table".into());
        }
        (pending > 0).then(|| format!("{pending} routes differ from the kernel's"))
    }

    fn synchronization(&mut self) -> v1::SynchronizationReply {
        let pending_writes = self.fib.pending_writes();
        let tables = self.compared_tables();
        let missing = self.not_synchronized(pending_writes);
        v1::SynchronizationReply {
            synchronized: missing.is_none() && tables.iter().all(|table| table.equal),
            detail: missing.unwrap_or_default(),
            entries_done: tables.iter().filter_map(|table| table.backup.as_ref()).map(|digest| digest.entries).sum(),
            tables,
            lag_bytes: 0,
            pending_writes,
            lost: false, // whatever it missed it reads again
        }
    }

    /// The primary is ready as soon as it stands on solid ground; a backup must have nothing to write as well.
    fn prepare(&mut self) -> v1::PrepareReply {
        let pending = if self.role == Role::Primary { 0 } else { self.fib.pending_writes() };
        let missing = self.not_synchronized(pending);
        v1::PrepareReply {
            ready: missing.is_none(),
            wait_ms: if missing.is_some() { 50 } else { 0 },
            reason: missing.unwrap_or_default(),
            sessions: Vec::new(),
        }
    }

    fn verify(&mut self) -> v1::VerifyReply {
        let pending = self.fib.pending_writes();
        let busy = self.has_writes_under_way() || self.reconcile.is_some() || self.configuration.under_way.is_some();
        let missing = match self.role {
            Role::Primary if self.hold.is_some() => Some("rpd has not told everything since the switch".to_owned()),
            Role::Primary if busy => Some("writes are under way".to_owned()),
            Role::Primary => self.not_synchronized(pending),
            role => Some(format!("{} is {}, not primary", self.slot, role.as_str_name())),
        };
        let (writes, needless) = self.writes_at_commit;
        let kernel_writes_needless = self.counters.writes_needless - needless;
        // Who writes what is there already does not know the kernel's table: it must not go on with it.
        let needless = (kernel_writes_needless > 0)
            .then(|| format!("{kernel_writes_needless} routes were written that the kernel had already"));
        v1::VerifyReply {
            done: missing.is_none() || needless.is_some(),
            ok: missing.is_none() && needless.is_none(),
            reason: needless.or(missing).unwrap_or_default(),
            kernel_writes: self.counters.writes - writes,
            kernel_writes_needless,
            ..Default::default()
        }
    }

    /// Interfaces with counters of this moment, straight from the kernel.
    fn show_interfaces(&mut self, name: &str) -> Result<v1::Interfaces, Status> {
        let links = self.probe.links().map_err(|error| Status::internal(error.to_string()))?;
        let shown = links.iter().filter(|link| name.is_empty() || link.name == name);
        let configured = self.configuration.interfaces.as_deref().unwrap_or_default();
        let failures = &self.configuration.failures;
        let complete = shown.map(|link| v1::Interface {
            configured: interface_plan::is_configured(configured, &link.name),
            problems: failures.iter().filter(|(at, _)| *at == link.name).map(|(_, why)| why.clone()).collect(),
            ..self.links.shown(link)
        });
        let interfaces: Vec<v1::Interface> = complete.collect();
        let mut waiting = interface_plan::waiting(configured, &self.links);
        let unmade = failures.iter().filter(|(at, _)| self.links.by_name(at).is_none());
        waiting.extend(unmade.map(|(at, why)| v1::InterfaceProblem { name: at.clone(), problem: why.clone() }));
        waiting.retain(|at| name.is_empty() || at.name == name);
        if interfaces.is_empty() && waiting.is_empty() && !name.is_empty() {
            return Err(Status::not_found(format!("interface {name} does not exist")));
        }
        Ok(v1::Interfaces { interfaces, waiting })
    }

    fn page(&self, mut cursor: Cursor) -> (Vec<v1::ForwardingEntry>, Cursor) {
        let entries = self.fib.page(&mut cursor, PAGE_ENTRIES);
        (entries.iter().map(|entry| forwarding_entry(entry, |index| self.links.name(index))).collect(), cursor)
    }

    /// Those that BFD has lost, by name.
    fn failed_gateways(&self) -> Vec<v1::ForwardingNexthop> {
        let shown = |gateway: &Gateway| v1::ForwardingNexthop {
            gateway: gateway.address.map(|address| address.to_string()).unwrap_or_default(),
            interface: self.links.name(gateway.interface_index),
            weight: 1,
            backup: false,
        };
        self.fib.failed_gateways().iter().map(shown).collect()
    }

    fn summary(&mut self) -> v1::ForwardingSummary {
        let (kernel, desired) = (self.kernel_tables(), self.desired_tables());
        let counters = &self.counters;
        v1::ForwardingSummary {
            routes_ipv4: kernel[0].entries,
            routes_ipv6: kernel[1].entries,
            nexthop_objects: self.fib.nexthop_objects(),
            writes: counters.writes,
            writes_needless: counters.writes_needless,
            errors: counters.errors,
            last_error: counters.last_error.clone(),
            resynchronizations: counters.resynchronizations,
            repairs: counters.repairs,
            kernel,
            desired,
            pending_writes: self.fib.pending_writes(),
            role: self.role.into(),
            epoch: self.epoch,
            failed_gateways: self.failed_gateways(),
        }
    }
}
