//! `bfd-liveness-detection`: an interval, a whole key, and a single hop where no router passes packets on.

use std::collections::HashSet;

use super::{at, lacks};
use crate::{compile::Levels, error::Problem, limits::BFD_SESSIONS_MAX, tree::View};

/// RFC 5880 §6.7.4.
const KEY_OCTETS_MAX: usize = 20;

/// The statement of this place, if it has one.
pub(super) fn validate(place: View<'_>, problems: &mut Vec<Problem>) {
    let Some(stated) = place.get("bfd-liveness-detection") else { return };
    if !stated.has("minimum-interval") {
        let problem = lacks(stated, "minimum-interval", "how often packets are sent is not stated");
        problems.push(problem.allowed("minimum-interval 10..255000, in milliseconds"));
    }
    if stated.text("session-mode") == Some("single-hop")
        && let Some(minimum) = stated.get("minimum-ttl")
    {
        let message = "a single hop has a TTL of 255 and no other";
        problems.push(at(minimum, message).allowed("minimum-ttl of a session over several hops"));
    }
    let Some(authentication) = stated.get("authentication") else { return };
    for name in ["algorithm", "key-id", "key"] {
        if !authentication.has(name) {
            let problem = lacks(authentication, name, format!("authentication without {name}"));
            problems.push(problem.allowed("algorithm, key-id and key"));
        }
    }
    if let Some(key) = authentication.get("key").filter(|key| key.value().len() > KEY_OCTETS_MAX) {
        let message = format!("a key of {} octets", key.value().len());
        problems.push(at(key, message).allowed(format!("1 to {KEY_OCTETS_MAX} octets (RFC 5880 section 6.7.4)")));
    }
}

/// No more sessions than there can be: one for each neighbour and each next hop that is watched.
pub(super) fn count(top: View<'_>, problems: &mut Vec<Problem>) {
    let mut addresses = HashSet::new();
    let mut beyond = None;
    let mut watch = |stated: View<'_>, place: View<'_>| {
        addresses.insert(place.value().to_owned());
        if addresses.len() > BFD_SESSIONS_MAX && beyond.is_none() {
            beyond = Some((stated.span(), place.path()));
        }
    };
    let groups =
        top.at(&["protocols", "bgp"]).into_iter().flat_map(|bgp| bgp.all("group").map(move |group| (bgp, group)));
    for (bgp, group) in groups {
        for neighbor in group.all("neighbor") {
            if let Some(stated) = (Levels { bgp, group, neighbor }).nearest("bfd-liveness-detection") {
                watch(stated, neighbor);
            }
        }
    }
    for route in super::routing_options::static_routes(top) {
        if let Some(stated) = route.get("bfd-liveness-detection") {
            route.all("next-hop").for_each(|next_hop| watch(stated, next_hop));
        }
    }
    if let Some((span, path)) = beyond {
        let message = format!("{} BFD sessions are configured", addresses.len());
        let allowed = format!("at most {BFD_SESSIONS_MAX}: neighbors and next hops of static routes that are watched");
        problems.push(Problem::new(span, message).at(path).allowed(allowed));
    }
}
