//! Turns differences into batches for the kernel, and takes back what the kernel refused.

use std::collections::VecDeque;

use holdfast_kernel::netlink::{Batch, BatchOutcome, RouteTarget, RouteWrite};
use ipnet::IpNet;

use super::Fib;
use super::contents;
use super::objects::{self, ObjectIndex};
use super::rows::Place;
use super::table::Pair;

/// What one message of a batch is about, to make sense of its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Memo {
    /// A route was written; `before` is what it replaced.
    Route {
        /// Its destination.
        prefix: IpNet,
        /// What it used before, if it was there.
        before: Option<RouteTarget>,
        /// What it is to use.
        after: RouteTarget,
    },
    /// A route was removed.
    RouteRemoval {
        /// Its destination.
        prefix: IpNet,
        /// What it used.
        before: RouteTarget,
    },
    /// A nexthop object was made.
    Nexthop(u32),
    /// A nexthop object was made to stand for something else.
    NexthopChange(u32),
    /// A nexthop object was removed.
    NexthopRemoval(u32),
    /// A member was removed, so that its groups do without it.
    MemberRemoval {
        /// The member.
        member: u32,
        /// All the groups that had it, each with others.
        groups: Vec<u32>,
    },
    /// A change to an interface or address, in words.
    Interface(String),
}

/// One batch and what its messages are about.
#[derive(Debug, Default)]
pub struct Planned {
    /// The messages.
    pub batch: Batch,
    /// One for each of them.
    pub memos: Vec<Memo>,
}

/// Batches being filled.
#[derive(Debug, Default)]
pub struct Plan {
    full: VecDeque<Planned>,
    current: Planned,
    /// Routes that were left out, or have a stand-in, because one of their ways cannot be had.
    pub blocked: u64,
    /// Routes written.
    pub routes: u64,
    /// Nexthop objects that do without a failed gateway now.
    pub turned: u64,
    /// Nexthop objects that have all their ways again.
    pub righted: u64,
}

impl Plan {
    pub(super) fn next(&mut self, memo: Memo) -> &mut Batch {
        if self.current.batch.is_full() {
            self.full.push_back(std::mem::take(&mut self.current));
        }
        self.current.memos.push(memo);
        &mut self.current.batch
    }

    /// Full batches so far.
    pub fn batches(&self) -> usize {
        self.full.len()
    }

    /// Everything planned, in order.
    pub fn finish(mut self) -> VecDeque<Planned> {
        if !self.current.batch.is_empty() {
            self.full.push_back(self.current);
        }
        self.full
    }
}

/// What came of a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Finished {
    /// Messages sent.
    pub writes: u64,
    /// Of these: of what was already there, or already gone.
    pub needless: u64,
    /// Of these: refused.
    pub errors: u64,
    /// The first refusal, in words.
    pub first_error: Option<String>,
    /// Our picture of the kernel's table was wrong: it must be read again.
    pub read_again: bool,
    /// Something was refused that may work later, or was found to be missing.
    pub retry: bool,
    /// What was refused is to be done in another way, or can be done now that was refused before: both tables must be compared.
    pub compare: bool,
}

impl Fib {
    /// Whether a row must be written, or at least corrected: its object died, and the kernel has no route there.
    pub(super) fn needs_a_look(&self, (desired, object): Pair) -> bool {
        self.differs(desired, object) || (object != objects::NOTHING && self.objects.living(object).is_none())
    }

    /// Plans what the row at a place needs. `Err` says why it cannot be written now.
    pub(super) fn plan_row(&mut self, prefix: &IpNet, place: Place, plan: &mut Plan) -> Result<(), String> {
        let (family, prefix, mut place) = (Self::family_of(prefix), *prefix, Some(place));
        let (desired, mut object) = place.map_or_else(Pair::default, |place| self.tables[family].row(place));
        if object != objects::NOTHING && self.objects.living(object).is_none() {
            object = objects::NOTHING;
            place = self.set_row(&prefix, place, desired, object);
        }
        if !self.differs(desired, object) {
            return Ok(());
        }
        let before = self.objects.target(object);
        if desired == contents::NOTHING {
            if let Some(before) = before {
                plan.next(Memo::RouteRemoval { prefix, before }).remove_route(&prefix);
                plan.routes += 1;
            }
            self.set_row(&prefix, place, desired, objects::NOTHING);
            return Ok(());
        }
        let in_force = self.contents.in_force(desired);
        if self.has_stand_in(in_force, object) {
            plan.blocked += 1;
            return Ok(());
        }
        let chosen = match self.ensure_object(in_force, family, plan) {
            Ok(chosen) => chosen,
            Err(why) => {
                plan.blocked += 1;
                return Err(format!("{prefix}: {why}"));
            }
        };
        plan.blocked += u64::from(self.objects.get(chosen).is_some_and(|chosen| chosen.content != in_force));
        let Some(after) = self.objects.target(chosen) else { return Ok(()) };
        let write = if before.is_some() { RouteWrite::Replace } else { RouteWrite::Add };
        plan.next(Memo::Route { prefix, before, after }).write_route(write, &prefix, after);
        plan.routes += 1;
        self.set_row(&prefix, place, desired, chosen);
        Ok(())
    }

    /// Removes objects of ours that nothing uses and nobody has announced a use for; those only that were idle at the
    /// last sweep already, unless `at_once`.
    pub fn sweep_idle(&mut self, at_once: bool, plan: &mut Plan) {
        self.refresh_sums();
        // Groups first: that frees their members.
        for groups in [true, false] {
            let candidates: Vec<(u32, ObjectIndex)> = self.objects.kernel_ids().collect();
            for (id, index) in candidates {
                let Some(object) = self.objects.get_mut(index) else { continue };
                if object.members.is_empty() == groups {
                    continue;
                }
                let (used, content, was_idle) = (object.routes + object.groups > 0, object.content, object.was_idle);
                let idle = !used && (object.reserved || !self.contents.is_wanted(content));
                if let Some(object) = self.objects.get_mut(index) {
                    object.was_idle = idle;
                }
                if idle && (was_idle || at_once) {
                    plan.next(Memo::NexthopRemoval(id)).remove_nexthop(id);
                    self.begins(id);
                    self.object_died(index);
                }
            }
        }
    }

    /// Takes the kernel's answers to a batch.
    pub fn finished(&mut self, memos: &[Memo], outcome: &BatchOutcome) -> Finished {
        let mut result = Finished { writes: memos.len() as u64, read_again: outcome.unknown, ..Finished::default() };
        let mut failures = outcome.failures.iter().peekable();
        for (index, memo) in memos.iter().enumerate() {
            match failures.next_if(|failure| failure.index == index) {
                None => result.compare |= self.succeeded(memo),
                Some(failure) => {
                    let needless = self.refused(memo, failure.errno, &mut result);
                    if needless {
                        result.needless += 1;
                    } else {
                        result.errors += 1;
                        result.retry = true;
                        result.first_error.get_or_insert_with(|| describe(memo, &failure.reason()));
                    }
                }
            }
        }
        result
    }

    /// True where routes have waited for what is there now.
    fn succeeded(&mut self, memo: &Memo) -> bool {
        match memo {
            Memo::Nexthop(id) => return self.objects.by_kernel_id(*id).is_some_and(|index| self.taken(index)),
            Memo::NexthopChange(id) | Memo::NexthopRemoval(id) => self.answered(*id),
            Memo::MemberRemoval { member, groups } => self.all_answered(*member, groups),
            _ => {}
        }
        false
    }

    /// Takes back what was noted ahead. True where the kernel merely had it so already.
    fn refused(&mut self, memo: &Memo, errno: i32, result: &mut Finished) -> bool {
        match memo {
            Memo::Route { prefix, before, after } => {
                if !self.is_noted_as(prefix, *after) {
                    return false; // planned otherwise in the meantime; the later answer counts
                }
                // EEXIST: a route with our metric that we do not know of. Ours, or somebody else's? The table tells.
                result.read_again |= errno == libc::EEXIST;
                let still_there = before.filter(|_| errno != libc::ENOENT && errno != libc::ESRCH);
                let object = still_there.map_or(objects::NOTHING, |target| self.objects.of_target(target));
                self.set_present(prefix, if object == objects::ODD { objects::NOTHING } else { object });
                false
            }
            Memo::RouteRemoval { prefix, before } => {
                if errno == libc::ESRCH || errno == libc::ENOENT {
                    return true;
                }
                if self.is_noted_as_absent(prefix) {
                    let object = self.objects.of_target(*before);
                    self.set_present(prefix, object);
                }
                false
            }
            Memo::Nexthop(id) => {
                // EEXIST: somebody uses our numbers; the next one will do.
                let number_in_use = errno == libc::EEXIST;
                result.read_again |= number_in_use;
                if let Some(index) = self.objects.by_kernel_id(*id) {
                    match number_in_use {
                        true => self.object_died(index),
                        false => result.compare |= self.not_taken(index),
                    }
                }
                false
            }
            Memo::NexthopChange(id) => {
                self.answered(*id);
                if let Some(object) = self.objects.by_kernel_id(*id).and_then(|index| self.objects.get_mut(index)) {
                    object.stays = true;
                }
                result.read_again = true;
                false
            }
            Memo::NexthopRemoval(id) => {
                self.answered(*id);
                let gone = errno == libc::ENOENT;
                result.read_again |= !gone;
                gone
            }
            Memo::MemberRemoval { member, groups } => {
                self.all_answered(*member, groups);
                let gone = errno == libc::ENOENT;
                result.read_again |= !gone;
                gone
            }
            Memo::Interface(_) => false,
        }
    }

    fn all_answered(&mut self, member: u32, groups: &[u32]) {
        std::iter::once(&member).chain(groups).for_each(|id| self.answered(*id));
    }

    /// Whether the kernel's column says that the route has this target, be the object alive or just refused.
    fn is_noted_as(&self, prefix: &IpNet, target: RouteTarget) -> bool {
        let (_, index) = self.tables[Self::family_of(prefix)].row_of(prefix);
        match target {
            RouteTarget::Nexthop(id) => self.objects.get(index).is_some_and(|object| object.kernel_id == id),
            target => self.objects.target(index) == Some(target),
        }
    }

    fn is_noted_as_absent(&self, prefix: &IpNet) -> bool {
        self.tables[Self::family_of(prefix)].row_of(prefix).1 == objects::NOTHING
    }
}

fn describe(memo: &Memo, reason: &str) -> String {
    match memo {
        Memo::Route { prefix, .. } if reason.contains("exists") => {
            format!(
                "route {prefix}: {reason}; a route of somebody else's with metric 20 is in the way (ip route show {prefix})"
            )
        }
        Memo::Route { prefix, .. } => format!("route {prefix}: {reason}"),
        Memo::RouteRemoval { prefix, .. } => format!("removal of route {prefix}: {reason}"),
        Memo::Nexthop(id) => format!("nexthop object {id}: {reason}"),
        Memo::NexthopChange(id) => format!("nexthop object {id}, to have other members: {reason}"),
        Memo::NexthopRemoval(id) => format!("removal of nexthop object {id}: {reason}"),
        Memo::MemberRemoval { member, groups } => {
            format!("removal of nexthop object {member} from {} groups: {reason}", groups.len())
        }
        Memo::Interface(what) => format!("{what}: {reason}"),
    }
}
