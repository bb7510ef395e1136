//! What rpd wants: the `Program` stream, decoded and noted.

use holdfast_proto::{PackedRoute, v1};
use holdfast_rib::{ForwardingNexthop, Gateway};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::contents;
use super::objects;
use super::plan::Plan;
use super::table::Mark;
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

pub(super) fn gateway_of(gateway: &v1::FibGateway) -> Result<Gateway, String> {
    let to = address(&gateway.address);
    if to.is_none() && !gateway.address.is_empty() {
        return Err(format!("a gateway of {} octets; 0, 4 or 16 are possible", gateway.address.len()));
    }
    if gateway.interface_index == 0 {
        return Err("a gateway without interface".into());
    }
    let weight = u16::try_from(gateway.weight.max(1)).unwrap_or(u16::MAX);
    Ok(Gateway { address: to, interface_index: gateway.interface_index, weight })
}

/// The next hop that a definition means.
pub(super) fn content_of(definition: &v1::FibNexthop) -> Result<ForwardingNexthop, String> {
    let refused = |why: String| format!("nexthop {}: {why}", definition.id);
    match definition.kind() {
        v1::fib_nexthop::Kind::Discard => return Ok(ForwardingNexthop::Discard),
        v1::fib_nexthop::Kind::Reject => return Ok(ForwardingNexthop::Reject),
        v1::fib_nexthop::Kind::Unicast => {}
    }
    let gateways = definition.gateways.iter().map(gateway_of).collect::<Result<Vec<_>, _>>().map_err(refused)?;
    if gateways.is_empty() {
        return Err(refused("unicast without a gateway".into()));
    }
    let Some(backup) = &definition.backup else { return Ok(normalize(gateways)) };
    protected(gateways, gateway_of(backup).map_err(refused)?).map_err(refused)
}

fn protected(gateways: Vec<Gateway>, backup: Gateway) -> Result<ForwardingNexthop, String> {
    let [primary] = gateways.as_slice() else {
        return Err(format!("a backup for {} gateways; it is possible for one alone", gateways.len()));
    };
    let [primary, backup] = [*primary, backup].map(|gateway| Gateway { weight: 1, ..gateway });
    match primary == backup {
        true => Err("its backup is its gateway; another interface's or neighbour's is needed".into()),
        false => Ok(ForwardingNexthop::Protected { primary, backup }),
    }
}

impl Fib {
    /// A new `Program` stream begins: its sender has ids of its own, and what it does not mention by its end of
    /// synchronization is not desired any more. Until then everything stays.
    pub fn begin_stream(&mut self) {
        self.earlier_senders.extend(self.sender.drain().map(|(_, content)| content));
        self.tables.iter_mut().for_each(|table| table.clear(Mark::Confirmed));
    }

    /// Takes a definition in.
    pub fn define_nexthop(&mut self, definition: &v1::FibNexthop) -> Result<(), String> {
        let content = self.contents.intern(content_of(definition)?);
        self.contents.retain(content);
        // Where that is new no route desires it yet: the sums stay true.
        let _ = self.put_in_force(content);
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
        match prefix_of(route) {
            Some(prefix) => self.want(prefix, route.nexthop_id, plan),
            None => Err(format!("a prefix of {} octets with length {}", route.address.len(), route.length)),
        }
    }

    /// The same for one that came packed.
    pub fn want_packed(
        &mut self,
        (address, length, nexthop_id): PackedRoute,
        plan: Option<&mut Plan>,
    ) -> Result<(), String> {
        match IpNet::new(address, length) {
            Ok(prefix) => self.want(prefix.trunc(), nexthop_id, plan),
            Err(_) => Err(format!("a prefix {address}/{length}")),
        }
    }

    fn want(&mut self, prefix: IpNet, nexthop_id: u32, plan: Option<&mut Plan>) -> Result<(), String> {
        let desired = match nexthop_id {
            0 => contents::NOTHING,
            id => *self.sender.get(&id).ok_or_else(|| format!("{prefix}: nexthop {id} is not defined"))?,
        };
        self.hear_of_gateways(desired);
        let table = &self.tables[Self::family_of(&prefix)];
        let place = table.find(&prefix);
        let object = place.map_or(objects::NOTHING, |place| table.row(place).1);
        let Some(place) = self.set_row(&prefix, place, desired, object) else { return Ok(()) };
        self.tables[Self::family_of(&prefix)].mark(place, Mark::Confirmed);
        plan.map_or(Ok(()), |plan| self.plan_row(&prefix, place, plan))
    }

    /// The sender's table is complete: what it did not mention is not desired.
    pub fn end_of_sync(&mut self) {
        for (family, _) in FAMILIES.iter().enumerate() {
            for bucket in 0..self.tables[family].buckets() {
                let forgotten = |(desired, _), confirmed: bool| desired != contents::NOTHING && !confirmed;
                for prefix in self.tables[family].select(bucket, Some(Mark::Confirmed), forgotten) {
                    self.set_columns(&prefix, |(_, object)| (contents::NOTHING, object));
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
