//! A route server (RFC 7947): its clients hear of each other as if it were not there, and each is told the best path that it may have.

use super::{Chapter, Hop};
use crate::interop::{
    decide,
    expect::{Rival, path_learned},
    offer::{self, Offer},
    peer::{Maker, PeerPlan, Session},
    seen::Seen,
};

/// What the operator of ExaBGP's AS does not want to be told.
const UNWANTED: u32 = 65_000 << 16 | 77;

/// See the module.
pub struct RouteServer;

impl Chapter for RouteServer {
    fn policies(&self) -> &'static str {
        "policy-options {
    community UNWANTED members 65000:77;
    policy-statement TO-EXABGP { term unwanted { from community UNWANTED; then reject; } }
}
"
    }

    fn group(&self, neighbor: &PeerPlan, _session: &Session) -> String {
        let export = if neighbor.maker == Maker::Exabgp { "export TO-EXABGP;" } else { "" };
        format!("route-server-client; {export}")
    }

    /// Beside its own routes each has paths of its own to two destinations that everybody has; the best paths of the one are the worst
    /// of the other.
    fn offers(&self, neighbor: &PeerPlan, changed: bool) -> Vec<Offer> {
        let mut offers = if changed { offer::changed() } else { offer::first() };
        let place = neighbor.maker as usize;
        let places = if changed { [3 - place, place] } else { [place, 3 - place] };
        for (number, longer) in (100..).zip(places) {
            let path = (0..=longer).map(|n| 64_800 + u32::try_from(n).unwrap_or_default()).collect();
            let communities = if longer == 0 { vec![UNWANTED] } else { Vec::new() };
            offers.push(Offer { shared: true, number, title: "shared", path, communities, ..Offer::default() });
        }
        offers
    }

    fn told(&self, hop: &Hop<'_>, plain: Option<Seen>) -> Option<Seen> {
        let unwanted = hop.to.maker == Maker::Exabgp && hop.offer.communities.contains(&UNWANTED);
        Some(Seen {
            path: path_learned(hop.from, hop.offer).join(" "),
            next_hop: hop.announced_from()?.to_string(),
            med: hop.offer.med.or(hop.from.maker.med_unset()),
            ..plain.filter(|_| !unwanted)?
        })
    }

    /// RFC 7947 §2.3.
    fn choose(&self, to: &PeerPlan, rivals: &[Rival<'_>]) -> Vec<usize> {
        let places: Vec<usize> = (0..rivals.len()).filter(|place| rivals[*place].is_told(to)).collect();
        let may_have: Vec<Rival<'_>> = places.iter().map(|place| rivals[*place].clone()).collect();
        decide::best(&may_have, false).map(|best| places[best]).into_iter().collect()
    }
}
