//! Route leaks (RFC 9234 §5): a route that has once been told to a customer, a peer or a route server's client goes to
//! customers only from there on. ONLY_TO_CUSTOMER marks it, by whoever of two neighbours that know their roles comes first.

use crate::wire::Role;

/// What becomes of a received route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arrival {
    /// Nothing is to be done.
    AsItIs,
    /// It is to be marked with this AS.
    Marked(u32),
    /// It was told where it must not be told.
    Leak,
}

/// Judges a route that a neighbour told us, in the role that we have towards it (§5, ingress).
pub fn arrival(ours: Role, peer_as: u32, marked: Option<u32>) -> Arrival {
    match (ours.counterpart(), marked) {
        (Role::Customer | Role::RouteServerClient, Some(_)) => Arrival::Leak,
        (Role::Peer, Some(asn)) if asn != peer_as => Arrival::Leak,
        (Role::Provider | Role::Peer | Role::RouteServer, None) => Arrival::Marked(peer_as),
        _ => Arrival::AsItIs,
    }
}

/// May a route be told to a neighbour towards whom we have this role (§5, egress 2)?
pub fn may_depart(ours: Role, marked: bool) -> bool {
    !marked || matches!(ours.counterpart(), Role::Customer | Role::RouteServerClient)
}

/// Is a route that is told to that neighbour to be marked with our AS (§5, egress 1)?
pub fn marks(ours: Role) -> bool {
    matches!(ours.counterpart(), Role::Customer | Role::Peer | Role::RouteServerClient)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// §5 as a table: our role; a route without the mark, with the neighbour's, with another's.
    #[test]
    fn arrivals_are_those_of_the_rfc() {
        use Arrival::{AsItIs, Leak, Marked};
        for (ours, without, own, other) in [
            (Role::Provider, AsItIs, Leak, Leak),
            (Role::RouteServer, AsItIs, Leak, Leak),
            (Role::Customer, Marked(7), AsItIs, AsItIs),
            (Role::RouteServerClient, Marked(7), AsItIs, AsItIs),
            (Role::Peer, Marked(7), AsItIs, Leak),
        ] {
            let judged = [None, Some(7), Some(8)].map(|marked| arrival(ours, 7, marked));
            assert_eq!(judged, [without, own, other], "{ours}");
        }
    }

    #[test]
    fn departures_are_those_of_the_rfc() {
        for (ours, marked_departs, is_marked) in [
            (Role::Provider, true, true),
            (Role::RouteServer, true, true),
            (Role::Peer, false, true),
            (Role::Customer, false, false),
            (Role::RouteServerClient, false, false),
        ] {
            assert_eq!((may_depart(ours, true), marks(ours)), (marked_departs, is_marked), "{ours}");
            assert!(may_depart(ours, false));
        }
    }
}
