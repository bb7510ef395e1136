//! Next hops with a backup: what is written, and above all what is not.

use holdfast_kernel::netlink::{BatchOutcome, Failure, NexthopContent};

use super::*;

pub(super) const ROUTES: u8 = 20;

/// Twenty IPv4 routes with one next hop.
pub(super) fn want_all(fib: &mut Fib, id: u32) -> Plan {
    let mut plan = Plan::default();
    for n in 0..ROUTES {
        fib.want_route(&fib_route(n * 2, id), Some(&mut plan)).unwrap();
    }
    plan
}

/// A table of routes that go through link 1, and through link 2 when that is lost.
pub(super) fn protected_table() -> (Fib, Model) {
    let mut model = Model::default();
    let mut fib = new_fib(&model);
    let plan = want_all(&mut fib, 8);
    fib.end_of_sync();
    assert!(execute(&mut fib, &mut model, plan));
    assert_eq!((fib.pending_writes(), model.objects.len(), model.routes.len()), (0, 3, usize::from(ROUTES)));
    (fib, model)
}

fn lose_link(fib: &mut Fib, model: &mut Model, index: u32) {
    one_step(&Step::LinkLost(index), fib, model, &mut BTreeMap::new());
}

/// What the agent does at once with the word that gateways fail.
pub(super) fn fails(fib: &mut Fib, model: &mut Model, gateways: &[v1::FibGateway]) {
    let mut plan = Plan::default();
    fib.fail_gateways(gateways).unwrap();
    fib.leave_failed(&mut plan);
    assert!(execute(fib, model, plan));
    check_sums(fib);
}

pub(super) fn messages(plan: Plan) -> usize {
    plan.finish().iter().map(|planned| planned.memos.len()).sum()
}

/// Where all routes of the model lead, which is one and the same.
pub(super) fn way(model: &Model) -> ForwardingNexthop {
    assert_eq!(model.routes.len(), usize::from(ROUTES));
    let mut ways: Vec<ForwardingNexthop> = model.routes.values().map(|target| model.content(*target)).collect();
    ways.dedup();
    assert_eq!(ways.len(), 1, "{ways:?}");
    ways.remove(0)
}

pub(super) fn meaning(id: u32) -> ForwardingNexthop {
    content_of(&definitions()[id as usize - 1]).unwrap()
}

#[test]
fn a_lost_link_costs_no_write_whichever_of_both_it_is() {
    for (link, left) in [(1, 2), (2, 1)] {
        let (mut fib, mut model) = protected_table();
        lose_link(&mut fib, &mut model, link);
        assert_eq!(way(&model), meaning(left));
        check_sums(&mut fib);
        assert_eq!(fib.present, model.digests());
        // Before rpd knows: nothing agrees, and nothing is to be done.
        assert_eq!(fib.pending_writes(), u64::from(ROUTES));
        let plan = compare(&mut fib);
        assert_eq!((plan.blocked, messages(plan)), (u64::from(ROUTES), 0));
        assert_eq!(messages(want_all(&mut fib, left)), 0);
        assert_eq!(fib.pending_writes(), 0);
        // A process that starts now sees it the same way.
        let mut fib = new_fib(&model);
        read_everything(&mut fib, &model);
        assert_eq!(messages(want_all(&mut fib, left)), 0);
        fib.end_of_sync();
        assert_eq!(fib.pending_writes(), 0);
        // With the last link the group goes, and its routes with it.
        lose_link(&mut fib, &mut model, left);
        assert_eq!((model.routes.len(), fib.pending_writes()), (0, u64::from(ROUTES)));
        check_sums(&mut fib);
    }
}

#[test]
fn a_route_is_written_with_what_can_be_had_and_anew_when_the_link_is_back() {
    for (link, left) in [(1, 2), (2, 1)] {
        let mut model = Model::default();
        let mut fib = new_fib(&model);
        lose_link(&mut fib, &mut model, link);
        let plan = want_all(&mut fib, 8);
        fib.end_of_sync();
        assert!(execute(&mut fib, &mut model, plan));
        assert_eq!(way(&model), meaning(left));
        assert_eq!(fib.pending_writes(), u64::from(ROUTES), "it is not what is desired");
        assert_eq!(messages(compare(&mut fib)), 0);
        one_step(&Step::LinkBack(link), &mut fib, &mut model, &mut BTreeMap::new());
        settle(&mut fib, &mut model);
        assert_eq!(way(&model), meaning(8));
    }
    // Without either there is nothing to be had.
    let mut model = Model::default();
    let mut fib = new_fib(&model);
    lose_link(&mut fib, &mut model, 1);
    lose_link(&mut fib, &mut model, 2);
    let mut plan = Plan::default();
    let refused = fib.want_route(&fib_route(0, 8), Some(&mut plan)).unwrap_err();
    assert!(refused.contains("interface 1 is not up"), "{refused}");
    assert_eq!(messages(plan), 0);
}

#[test]
fn a_gateway_that_does_not_answer_is_left_with_one_message_and_not_gone_back_to() {
    let (mut fib, mut model) = protected_table();
    let mut plan = Plan::default();
    fib.fail_gateways(&[gateway(1, 1)]).unwrap();
    fib.leave_failed(&mut plan);
    assert_eq!(plan.turned, 1);
    let planned = plan.finish();
    assert!(planned.len() == 1 && matches!(planned[0].memos[..], [Memo::MemberRemoval { .. }]), "{planned:?}");
    // The kernel's word of before is no news while ours is on its way.
    let read = fib.read_nexthops(&model.list(), &model.up);
    assert!(read.undecided && read.lost == 0);
    let outcome = model.execute(&planned[0]);
    assert_eq!(fib.finished(&planned[0].memos, &outcome).errors, 0);
    assert_eq!(way(&model), meaning(2));
    // That is as it has to be, whatever is compared.
    assert_eq!((fib.pending_writes(), messages(compare(&mut fib))), (0, 0));
    // What was decided before the loss and is told after it does not go back either, and what is decided then costs nothing.
    assert_eq!(messages(want_all(&mut fib, 8)), 0);
    assert_eq!(messages(want_all(&mut fib, 2)), 0);
    assert_eq!(fib.pending_writes(), 0);
    // A new route by the same way is written with what is left of it.
    let mut plan = Plan::default();
    fib.want_route(&fib_route(2 * ROUTES, 8), Some(&mut plan)).unwrap();
    assert!(execute(&mut fib, &mut model, plan));
    assert_eq!(model.content(model.routes[&prefix(2 * ROUTES)]), meaning(2));
    let mut plan = Plan::default();
    fib.want_route(&fib_route(2 * ROUTES, 0), Some(&mut plan)).unwrap();
    assert!(execute(&mut fib, &mut model, plan));
    // It answers, and then routes are decided anew.
    answer(&mut fib, &[gateway(1, 1)]);
    assert_eq!(messages(compare(&mut fib)), 0);
    let plan = want_all(&mut fib, 8);
    assert!(execute(&mut fib, &mut model, plan));
    assert_eq!((way(&model), fib.pending_writes()), (meaning(8), 0));
}

/// What the agent does after a batch that says who answers. The messages that it costs.
pub(super) fn answers(fib: &mut Fib, model: &mut Model, gateways: &[v1::FibGateway]) -> usize {
    assert!(answer(fib, gateways));
    let mut plan = Plan::default();
    fib.leave_failed(&mut plan);
    fib.put_right(&mut plan);
    let planned = plan.finish();
    assert!(planned.iter().flat_map(|planned| &planned.memos).all(|memo| !matches!(memo, Memo::Route { .. })));
    let mut sent = 0;
    for planned in &planned {
        sent += planned.memos.len();
        let outcome = model.execute(planned);
        assert_eq!(fib.finished(&planned.memos, &outcome).errors, 0);
    }
    check_sums(fib);
    sent
}

#[test]
fn routes_that_nobody_decides_anew_are_given_back_their_gateway_with_one_message() {
    for restarts in [false, true] {
        let (mut fib, mut model) = protected_table();
        fails(&mut fib, &mut model, &[gateway(1, 1)]);
        assert_eq!((way(&model), fib.pending_writes()), (meaning(2), 0));
        assert_eq!(fib.present, fib.wanted);
        if restarts {
            // Who starts in between, and is told who fails, finds everything in order.
            fib = new_fib(&model);
            fib.fail_gateways(&[gateway(1, 1)]).unwrap();
            read_everything(&mut fib, &model);
            assert_eq!(messages(want_all(&mut fib, 8)), 0);
            fib.end_of_sync();
            assert_eq!((fib.pending_writes(), messages(compare(&mut fib))), (0, 0));
            let mut plan = Plan::default();
            fib.put_right(&mut plan);
            assert_eq!(messages(plan), 0);
        }
        // The first member anew, and the group.
        assert_eq!(answers(&mut fib, &mut model, &[gateway(1, 1)]), 2);
        assert_eq!((way(&model), fib.pending_writes(), fib.present), (meaning(8), 0, model.digests()));
        assert!(model.groups_turn_first());
        // Again, and the link is lost this time.
        fails(&mut fib, &mut model, &[gateway(1, 1)]);
        lose_link(&mut fib, &mut model, 1);
        assert_eq!((way(&model), fib.pending_writes()), (meaning(2), 0));
        one_step(&Step::LinkBack(1), &mut fib, &mut model, &mut BTreeMap::new());
        assert_eq!((fib.pending_writes(), messages(compare(&mut fib))), (0, 0), "its link is up, and it fails still");
        assert_eq!(answers(&mut fib, &mut model, &[gateway(1, 1)]), 2);
        assert_eq!((way(&model), fib.pending_writes()), (meaning(8), 0));
    }
}

#[test]
fn a_group_of_which_some_routes_were_decided_anew_goes_back_route_by_route() {
    let (mut fib, mut model) = protected_table();
    fails(&mut fib, &mut model, &[gateway(1, 1)]);
    fib.want_route(&fib_route(0, 2), Some(&mut Plan::default())).unwrap();
    assert_eq!(answers(&mut fib, &mut model, &[gateway(1, 1)]), 0);
    assert_eq!(way(&model), meaning(2));
    let plan = compare(&mut fib);
    assert_eq!(plan.routes, u64::from(ROUTES) - 1);
    assert!(execute(&mut fib, &mut model, plan));
    assert_eq!(model.content(model.routes[&prefix(0)]), meaning(2));
    assert_eq!(model.content(model.routes[&prefix(2)]), meaning(8));
    assert_eq!(fib.pending_writes(), 0);
}

#[test]
fn a_group_that_the_kernel_refuses_to_change_is_left_as_it_is_and_its_routes_are_written() {
    let (mut fib, mut model) = protected_table();
    fails(&mut fib, &mut model, &[gateway(1, 1)]);
    answer(&mut fib, &[gateway(1, 1)]);
    let mut plan = Plan::default();
    fib.put_right(&mut plan);
    for planned in plan.finish() {
        let refuse = |(index, memo): (usize, &Memo)| {
            matches!(memo, Memo::NexthopChange(_)).then_some(Failure { index, errno: libc::EINVAL, detail: None })
        };
        let failures = planned.memos.iter().enumerate().filter_map(refuse).collect();
        let outcome = BatchOutcome { failures, unknown: false };
        assert!(fib.finished(&planned.memos, &outcome).read_again);
    }
    read_everything(&mut fib, &model);
    fails(&mut fib, &mut model, &[gateway(3, 1)]);
    answer(&mut fib, &[gateway(3, 1)]);
    let mut plan = Plan::default();
    fib.put_right(&mut plan);
    assert_eq!(messages(plan), 0, "not again");
    settle(&mut fib, &mut model);
    assert_eq!((way(&model), fib.pending_writes()), (meaning(8), 0));
}

#[test]
fn what_leads_nowhere_else_stays_as_it_is() {
    for id in [1, 7, 5] {
        let mut model = Model::default();
        let mut fib = new_fib(&model);
        let plan = want_all(&mut fib, id);
        fib.end_of_sync();
        assert!(execute(&mut fib, &mut model, plan));
        fails(&mut fib, &mut model, &[gateway(1, 1), gateway(2, 1)]);
        assert_eq!((way(&model), fib.pending_writes(), messages(compare(&mut fib))), (meaning(id), 0, 0));
    }
    // Nor is anything turned to a backup that has no link: what fails is better than nothing.
    let (mut fib, mut model) = protected_table();
    lose_link(&mut fib, &mut model, 2);
    fails(&mut fib, &mut model, &[gateway(1, 1)]);
    assert_eq!(way(&model), meaning(1));
    one_step(&Step::LinkBack(2), &mut fib, &mut model, &mut BTreeMap::new());
    settle(&mut fib, &mut model);
    assert_eq!(way(&model), meaning(2));
}

#[test]
fn the_set_of_those_that_fail_is_the_senders_and_has_a_bound() {
    let mut fib = new_fib(&Model::default());
    let numbered = |n: u32| v1::FibGateway { address: n.to_be_bytes().to_vec(), interface_index: 1, weight: 1 };
    let most = crate::limits::FAILED_GATEWAYS_MAX as u32;
    let all: Vec<v1::FibGateway> = (0..most).map(numbered).collect();
    fib.fail_gateways(&all).unwrap();
    assert!(fib.fail_gateways(&[numbered(most)]).unwrap_err().contains("more than 1024"));
    fib.fail_gateways(&all[..5]).unwrap();
    assert_eq!(fib.failed_gateways().len(), all.len());
    // Another stream of a sender that tells of answers: what is known holds until that one says that it has named all.
    let first = v1::FibBatch { tells_answers: true, ..Default::default() };
    fib.begin_stream();
    fib.begin_batch(&first, true);
    assert!(!fib.hear_answers(&first));
    assert_eq!(fib.failed_gateways().len(), all.len());
    let whole = v1::FibBatch { names_all_failed: true, failed_gateways: all[7..9].to_vec(), ..Default::default() };
    fib.begin_batch(&whole, false);
    fib.fail_gateways(&whole.failed_gateways).unwrap();
    assert!(fib.hear_answers(&whole));
    assert_eq!(fib.failed_gateways().len(), 2);
    assert!(!fib.hear_answers(&whole), "nobody else");
    // An older sender never would say so.
    fib.begin_stream();
    fib.begin_batch(&v1::FibBatch::default(), true);
    assert_eq!(fib.failed_gateways(), []);
}

#[test]
fn a_word_that_is_heard_ahead_of_its_batch_outlives_older_answers() {
    let mut fib = new_fib(&Model::default());
    let failed_gateways = vec![gateway(1, 1)];
    fib.begin_batch(&v1::FibBatch::default(), false);
    fib.fail_gateways_ahead(&failed_gateways, 2).unwrap();
    assert!(fails_now(&fib, 1));
    // Between the two there is what was said before: that it answers, and that there are no others.
    let answers =
        v1::FibBatch { answering_gateways: failed_gateways.clone(), names_all_failed: true, ..Default::default() };
    fib.begin_batch(&answers, false);
    assert!(!fib.hear_answers(&answers) && fails_now(&fib, 1));
    let own = v1::FibBatch { failed_gateways: failed_gateways.clone(), ..Default::default() };
    fib.begin_batch(&own, false);
    fib.fail_gateways(&own.failed_gateways).unwrap();
    assert!(!fib.hear_answers(&own) && fails_now(&fib, 1));
    fib.begin_batch(&answers, false);
    assert!(fib.hear_answers(&answers) && !fails_now(&fib, 1));
    // What another stream says does not count as older.
    fib.fail_gateways_ahead(&failed_gateways, 20).unwrap();
    fib.forget_what_was_ahead();
    fib.begin_stream();
    let first = v1::FibBatch { tells_answers: true, names_all_failed: true, ..Default::default() };
    fib.begin_batch(&first, true);
    assert!(fib.hear_answers(&first) && !fails_now(&fib, 1));
}

#[test]
fn what_the_kernel_does_not_have_yet_is_not_overtaken() {
    let mut model = Model::default();
    let mut fib = new_fib(&model);
    let making = want_all(&mut fib, 8);
    fib.end_of_sync();
    fib.fail_gateways(&[gateway(1, 1)]).unwrap();
    let mut at_once = Plan::default();
    fib.leave_failed_at_once(&mut at_once);
    assert_eq!(messages(at_once), 0, "its group is on its way");
    assert!(execute(&mut fib, &mut model, making));
    let mut plan = Plan::default();
    fib.leave_failed_at_once(&mut plan);
    assert_eq!(plan.turned, 1);
    // Before the answer to that nothing more of it overtakes.
    answer(&mut fib, &[gateway(1, 1)]);
    fib.fail_gateways(&[gateway(2, 1)]).unwrap();
    let mut second = Plan::default();
    fib.leave_failed_at_once(&mut second);
    assert_eq!(messages(second), 0);
    assert!(execute(&mut fib, &mut model, plan));
    settle(&mut fib, &mut model);
}

#[test]
fn by_the_word_of_an_older_sender_a_gateway_fails_until_a_later_batch_desires_a_route_through_it() {
    let (mut fib, mut model) = protected_table();
    fib.begin_batch(&v1::FibBatch::default(), true);
    fails(&mut fib, &mut model, &[gateway(1, 1)]);
    assert_eq!(messages(want_all(&mut fib, 8)), 0, "of the same batch");
    fib.begin_batch(&v1::FibBatch::default(), false);
    assert_eq!(messages(want_all(&mut fib, 2)), 0);
    assert_eq!(fib.failed_gateways().len(), 1);
    fib.begin_batch(&v1::FibBatch::default(), false);
    let plan = want_all(&mut fib, 8);
    assert_eq!(plan.routes, u64::from(ROUTES));
    assert!(execute(&mut fib, &mut model, plan));
    assert_eq!((way(&model), fib.pending_writes(), fib.failed_gateways().len()), (meaning(8), 0, 0));
}

#[test]
fn of_several_ways_those_that_do_not_answer_are_left_out() {
    for (id, failed, left) in [(3, 1, 2), (3, 2, 1)] {
        let mut model = Model::default();
        let mut fib = new_fib(&model);
        let plan = want_all(&mut fib, id);
        fib.end_of_sync();
        assert!(execute(&mut fib, &mut model, plan));
        fib.fail_gateways(&[gateway(failed, 1)]).unwrap();
        let mut plan = Plan::default();
        fib.leave_failed(&mut plan);
        assert_eq!(plan.turned, 1);
        assert!(execute(&mut fib, &mut model, plan));
        assert_eq!(way(&model), meaning(left));
        assert_eq!((fib.pending_writes(), messages(compare(&mut fib))), (0, 0));
        assert_eq!((messages(want_all(&mut fib, left)), messages(want_all(&mut fib, id))), (0, 0));
        // Its member anew, and the group.
        assert_eq!(answers(&mut fib, &mut model, &[gateway(failed, 1)]), 2);
        assert_eq!((way(&model), fib.pending_writes()), (meaning(id), 0));
    }
    // One after the other of three, and back.
    let mut model = Model::default();
    let mut fib = new_fib(&model);
    let plan = want_all(&mut fib, 4);
    fib.end_of_sync();
    assert!(execute(&mut fib, &mut model, plan));
    fails(&mut fib, &mut model, &[gateway(3, 1)]);
    assert_eq!((way(&model), fib.pending_writes()), (two_ways(), 0));
    fails(&mut fib, &mut model, &[gateway(1, 1)]);
    assert_eq!((way(&model), fib.pending_writes()), (meaning(2), 0));
    assert_eq!(answers(&mut fib, &mut model, &[gateway(3, 1)]), 2);
    assert_eq!(fib.pending_writes(), 0);
    assert_eq!(answers(&mut fib, &mut model, &[gateway(1, 1)]), 2);
    assert_eq!((way(&model), fib.pending_writes()), (meaning(4), 0));
    // With all of them gone there is nothing better.
    let mut model = Model::default();
    let mut fib = new_fib(&model);
    let plan = want_all(&mut fib, 3);
    fib.end_of_sync();
    assert!(execute(&mut fib, &mut model, plan));
    fib.fail_gateways(&[gateway(1, 1), gateway(2, 1)]).unwrap();
    let mut plan = Plan::default();
    fib.leave_failed(&mut plan);
    assert_eq!((plan.turned, messages(compare(&mut fib)), way(&model)), (0, 0, meaning(3)));
    // The last of them answers.
    assert_eq!(answers(&mut fib, &mut model, &[gateway(2, 1)]), 1);
    assert_eq!((way(&model), fib.pending_writes()), (meaning(2), 0));
}

fn two_ways() -> ForwardingNexthop {
    let definition = v1::FibNexthop { gateways: vec![gateway(1, 1), gateway(2, 1)], ..definitions()[2].clone() };
    content_of(&definition).unwrap()
}

#[test]
fn who_does_not_write_only_notes_which_gateways_fail() {
    let (mut fib, mut model) = protected_table();
    fib.fail_gateways(&[gateway(1, 1)]).unwrap();
    assert_eq!((way(&model), fib.pending_writes()), (meaning(8), u64::from(ROUTES)));
    // It writes now.
    let mut plan = Plan::default();
    fib.leave_failed(&mut plan);
    assert!(execute(&mut fib, &mut model, plan));
    assert_eq!(way(&model), meaning(2));
    let nonsense = v1::FibGateway { address: vec![1, 2, 3], interface_index: 1, weight: 1 };
    assert!(fib.fail_gateways(&[nonsense]).unwrap_err().contains("3 octets"));
}

#[test]
fn where_the_kernel_refuses_the_group_the_primary_is_used_alone_until_it_does_not() {
    let mut model = Model { knows_resilient: false, ..Model::default() };
    let mut fib = new_fib(&model);
    fib.end_of_sync();
    let mut compares = false;
    let planned = want_all(&mut fib, 8).finish();
    for planned in &planned {
        let outcome = model.execute(planned);
        compares |= fib.finished(&planned.memos, &outcome).compare;
    }
    assert!(compares && model.routes.is_empty());
    let plan = compare(&mut fib);
    assert!(execute(&mut fib, &mut model, plan));
    assert_eq!(way(&model), meaning(1));
    // Only the object is tried again, not every route.
    for knows_resilient in [false, true] {
        model.knows_resilient = knows_resilient;
        let mut plan = Plan::default();
        fib.try_refused(&mut plan);
        assert_eq!(messages(compare(&mut fib)), 0);
        let planned = plan.finish();
        let outcome = model.execute(&planned[0]);
        let finished = fib.finished(&planned[0].memos, &outcome);
        assert!(finished.writes <= 3 && finished.compare == knows_resilient, "{finished:?}");
    }
    assert!(!fib.has_refused());
    settle(&mut fib, &mut model);
    assert_eq!(way(&model), meaning(8));
}

#[test]
fn groups_of_another_shape_are_not_taken_for_ours() {
    let shapes: [fn(&mut NexthopContent); 3] = [
        |content| {
            if let NexthopContent::Resilient { buckets, .. } = content {
                *buckets = 256;
            }
        },
        |content| {
            if let NexthopContent::Resilient { members, .. } = content {
                members[1].weight = 2;
            }
        },
        |content| {
            if let NexthopContent::Resilient { members, .. } = content {
                let third = members[1];
                members.push(third);
            }
        },
    ];
    for reshape in shapes {
        let (_, mut model) = protected_table();
        model.objects.values_mut().for_each(|object| reshape(&mut object.content));
        let mut fib = new_fib(&model);
        read_everything(&mut fib, &model);
        let plan = want_all(&mut fib, 8);
        fib.end_of_sync();
        assert_eq!(plan.routes, u64::from(ROUTES));
        assert!(execute(&mut fib, &mut model, plan));
        assert_eq!((way(&model), fib.pending_writes()), (meaning(8), 0));
    }
    // In the other order it is the same.
    let (_, mut model) = protected_table();
    for object in model.objects.values_mut() {
        if let NexthopContent::Resilient { members, .. } = &mut object.content {
            members.reverse();
        }
    }
    let mut fib = new_fib(&model);
    read_everything(&mut fib, &model);
    assert_eq!(messages(want_all(&mut fib, 8)), 0);
}

#[test]
fn a_group_turns_before_any_route_is_removed_for_want_of_the_same_link() {
    // The plain object first, the group first, and a process that starts in between.
    for restarts in [false, true] {
        for order in [[1, 8], [8, 1]] {
            let mut model = Model::default();
            let mut fib = new_fib(&model);
            fib.end_of_sync();
            for (n, id) in (0..).zip(order) {
                let mut plan = Plan::default();
                fib.want_route(&fib_route(n * 2, id), Some(&mut plan)).unwrap();
                assert!(execute(&mut fib, &mut model, plan));
            }
            assert_eq!(model.groups_turn_first(), order == [1, 8]);
            if restarts {
                fib = new_fib(&model);
                read_everything(&mut fib, &model);
                for (n, id) in (0..).zip(order) {
                    let mut plan = Plan::default();
                    fib.want_route(&fib_route(n * 2, id), Some(&mut plan)).unwrap();
                    assert_eq!(messages(plan), 0);
                }
                fib.end_of_sync();
            }
            assert!(fib.has_seats_in_doubt());
            let mut plan = Plan::default();
            assert_eq!(fib.reseat(&mut plan), u64::from(order == [8, 1]));
            assert!(execute(&mut fib, &mut model, plan));
            assert!(model.groups_turn_first() && !fib.has_seats_in_doubt(), "{model:?}");
            // That is all there is to it, and who is not needed any more is removed.
            assert_eq!((fib.reseat(&mut Plan::default()), fib.pending_writes()), (0, 0));
            let mut plan = Plan::default();
            fib.sweep_idle(true, &mut plan);
            assert!(execute(&mut fib, &mut model, plan));
            assert_eq!(model.objects.len(), 4);
            check_sums(&mut fib);
        }
    }
}

#[test]
fn nonsense_in_a_definition_is_refused() {
    let good = definitions()[7].clone();
    let with = |change: fn(&mut v1::FibNexthop)| {
        let mut definition = good.clone();
        change(&mut definition);
        content_of(&definition).unwrap_err()
    };
    assert!(with(|definition| definition.gateways.push(gateway(3, 1))).contains("a backup for 2 gateways"));
    assert!(with(|definition| definition.gateways.clear()).contains("without a gateway"));
    assert!(with(|definition| definition.backup = Some(gateway(1, 9))).contains("its backup is its gateway"));
    assert!(with(|definition| definition.backup = Some(Default::default())).contains("without interface"));
}
