//! Destinations in the order in which an operator reads them: by address, shorter prefixes before longer ones.
//!
//! The RIB knows prefixes by number, in no order. So a walk over them looks through all numbers for those that come next, as many as
//! [`WALK_AHEAD`], sorts these, and shows them page by page before it looks for more. It holds nothing: a destination that is gone before it is
//! shown is passed over, one that has come behind the walk is not seen.

use std::collections::{BinaryHeap, VecDeque};

use holdfast_rib::{Family, PrefixId, Rib};
use ipnet::IpNet;

use crate::limits::{PAGE_PREFIXES, PAGE_ROUTES, SEARCH_PREFIXES, WALK_AHEAD};

/// Where a walk stands between two pages.
#[derive(Debug)]
pub struct Walk {
    /// By [`Family::index`]; beyond the last one it is over.
    family: usize,
    /// What comes next, in order.
    ahead: VecDeque<(IpNet, PrefixId)>,
    /// Everything up to here has been found.
    found: Option<IpNet>,
    search: Search,
    ahead_max: usize,
}

/// Where a walk in no order stands between two pages: for a reader of the whole table, who does not want it sorted.
#[derive(Debug, Default)]
pub struct Numbers {
    /// By [`Family::index`].
    family: usize,
    /// The next number to look at.
    from: u32,
}

impl Numbers {
    /// What `take` makes of the destinations of one page, and where the next one begins; none: this was the last.
    pub fn page<T>(self, rib: &Rib, take: impl Fn(Family, PrefixId) -> Option<T>) -> (Vec<T>, Option<Self>) {
        let mut taken = Vec::new();
        let Some(family) = Family::ALL.get(self.family).copied() else { return (taken, None) };
        let table = rib.prefixes(family);
        let to = table.capacity().min(self.from.saturating_add(PAGE_PREFIXES as u32));
        for id in (self.from..to).map(PrefixId) {
            if taken.len() >= PAGE_ROUTES {
                return (taken, Some(Self { family: self.family, from: id.0 }));
            }
            if table.try_prefix(id).is_some() {
                taken.extend(take(family, id));
            }
        }
        if to < table.capacity() {
            return (taken, Some(Self { family: self.family, from: to }));
        }
        let next = Self { family: self.family + 1, from: 0 };
        let goes_on = next.family < Family::ALL.len();
        (taken, goes_on.then_some(next))
    }
}

/// Looks for what comes next.
#[derive(Debug, Default)]
struct Search {
    /// The next number to look at.
    from: u32,
    /// The least ones so far; the greatest of them gives way to a lesser one.
    least: BinaryHeap<(IpNet, PrefixId)>,
}

impl Default for Walk {
    fn default() -> Self {
        Self { family: 0, ahead: VecDeque::new(), found: None, search: Search::default(), ahead_max: WALK_AHEAD }
    }
}

impl Walk {
    /// What `take` makes of the destinations of one page (nothing, while it looks for them), and where the next one begins; none: this
    /// was the last.
    pub fn page<T>(
        mut self,
        rib: &Rib,
        families: [bool; 2],
        cover: Option<IpNet>,
        take: impl Fn(Family, PrefixId) -> Vec<T>,
    ) -> (Vec<T>, Option<Self>) {
        let mut taken = Vec::new();
        let Some(family) = Family::ALL.get(self.family).copied() else { return (taken, None) };
        if !families[self.family] || (self.ahead.is_empty() && self.search(rib, family, cover)) {
            self = Self { family: self.family + 1, ahead_max: self.ahead_max, ..Self::default() };
            let goes_on = self.family < Family::ALL.len();
            return (taken, goes_on.then_some(self));
        }
        for _ in 0..PAGE_PREFIXES {
            let Some((prefix, id)) = self.ahead.pop_front() else { break };
            if rib.prefixes(family).try_prefix(id) == Some(prefix) {
                taken.extend(take(family, id));
            }
            if taken.len() >= PAGE_ROUTES {
                break;
            }
        }
        (taken, Some(self))
    }

    /// Looks at some numbers; when all are seen the least ones are what comes next. True: there is no more.
    fn search(&mut self, rib: &Rib, family: Family, cover: Option<IpNet>) -> bool {
        let table = rib.prefixes(family);
        let to = table.capacity().min(self.search.from.saturating_add(SEARCH_PREFIXES));
        for id in (self.search.from..to).map(PrefixId) {
            let Some(prefix) = table.try_prefix(id) else { continue };
            if self.found.is_none_or(|found| prefix > found) && cover.is_none_or(|cover| cover.contains(&prefix)) {
                self.search.note((prefix, id), self.ahead_max);
            }
        }
        self.search.from = to;
        if to < table.capacity() {
            return false;
        }
        self.ahead = std::mem::take(&mut self.search).least.into_sorted_vec().into();
        self.found = self.ahead.back().map(|(prefix, _)| *prefix).or(self.found);
        self.ahead.is_empty()
    }
}

impl Search {
    fn note(&mut self, destination: (IpNet, PrefixId), max: usize) {
        if self.least.len() < max {
            self.least.push(destination);
        } else if let Some(mut greatest) = self.least.peek_mut()
            && destination < *greatest
        {
            *greatest = destination;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [bool; 2] = [true; 2];

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    /// A table whose numbers are in another order than its prefixes.
    fn rib() -> Rib {
        let mut rib = Rib::new();
        for number in 0..1000u32 {
            let scattered = number.wrapping_mul(0x9e37_79b1);
            let length = 8 + (scattered % 25) as u8;
            let v4 = IpNet::new(std::net::Ipv4Addr::from(scattered).into(), length).unwrap();
            rib.prefixes_mut(Family::Ipv4Unicast).intern(v4.trunc());
            let v6 = IpNet::new(std::net::Ipv6Addr::from(u128::from(scattered) << 96).into(), length).unwrap();
            rib.prefixes_mut(Family::Ipv6Unicast).intern(v6.trunc());
        }
        rib
    }

    fn sorted(rib: &Rib, family: Family) -> Vec<IpNet> {
        let table = rib.prefixes(family);
        let mut all: Vec<IpNet> = (0..table.capacity()).filter_map(|id| table.try_prefix(PrefixId(id))).collect();
        all.sort_unstable();
        all
    }

    fn walk(
        rib: &mut Rib,
        ahead_max: usize,
        families: [bool; 2],
        cover: Option<IpNet>,
        meanwhile: impl Fn(&mut Rib, usize),
    ) -> Vec<IpNet> {
        let mut shown = Vec::new();
        let mut walk = Some(Walk { ahead_max, ..Walk::default() });
        while let Some(from) = walk.take() {
            let (page, next) = from.page(rib, families, cover, |family, id| vec![rib.prefixes(family).prefix(id)]);
            shown.extend(page);
            walk = next;
            meanwhile(rib, shown.len());
        }
        shown
    }

    #[test]
    fn all_are_shown_once_in_order_however_many_are_sorted_at_once() {
        let mut rib = rib();
        let [v4, v6] = Family::ALL.map(|family| sorted(&rib, family));
        for ahead_max in [1, 7, v4.len(), WALK_AHEAD] {
            assert_eq!(
                walk(&mut rib, ahead_max, BOTH, None, |_, _| ()),
                [v4.clone(), v6.clone()].concat(),
                "{ahead_max}"
            );
        }
        assert_eq!(walk(&mut rib, 7, [false, true], None, |_, _| ()), v6);
        let cover = net("64.0.0.0/3");
        let covered: Vec<IpNet> = v4.iter().copied().filter(|prefix| cover.contains(prefix)).collect();
        assert!(covered.len() > 50, "{}", covered.len());
        assert_eq!(walk(&mut rib, 7, [true, false], Some(cover), |_, _| ()), covered);
        assert_eq!(walk(&mut Rib::new(), 7, BOTH, None, |_, _| ()), []);
    }

    #[test]
    fn all_are_met_once_in_no_order() {
        let rib = rib();
        let (mut met, mut place, mut pages) = (Vec::new(), Some(Numbers::default()), 0);
        while let Some(from) = place.take() {
            let (page, next) = from.page(&rib, |family, id| Some(rib.prefixes(family).prefix(id)));
            met.extend(page);
            (place, pages) = (next, pages + 1);
        }
        met.sort();
        assert_eq!(met, Family::ALL.map(|family| sorted(&rib, family)).concat());
        assert!(pages > 2, "in pages");
        assert!(Numbers::default().page(&rib, |_, _| None::<()>).0.is_empty());
    }

    #[test]
    fn what_goes_before_it_is_shown_is_passed_over_and_its_number_may_mean_another_one() {
        let mut rib = rib();
        let last = *sorted(&rib, Family::Ipv4Unicast).last().unwrap();
        let before = sorted(&rib, Family::Ipv4Unicast).len();
        let replaced = |rib: &mut Rib, shown: usize| {
            let table = rib.prefixes_mut(Family::Ipv4Unicast);
            if shown >= PAGE_ROUTES
                && let Some(id) = table.get(last)
            {
                while !table.release(id) {}
                assert_eq!(table.intern(net("0.0.0.0/1")), id, "the number is given out anew");
            }
        };
        let shown = walk(&mut rib, WALK_AHEAD, [true, false], None, replaced);
        assert!(before > PAGE_ROUTES, "{before}");
        assert_eq!(shown.len(), before - 1);
        assert!(!shown.contains(&last) && !shown.contains(&net("0.0.0.0/1")));
    }
}
