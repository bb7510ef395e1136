//! From what a route says about where to go to what the forwarding plane can do.
//!
//! A gateway is resolved by the longest direct or static prefix that contains it and that itself leads somewhere: a direct
//! route gives the link, a static route is followed (to a bounded depth), and a prefix that would lead back to itself is
//! passed over in favour of a shorter one. The answer depends on interfaces and configuration alone: not on BGP, not on
//! which route is active at those prefixes, not on any order.
//!
//! Our own addresses, unspecified and multicast addresses, and link-local addresses without a link never resolve
//! (RFC 4271 §5.1.3: a route must not point to oneself).

use crate::Family;
use crate::forwarding::{ForwardingNexthop, Gateway};
use crate::interfaces::Interfaces;
use crate::limits::{GATEWAYS_MAX, RESOLUTION_DEPTH_MAX, RESOLUTION_STEPS_MAX, WEIGHT_MAX, WEIGHT_PARTS};
use crate::local::LocalRoutes;
use crate::nexthop::{NexthopSets, NexthopSpec};
use crate::prefix_table::PrefixId;
use smallvec::SmallVec;
use std::net::IpAddr;

/// Metric of what lies on a link of ours.
const METRIC_CONNECTED: u32 = 0;

/// Metric of what is reached through a static route.
const METRIC_STATIC: u32 = 1;

/// What was found so far.
#[derive(Default)]
struct Ways {
    gateways: SmallVec<[Gateway; 1]>,
    discard: bool,
    reject: bool,
    metric: Option<u32>,
}

impl Ways {
    fn found(&mut self, metric: u32) {
        self.metric = Some(self.metric.map_or(metric, |known| known.min(metric)));
    }

    fn add(&mut self, address: Option<IpAddr>, interface_index: u32) {
        self.gateways.push(Gateway { address, interface_index, weight: 1 });
        self.found(METRIC_CONNECTED);
    }

    /// Takes over what one of several gateways led to; where that is several ways in turn they divide its weight.
    fn merge_weighted(&mut self, mut other: Ways, weight: u16) {
        let each = (weight.saturating_mul(WEIGHT_PARTS) / other.gateways.len().max(1) as u16).max(1);
        other.gateways.iter_mut().for_each(|gateway| gateway.weight = each);
        self.merge(other);
    }

    /// Takes over what one of several led to.
    fn merge(&mut self, other: Ways) {
        self.gateways.extend(other.gateways);
        self.discard |= other.discard;
        self.reject |= other.reject;
        other.metric.into_iter().for_each(|metric| self.found(metric));
    }

    /// Takes over what a static route led to.
    fn merge_static(&mut self, other: Ways) {
        self.merge(Ways { metric: Some(METRIC_STATIC), ..other });
    }

    /// Ways that forward win over discard, discard over reject.
    fn into_next_hop(mut self) -> Option<(u32, ForwardingNexthop)> {
        share_out(&mut self.gateways);
        let metric = self.metric?;
        if !self.gateways.is_empty() {
            Some((metric, ForwardingNexthop::Unicast(self.gateways)))
        } else if self.discard {
            Some((metric, ForwardingNexthop::Discard))
        } else {
            self.reject.then_some((metric, ForwardingNexthop::Reject))
        }
    }
}

/// One resolution in progress.
pub(crate) struct Resolver<'a> {
    interfaces: &'a Interfaces,
    locals: &'a [LocalRoutes; 2],
    sets: &'a NexthopSets,
    /// Static prefixes being followed.
    path: SmallVec<[(Family, PrefixId); RESOLUTION_DEPTH_MAX]>,
    steps: usize,
}

impl<'a> Resolver<'a> {
    pub fn new(interfaces: &'a Interfaces, locals: &'a [LocalRoutes; 2], sets: &'a NexthopSets) -> Resolver<'a> {
        Resolver { interfaces, locals, sets, path: SmallVec::new(), steps: 0 }
    }

    /// Metric and forwarding next hop of a specification; none when it is unreachable.
    pub fn resolve(mut self, spec: &NexthopSpec) -> Option<(u32, ForwardingNexthop)> {
        match spec {
            NexthopSpec::Protected(ways) => {
                let [primary, backup] = &**ways;
                let first = self.ways(primary, None).into_next_hop();
                let second = self.ways(backup, None).into_next_hop();
                protect(first, second)
            }
            spec => self.ways(spec, None).into_next_hop(),
        }
    }

    /// `on_link` is the address that a link is to be asked for when the way ends at a link.
    fn ways(&mut self, spec: &NexthopSpec, on_link: Option<IpAddr>) -> Ways {
        let mut ways = Ways::default();
        match spec {
            NexthopSpec::Gateways(gateways) => {
                gateways.iter().for_each(|address| self.gateway(*address, &mut ways));
            }
            NexthopSpec::Interface(index) => {
                if self.interfaces.is_up(*index) {
                    ways.add(on_link, *index);
                }
            }
            NexthopSpec::ScopedGateway { address, interface_index } => {
                if self.interfaces.is_up(*interface_index) && !self.interfaces.is_local_on(*interface_index, *address) {
                    ways.add(Some(*address), *interface_index);
                }
            }
            NexthopSpec::Weighted(all) => {
                for (way, weight) in all {
                    let found = self.ways(way, on_link);
                    ways.merge_weighted(found, *weight);
                }
            }
            NexthopSpec::Several(all) => {
                for way in all {
                    let found = self.ways(way, on_link);
                    ways.merge(found);
                }
            }
            // Not what a static route may say.
            NexthopSpec::Protected(both) => return self.ways(&both[0], on_link),
            NexthopSpec::Discard => {
                ways.discard = true;
                ways.found(METRIC_CONNECTED);
            }
            NexthopSpec::Reject => {
                ways.reject = true;
                ways.found(METRIC_CONNECTED);
            }
        }
        ways
    }

    fn gateway(&mut self, address: IpAddr, ways: &mut Ways) {
        self.steps += 1;
        if self.steps > RESOLUTION_STEPS_MAX || never_a_gateway(address) || self.interfaces.is_local(address) {
            return;
        }
        let family = Family::of_address(&address);
        let (locals, sets) = (self.locals, self.sets);
        for (prefix, candidates) in locals[family.index()].matches(address) {
            if let Some(NexthopSpec::Interface(index)) =
                candidates.direct.and_then(|r| sets.get(r.nexthop)).map(|s| &s.spec)
                && self.interfaces.is_up(*index)
            {
                return ways.add(Some(address), *index);
            }
            let Some(set) = candidates.configured.and_then(|route| sets.get(route.nexthop)) else { continue };
            if self.path.len() >= RESOLUTION_DEPTH_MAX || self.path.contains(&(family, prefix)) {
                continue;
            }
            self.path.push((family, prefix));
            let further = self.ways(&set.spec, Some(address));
            self.path.pop();
            if further.metric.is_some() {
                return ways.merge_static(further);
            }
        }
    }
}

/// Each way once, sorted. Where weights say something a way that several lead to has all of theirs, in the smallest numbers that say the
/// same; where every gateway weighs 1 it is one way among several, however many lead there.
fn share_out(gateways: &mut SmallVec<[Gateway; 1]>) {
    gateways.sort_unstable();
    let is_weighted = gateways.iter().any(|gateway| gateway.weight > 1);
    gateways.dedup_by(|next, kept| {
        let same = (next.address, next.interface_index) == (kept.address, kept.interface_index);
        if same && is_weighted {
            kept.weight = kept.weight.saturating_add(next.weight);
        }
        same
    });
    gateways.truncate(GATEWAYS_MAX);
    let divisor = gateways.iter().fold(0, |divisor, gateway| greatest_common_divisor(divisor, gateway.weight));
    gateways.iter_mut().for_each(|gateway| gateway.weight /= divisor.max(1));
    let most = gateways.iter().map(|gateway| gateway.weight).max().unwrap_or(0);
    if most > WEIGHT_MAX {
        let nearest = |weight: u16| (u32::from(weight) * u32::from(WEIGHT_MAX) / u32::from(most)).max(1) as u16;
        gateways.iter_mut().for_each(|gateway| gateway.weight = nearest(gateway.weight));
    }
}

fn greatest_common_divisor(a: u16, b: u16) -> u16 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// The first way, with the second standing by where it leads elsewhere; the second where the first leads nowhere. Where packets go
/// several ways at once they protect each other, and where they are dropped there is nothing to protect.
fn protect(
    first: Option<(u32, ForwardingNexthop)>,
    second: Option<(u32, ForwardingNexthop)>,
) -> Option<(u32, ForwardingNexthop)> {
    let Some((metric, next_hop)) = first else { return second };
    let backup = second.and_then(|(_, second)| match (next_hop.gateways(), second) {
        ([primary], ForwardingNexthop::Unicast(others)) => {
            let other = others.into_iter().find(|other| other != primary)?;
            Some(ForwardingNexthop::Protected { primary: *primary, backup: other })
        }
        _ => None,
    });
    Some((metric, backup.unwrap_or(next_hop)))
}

fn never_a_gateway(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_unspecified() || v4.is_multicast() || v4.is_loopback() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_unspecified() || v6.is_multicast() || v6.is_loopback() || v6.is_unicast_link_local(),
    }
}
