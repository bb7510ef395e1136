//! Processes that answer as the real ones would, with fixed contents.

use std::{
    path::Path,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use holdfast_proto::v1::{self, *};
use tokio_stream::Stream;
use tonic::{Request, Response, Status, transport::Server};

type Answer<T> = Result<Response<T>, Status>;
type Items<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// What the fakes were asked to do.
pub type Log = Arc<Mutex<Vec<String>>>;

fn done<T>(value: T) -> Answer<T> {
    Ok(Response::new(value))
}

fn items<T: Send + 'static>(values: Vec<T>) -> Answer<Items<T>> {
    Ok(Response::new(Box::pin(tokio_stream::iter(values.into_iter().map(Ok)))))
}

pub struct FakeChassis(pub Log);

#[tonic::async_trait]
impl chassis_server::Chassis for FakeChassis {
    type FollowRunStream = Items<RunEvent>;
    async fn get_chassis(&self, _: Request<GetChassisRequest>) -> Answer<ChassisState> {
        let process = |name: &str, slot: &str, role: Role| ProcessState {
            name: name.into(),
            slot: slot.into(),
            pid: 4711,
            state: "running".into(),
            role: role.into(),
            rss_kib: 20480,
            version: "0.1.0".into(),
            ..Default::default()
        };
        let run_id = u64::from(self.0.lock().unwrap().iter().any(|line| line == "run in progress"));
        done(ChassisState {
            state: "idle".into(),
            epoch: 3,
            master_slot: "re0".into(),
            run_id,
            processes: vec![process("rpd", "re0", Role::Primary), process("pfed", "re0", Role::Primary)],
            version: "0.1.0".into(),
            runtime: "process".into(),
            started_unix_ms: 1_700_000_000_000,
            alarms: vec!["backup lost".into()],
            active_alarms: vec![Alarm { text: "backup lost".into(), raised_unix_ms: 1_708_569_424_000 }],
            ..Default::default()
        })
    }
    async fn start_run(&self, request: Request<StartRunRequest>) -> Answer<StartRunReply> {
        let request = request.into_inner();
        let mut told = format!("start force={} by={}", request.force, request.requested_by);
        told.push_str(if request.dry_run { " dry-run" } else { "" });
        for (key, value) in [("confirm", request.confirm_s.to_string()), ("message", request.message)] {
            if !matches!(value.as_str(), "" | "0") {
                told.push_str(&format!(" {key}={value}"));
            }
        }
        self.0.lock().unwrap().push(told);
        if self.0.lock().unwrap().iter().any(|line| line == "run in progress") {
            return Err(Status::failed_precondition(
                "run 1 is in progress; request system reboot in-service abort ends it",
            ));
        }
        done(StartRunReply { run_id: 8 })
    }
    async fn follow_run(&self, _: Request<FollowRunRequest>) -> Answer<Items<RunEvent>> {
        items(Vec::new())
    }
    async fn confirm_run(&self, request: Request<ConfirmRunRequest>) -> Answer<ConfirmRunReply> {
        done(ConfirmRunReply { outcome: format!("the run is confirmed by {}", request.into_inner().requested_by) })
    }
    async fn schedule_run(&self, request: Request<ScheduleRunRequest>) -> Answer<ScheduledRun> {
        let ScheduleRunRequest { at_unix_ms, run } = request.into_inner();
        done(ScheduledRun { at_unix_ms, requested_unix_ms: 1, run })
    }
    async fn get_schedule(&self, _: Request<GetScheduleRequest>) -> Answer<ScheduledRun> {
        done(ScheduledRun::default())
    }
    async fn clear_alarms(&self, request: Request<ClearAlarmsRequest>) -> Answer<ClearAlarmsReply> {
        self.0.lock().unwrap().push(format!("ClearAlarms {}", request.into_inner().requested_by));
        done(ClearAlarmsReply { cleared: 2 })
    }
    async fn ensure_periodic(&self, _: Request<EnsurePeriodicRequest>) -> Answer<EnsurePeriodicReply> {
        done(EnsurePeriodicReply {})
    }
    async fn clear_schedule(&self, _: Request<ClearScheduleRequest>) -> Answer<ScheduledRun> {
        Err(Status::failed_precondition("no reboot is scheduled"))
    }
    async fn abort_run(&self, request: Request<AbortRunRequest>) -> Answer<AbortRunReply> {
        done(AbortRunReply { outcome: format!("run {} is being undone", request.into_inner().run_id) })
    }
    async fn get_run(&self, _: Request<GetRunRequest>) -> Answer<RunState> {
        let phases = vec![PhaseTime { name: "Validating Image".into(), duration_ms: 12, ..Default::default() }];
        let ended = !self.0.lock().unwrap().iter().any(|line| line == "run in progress");
        let card = FruStatus { item: "FPC 0".into(), status: "Online".into(), ..Default::default() };
        done(RunState {
            run_id: 8,
            state: "idle".into(),
            frus: vec![card],
            ended,
            verdict: "nothing lost".into(),
            success: true,
            phases,
            ..Default::default()
        })
    }
    async fn get_report(&self, request: Request<GetReportRequest>) -> Answer<RunReport> {
        let run_id = request.into_inner().run_id;
        let success = run_id != 7;
        let position =
            |bytes| Some(SessionPosition { neighbor: "10.0.0.2".into(), bytes_consumed: bytes, bytes_written: 5 });
        let session = SessionReport {
            protocol: "bgp".into(),
            neighbor: "10.0.0.2".into(),
            state_before: "Established".into(),
            state_after: "Established".into(),
            unbroken: true,
            facts: position(100),
            kernel: position(100),
            mode: SwitchoverMode::Nsr.into(),
            longest_silence_ms: 30,
            ..Default::default()
        };
        done(RunReport {
            run_id: if run_id == 0 { 8 } else { run_id },
            verdict: if success { "nothing lost" } else { "undone, nothing lost" }.into(),
            success,
            control_plane_gap_ms: 4.25,
            from_slot: "re0".into(),
            to_slot: "re1".into(),
            sessions: vec![session],
            fib_routes: 100_000,
            missing_evidence: if success { vec![] } else { vec!["no kernel counters".into()] },
            ..Default::default()
        })
    }
    async fn list_runs(&self, _: Request<ListRunsRequest>) -> Answer<ListRunsReply> {
        done(ListRunsReply {
            runs: vec![RunSummary {
                run_id: 8,
                verdict: "nothing lost".into(),
                success: true,
                duration_ms: 900,
                started_unix_ms: 1_700_000_000_000,
                ..Default::default()
            }],
        })
    }
    async fn inspect(&self, _: Request<InspectRequest>) -> Answer<Inspection> {
        let alarms = holdfast_proto::check::Rule::asks("alarms", "No alarms", "no alarm is active");
        let phases = vec![PhaseForecast { name: "switching".into(), duration_ms: 40, measured: true }];
        let forecast = Forecast {
            duration_ms: 2_000,
            phases,
            control_plane_gap_ms: 3.0,
            control_plane_gap_max_ms: 20.0,
            run_ids: vec![7, 8],
            ..Default::default()
        };
        done(Inspection {
            checks: vec![alarms.remedy("show system alarms").found(false, "1 alarm")],
            forecast: Some(forecast),
            ..Default::default()
        })
    }
    async fn restart_process(&self, request: Request<RestartProcessRequest>) -> Answer<RestartProcessReply> {
        let name = request.into_inner().name;
        self.0.lock().unwrap().push(format!("restart {name}"));
        done(RestartProcessReply { outcome: format!("{name} restarted") })
    }
    async fn stop(&self, _: Request<StopRequest>) -> Answer<StopReply> {
        done(StopReply {})
    }
}

pub struct FakeRouting;

fn route(index: u32) -> Route {
    Route {
        table: "inet.0".into(),
        prefix: format!("10.{}.{}.0/24", index / 256, index % 256),
        active: true,
        protocol: "bgp".into(),
        preference: 170,
        next_hops: vec![RouteNextHop {
            gateway: "10.0.0.2".into(),
            interface: "eth0".into(),
            weight: 1,
            backup: false,
            silent: index == 3,
        }],
        as_path: "65002".into(),
        origin: "igp".into(),
        local_preference: Some(100),
        kind: "unicast".into(),
        ..Default::default()
    }
}

#[tonic::async_trait]
impl routing_server::Routing for FakeRouting {
    type ShowRoutesStream = Items<RoutePage>;
    type ShowForwardingStream = Items<FibBatch>;
    type TestPolicyStream = Items<TestPolicyPage>;
    async fn show_forwarding(&self, _: Request<v1::ShowForwardingRequest>) -> Answer<Items<FibBatch>> {
        items(vec![FibBatch { routes_ipv4: vec![1; 9], ..Default::default() }; 2])
    }
    async fn test_policy(&self, request: Request<TestPolicyRequest>) -> Answer<Items<TestPolicyPage>> {
        let request = request.into_inner();
        if request.policy != "IN" {
            return Err(Status::invalid_argument("policy-statement NO is not in force; these are: IN"));
        }
        let changes = vec![PolicyChange { what: "metric".into(), before: "none".into(), after: "5".into() }];
        let step = |policy: &str, term: &str, depth| PolicyStep { policy: policy.into(), term: term.into(), depth };
        let tested = TestedRoute {
            route: Some(Route {
                prefix: request.prefix,
                protocol: "bgp".into(),
                learned_from: "10.0.0.2".into(),
                ..route(0)
            }),
            accepted: true,
            policy: "IN".into(),
            term: "customers".into(),
            steps: vec![step("ASKED", "t", 1), step("IN", "customers", 0)],
            changes,
        };
        let other = TestedRoute { accepted: false, policy: String::new(), ..tested.clone() };
        items(vec![TestPolicyPage { routes: vec![tested] }, TestPolicyPage { routes: vec![other] }])
    }
    async fn show_policies(&self, request: Request<ShowPoliciesRequest>) -> Answer<Policies> {
        let policy = Policy { name: "ALL".into(), terms: 1, export_of: vec!["10.0.0.2".into()], ..Default::default() };
        let name = request.into_inner().policy;
        let other = Policy { name: "IN".into(), ..Default::default() };
        done(Policies { policies: if name.is_empty() { vec![policy, other] } else { vec![policy] } })
    }
    async fn show_bgp_summary(&self, _: Request<ShowBgpSummaryRequest>) -> Answer<BgpSummary> {
        let families = vec![FamilyCounters {
            family: "inet-unicast".into(),
            received: 5,
            accepted: 4,
            active: 3,
            advertised: 2,
            ..Default::default()
        }];
        let up = BgpNeighborSummary {
            address: "10.0.0.2".into(),
            peer_as: 65002,
            state: "Established".into(),
            established_ms: 65_000,
            families,
            group: "EXT".into(),
            ..Default::default()
        };
        let down = BgpNeighborSummary {
            address: "10.0.1.2".into(),
            peer_as: 65003,
            state: "Connect".into(),
            group: "EXT".into(),
            ..Default::default()
        };
        done(BgpSummary {
            router_id: "10.0.0.1".into(),
            local_as: 65001,
            neighbors: vec![up, down],
            paths: 5,
            prefixes: 5,
            allowed: Vec::new(),
        })
    }
    async fn show_bgp_neighbors(&self, request: Request<ShowBgpNeighborsRequest>) -> Answer<BgpNeighbors> {
        let known = ["", "10.0.0.2"].contains(&request.into_inner().address.as_str());
        let families = vec![FamilyCounters { receives_paths: true, sends_paths: 4, ..Default::default() }];
        let summary = BgpNeighborSummary {
            address: "10.0.0.2".into(),
            state: "Established".into(),
            families,
            ..Default::default()
        };
        done(BgpNeighbors {
            neighbors: if known {
                vec![BgpNeighborDetail { summary: Some(summary), ..Default::default() }]
            } else {
                vec![]
            },
        })
    }
    async fn show_routes(&self, request: Request<ShowRoutesRequest>) -> Answer<Items<RoutePage>> {
        let request = request.into_inner();
        if request.prefix == "10.9.9.9" {
            return items(vec![RoutePage {
                routes: vec![Route { prefix: format!("match {}", request.r#match), ..route(0) }],
            }]);
        }
        if request.prefix == "10.8.8.8" {
            let pages = [Ok(RoutePage { routes: vec![route(0)] }), Err(Status::unavailable("rpd is ending"))];
            return Ok(Response::new(Box::pin(tokio_stream::iter(pages))));
        }
        items((0..50).map(|page| RoutePage { routes: (page * 100..page * 100 + 100).map(route).collect() }).collect())
    }
    async fn show_route_summary(&self, _: Request<ShowRouteSummaryRequest>) -> Answer<RouteSummary> {
        done(RouteSummary {
            router_id: "10.0.0.1".into(),
            autonomous_system: 65001,
            tables: vec![TableSummary { table: "inet.0".into(), destinations: 7, ..Default::default() }],
        })
    }
    async fn show_replication(&self, _: Request<ShowReplicationRequest>) -> Answer<Replication> {
        let session = SessionReadiness {
            protocol: "bgp".into(),
            neighbor: "10.0.0.2".into(),
            mode: SwitchoverMode::Nsr.into(),
            ready: true,
            ..Default::default()
        };
        done(Replication {
            role: Role::Primary.into(),
            peer_connected: true,
            sessions: vec![session],
            state: "synchronized".into(),
            ..Default::default()
        })
    }
    async fn clear_bgp_neighbor(&self, request: Request<ClearBgpNeighborRequest>) -> Answer<ClearBgpNeighborReply> {
        done(ClearBgpNeighborReply { cleared: if request.into_inner().address.is_empty() { 2 } else { 1 } })
    }
}

/// Knows whether everything was told and written again.
#[derive(Default)]
pub struct FakeForwarding(AtomicBool);

#[tonic::async_trait]
impl forwarding_server::Forwarding for FakeForwarding {
    type WatchInterfacesStream = Items<InterfaceEvent>;
    type ProgramStream = Items<FibAck>;
    type ShowForwardingTableStream = Items<ForwardingPage>;
    async fn watch_interfaces(&self, _: Request<WatchInterfacesRequest>) -> Answer<Items<InterfaceEvent>> {
        items(Vec::new())
    }
    async fn program(&self, _: Request<tonic::Streaming<FibBatch>>) -> Answer<Items<FibAck>> {
        items(Vec::new())
    }
    async fn show_interfaces(&self, request: Request<ShowInterfacesRequest>) -> Answer<Interfaces> {
        let known = ["", "eth0"].contains(&request.into_inner().name.as_str());
        let eth0 = Interface {
            name: "eth0".into(),
            admin_up: true,
            carrier: true,
            mtu: 1500,
            addresses: vec!["10.0.0.1/24".into(), "2001:db8::1/64".into()],
            oper_state: "up".into(),
            speed_mbps: 10_000,
            carrier_changes: 3,
            kind: "vlan".into(),
            parent: "eth".into(),
            vlan_id: 7,
            made_by_us: true,
            problems: vec!["mtu 9000 of interface eth0: Invalid argument (os error 22)".into()],
            ..Default::default()
        };
        let problem = "does not exist (yet); set as soon as it does".into();
        let waiting = vec![v1::InterfaceProblem { name: "eth7".into(), problem }];
        done(if known { Interfaces { interfaces: vec![eth0], waiting } } else { Interfaces::default() })
    }
    async fn show_neighbors(&self, request: Request<v1::ShowNeighborsRequest>) -> Answer<v1::NeighborEntries> {
        let request = request.into_inner();
        let address = if request.ipv6 { "fe80::2" } else { "10.0.0.2" };
        let entry = v1::NeighborEntry {
            address: address.into(),
            interface: if request.interface.is_empty() { "eth0".into() } else { request.interface },
            state: "stale".into(),
            router: request.ipv6,
            ..Default::default()
        };
        done(v1::NeighborEntries { neighbors: vec![entry], left_out: 1 })
    }
    async fn show_forwarding_table(&self, _: Request<ShowForwardingTableRequest>) -> Answer<Items<ForwardingPage>> {
        let hop =
            v1::ForwardingNexthop { gateway: "10.0.0.2".into(), interface: "eth0".into(), weight: 1, backup: false };
        let entry = ForwardingEntry {
            prefix: "10.9.0.0/16".into(),
            kind: "unicast".into(),
            next_hops: vec![hop],
            nexthop_object: 0x4800_0001,
        };
        items(vec![ForwardingPage { entries: vec![entry] }])
    }
    async fn compare_forwarding(
        &self,
        request: Request<tonic::Streaming<FibBatch>>,
    ) -> Answer<v1::ForwardingComparison> {
        let mut batches = request.into_inner();
        let (mut comparison, mended) = (v1::ForwardingComparison::default(), self.0.load(Ordering::Relaxed));
        while let Ok(Some(batch)) = batches.message().await {
            comparison.compared_ipv4 += batch.packed().count() as u64;
            comparison.rib_known |= batch.end_of_sync;
        }
        for (prefix, kind) in [("10.1.0.0/16", "not-told"), ("10.2.0.0/16", "in-the-way")] {
            if kind == "in-the-way" || !mended {
                comparison.different += 1;
                let (prefix, kind) = (prefix.into(), kind.into());
                comparison.differences.push(v1::ForwardingDifference { prefix, kind, ..Default::default() });
            }
        }
        done(comparison)
    }
    async fn mend_forwarding(&self, request: Request<v1::MendForwardingRequest>) -> Answer<v1::MendForwardingReply> {
        self.0.store(request.into_inner().ask_rpd, Ordering::Relaxed);
        done(v1::MendForwardingReply { writes: 1, errors: 1, ..Default::default() })
    }
    async fn show_forwarding_summary(&self, _: Request<ShowForwardingSummaryRequest>) -> Answer<ForwardingSummary> {
        done(ForwardingSummary { routes_ipv4: 12, role: Role::Primary.into(), ..Default::default() })
    }
}

/// `Daemon` of rpd and pfed: only Status is asked by mgd.
pub struct FakeDaemon;

fn not_asked<T>() -> Answer<T> {
    Err(Status::unimplemented("mgd does not ask this"))
}

#[tonic::async_trait]
impl daemon_server::Daemon for FakeDaemon {
    async fn status(&self, _: Request<StatusRequest>) -> Answer<DaemonStatus> {
        done(DaemonStatus { name: "fake".into(), ready: true, role: Role::Primary.into(), ..Default::default() })
    }
    async fn synchronization(&self, _: Request<SynchronizationRequest>) -> Answer<SynchronizationReply> {
        not_asked()
    }
    async fn prepare(&self, _: Request<PrepareRequest>) -> Answer<PrepareReply> {
        not_asked()
    }
    async fn cancel(&self, _: Request<CancelRequest>) -> Answer<CancelReply> {
        not_asked()
    }
    async fn freeze(&self, _: Request<FreezeRequest>) -> Answer<FreezeReply> {
        not_asked()
    }
    async fn activate(&self, _: Request<ActivateRequest>) -> Answer<ActivateReply> {
        not_asked()
    }
    async fn commit(&self, _: Request<CommitRequest>) -> Answer<CommitReply> {
        not_asked()
    }
    async fn follow(&self, _: Request<FollowRequest>) -> Answer<FollowReply> {
        not_asked()
    }
    async fn verify(&self, _: Request<VerifyRequest>) -> Answer<VerifyReply> {
        not_asked()
    }
    async fn terminate(&self, _: Request<TerminateRequest>) -> Answer<TerminateReply> {
        not_asked()
    }
}

/// Serves a router's built services until the test ends.
pub fn serve(socket: &Path, router: tonic::transport::server::Router) {
    let listener = holdfast_ipc::bind(socket).unwrap();
    tokio::spawn(holdfast_ipc::serve(listener, router, std::future::pending()));
}

pub fn serve_chassis(socket: &Path, log: Log) {
    serve(socket, Server::builder().add_service(chassis_server::ChassisServer::new(FakeChassis(log))));
}

pub fn serve_rpd(socket: &Path) {
    let router = Server::builder().add_service(routing_server::RoutingServer::new(FakeRouting));
    serve(socket, router.add_service(daemon_server::DaemonServer::new(FakeDaemon)));
}

pub fn serve_pfed(socket: &Path) {
    let router = Server::builder().add_service(forwarding_server::ForwardingServer::new(FakeForwarding::default()));
    serve(socket, router.add_service(daemon_server::DaemonServer::new(FakeDaemon)));
}
