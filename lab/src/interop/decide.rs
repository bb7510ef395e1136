//! Which of several routes to one destination the router must prefer (RFC 4271 §9.1), as far as the scenarios need it: written
//! anew, because the lab believes nobody.

use super::{expect::Rival, offer::Offer, peer::PeerPlan};

/// What decides, in order; less is better.
type Rank = (std::cmp::Reverse<u32>, usize, u8);

/// The place of the best one. `always`: MEDs of different ASes compare, too.
pub fn best(rivals: &[Rival<'_>], always: bool) -> Option<usize> {
    let left = (0..rivals.len()).filter(|place| {
        let beats = |other: &Rival<'_>| by_metric(other, &rivals[*place], always);
        rivals[*place].is_usable() && !rivals.iter().any(|other| other.is_usable() && beats(other))
    });
    left.min_by_key(|place| {
        let rival = &rivals[*place];
        (rank(rival), rival.from.is_internal(), rival.from.router_id(), rival.offer.path_id)
    })
}

/// RFC 4271 §9.1.2.2, up to the MED; a set counts one.
fn rank(rival: &Rival<'_>) -> Rank {
    let own = usize::from(!rival.from.is_internal());
    let length = own + rival.offer.path.len() + usize::from(!rival.offer.set.is_empty());
    (std::cmp::Reverse(rival.local_preference), length, rival.offer.origin as u8)
}

/// One strikes the other out by its MED; none counts as 0.
fn by_metric(one: &Rival<'_>, other: &Rival<'_>, always: bool) -> bool {
    let comparable = always || neighboring(one.from, one.offer) == neighboring(other.from, other.offer);
    let metric = |rival: &Rival<'_>| rival.offer.med.or(rival.from.maker.med_unset()).unwrap_or(0);
    comparable && rank(one) == rank(other) && metric(one) < metric(other)
}

/// The AS from which a route was learned.
fn neighboring(from: &PeerPlan, offer: &Offer) -> Option<u32> {
    if from.is_internal() { offer.path.first().copied() } else { Some(from.autonomous_system) }
}
