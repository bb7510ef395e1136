//! What the agent holds, and how it comes to be.

use std::collections::VecDeque;
use std::time::Instant;

use hashbrown::HashSet;
use holdfast_ipc::{DaemonArgs, mono_ns};
use holdfast_kernel::netlink::{AsyncMonitor, Monitor, Requester};
use holdfast_proto::v1::{self, Role};
use tokio::sync::{mpsc, watch};
use tonic::Status;

use super::compare::Mending;
use super::hold::Hold;
use super::load::Load;
use super::program::Stream;
use super::rush::Rush;
use super::write::{Backoff, Reconcile};
use crate::error::PfedError;
use crate::fault_injection::Deafness;
use crate::fib::Fib;
use crate::interface_plan::{Configured, FormerDescription};
use crate::limits::{
    AWAY, AWAY_MAX, GATEWAYS_DELAY, GATEWAYS_DELAY_MAX, IDLE_SWEEP_INTERVAL, REPAIR_DELAY, REPAIR_DELAY_MAX,
    RESEAT_DELAY, RESEAT_DELAY_MAX, RETRY_DELAY, RETRY_DELAY_MAX,
};
use crate::links::Links;
use crate::neighbors::Silent;
use crate::request::{FailureWord, Reply};
use crate::writer::{Job, Writer};

/// What is counted since the process started.
#[derive(Debug, Default)]
pub struct Counters {
    /// Messages that changed or could change the kernel's routes or nexthop objects.
    pub writes: u64,
    /// Of these: of what was so already.
    pub writes_needless: u64,
    /// Refused by the kernel.
    pub errors: u64,
    /// The last refusal.
    pub last_error: String,
    /// Readings of the kernel's whole table after the first.
    pub resynchronizations: u64,
    /// Routes written because somebody else had removed or changed them.
    pub repairs: u64,
}

/// The configuration of the interfaces, and what has become of it.
#[derive(Debug, Default)]
pub struct Configuration {
    pub commit_id: u64,
    /// `None` before the first one.
    pub interfaces: Option<Vec<Configured>>,
    /// Whether this one has been answered.
    pub answered: bool,
    /// Administrative state, MTU and description are in force on these.
    pub settled: HashSet<u32>,
    /// Passes made since the last change.
    pub passes: u32,
    /// The batch of the pass under way.
    pub under_way: Option<u64>,
    /// When to compare again.
    pub due: Option<Instant>,
    /// Descriptions that the last commit took away, until they are gone.
    pub former: Vec<FormerDescription>,
    /// The interfaces that the changes of the pass under way are about.
    pub names: Vec<String>,
    /// Refusals of the last pass that changed anything: interface and what was refused.
    pub failures: Vec<(String, String)>,
    /// Refusals of that pass because it is so already, which counts as a failure where it is not.
    pub excused: Vec<(String, String)>,
}

/// The agent.
#[derive(Debug)]
pub struct Agent {
    pub(super) slot: String,
    pub(super) role: Role,
    pub(super) epoch: u64,
    pub(super) started_mono_ns: u64,
    pub(super) fib: Fib,
    pub(super) links: Links,
    pub(super) monitor: AsyncMonitor,
    pub(super) deafness: Deafness,
    pub(super) neighbor_monitor: AsyncMonitor,
    pub(super) silent: Silent,
    /// When all neighbours are to be read.
    pub(super) neighbors_due: Option<Instant>,
    /// For small dumps in between: nexthop objects, links, addresses.
    pub(super) probe: Requester,
    pub(super) writer: Writer,
    /// Planned, and not handed to the writer.
    pub(super) outgoing: VecDeque<Job>,
    /// The last serial number given to a batch, and the last that was answered.
    pub(super) planned_serial: u64,
    pub(super) done_serial: u64,
    /// Batches that have overtaken others, and are not answered.
    pub(super) urgent_under_way: u32,
    pub(super) load: Load,
    /// How many changes of routes the kernel tells of.
    pub(super) rush: Rush,
    /// Until when a backup stays away from a rush of them.
    pub(super) away: Backoff,
    /// Whether the kernel's table has been read at least once.
    pub(super) loaded: bool,
    pub(super) last_load: Option<Instant>,
    /// Read the nexthop objects again once nothing is under way.
    pub(super) recheck_objects: bool,
    pub(super) stream: Option<Stream>,
    /// What of its batches is not to wait for their turn.
    pub(super) words: Option<mpsc::Receiver<FailureWord>>,
    pub(super) reconcile: Option<Reconcile>,
    /// Nothing is written to the tables before rpd has said that it has told everything.
    pub(super) hold: Option<Hold>,
    pub(super) repair: Backoff,
    pub(super) retry: Backoff,
    /// Gateways fail, or answer again: both tables are to be compared.
    pub(super) gateways: Backoff,
    /// Groups with a backup may need new first members.
    pub(super) reseat: Backoff,
    /// The kernel's answers did not fit our picture of its table: to be read again.
    pub(super) doubt: Backoff,
    /// Idle objects of earlier processes are removed once, after the first complete table.
    pub(super) swept: bool,
    pub(super) sweep_at: Instant,
    pub(super) watchers: Vec<mpsc::Sender<Result<v1::InterfaceEvent, Status>>>,
    /// Who asked before the interfaces were known.
    pub(super) waiting_watchers: Vec<Reply<crate::request::InterfaceEvents>>,
    pub(super) configuration: Configuration,
    pub(super) report: watch::Sender<Option<v1::ReportAppliedRequest>>,
    pub(super) freezing: Vec<Reply<v1::FreezeReply>>,
    pub(super) frozen_mono_ns: u64,
    pub(super) counters: Counters,
    /// Who has asked for everything to be read again, and waits for the end of it.
    pub(super) mending: Option<Mending>,
    /// Writes and needless writes when this process was last committed.
    pub(super) writes_at_commit: (u64, u64),
    /// Set once the process is to end: when at the latest.
    pub(super) ending: Option<Instant>,
    /// Everything of ours is being removed before the end.
    pub(super) flushing: bool,
}

impl Agent {
    /// Opens what it needs in the present network namespace. Notifications count from here on.
    pub fn new(
        args: &DaemonArgs,
        writer: Writer,
        report: watch::Sender<Option<v1::ReportAppliedRequest>>,
    ) -> Result<Self, PfedError> {
        let monitor = AsyncMonitor::new(Monitor::open(Some(writer.port))?)?;
        Ok(Self {
            slot: args.slot.clone(),
            role: args.role(),
            epoch: args.epoch,
            started_mono_ns: mono_ns(),
            fib: Fib::default(),
            links: Links::default(),
            monitor,
            deafness: Deafness::from_environment(),
            neighbor_monitor: AsyncMonitor::new(Monitor::open_for_neighbors()?)?,
            silent: Silent::default(),
            neighbors_due: Some(Instant::now()),
            probe: Requester::open()?,
            writer,
            outgoing: VecDeque::new(),
            planned_serial: 0,
            done_serial: 0,
            urgent_under_way: 0,
            load: Load::Wanted { first: true },
            rush: Rush::default(),
            away: Backoff::new(AWAY, AWAY_MAX),
            loaded: false,
            last_load: None,
            recheck_objects: false,
            stream: None,
            words: None,
            reconcile: None,
            hold: None,
            repair: Backoff::new(REPAIR_DELAY, REPAIR_DELAY_MAX),
            retry: Backoff::new(RETRY_DELAY, RETRY_DELAY_MAX),
            gateways: Backoff::new(GATEWAYS_DELAY, GATEWAYS_DELAY_MAX),
            reseat: Backoff::new(RESEAT_DELAY, RESEAT_DELAY_MAX),
            doubt: Backoff::new(REPAIR_DELAY, RETRY_DELAY_MAX),
            swept: false,
            sweep_at: Instant::now() + IDLE_SWEEP_INTERVAL,
            watchers: Vec::new(),
            waiting_watchers: Vec::new(),
            configuration: Configuration::default(),
            report,
            freezing: Vec::new(),
            frozen_mono_ns: 0,
            counters: Counters::default(),
            mending: None,
            writes_at_commit: (0, 0),
            ending: None,
            flushing: false,
        })
    }

    /// Whether this process may write, and knows what is there.
    pub(super) fn leads(&self) -> bool {
        self.role == Role::Primary && self.loaded && matches!(self.load, Load::Idle)
    }

    /// Whether differences between the tables may be written now.
    pub(super) fn is_writing(&self) -> bool {
        self.leads() && self.hold.is_none()
    }

    /// Batches planned and not answered.
    pub(super) fn has_writes_under_way(&self) -> bool {
        self.done_serial != self.planned_serial || self.urgent_under_way > 0
    }

    /// The earliest time at which something is due.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let backoffs = [&self.repair, &self.retry, &self.gateways, &self.reseat, &self.doubt];
        let due = backoffs.map(|backoff| backoff.due).into_iter().chain([Some(self.sweep_at)]);
        let writing = self.is_writing().then_some(due);
        let timers = writing.into_iter().flatten().flatten();
        let interfaces = self.configuration.due.filter(|_| self.leads());
        let others = [
            interfaces,
            self.hold_deadline(),
            self.load_deadline(),
            self.mending_deadline(),
            self.neighbors_due,
            self.ending,
        ];
        timers.chain(others.into_iter().flatten()).min()
    }
}
