//! `out-delay`: what changes is collected for a while before a neighbour is told, so that it hears only how things ended.
//!
//! Nothing of it is a fact: whoever takes over tells at once what has not been told.

use std::time::Duration;

use holdfast_rib::{DirtySet, Family, PrefixId, Rib};

use super::Speaker;
use super::action::Action;
use super::neighbor::Neighbor;
use super::table::NeighborId;

/// Destinations that a neighbour is not told about yet.
#[derive(Default)]
pub struct Delayed {
    /// By family.
    pub waiting: [DirtySet; 2],
    /// They wait until then.
    until: Option<Duration>,
}

impl Delayed {
    fn is_empty(&self) -> bool {
        self.waiting.iter().all(DirtySet::is_empty)
    }
}

impl Neighbor {
    /// A destination has to be looked at again, at once or after a while.
    pub(super) fn mark_dirty(&mut self, family: Family, prefix: PrefixId, at_once: bool, rib: &mut Rib) {
        let marked = if at_once || self.config.out_delay_s == 0 {
            &mut self.families[family.index()].dirty
        } else {
            &mut self.delayed.waiting[family.index()]
        };
        if marked.insert(prefix.0) {
            rib.prefixes_mut(family).retain(prefix);
        }
    }

    /// Nothing waits any more: it is looked at as soon as there is room.
    pub(super) fn end_delay(&mut self, rib: &mut Rib) {
        self.delayed.until = None;
        for family in Family::ALL {
            while let Some(prefix) = self.delayed.waiting[family.index()].pop() {
                if !self.families[family.index()].dirty.insert(prefix) {
                    rib.prefixes_mut(family).release(PrefixId(prefix)); // marked already
                }
            }
        }
    }

    /// When [`Speaker::note_delay`] has something to do.
    pub(super) fn delay_ends(&self) -> Option<Duration> {
        self.delayed.until
    }
}

impl Speaker {
    /// Delays begin and end.
    pub(super) fn note_delay(&mut self, id: NeighborId, rib: &mut Rib, now: Duration) {
        let Some(neighbor) = self.get_mut(id).filter(|neighbor| !neighbor.delayed.is_empty()) else { return };
        let delay = Duration::from_secs(neighbor.config.out_delay_s.into());
        let until = *neighbor.delayed.until.get_or_insert(now + delay);
        if until <= now || delay.is_zero() {
            neighbor.end_delay(rib);
            self.actions.push_back(Action::HasOutput);
        }
    }
}
