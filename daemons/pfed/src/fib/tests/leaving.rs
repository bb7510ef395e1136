//! Which message has a group do without a failed gateway.

use holdfast_kernel::netlink::{
    BatchOutcome, Failure, NexthopContent, NexthopMember, NexthopObject, RESILIENT_BUCKETS, RouteTarget, WEIGHT_ALL,
    WEIGHT_NONE,
};

use super::backup::{ROUTES, meaning, protected_table, want_all, way};
use super::*;

const SHARED: u32 = 0x4900_0000;

fn by_link_1_then(n: u8) -> v1::FibNexthop {
    v1::FibNexthop { id: 11, backup: Some(gateway(n, 1)), ..definitions()[7].clone() }
}

fn group_of(model: &Model) -> (u32, u32) {
    let first = |object: &NexthopObject| match &object.content {
        NexthopContent::Resilient { members, .. } => Some((object.id, members[0].id)),
        _ => None,
    };
    model.objects.values().find_map(first).unwrap()
}

/// A second group has the same first member, as another version might make it, and its backup is by link 3.
fn shared_first_member() -> (Fib, Model) {
    let (_, mut model) = protected_table();
    let (_, first) = group_of(&model);
    let like = model.objects[&first].clone();
    let single = NexthopContent::Single { gateway: Some([10, 0, 3, 2].into()), interface_index: 3 };
    let members =
        [(first, WEIGHT_ALL), (SHARED, WEIGHT_NONE)].map(|(id, weight)| NexthopMember { id, weight }).to_vec();
    let pair = NexthopContent::Resilient { members, buckets: RESILIENT_BUCKETS };
    for (id, content) in [(SHARED, single), (SHARED + 1, pair)] {
        model.objects.insert(id, NexthopObject { id, content, ..like.clone() });
    }
    model.routes.insert(prefix(2 * ROUTES), RouteTarget::Nexthop(SHARED + 1));
    let mut fib = new_fib(&model);
    fib.define_nexthop(&by_link_1_then(3)).unwrap();
    read_everything(&mut fib, &model);
    assert_eq!(want_all(&mut fib, 8).routes, 0);
    let mut plan = Plan::default();
    fib.want_route(&fib_route(2 * ROUTES, 11), Some(&mut plan)).unwrap();
    fib.end_of_sync();
    assert_eq!((plan.routes, fib.pending_writes()), (0, 0));
    (fib, model)
}

/// What the word that gateway 1 fails has written, once that is done.
fn left(fib: &mut Fib, model: &mut Model) -> Vec<Memo> {
    let mut plan = Plan::default();
    fib.fail_gateways(&[gateway(1, 1)]).unwrap();
    fib.leave_failed_at_once(&mut plan);
    let planned = plan.finish();
    for planned in &planned {
        let outcome = model.execute(planned);
        assert_eq!(fib.finished(&planned.memos, &outcome).errors, 0);
    }
    check_sums(fib);
    assert_eq!((fib.present, fib.pending_writes()), (model.digests(), 0));
    planned.into_iter().flat_map(|planned| planned.memos).collect()
}

#[test]
fn a_member_that_groups_share_goes_once_for_all_of_them() {
    let (mut fib, mut model) = shared_first_member();
    let (group, first) = group_of(&model);
    let memos = left(&mut fib, &mut model);
    let [Memo::MemberRemoval { member, groups }] = memos.as_slice() else { panic!("{memos:?}") };
    assert_eq!(*member, first);
    assert!(groups.len() == 2 && [group, SHARED + 1].iter().all(|id| groups.contains(id)), "{groups:?}");
    assert_eq!(model.content(model.routes[&prefix(0)]), meaning(2));
    assert_eq!(model.content(model.routes[&prefix(2 * ROUTES)]), content_of(&single_by_link_3()).unwrap());
}

fn single_by_link_3() -> v1::FibNexthop {
    v1::FibNexthop { gateways: vec![gateway(3, 1)], ..definitions()[0].clone() }
}

#[test]
fn a_member_stays_where_a_group_has_nothing_else() {
    let (mut fib, mut model) = shared_first_member();
    let (group, first) = group_of(&model);
    // The second group's backup has no link any more: it loses that, and leads through the first alone.
    one_step(&Step::LinkLost(3), &mut fib, &mut model, &mut BTreeMap::new());
    let mut plan = Plan::default();
    fib.fail_gateways(&[gateway(1, 1)]).unwrap();
    fib.leave_failed_at_once(&mut plan);
    assert_eq!(plan.turned, 1);
    let planned = plan.finish();
    assert_eq!(planned[0].memos, [Memo::NexthopChange(group)]);
    assert_eq!(fib.finished(&planned[0].memos, &model.execute(&planned[0])).errors, 0);
    assert!(model.objects.contains_key(&first) && model.routes.contains_key(&prefix(2 * ROUTES)));
    assert_eq!(model.content(model.routes[&prefix(2 * ROUTES)]), meaning(1));
    check_sums(&mut fib);
    assert_eq!(fib.present, model.digests());
}

#[test]
fn a_member_stays_that_a_route_uses_by_itself() {
    let (_, mut model) = protected_table();
    let (group, first) = group_of(&model);
    model.routes.insert(prefix(2 * ROUTES), RouteTarget::Nexthop(first));
    let mut fib = new_fib(&model);
    read_everything(&mut fib, &model);
    want_all(&mut fib, 8);
    fib.want_route(&fib_route(2 * ROUTES, 1), None).unwrap();
    fib.end_of_sync();
    assert_eq!(left(&mut fib, &mut model), [Memo::NexthopChange(group)]);
    assert_eq!(model.content(model.routes[&prefix(2 * ROUTES)]), meaning(1));
}

#[test]
fn what_is_read_before_the_member_is_gone_is_no_news() {
    let (mut fib, mut model) = protected_table();
    let mut plan = Plan::default();
    fib.fail_gateways(&[gateway(1, 1)]).unwrap();
    fib.leave_failed_at_once(&mut plan);
    let planned = plan.finish();
    let (list, objects) = (model.list(), fib.nexthop_objects());
    assert!(fib.read_nexthops(&list, &model.up).undecided);
    assert!(list.iter().all(|object| fib.kernel_nexthop(object) == KernelChange::Known));
    assert_eq!((fib.pending_writes(), fib.nexthop_objects()), (0, objects));
    // The kernel has refused it: what it has is read, and it is tried once more.
    let failures = vec![Failure { index: 0, errno: libc::ENOMEM, detail: None }];
    let finished = fib.finished(&planned[0].memos, &BatchOutcome { failures, unknown: false });
    assert!(finished.read_again && finished.retry);
    read_everything(&mut fib, &model);
    assert_eq!(fib.pending_writes(), u64::from(ROUTES));
    assert!(matches!(left(&mut fib, &mut model).as_slice(), [Memo::MemberRemoval { .. }]));
    assert_eq!(way(&model), meaning(2));
    // It went meanwhile, with its link: what was to be had is there.
    let (mut fib, mut model) = protected_table();
    let mut plan = Plan::default();
    fib.fail_gateways(&[gateway(1, 1)]).unwrap();
    fib.leave_failed_at_once(&mut plan);
    let planned = plan.finish();
    model.lose_link(1);
    let finished = fib.finished(&planned[0].memos, &model.execute(&planned[0]));
    assert_eq!((finished.errors, finished.needless, finished.read_again), (0, 1, false));
    assert_eq!((way(&model), fib.pending_writes()), (meaning(2), 0));
}

/// Routes by gateway 1 alone, by 1 and 2, and by all three.
fn shared_among_several(restarts: bool) -> (Fib, Model) {
    let mut model = Model::default();
    let mut fib = new_fib(&model);
    let want = |fib: &mut Fib, model: &mut Model| {
        let mut plan = Plan::default();
        for (n, id) in [(0, 1), (2, 3), (4, 4)] {
            fib.want_route(&fib_route(n, id), Some(&mut plan)).unwrap();
        }
        fib.end_of_sync();
        let routes = plan.routes;
        assert!(execute(fib, model, plan));
        routes
    };
    assert_eq!(want(&mut fib, &mut model), 3);
    // One object of gateway 1 for its route, one of each gateway for both groups.
    assert_eq!(model.objects.len(), 1 + 3 + 2);
    if restarts {
        fib = new_fib(&model);
        read_everything(&mut fib, &model);
        assert_eq!(want(&mut fib, &mut model), 0);
    }
    (fib, model)
}

#[test]
fn a_gateway_leaves_all_groups_that_share_packets_with_one_message_and_its_own_routes_stay() {
    for restarts in [false, true] {
        let (mut fib, mut model) = shared_among_several(restarts);
        let memos = left(&mut fib, &mut model);
        assert!(matches!(&memos[..], [Memo::MemberRemoval { groups, .. }] if groups.len() == 2), "{memos:?}");
        assert_eq!(model.content(model.routes[&prefix(0)]), meaning(1));
        assert_eq!(model.content(model.routes[&prefix(2)]), meaning(2));
        // It answers: one member anew, and both groups.
        assert!(answer(&mut fib, &[gateway(1, 1)]));
        let mut plan = Plan::default();
        fib.put_right(&mut plan);
        let planned = plan.finish();
        let memos: Vec<&Memo> = planned.iter().flat_map(|planned| &planned.memos).collect();
        assert!(matches!(memos[..], [Memo::Nexthop(_), Memo::NexthopChange(_), Memo::NexthopChange(_)]), "{memos:?}");
        assert!(planned.iter().all(|planned| fib.finished(&planned.memos, &model.execute(planned)).errors == 0));
        check_sums(&mut fib);
        assert_eq!((fib.present, fib.pending_writes()), (model.digests(), 0));
        assert_eq!(model.content(model.routes[&prefix(4)]), meaning(4));
    }
}

#[test]
fn a_group_that_would_lose_all_its_members_keeps_them() {
    let (mut fib, mut model) = shared_among_several(false);
    let mut plan = Plan::default();
    fib.fail_gateways(&[gateway(1, 1), gateway(2, 1)]).unwrap();
    fib.leave_failed(&mut plan);
    let planned = plan.finish();
    assert!(matches!(planned[0].memos[..], [Memo::NexthopChange(_)]), "{planned:?}");
    assert_eq!(fib.finished(&planned[0].memos, &model.execute(&planned[0])).errors, 0);
    check_sums(&mut fib);
    assert_eq!(fib.present, model.digests());
    assert_eq!(model.content(model.routes[&prefix(2)]), meaning(3));
    let by_link_3 = content_of(&single_by_link_3()).unwrap();
    assert_eq!(model.content(model.routes[&prefix(4)]), by_link_3);
}

#[test]
fn a_group_whose_members_routes_use_is_changed_and_left_so() {
    let (_, mut model) = shared_among_several(false);
    let alone = model.routes[&prefix(0)];
    let RouteTarget::Nexthop(alone) = alone else { panic!("{alone:?}") };
    let to_it = |object: &&NexthopObject| matches!(object.content, NexthopContent::Single { interface_index: 1, .. });
    let own: Vec<u32> = model.objects.values().filter(to_it).map(|object| object.id).collect();
    // As another version would have made it.
    for object in model.objects.values_mut() {
        if let NexthopContent::Group(members) = &mut object.content {
            members.iter_mut().filter(|member| own.contains(&member.id)).for_each(|member| member.id = alone);
        }
    }
    let mut fib = new_fib(&model);
    read_everything(&mut fib, &model);
    for (n, id) in [(0, 1), (2, 3), (4, 4)] {
        fib.want_route(&fib_route(n, id), None).unwrap();
    }
    fib.end_of_sync();
    assert_eq!(fib.pending_writes(), 0);
    let memos = left(&mut fib, &mut model);
    assert!(matches!(memos[..], [Memo::NexthopChange(_), Memo::NexthopChange(_)]), "{memos:?}");
    assert_eq!(model.content(model.routes[&prefix(0)]), meaning(1));
}
