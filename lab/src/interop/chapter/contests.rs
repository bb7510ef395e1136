//! Several paths to one destination: which is the best one, by MED and the rest, which are used together, and whose neighbours hear
//! of a path that is not in use.

use super::{Chapter, Hop, KernelRoute};
use crate::interop::{
    offer::{Family, Offer, Origin},
    peer::{Maker, PeerPlan, Session},
    seen::Seen,
};

/// FRR and BIRD are of one AS.
const COMMON_AS: u32 = 64_700;
/// A destination to which the router has a static route.
const STATIC: u8 = 110;

/// See the module. `always`: MEDs of all ASes compare; and it is GoBGP that hears of inactive routes, not ExaBGP.
pub struct Contests {
    /// See above.
    pub always: bool,
}

/// Path lengths, MEDs and so on, for one destination: of FRR, BIRD, GoBGP, ExaBGP.
type Paths = [Option<Offer>; 4];

fn med(value: u32) -> Option<Offer> {
    Some(Offer { med: Some(value), ..Offer::default() })
}

fn longer(path: &[u32]) -> Option<Offer> {
    Some(Offer { path: path.to_vec(), med: Some(5), ..Offer::default() })
}

fn origin(origin: Origin) -> Option<Offer> {
    Some(Offer { origin, med: Some(5), ..Offer::default() })
}

fn paths(changed: bool) -> Vec<(u8, &'static str, Paths)> {
    let b = |one: u32, other: u32| med(if changed { other } else { one });
    vec![
        (100, "MEDs within an AS", [b(10, 5), b(5, 10), None, None]),
        (101, "MEDs of two ASes", [med(9), None, b(1, 20), None]),
        (102, "MEDs of three paths, two of one AS", [med(10), med(5), b(7, 8), None]),
        (103, "path length before MED", [longer(&[64_801]), longer(&[64_801, 64_802]), med(900), None]),
        (104, "origin before MED", [origin(Origin::Incomplete), origin(Origin::Egp), b(800, 700), None]),
        (105, "equal paths of one AS", [med(5), med(5), None, None]),
        (106, "equal paths, one of another AS", [med(5), med(5), med(5), None]),
        (STATIC, "beside a static route", [None, med(5), None, None]),
    ]
}

impl Chapter for Contests {
    fn options(&self) -> &'static str {
        "    static { route 172.31.110.0/24 discard; }
    rib inet6.0 { static { route 2001:db8:10f:6e::/64 discard; } }
"
    }

    fn protocol(&self) -> &'static str {
        if self.always {
            "path-selection { always-compare-med; } multipath { multiple-as; maximum-paths 8; }\n"
        } else {
            "multipath { maximum-paths 8; }\n"
        }
    }

    fn group(&self, neighbor: &PeerPlan, _session: &Session) -> String {
        if self.hears_inactive(neighbor) { "advertise-inactive;".into() } else { String::new() }
    }

    fn autonomous_system(&self, maker: Maker, usual: u32) -> u32 {
        if matches!(maker, Maker::Frr | Maker::Bird) { COMMON_AS } else { usual }
    }

    fn offers(&self, neighbor: &PeerPlan, changed: bool) -> Vec<Offer> {
        let own = |(number, title, paths): (u8, &'static str, Paths)| {
            let offer = paths.into_iter().nth(neighbor.maker as usize)??;
            // By which it is known.
            let communities = vec![65_000 << 16 | u32::from(neighbor.index)];
            Some(Offer { number, title, shared: true, communities, ..offer })
        };
        paths(changed).into_iter().filter_map(own).collect()
    }

    fn told(&self, hop: &Hop<'_>, plain: Option<Seen>) -> Option<Seen> {
        let inactive = hop.offer.number == STATIC;
        let is_loop = !hop.to.is_internal() && hop.from.autonomous_system == hop.to.autonomous_system;
        plain.filter(|_| !is_loop && (!inactive || self.hears_inactive(hop.to)))
    }

    fn metrics_compare_always(&self) -> bool {
        self.always
    }

    fn kernel(&self, all: &[PeerPlan], _changed: bool) -> Vec<KernelRoute> {
        let together = |number: u8, makers: &[Maker]| {
            Family::ALL.map(|family| KernelRoute {
                prefix: Offer { number, shared: true, ..Offer::default() }.prefix(family, 0),
                words: (all.iter().filter(|plan| makers.contains(&plan.maker)))
                    .flat_map(|plan| plan.sessions.iter().find(|session| session.family == family))
                    .map(|session| format!("via {}", session.local))
                    .collect(),
            })
        };
        let two: &[Maker] = &[Maker::Frr, Maker::Bird];
        let three: &[Maker] = &[Maker::Frr, Maker::Bird, Maker::Gobgp];
        [together(105, two), together(106, if self.always { three } else { two })].concat()
    }
}

impl Contests {
    fn hears_inactive(&self, neighbor: &PeerPlan) -> bool {
        neighbor.maker == if self.always { Maker::Gobgp } else { Maker::Exabgp }
    }
}
