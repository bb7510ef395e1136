//! What rpd wants: the `Program` stream, decoded and noted.

use holdfast_proto::v1;
use holdfast_rib::{ForwardingNexthop, Gateway, PrefixId};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::contents;
use super::plan::Plan;
use super::{FAMILIES, Fib};

fn address(octets: &[u8]) -> Option<IpAddr> {
    match octets.len() {
        4 => Some(Ipv4Addr::from(*octets.first_chunk::<4>()?).into()),
        16 => Some(Ipv6Addr::from(*octets.first_chunk::<16>()?).into()),
        _ => None,
    }
}

fn prefix_of(route: &v1::FibRoute) -> Option<IpNet> {
    let length = u8::try_from(route.length).ok()?;
    Some(match address(&route.address)? {
        IpAddr::V4(address) => Ipv4Net::new(address, length).ok()?.trunc().into(),
        IpAddr::V6(address) => Ipv6Net::new(address, length).ok()?.trunc().into(),
    })
}

/// Brings gateways into the form that has one spelling only: sorted, each way out once, weights from 1, and a single
/// one weighing 1 (the kernel keeps weights only in groups).
pub(super) fn normalize(mut gateways: Vec<Gateway>) -> ForwardingNexthop {
    gateways.sort();
    gateways.dedup_by(|next, kept| {
        let same = (next.address, next.interface_index) == (kept.address, kept.interface_index);
        if same {
            kept.weight = kept.weight.saturating_add(next.weight);
        }
        same
    });
    if let [single] = gateways.as_mut_slice() {
        single.weight = 1;
    }
    ForwardingNexthop::Unicast(gateways.into())
}

/// The next hop that a definition means.
pub(super) fn content_of(definition: &v1::FibNexthop) -> Result<ForwardingNexthop, String> {
    let refused = |why: String| Err(format!("nexthop {}: {why}", definition.id));
    match definition.kind() {
        v1::fib_nexthop::Kind::Discard => return Ok(ForwardingNexthop::Discard),
        v1::fib_nexthop::Kind::Reject => return Ok(ForwardingNexthop::Reject),
        v1::fib_nexthop::Kind::Unicast => {}
    }
    let mut gateways = Vec::with_capacity(definition.gateways.len());
    for gateway in &definition.gateways {
        let to = address(&gateway.address);
        if to.is_none() && !gateway.address.is_empty() {
            return refused(format!("a gateway of {} octets; 0, 4 or 16 are possible", gateway.address.len()));
        }
        if gateway.interface_index == 0 {
            return refused("a gateway without interface".into());
        }
        let weight = u16::try_from(gateway.weight.max(1)).unwrap_or(u16::MAX);
        gateways.push(Gateway { address: to, interface_index: gateway.interface_index, weight });
    }
    if gateways.is_empty() {
        return refused("unicast without a gateway".into());
    }
    Ok(normalize(gateways))
}

impl Fib {
    /// A new `Program` stream begins: its sender has ids of its own, and what it does not mention by its end of
    /// synchronization is not desired any more. Until then everything stays.
    pub fn begin_stream(&mut self) {
        self.earlier_senders.extend(self.sender.drain().map(|(_, content)| content));
        self.tables.iter_mut().for_each(|table| table.confirmed.clear());
    }

    /// Takes a definition in.
    pub fn define_nexthop(&mut self, definition: &v1::FibNexthop) -> Result<(), String> {
        let content = self.contents.intern(content_of(definition)?);
        self.contents.retain(content);
        if let Some(before) = self.sender.insert(definition.id, content) {
            self.contents.release(before);
        }
        Ok(())
    }

    /// The sender's id has no meaning any more.
    pub fn release_nexthop(&mut self, id: u32) {
        if let Some(content) = self.sender.remove(&id) {
            self.contents.release(content);
        }
    }

    /// Notes one route, and plans it where `plan` is given.
    pub fn want_route(&mut self, route: &v1::FibRoute, plan: Option<&mut Plan>) -> Result<(), String> {
        let Some(prefix) = prefix_of(route) else {
            return Err(format!("a prefix of {} octets with length {}", route.address.len(), route.length));
        };
        let desired = match route.nexthop_id {
            0 => contents::NOTHING,
            id => *self.sender.get(&id).ok_or_else(|| format!("{prefix}: nexthop {id} is not defined"))?,
        };
        let family = Self::family_of(&prefix);
        let id = self.tables[family].enter(prefix);
        self.tables[family].confirmed.set(id, true);
        let (_, object) = self.tables[family].row(id);
        self.set_row(family, id, desired, object);
        match plan {
            Some(plan) if self.tables[family].prefix(id) == Some(prefix) => self.plan_row(family, id, plan),
            _ => Ok(()),
        }
    }

    /// The sender's table is complete: what it did not mention is not desired.
    pub fn end_of_sync(&mut self) {
        for (family, _) in FAMILIES.iter().enumerate() {
            for id in (0..self.tables[family].capacity()).map(PrefixId) {
                let (desired, object) = self.tables[family].row(id);
                if desired != contents::NOTHING && !self.tables[family].confirmed.get(id) {
                    self.set_row(family, id, contents::NOTHING, object);
                }
            }
        }
        for content in std::mem::take(&mut self.earlier_senders) {
            self.contents.release(content);
        }
        self.complete = true;
    }

    /// Nothing is desired any more (the router is taken down with all it has put into the kernel).
    pub fn want_nothing(&mut self) {
        self.begin_stream();
        self.end_of_sync();
    }
}
