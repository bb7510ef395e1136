//! From what the lab recorded to what it says: one measurement per stretch of time.

use std::collections::BTreeMap;

use super::{Bars, faults::judge::Cell};
use crate::{
    capture::analysis::{Conversation, Wire},
    error::{LabError, Result},
    kernel_tables::KernelTables,
    lab::{Lab, Station},
    result::{BeaconResult, FibResult, GapResult, Measured, SessionResult},
    subject::{RunOutcome, SubjectProcess},
    time::Window,
    topology::Road,
};

/// A stretch of time with what was noted at its ends.
#[derive(Debug, Clone)]
pub struct Stretch {
    /// What was done in it.
    pub name: String,
    /// From when to when.
    pub window: Window,
    /// The flows' numbers at its ends.
    pub marks: (Vec<u64>, Vec<u64>),
    /// How often each neighbour's log said "down", at its ends.
    pub downs: (Vec<u64>, Vec<u64>),
    /// How often each neighbour's log says that it keeps the router's routes over a restart, at its ends.
    pub helped: (Vec<u64>, Vec<u64>),
    /// How often each neighbour's BFD session has left Up, at its ends.
    pub bfd_downs: (Vec<u64>, Vec<u64>),
    /// Whether each session was up at its end.
    pub up: Vec<bool>,
    /// The run, if it was one.
    pub outcome: RunOutcome,
    /// The router's processes at its end.
    pub processes: Vec<SubjectProcess>,
    /// The kernel's tables at its end.
    pub kernel: KernelTables,
    /// Files in the folder of the router's sockets at its end.
    pub run_files: u64,
    /// Times that routing ended in it with nobody to go on: so often every session restarts.
    pub crashes: u64,
    /// In-service reboots and crashes of rpd in it: so often sessions without nonstop routing restart.
    pub restarts: u64,
    /// What was not as required.
    pub complaints: Vec<String>,
    /// The cell of the fault matrix, if it was one.
    pub cell: Option<Cell>,
    /// The router is not whole at its end.
    pub broken: bool,
}

/// The captures of all links, read.
pub struct Wires {
    wires: Vec<std::result::Result<Wire, String>>,
}

impl Wires {
    /// Ends the captures and reads them. `recording`: what was said is kept.
    pub fn stop_and_read(lab: &mut Lab, recording: bool) -> Self {
        let read = |s: &mut Station| {
            let capture = s.capture.take().ok_or("no capture ran")?;
            Wire::stop_and_read(capture, &[s.node.router().address.into()], recording)
        };
        let wires = lab.stations.iter_mut().map(read).collect();
        Self { wires }
    }

    /// What each neighbour and the router said to each other.
    pub fn conversations(&self) -> Result<Vec<Conversation>> {
        let of = |wire: &std::result::Result<Wire, String>| wire.as_ref().map_err(Clone::clone)?.conversation();
        self.wires.iter().map(of).collect::<std::result::Result<_, _>>().map_err(LabError::Protocol)
    }
}

/// Measures one stretch. `whole` is the stretch of the whole lab: all numbers of the flows count.
pub fn measure(lab: &Lab, wires: &Wires, stretch: &Stretch, bars: &Bars, whole: bool) -> Measured {
    let mut measured = Measured {
        name: stretch.name.clone(),
        seconds: stretch.outcome.took.as_secs_f64(),
        phases: stretch.outcome.phases.clone(),
        log: stretch.outcome.log.clone(),
        kernel: stretch.kernel,
        run_files: stretch.run_files,
        complaints: stretch.complaints.clone(),
        cell: stretch.cell.clone(),
        ..Measured::default()
    };
    if let Some(traffic) = &lab.traffic {
        let marks = (!whole).then_some((stretch.marks.0.as_slice(), stretch.marks.1.as_slice()));
        measured.traffic = traffic.report(marks, Some(stretch.window));
    }
    measured.sessions = sessions(lab, wires, stretch, &mut measured.missing_evidence);
    measured.beacons = beacons(lab, stretch.window);
    measured.gap = GapResult {
        control_plane_ms: stretch.outcome.control_plane_ms,
        median_ms: None,
        propagation_max_ms: measured.beacons.iter().map(|b| b.delays.max_ms).fold(0.0, f64::max),
    };
    match fib(lab, stretch) {
        Ok(fib) => measured.fib = fib,
        Err(error) => measured.missing_evidence.push(error.to_string()),
    }
    add_processes(&mut measured, &stretch.processes);
    let may_hold_up = stretch.cell.as_ref().is_some_and(|cell| cell.may_hold_up);
    measured.judge(&Bars { propagation_ms: if may_hold_up { bars.held_up_ms } else { bars.propagation_ms }, ..*bars });
    measured
}

/// The beacons' delays in a window.
pub fn beacons(lab: &Lab, window: Window) -> Vec<BeaconResult> {
    let of = |b: &std::sync::Arc<crate::bgp::beacon::Beacon>| BeaconResult {
        name: b.name.clone(),
        delays: b.delays(window.from.mono_ns, window.to.mono_ns),
    };
    lab.beacons.iter().map(of).collect()
}

fn fib(lab: &Lab, stretch: &Stretch) -> Result<FibResult> {
    let Some(watch) = &lab.watch else { return Ok(FibResult::default()) };
    let writes = watch.writes(stretch.window)?;
    Ok(FibResult {
        routes: stretch.kernel.routes,
        writes_during_switchover: writes.needless(),
        beacon_writes: writes.beacon,
        examples: writes.examples,
    })
}

fn sessions(lab: &Lab, wires: &Wires, stretch: &Stretch, missing: &mut Vec<String>) -> Vec<SessionResult> {
    let mut out = Vec::new();
    for (index, (station, wire)) in lab.stations.iter().zip(&wires.wires).enumerate() {
        let at = |list: &[u64]| list.get(index).copied().unwrap_or(0);
        let mut session = SessionResult {
            name: station.node.name.clone(),
            neighbor: station.node.peer().address.to_string(),
            protocol: "bgp",
            road: station.node.road,
            restarts: match station.node.road {
                Road::Nonstop => 0,
                Road::Graceful => stretch.restarts,
                Road::Both => stretch.crashes,
            },
            implementation: station.neighbor.implementation().to_owned(),
            version: station.neighbor.version().to_owned(),
            flaps: at(&stretch.downs.1).saturating_sub(at(&stretch.downs.0)),
            helped: at(&stretch.helped.1).saturating_sub(at(&stretch.helped.0)),
            has_bfd: station.node.bfd_ms.is_some(),
            bfd_flaps: at(&stretch.bfd_downs.1).saturating_sub(at(&stretch.bfd_downs.0)),
            up_at_end: stretch.up.get(index).copied().unwrap_or(false),
            ..SessionResult::default()
        };
        match wire {
            Ok(wire) => session.take(wire.report(stretch.window)),
            Err(why) => missing.push(format!("the capture towards {}: {why}", station.node.name)),
        }
        out.push(session);
    }
    out
}

/// By name; two of the same name (both slots in a run) are numbered.
fn add_processes(measured: &mut Measured, processes: &[SubjectProcess]) {
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    for process in processes {
        let count = seen.entry(&process.name).or_default();
        *count += 1;
        let name = if *count == 1 { process.name.clone() } else { format!("{}#{count}", process.name) };
        measured.rss_mib.insert(name.clone(), (process.usage.rss_mib * 10.0).round() / 10.0);
        measured.cpu_s.insert(name.clone(), process.usage.cpu_s);
        measured.descriptors.insert(name, process.usage.descriptors);
    }
}
