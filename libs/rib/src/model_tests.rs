//! The table against a naive model: after any operations, everything that can be read equals what is computed from scratch.

use crate::digest::{Digest, entry_hash, prefix_bytes};
use crate::forwarding::{ForwardingNexthop, Gateway, fib_entry_hash};
use crate::rib::{BgpRoute, Rib, StaticRouteSpec};
use crate::{Family, NexthopSetId, NexthopSpec, PrefixId, Protocol, Reach};
use ipnet::IpNet;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

const PREFIXES: [&str; 10] = [
    "0.0.0.0/0",
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.1.0/24",
    "10.2.0.0/16",
    "20.0.0.0/8",
    "30.0.0.0/8",
    "2001:db8::/32",
    "2001:db8:1::/48",
    "::/0",
];
const ADDRESSES: [(u32, &str); 6] = [
    (1, "10.1.1.1/24"),
    (2, "10.1.0.1/16"),
    (2, "10.1.1.9/24"),
    (3, "192.0.2.1/32"),
    (3, "2001:db8:1::1/48"),
    (1, "fe80::1/64"),
];

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn gateways(texts: &[&str]) -> NexthopSpec {
    NexthopSpec::Gateways(texts.iter().map(|text| text.parse().unwrap()).collect())
}

fn scoped(address: &str, interface_index: u32) -> NexthopSpec {
    NexthopSpec::ScopedGateway { address: address.parse().unwrap(), interface_index }
}

fn specs() -> Vec<NexthopSpec> {
    vec![
        gateways(&["10.1.1.2"]),
        gateways(&["10.1.2.2"]),
        gateways(&["10.1.1.2", "10.1.2.2"]),
        gateways(&["20.0.0.1"]),
        gateways(&["30.0.0.1", "20.0.0.1"]),
        gateways(&["10.1.1.1"]),
        gateways(&["2001:db8:1::2"]),
        gateways(&["fe80::2"]),
        scoped("fe80::2", 1),
        NexthopSpec::several([scoped("fe80::2", 1), scoped("fe80::2", 2), scoped("fe80::3", 1)]),
        NexthopSpec::several([scoped("fe80::3", 2), gateways(&["2001:db8:1::2"]), gateways(&["20.0.0.1"])]),
        NexthopSpec::Interface(2),
        NexthopSpec::Discard,
        NexthopSpec::Reject,
        gateways(&["10.1.1.2"]).protected_by(gateways(&["10.1.2.2"])),
        gateways(&["20.0.0.1"]).protected_by(gateways(&["10.1.2.2", "10.1.1.2"])),
        gateways(&["10.1.2.2"]).protected_by(NexthopSpec::Discard),
        gateways(&["10.1.1.2", "10.1.2.2"]).protected_by(gateways(&["2001:db8:1::2"])),
    ]
}

/// The same facts in the plainest form.
#[derive(Default)]
struct Model {
    links: BTreeMap<u32, bool>,
    addresses: BTreeSet<(u32, IpNet)>,
    statics: BTreeMap<IpNet, (NexthopSpec, u8)>,
    bgp: BTreeMap<IpNet, (NexthopSpec, u8)>,
    /// Those of BGP's that get no forwarding entry.
    not_installed: BTreeSet<IpNet>,
}

type Ways = (BTreeSet<Gateway>, bool, bool, Option<u32>);

impl Model {
    fn up(&self, index: u32) -> bool {
        self.links.get(&index) == Some(&true)
    }

    fn direct(&self) -> BTreeMap<IpNet, u32> {
        let mut direct = BTreeMap::new();
        for (index, address) in self.addresses.iter().filter(|(index, _)| self.up(*index)) {
            if address.addr() != "fe80::1".parse::<IpAddr>().unwrap() {
                direct.entry(address.trunc()).or_insert(*index);
            }
        }
        direct
    }

    fn ways(&self, spec: &NexthopSpec, on_link: Option<IpAddr>, path: &[IpNet]) -> Ways {
        let mut ways: Ways = Default::default();
        let out = |address, index| (BTreeSet::from([Gateway { address, interface_index: index, weight: 1 }]), Some(0));
        match spec {
            NexthopSpec::Gateways(list) => list.iter().for_each(|address| {
                let (found, discard, reject, metric) = self.gateway(*address, path);
                ways.0.extend(found);
                ways.1 |= discard;
                ways.2 |= reject;
                ways.3 = ways.3.into_iter().chain(metric).min();
            }),
            NexthopSpec::Interface(index) if self.up(*index) => (ways.0, ways.3) = out(on_link, *index),
            NexthopSpec::ScopedGateway { address, interface_index } if self.up(*interface_index) => {
                (ways.0, ways.3) = out(Some(*address), *interface_index)
            }
            NexthopSpec::Several(all) => all.iter().for_each(|way| {
                let (found, discard, reject, metric) = self.ways(way, on_link, path);
                ways.0.extend(found);
                ways.1 |= discard;
                ways.2 |= reject;
                ways.3 = ways.3.into_iter().chain(metric).min();
            }),
            NexthopSpec::Protected(both) => return self.ways(&both[0], on_link, path),
            NexthopSpec::Discard => (ways.1, ways.3) = (true, Some(0)),
            NexthopSpec::Reject => (ways.2, ways.3) = (true, Some(0)),
            _ => {}
        }
        ways
    }

    fn gateway(&self, address: IpAddr, path: &[IpNet]) -> Ways {
        let own = self.addresses.iter().any(|(_, own)| own.addr() == address);
        if own || address.to_string().starts_with("fe80") {
            return Ways::default();
        }
        let direct = self.direct();
        let mut prefixes: Vec<IpNet> = direct.keys().chain(self.statics.keys()).copied().collect();
        prefixes.retain(|prefix| prefix.contains(&address));
        prefixes.sort_by_key(|prefix| std::cmp::Reverse(prefix.prefix_len()));
        prefixes.dedup();
        for prefix in prefixes {
            if let Some(index) = direct.get(&prefix) {
                return self.ways(&NexthopSpec::Interface(*index), Some(address), path);
            }
            if path.contains(&prefix) || path.len() >= crate::limits::RESOLUTION_DEPTH_MAX {
                continue;
            }
            let path: Vec<IpNet> = path.iter().copied().chain([prefix]).collect();
            let found = self.ways(&self.statics[&prefix].0, Some(address), &path);
            if found.3.is_some() {
                return (found.0, found.1, found.2, Some(1));
            }
        }
        Ways::default()
    }

    fn resolve(&self, spec: &NexthopSpec) -> Option<(u32, ForwardingNexthop)> {
        if let NexthopSpec::Protected(both) = spec {
            let (first, second) = (self.resolve(&both[0]), self.resolve(&both[1]));
            let ways = [&first, &second].map(|way| match way {
                Some((_, ForwardingNexthop::Unicast(gateways))) => gateways.to_vec(),
                _ => Vec::new(),
            });
            return match (ways[0].as_slice(), ways[1].iter().find(|way| !ways[0].contains(way))) {
                ([primary], Some(backup)) => {
                    Some((first?.0, ForwardingNexthop::Protected { primary: *primary, backup: *backup }))
                }
                _ => first.or(second),
            };
        }
        let (found, discard, _, metric) = self.ways(spec, None, &[]);
        let metric = metric?;
        Some(match (found.is_empty(), discard) {
            (false, _) => (metric, ForwardingNexthop::Unicast(found.into_iter().collect())),
            (true, true) => (metric, ForwardingNexthop::Discard),
            (true, false) => (metric, ForwardingNexthop::Reject),
        })
    }

    fn active(&self) -> BTreeMap<IpNet, (Protocol, u8, NexthopSpec)> {
        let direct =
            self.direct().into_iter().map(|(p, index)| (p, Protocol::Direct, 0, NexthopSpec::Interface(index)));
        let listed = |protocol| {
            move |(p, (spec, preference)): (&IpNet, &(NexthopSpec, u8))| (*p, protocol, *preference, spec.clone())
        };
        let statics = self.statics.iter().map(listed(Protocol::Static));
        let bgp = self.bgp.iter().map(listed(Protocol::Bgp));
        let mut active: BTreeMap<IpNet, (Protocol, u8, NexthopSpec)> = BTreeMap::new();
        for (prefix, protocol, preference, spec) in direct.chain(statics).chain(bgp) {
            let better = active.get(&prefix).is_none_or(|(p, known, _)| (preference, protocol) < (*known, *p));
            if better && self.resolve(&spec).is_some() {
                active.insert(prefix, (protocol, preference, spec));
            }
        }
        active
    }

    fn fib(&self) -> BTreeMap<IpNet, ForwardingNexthop> {
        let installed = |prefix: &IpNet, protocol| match protocol {
            Protocol::Direct => false,
            Protocol::Static | Protocol::Aggregate => true,
            Protocol::Bgp => !self.not_installed.contains(prefix),
        };
        let routed = self.active().into_iter().filter(|(prefix, (protocol, ..))| installed(prefix, *protocol));
        routed.map(|(prefix, (_, _, spec))| (prefix, self.resolve(&spec).unwrap().1)).collect()
    }
}

/// The table under test, its model, and two readers.
struct Harness {
    rib: Rib,
    model: Model,
    /// BGP's own holds and its users' next hops.
    bgp_ids: BTreeMap<IpNet, PrefixId>,
    held: Vec<NexthopSetId>,
    reaches: BTreeMap<NexthopSetId, Option<Reach>>,
    /// The forwarding table as a reader of changes has it.
    reader: BTreeMap<IpNet, ForwardingNexthop>,
    redistributed: BTreeMap<IpNet, (Protocol, u8, NexthopSpec)>,
}

#[derive(Clone, Debug)]
enum Operation {
    Link(u32, bool),
    LinkGone(u32),
    Address(usize, bool),
    Statics(Vec<(usize, usize, u8)>),
    Bgp(usize, Option<usize>, u8, bool),
    TakeFib(usize),
    TakeChanged(usize),
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let statics = prop::collection::vec((0..PREFIXES.len(), 0..specs().len(), 1u8..200), 0..5);
    let operation = prop_oneof![
        4 => (1u32..4, any::<bool>()).prop_map(|(index, up)| Operation::Link(index, up)),
        1 => (1u32..4).prop_map(Operation::LinkGone),
        4 => (0..ADDRESSES.len(), prop::bool::weighted(0.7)).prop_map(|(which, add)| Operation::Address(which, add)),
        2 => statics.prop_map(Operation::Statics),
        8 => (0..PREFIXES.len(), prop::option::weighted(0.7, 0..specs().len()), 1u8..200, prop::bool::weighted(0.8))
            .prop_map(|(prefix, spec, preference, installed)| Operation::Bgp(prefix, spec, preference, installed)),
        2 => (1usize..6).prop_map(Operation::TakeFib),
        2 => (1usize..6).prop_map(Operation::TakeChanged),
    ];
    prop::collection::vec(operation, 1..60)
}

impl Harness {
    fn new() -> Harness {
        let mut rib = Rib::new();
        let held: Vec<NexthopSetId> = specs().into_iter().map(|spec| rib.intern_nexthop(spec)).collect();
        let reaches = held.iter().map(|id| (*id, rib.nexthop_reach(*id))).collect();
        let (model, bgp_ids, reader) = Default::default();
        Harness { rib, model, bgp_ids, held, reaches, reader, redistributed: BTreeMap::new() }
    }

    fn apply(&mut self, operation: Operation) {
        match operation {
            Operation::Link(index, up) => {
                self.model.links.insert(index, up);
                self.rib.interface_update(index, "eth", up);
            }
            Operation::LinkGone(index) => {
                self.model.links.remove(&index);
                self.model.addresses.retain(|(of, _)| *of != index);
                self.rib.interface_removed(index);
            }
            Operation::Address(which, add) => {
                let (index, address) = (ADDRESSES[which].0, net(ADDRESSES[which].1));
                if add {
                    self.model.addresses.insert((index, address));
                    self.rib.address_added(index, address);
                } else {
                    self.model.addresses.remove(&(index, address));
                    self.rib.address_removed(index, address);
                }
            }
            Operation::Statics(list) => {
                let list = list.into_iter().map(|(prefix, spec, preference)| StaticRouteSpec {
                    prefix: net(PREFIXES[prefix]),
                    spec: specs()[spec].clone(),
                    preference,
                    tag: 0,
                });
                let list: Vec<StaticRouteSpec> = list.collect();
                self.model.statics = list.iter().map(|r| (r.prefix, (r.spec.clone(), r.preference))).collect();
                self.rib.set_static(list);
            }
            Operation::Bgp(prefix, spec, preference, installed) => {
                self.bgp(net(PREFIXES[prefix]), spec, preference, installed);
            }
            Operation::TakeFib(max) => assert!(self.take_fib(max) <= max),
            Operation::TakeChanged(max) => assert!(self.take_changed(max) <= max),
        }
    }

    fn bgp(&mut self, prefix: IpNet, spec: Option<usize>, preference: u8, installed: bool) {
        let family = Family::of(&prefix);
        let held = self.bgp_ids.contains_key(&prefix);
        let id = self.bgp_ids.get(&prefix).copied().unwrap_or_else(|| self.rib.prefixes_mut(family).intern(prefix));
        let route = spec.map(|spec| BgpRoute { nexthop: self.held[spec], preference, installed });
        self.model.not_installed.remove(&prefix);
        let active = self.rib.set_bgp(family, id, route);
        match spec {
            Some(spec) => {
                self.model.bgp.insert(prefix, (specs()[spec].clone(), preference));
                if !installed {
                    self.model.not_installed.insert(prefix);
                }
                self.bgp_ids.insert(prefix, id);
            }
            None => {
                self.model.bgp.remove(&prefix);
                self.bgp_ids.remove(&prefix);
                self.rib.prefixes_mut(family).release(id);
            }
        }
        assert!(spec.is_some() || !held || !active);
        let expected = self.model.active().get(&prefix).is_some_and(|(protocol, ..)| *protocol == Protocol::Bgp);
        assert_eq!(active, expected);
    }

    fn take_fib(&mut self, max: usize) -> usize {
        let changes = self.rib.take_fib_changes(max);
        let distinct: BTreeSet<IpNet> = changes.iter().map(|change| change.prefix).collect();
        assert_eq!(distinct.len(), changes.len());
        let fib = self.model.fib();
        for change in &changes {
            let next_hop = change.next_hop.map(|id| self.rib.forwarding_nexthop(id).clone());
            assert_eq!(next_hop.as_ref(), fib.get(&change.prefix));
            match next_hop {
                Some(next_hop) => self.reader.insert(change.prefix, next_hop),
                None => self.reader.remove(&change.prefix),
            };
        }
        for id in self.rib.take_released_nexthops() {
            assert!(self.rib.forwarding_nexthops().all(|(used, _)| used != id));
        }
        changes.len()
    }

    fn take_changed(&mut self, max: usize) -> usize {
        let changed = self.rib.take_changed(max);
        let active = self.model.active();
        for (family, id) in &changed {
            let prefix = self.rib.prefixes(*family).prefix(*id);
            match active.get(&prefix).filter(|(protocol, ..)| *protocol != Protocol::Bgp) {
                Some(route) => self.redistributed.insert(prefix, route.clone()),
                None => self.redistributed.remove(&prefix),
            };
        }
        changed.len()
    }

    /// Everything readable equals the model.
    fn check(&mut self) {
        let (active, fib) = (self.model.active(), self.model.fib());
        for family in Family::ALL {
            let mut digests = (Digest::default(), Digest::default());
            for (prefix, (protocol, preference, spec)) in active.iter().filter(|(p, _)| Family::of(p) == family) {
                let id = self.rib.prefixes(family).get(*prefix).unwrap();
                let found = self.rib.active(family, id).unwrap();
                assert_eq!((found.protocol, found.preference), (*protocol, *preference), "{prefix}");
                assert_eq!(self.rib.nexthop(found.nexthop), Some(&self.normal(spec)));
                let facts = [protocol.digest_octet(), *preference];
                digests.0.add(entry_hash(&[&prefix_bytes(prefix), &facts, &self.normal(spec).canonical()]));
            }
            fib.iter().filter(|(p, _)| Family::of(p) == family).for_each(|(p, n)| digests.1.add(fib_entry_hash(p, n)));
            assert_eq!(self.rib.rib_digest(family), digests.0);
            assert_eq!(self.rib.fib_digest(family), digests.1);
            self.check_counts(family, &active);
        }
        assert_eq!(self.scan(), fib);
        for address in ["10.1.1.5", "10.1.2.5", "40.0.0.1", "2001:db8:1::5"].map(|text| text.parse().unwrap()) {
            let expected =
                fib.iter().filter(|(prefix, _)| prefix.contains(&address)).max_by_key(|(p, _)| p.prefix_len());
            let found = self.rib.fib_lookup(address);
            assert_eq!(found.map(|(p, id)| (p, self.rib.forwarding_nexthop(id))), expected.map(|(p, n)| (*p, n)));
        }
        self.check_nexthops();
    }

    fn normal(&self, spec: &NexthopSpec) -> NexthopSpec {
        let mut spec = spec.clone();
        match &mut spec {
            NexthopSpec::Gateways(list) => list.sort(),
            NexthopSpec::Protected(both) => both.iter_mut().for_each(|way| *way = self.normal(way)),
            _ => {}
        }
        spec
    }

    fn check_counts(&self, family: Family, active: &BTreeMap<IpNet, (Protocol, u8, NexthopSpec)>) {
        let counts = self.rib.counts(family);
        let of = |p: &&IpNet| Family::of(p) == family;
        let direct = self.model.direct();
        let all: BTreeSet<IpNet> =
            direct.keys().chain(self.model.statics.keys()).chain(self.model.bgp.keys()).copied().collect();
        assert_eq!(counts.destinations as usize, all.iter().filter(of).count());
        let offered = [
            direct.keys().filter(of).count(),
            self.model.statics.keys().filter(of).count(),
            self.model.bgp.keys().filter(of).count(),
            0, // aggregates: `tests/scenarios.rs`
        ];
        for protocol in Protocol::ALL {
            let counts = counts.protocols[protocol.index()];
            assert_eq!(counts.routes as usize, offered[protocol.index()]);
            let used = active.iter().filter(|(p, route)| of(p) && route.0 == protocol).count();
            assert_eq!(counts.active as usize, used);
        }
    }

    fn scan(&self) -> BTreeMap<IpNet, ForwardingNexthop> {
        let mut found = BTreeMap::new();
        for family in Family::ALL {
            let mut cursor = Some(0);
            while let Some(from) = cursor {
                let (entries, next) = self.rib.fib_scan(family, from, 2);
                assert!(entries.len() <= 2);
                found.extend(entries.into_iter().map(|(p, id)| (p, self.rib.forwarding_nexthop(id).clone())));
                cursor = next;
            }
        }
        found
    }

    /// Whoever follows `take_changed_nexthops` knows how all are reached.
    fn check_nexthops(&mut self) {
        for id in self.rib.take_changed_nexthops() {
            if let Some(reach) = self.reaches.get_mut(&id) {
                *reach = self.rib.nexthop_reach(id);
            }
        }
        for (id, spec) in self.held.iter().zip(specs()) {
            let expected = self.model.resolve(&spec);
            assert_eq!(self.rib.nexthop_reachable(*id), expected.as_ref().map(|(metric, _)| *metric), "{spec:?}");
            assert_eq!(self.rib.resolved(*id), expected.as_ref().map(|(_, next_hop)| next_hop));
            assert_eq!(self.reaches[id], self.rib.nexthop_reach(*id));
        }
    }

    /// After both readers have caught up they know everything, and after a clean-up nothing is left behind.
    fn finish(mut self) {
        while self.take_fib(3) > 0 {}
        while self.take_changed(3) > 0 {}
        assert_eq!(self.reader, self.model.fib());
        let local = self.model.active().into_iter().filter(|(_, (protocol, ..))| *protocol != Protocol::Bgp);
        assert_eq!(self.redistributed, local.collect());
        for prefix in self.bgp_ids.keys().copied().collect::<Vec<_>>() {
            self.bgp(prefix, None, 0, true);
        }
        self.apply(Operation::Statics(Vec::new()));
        (1..4).for_each(|index| self.apply(Operation::LinkGone(index)));
        self.check();
        std::mem::take(&mut self.held).into_iter().for_each(|id| self.rib.release_nexthop(id));
        while self.take_fib(100) + self.take_changed(100) > 0 {}
        self.take_changed(1);
        self.take_fib(1);
        assert!(Family::ALL.iter().all(|family| self.rib.prefixes(*family).is_empty()));
        assert_eq!(self.rib.forwarding_nexthops().count(), 0);
        assert_eq!(self.rib.sets.ids(), []);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn equals_the_model(operations in operations()) {
        let mut harness = Harness::new();
        for operation in operations {
            harness.apply(operation);
            harness.check();
        }
        harness.finish();
    }
}
