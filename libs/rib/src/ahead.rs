//! In which order forwarding entries are told: what waits is put in order, as much as can be at once.
//!
//! # The idea
//!
//! What the kernel spends on a route depends on the one before it. It keeps IPv4 routes in a tree whose inner nodes are arrays that double as
//! they fill. Routes in no order miss the processor's caches at every step of it, and make it grow in many steps, most of which are undone. In the order
//! of their addresses they find everything in the caches, but the tree grows at one place, and is balanced there again and again. So they go
//! [level by level](crate::levels), from a few that are far apart to those that lie between all others. Where few of many change, and for IPv6, whose tree has
//! single bits for nodes, the caches are all there is to win: those go by address.
//!
//! The changes that are put in order together are a *stretch*. While a table comes in the first stretches are as short as what waits; one is made anew when
//! much more waits than it was made of. That happens a few times until what waited has been told, so no change waits for ever.
//!
//! Before a long one is made it is waited until no more comes in, for [`FIB_WAIT`] at most: with what comes later it would have another order.
//! To make one of a million changes takes 25 to 50 ms. So it is made in steps, one in a turn of whoever tells them, and meanwhile the one before it is told on.
//!
//! A stretch is only an order. Whether there still is something to tell of a prefix, and what, is looked up when its turn comes.

use std::time::Duration;

use crate::Family;
use crate::dirty::{DirtySet, Round};
use crate::levels::LevelByLevel;
use crate::limits::{
    FIB_LEVELS_MIN, FIB_LEVELS_PART, FIB_ORDER_STEP, FIB_STRETCH, FIB_STRETCH_BY_ADDRESS, FIB_WAIT, FIB_WAIT_IN_VAIN,
    FIB_WAIT_SAMPLE,
};
use crate::prefix_table::{PrefixId, PrefixTable};

/// What there is to tell, and of what.
pub(crate) struct Changes<'a, Told> {
    /// Prefixes of which there is something to tell.
    pub waiting: &'a mut DirtySet,
    pub prefixes: &'a PrefixTable,
    /// Forwarding entries in all.
    pub entries: u64,
    /// Whether a prefix has an entry, so that the reader has one of it if there is nothing to tell.
    pub has_entry: Told,
}

/// What is left of a stretch, the last first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ahead {
    stretch: Vec<u32>,
    /// So many waited when it was made.
    made_of: usize,
    /// The next one.
    making: Option<Making>,
}

/// A stretch that is being put in order.
#[derive(Clone, Debug)]
struct Making {
    made_of: usize,
    stage: Stage,
}

#[derive(Clone, Debug)]
enum Stage {
    /// More comes in: since a time, once that is known. So many waited when it was looked last, and no more had come in so many looks before.
    Wait { since: Option<Duration>, waited: usize, in_vain: u32 },
    /// What waits is gathered: the address above the id. To look it up for every comparison would miss the caches every time.
    Gather(Round, Vec<u64>),
    /// So are the addresses of what has been told, from an id on.
    Told(Vec<u64>, Vec<u32>, u32),
    /// Both are put in order.
    Order(Box<LevelByLevel>, Vec<u32>),
}

impl<Told: Fn(PrefixId) -> bool> Changes<'_, Told> {
    /// Whether most of what waits is of prefixes that have no entry any more.
    fn most_go(&self) -> bool {
        let (mut sample, mut go, mut round) = (0, 0, self.waiting.round());
        let mut look = |id| {
            sample += 1;
            go += usize::from(!(self.has_entry)(PrefixId(id)));
            sample < FIB_WAIT_SAMPLE
        };
        let mut goes_on = true;
        while goes_on && self.waiting.go_round(&mut round, FIB_WAIT_SAMPLE, |id| goes_on = look(id)) {}
        2 * go > sample
    }
}

impl Ahead {
    /// Takes the next id out of the set; none as well while a stretch is put in order and there is no other.
    pub fn take(&mut self, mut changes: Changes<'_, impl Fn(PrefixId) -> bool>) -> Option<PrefixId> {
        while !changes.waiting.is_empty() {
            match self.stretch.pop() {
                Some(id) if changes.waiting.remove(id) => return Some(PrefixId(id)),
                Some(_) => {}
                None if self.making.is_some() => return None,
                None => self.begin(&mut changes),
            }
        }
        *self = Self::default();
        None
    }

    /// Whether more is waited for before much is put in order.
    pub fn gathers(&self) -> bool {
        self.making.as_ref().is_some_and(|making| matches!(making.stage, Stage::Wait { .. }))
    }

    /// Whether nothing can be taken before [`Self::put_in_order`] has had its turns.
    pub fn waits(&self) -> bool {
        self.making.is_some() && self.stretch.is_empty()
    }

    /// Goes on to put in order what waits, for a millisecond or two. To be called once in a turn, with the time; without it more is waited for for a few
    /// looks only.
    pub fn put_in_order(&mut self, mut changes: Changes<'_, impl Fn(PrefixId) -> bool>, now: Option<Duration>) {
        if self.making.is_none() && changes.waiting.len() > self.made_of + self.made_of / 2 + FIB_LEVELS_MIN {
            self.begin(&mut changes);
        }
        let Some(making) = &mut self.making else { return };
        if let Some(stretch) = making.step(&mut changes, now) {
            (self.stretch, self.made_of, self.making) = (stretch, making.made_of, None);
        }
    }

    /// Begins the next stretch; a short one is there at once.
    fn begin(&mut self, changes: &mut Changes<'_, impl Fn(PrefixId) -> bool>) {
        self.stretch.shrink_to_fit(); // both stand side by side until the next one is made
        let made_of = changes.waiting.len();
        let is_much = made_of >= FIB_LEVELS_MIN && made_of as u64 >= changes.entries / FIB_LEVELS_PART;
        if changes.prefixes.family() == Family::Ipv4Unicast && is_much {
            let stage = match changes.most_go() {
                true => Stage::gather(changes.waiting, changes.prefixes),
                false => Stage::Wait { since: None, waited: made_of, in_vain: 0 },
            };
            self.making = Some(Making { made_of, stage });
        } else {
            let mut ids = changes.waiting.gather(FIB_STRETCH_BY_ADDRESS);
            changes.prefixes.sort_descending(&mut ids);
            (self.stretch, self.made_of) = (ids, made_of);
        }
    }
}

impl Stage {
    /// There is room for all that could be gathered: what is not used of it is no memory, and to move it when more comes in would take half as much again.
    fn gather(waiting: &DirtySet, prefixes: &PrefixTable) -> Stage {
        let ids = prefixes.capacity() as usize;
        Stage::Gather(waiting.round(), Vec::with_capacity(ids.min(FIB_STRETCH + FIB_ORDER_STEP)))
    }
}

impl Making {
    /// The stretch, once it is in order.
    fn step(
        &mut self,
        changes: &mut Changes<'_, impl Fn(PrefixId) -> bool>,
        now: Option<Duration>,
    ) -> Option<Vec<u32>> {
        let Changes { waiting, prefixes, has_entry, .. } = changes;
        match &mut self.stage {
            Stage::Wait { since, waited, in_vain } => {
                *in_vain = if waiting.len() > *waited { 0 } else { *in_vain + 1 };
                *waited = waiting.len();
                let is_over = now.is_some_and(|now| now.saturating_sub(*since.get_or_insert(now)) >= FIB_WAIT);
                if is_over || *in_vain >= FIB_WAIT_IN_VAIN {
                    (self.made_of, self.stage) = (*waited, Stage::gather(waiting, prefixes));
                }
            }
            Stage::Gather(round, keys) => {
                let key = |id: u32| u64::from(prefixes.first_address(PrefixId(id))) << u32::BITS | u64::from(id);
                let goes_on = waiting.go_round(round, FIB_ORDER_STEP, |id| keys.push(key(id)));
                if !goes_on || keys.len() >= FIB_STRETCH {
                    waiting.come_after(*round);
                    keys.shrink_to_fit();
                    let told = Vec::with_capacity((prefixes.capacity() as usize).saturating_sub(keys.len()));
                    self.stage = Stage::Told(std::mem::take(keys), told, 0);
                }
            }
            Stage::Told(keys, told, from) => {
                let to = prefixes.capacity().min(from.saturating_add(FIB_ORDER_STEP as u32));
                let ids = (*from..to).map(PrefixId).filter(|id| has_entry(*id) && !waiting.contains(id.0));
                told.extend(ids.map(|id| prefixes.first_address(id)));
                *from = to;
                if to == prefixes.capacity() {
                    told.shrink_to_fit();
                    let stretch = vec![0; keys.len()];
                    let order = LevelByLevel::new(std::mem::take(keys), std::mem::take(told));
                    self.stage = Stage::Order(Box::new(order), stretch);
                }
            }
            Stage::Order(order, stretch) => {
                if !order.step(|place, key| stretch[place] = key as u32) {
                    return Some(std::mem::take(stretch));
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipnet::{IpNet, Ipv4Net};
    use std::collections::HashSet;

    #[derive(Default)]
    struct Reader {
        ahead: Ahead,
        waiting: DirtySet,
        told: HashSet<PrefixId>,
        /// What waits is of prefixes that have no entry any more.
        go: bool,
    }

    impl Reader {
        /// There is news of prefixes that begin with this octet.
        fn hears_of(&mut self, prefixes: &mut PrefixTable, octet: u32, count: u32) {
            for n in 0..count {
                // In no order.
                let address = (octet << 24) | (n.wrapping_mul(0x9e37_79b1) >> 10 << 2);
                let net = Ipv4Net::new(address.into(), 30).unwrap();
                self.waiting.insert(prefixes.intern(net.into()).0);
            }
        }

        fn take(&mut self, prefixes: &PrefixTable) -> Option<IpNet> {
            while !self.waiting.is_empty() {
                let Self { ahead, waiting, told, go } = self;
                let entries = (told.len() + waiting.len()) as u64;
                let taken = ahead.take(Changes { waiting, prefixes, entries, has_entry: |_| !*go });
                if let Some(id) = taken {
                    assert!(told.insert(id), "once");
                    return Some(prefixes.prefix(id));
                }
                self.turn(prefixes);
            }
            None
        }

        fn turn(&mut self, prefixes: &PrefixTable) {
            self.turn_at(prefixes, None);
        }

        fn turn_at(&mut self, prefixes: &PrefixTable, now: Option<Duration>) {
            let Self { ahead, waiting, told, go } = self;
            let entries = (told.len() + waiting.len()) as u64;
            ahead.put_in_order(Changes { waiting, prefixes, entries, has_entry: |_| !*go }, now);
        }
    }

    fn octets(reader: &mut Reader, prefixes: &PrefixTable, count: usize) -> Vec<u8> {
        let taken = (0..count).map_while(|_| reader.take(prefixes));
        taken.filter_map(|net| if let IpNet::V4(net) = net { Some(net.network().octets()[0]) } else { None }).collect()
    }

    #[test]
    fn little_is_told_by_address_and_much_level_by_level() {
        let (mut reader, mut prefixes) = (Reader::default(), PrefixTable::new(Family::Ipv4Unicast));
        for octet in [200, 1, 100] {
            reader.hears_of(&mut prefixes, octet, 2);
        }
        assert_eq!(octets(&mut reader, &prefixes, usize::MAX), [1, 1, 100, 100, 200, 200]);
        for octet in [201, 2, 101, 65] {
            reader.hears_of(&mut prefixes, octet, 10_000);
        }
        // 1 and 200 have reached their halves, 100 its quarter: it is a matter of the bits that each shares with what has been told.
        assert_eq!(octets(&mut reader, &prefixes, 4), [65, 2, 101, 201]);
        assert_eq!(octets(&mut reader, &prefixes, usize::MAX).len(), 39_996);
    }

    #[test]
    fn a_stretch_is_made_anew_when_much_more_waits() {
        let (mut reader, mut prefixes) = (Reader::default(), PrefixTable::new(Family::Ipv4Unicast));
        reader.hears_of(&mut prefixes, 1, 20_000);
        assert_eq!(octets(&mut reader, &prefixes, 2), [1, 1]);
        reader.hears_of(&mut prefixes, 200, 20_000);
        assert_eq!(octets(&mut reader, &prefixes, 2), [1, 1], "not much more");
        reader.hears_of(&mut prefixes, 201, 20_000);
        for _ in 0..4 {
            reader.turn(&prefixes);
            assert_eq!(octets(&mut reader, &prefixes, 1), [1], "the one before is told until it is made");
        }
        while reader.ahead.making.is_some() {
            reader.turn(&prefixes);
        }
        assert_eq!(octets(&mut reader, &prefixes, 2), [200, 201], "not reached yet");
        assert_eq!(octets(&mut reader, &prefixes, usize::MAX).len(), 60_000 - 10);
        assert!(reader.waiting.is_empty());
    }

    #[test]
    fn what_is_put_in_order_has_no_room_to_spare() {
        let (mut reader, mut prefixes) = (Reader::default(), PrefixTable::new(Family::Ipv4Unicast));
        (1..10).for_each(|octet| reader.hears_of(&mut prefixes, octet, 20_000));
        assert_eq!(octets(&mut reader, &prefixes, 100_000).len(), 100_000);
        let told = reader.told.clone();
        (10..30).for_each(|octet| reader.hears_of(&mut prefixes, octet, 20_000));
        let (waited, left) = (reader.waiting.len(), reader.ahead.stretch.len());
        let mut changed_again = told.iter();
        for turn in 0.. {
            assert!(turn < 100, "gathered");
            reader.turn(&prefixes);
            match reader.ahead.making.as_ref().map(|making| &making.stage) {
                // More comes in while they are gathered.
                Some(Stage::Gather(..)) => changed_again.by_ref().take(30_000).for_each(|id| {
                    reader.waiting.insert(id.0);
                    reader.told.remove(id);
                }),
                Some(Stage::Told(keys, told, _)) => {
                    assert!(keys.len() > waited);
                    assert_eq!(keys.capacity(), keys.len());
                    assert_eq!(told.capacity(), prefixes.capacity() as usize - keys.len());
                    break;
                }
                _ => {}
            }
        }
        assert_eq!((reader.ahead.stretch.len(), reader.ahead.stretch.capacity()), (left, left));
        let all = reader.waiting.len();
        assert_eq!(octets(&mut reader, &prefixes, usize::MAX).len(), all);
    }

    #[test]
    fn what_comes_in_is_waited_for_and_not_for_long() {
        let (mut reader, mut prefixes) = (Reader::default(), PrefixTable::new(Family::Ipv4Unicast));
        let begin = Duration::from_secs(7);
        reader.hears_of(&mut prefixes, 1, 20_000);
        // It grows in every turn.
        let (mut now, mut octet) = (begin, 2);
        while reader.ahead.making.is_none() || reader.ahead.gathers() {
            reader.hears_of(&mut prefixes, octet, 100);
            reader.turn_at(&prefixes, Some(now));
            (now, octet) = (now + Duration::from_millis(2), octet + 1);
        }
        let waited = now - begin;
        assert!(waited >= FIB_WAIT && waited < FIB_WAIT + Duration::from_millis(10), "{waited:?}");
        let all = reader.waiting.len();
        assert_eq!(octets(&mut reader, &prefixes, usize::MAX).len(), all);
        // It grows no more.
        reader.hears_of(&mut prefixes, 0, 70_000);
        (0..FIB_WAIT_IN_VAIN - 1).for_each(|_| reader.turn_at(&prefixes, Some(now)));
        assert!(reader.ahead.gathers());
        reader.turn_at(&prefixes, Some(now));
        assert!(!reader.ahead.gathers() && reader.ahead.making.is_some());
        assert_eq!(octets(&mut reader, &prefixes, usize::MAX).len(), 70_000);
        // What goes is not waited for.
        reader.told.clear();
        reader.go = true;
        (1..250).for_each(|octet| reader.hears_of(&mut prefixes, octet, 1_000));
        reader.turn_at(&prefixes, Some(now));
        assert!(!reader.ahead.gathers() && reader.ahead.making.is_some());
    }
}
