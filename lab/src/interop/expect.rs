//! What a neighbour must see of what others announce, by the RFCs and by the scenario's chapter.

use std::collections::BTreeMap;

use super::{
    chapter::{Chapter, Hop},
    offer::{NO_ADVERTISE, NO_EXPORT, Offer},
    peer::{PeerPlan, Session},
    seen::{Seen, Table},
};

/// Default LOCAL_PREF (RFC 4271 §9.1.1 leaves it to us; 100 is everybody's).
pub const LOCAL_PREFERENCE_DEFAULT: u32 = 100;

/// One of the routes to a destination.
#[derive(Debug, Clone)]
pub struct Rival<'a> {
    /// Who announces it.
    pub from: &'a PeerPlan,
    /// What is announced.
    pub offer: &'a Offer,
    /// LOCAL_PREF as the router has it.
    pub local_preference: u32,
    /// What the neighbour in question is told if this one is chosen; nothing: it must not be told.
    pub seen: Option<Seen>,
}

impl Rival<'_> {
    /// The neighbour may be told of it.
    pub fn is_told(&self, to: &PeerPlan) -> bool {
        self.from.index != to.index && self.seen.is_some()
    }

    /// The router may use it: it is no loop.
    pub fn is_usable(&self) -> bool {
        !self.offer.path.contains(&self.from.router_as)
    }
}

/// Why a neighbour's session is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absence {
    /// The router has ended it, and does not let it in.
    Resting,
    /// The neighbour has died without a word, and may come back.
    Dead,
}

/// Who announces what.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// Everybody.
    pub plans: &'a [PeerPlan],
    /// What each announces, in their order.
    pub offers: &'a [Vec<Offer>],
    /// Who is not there, in their order.
    pub absent: &'a [Option<Absence>],
    /// They have changed it.
    pub changed: bool,
    /// The rules.
    pub chapter: &'static dyn Chapter,
}

impl World<'_> {
    /// The whole table of one neighbour's session.
    pub fn table(&self, to: &PeerPlan, session: &Session) -> Table {
        let mut rivals: BTreeMap<String, Vec<Rival<'_>>> = BTreeMap::new();
        for ((from, offers), absence) in self.plans.iter().zip(self.offers).zip(self.absent) {
            for offer in offers.iter().filter(|offer| from.maker.cannot_offer(offer).is_none()) {
                let hop = Hop { from, to, session, offer };
                let told = self.chapter.told(&hop, plain(&hop));
                let told = if absence.is_some() { self.chapter.told_of_absent(&hop, told) } else { told };
                let seen = told.map(Seen::ordered);
                let local_preference = self.chapter.local_preference(from, offer);
                let rival = Rival { from, offer, local_preference, seen };
                rivals.entry(offer.prefix(session.family, from.index)).or_default().push(rival);
            }
        }
        let mut table = Table::new();
        for (prefix, rivals) in rivals {
            let chosen = self.chapter.choose(to, &rivals);
            for (place, seen) in chosen.iter().filter_map(|place| Some((place, rivals.get(*place)?.seen.clone()?))) {
                let key = if chosen.len() > 1 { format!("{prefix} #{place}") } else { prefix.clone() };
                table.insert(key, seen);
            }
        }
        table.extend(self.chapter.own(to, session, self.plans, self.changed));
        table
    }
}

/// One route in plain sessions; nothing if it must not be seen.
fn plain(hop: &Hop<'_>) -> Option<Seen> {
    let Hop { from, to, session, offer } = *hop;
    // RFC 4271 §9.2: what an internal neighbour told is for external ones.
    if from.is_internal() && to.is_internal() {
        return None;
    }
    // RFC 1997.
    let forbids = |community| offer.communities.contains(&community);
    if forbids(NO_ADVERTISE) || forbids(NO_EXPORT) && !to.is_internal() {
        return None;
    }
    let own = (!to.is_internal()).then_some(to.router_as);
    let next_hop = if to.is_internal() { hop.announced_from()? } else { session.router };
    Some(Seen {
        path: own.iter().map(u32::to_string).chain(path_learned(from, offer)).collect::<Vec<_>>().join(" "),
        // RFC 4271 §5.1.3: an external neighbour is told our own address, an internal one what the external one said.
        next_hop: next_hop.to_string(),
        // RFC 4271 §5.1.4: a MED from another AS goes no further than to our own.
        med: if to.is_internal() { offer.med.or(from.maker.med_unset()) } else { None },
        local_preference: to.is_internal().then_some(LOCAL_PREFERENCE_DEFAULT),
        ..unchanged(offer)
    })
}

/// What no hop changes of an offer.
pub fn unchanged(offer: &Offer) -> Seen {
    Seen {
        origin: offer.origin,
        communities: offer.communities.clone(),
        large: offer.large.clone(),
        targets: offer.targets.iter().map(|(number, value)| format!("{number}:{value}")).collect(),
        ..Seen::default()
    }
}

/// The AS path of an offer as the router has it, in words.
pub fn path_learned(from: &PeerPlan, offer: &Offer) -> Vec<String> {
    let own = (!from.is_internal()).then_some(from.autonomous_system);
    let mut words: Vec<String> = own.iter().chain(&offer.path).map(u32::to_string).collect();
    if !offer.set.is_empty() {
        let mut set = offer.set.clone();
        set.sort_unstable();
        words.push(format!("{{{}}}", set.iter().map(u32::to_string).collect::<Vec<_>>().join(" ")));
    }
    words
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        host::netns::Namespace,
        interop::{
            chapter::Topic,
            offer::{Family, first},
            peer::{Maker, Wishes},
            scenario::Kind,
        },
    };

    pub(in crate::interop) fn plan(maker: Maker, index: u8, kind: Kind, autonomous_system: u32) -> PeerPlan {
        let at = |host: u8| format!("10.113.{index}.{host}").parse().unwrap();
        PeerPlan {
            maker,
            kind,
            index,
            namespace: Namespace::unmade("x"),
            folder: "/x".into(),
            autonomous_system,
            router_as: 65_000,
            sessions: vec![Session { family: Family::Inet, local: at(2), router: at(1) }],
            multihop: None,
            hold_time_s: 9,
            wishes: Wishes::default(),
            features: Vec::new(),
            role: None,
            key: "",
        }
    }

    #[test]
    fn external_internal_and_forbidden() {
        let plans = [
            plan(Maker::Frr, 0, Kind::External, 65_001),
            plan(Maker::Gobgp, 1, Kind::Internal, 65_000),
            plan(Maker::Exabgp, 2, Kind::External, 65_003),
        ];
        let offers = [first(), first(), first()];
        let told = |index: usize, topic: Topic| {
            let (absent, chapter) = (&[None; 3], topic.chapter());
            let world = World { plans: &plans, offers: &offers, absent, changed: false, chapter };
            world.table(&plans[index], &plans[index].sessions[0])
        };
        let external = told(2, Topic::Attributes);
        let from_frr = &external["172.16.9.0/24"];
        assert_eq!((from_frr.path.as_str(), from_frr.med), ("65000 65001 64512 4200000001", None));
        assert_eq!((from_frr.next_hop.as_str(), from_frr.local_preference), ("10.113.2.1", None));
        assert_eq!(external["172.17.0.0/24"].path, "65000", "from our own AS");
        assert!(!external.contains_key("172.16.10.0/24") && !external.contains_key("172.16.11.0/24"), "forbidden");
        assert!(!external.contains_key("172.16.6.0/24"), "FRR makes no set");
        let internal = told(1, Topic::Policies);
        assert!(internal.contains_key("172.16.10.0/24"), "no-export stays within the AS");
        let from_frr = &internal["172.16.1.0/24"];
        assert_eq!(
            (from_frr.path.as_str(), from_frr.med, from_frr.next_hop.as_str()),
            ("65001", Some(77), "10.113.0.2")
        );
        assert_eq!((from_frr.local_preference, from_frr.communities.len()), (Some(250), 1));
        assert_eq!(internal["172.16.0.0/24"].med, Some(0), "FRR always says one");
        assert!(internal.keys().all(|prefix| !prefix.starts_with("172.17.")), "nothing of its own");
        assert_eq!(told(2, Topic::Policies)["172.16.0.0/24"].path, "65000 65000 65000 65001");
    }

    #[test]
    fn metrics_decide_within_an_as_only() {
        let plans = [
            plan(Maker::Bird, 0, Kind::External, 65_001),
            plan(Maker::Gobgp, 1, Kind::External, 65_001),
            plan(Maker::Exabgp, 2, Kind::External, 65_003),
        ];
        let offers = [10, 5, 7].map(|med| Offer { shared: true, number: 100, med: Some(med), ..Offer::default() });
        let rivals: Vec<Rival<'_>> = (plans.iter().zip(&offers))
            .map(|(from, offer)| Rival { from, offer, local_preference: 100, seen: None })
            .collect();
        let best = |places: &[usize], always| {
            let some: Vec<_> = places.iter().map(|place| rivals[*place].clone()).collect();
            crate::interop::decide::best(&some, always).map(|place| places[place])
        };
        assert_eq!(best(&[0, 1], false), Some(1));
        assert_eq!(best(&[0, 2], false), Some(0), "MEDs of two ASes: the lower router id");
        assert_eq!(best(&[0, 2], true), Some(2));
        assert_eq!(best(&[0, 1, 2], false), Some(1));
    }
}
