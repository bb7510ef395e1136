//! The table as its readers see it. Nothing here changes anything.

use crate::digest::{Digest, entry_hash, prefix_bytes};
use crate::forwarding::{ForwardingNexthop, ForwardingNexthopId};
use crate::nexthop::{NexthopSetId, NexthopSpec, Reach};
use crate::prefix_table::PrefixId;
use crate::rib::{ActiveRoute, BgpRoute, Candidate, Rib};
use crate::{Family, Protocol};
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr};

/// Routes of one protocol in one table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProtocolCounts {
    /// Routes offered (BGP offers one per prefix).
    pub routes: u64,
    /// Routes in use.
    pub active: u64,
}

/// What `show route summary` says about one table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableCounts {
    /// Prefixes with at least one route, reachable or not.
    pub destinations: u64,
    /// By protocol, in the order of [`Protocol::index`].
    pub protocols: [ProtocolCounts; 4],
}

impl Rib {
    /// The route in use for a prefix.
    pub fn active(&self, family: Family, prefix: PrefixId) -> Option<ActiveRoute> {
        self.tables[family.index()].active_route(prefix, &self.locals[family.index()])
    }

    /// Every route offered for a prefix, by protocol.
    pub fn candidates(&self, family: Family, prefix: PrefixId) -> Vec<Candidate> {
        let active = self.active(family, prefix);
        let offered = self.tables[family.index()].candidates(prefix, &self.locals[family.index()]);
        offered
            .map(|route| Candidate {
                route,
                active: active == Some(route),
                reachable: self.nexthop_reachable(route.nexthop).is_some(),
            })
            .collect()
    }

    /// Digest of the direct or static routes that are offered, in use or not. BGP's tables have digests of their own.
    pub fn local_digest(&self, protocol: Protocol) -> Digest {
        let mut digest = Digest::default();
        let mut add = |prefix: &IpNet, preference: u8, octets: &[u8]| {
            digest.add(entry_hash(&[&prefix_bytes(prefix), &[protocol.digest_octet(), preference], octets]));
        };
        match protocol {
            Protocol::Direct => self.direct_routes().for_each(|(prefix, index)| {
                add(prefix, protocol.default_preference(), &NexthopSpec::Interface(index).canonical());
            }),
            Protocol::Static => self.configured_routes().for_each(|(prefix, spec, preference)| {
                add(prefix, preference, &spec.canonical());
            }),
            // Aggregates follow from all others.
            Protocol::Bgp | Protocol::Aggregate => {}
        }
        digest
    }

    /// What BGP said last about a prefix.
    pub fn bgp_route(&self, family: Family, prefix: PrefixId) -> Option<BgpRoute> {
        self.tables[family.index()].bgp(prefix)
    }

    /// The longest prefix with an active route that contains an address.
    pub fn lookup(&self, address: IpAddr) -> Option<(PrefixId, ActiveRoute)> {
        let family = Family::of_address(&address);
        self.prefixes(family).matches(address).find_map(|id| Some((id, self.active(family, id)?)))
    }

    /// A next hop's metric when it is reachable.
    pub fn nexthop_reachable(&self, id: NexthopSetId) -> Option<u32> {
        self.nexthop_reach(id).map(|reach| reach.metric)
    }

    /// How a next hop is reached, if it is.
    #[inline]
    pub fn nexthop_reach(&self, id: NexthopSetId) -> Option<Reach> {
        let resolution = self.sets.get(id)?.resolution?;
        Some(Reach { metric: resolution.metric, on_link: resolution.on_link })
    }

    /// What an interned next hop says; none for an id that is not in use.
    pub fn nexthop(&self, id: NexthopSetId) -> Option<&NexthopSpec> {
        self.sets.get(id).map(|set| &set.spec)
    }

    /// What a next hop resolves to.
    pub fn resolved(&self, id: NexthopSetId) -> Option<&ForwardingNexthop> {
        Some(self.forwarding.get(self.sets.get(id)?.resolution?.forwarding))
    }

    /// Forwarding next hops with a meaning, ascending.
    pub fn forwarding_nexthops(&self) -> impl Iterator<Item = (ForwardingNexthopId, &ForwardingNexthop)> {
        self.forwarding.iter()
    }

    /// The forwarding entry of a prefix.
    pub fn fib_entry(&self, family: Family, prefix: PrefixId) -> Option<ForwardingNexthopId> {
        self.tables[family.index()].settled(prefix, &self.context(family)).fib
    }

    /// The forwarding table in slices: at most `max` entries from `cursor` (start at 0) and the next cursor, none at the end.
    /// Changes made between two slices are among those of [`Rib::take_fib_changes`].
    pub fn fib_scan(
        &self,
        family: Family,
        cursor: u32,
        max: usize,
    ) -> (Vec<(IpNet, ForwardingNexthopId)>, Option<u32>) {
        let (table, context) = (&self.tables[family.index()], self.context(family));
        let mut entries = Vec::with_capacity(max.min(self.fib_len(family)));
        for id in cursor..table.prefixes.capacity() {
            if entries.len() >= max {
                return (entries, Some(id));
            }
            if let Some(next_hop) = table.settled(PrefixId(id), &context).fib {
                entries.push((table.prefixes.prefix(PrefixId(id)), next_hop));
            }
        }
        (entries, None)
    }

    /// The longest prefix with a forwarding entry that contains an address.
    pub fn fib_lookup(&self, address: IpAddr) -> Option<(IpNet, ForwardingNexthopId)> {
        let family = Family::of_address(&address);
        let prefixes = self.prefixes(family);
        prefixes.matches(address).find_map(|id| Some((prefixes.prefix(id), self.fib_entry(family, id)?)))
    }

    /// Forwarding entries of a family.
    pub fn fib_len(&self, family: Family) -> usize {
        self.fib_digest(family).entries as usize
    }

    /// Forwarding entries that changed and were not taken yet.
    pub fn fib_changes_waiting(&self) -> usize {
        self.tables.iter().map(|table| table.fib_dirty.len()).sum()
    }

    /// Counters of one table.
    pub fn counts(&self, family: Family) -> TableCounts {
        let table = &self.tables[family.index()];
        let of = |protocol: Protocol| ProtocolCounts {
            routes: table.routes[protocol.index()],
            active: table.active[protocol.index()],
        };
        TableCounts { destinations: table.destinations, protocols: Protocol::ALL.map(of) }
    }

    /// Bytes of memory that a family's prefixes and routes hold.
    pub fn memory_bytes(&self, family: Family) -> usize {
        self.tables[family.index()].memory()
    }

    /// Our address on the link that a peer is directly connected to.
    pub fn local_address_for(&self, peer: IpAddr) -> Option<IpAddr> {
        self.interfaces.connected(peer).map(|(_, address)| address)
    }

    /// The link (up) that a peer is directly connected to. Link-local peers are found by their configured scope only.
    pub fn interface_for(&self, peer: IpAddr) -> Option<u32> {
        self.interfaces.connected(peer).map(|(index, _)| index)
    }

    /// Whether an address is one of ours, on any link, up or down.
    pub fn is_local(&self, address: IpAddr) -> bool {
        self.interfaces.is_local(address)
    }

    /// Why no other router can have an address (on this link, where it is one of a link), in words; none: one can.
    pub fn why_nobody_elses(&self, address: IpAddr, link: Option<u32>) -> Option<&'static str> {
        self.interfaces.why_nobody_elses(address, link)
    }

    /// The name of a link.
    pub fn interface_name(&self, index: u32) -> Option<&str> {
        self.interfaces.name(index)
    }

    /// The index of a link.
    pub fn interface_index(&self, name: &str) -> Option<u32> {
        self.interfaces.index(name)
    }

    /// Whether a link exists and is up.
    pub fn interface_is_up(&self, index: u32) -> bool {
        self.interfaces.is_up(index)
    }

    /// A link's addresses, each with its length.
    pub fn interface_addresses(&self, index: u32) -> impl Iterator<Item = IpNet> + '_ {
        self.interfaces.addresses(index)
    }

    /// The highest IPv4 address of a loopback, else of any link: the router id when none is configured.
    pub fn highest_address(&self) -> Option<Ipv4Addr> {
        self.interfaces.highest_address()
    }
}
