//! The table against a model of the kernel that refuses, forgets and is meddled with: whatever happens, both agree in the
//! end, and every sum is what it would be if it were made anew.

use std::collections::BTreeMap;

use hashbrown::HashSet;
use holdfast_kernel::netlink::{
    BatchOutcome, Failure, NexthopContent, NexthopMember, NexthopObject, PROTOCOL_HOLDFAST, ROUTE_METRIC, Route,
    RouteTarget, TABLE_MAIN,
};
use holdfast_proto::v1::{self, fib_nexthop::Kind};
use holdfast_rib::{Digest, ForwardingNexthop, Gateway, fib_entry_hash};
use ipnet::IpNet;
use proptest::prelude::*;

use super::desired::{content_of, normalize};
use super::*;

/// The kernel: routes by target, objects by number.
#[derive(Debug, Default)]
struct Model {
    routes: BTreeMap<IpNet, RouteTarget>,
    objects: BTreeMap<u32, NexthopObject>,
    /// One message in so many is refused for no reason.
    bad_luck: u32,
    messages: u32,
}

impl Model {
    fn execute(&mut self, fib: &Fib, memos: &[Memo]) -> BatchOutcome {
        let mut failures = Vec::new();
        for (index, memo) in memos.iter().enumerate() {
            self.messages += 1;
            let unlucky = self.bad_luck > 0 && self.messages.is_multiple_of(self.bad_luck);
            let result = if unlucky { Err(libc::ENOMEM) } else { self.one(fib, memo) };
            if let Err(errno) = result {
                failures.push(Failure { index, errno, detail: None });
            }
        }
        BatchOutcome { failures, unknown: false }
    }

    fn one(&mut self, fib: &Fib, memo: &Memo) -> Result<(), i32> {
        match memo {
            Memo::Route { prefix, before, after } => {
                if matches!(after, RouteTarget::Nexthop(id) if !self.objects.contains_key(id)) {
                    return Err(libc::EINVAL);
                }
                match (before, self.routes.contains_key(prefix)) {
                    (None, true) => Err(libc::EEXIST),
                    (Some(_), false) => Err(libc::ENOENT),
                    _ => {
                        self.routes.insert(*prefix, *after);
                        Ok(())
                    }
                }
            }
            Memo::RouteRemoval { prefix, .. } => self.routes.remove(prefix).map(drop).ok_or(libc::ESRCH),
            Memo::Nexthop(id) => {
                let object = describe(fib, *id).ok_or(libc::EINVAL)?;
                if let NexthopContent::Group(members) = &object.content
                    && members.iter().any(|member| !self.objects.contains_key(&member.id))
                {
                    return Err(libc::EINVAL);
                }
                match self.objects.insert(*id, object) {
                    None => Ok(()),
                    Some(_) => Err(libc::EEXIST),
                }
            }
            Memo::NexthopRemoval(id) => self.drop_object(*id).ok_or(libc::ENOENT),
            Memo::Interface(_) => Ok(()),
        }
    }

    /// What the kernel does when an object goes: groups shrink, routes vanish.
    fn drop_object(&mut self, id: u32) -> Option<()> {
        self.objects.remove(&id)?;
        self.routes.retain(|_, target| *target != RouteTarget::Nexthop(id));
        let mut empty = Vec::new();
        for (group, object) in &mut self.objects {
            if let NexthopContent::Group(members) = &mut object.content {
                members.retain(|member| member.id != id);
                if members.is_empty() {
                    empty.push(*group);
                }
            }
        }
        for group in empty {
            self.drop_object(group)?;
        }
        Some(())
    }

    fn list(&self) -> Vec<NexthopObject> {
        self.objects.values().cloned().collect()
    }

    fn content(&self, target: RouteTarget) -> ForwardingNexthop {
        let single = |id: u32, weight| match &self.objects[&id].content {
            NexthopContent::Single { gateway, interface_index } => {
                Gateway { address: *gateway, interface_index: *interface_index, weight }
            }
            other => panic!("{other:?}"),
        };
        match target {
            RouteTarget::Blackhole => ForwardingNexthop::Discard,
            RouteTarget::Unreachable => ForwardingNexthop::Reject,
            RouteTarget::Other => panic!("nobody writes that here"),
            RouteTarget::Nexthop(id) => match &self.objects[&id].content {
                NexthopContent::Group(members) => normalize(members.iter().map(|m| single(m.id, m.weight)).collect()),
                _ => normalize(vec![single(id, 1)]),
            },
        }
    }
}

/// An object as the kernel would tell it, from what the table has planned.
fn describe(fib: &Fib, id: u32) -> Option<NexthopObject> {
    let object = fib.objects.get(fib.objects.by_kernel_id(id)?)?;
    let ForwardingNexthop::Unicast(gateways) = fib.contents.get(object.content)? else { return None };
    let content = match gateways.as_slice() {
        [one] => NexthopContent::Single { gateway: one.address, interface_index: one.interface_index },
        many => {
            let member = |(index, gateway): (&u32, &Gateway)| {
                Some(NexthopMember { id: fib.objects.get(*index)?.kernel_id, weight: gateway.weight })
            };
            NexthopContent::Group(object.members.iter().zip(many).map(member).collect::<Option<_>>()?)
        }
    };
    Some(NexthopObject { id, protocol: PROTOCOL_HOLDFAST, ipv6: object.family == 1, content })
}

/// The nexthops that the tests' rpd knows; 1 and 2 are single, 3 and 4 groups, 5 and 6 special, 7 is on link.
fn definitions() -> Vec<v1::FibNexthop> {
    let gateway = |n: u8, weight| v1::FibGateway { address: vec![10, 0, n, 2], interface_index: n.into(), weight };
    let unicast = |id, gateways| v1::FibNexthop { id, kind: Kind::Unicast.into(), gateways };
    let special = |id, kind: Kind| v1::FibNexthop { id, kind: kind.into(), gateways: Vec::new() };
    let on_link = v1::FibGateway { address: Vec::new(), interface_index: 1, weight: 0 };
    vec![
        unicast(1, vec![gateway(1, 1)]),
        unicast(2, vec![gateway(2, 7)]),
        unicast(3, vec![gateway(2, 3), gateway(1, 1)]),
        unicast(4, vec![gateway(3, 1), gateway(1, 1), gateway(2, 1)]),
        special(5, Kind::Discard),
        special(6, Kind::Reject),
        unicast(7, vec![on_link]),
    ]
}

fn prefix(n: u8) -> IpNet {
    match n % 2 {
        0 => format!("192.0.{n}.0/24").parse().unwrap(),
        _ => format!("2001:db8:{n:x}::/48").parse().unwrap(),
    }
}

fn fib_route(n: u8, nexthop_id: u32) -> v1::FibRoute {
    let prefix = prefix(n);
    let address = match prefix.network() {
        std::net::IpAddr::V4(address) => address.octets().to_vec(),
        std::net::IpAddr::V6(address) => address.octets().to_vec(),
    };
    v1::FibRoute { address, length: prefix.prefix_len().into(), nexthop_id }
}

fn new_fib() -> Fib {
    let mut fib = Fib::default();
    (1..=3).for_each(|index| assert!(fib.set_link(index, true)));
    fib.begin_stream();
    definitions().iter().for_each(|definition| fib.define_nexthop(definition).unwrap());
    fib
}

fn read_everything(fib: &mut Fib, model: &Model) {
    fib.read_nexthops(&model.list(), &HashSet::from([1, 2, 3]));
    fib.begin_reading_routes();
    model.routes.iter().for_each(|(prefix, target)| fib.read_route(prefix, *target));
    fib.end_reading_routes();
}

fn execute(fib: &mut Fib, model: &mut Model, plan: Plan) -> bool {
    let mut clean = true;
    for Planned { batch, memos } in plan.finish() {
        assert_eq!(batch.len(), memos.len());
        let outcome = model.execute(fib, &memos);
        let finished = fib.finished(&memos, &outcome);
        clean &= finished.errors == 0;
        if finished.read_again {
            read_everything(fib, model);
        }
    }
    clean
}

/// Until nothing is left to write.
fn settle(fib: &mut Fib, model: &mut Model) {
    model.bad_luck = 0;
    for _ in 0..10 {
        let mut plan = Plan::default();
        assert!(fib.reconcile(&mut Cursor::default(), u32::MAX, usize::MAX, &mut plan));
        if execute(fib, model, plan) && fib.pending_writes() == 0 {
            return;
        }
    }
    panic!("not settled: {} pending", fib.pending_writes());
}

fn check(fib: &mut Fib, model: &Model, wanted: &BTreeMap<IpNet, u32>) {
    let mut digests = [Digest::default(); 2];
    for (prefix, target) in &model.routes {
        digests[Fib::family_of(prefix)].add(fib_entry_hash(prefix, &model.content(*target)));
    }
    assert_eq!(fib.present, digests, "the kernel's digest");
    let by_id: BTreeMap<u32, ForwardingNexthop> =
        definitions().iter().map(|definition| (definition.id, content_of(definition).unwrap())).collect();
    let expected: BTreeMap<IpNet, ForwardingNexthop> =
        wanted.iter().map(|(prefix, id)| (*prefix, by_id[id].clone())).collect();
    let there: BTreeMap<IpNet, ForwardingNexthop> =
        model.routes.iter().map(|(prefix, target)| (*prefix, model.content(*target))).collect();
    assert_eq!(there, expected);
    assert_eq!(fib.present, fib.wanted);
    check_sums(fib);
}

/// Sums kept change by change are those made at once.
fn check_sums(fib: &mut Fib) {
    fib.refresh_sums();
    let objects = |fib: &mut Fib| -> Vec<_> {
        fib.objects.iter_mut().filter(|o| o.alive).map(|o| (o.kernel_id, o.digest, o.matching, o.undesired)).collect()
    };
    let kept = (fib.present, fib.wanted, fib.different, objects(fib));
    fib.sums_stale = true;
    fib.refresh_sums();
    assert_eq!(kept, (fib.present, fib.wanted, fib.different, objects(fib)));
}

#[derive(Debug, Clone)]
enum Step {
    Want { n: u8, id: u32 },
    RouteDeleted(u8),
    ObjectDeleted(u8),
    Restart,
    Sweep,
    Reconcile,
    BadLuck(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..24u8, 0..=7u32).prop_map(|(n, id)| Step::Want { n, id }),
        2 => (0..24u8).prop_map(Step::RouteDeleted),
        1 => any::<u8>().prop_map(Step::ObjectDeleted),
        1 => Just(Step::Restart),
        1 => Just(Step::Sweep),
        1 => Just(Step::Reconcile),
        1 => (0..6u32).prop_map(Step::BadLuck),
    ]
}

fn run(steps: &[Step]) {
    let (mut fib, mut model) = (new_fib(), Model::default());
    let mut wanted: BTreeMap<IpNet, u32> = BTreeMap::new();
    fib.end_of_sync();
    for step in steps {
        let mut plan = Plan::default();
        match step {
            // An IPv6 route cannot use IPv4 gateways; the kernel would refuse, and so would never settle.
            Step::Want { n, id } if n % 2 == 1 && (1..=4).contains(id) => {}
            Step::Want { n, id } => {
                let _ = match id {
                    0 => wanted.remove(&prefix(*n)),
                    id => wanted.insert(prefix(*n), *id),
                };
                fib.want_route(&fib_route(*n, *id), Some(&mut plan)).unwrap();
            }
            Step::RouteDeleted(n) => {
                if let Some(target) = model.routes.remove(&prefix(*n)) {
                    let route = Route {
                        prefix: prefix(*n),
                        target,
                        protocol: PROTOCOL_HOLDFAST,
                        table: TABLE_MAIN,
                        metric: ROUTE_METRIC,
                    };
                    fib.kernel_route_removed(&route);
                }
            }
            Step::ObjectDeleted(n) => {
                let ids: Vec<u32> = model.objects.keys().copied().collect();
                if let Some(id) = ids.get(usize::from(*n) % ids.len().max(1)) {
                    model.drop_object(*id);
                    fib.read_nexthops(&model.list(), &HashSet::from([1, 2, 3]));
                }
            }
            Step::Restart => {
                fib = new_fib();
                read_everything(&mut fib, &model);
                for n in 0..24 {
                    if let Some(id) = wanted.get(&prefix(n)) {
                        fib.want_route(&fib_route(n, *id), Some(&mut plan)).unwrap();
                    }
                }
                fib.end_of_sync();
            }
            Step::Sweep => fib.sweep_idle(false, &mut plan),
            Step::Reconcile => drop(fib.reconcile(&mut Cursor::default(), u32::MAX, usize::MAX, &mut plan)),
            Step::BadLuck(one_in) => model.bad_luck = *one_in,
        }
        execute(&mut fib, &mut model, plan);
        check_sums(&mut fib);
    }
    settle(&mut fib, &mut model);
    check(&mut fib, &model, &wanted);
    // All gone again: nothing of ours stays behind, in the kernel or in memory.
    fib.want_nothing();
    settle(&mut fib, &mut model);
    let mut plan = Plan::default();
    fib.sweep_idle(true, &mut plan);
    assert!(execute(&mut fib, &mut model, plan));
    assert!(model.routes.is_empty() && model.objects.is_empty(), "{model:?}");
    assert_eq!((fib.nexthop_objects(), fib.pending_writes()), (0, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn both_tables_agree_in_the_end(steps in proptest::collection::vec(step(), 0..80)) {
        run(&steps);
    }
}

#[test]
fn a_restart_writes_nothing() {
    let (mut fib, mut model) = (new_fib(), Model::default());
    let mut plan = Plan::default();
    for n in (0..24).step_by(2) {
        fib.want_route(&fib_route(n, 1 + u32::from(n) % 7), Some(&mut plan)).unwrap();
    }
    fib.end_of_sync();
    assert!(execute(&mut fib, &mut model, plan));
    let mut fib = new_fib();
    read_everything(&mut fib, &model);
    let mut plan = Plan::default();
    for n in (0..24).step_by(2) {
        fib.want_route(&fib_route(n, 1 + u32::from(n) % 7), Some(&mut plan)).unwrap();
    }
    fib.end_of_sync();
    assert!(fib.reconcile(&mut Cursor::default(), u32::MAX, usize::MAX, &mut plan));
    fib.sweep_idle(false, &mut plan);
    assert_eq!(plan.finish().len(), 0);
    assert_eq!(fib.pending_writes(), 0);
}

#[test]
fn a_released_id_means_nothing_and_nonsense_is_refused() {
    let mut fib = new_fib();
    fib.release_nexthop(1);
    assert!(fib.want_route(&fib_route(0, 1), None).unwrap_err().contains("nexthop 1 is not defined"));
    assert!(fib.want_route(&v1::FibRoute { address: vec![1, 2, 3], length: 8, nexthop_id: 2 }, None).is_err());
    assert!(fib.want_route(&v1::FibRoute { address: vec![1, 2, 3, 4], length: 33, nexthop_id: 2 }, None).is_err());
    let empty = v1::FibNexthop { id: 9, ..Default::default() };
    assert!(fib.define_nexthop(&empty).unwrap_err().contains("without a gateway"));
    assert_eq!(fib.pending_writes(), 0);
}

#[test]
fn a_route_takes_few_octets() {
    let mut fib = new_fib();
    for n in 0..200_000u32 {
        let address = (0x0b00_0000 + n * 256).to_be_bytes().to_vec();
        fib.want_route(&v1::FibRoute { address, length: 24, nexthop_id: 1 }, None).unwrap();
    }
    let per_route = fib.memory_bytes() as f64 / 200_000.0;
    assert!(per_route <= 12.0, "{per_route} octets per route");
}

#[test]
fn packed_routes_are_as_good_as_others() {
    let mut fib = new_fib();
    let mut batch = v1::FibBatch::default();
    batch.pack(("192.0.2.1".parse().unwrap(), 24, 1));
    batch.pack(("2001:db8::".parse().unwrap(), 32, 5));
    batch.packed().for_each(|route| fib.want_packed(route, None).unwrap());
    let mut same = new_fib();
    let route = |octets: &[u8], length, nexthop_id| v1::FibRoute { address: octets.to_vec(), length, nexthop_id };
    same.want_route(&route(&[192, 0, 2, 0], 24, 1), None).unwrap();
    let mut address = [0; 16];
    address[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
    same.want_route(&route(&address, 32, 5), None).unwrap();
    assert_eq!(fib.wanted, same.wanted);
    assert!(fib.want_packed(("192.0.2.0".parse().unwrap(), 33, 1), None).unwrap_err().contains("192.0.2.0/33"));
    assert!(fib.want_packed(("192.0.2.0".parse().unwrap(), 24, 99), None).unwrap_err().contains("99 is not defined"));
}
