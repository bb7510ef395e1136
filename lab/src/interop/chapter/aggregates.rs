//! Aggregates (RFC 4271 §9.2.2.2): what is put together of the routes of two neighbours, as the two others see it.

use std::collections::BTreeSet;

use super::Chapter;
use crate::interop::{
    offer::{Offer, Origin},
    peer::{Maker, PeerPlan, Session},
    router,
    seen::Seen,
};

/// See the module. `turned`: GoBGP and ExaBGP contribute, FRR and BIRD look; else the other way round.
pub struct Aggregates {
    /// See above.
    pub turned: bool,
}

/// Communities of the contributing routes.
const MARKS: [u32; 2] = [65_000 << 16 | 201, 65_000 << 16 | 202];

impl Aggregates {
    /// The neighbour's place among those that contribute.
    fn place(&self, neighbor: &PeerPlan) -> Option<usize> {
        let makers = if self.turned { [Maker::Gobgp, Maker::Exabgp] } else { [Maker::Frr, Maker::Bird] };
        makers.into_iter().position(|maker| maker == neighbor.maker)
    }
}

/// One of the contributing routes, in the lower half of its number's prefix: with AS_SET, in the upper one: without.
fn contribution(number: u8, place: usize, tail: &[u32]) -> Offer {
    let path = std::iter::once(64_900).chain(tail.iter().copied()).collect();
    let origin = if place == 0 { Origin::Igp } else { Origin::Incomplete };
    let communities = vec![MARKS[place]];
    Offer { number, shared: true, title: "contributing", path, origin, communities, ..Offer::default() }
}

impl Chapter for Aggregates {
    fn options(&self) -> &'static str {
        "    aggregate { route 172.31.128.0/18 { as-set; } route 172.31.192.0/18 discard; }
    rib inet6.0 { aggregate { route 2001:db8:10f:80::/58 { as-set; } route 2001:db8:10f:c0::/58 discard; } }
"
    }

    fn policies(&self) -> &'static str {
        "policy-options { policy-statement OWN { term own { from { protocol aggregate; } then accept; } } }\n"
    }

    fn group(&self, _neighbor: &PeerPlan, _session: &Session) -> String {
        "export OWN;".into()
    }

    /// When it is changed the second one contributes nothing any more to the first aggregate.
    fn offers(&self, neighbor: &PeerPlan, changed: bool) -> Vec<Offer> {
        let Some(place) = self.place(neighbor) else { return Vec::new() };
        let mut offers = vec![contribution(200 + place as u8, place, &[64_910])];
        if place == 0 || !changed {
            offers.push(contribution(130 + place as u8, place, &[64_920 + place as u32, 64_930]));
        }
        offers
    }

    fn own(&self, to: &PeerPlan, session: &Session, all: &[PeerPlan], changed: bool) -> Vec<(String, Seen)> {
        let (with_set, without) = session
            .family
            .pick(("172.31.128.0/18", "172.31.192.0/18"), ("2001:db8:10f:80::/58", "2001:db8:10f:c0::/58"));
        let contributors: Vec<&PeerPlan> = all.iter().filter(|plan| self.place(plan).is_some()).collect();
        let told = |path: String| Seen {
            path,
            next_hop: session.router.to_string(),
            origin: Origin::Incomplete,
            aggregator: Some(format!("{} {}", router::AUTONOMOUS_SYSTEM, router::ID)),
            ..Seen::default()
        };
        let first = contributors.iter().find(|plan| self.place(plan) == Some(0)).map(|plan| plan.autonomous_system);
        let mut set = Seen { communities: MARKS.to_vec(), ..told(String::new()) };
        if changed {
            set.path = format!("65000 {} 64900 64920 64930", first.unwrap_or_default());
            (set.origin, set.communities) = (Origin::Igp, vec![MARKS[0]]);
        } else {
            let numbers =
                contributors.iter().map(|plan| plan.autonomous_system).chain([64_900, 64_920, 64_921, 64_930]);
            let numbers: Vec<String> = numbers.collect::<BTreeSet<_>>().iter().map(u32::to_string).collect();
            set.path = format!("65000 {{{}}}", numbers.join(" "));
        }
        let mut out = vec![(without.to_owned(), Seen { atomic: true, ..told("65000".into()) })];
        // To those who contribute it is a loop: their own number is in it.
        let is_in_it = self.place(to) == Some(0) || self.place(to).is_some() && !changed;
        let is_loop = is_in_it && !to.maker.shows_loops();
        if !is_loop {
            out.push((with_set.to_owned(), set));
        }
        out
    }
}
