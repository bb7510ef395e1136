//! Communities that the router itself acts on (RFCs 1997, 3765, 7999, 8326).

use super::{Chapter, Hop, KernelRoute};
use crate::interop::{
    expect::LOCAL_PREFERENCE_DEFAULT,
    offer::{self, BLACKHOLE, Family, GRACEFUL_SHUTDOWN, NO_EXPORT, NO_EXPORT_SUBCONFED, NO_PEER, Offer},
    peer::{Maker, PeerPlan, Session},
    seen::Seen,
};

const SHUTTING_DOWN: u8 = 40;
const DISCARDED: u8 = 41;

/// See the module. GoBGP's sessions are about to go down, ExaBGP is our peer.
pub struct Communities;

impl Chapter for Communities {
    fn group(&self, neighbor: &PeerPlan, _session: &Session) -> String {
        let special = match neighbor.maker {
            Maker::Gobgp => "graceful-shutdown { sender; }",
            Maker::Exabgp if !neighbor.is_internal() => "role { peer; }",
            _ => "",
        };
        let blackhole = if neighbor.is_internal() { "" } else { "blackhole;" };
        format!("{blackhole} {special}")
    }

    fn offers(&self, _neighbor: &PeerPlan, changed: bool) -> Vec<Offer> {
        let mut offers = if changed { offer::changed() } else { offer::first() };
        let offer =
            |number, title, community| Offer { number, title, communities: vec![community], ..Offer::default() };
        offers.extend([
            offer(SHUTTING_DOWN, "graceful-shutdown", GRACEFUL_SHUTDOWN),
            offer(DISCARDED, "blackhole", BLACKHOLE),
            offer(42, "no-peer", NO_PEER),
            offer(43, "no-export-subconfed", NO_EXPORT_SUBCONFED),
        ]);
        offers
    }

    fn told(&self, hop: &Hop<'_>, plain: Option<Seen>) -> Option<Seen> {
        let Hop { from, to, offer, session } = *hop;
        let carries = |community| offer.communities.contains(&community);
        let discarded = carries(BLACKHOLE) && !from.is_internal();
        let stays = discarded || carries(NO_EXPORT_SUBCONFED);
        let is_peer = to.maker == Maker::Exabgp && !to.is_internal();
        let mut seen = plain.filter(|_| to.is_internal() || !stays).filter(|_| !(is_peer && carries(NO_PEER)))?;
        if discarded {
            seen.communities.push(NO_EXPORT);
            // Packets for it are dropped here: whoever sends them may send them to us.
            seen.next_hop = session.router.to_string();
        }
        // FRR does what the RFC wants of whoever lets such a route in (RFC 7999 §3.2), and shows it.
        if carries(BLACKHOLE) && to.maker == Maker::Frr && !to.is_internal() {
            seen.communities.push(NO_EXPORT);
        }
        // RFC 9234 §5: what a peer has told is for customers only.
        let from_peer = from.maker == Maker::Exabgp && !from.is_internal();
        seen.only_to_customer =
            from_peer.then_some(from.autonomous_system).filter(|_| to.maker.shows_only_to_customer());
        let goes = to.maker == Maker::Gobgp;
        if goes && !carries(GRACEFUL_SHUTDOWN) {
            seen.communities.push(GRACEFUL_SHUTDOWN);
        }
        let last = goes || carries(GRACEFUL_SHUTDOWN) && !from.is_internal();
        seen.local_preference = to.is_internal().then_some(if last { 0 } else { LOCAL_PREFERENCE_DEFAULT });
        Some(seen)
    }

    fn kernel(&self, all: &[PeerPlan], _changed: bool) -> Vec<KernelRoute> {
        let discarded = |plan: &PeerPlan| {
            Family::ALL.map(|family| KernelRoute {
                prefix: offer::prefix(family, plan.index, DISCARDED),
                words: vec!["blackhole".into()],
            })
        };
        all.iter().filter(|plan| !plan.is_internal()).flat_map(discarded).collect()
    }
}
