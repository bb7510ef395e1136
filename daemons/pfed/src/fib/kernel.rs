//! What the kernel says: dumps at the start and after a loss of notifications, and changes that others make.

use hashbrown::HashSet;
use holdfast_kernel::netlink::{
    NexthopContent, NexthopMember, NexthopObject, RESILIENT_BUCKETS, ROUTE_METRIC, Route, RouteTarget, TABLE_MAIN,
    WEIGHT_ALL, WEIGHT_NONE,
};
use holdfast_rib::{ForwardingNexthop, Gateway};
use ipnet::IpNet;

use super::contents::{self, ContentId};
use super::desired::normalize;
use super::objects::{self, Object, ObjectIndex};
use super::rows::Place;
use super::table::{Mark, Pair};
use super::{FAMILIES, Fib};

/// What a change in the kernel means to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KernelChange {
    /// Nothing that we did not know.
    Known,
    /// The kernel's table is another now, and no worse.
    Noted,
    /// Something that was as desired is not so any more.
    Damaged,
}

/// What a complete list of nexthop objects showed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ObjectsRead {
    /// Objects that we knew and the kernel has no more, though every link they need is up.
    pub lost: u32,
    /// Objects of ours stood in the list or not for a reason that only the kernel's pending answers can tell: read
    /// it again once they are there.
    pub undecided: bool,
}

/// The family of the object for a content: that of its gateways; where there is none, of the route.
pub(super) fn object_family(nexthop: &ForwardingNexthop, route_family: usize) -> usize {
    let ways = || nexthop.gateways().iter().chain(nexthop.backup());
    if nexthop.gateways().is_empty() || ways().any(|gateway| gateway.address.is_none()) {
        return route_family;
    }
    usize::from(!ways().any(|gateway| gateway.address.is_some_and(|address| address.is_ipv4())))
}

impl Fib {
    /// A route of ours is there, or has changed; or somebody's has taken its place.
    pub fn kernel_route(&mut self, route: &Route) -> KernelChange {
        if route.table != TABLE_MAIN || route.metric != ROUTE_METRIC {
            return KernelChange::Known;
        }
        let object = if route.is_ours() { self.objects.of_target(route.target) } else { objects::NOTHING };
        self.set_present(&route.prefix, object)
    }

    /// A route of ours is gone, or one that was in the way of ours.
    pub fn kernel_route_removed(&mut self, route: &Route) -> KernelChange {
        if !route.is_ours() {
            let had_our_place = route.table == TABLE_MAIN && route.metric == ROUTE_METRIC;
            let row = self.tables[Self::family_of(&route.prefix)].row_of(&route.prefix);
            return match had_our_place && row.1 == objects::NOTHING && self.differs(row.0, row.1) {
                true => KernelChange::Damaged,
                false => KernelChange::Known,
            };
        }
        self.set_present(&route.prefix, objects::NOTHING)
    }

    pub(super) fn set_present(&mut self, prefix: &IpNet, object: ObjectIndex) -> KernelChange {
        let table = &self.tables[Self::family_of(prefix)];
        let place = table.find(prefix);
        let (desired, before) = place.map_or((contents::NOTHING, objects::NOTHING), |place| table.row(place));
        let was_different = self.differs(desired, before);
        self.set_row(prefix, place, desired, object);
        match before == object {
            true => KernelChange::Known,
            false if self.differs(desired, object) && !was_different => KernelChange::Damaged,
            false => KernelChange::Noted,
        }
    }

    /// A nexthop object is there, or has changed.
    pub fn kernel_nexthop(&mut self, object: &NexthopObject) -> KernelChange {
        let known = self.objects.by_kernel_id(object.id);
        let in_groups = known.and_then(|index| self.objects.get(index)).is_some_and(|object| object.groups > 0);
        if !object.is_ours() {
            self.members_moved |= in_groups;
            return known.map_or(KernelChange::Known, |index| self.lose(index));
        }
        if self.under_way.contains_key(&object.id) {
            return KernelChange::Known;
        }
        let (content, family, members) = self.understand(object);
        let (index, change) = match known {
            Some(index) => {
                if let Some(object) = self.objects.get_mut(index) {
                    object.confirmed = true;
                }
                let change = self.update_object(index, content, members);
                self.members_moved |= in_groups && change != KernelChange::Known;
                (index, change)
            }
            None => {
                self.seats_in_doubt = true;
                (self.insert_object(object.id, content, family, members, true), KernelChange::Noted)
            }
        };
        self.note_kind(index, &object.content);
        self.reserve_members(index);
        change
    }

    /// Whether somebody else has led a member of a group elsewhere since the last call: what groups stand for is to be read anew.
    pub fn take_moved_members(&mut self) -> bool {
        std::mem::take(&mut self.members_moved)
    }

    pub(super) fn note_kind(&mut self, index: ObjectIndex, content: &NexthopContent) {
        if let Some(object) = self.objects.get_mut(index) {
            object.resilient = matches!(content, NexthopContent::Resilient { .. });
        }
    }

    /// A nexthop object is gone, and with it the routes that used it.
    pub fn kernel_nexthop_removed(&mut self, id: u32) -> KernelChange {
        self.objects.by_kernel_id(id).map_or(KernelChange::Known, |index| self.lose(index))
    }

    fn lose(&mut self, index: ObjectIndex) -> KernelChange {
        // One without routes has a share in no sum.
        let has_routes = self.objects.get(index).is_some_and(|object| object.routes > 0);
        if has_routes {
            self.refresh_sums();
        }
        let matching = has_routes && self.objects.get(index).is_some_and(|object| object.matching != [0; 2]);
        let wanted = self.objects.get(index).is_some_and(|object| self.contents.is_wanted(object.content));
        self.object_died(index);
        if matching && wanted { KernelChange::Damaged } else { KernelChange::Noted }
    }

    /// What an object of the kernel's stands for, in our terms.
    fn understand(&mut self, object: &NexthopObject) -> (ContentId, usize, Vec<ObjectIndex>) {
        let family = usize::from(object.ipv6);
        match &object.content {
            NexthopContent::Single { gateway, interface_index } => {
                let gateway = Gateway { address: *gateway, interface_index: *interface_index, weight: 1 };
                (self.contents.intern(normalize(vec![gateway])), family, Vec::new())
            }
            NexthopContent::Blackhole => (contents::DISCARD, family, Vec::new()),
            NexthopContent::Other => (contents::NOTHING, family, Vec::new()),
            NexthopContent::Group(members) => {
                // A group of one member is a group all the same: its routes are as good as those of the member.
                let nexthop = |gateways| Some(normalize(gateways));
                self.understand_group(members, nexthop)
            }
            NexthopContent::Resilient { members, buckets } => {
                let buckets = *buckets;
                self.understand_group(members, |gateways| protected(&gateways, buckets))
            }
        }
    }

    /// What a group stands for; nothing that can be desired where a member is not known or its shape is none of ours.
    fn understand_group(
        &mut self,
        members: &[NexthopMember],
        meaning: impl FnOnce(Vec<Gateway>) -> Option<ForwardingNexthop>,
    ) -> (ContentId, usize, Vec<ObjectIndex>) {
        let mut gateways = Vec::with_capacity(members.len());
        let mut indexes = Vec::with_capacity(members.len());
        let mut family = 0;
        for member in members {
            let Some(index) = self.objects.by_kernel_id(member.id) else { continue };
            let Some(object) = self.objects.get(index) else { continue };
            family = object.family;
            indexes.push(index);
            if let Some(ForwardingNexthop::Unicast(single)) = self.contents.get(object.content) {
                gateways.extend(single.iter().map(|gateway| Gateway { weight: member.weight, ..*gateway }));
            }
        }
        let is_whole = gateways.len() == members.len() && !gateways.is_empty();
        match meaning(gateways).filter(|_| is_whole) {
            Some(nexthop) => {
                let family = object_family(&nexthop, family);
                (self.contents.intern(nexthop), family, indexes)
            }
            None => (contents::NOTHING, family, indexes),
        }
    }

    pub(super) fn insert_object(
        &mut self,
        kernel_id: u32,
        content: ContentId,
        family: usize,
        members: Vec<ObjectIndex>,
        confirmed: bool,
    ) -> ObjectIndex {
        self.contents.retain_for_object(content);
        self.count_memberships(&members, true);
        let object = Object { kernel_id, content, family, alive: true, confirmed, members, ..Object::default() };
        let index = self.objects.insert(object);
        if self.contents.chosen(content, family) == objects::NOTHING && self.serves_all(index) {
            self.contents.choose(content, family, index);
        }
        index
    }

    fn count_memberships(&mut self, members: &[ObjectIndex], add: bool) {
        for member in members {
            if let Some(object) = self.objects.get_mut(*member) {
                object.groups = if add { object.groups + 1 } else { object.groups.saturating_sub(1) };
            }
        }
    }

    /// An object stands for something else now: a group that has lost a member, or that we have changed.
    pub(super) fn update_object(
        &mut self,
        index: ObjectIndex,
        content: ContentId,
        members: Vec<ObjectIndex>,
    ) -> KernelChange {
        let Some(object) = self.objects.get_mut(index) else { return KernelChange::Known };
        let (before, family) = (object.content, object.family);
        let members_before = std::mem::replace(&mut object.members, members.clone());
        object.content = content;
        self.count_memberships(&members, true);
        self.count_memberships(&members_before, false);
        members_before.into_iter().for_each(|member| self.free_if_unused(member));
        if before == content {
            return KernelChange::Known;
        }
        self.contents.retain_for_object(content);
        if self.contents.chosen(before, family) == index {
            self.contents.choose(before, family, objects::NOTHING);
        }
        if self.contents.chosen(content, family) == objects::NOTHING && self.serves_all(index) {
            self.contents.choose(content, family, index);
        }
        let wanted = self.contents.is_wanted(before);
        self.contents.release_for_object(before);
        self.sums_stale = true;
        if wanted { KernelChange::Damaged } else { KernelChange::Noted }
    }

    /// Takes a complete list of the kernel's nexthop objects (of everybody), and the links that were up after it was
    /// made: what a link took along is no damage, even where the link's own notification is still to come.
    pub fn read_nexthops(&mut self, list: &[NexthopObject], up: &HashSet<u32>) -> ObjectsRead {
        let mut result = ObjectsRead { undecided: !self.under_way.is_empty(), ..ObjectsRead::default() };
        let present: HashSet<u32> = list.iter().filter(|o| o.is_ours()).map(|o| o.id).collect();
        let missing: Vec<ObjectIndex> =
            self.objects.kernel_ids().filter(|(id, _)| !present.contains(id)).map(|(_, index)| index).collect();
        for index in missing {
            let Some(object) = self.objects.get(index) else { continue };
            if !object.confirmed {
                result.undecided = true;
                continue;
            }
            let needs_other_than = |up: &HashSet<u32>| self.missing_link(object.content, up).is_some();
            let with_link = needs_other_than(&self.links_up) || needs_other_than(up);
            result.lost += u32::from(!with_link);
            self.object_died(index);
        }
        // Members before the groups that name them.
        let is_group = |object: &&NexthopObject| {
            matches!(object.content, NexthopContent::Group(_) | NexthopContent::Resilient { .. })
        };
        for object in list.iter().filter(|o| !is_group(o)).chain(list.iter().filter(is_group)) {
            self.kernel_nexthop(object);
        }
        result
    }

    /// The kernel's routes are about to be read.
    pub fn begin_reading_routes(&mut self) {
        self.tables.iter_mut().for_each(|table| table.clear(Mark::Seen));
    }

    /// One route that the kernel has.
    pub fn read_route(&mut self, prefix: &IpNet, target: RouteTarget) {
        let object = self.objects.of_target(target);
        if let Some(place) = self.set_columns(prefix, |(desired, _)| (desired, object)) {
            self.tables[Self::family_of(prefix)].mark(place, Mark::Seen);
        }
    }

    /// The kernel's routes have been read: what we believed to be there and did not meet is not.
    pub fn end_reading_routes(&mut self) {
        for (family, _) in FAMILIES.iter().enumerate() {
            for bucket in 0..self.tables[family].buckets() {
                let vanished = |(_, object), seen: bool| object != objects::NOTHING && !seen;
                for prefix in self.tables[family].select(bucket, Some(Mark::Seen), vanished) {
                    self.set_columns(&prefix, |(desired, _)| (desired, objects::NOTHING));
                }
            }
        }
        self.reserve_all_members();
    }

    /// Changes the columns of a prefix to what they are to be now. Returns where its row lies then.
    pub(super) fn set_columns(&mut self, prefix: &IpNet, change: impl FnOnce(Pair) -> Pair) -> Option<Place> {
        let table = &self.tables[Self::family_of(prefix)];
        let place = table.find(prefix);
        let (desired, object) = change(place.map_or((contents::NOTHING, objects::NOTHING), |place| table.row(place)));
        self.set_row(prefix, place, desired, object)
    }

    /// The interface that is not up and that a content needs.
    pub(super) fn blocked_by_link(&self, content: ContentId) -> Option<u32> {
        self.missing_link(content, &self.links_up)
    }

    /// The same for links of which these are up.
    fn missing_link(&self, content: ContentId, up: &HashSet<u32>) -> Option<u32> {
        let nexthop = self.contents.get(content)?;
        // One with a backup lives as long as either has its link.
        if nexthop.backup().is_some_and(|backup| up.contains(&backup.interface_index)) {
            return None;
        }
        nexthop.gateways().iter().map(|gateway| gateway.interface_index).find(|index| !up.contains(index))
    }
}

/// What a resilient group stands for: the member that has all buckets, and one that has none beside it; or what is left of such a pair.
fn protected(gateways: &[Gateway], buckets: u16) -> Option<ForwardingNexthop> {
    let of_pair = |primary: &Gateway, backup: &Gateway| {
        let [primary, backup] = [*primary, *backup].map(|gateway| Gateway { weight: 1, ..gateway });
        ForwardingNexthop::Protected { primary, backup }
    };
    match gateways {
        [left] => Some(normalize(vec![*left])),
        [one, other] if buckets == RESILIENT_BUCKETS => match (one.weight, other.weight) {
            (WEIGHT_ALL, WEIGHT_NONE) => Some(of_pair(one, other)),
            (WEIGHT_NONE, WEIGHT_ALL) => Some(of_pair(other, one)),
            _ => None,
        },
        _ => None,
    }
}
