//! What a neighbour must see of what another one announces, by the RFCs and by the router's policies.

use super::{
    offer::{self, NO_ADVERTISE, NO_EXPORT, Offer},
    peer::{PeerPlan, Session, join},
    router,
    seen::{Seen, Table},
};

/// What the router does to routes by policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// The policies of `router` are in force.
    pub policies: bool,
}

/// Default LOCAL_PREF (RFC 4271 §9.1.1 leaves it to us; 100 is everybody's).
const LOCAL_PREFERENCE_DEFAULT: u32 = 100;

/// The whole table of one neighbour's session. `offers` are those of everybody who can make them.
pub fn table(to: &PeerPlan, session: &Session, all: &[PeerPlan], offers: &[Offer], rules: Rules) -> Table {
    let mut table = Table::new();
    for from in all.iter().filter(|from| from.index != to.index) {
        for offer in offers.iter().filter(|offer| from.maker.cannot_offer(offer).is_none()) {
            if let Some(seen) = seen(from, to, session, offer, rules) {
                table.insert(offer::prefix(session.family, from.index, offer.number), seen.ordered());
            }
        }
    }
    table
}

/// One route; nothing if it must not be seen.
fn seen(from: &PeerPlan, to: &PeerPlan, session: &Session, offer: &Offer, rules: Rules) -> Option<Seen> {
    // RFC 4271 §9.2: what an internal neighbour told is for external ones.
    if from.is_internal() && to.is_internal() {
        return None;
    }
    // RFC 1997.
    let forbids = |community| offer.communities.contains(&community);
    if forbids(NO_ADVERTISE) || forbids(NO_EXPORT) && !to.is_internal() {
        return None;
    }
    let mut numbers: Vec<String> = Vec::new();
    if !to.is_internal() {
        if rules.policies {
            numbers.extend(router::PREPENDED.map(|number| number.to_string()));
        }
        numbers.push(to.router_as.to_string());
    }
    if !from.is_internal() {
        numbers.push(from.autonomous_system.to_string());
    }
    numbers.extend(offer.path.iter().map(u32::to_string));
    if !offer.set.is_empty() {
        let mut set = offer.set.clone();
        set.sort_unstable();
        numbers.push(format!("{{{}}}", join(&set, " ")));
    }
    let mut communities = offer.communities.clone();
    if rules.policies {
        communities.push(router::ADDED);
    }
    let learned = if rules.policies { router::LOCAL_PREFERENCE } else { LOCAL_PREFERENCE_DEFAULT };
    // RFC 4271 §5.1.3: an external neighbour is told our own address, an internal one what the external one said.
    let of = |plan: &PeerPlan| plan.sessions.iter().find(|other| other.family == session.family).copied();
    let next_hop = if to.is_internal() { of(from)?.local } else { session.router };
    // RFC 4271 §5.1.4: a MED from another AS goes no further than to our own.
    let med = match (to.is_internal(), rules.policies) {
        (true, _) => offer.med.or(from.maker.med_unset()),
        (false, true) => Some(router::METRIC),
        (false, false) => None,
    };
    Some(Seen {
        origin: offer.origin,
        path: numbers.join(" "),
        next_hop: next_hop.to_string(),
        med,
        local_preference: to.is_internal().then_some(learned),
        communities,
        large: offer.large.clone(),
        targets: offer.targets.iter().map(|(number, value)| format!("{number}:{value}")).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        host::netns::Namespace,
        interop::offer::{Family, first},
        interop::peer::Maker,
    };

    fn plan(maker: Maker, index: u8, autonomous_system: u32) -> PeerPlan {
        let at = |host: u8| format!("10.113.{index}.{host}").parse().unwrap();
        PeerPlan {
            maker,
            index,
            namespace: Namespace::unmade("x"),
            folder: "/x".into(),
            autonomous_system,
            router_as: 65_000,
            sessions: vec![Session { family: Family::Inet, local: at(2), router: at(1) }],
            multihop: None,
            hold_time_s: 9,
        }
    }

    #[test]
    fn external_internal_and_forbidden() {
        let all = [plan(Maker::Frr, 0, 65_001), plan(Maker::Gobgp, 1, 65_000), plan(Maker::Exabgp, 2, 65_003)];
        let told =
            |index: usize, policies| table(&all[index], &all[index].sessions[0], &all, &first(), Rules { policies });
        let external = told(2, false);
        let from_frr = &external["172.16.9.0/24"];
        assert_eq!((from_frr.path.as_str(), from_frr.med), ("65000 65001 64512 4200000001", None));
        assert_eq!((from_frr.next_hop.as_str(), from_frr.local_preference), ("10.113.2.1", None));
        assert_eq!(external["172.17.0.0/24"].path, "65000", "from our own AS");
        assert!(!external.contains_key("172.16.10.0/24") && !external.contains_key("172.16.11.0/24"), "forbidden");
        assert!(!external.contains_key("172.16.6.0/24"), "FRR makes no set");
        let internal = told(1, true);
        assert!(internal.contains_key("172.16.10.0/24"), "no-export stays within the AS");
        let from_frr = &internal["172.16.1.0/24"];
        assert_eq!(
            (from_frr.path.as_str(), from_frr.med, from_frr.next_hop.as_str()),
            ("65001", Some(77), "10.113.0.2")
        );
        assert_eq!((from_frr.local_preference, from_frr.communities.len()), (Some(router::LOCAL_PREFERENCE), 1));
        assert_eq!(internal["172.16.0.0/24"].med, Some(0), "FRR always says one");
        assert!(internal.keys().all(|prefix| !prefix.starts_with("172.17.")), "nothing of its own");
    }
}
