//! What a policy asks to change about a route, and the route as it would be with it.

use crate::community::{Community, CommunityValues};
use crate::limits::{EXPAND_MAX, PREPENDED_MAX};
use crate::route::{Origin, RouteView};
use ipnet::IpNet;
use smallvec::SmallVec;
use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

/// A next hop asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NextHopAction {
    /// Our own address on the session.
    SelfAddress,
    /// This address.
    Address(IpAddr),
    /// The address of the neighbour that told the route.
    PeerAddress,
    /// Packets are dropped in silence.
    Discard,
    /// Packets are dropped, the sender is told.
    Reject,
}

impl NextHopAction {
    /// An address, also a neighbour's, is one for routes of its own family: for others nothing is asked.
    pub(crate) fn is_for<R: RouteView + ?Sized>(self, route: &R) -> bool {
        let address = match self {
            NextHopAction::Address(address) => Some(address),
            NextHopAction::PeerAddress => route.neighbor(),
            NextHopAction::SelfAddress | NextHopAction::Discard | NextHopAction::Reject => None,
        };
        address.is_none_or(|address| address.is_ipv6() == matches!(route.prefix(), IpNet::V6(_)))
    }
}

/// One change of communities. The values are those of a community list, shared and not copied.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CommunityChange {
    /// Add those that are missing.
    Add(Arc<CommunityValues>),
    /// Remove those that the list stands for, by value or by pattern.
    Delete(Arc<CommunityValues>),
    /// Replace all communities of every kind.
    Set(Arc<CommunityValues>),
}

/// What the matching terms of an accepted route ask to change. Compares and hashes by content and is cheap to clone, so that
/// results can be remembered per set of attributes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Changes {
    /// LOCAL_PREF.
    pub local_preference: Option<u32>,
    /// MULTI_EXIT_DISC.
    pub metric: Option<u32>,
    /// ORIGIN.
    pub origin: Option<Origin>,
    /// The next hop.
    pub next_hop: Option<NextHopAction>,
    /// Preference against routes of other protocols.
    pub preference: Option<u32>,
    /// The operator's number.
    pub tag: Option<u32>,
    /// Changes of communities, in the order to be applied.
    pub communities: SmallVec<[CommunityChange; 1]>,
    /// AS numbers to put before the AS path, leftmost first; on export before our own.
    pub prepend: SmallVec<[u32; 4]>,
    /// How often the nearest AS of the path is repeated; on export behind our own.
    pub expand: u8,
}

impl Changes {
    /// True when the route stays as it is.
    pub fn is_empty(&self) -> bool {
        *self == Changes::default()
    }

    /// Asks for nothing any more; keeps its memory.
    pub fn clear(&mut self) {
        let (mut communities, mut prepend) = (std::mem::take(&mut self.communities), std::mem::take(&mut self.prepend));
        communities.clear();
        prepend.clear();
        *self = Changes { communities, prepend, ..Changes::default() };
    }

    /// The standard communities after the changes: those kept in their order, new ones behind.
    pub fn standard_communities(&self, before: &[u32]) -> Vec<u32> {
        self.applied(before)
    }

    /// The extended communities after the changes, likewise.
    pub fn extended_communities(&self, before: &[[u8; 8]]) -> Vec<[u8; 8]> {
        self.applied(before)
    }

    /// The large communities after the changes, likewise.
    pub fn large_communities(&self, before: &[[u32; 3]]) -> Vec<[u32; 3]> {
        self.applied(before)
    }

    fn applied<T: Community>(&self, before: &[T]) -> Vec<T> {
        let mut values = before.to_vec();
        for change in &self.communities {
            match change {
                CommunityChange::Set(list) => values.clone_from(T::listed(list)),
                CommunityChange::Delete(list) => values.retain(|value| !list.covers(value)),
                CommunityChange::Add(list) => {
                    let missing = T::listed(list).iter().filter(|value| !values.contains(value)).copied();
                    let missing: SmallVec<[T; 8]> = missing.collect();
                    values.extend(missing);
                }
            }
        }
        values
    }

    /// A later term prepends before what an earlier one did, as long as there is room.
    pub(crate) fn prepend(&mut self, asns: &[u32]) {
        let room = PREPENDED_MAX.saturating_sub(self.prepend.len());
        self.prepend.insert_from_slice(0, &asns[asns.len().saturating_sub(room)..]);
    }

    pub(crate) fn expand_by(&mut self, times: u8) {
        self.expand = self.expand.saturating_add(times).min(EXPAND_MAX);
    }

    pub(crate) fn change_communities(&mut self, change: &CommunityChange) {
        // What was added or deleted before a set has no trace after it: equal outcomes compare equal more often.
        if matches!(change, CommunityChange::Set(_)) {
            self.communities.clear();
        }
        self.communities.push(change.clone());
    }

    /// The communities of one kind, with the changes so far.
    fn current<'r, T: Community, R: RouteView + ?Sized>(&self, route: &'r R) -> Cow<'r, [T]> {
        let before = T::carried(route);
        if self.communities.is_empty() { Cow::Borrowed(before) } else { Cow::Owned(self.applied(before)) }
    }

    /// Whether the route, changed so far, carries every member of a list (or not, when that is what the list stands for).
    pub(crate) fn carries<R: RouteView + ?Sized>(&self, route: &R, wanted: &CommunityValues) -> bool {
        let (standard, extended, large) =
            (self.current::<u32, R>(route), self.current::<[u8; 8], R>(route), self.current::<[u32; 3], R>(route));
        let values = has_all(&standard, wanted) && has_all(&extended, wanted) && has_all(&large, wanted);
        let all = values
            && wanted.patterns.iter().all(|pattern| {
                standard.iter().any(|value| value.fits(pattern))
                    || extended.iter().any(|value| value.fits(pattern))
                    || large.iter().any(|value| value.fits(pattern))
            });
        all != wanted.inverted
    }

    /// How many communities of all kinds the route, changed so far, carries.
    pub(crate) fn community_count<R: RouteView + ?Sized>(&self, route: &R) -> u32 {
        let count = self.current::<u32, R>(route).len()
            + self.current::<[u8; 8], R>(route).len()
            + self.current::<[u32; 3], R>(route).len();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// The length of the AS path, changed so far.
    pub(crate) fn as_path_length<R: RouteView + ?Sized>(&self, route: &R) -> u32 {
        let mut repeated = 0;
        if self.expand > 0 {
            let mut first = true;
            route.as_path(&mut |hop| {
                repeated += if std::mem::take(&mut first) && hop.len() == 1 { u32::from(self.expand) } else { 0 };
            });
        }
        route.as_path_length().saturating_add(repeated).saturating_add(self.prepend.len() as u32)
    }

    /// The next hop, changed so far, as far as it is known in advance.
    pub(crate) fn current_next_hop<R: RouteView + ?Sized>(&self, route: &R) -> Option<IpAddr> {
        match self.next_hop {
            None => route.next_hop(),
            Some(NextHopAction::Address(address)) => Some(address),
            Some(NextHopAction::PeerAddress) => route.neighbor(),
            Some(NextHopAction::SelfAddress | NextHopAction::Discard | NextHopAction::Reject) => None,
        }
    }
}

fn has_all<T: Community>(carried: &[T], wanted: &CommunityValues) -> bool {
    T::listed(wanted).iter().all(|value| carried.contains(value))
}
