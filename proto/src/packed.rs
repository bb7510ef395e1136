//! Routes of a [`FibBatch`], packed: a table of a million has one allocation for each batch and not for each route.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::v1::FibBatch;

/// Octets behind the address: the length, and the next hop's number.
const REST: usize = 5;
const ROUTE_4: usize = 4 + REST;
const ROUTE_6: usize = 16 + REST;

/// One packed route: network address, prefix length, the next hop's number (0: remove it).
pub type PackedRoute = (IpAddr, u8, u32);

impl FibBatch {
    /// Adds a route.
    pub fn pack(&mut self, (address, length, nexthop_id): PackedRoute) {
        let packed = match address {
            IpAddr::V4(address) => {
                self.routes_ipv4.extend_from_slice(&address.octets());
                &mut self.routes_ipv4
            }
            IpAddr::V6(address) => {
                self.routes_ipv6.extend_from_slice(&address.octets());
                &mut self.routes_ipv6
            }
        };
        packed.push(length);
        packed.extend_from_slice(&nexthop_id.to_be_bytes());
    }

    /// The packed routes. What is left over at an end is no route.
    pub fn packed(&self) -> impl Iterator<Item = PackedRoute> + '_ {
        let v4 = self.routes_ipv4.chunks_exact(ROUTE_4).filter_map(|octets| {
            let address = Ipv4Addr::from(*octets.first_chunk::<4>()?);
            rest(octets.last_chunk()?, address.into())
        });
        let v6 = self.routes_ipv6.chunks_exact(ROUTE_6).filter_map(|octets| {
            let address = Ipv6Addr::from(*octets.first_chunk::<16>()?);
            rest(octets.last_chunk()?, address.into())
        });
        v4.chain(v6)
    }

    /// Whether the packed routes are whole.
    pub fn is_packed_well(&self) -> bool {
        self.routes_ipv4.len().is_multiple_of(ROUTE_4) && self.routes_ipv6.len().is_multiple_of(ROUTE_6)
    }

    /// Whether it says nothing of routes.
    pub fn has_no_routes(&self) -> bool {
        self.routes.is_empty() && self.routes_ipv4.is_empty() && self.routes_ipv6.is_empty()
    }
}

fn rest(octets: &[u8; REST], address: IpAddr) -> Option<PackedRoute> {
    let [length, id @ ..] = *octets;
    Some((address, length, u32::from_be_bytes(id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_come_back_as_they_were() {
        let routes: [PackedRoute; 3] = [
            ("192.0.2.0".parse().unwrap(), 24, 7),
            ("0.0.0.0".parse().unwrap(), 0, 0),
            ("2001:db8::".parse().unwrap(), 128, u32::MAX),
        ];
        let mut batch = FibBatch::default();
        assert!(batch.has_no_routes());
        routes.iter().for_each(|route| batch.pack(*route));
        assert_eq!(batch.packed().collect::<Vec<_>>(), routes);
        assert!(batch.is_packed_well() && !batch.has_no_routes());
        batch.routes_ipv4.pop();
        assert_eq!(batch.packed().count(), 2);
        assert!(!batch.is_packed_well());
    }
}
