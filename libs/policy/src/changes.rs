//! What a policy asks to change about a route.

use crate::community::CommunityValues;
use crate::route::RouteView;
use smallvec::SmallVec;
use std::net::IpAddr;
use std::sync::Arc;

/// A next hop asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NextHopAction {
    /// Our own address on the session.
    SelfAddress,
    /// This address.
    Address(IpAddr),
}

/// One change of communities. The values are those of a community list, shared and not copied.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CommunityChange {
    /// Add those that are missing.
    Add(Arc<CommunityValues>),
    /// Remove those that are there.
    Delete(Arc<CommunityValues>),
    /// Replace all communities, standard and large.
    Set(Arc<CommunityValues>),
}

impl CommunityChange {
    /// Whether a value that `of` finds in a list is there after this change; none when the change does not touch it.
    fn decides(&self, of: impl Fn(&CommunityValues) -> bool) -> Option<bool> {
        match self {
            CommunityChange::Add(values) => of(values).then_some(true),
            CommunityChange::Delete(values) => of(values).then_some(false),
            CommunityChange::Set(values) => Some(of(values)),
        }
    }
}

/// What the matching terms of an accepted route ask to change. Compares and hashes by content and is cheap to clone, so that
/// results can be remembered per set of attributes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Changes {
    /// LOCAL_PREF.
    pub local_preference: Option<u32>,
    /// MULTI_EXIT_DISC.
    pub metric: Option<u32>,
    /// The next hop.
    pub next_hop: Option<NextHopAction>,
    /// Changes of communities, in the order to be applied.
    pub communities: SmallVec<[CommunityChange; 1]>,
    /// AS numbers to put before the AS path, leftmost first.
    pub prepend: SmallVec<[u32; 4]>,
}

impl Changes {
    /// True when the route stays as it is.
    pub fn is_empty(&self) -> bool {
        self.local_preference.is_none()
            && self.metric.is_none()
            && self.next_hop.is_none()
            && self.communities.is_empty()
            && self.prepend.is_empty()
    }

    /// Asks for nothing any more; keeps its memory.
    pub fn clear(&mut self) {
        self.local_preference = None;
        self.metric = None;
        self.next_hop = None;
        self.communities.clear();
        self.prepend.clear();
    }

    /// The standard communities after the changes: those kept in their order, new ones behind.
    pub fn standard_communities(&self, before: &[u32]) -> Vec<u32> {
        apply(&self.communities, before, |values| &values.standard)
    }

    /// The large communities after the changes: those kept in their order, new ones behind.
    pub fn large_communities(&self, before: &[[u32; 3]]) -> Vec<[u32; 3]> {
        apply(&self.communities, before, |values| &values.large)
    }

    /// Whether the route, changed so far, carries every value.
    pub(crate) fn carries<R: RouteView + ?Sized>(&self, route: &R, wanted: &CommunityValues) -> bool {
        let standard = |value: &u32| {
            let decided = self.communities.iter().rev().find_map(|change| change.decides(|v| v.has_standard(*value)));
            decided.unwrap_or_else(|| route.communities().contains(value))
        };
        let large = |value: &[u32; 3]| {
            let decided = self.communities.iter().rev().find_map(|change| change.decides(|v| v.has_large(value)));
            decided.unwrap_or_else(|| route.large_communities().contains(value))
        };
        wanted.standard.iter().all(standard) && wanted.large.iter().all(large)
    }
}

fn apply<T: Copy + PartialEq>(
    changes: &[CommunityChange],
    before: &[T],
    pick: impl Fn(&CommunityValues) -> &Vec<T>,
) -> Vec<T> {
    let mut values = before.to_vec();
    for change in changes {
        match change {
            CommunityChange::Set(set) => values.clone_from(pick(set)),
            CommunityChange::Delete(set) => values.retain(|value| !pick(set).contains(value)),
            CommunityChange::Add(set) => {
                let missing = pick(set).iter().filter(|value| !values.contains(value)).copied();
                let missing: SmallVec<[T; 8]> = missing.collect();
                values.extend(missing);
            }
        }
    }
    values
}
