//! The table against a model of the kernel that refuses, forgets and is meddled with: whatever happens, both agree in the
//! end, and every sum is what it would be if it were made anew.

mod backup;
mod leaving;
mod model;

use std::collections::BTreeMap;

use holdfast_kernel::netlink::{PROTOCOL_HOLDFAST, ROUTE_METRIC, Route, TABLE_MAIN};
use holdfast_proto::v1::{self, fib_nexthop::Kind};
use holdfast_rib::{ForwardingNexthop, Gateway};
use ipnet::IpNet;
use proptest::prelude::*;

use super::desired::content_of;
use super::*;
use model::Model;

/// The gateway on link `n`.
fn gateway(n: u8, weight: u32) -> v1::FibGateway {
    v1::FibGateway { address: vec![10, 0, n, 2], interface_index: n.into(), weight }
}

/// The IPv6 gateway on link `n`.
fn gateway6(n: u8) -> v1::FibGateway {
    let address = format!("2001:db8:{n}::2").parse::<std::net::Ipv6Addr>().unwrap().octets().to_vec();
    v1::FibGateway { address, interface_index: n.into(), weight: 1 }
}

/// The nexthops that the tests' rpd knows; 1 and 2 are single, 3 and 4 groups, 5 and 6 special, 7 is on link; 8 (1, then 2),
/// 9 (2, then 3) and 10 (the same, IPv6) have backups.
fn definitions() -> Vec<v1::FibNexthop> {
    let unicast = |id, gateways| v1::FibNexthop { id, kind: Kind::Unicast.into(), gateways, backup: None };
    let protected = |id, primary, backup| v1::FibNexthop { backup: Some(backup), ..unicast(id, vec![primary]) };
    let special = |id, kind: Kind| v1::FibNexthop { id, kind: kind.into(), ..Default::default() };
    let on_link = v1::FibGateway { address: Vec::new(), interface_index: 1, weight: 0 };
    vec![
        unicast(1, vec![gateway(1, 1)]),
        unicast(2, vec![gateway(2, 7)]),
        unicast(3, vec![gateway(2, 3), gateway(1, 1)]),
        unicast(4, vec![gateway(3, 1), gateway(1, 1), gateway(2, 1)]),
        special(5, Kind::Discard),
        special(6, Kind::Reject),
        unicast(7, vec![on_link]),
        protected(8, gateway(1, 1), gateway(2, 1)),
        protected(9, gateway(2, 5), gateway(3, 9)),
        protected(10, gateway6(2), gateway6(3)),
    ]
}

const NEXTHOPS: u32 = 10;

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

fn new_fib(model: &Model) -> Fib {
    let mut fib = Fib::default();
    fib.begin_batch(&v1::FibBatch { tells_answers: true, ..Default::default() }, true);
    model.up.iter().for_each(|index| assert!(fib.set_link(*index, true)));
    fib.begin_stream();
    definitions().iter().for_each(|definition| fib.define_nexthop(definition).unwrap());
    fib
}

fn read_everything(fib: &mut Fib, model: &Model) {
    fib.read_nexthops(&model.list(), &model.up);
    fib.begin_reading_routes();
    model.routes.iter().for_each(|(prefix, target)| fib.read_route(prefix, *target));
    fib.end_reading_routes();
}

/// What the agent does with a plan. True where nothing was refused.
fn execute(fib: &mut Fib, model: &mut Model, plan: Plan) -> bool {
    let mut clean = true;
    for planned in plan.finish() {
        assert_eq!(planned.batch.len(), planned.memos.len());
        let outcome = model.execute(&planned);
        let finished = fib.finished(&planned.memos, &outcome);
        clean &= finished.errors == 0;
        if finished.read_again {
            read_everything(fib, model);
        }
    }
    clean
}

/// Compares both tables, a few rows at a time, and writes in order; what was planned.
fn compare(fib: &mut Fib) -> Plan {
    let (mut plan, mut walk) = (Plan::default(), Walk::in_order());
    while !fib.reconcile(&mut walk, 3, usize::MAX, &mut plan) {}
    plan
}

/// These answer again. True where one had failed.
fn answer(fib: &mut Fib, gateways: &[v1::FibGateway]) -> bool {
    fib.hear_answers(&v1::FibBatch { answering_gateways: gateways.to_vec(), ..Default::default() })
}

/// Until nothing is left to write.
fn settle(fib: &mut Fib, model: &mut Model) {
    model.bad_luck = 0;
    for _ in 0..10 {
        let mut plan = Plan::default();
        fib.try_refused(&mut plan);
        execute(fib, model, plan);
        let plan = compare(fib);
        if execute(fib, model, plan) && fib.pending_writes() == 0 {
            return;
        }
    }
    panic!("not settled: {} pending", fib.pending_writes());
}

fn check(fib: &mut Fib, model: &Model, wanted: &BTreeMap<IpNet, u32>) {
    assert_eq!(fib.present, model.digests(), "the kernel's digest");
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

/// Whether the gateway on a link has failed.
fn fails_now(fib: &Fib, n: u8) -> bool {
    fib.failed_gateways().iter().any(|gateway| gateway.interface_index == u32::from(n))
}

/// Every route leads where it is to lead while some gateways fail.
fn check_ways(fib: &Fib, model: &Model, wanted: &BTreeMap<IpNet, u32>) {
    let answers = |gateway: &&Gateway| !fails_now(fib, gateway.interface_index as u8) || gateway.address.is_none();
    assert_eq!(model.routes.len(), wanted.len());
    for (prefix, id) in wanted {
        let desired = content_of(&definitions()[*id as usize - 1]).unwrap();
        let good: Vec<Gateway> = desired.gateways().iter().filter(answers).copied().collect();
        let expected = match (desired.backup(), good.len()) {
            (Some(backup), 0) => desired::normalize(vec![*backup]),
            (None, 1..) => desired::normalize(good),
            _ => desired,
        };
        assert_eq!(model.content(model.routes[prefix]), expected, "{prefix}");
    }
}

#[derive(Debug, Clone)]
enum Step {
    Want { n: u8, id: u32 },
    RouteDeleted(u8),
    ObjectDeleted(u8),
    ObjectMoved { n: u8, to: u8, takes_it: bool },
    LinkLost(u32),
    LinkBack(u32),
    GatewayFailed(u8),
    GatewayAnswers(u8),
    PutRight,
    TryRefused,
    Reseat,
    Restart,
    Sweep,
    Reconcile,
    BadLuck(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..24u8, 0..=NEXTHOPS).prop_map(|(n, id)| Step::Want { n, id }),
        2 => (0..24u8).prop_map(Step::RouteDeleted),
        1 => any::<u8>().prop_map(Step::ObjectDeleted),
        1 => (any::<u8>(), 1..=3u8, any::<bool>()).prop_map(|(n, to, takes_it)| Step::ObjectMoved { n, to, takes_it }),
        1 => (1..=3u32).prop_map(Step::LinkLost),
        2 => (1..=3u32).prop_map(Step::LinkBack),
        2 => (1..=3u8).prop_map(Step::GatewayFailed),
        2 => (1..=3u8).prop_map(Step::GatewayAnswers),
        1 => Just(Step::PutRight),
        1 => Just(Step::TryRefused),
        1 => Just(Step::Reseat),
        1 => Just(Step::Restart),
        1 => Just(Step::Sweep),
        1 => Just(Step::Reconcile),
        1 => (0..6u32).prop_map(Step::BadLuck),
    ]
}

/// An IPv6 route cannot use IPv4 gateways; the kernel would refuse, and so would never settle.
fn is_possible(n: u8, id: u32) -> bool {
    n.is_multiple_of(2) || !matches!(id, 1..=4 | 8 | 9)
}

fn one_step(step: &Step, fib: &mut Fib, model: &mut Model, wanted: &mut BTreeMap<IpNet, u32>) -> Plan {
    let mut plan = Plan::default();
    match step {
        Step::Want { n, id } if !is_possible(*n, *id) => {}
        Step::Want { n, id } => {
            let _ = match id {
                0 => wanted.remove(&prefix(*n)),
                id => wanted.insert(prefix(*n), *id),
            };
            let done = fib.want_route(&fib_route(*n, *id), Some(&mut plan));
            assert!(done.is_ok() || model.up.len() < 3, "{done:?}");
        }
        Step::RouteDeleted(n) => {
            if let Some(target) = model.routes.remove(&prefix(*n)) {
                let (prefix, protocol, table, metric) = (prefix(*n), PROTOCOL_HOLDFAST, TABLE_MAIN, ROUTE_METRIC);
                fib.kernel_route_removed(&Route { prefix, target, protocol, table, metric });
            }
        }
        Step::ObjectDeleted(n) => {
            let ids: Vec<u32> = model.objects.keys().copied().collect();
            if let Some(id) = ids.get(usize::from(*n) % ids.len().max(1)) {
                model.drop_object(*id);
                fib.read_nexthops(&model.list(), &model.up);
            }
        }
        Step::ObjectMoved { n, to, takes_it } => {
            if let Some(object) = model.move_single((*n).into(), *to, *takes_it) {
                fib.kernel_nexthop(&object);
                if *takes_it {
                    // Its number is his now, and what used it: that is read anew.
                    model.drop_object(object.id);
                }
                if fib.take_moved_members() {
                    fib.read_nexthops(&model.list(), &model.up);
                }
            }
        }
        Step::LinkLost(index) => {
            model.lose_link(*index);
            fib.set_link(*index, false);
            let read = fib.read_nexthops(&model.list(), &model.up);
            assert_eq!(read.lost, 0, "a link's objects are not somebody's damage");
        }
        Step::LinkBack(index) => {
            model.up.insert(*index);
            fib.set_link(*index, true);
        }
        Step::GatewayFailed(n) => {
            fib.fail_gateways(&[gateway(*n, 1), gateway6(*n)]).unwrap();
            fib.leave_failed(&mut plan);
        }
        Step::GatewayAnswers(n) => drop(answer(fib, &[gateway(*n, 1), gateway6(*n)])),
        Step::PutRight => fib.put_right(&mut plan),
        Step::TryRefused => fib.try_refused(&mut plan),
        Step::Reseat => drop(fib.reseat(&mut plan)),
        Step::Restart => {
            let failed: Vec<u8> = (1..=3).filter(|n| fails_now(fib, *n)).collect();
            *fib = new_fib(model);
            for n in failed {
                fib.fail_gateways(&[gateway(n, 1), gateway6(n)]).unwrap();
            }
            read_everything(fib, model);
            for n in 0..24 {
                if let Some(id) = wanted.get(&prefix(n)) {
                    let done = fib.want_route(&fib_route(n, *id), Some(&mut plan));
                    assert!(done.is_ok() || model.up.len() < 3, "{done:?}");
                }
            }
            fib.end_of_sync();
        }
        Step::Sweep => fib.sweep_idle(false, &mut plan),
        Step::Reconcile => plan = compare(fib),
        Step::BadLuck(one_in) => model.bad_luck = *one_in,
    }
    plan
}

fn run(steps: &[Step]) {
    let mut model = Model::default();
    let mut fib = new_fib(&model);
    let mut wanted: BTreeMap<IpNet, u32> = BTreeMap::new();
    fib.end_of_sync();
    for step in steps {
        let plan = one_step(step, &mut fib, &mut model, &mut wanted);
        execute(&mut fib, &mut model, plan);
        check_sums(&mut fib);
        assert_eq!(fib.present, model.digests(), "the kernel's digest after {step:?}");
        assert_eq!(fib.has_differences(), fib.pending_writes() > 0);
    }
    // Every link is up: nothing leads through who fails that has another way, whatever was desired when.
    for index in 1..=3 {
        one_step(&Step::LinkBack(index), &mut fib, &mut model, &mut wanted);
    }
    settle(&mut fib, &mut model);
    check_ways(&fib, &model, &wanted);
    assert_eq!(fib.present, fib.wanted);
    // Every gateway answers.
    for n in 1..=3 {
        one_step(&Step::GatewayAnswers(n), &mut fib, &mut model, &mut wanted);
    }
    let mut plan = Plan::default();
    fib.put_right(&mut plan);
    assert!(execute(&mut fib, &mut model, plan));
    settle(&mut fib, &mut model);
    check(&mut fib, &model, &wanted);
    let mut plan = Plan::default();
    fib.reseat(&mut plan);
    assert!(execute(&mut fib, &mut model, plan));
    check(&mut fib, &model, &wanted);
    assert!(model.groups_turn_first(), "{model:?}");
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
    let mut model = Model::default();
    let mut fib = new_fib(&model);
    let mut plan = Plan::default();
    for n in (0..24).step_by(2) {
        fib.want_route(&fib_route(n, 1 + u32::from(n) % NEXTHOPS), Some(&mut plan)).unwrap();
    }
    fib.end_of_sync();
    assert!(execute(&mut fib, &mut model, plan));
    let mut fib = new_fib(&model);
    read_everything(&mut fib, &model);
    let mut plan = Plan::default();
    for n in (0..24).step_by(2) {
        fib.want_route(&fib_route(n, 1 + u32::from(n) % NEXTHOPS), Some(&mut plan)).unwrap();
    }
    fib.end_of_sync();
    assert!(fib.reconcile(&mut Walk::default(), u32::MAX, usize::MAX, &mut plan));
    fib.sweep_idle(false, &mut plan);
    assert_eq!(plan.finish().len(), 0);
    assert_eq!(fib.pending_writes(), 0);
}

#[test]
fn a_released_id_means_nothing_and_nonsense_is_refused() {
    let mut fib = new_fib(&Model::default());
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
    let mut fib = new_fib(&Model::default());
    for n in 0..200_000u32 {
        let address = (0x0b00_0000 + n * 256).to_be_bytes().to_vec();
        fib.want_route(&v1::FibRoute { address, length: 24, nexthop_id: 1 }, None).unwrap();
    }
    let per_route = fib.memory_bytes() as f64 / 200_000.0;
    assert!(per_route <= 12.0, "{per_route} octets per route");
}

#[test]
fn packed_routes_are_as_good_as_others() {
    let mut fib = new_fib(&Model::default());
    let mut batch = v1::FibBatch::default();
    batch.pack(("192.0.2.1".parse().unwrap(), 24, 1));
    batch.pack(("2001:db8::".parse().unwrap(), 32, 5));
    batch.packed().for_each(|route| fib.want_packed(route, None).unwrap());
    let mut same = new_fib(&Model::default());
    let route = |octets: &[u8], length, nexthop_id| v1::FibRoute { address: octets.to_vec(), length, nexthop_id };
    same.want_route(&route(&[192, 0, 2, 0], 24, 1), None).unwrap();
    let mut address = [0; 16];
    address[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
    same.want_route(&route(&address, 32, 5), None).unwrap();
    assert_eq!(fib.wanted, same.wanted);
    assert!(fib.want_packed(("192.0.2.0".parse().unwrap(), 33, 1), None).unwrap_err().contains("192.0.2.0/33"));
    assert!(fib.want_packed(("192.0.2.0".parse().unwrap(), 24, 99), None).unwrap_err().contains("99 is not defined"));
}

#[test]
fn what_is_missing_of_a_table_is_written_level_by_level() {
    let mut fib = new_fib(&Model::default());
    // Distinct, and in no order.
    let addresses = (1..=300u32).map(|n| n.wrapping_mul(0x9e37_79b9) & 0xdfff_ff00).collect::<Vec<_>>();
    for address in &addresses {
        let route = v1::FibRoute { address: address.to_be_bytes().to_vec(), length: 24, nexthop_id: 1 };
        fib.want_route(&route, None).unwrap();
    }
    fib.end_of_sync();
    let mut expected = vec![0; addresses.len()];
    let keys = addresses.iter().map(|address| u64::from(*address) << 32).collect();
    let mut order = holdfast_rib::LevelByLevel::new(keys, Vec::new());
    while order.step(|place, key| expected[place] = (key >> 32) as u32) {}
    expected.reverse();
    let planned = compare(&mut fib).finish();
    let routes = planned.iter().flat_map(|planned| &planned.memos).filter_map(|memo| match memo {
        Memo::Route { prefix: IpNet::V4(net), .. } => Some(net.network().to_bits()),
        _ => None,
    });
    assert_eq!(routes.collect::<Vec<_>>(), expected);
    assert_eq!(compare(&mut fib).routes, 0);
}
