//! Live traffic: numbered UDP probes between the neighbours, through the router under test.
//!
//! One sending thread per direction serves several flows; each flow spreads over many destinations in the other side's
//! table. One receiving thread per neighbour notes every number, so that a loss is a number that never came, whatever
//! the router says.

pub mod flow;
pub mod packet;
pub mod receiver;
pub mod sender;

use std::{net::IpAddr, sync::Arc};

use flow::{Flow, FlowReport, Outage};
use receiver::Receiver;
use sender::{Pace, Sender};

use crate::{
    error::Result,
    host::{interrupt, netns::Namespace},
    limits,
    time::Window,
};

/// One direction: who sends to whom.
#[derive(Debug, Clone)]
pub struct Direction {
    /// The sender's namespace.
    pub from: Namespace,
    /// The receiver's namespace.
    pub to: Namespace,
    /// For the flows' names.
    pub name: String,
    /// Destinations of each flow.
    pub destinations: Vec<Vec<IpAddr>>,
    /// Probes per second, all flows together.
    pub rate_pps: u32,
    /// How they are sent.
    pub pace: Pace,
}

/// The running traffic.
#[derive(Debug)]
pub struct Traffic {
    flows: Vec<Arc<Flow>>,
    senders: Vec<Sender>,
    receivers: Vec<Receiver>,
}

impl Traffic {
    /// None yet.
    pub fn idle() -> Self {
        Self { flows: Vec::new(), senders: Vec::new(), receivers: Vec::new() }
    }

    /// Prepares the receivers (addresses, sockets), sends a first probe to every destination until each flow is heard
    /// (so that next-hop resolution is done), and starts to count.
    pub fn start(directions: &[Direction]) -> Result<Self> {
        let nonce = rand::random();
        let mut traffic = Self::idle();
        let mut sending = Vec::new();
        for direction in directions {
            accept_destinations(direction)?;
            let flows: Vec<_> = direction
                .destinations
                .iter()
                .enumerate()
                .map(|(index, destinations)| {
                    let id = u32::try_from(traffic.flows.len() + index).unwrap_or(u32::MAX);
                    Arc::new(Flow::new(id, format!("{}/{}", direction.name, index + 1), destinations.clone()))
                })
                .collect();
            traffic.flows.extend(flows.iter().cloned());
            traffic.receivers.push(Receiver::start(&direction.to, nonce, flows.clone())?);
            sending.push((direction, flows));
        }
        for (direction, flows) in sending {
            traffic.senders.push(Sender::start(&direction.from, nonce, flows, direction.rate_pps, direction.pace)?);
        }
        interrupt::wait_for("the first probe of every flow", limits::COMMAND_WITHIN, || Ok(traffic.unheard_flows()?))?;
        traffic.flows.iter().for_each(|flow| flow.count_from_now());
        Ok(traffic)
    }

    fn unheard_flows(&self) -> std::result::Result<(), String> {
        let unheard: Vec<_> = self.flows.iter().filter(|f| !f.is_warm()).map(|f| f.describe()).collect();
        if unheard.is_empty() { Ok(()) } else { Err(format!("not yet through: {}", unheard.join(", "))) }
    }

    /// Sent and received so far, for progress lines.
    pub fn totals(&self) -> (u64, u64) {
        self.flows.iter().map(|f| f.totals()).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1))
    }

    /// Marks a moment in every flow, so that losses can be told apart by windows.
    pub fn mark(&self) -> Vec<u64> {
        self.flows.iter().map(|f| f.next_number()).collect()
    }

    /// Ends the sending and waits for stragglers.
    pub fn stop(&mut self) {
        self.senders.clear();
        let end = std::time::Instant::now() + limits::STRAGGLERS_WITHIN;
        while std::time::Instant::now() < end && !interrupt::requested() {
            let (sent, received) = self.totals();
            if received >= sent {
                break;
            }
            std::thread::sleep(limits::POLL_EVERY);
        }
        self.receivers.clear();
    }

    /// What all flows together lost between two marks. Whoever asks has waited for what is under way.
    pub fn outage(&self, from: &[u64], to: &[u64]) -> Outage {
        let ranges = from.iter().zip(to).map(|(from, to)| *from..*to);
        self.flows.iter().zip(ranges).map(|(flow, range)| flow.outage(range)).fold(Outage::default(), Outage::and)
    }

    /// What became of the probes numbered between two marks (whole flows: `None`).
    pub fn report(&self, marks: Option<(&[u64], &[u64])>, window: Option<Window>) -> Vec<FlowReport> {
        self.flows
            .iter()
            .enumerate()
            .map(|(index, flow)| {
                let range = marks.map(|(from, to)| {
                    from.get(index).copied().unwrap_or(0)..to.get(index).copied().unwrap_or(u64::MAX)
                });
                flow.report(range, window)
            })
            .collect()
    }
}

/// Lets the receiver's namespace take packets to the flows' destinations as its own.
fn accept_destinations(direction: &Direction) -> Result<()> {
    let mut lines = String::new();
    for destination in direction.destinations.iter().flatten() {
        let length = if destination.is_ipv6() { 128 } else { 32 };
        lines.push_str(&format!("route replace local {destination}/{length} dev lo\n"));
    }
    direction.to.ip_batch(&lines).map(drop)
}
