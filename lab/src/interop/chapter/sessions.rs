//! What sessions have beyond the usual, and what follows from it for routes: paths where a session is another AS's, marks of
//! roles, next hops, messages that only some can take.

use std::net::IpAddr;

use super::{Chapter, Hop};
use crate::interop::{
    expect::path_learned,
    features::{self, Feature, Role},
    offer::{self, Family, Offer},
    peer::{PeerPlan, Session},
    place::link_session,
    router,
    seen::Seen,
};

/// See the module.
pub struct Sessions;

impl Chapter for Sessions {
    fn group(&self, neighbor: &PeerPlan, _session: &Session) -> String {
        features::statements(neighbor)
    }

    fn offers(&self, neighbor: &PeerPlan, changed: bool) -> Vec<Offer> {
        let mut offers = if changed { offer::changed() } else { offer::first() };
        offers.extend(neighbor.has(Feature::ExtendedMessages).then(offer::long));
        offers
    }

    fn told(&self, hop: &Hop<'_>, plain: Option<Seen>) -> Option<Seen> {
        let Hop { from, to, session, offer } = *hop;
        // Nobody announces what he has no session for.
        hop.announced_from()?;
        if offer.is_long() && !to.has(Feature::ExtendedMessages) {
            return None;
        }
        let only_to_customer = only_to_customer(from, to).ok()?;
        Some(Seen {
            path: path(from, to, offer),
            next_hop: own_next_hop(to, session).to_string(),
            only_to_customer: only_to_customer.filter(|_| to.maker.shows_only_to_customer()),
            ..plain?
        })
    }
}

/// With the AS of a session in it, on either way, unless it is configured to be left out.
fn path(from: &PeerPlan, to: &PeerPlan, offer: &Offer) -> String {
    let own = to.local_as().is_some_and(|style| !style.replace_as).then_some(router::AUTONOMOUS_SYSTEM);
    let learned = from.local_as().is_some_and(|style| !style.no_prepend).then_some(from.router_as);
    let numbers = [Some(to.router_as), own, learned].into_iter().flatten().map(|number| number.to_string());
    numbers.chain(path_learned(from, offer)).collect::<Vec<_>>().join(" ")
}

/// RFC 2545 §3: the global address is the next hop, the link-local one may stand beside it.
fn own_next_hop(to: &PeerPlan, session: &Session) -> IpAddr {
    if session.is_link_local() { link_session(Family::Inet6, to.index).router } else { session.router }
}

/// RFC 9234 §5: the mark that a route has towards a neighbour; an error: it must not go there.
fn only_to_customer(from: &PeerPlan, to: &PeerPlan) -> Result<Option<u32>, ()> {
    // What did not come from a customer is marked by whoever sent it, or by the router.
    let learned = matches!(from.role, Some(Role::Provider | Role::Peer)).then_some(from.autonomous_system);
    match (learned, to.role) {
        (Some(_), Some(Role::Provider | Role::Peer)) => Err(()),
        (None, Some(Role::Customer | Role::Peer)) => Ok(Some(to.router_as)),
        (learned, _) => Ok(learned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interop::{expect::tests::plan, peer::Maker, scenario::Kind};

    #[test]
    fn routes_of_providers_and_peers_go_to_customers_only_and_are_marked() {
        let with =
            |maker, index, role| PeerPlan { role, ..plan(maker, index, Kind::External, 65_001 + u32::from(index)) };
        let provider = with(Maker::Frr, 0, Some(Role::Provider));
        let customer = with(Maker::Bird, 1, Some(Role::Customer));
        let peer = with(Maker::Exabgp, 2, Some(Role::Peer));
        let plain = with(Maker::Gobgp, 3, None);
        assert_eq!(only_to_customer(&provider, &peer), Err(()));
        assert_eq!(only_to_customer(&provider, &customer), Ok(Some(65_001)));
        assert_eq!(only_to_customer(&peer, &plain), Ok(Some(65_003)));
        assert_eq!(only_to_customer(&plain, &peer), Ok(Some(65_000)));
        assert_eq!(only_to_customer(&customer, &provider), Ok(None));
    }

    #[test]
    fn the_as_of_a_session_is_in_the_path_as_configured() {
        let with = |index| PeerPlan {
            features: vec![Feature::LocalAs],
            router_as: features::LOCAL_AS,
            ..plan(Maker::Frr, index, Kind::External, 65_001 + u32::from(index))
        };
        let plain = Offer::default();
        assert_eq!(path(&with(1), &with(0), &plain), "4200000999 65000 65002");
        assert_eq!(path(&with(0), &with(2), &plain), "4200000999 4200000999 65001");
    }
}
