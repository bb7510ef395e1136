//! Which of our addresses is the next hop in what a neighbour is told, and what a follower has to hear of that.
//!
//! What is told under an address of ours is noted as [`ourselves`]: the address is another one on each link, all else is the same. Behind
//! the notes of one neighbour stands the address under which they were told. A follower sees the same links and addresses, but sooner or later
//! than the primary: only the primary knows under which address it was when it told something. So this is a fact, of the session and of each change.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use holdfast_proto::v1::{BgpEvent, BgpOwnNextHop, bgp_event};
use holdfast_rib::{Family, Rib};

use crate::wire::NextHop;

use super::action::Action;
use super::attributes::AttributeSet;
use super::group::ourselves;
use super::neighbor::Neighbor;
use super::table::NeighborId;
use super::{Speaker, facts};

/// Our own addresses towards a neighbour: what "next hop self" means there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct OwnAddresses {
    /// For IPv4 routes.
    pub v4: Option<Ipv4Addr>,
    /// For IPv6 routes.
    pub v6: Option<Ipv6Addr>,
    /// The neighbour takes IPv6 next hops of IPv4 routes (RFC 8950).
    pub extended: bool,
    /// And the session itself runs over IPv6, so that our IPv6 address stands for us in IPv4 routes as well.
    pub by_ipv6: bool,
    /// Our link-local address beside the global one, in a session over link-local addresses (RFC 2545 §3).
    pub v6_link_local: Option<Ipv6Addr>,
}

impl OwnAddresses {
    /// As next hop of one family's routes.
    pub fn next_hop(&self, family: Family) -> Option<NextHop> {
        match family {
            Family::Ipv4Unicast if !self.by_ipv6 => self.v4.map(NextHop::V4),
            Family::Ipv4Unicast | Family::Ipv6Unicast => {
                self.v6.map(|global| NextHop::V6 { global, link_local: self.v6_link_local })
            }
        }
    }

    /// Whether the neighbour understands this next hop of the family's routes.
    pub fn understands(&self, family: Family, next_hop: &NextHop) -> bool {
        next_hop.fits(family, self.extended)
    }

    /// The next hop that this neighbour is told for attributes that are noted for it; none: we have no address there.
    pub fn told(&self, family: Family, set: AttributeSet<'_>) -> Option<NextHop> {
        if set.leads_to_ourselves() { self.next_hop(family) } else { Some(set.next_hop()) }
    }
}

impl Neighbor {
    /// Next hops that name ourselves on this session, per family: our end of it, or what the shared link has.
    pub fn own_addresses(&self, rib: &Rib) -> OwnAddresses {
        let local = self.up.as_ref().map(|up| up.local.ip().to_canonical());
        let link = self.link(rib);
        let of_link = |wanted: fn(&IpAddr) -> bool| {
            let on_link = link.into_iter().flat_map(|index| rib.interface_addresses(index));
            on_link.map(|address| address.addr()).find(wanted)
        };
        let v4 = local.filter(IpAddr::is_ipv4).or_else(|| of_link(IpAddr::is_ipv4));
        let global = local.filter(is_global_v6).or_else(|| of_link(is_global_v6));
        // RFC 2545 §3 wants it beside the global one on every shared link. A neighbour that was configured by a global address may
        // know nothing of its interfaces (FRR's bgpd without zebra), and then ends the session over such a next hop; the global
        // address alone leads to the same place. Who peers by link-local addresses knows the link.
        let link_local = local.filter(is_link_local);
        let v6 = |address: Option<IpAddr>| match address {
            Some(IpAddr::V6(address)) => Some(address),
            _ => None,
        };
        let extended = self.up.as_ref().is_some_and(|up| up.negotiated.extended_next_hop);
        OwnAddresses {
            extended,
            by_ipv6: extended && local.is_some_and(|local| local.is_ipv6()),
            v4: match v4 {
                Some(IpAddr::V4(address)) => Some(address),
                _ => None,
            },
            // A link without global addresses has a link-local one in both places. An IPv4 session over such a link has none.
            v6: v6(global.or_else(|| local.filter(is_link_local))),
            v6_link_local: v6(link_local),
        }
    }

    /// A session is up, nothing is told in it yet.
    pub fn begin_telling(&mut self, rib: &Rib) {
        let own = self.own_addresses(rib);
        self.told_under = Family::ALL.map(|family| own.next_hop(family));
    }

    /// A next hop as it is noted for this neighbour: our own address as what stands for it; another router's link-local address
    /// beside its global one where ours would stand beside ours.
    pub fn noted(&self, family: Family, next_hop: NextHop) -> NextHop {
        let own = self.told_under[family.index()].map(|own| own.address());
        match next_hop {
            _ if own == Some(next_hop.address()) => ourselves(family),
            NextHop::V6 { global, .. } if self.own.v6_link_local.is_none() => NextHop::V6 { global, link_local: None },
            _ => next_hop,
        }
    }

    /// The address under which it is told, for a follower; empty: there has been none yet in its session.
    pub fn told_under_fact(&self, family: Family) -> Vec<u8> {
        self.told_under[family.index()].as_ref().map(octets).unwrap_or_default()
    }

    /// The inverse. `None`: the primary, of an older version, does not say; then our own view of the link has to do.
    pub fn adopt_told_under(&mut self, family: Family, told: Option<&[u8]>) {
        if let Some(octets) = told {
            self.told_under[family.index()] = NextHop::decode(octets);
        }
    }
}

impl Speaker {
    /// With links and their addresses ours may have changed under which routes of the other family are told. True: neighbours may
    /// have to be told something.
    pub fn follow_links(&mut self, rib: &mut Rib) -> bool {
        if std::mem::replace(&mut self.links_seen, rib.link_changes()) == rib.link_changes() {
            return false;
        }
        let mut moved = false;
        for id in self.neighbor_ids() {
            self.renew_scope(id, rib);
            let Some(neighbor) = self.get(id).filter(|neighbor| neighbor.up.is_some()) else { continue };
            if neighbor.own != neighbor.own_addresses(rib) {
                self.assign_group(id, rib);
                self.advertise_anew(id);
                moved = true;
            }
        }
        moved
    }

    /// Our addresses towards a neighbour are these now. Where what it was told means something else by that, it is told again: what is
    /// noted stays the same. An address that is back as it was, or the first one, changes nothing.
    pub(super) fn set_own_addresses(&mut self, id: NeighborId, own: OwnAddresses) {
        if let Some(neighbor) = self.get_mut(id) {
            neighbor.own = own;
        }
        if self.following {
            return; // it was told under the primary's
        }
        for family in Family::ALL {
            let Some(neighbor) = self.get(id).filter(|neighbor| neighbor.up.is_some()) else { return };
            let address = neighbor.address;
            let Some(now) = own.next_hop(family) else { continue };
            if neighbor.told_under[family.index()] != Some(now) {
                self.tell_under(id, family, now);
                let fact = BgpOwnNextHop { family: family.name().into(), next_hop: octets(&now) };
                let event = BgpEvent { event: Some(bgp_event::Event::OwnNextHop(fact)) };
                self.actions.push_back(Action::Replicate(Box::new(facts::event(address, &event))));
            }
        }
    }

    /// From now on a neighbour is told under this address what is noted as ourselves.
    fn tell_under(&mut self, id: NeighborId, family: Family, now: NextHop) {
        let Some(neighbor) = self.get_mut(id) else { return };
        let before = neighbor.told_under[family.index()].replace(now);
        if before.is_some_and(|before| before != now) {
            self.refresh_requested(id, family);
        }
    }

    /// The primary tells under another address, or under the first one that it has there.
    pub(super) fn adopt_own_next_hop(&mut self, id: NeighborId, family: Family, told: &BgpOwnNextHop) {
        if let Some(now) = NextHop::decode(&told.next_hop) {
            self.tell_under(id, family, now);
        }
    }
}

/// As facts have it.
fn octets(next_hop: &NextHop) -> Vec<u8> {
    let mut octets = Vec::with_capacity(next_hop.mp_len());
    next_hop.encode_mp(&mut octets);
    octets
}

fn is_link_local(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

fn is_global_v6(address: &IpAddr) -> bool {
    address.is_ipv6() && !is_link_local(address)
}
