//! The core: one loop that owns speaker, RIB, sessions and the replication stream.
//!
//! Each turn: wait for the nearest deadline or an event; take inputs; read sessions; let time pass; do what the
//! speaker asks; write sessions; a slice of background work; forwarding changes to pfed; a slice of a snapshot. Every
//! step is bounded, so a turn takes some milliseconds at most, however large the tables are: a million forwarding entries are put in order in steps
//! ([`holdfast_rib::Rib::put_fib_changes_in_order`]). A follower that has read much rests for 2 ms before it waits again.
//!
//! Input is peeked at, replicated, and only then discarded; output is replicated and only then written. While a follower's stream
//! is full, neither happens, and while it is behind, less does ([`holdfast_replication::Pace`]).

mod adopted;
mod bfd;
mod commands;
mod configuration;
mod connections;
mod fib;
mod fib_view;
mod gateways;
mod handoff;
mod kernel_drops;
mod listeners;
mod policies;
mod protocols;
mod replication;
mod roads;
mod routes;
mod sessions;
mod silent;
mod stream;
mod transport;

use std::os::unix::net::UnixListener;
use std::time::Duration;

use holdfast_bgp::speaker::Action;
use holdfast_ipc::{DaemonArgs, RunDir, mono_ns};
use holdfast_proto::v1;
use holdfast_rib::Rib;
use holdfast_vault::VaultClient;
use mio::unix::SourceFd;
use mio::{Events, Interest, Token};
use tokio::sync::watch;

use crate::error::RpdError;
use crate::input::{Input, Inputs, WAKE};
use crate::limits::{FOLLOWER_REST, INPUTS_PER_TURN};
use adopted::Adopted;
use bfd::Bfd;
use connections::Connections;
use fib::FibStream;
use listeners::Listeners;
use protocols::Protocols;
use stream::{Follower, Sender};

/// Tokens below the connections' own.
const REPLICATION_LISTENER: Token = Token(1);
const REPLICATION_STREAM: Token = Token(2);
const LISTENER_V4: Token = Token(3);
const LISTENER_V6: Token = Token(4);
const CONNECTIONS_FROM: usize = 16;

/// Longest wait when nothing is due: followers and converging tables are looked after now and then.
const IDLE_WAIT: Duration = Duration::from_millis(500);

/// Events taken from the kernel at once; more come in the next turn.
const EVENTS_MAX: usize = 512;

/// Everything that routes.
pub struct Core {
    slot: String,
    run_dir: RunDir,
    peer_slot: &'static str,
    role: v1::Role,
    epoch: u64,
    started: Duration,
    inputs: Inputs,
    inputs_waiting: bool,
    protocols: Protocols,
    /// Sessions of ppmd that watch neighbours and next hops.
    bfd: Bfd,
    /// Those of them that have lost their way.
    lost_ways: gateways::LostWays,
    rib: Rib,
    connections: Connections,
    listeners: Listeners,
    vault: Option<VaultClient>,
    replication_listener: UnixListener,
    sender: Option<Sender>,
    follower: Option<Follower>,
    /// Sessions that another engine owns, or that wait between Activate and Commit.
    adopted: Adopted,
    fib: FibStream,
    interfaces: configuration::InterfaceSnapshot,
    /// Neighbours on links that do not answer.
    silent: silent::Silent,
    configuration: configuration::Pending,
    /// For sessions that do not come up.
    drops: kernel_drops::DropWatch,
    /// What the tables have to be settled for before [`v1::VerifyReply`] is done.
    verification: handoff::Verification,
    /// Why start-up cannot succeed.
    failure: String,
    /// The router's tables are complete: what pfed has beyond them may go.
    converged: bool,
    ending: bool,
}

/// CLOCK_MONOTONIC, as the engines take it.
pub fn now() -> Duration {
    Duration::from_nanos(mono_ns())
}

impl Core {
    /// Prepares everything that needs no other process.
    pub fn new(
        arguments: &DaemonArgs,
        inputs: Inputs,
        bfd_wanted: watch::Sender<Option<v1::SetBfdRequest>>,
    ) -> Result<Self, RpdError> {
        let run_dir = arguments.run_dir();
        let role = arguments.role();
        let path = run_dir.replication_socket(&arguments.slot);
        let replication_listener =
            replication::listen(&path).map_err(|source| RpdError::ReplicationSocket { path, source })?;
        register(&inputs, &replication_listener, REPLICATION_LISTENER)?;
        let seed = mono_ns() ^ u64::from(std::process::id());
        let mut protocols = Protocols::new(role != v1::Role::Primary, seed);
        if arguments.respawned {
            tracing::warn!("started after a crash: what the kernel has stays until routes are chosen again");
            protocols.bgp.recover(arguments.interrupted.iter().copied(), now());
        }
        Ok(Self {
            slot: arguments.slot.clone(),
            peer_slot: arguments.peer_slot(),
            role,
            epoch: arguments.epoch,
            started: now(),
            protocols,
            bfd: Bfd::new(bfd_wanted),
            lost_ways: gateways::LostWays::default(),
            rib: Rib::new(),
            connections: Connections::new(CONNECTIONS_FROM),
            listeners: Listeners::default(),
            vault: None,
            replication_listener,
            sender: None,
            follower: None,
            adopted: Adopted::default(),
            fib: FibStream::default(),
            interfaces: configuration::InterfaceSnapshot::default(),
            silent: silent::Silent::default(),
            configuration: configuration::Pending::default(),
            drops: kernel_drops::DropWatch::default(),
            verification: handoff::Verification::default(),
            failure: String::new(),
            converged: false,
            ending: false,
            inputs_waiting: false,
            run_dir,
            inputs,
        })
    }

    /// The loop. Ends when chassisd says so.
    pub fn run(mut self) -> Result<(), RpdError> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        while !self.ending {
            let mut timeout = self.timeout();
            if !timeout.is_zero() && self.follower.as_mut().is_some_and(Follower::take_rest) {
                std::thread::sleep(FOLLOWER_REST);
                timeout = Duration::ZERO;
            }
            match self.inputs.poll.poll(&mut events, Some(timeout)) {
                Err(error) if error.kind() != std::io::ErrorKind::Interrupted => return Err(RpdError::Poll(error)),
                _ => {}
            }
            for event in &events {
                self.event(event.token(), event.is_readable(), event.is_writable(), event.is_error());
            }
            self.turn();
        }
        Ok(())
    }

    fn timeout(&self) -> Duration {
        if self.has_work() {
            return Duration::ZERO;
        }
        let due = [self.protocols.bgp.next_deadline(), self.replication_deadline()].into_iter().flatten().min();
        due.map_or(IDLE_WAIT, |due| due.saturating_sub(now()).min(IDLE_WAIT))
    }

    /// Whether a turn would do something without waiting for an event.
    fn has_work(&self) -> bool {
        let stalled = self.sender.as_ref().is_some_and(|sender| !sender.is_drained());
        // Between Activate and Commit nobody takes what waits.
        let follows = matches!(self.role, v1::Role::Backup | v1::Role::Frozen);
        let follower_works = follows && self.follower.as_ref().is_some_and(Follower::has_work);
        let sessions = self.role == v1::Role::Primary
            && !stalled
            && self.connections.has_work(self.admits_intake(), self.admits_output());
        sessions
            || self.inputs_waiting
            || follower_works
            || self.protocols.bgp.has_background()
            || (self.may_program() && self.fib.has_work(&self.rib, self.leads_in()))
            || (!stalled && self.sender.as_ref().is_some_and(Sender::snapshot_may_go_on))
    }

    fn event(&mut self, token: Token, readable: bool, writable: bool, error: bool) {
        match token {
            WAKE => {}
            REPLICATION_LISTENER => self.accept_follower(),
            REPLICATION_STREAM => self.replication_event(readable || error),
            LISTENER_V4 | LISTENER_V6 => self.listeners.mark_ready(token == LISTENER_V6),
            token => self.connections.mark(token, readable || error, writable || error),
        }
    }

    fn turn(&mut self) {
        self.take_inputs();
        self.connections.close_lingering(now());
        self.bfd_turn();
        match self.role {
            v1::Role::Primary => self.primary_turn(),
            v1::Role::Backup | v1::Role::Frozen => self.follower_turn(),
            _ => {}
        }
        self.rib_turn();
        if self.may_program() {
            self.fib_turn();
            self.rib.put_fib_changes_in_order(now());
        }
    }

    fn take_inputs(&mut self) {
        for _ in 0..INPUTS_PER_TURN {
            let Ok(input) = self.inputs.receiver.try_recv() else {
                self.inputs_waiting = false;
                return;
            };
            match input {
                Input::Interface(event) => self.interface_event(event),
                Input::InterfacesRestart => {
                    self.interfaces.restart();
                    self.silent.restart();
                }
                Input::Configuration(configuration, answer) => self.take_configuration(configuration, answer),
                Input::FibOpened(sender) => self.fib.open(sender),
                Input::FibAck(ack) => self.fib.acknowledge(&ack),
                Input::FibClosed => self.fib.close(),
                Input::Bfd(event) => self.bfd.heard(event),
                Input::BfdRestart => self.bfd.restart(),
                Input::Command(command) => self.command(command),
            }
        }
        // More may be waiting, and the wake-up that announced them is spent.
        self.inputs_waiting = true;
    }

    fn primary_turn(&mut self) {
        let now = now();
        self.connections.next_turn();
        self.flush_replication(now);
        self.accept_connections(now);
        self.read_sessions(now);
        self.let_time_pass(now);
        self.act();
        self.write_sessions(now);
        self.act();
        self.send_to_follower(now);
        self.note_convergence(now);
    }

    /// Does what the speaker asks.
    fn act(&mut self) {
        let now = now();
        while let Some(action) = self.protocols.bgp.poll() {
            match action {
                Action::Connect { neighbor, spec } => self.connect(neighbor, spec, now),
                Action::Close { neighbor, side } => self.close(neighbor, side),
                Action::Send { neighbor, side, message } => self.enqueue(neighbor, side, &message),
                Action::Established { neighbor, side } => self.established(neighbor, side, now),
                Action::Down { neighbor, reason, kept } => self.session_down(neighbor, &reason, kept, now),
                Action::Warn { text } => tracing::warn!("BGP {text}"),
                Action::HasOutput => self.connections.mark_output_all(),
                Action::Report { neighbor, text } => self.report(neighbor, &text),
                Action::Replicate(fact) => self.replicate(*fact),
            }
        }
    }

    /// Routes that moved: what BGP and neighbours have to hear, and a slice of the work that comes of it.
    fn rib_turn(&mut self) {
        let moved = self.rib.take_changed_nexthops();
        if !moved.is_empty() {
            self.protocols.bgp.nexthops_moved(moved);
        }
        if self.protocols.bgp.follow_links(&mut self.rib) {
            self.connections.mark_output_all();
        }
        let changed = self.rib.take_changed(crate::limits::SNAPSHOT_BATCH);
        if !changed.is_empty() {
            self.protocols.bgp.redistribute(&changed, &mut self.rib);
            self.connections.mark_output_all();
        }
        if self.protocols.bgp.has_background() {
            self.protocols.bgp.background(&mut self.rib);
            self.connections.mark_output_all();
        }
    }
}

/// Has the poll watch a descriptor, edge-triggered in both directions.
pub fn register(inputs: &Inputs, descriptor: &impl std::os::fd::AsRawFd, token: Token) -> Result<(), RpdError> {
    let interest = Interest::READABLE | Interest::WRITABLE;
    let raw = descriptor.as_raw_fd();
    inputs.poll.registry().register(&mut SourceFd(&raw), token, interest).map_err(RpdError::Poll)
}
