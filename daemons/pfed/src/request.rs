//! What the gRPC services ask of the agent. Every request carries the way back.

use holdfast_proto::v1;
use holdfast_rib::{ForwardingNexthop, Gateway};
use tokio::sync::{mpsc, oneshot};
use tonic::Status;

use crate::fib::{Comparison, Cursor, Entry};

/// A way back.
pub type Reply<T> = oneshot::Sender<Result<T, Status>>;
/// The reading end of the interface events.
pub type InterfaceEvents = mpsc::Receiver<Result<v1::InterfaceEvent, Status>>;

/// One request.
#[derive(Debug)]
pub enum Request {
    Status(Reply<v1::DaemonStatus>),
    Synchronization(Reply<v1::SynchronizationReply>),
    Prepare(Reply<v1::PrepareReply>),
    Freeze(v1::FreezeRequest, Reply<v1::FreezeReply>),
    Activate(v1::ActivateRequest, Reply<v1::ActivateReply>),
    Commit(v1::CommitRequest, Reply<v1::CommitReply>),
    Follow(v1::FollowRequest, Reply<v1::FollowReply>),
    Verify(Reply<v1::VerifyReply>),
    Terminate(v1::TerminateRequest, Reply<v1::TerminateReply>),
    WatchInterfaces(Reply<InterfaceEvents>),
    Program(ProgramEnds),
    /// What another agent has seen of the links.
    AdoptHistory(Vec<v1::Interface>),
    ShowInterfaces(String, Reply<v1::Interfaces>),
    ShowRoute(ipnet::IpNet, Reply<Option<v1::ForwardingEntry>>),
    ShowPage(Cursor, Reply<(Vec<v1::ForwardingEntry>, Cursor)>),
    ShowSummary(Reply<v1::ForwardingSummary>),
    /// A comparison for which the second table is made.
    Compare(Box<Comparison>, Reply<Compared>),
    Mend(v1::MendForwardingRequest, Reply<v1::MendForwardingReply>),
}

/// How far a comparison has come.
#[derive(Debug)]
pub enum Compared {
    /// It is to be given back for its next slice.
    More(Box<Comparison>),
    /// That was the last one.
    Done(v1::ForwardingComparison),
}

/// A new `Program` stream, from the agent's side.
#[derive(Debug)]
pub struct ProgramEnds {
    /// Its batches.
    pub batches: mpsc::Receiver<v1::FibBatch>,
    /// What of them is not to wait.
    pub words: mpsc::Receiver<FailureWord>,
    /// Its acknowledgements; an error ends it.
    pub acks: mpsc::Sender<Result<v1::FibAck, Status>>,
}

/// Gateways that fail, as a batch says that has only just arrived.
#[derive(Debug)]
pub struct FailureWord {
    /// The batch's place in its stream, from 1.
    pub place: u64,
    /// The batch's.
    pub epoch: u64,
    /// Who fails.
    pub gateways: Vec<v1::FibGateway>,
}

impl FailureWord {
    /// That of a batch, if it says so of any.
    pub fn of(batch: &v1::FibBatch, place: u64) -> Option<Self> {
        let gateways = batch.failed_gateways.clone();
        (!gateways.is_empty()).then_some(Self { place, epoch: batch.epoch, gateways })
    }
}

/// A table entry as the other processes know it; interface names are filled in by who knows them.
pub fn forwarding_entry(entry: &Entry, name: impl Fn(u32) -> String) -> v1::ForwardingEntry {
    let one = |gateway: &Gateway, backup| v1::ForwardingNexthop {
        gateway: gateway.address.map(|address| address.to_string()).unwrap_or_default(),
        interface: name(gateway.interface_index),
        weight: gateway.weight.into(),
        backup,
    };
    let kind = match &entry.nexthop {
        None => "not understood",
        Some(ForwardingNexthop::Discard) => "discard",
        Some(ForwardingNexthop::Reject) => "reject",
        Some(ForwardingNexthop::Unicast(_) | ForwardingNexthop::Protected { .. }) => "unicast",
    };
    let used = entry.nexthop.iter().flat_map(ForwardingNexthop::gateways).map(|gateway| one(gateway, false));
    let standing_by = entry.nexthop.as_ref().and_then(ForwardingNexthop::backup).map(|gateway| one(gateway, true));
    let next_hops = used.chain(standing_by).collect();
    v1::ForwardingEntry { prefix: entry.prefix.to_string(), kind: kind.into(), next_hops, nexthop_object: entry.object }
}
