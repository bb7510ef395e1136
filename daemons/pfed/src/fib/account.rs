//! Keeps digests and the count of differences true, change by change.

use holdfast_rib::Digest;
use ipnet::IpNet;

use super::contents::{self, ContentId};
use super::objects::ObjectIndex;
use super::rows::Place;
use super::table::Pair;
use super::{FAMILIES, Fib};

/// Sets the entry of a route that we do not understand apart from any that can be desired.
const ODD_ENTRY: u64 = 0x6f64_645f_726f_7574;

fn count(digest: &mut Digest, hash: u64, add: bool) {
    if add { digest.add(hash) } else { digest.remove(hash) }
}

fn step(value: &mut u32, add: bool) {
    *value = if add { value.wrapping_add(1) } else { value.wrapping_sub(1) };
}

impl Fib {
    /// The index of a prefix's table.
    pub(super) fn family_of(prefix: &IpNet) -> usize {
        usize::from(matches!(prefix, IpNet::V6(_)))
    }

    /// What the kernel does with a route's object: its content, `None` where it has no route (any more).
    fn present_content(&self, object: ObjectIndex) -> Option<ContentId> {
        self.objects.living(object).map(|object| object.content)
    }

    /// Whether a row must be written.
    pub(super) fn differs(&self, desired: ContentId, object: ObjectIndex) -> bool {
        match self.present_content(object) {
            None => desired != contents::NOTHING,
            Some(contents::NOTHING) => true,
            Some(content) => content != self.contents.in_force(desired),
        }
    }

    fn entry_hash(&self, prefix: &IpNet, content: ContentId) -> u64 {
        match self.contents.hashed(content) {
            Some(nexthop) => nexthop.entry_hash(prefix),
            None => self.contents.hashed(contents::DISCARD).map_or(0, |discard| discard.entry_hash(prefix)) ^ ODD_ENTRY,
        }
    }

    /// Adds what is in force of what is desired of a prefix to the digest, or takes it out.
    fn account_desired(&mut self, prefix: &IpNet, desired: ContentId, add: bool) {
        if desired != contents::NOTHING {
            let hash = self.entry_hash(prefix, self.contents.in_force(desired));
            count(&mut self.wanted[Self::family_of(prefix)], hash, add);
        }
    }

    /// The same for what the kernel has.
    fn account_present(&mut self, prefix: &IpNet, object: ObjectIndex, add: bool) {
        let Some(content) = self.present_content(object) else { return };
        self.count_present(Self::family_of(prefix), object, self.entry_hash(prefix, content), add);
    }

    fn count_present(&mut self, family: usize, object: ObjectIndex, hash: u64, add: bool) {
        count(&mut self.present[family], hash, add);
        if let Some(object) = self.objects.get_mut(object) {
            count(&mut object.digest[family], hash, add);
        }
    }

    /// Counts a row among those that agree, or differ, or have nothing desired; or takes it out.
    fn account_agreement(&mut self, family: usize, desired: ContentId, object: ObjectIndex, add: bool) {
        let in_force = self.contents.in_force(desired);
        if let Some(content) = self.present_content(object)
            && let Some(object) = self.objects.get_mut(object)
        {
            if desired == contents::NOTHING {
                step(&mut object.undesired[family], add);
            } else if content == in_force {
                step(&mut object.matching[family], add);
            }
        }
        if self.differs(desired, object) {
            let different = &mut self.different[family];
            *different = if add { different.wrapping_add(1) } else { different.wrapping_sub(1) };
        }
    }

    /// Changes one row, which lies at `place`, if it is there yet; everything that is counted follows. Returns where it lies now.
    pub(super) fn set_row(
        &mut self,
        prefix: &IpNet,
        place: Option<Place>,
        desired: ContentId,
        object: ObjectIndex,
    ) -> Option<Place> {
        let family = Self::family_of(prefix);
        let (desired_before, object_before) = place.map_or((0, 0), |place| self.tables[family].row(place));
        if (desired, object) == (desired_before, object_before) {
            return place;
        }
        let place = self.tables[family].set_row(prefix, place, (desired, object));
        self.account_agreement(family, desired_before, object_before, false);
        self.account_agreement(family, desired, object, true);
        // A hash costs more than all else here: only of what has changed.
        if desired != desired_before {
            self.account_desired(prefix, desired_before, false);
            self.account_desired(prefix, desired, true);
            self.contents.retain(desired);
            self.contents.release(desired_before);
        }
        if object != object_before {
            self.account_present(prefix, object_before, false);
            self.account_present(prefix, object, true);
            self.count_route(object, true);
            self.count_route(object_before, false);
        }
        place
    }

    fn count_route(&mut self, index: ObjectIndex, add: bool) {
        if let Some(object) = self.objects.get_mut(index) {
            step(&mut object.routes, add);
            object.had_routes |= add;
            self.free_if_unused(index);
        }
    }

    pub(super) fn free_if_unused(&mut self, index: ObjectIndex) {
        if let Some(content) = self.objects.free_if_unused(index) {
            self.contents.release_for_object(content);
        }
    }

    /// The kernel has dropped an object, and with it its routes. Costs the same for one route and for a million.
    pub(super) fn object_died(&mut self, index: ObjectIndex) {
        // One without routes has a share in no sum, and may have to go without a delay.
        if self.objects.get(index).is_some_and(|object| object.routes > 0) {
            self.refresh_sums();
        }
        let Some(object) = self.objects.get_mut(index).filter(|object| object.alive && object.kernel_id != 0) else {
            return;
        };
        object.alive = false;
        for family in 0..2 {
            let (digest, present) = (object.digest[family], &mut self.present[family]);
            present.sum = present.sum.wrapping_sub(digest.sum);
            present.entries = present.entries.wrapping_sub(digest.entries);
            // Stale sums may have passed below 0; they are made anew before they are read.
            let different = self.different[family].wrapping_add(u64::from(object.matching[family]));
            self.different[family] = different.wrapping_sub(u64::from(object.undesired[family]));
        }
        let (kernel_id, content, own_family) = (object.kernel_id, object.content, object.family);
        let members = std::mem::take(&mut object.members);
        self.objects.forget_kernel_id(kernel_id);
        if self.contents.chosen(content, own_family) == index {
            self.contents.choose(content, own_family, super::objects::NOTHING);
        }
        if self.contents.member(content, own_family) == index {
            self.contents.choose_member(content, own_family, super::objects::NOTHING);
        }
        for member in members {
            if let Some(object) = self.objects.get_mut(member) {
                step(&mut object.groups, false);
                self.free_if_unused(member);
            }
        }
        self.free_if_unused(index);
    }

    /// Makes all sums anew, after an object changed its content under its routes, or something else is in force of what they desire.
    pub(super) fn refresh_sums(&mut self) {
        if !std::mem::take(&mut self.sums_stale) {
            return;
        }
        self.present = Default::default();
        self.wanted = Default::default();
        self.different = [0; 2];
        for object in self.objects.iter_mut() {
            object.digest = Default::default();
            object.matching = [0; 2];
            object.undesired = [0; 2];
        }
        let mut rows = Vec::new();
        for (family, _) in FAMILIES.iter().enumerate() {
            for bucket in 0..self.tables[family].buckets() {
                self.tables[family].read_bucket(bucket, &mut rows);
                rows.iter().for_each(|(prefix, pair)| self.account_row(family, prefix, *pair));
            }
        }
    }

    /// Takes a row in that is in no sum yet. Mostly both columns have one content, and so one hash.
    fn account_row(&mut self, family: usize, prefix: &IpNet, (desired, object): Pair) {
        let in_force = self.contents.in_force(desired);
        if desired != contents::NOTHING && self.present_content(object) == Some(in_force) {
            let hash = self.entry_hash(prefix, in_force);
            count(&mut self.wanted[family], hash, true);
            self.count_present(family, object, hash, true);
        } else {
            self.account_desired(prefix, desired, true);
            self.account_present(prefix, object, true);
        }
        self.account_agreement(family, desired, object, true);
    }
}
