//! The lab's result: one JSON object, whose keys other programs rely on, and the verdict.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    bgp::beacon::Delays,
    capture::analysis::WireReport,
    gateway::judge::Interruption,
    kernel_tables::KernelTables,
    reference::TableResult,
    scenario::{Bars, faults::judge::Cell, gaps::SizeGaps},
    subject::{Phase, SubjectKind},
    topology::Road,
    traffic::flow::FlowReport,
};

/// The verdict when nothing was lost.
pub const NOTHING_LOST: &str = "nothing-lost";
/// The verdict where a gateway was lost and no more packets with it than may be.
pub const WITHIN_LIMITS: &str = "within-limits";
/// The verdict of a fault matrix whose every cell ended as declared: nothing lost, but the restarts that were declared.
pub const AS_DECLARED: &str = "as-declared";

/// A session as its neighbour, and the wire, saw it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct SessionResult {
    /// The neighbour's name in the lab.
    pub name: String,
    /// The neighbour's address.
    pub neighbor: String,
    /// `bgp`.
    pub protocol: &'static str,
    /// What is configured for it.
    pub road: Road,
    /// How often it was to restart gracefully: so often it may end and begin anew.
    pub restarts: u64,
    /// How often the neighbour's own log says that it kept the router's routes meanwhile.
    pub helped: u64,
    /// `FRR`, `BIRD`.
    pub implementation: String,
    /// Its version.
    pub version: String,
    /// How often the neighbour's log says that the session went down.
    pub flaps: u64,
    /// BFD watches the way.
    pub has_bfd: bool,
    /// How often the neighbour's BFD session with the router failed, by its own log or counter.
    pub bfd_flaps: u64,
    /// OPEN messages captured.
    pub opens_on_wire: u64,
    /// Segments with SYN.
    pub syns_on_wire: u64,
    /// Segments with RST.
    pub resets_on_wire: u64,
    /// Segments with FIN.
    pub fins_on_wire: u64,
    /// NOTIFICATION messages.
    pub notifications_on_wire: u64,
    /// UPDATEs equal to the one before.
    pub repeated_updates: u64,
    /// The longest time without a BGP byte from the router.
    pub longest_silence_ms: f64,
    /// Missing, altered or surplus bytes in the streams.
    pub stream_faults: Vec<String>,
    /// Up at the end, by the neighbour's own tools.
    pub up_at_end: bool,
}

impl SessionResult {
    /// Whether it restarts gracefully, in what was done.
    pub fn restarts_gracefully(&self) -> bool {
        self.road == Road::Graceful || self.road == Road::Both && self.restarts > 0
    }

    /// What the capture shows of it.
    pub fn take(&mut self, report: WireReport) {
        self.opens_on_wire = report.opens;
        self.syns_on_wire = report.syns;
        self.resets_on_wire = report.resets;
        self.fins_on_wire = report.fins;
        self.notifications_on_wire = report.notifications;
        self.repeated_updates = report.repeated_updates;
        self.longest_silence_ms = report.longest_silence_ms;
        self.stream_faults = report.faults;
    }
}

/// Gaps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct GapResult {
    /// The router's own word: from the old routing process frozen to the new one live.
    pub control_plane_ms: Option<f64>,
    /// The median over all runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub median_ms: Option<f64>,
    /// The longest time a route change took from one neighbour to the other.
    pub propagation_max_ms: f64,
}

/// The kernel's table.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct FibResult {
    /// Routes in it at the end.
    pub routes: u64,
    /// Changes, by the kernel's own notifications, that no beacon caused.
    pub writes_during_switchover: u64,
    /// Changes that a beacon caused.
    pub beacon_writes: u64,
    /// Some of those that no beacon caused.
    pub examples: Vec<String>,
}

/// What was measured over one stretch of time: a run, or a whole lab.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Measured {
    /// What was done.
    pub name: String,
    /// [`NOTHING_LOST`], or what was.
    pub verdict: String,
    /// How long the router took for it.
    pub seconds: f64,
    /// Flows.
    pub traffic: Vec<FlowReport>,
    /// Sessions.
    pub sessions: Vec<SessionResult>,
    /// Gaps.
    pub gap: GapResult,
    /// The kernel's table.
    pub fib: FibResult,
    /// Phases of the run.
    pub phases: Vec<Phase>,
    /// Resident memory per process, at the end.
    pub rss_mib: BTreeMap<String, f64>,
    /// Processor time per process since its start.
    pub cpu_s: BTreeMap<String, f64>,
    /// Open descriptors per process, at the end.
    pub descriptors: BTreeMap<String, u32>,
    /// The kernel's tables, counted at the end.
    pub kernel: KernelTables,
    /// Files in the folder of the router's sockets, at the end.
    pub run_files: u64,
    /// Beacons.
    pub beacons: Vec<BeaconResult>,
    /// What each neighbour was told, beside what a router that never rebooted tells it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<TableResult>,
    /// What neighbours cannot do, and why: it was not looked at with them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<String>,
    /// What the router printed.
    pub log: Vec<String>,
    /// The cell of the fault matrix, if it was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cell: Option<Cell>,
    /// What the loss of a gateway, or its return, did to the packets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interruption: Option<Interruption>,
    /// Evidence that could not be had: then nothing is proven.
    pub missing_evidence: Vec<String>,
    /// What went wrong that is not counted elsewhere.
    pub complaints: Vec<String>,
}

/// A beacon's delays.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BeaconResult {
    /// From whom to whom.
    pub name: String,
    /// Its delays.
    #[serde(flatten)]
    pub delays: Delays,
}

/// The result of a scenario.
#[derive(Debug, Clone, Serialize)]
pub struct LabResult {
    /// The scenario's name.
    pub scenario: String,
    /// The router in the middle.
    pub subject: String,
    /// All stretches together: sums, and the worst of each.
    #[serde(flatten)]
    pub total: Measured,
    /// The time before anything was done.
    pub baseline: Vec<BeaconResult>,
    /// Packets that the machine's processors dropped in their backlog (not the router, not the lab).
    pub machine_backlog_drops: u64,
    /// Routes, rate and seed.
    pub options: BTreeMap<String, u64>,
    /// Gaps by the number of routes, where there were several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sizes: Vec<SizeGaps>,
    /// One by one.
    pub runs: Vec<Measured>,
    /// Other routers in the same lab.
    pub peers: Vec<PeerResult>,
}

/// Another router in the same lab: how its own restart does, measured alike.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PeerResult {
    /// Name and version.
    pub subject: String,
    /// Gaps. `control_plane_ms`: from its end until its sessions were up again.
    pub gap: GapResult,
    /// Packets lost.
    pub lost: u64,
    /// The longest pause in a flow.
    pub longest_gap_ms: f64,
    /// How often neighbours saw their sessions go down.
    pub flaps: u64,
    /// Changes of the kernel's tables that no beacon caused.
    pub kernel_writes: u64,
    /// Why something of this is not known.
    pub missing_evidence: Vec<String>,
}

impl PeerResult {
    /// From a lab with that router in the middle.
    pub fn of(result: &LabResult) -> Self {
        let total = &result.total;
        let mut missing_evidence = total.missing_evidence.clone();
        missing_evidence.extend(total.complaints.iter().cloned());
        Self {
            subject: result.subject.clone(),
            gap: total.gap,
            lost: total.lost(),
            longest_gap_ms: total.traffic.iter().map(|f| f.longest_gap_ms).fold(0.0, f64::max),
            flaps: total.sessions.iter().map(|s| s.flaps).sum(),
            kernel_writes: total.fib.writes_during_switchover,
            missing_evidence,
        }
    }

    /// It could not be measured.
    pub fn failed(subject: SubjectKind, why: String) -> Self {
        Self {
            subject: format!("{subject:?}"),
            gap: GapResult::default(),
            lost: 0,
            longest_gap_ms: 0.0,
            flaps: 0,
            kernel_writes: 0,
            missing_evidence: vec![why],
        }
    }
}

impl LabResult {
    /// Judges the time without a control plane, as the neighbours saw it: how long a change of a route took at worst.
    pub fn compare_with_peers(&mut self, bars: &Bars) {
        if !bars.shorter_than_peers {
            return;
        }
        let ours = self.total.gap.propagation_max_ms;
        for peer in &self.peers {
            let theirs = peer.gap.propagation_max_ms;
            if theirs == 0.0 {
                let why = peer.missing_evidence.join(", ");
                self.total.missing_evidence.push(format!("the gap of {}: {why}", peer.subject));
            } else if ours >= theirs {
                let words = format!("control plane away {ours:.0} ms, with {} {theirs:.0} ms", peer.subject);
                self.total.complaints.push(words);
            }
        }
        self.total.judge(bars);
    }
}

impl Measured {
    /// Lost packets of all flows.
    pub fn lost(&self) -> u64 {
        self.traffic.iter().map(|f| f.lost).sum()
    }

    /// Whether the verdict says that all was as it must be.
    pub fn is_good(&self) -> bool {
        [NOTHING_LOST, WITHIN_LIMITS, AS_DECLARED].contains(&self.verdict.as_str())
    }

    /// Sets the verdict from what was measured.
    pub fn judge(&mut self, bars: &Bars) {
        let mut words = self.losses();
        words.extend(self.beyond(bars));
        words.extend(self.tables.iter().filter_map(TableResult::complaint));
        words.extend(self.complaints.iter().cloned());
        words.extend(self.missing_evidence.iter().map(|e| format!("evidence is missing: {e}")));
        let least = if self.interruption.as_ref().is_some_and(|i| i.lost > 0) { WITHIN_LIMITS } else { NOTHING_LOST };
        self.verdict = if words.is_empty() { least.into() } else { words.join("; ") };
    }

    fn losses(&self) -> Vec<String> {
        let excused = |flow: &&FlowReport| self.cell.as_ref().is_some_and(|cell| cell.excuses_flow(&flow.name));
        let judged = || self.traffic.iter().filter(|flow| !excused(flow));
        let sum = |get: fn(&FlowReport) -> u64| judged().map(get).sum::<u64>();
        let mut words = Vec::new();
        let mut say = |count: u64, what: &str| {
            if count > 0 {
                words.push(format!("{count} {what}"));
            }
        };
        // After the loss of a gateway some are lost: how many, and for how long, is judged by itself.
        say(if self.interruption.is_some() { 0 } else { sum(|f| f.lost) }, "packets lost");
        say(sum(|f| f.duplicated), "packets duplicated");
        say(
            u64::from(judged().next().is_some() && sum(|f| f.sent) == 0),
            "probes sent: nothing is proven (required: more than 0)",
        );
        let mut restarts = false;
        for session in &self.sessions {
            let of = &session.neighbor;
            say(u64::from(!session.up_at_end), &format!("session not up at the end: {of}"));
            say(session.bfd_flaps, &format!("failures of the BFD session at {of}"));
            if session.restarts_gracefully() {
                let beyond = session.flaps.saturating_sub(session.restarts);
                say(beyond, &format!("session flaps at {of} beyond the planned {}", session.restarts));
                say(
                    u64::from(session.restarts > 0 && session.opens_on_wire < 2 * session.restarts),
                    &format!("session was to restart gracefully and did not: {of}"),
                );
                say(
                    session.restarts.saturating_sub(session.helped),
                    &format!("restarts over which {of} does not say that it kept our routes"),
                );
                continue;
            }
            let allowed = self.cell.as_ref().map_or(0, |cell| cell.flaps_allowed(&session.name));
            let beyond = if allowed > 0 { " beyond those declared" } else { "" };
            say(session.flaps.saturating_sub(allowed), &format!("session flaps at {of}{beyond}"));
            restarts |= allowed > 0;
            if allowed > 0 {
                continue; // a session that restarts says so on the wire
            }
            say(session.opens_on_wire, &format!("OPEN messages with {of}"));
            say(session.syns_on_wire, &format!("SYN segments with {of}"));
            say(session.resets_on_wire, &format!("RST segments with {of}"));
            say(session.fins_on_wire, &format!("FIN segments with {of}"));
            say(session.notifications_on_wire, &format!("NOTIFICATION messages with {of}"));
            say(session.repeated_updates, &format!("repeated UPDATE messages to {of}"));
            say(
                session.stream_faults.len() as u64,
                &format!("faults in the TCP stream with {of} ({})", session.stream_faults.join(", ")),
            );
        }
        say(
            // A neighbour that lost its session withdraws what it had announced.
            if restarts { 0 } else { self.fib.writes_during_switchover },
            &format!("needless writes to the kernel's tables (such as {})", self.fib.examples.join(", ")),
        );
        say(self.beacons.iter().map(|b| b.delays.unheard as u64).sum(), "route changes never reached the other side");
        words
    }

    fn beyond(&self, bars: &Bars) -> Vec<String> {
        let over = |what: &str, observed: Option<f64>, bar: Option<f64>, unit: &str| {
            let (observed, bar) = (observed?, bar?);
            (observed > bar).then(|| format!("{what} {observed:.1} {unit}, allowed {bar} {unit}"))
        };
        [
            over("median control-plane gap", self.gap.median_ms, bars.control_plane_median_ms, "ms"),
            over("control-plane gap", self.gap.control_plane_ms, bars.control_plane_ms, "ms"),
            over("slowest route change", Some(self.gap.propagation_max_ms), bars.propagation_ms, "ms"),
            over("the run took", Some(self.seconds), bars.run_s, "s"),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// Adds up several measurements: counts are summed, durations and sizes are the worst.
pub fn merge(name: &str, parts: &[Measured]) -> Measured {
    let mut parts = parts.iter().cloned();
    let Some(mut total) = parts.next() else { return Measured { name: name.into(), ..Measured::default() } };
    total.name = name.into();
    total.log.clear();
    for part in parts {
        merge_flows(&mut total.traffic, &part.traffic);
        merge_sessions(&mut total.sessions, &part.sessions);
        if part.seconds > total.seconds {
            total.phases = part.phases;
            total.seconds = part.seconds;
        }
        total.gap.control_plane_ms =
            total.gap.control_plane_ms.into_iter().chain(part.gap.control_plane_ms).reduce(f64::max);
        total.gap.propagation_max_ms = total.gap.propagation_max_ms.max(part.gap.propagation_max_ms);
        total.fib.routes = part.fib.routes;
        total.fib.writes_during_switchover += part.fib.writes_during_switchover;
        total.fib.beacon_writes += part.fib.beacon_writes;
        total.fib.examples.extend(part.fib.examples);
        part.rss_mib.into_iter().for_each(|(name, mib)| worst(&mut total.rss_mib, name, mib));
        part.cpu_s.into_iter().for_each(|(name, s)| worst(&mut total.cpu_s, name, s));
        total.descriptors.extend(part.descriptors);
        (total.kernel, total.run_files) = (part.kernel, part.run_files);
        total.beacons.extend(part.beacons);
        total.tables.extend(part.tables);
        total.missing_evidence.extend(part.missing_evidence);
        total.complaints.extend(part.complaints);
    }
    total
}

fn worst(map: &mut BTreeMap<String, f64>, name: String, value: f64) {
    let slot = map.entry(name).or_insert(value);
    *slot = slot.max(value);
}

fn merge_flows(total: &mut [FlowReport], part: &[FlowReport]) {
    for (sum, flow) in total.iter_mut().zip(part) {
        sum.sent += flow.sent;
        sum.received += flow.received;
        sum.lost += flow.lost;
        sum.duplicated += flow.duplicated;
        sum.reordered += flow.reordered;
        sum.send_errors += flow.send_errors;
        sum.longest_gap_ms = sum.longest_gap_ms.max(flow.longest_gap_ms);
        sum.longest_delay_ms = sum.longest_delay_ms.max(flow.longest_delay_ms);
    }
}

fn merge_sessions(total: &mut [SessionResult], part: &[SessionResult]) {
    for (sum, session) in total.iter_mut().zip(part) {
        sum.flaps += session.flaps;
        sum.restarts += session.restarts;
        sum.helped += session.helped;
        sum.bfd_flaps += session.bfd_flaps;
        sum.opens_on_wire += session.opens_on_wire;
        sum.syns_on_wire += session.syns_on_wire;
        sum.resets_on_wire += session.resets_on_wire;
        sum.fins_on_wire += session.fins_on_wire;
        sum.notifications_on_wire += session.notifications_on_wire;
        sum.repeated_updates += session.repeated_updates;
        sum.longest_silence_ms = sum.longest_silence_ms.max(session.longest_silence_ms);
        sum.stream_faults.extend(session.stream_faults.iter().cloned());
        sum.up_at_end &= session.up_at_end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured() -> Measured {
        Measured {
            traffic: vec![FlowReport { name: "a>b/1".into(), sent: 10, received: 10, ..FlowReport::default() }],
            sessions: vec![SessionResult { neighbor: "10.0.0.2".into(), up_at_end: true, ..SessionResult::default() }],
            ..Measured::default()
        }
    }

    #[test]
    fn nothing_lost_is_said_only_when_nothing_was() {
        let bars = Bars { control_plane_ms: Some(100.0), ..Bars::default() };
        let mut good = measured();
        good.judge(&bars);
        assert_eq!(good.verdict, NOTHING_LOST);
        type Spoil = fn(&mut Measured);
        let spoil: [(Spoil, &str); 9] = [
            (|m| m.traffic[0].lost = 1, "1 packets lost"),
            (|m| m.traffic[0].duplicated = 2, "2 packets duplicated"),
            (|m| m.traffic[0].sent = 0, "nothing is proven"),
            (|m| m.sessions[0].flaps = 1, "1 session flaps at 10.0.0.2"),
            (|m| m.sessions[0].bfd_flaps = 1, "1 failures of the BFD session at 10.0.0.2"),
            (|m| m.sessions[0].up_at_end = false, "not up"),
            (|m| m.fib.writes_during_switchover = 3, "3 needless writes"),
            (|m| m.gap.control_plane_ms = Some(101.0), "control-plane gap 101.0 ms"),
            (|m| m.missing_evidence.push("x".into()), "evidence is missing: x"),
        ];
        for (spoil, words) in spoil {
            let mut bad = measured();
            spoil(&mut bad);
            bad.judge(&bars);
            assert!(bad.verdict.contains(words), "{} lacks {words}", bad.verdict);
        }
    }

    #[test]
    fn what_a_lost_gateway_may_cost_is_not_called_nothing_and_more_is_a_loss() {
        let with = |lost, complaints: &[&str]| {
            let interruption = Some(Interruption { lost, ..Interruption::default() });
            let complaints = complaints.iter().map(|words| (*words).to_owned()).collect();
            let mut m = Measured { interruption, complaints, ..measured() };
            m.traffic[0].lost = lost;
            m.judge(&Bars::default());
            (m.is_good(), m.verdict)
        };
        assert_eq!(with(0, &[]), (true, NOTHING_LOST.into()));
        assert_eq!(with(9, &[]), (true, WITHIN_LIMITS.into()));
        assert_eq!(with(9, &["9 packets lost, allowed 8"]), (false, "9 packets lost, allowed 8".into()));
    }

    #[test]
    fn a_planned_restart_is_excused_and_nothing_beyond_it() {
        let with_road = |road, restarts| {
            let mut m = measured();
            let session = &mut m.sessions[0];
            (session.road, session.restarts, session.helped) = (road, restarts, 1);
            (session.flaps, session.opens_on_wire, session.syns_on_wire, session.fins_on_wire) = (1, 2, 2, 2);
            m.judge(&Bars::default());
            m.verdict
        };
        let restarting = |restarts| with_road(Road::Graceful, restarts);
        assert_eq!(restarting(1), NOTHING_LOST);
        assert_eq!(with_road(Road::Both, 1), NOTHING_LOST);
        assert!(with_road(Road::Both, 0).contains("2 OPEN messages"), "a run touches it not");
        assert!(restarting(0).contains("1 session flaps"), "{}", restarting(0));
        assert!(restarting(2).contains("did not"), "{}", restarting(2));
        assert!(restarting(2).contains("1 restarts over which"), "{}", restarting(2));
    }

    #[test]
    fn ours_must_be_shorter_than_every_peers_and_both_known() {
        let peer = |subject: &str, ms| PeerResult {
            subject: subject.into(),
            gap: GapResult { propagation_max_ms: ms, ..GapResult::default() },
            ..PeerResult::failed(SubjectKind::Frr, "why".into())
        };
        let verdict = |peers| {
            let mut total = measured();
            total.gap.propagation_max_ms = 300.0;
            let mut result = LabResult {
                scenario: String::new(),
                subject: String::new(),
                total,
                baseline: Vec::new(),
                machine_backlog_drops: 0,
                options: BTreeMap::new(),
                sizes: Vec::new(),
                runs: Vec::new(),
                peers,
            };
            let bars = Bars { shorter_than_peers: true, ..Bars::default() };
            result.total.judge(&bars);
            result.compare_with_peers(&bars);
            result.total.verdict
        };
        assert_eq!(verdict(vec![peer("A", 301.0), peer("B", 9000.0)]), NOTHING_LOST);
        assert!(verdict(vec![peer("A", 301.0), peer("B", 299.0)]).contains("with B 299 ms"));
        assert!(verdict(vec![peer("A", 0.0)]).contains("evidence is missing: the gap of A"));
    }

    #[test]
    fn a_merge_hides_no_loss() {
        let mut second = measured();
        second.traffic[0].lost = 1;
        second.sessions[0].up_at_end = false;
        second.gap.control_plane_ms = Some(7.0);
        let mut total = merge("all", &[measured(), second, measured()]);
        total.judge(&Bars::default());
        assert_eq!((total.lost(), total.traffic[0].sent, total.gap.control_plane_ms), (1, 30, Some(7.0)));
        assert!(total.verdict.contains("packets lost") && total.verdict.contains("not up"), "{}", total.verdict);
    }
}
