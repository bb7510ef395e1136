//! The working table beside the RIB and a fresh dump of the kernel, and what mends the differences: everything is read again.

use std::time::Instant;

use holdfast_proto::v1::{self, Role};
use tonic::Status;

use super::Agent;
use super::load::Load;
use crate::fib::{Comparison, Difference, Kind, Stranger};
use crate::limits::{COMPARE_ROWS_PER_TURN, MEND_MAX};
use crate::request::{Compared, Reply, forwarding_entry};

/// Somebody waits until everything has been read again and the difference written.
#[derive(Debug)]
pub struct Mending {
    reply: Reply<v1::MendForwardingReply>,
    began: Instant,
    /// Counters at the beginning.
    writes: u64,
    errors: u64,
    resynchronizations: u64,
}

impl Agent {
    /// One slice of a comparison. It comes back for the next one, or with its end.
    pub(super) fn compare(&self, mut comparison: Box<Comparison>) -> Result<Compared, Status> {
        if !self.loaded {
            return Err(Status::unavailable(
                "pfed is reading the kernel's table for the first time; try again in a moment",
            ));
        }
        if !comparison.walk(&self.fib, COMPARE_ROWS_PER_TURN) {
            return Ok(Compared::More(comparison));
        }
        let [compared_ipv4, compared_ipv6] = comparison.compared();
        let (different, hidden) = comparison.counts();
        let differences: Vec<v1::ForwardingDifference> =
            comparison.found().map(|(prefix, difference)| self.difference(prefix, difference)).collect();
        Ok(Compared::Done(v1::ForwardingComparison {
            compared_ipv4,
            compared_ipv6,
            rib_known: comparison.rib_known(),
            note: if self.stream_is_complete() {
                std::mem::take(&mut comparison.note)
            } else {
                "rpd has not told the forwarding agent its whole table yet: what an earlier one told counts until then"
                    .into()
            },
            different,
            hidden,
            left_out: (different + hidden).saturating_sub(differences.len() as u64),
            differences,
            ..Default::default()
        }))
    }

    fn difference(&self, prefix: &ipnet::IpNet, difference: &Difference) -> v1::ForwardingDifference {
        let column =
            |entry: &Option<_>| entry.as_ref().map(|entry| forwarding_entry(entry, |index| self.links.name(index)));
        v1::ForwardingDifference {
            prefix: prefix.to_string(),
            kind: difference.kind.name().into(),
            reason: self.reason(prefix, difference),
            rib: column(&difference.rib),
            fib: column(&difference.fib),
            kernel: column(&difference.kernel),
            noticed: difference.noticed,
        }
    }

    fn reason(&self, prefix: &ipnet::IpNet, difference: &Difference) -> String {
        let object = difference.kernel.as_ref().map_or(0, |kernel| kernel.object);
        match difference.kind {
            Kind::Missing => "the kernel does not have it".into(),
            Kind::Unwanted => "the kernel has it with this router's mark, and nobody wants it".into(),
            Kind::Elsewhere => "the kernel's route leads elsewhere".into(),
            Kind::ObjectOfOthers { protocol: Some(protocol) } => {
                format!("its nexthop object {object} is {}", origin(protocol))
            }
            Kind::ObjectOfOthers { protocol: None } => {
                "the kernel's route has this router's mark and is not of its making".into()
            }
            Kind::InTheWay(stranger) => {
                format!("a route of somebody else's has its place ({}): ip route show {prefix}", told(stranger))
            }
            Kind::LinkDown(index) => {
                format!("interface {} is not up; written as soon as it is", self.links.name(index))
            }
            Kind::StandIn => "a gateway of it cannot be had: what is left of its ways stands in".into(),
            Kind::NotTold => "the forwarding agent has been told otherwise than the RIB says".into(),
            Kind::Hidden(stranger) => {
                format!(
                    "a better route of somebody else's takes the packets ({}): ip route show {prefix}",
                    told(stranger)
                )
            }
        }
    }

    /// Everything is read again, and what differs is written; on request rpd tells its whole table before.
    pub(super) fn mend_all(&mut self, request: &v1::MendForwardingRequest, reply: Reply<v1::MendForwardingReply>) {
        let refusal = if self.role != Role::Primary || self.ending.is_some() {
            Some(format!("pfed of {} is not primary and writes nothing", self.slot))
        } else if self.mending.is_some() {
            Some("the forwarding table is being mended already; wait for its end".to_owned())
        } else {
            None
        };
        if let Some(why) = refusal {
            let _ = reply.send(Err(Status::failed_precondition(why)));
            return;
        }
        let (writes, errors) = (self.counters.writes, self.counters.errors);
        let resynchronizations = self.counters.resynchronizations;
        self.mending = Some(Mending { reply, began: Instant::now(), writes, errors, resynchronizations });
        if request.ask_rpd {
            self.ask_for_whole_table();
        }
        self.want_load("an operator has asked for it");
    }

    /// When who waits for that is answered at the latest.
    pub(super) fn mending_deadline(&self) -> Option<Instant> {
        self.mending.as_ref().map(|mending| mending.began + MEND_MAX)
    }

    /// Answers who waits for it, once it is done or will not be.
    pub(super) fn answer_mending(&mut self, now: Instant) {
        let Some(mending) = &self.mending else { return };
        // Read to the end, compared, and every write answered. What was refused may lead to another reading: that is not waited for.
        let is_read = self.counters.resynchronizations > mending.resynchronizations;
        let is_compared = !matches!(self.load, Load::Reading { .. }) && self.reconcile.is_none() && self.hold.is_none();
        let done = is_read && is_compared && !self.has_writes_under_way() && self.stream_is_complete();
        let late = now >= mending.began + MEND_MAX;
        let lost = self.role != Role::Primary || self.ending.is_some();
        if !(done || late || lost) {
            return;
        }
        let Some(Mending { reply, began, writes, errors, .. }) = self.mending.take() else { return };
        let answer = if done {
            let errors = self.counters.errors - errors;
            Ok(v1::MendForwardingReply {
                writes: self.counters.writes - writes,
                errors,
                last_error: if errors > 0 { self.counters.last_error.clone() } else { String::new() },
                took_ms: now.duration_since(began).as_millis() as u64,
            })
        } else if lost {
            Err(Status::failed_precondition(format!("pfed of {} is not primary any more", self.slot)))
        } else {
            let seconds = MEND_MAX.as_secs();
            let missing =
                if self.stream_is_complete() { "the tables are not equal" } else { "rpd has not told its table" };
            Err(Status::deadline_exceeded(format!("{missing} after {seconds} s; see show forwarding-table summary")))
        };
        let _ = reply.send(answer);
    }
}

fn told(stranger: Stranger) -> String {
    format!("metric {}, {}", stranger.metric, origin(stranger.protocol))
}

/// Who made something in the kernel, by the names of `/etc/iproute2/rt_protos`.
fn origin(protocol: u8) -> String {
    let name = match protocol {
        1 => "redirect",
        2 => "kernel",
        3 => "boot",
        4 => "static",
        9 => "ra",
        11 => "zebra",
        12 => "bird",
        16 => "dhcp",
        18 => "keepalived",
        186 => "bgp",
        187 => "isis",
        188 => "ospf",
        189 => "rip",
        196 => "zstatic",
        _ => return format!("of protocol {protocol}"),
    };
    format!("of protocol {name}")
}
