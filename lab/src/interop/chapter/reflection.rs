//! Route reflection (RFC 4456): who is told of whose routes, what is written into them, and what is a loop.

use std::net::Ipv4Addr;

use super::{Chapter, Hop};
use crate::interop::{
    expect::{LOCAL_PREFERENCE_DEFAULT, path_learned, unchanged},
    offer::{self, NO_ADVERTISE, Offer},
    peer::{PeerPlan, Session},
    router,
    scenario::Kind,
    seen::Seen,
};

/// Our cluster.
const CLUSTER: Ipv4Addr = Ipv4Addr::new(10, 113, 255, 9);
/// Who made a route that was reflected before, and by whom it was.
const ORIGINATOR: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 77);
const CLUSTERS: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2)];

/// See the module.
pub struct Reflection;

impl Chapter for Reflection {
    fn group(&self, neighbor: &PeerPlan, _session: &Session) -> String {
        if neighbor.kind == Kind::Client { format!("cluster {CLUSTER};") } else { String::new() }
    }

    fn offers(&self, _neighbor: &PeerPlan, changed: bool) -> Vec<Offer> {
        let mut offers = if changed { offer::changed() } else { offer::first() };
        let offer = |number, title, originator, clusters| Offer {
            number,
            title,
            originator: Some(originator),
            clusters,
            ..Offer::default()
        };
        offers.extend([
            offer(30, "reflected before", ORIGINATOR, CLUSTERS.to_vec()),
            offer(31, "reflected by our cluster before", ORIGINATOR, vec![CLUSTERS[0], CLUSTER]),
            offer(32, "made by ourselves", router::ID, CLUSTERS.to_vec()),
        ]);
        offers
    }

    fn told(&self, hop: &Hop<'_>, plain: Option<Seen>) -> Option<Seen> {
        let Hop { from, to, offer, .. } = *hop;
        // What another AS says of reflection is ignored (RFC 7606 §7.9, §7.10).
        if !from.is_internal() {
            return plain;
        }
        if offer.clusters.contains(&CLUSTER) || offer.originator == Some(router::ID) {
            return None;
        }
        if !to.is_internal() {
            return plain;
        }
        let reflected = from.kind == Kind::Client || to.kind == Kind::Client;
        if !reflected || offer.communities.contains(&NO_ADVERTISE) {
            return None;
        }
        let clusters = std::iter::once(CLUSTER).chain(offer.clusters.iter().copied());
        Some(Seen {
            path: path_learned(from, offer).join(" "),
            next_hop: hop.announced_from()?.to_string(),
            med: offer.med.or(from.maker.med_unset()),
            local_preference: Some(LOCAL_PREFERENCE_DEFAULT),
            originator: Some(offer.originator.unwrap_or_else(|| from.router_id()).to_string()),
            clusters: clusters.map(|cluster| cluster.to_string()).collect::<Vec<_>>().join(" "),
            ..unchanged(offer)
        })
    }
}
