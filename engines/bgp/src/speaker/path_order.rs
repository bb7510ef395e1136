//! All paths to a destination in order, for neighbours that hear several (RFC 7911): the best, then the best of the others, and so on.
//!
//! Choosing anew for each place would be work squared, and a neighbour decides how many paths there are. A MED compares only paths
//! through the same neighbouring AS, so there is no one order to sort by. But what takes a place is always the first of some AS's
//! paths: these are sorted among themselves, and then merged.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use smallvec::SmallVec;

use super::decision::{self, AfterMed, Candidate, MedRules};

/// The handles of all candidates, best first. Where MEDs are compared path by path, that decides who is the best one; the
/// others are compared all at once.
pub fn in_order(mut candidates: SmallVec<[Candidate; 8]>, rules: MedRules) -> Vec<u32> {
    let mut order = Vec::with_capacity(candidates.len());
    if rules.is_pairwise()
        && let Some((best, _)) = decision::best(&mut candidates.clone(), rules)
    {
        order.push(best.handle);
        candidates.retain(|candidate| candidate.handle != best.handle);
    }
    candidates.sort_unstable_by_key(|path| (path.before_med(), rules.group(path), rules.med(path), path.after_med()));
    candidates.chunk_by(|one, other| one.before_med() == other.before_med()).for_each(|equals| {
        merge(equals, rules, &mut order);
    });
    order
}

/// Paths that are equal up to their MEDs, sorted by group: the next one is the best among the first of each group.
fn merge(equals: &[Candidate], rules: MedRules, order: &mut Vec<u32>) {
    let mut first: BinaryHeap<Reverse<(AfterMed, usize)>> = BinaryHeap::new();
    let mut begin = 0;
    for group in equals.chunk_by(|one, other| rules.group(one) == rules.group(other)) {
        first.extend(group.first().map(|path| Reverse((path.after_med(), begin))));
        begin += group.len();
    }
    while let Some(Reverse((_, at))) = first.pop() {
        order.push(equals[at].handle);
        let next = equals.get(at + 1).filter(|next| rules.group(next) == rules.group(&equals[at]));
        first.extend(next.map(|next| Reverse((next.after_med(), at + 1))));
    }
}
