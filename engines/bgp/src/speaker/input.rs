use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use holdfast_policy::{Changes, Disposition, NextHopAction, Protocol};
use holdfast_rib::{Family, PrefixId, Rib};
use ipnet::IpNet;

use crate::wire::{self, NextHop, NotificationMessage, PathAttributes, Update};

use super::Speaker;
use super::attributes::{AttributeId, AttributeSet, Remembered};
use super::group::ourselves;
use super::import_rules::ImportRules;
use super::leak::Arrival;
use super::local::{Forwarding, LocalPart};
use super::long_lived::{self, NO_LLGR};
use super::policy_view::{PolicyRoute, apply_changes, expand_path};
use super::table::{NeighborId, Path, PathKey, Refusal};

/// What the rules of BGP make of a route before import policy has its say.
struct BeforePolicy {
    rules: ImportRules,
    /// The rules change nothing.
    as_is: bool,
    /// RFC 9234 §5: the AS to be written into it.
    mark: Option<u32>,
    /// It is kept for a neighbour that has been away for long (RFC 9494).
    long_lived: bool,
}

impl BeforePolicy {
    fn leaves_as_is(&self) -> bool {
        self.as_is && self.mark.is_none() && !self.long_lived
    }
}

/// A route as it was received and as import left it.
struct Judged {
    received: AttributeId,
    effective: AttributeId,
    refusal: Refusal,
    /// The session that it belongs to, if not the present one.
    generation: Option<u8>,
}

impl Speaker {
    /// One UPDATE of an established session (RFC 4271 §9, errors by RFC 7606).
    pub(super) fn update(
        &mut self,
        id: NeighborId,
        body: &[u8],
        rib: &mut Rib,
        now: Duration,
    ) -> Result<(), NotificationMessage> {
        let Some(up) = self.get(id).and_then(|neighbor| neighbor.up.as_ref()) else { return Ok(()) };
        let update = Update::parse(body, &up.negotiated).inspect_err(|error| self.note_fatal(id, error, body, now))?;
        self.note_faults(id, &update, body, now);
        if let Some(family) = update.end_of_rib() {
            self.end_of_rib(id, family);
            return Ok(());
        }
        self.apply_update(id, &update, None, rib);
        Ok(())
    }

    /// Takes an UPDATE's routes over. `generation`: the session they belong to, if not the present one (stale routes in a snapshot).
    pub(super) fn apply_update(&mut self, id: NeighborId, update: &Update<'_>, generation: Option<u8>, rib: &mut Rib) {
        for family in Family::ALL {
            rib.prefixes(family).touch_to_get(update.withdrawn(family));
            for (identifier, prefix) in update.withdrawn(family).identified() {
                self.withdraw(PathKey { neighbor: id, identifier }, family, prefix, rib);
            }
        }
        let treat_as_withdraw = update.treat_as_withdraw.is_some();
        for family in Family::ALL {
            rib.prefixes(family).touch_to_intern(update.announced(family));
            if treat_as_withdraw {
                for (identifier, prefix) in update.announced(family).identified() {
                    self.withdraw(PathKey { neighbor: id, identifier }, family, prefix, rib);
                }
                continue;
            }
            let (Some(block), Some(next_hop)) = (&update.attributes, update.next_hop(family)) else { continue };
            let Some(received) = self.attributes.intern(block, next_hop) else { continue };
            let told_in = generation.or_else(|| self.get(id).map(|neighbor| neighbor.generation)).unwrap_or_default();
            let imported =
                update.announced(family).next().and_then(|first| self.import_all(id, first, received, told_in));
            let mut excess = Vec::new();
            for (identifier, prefix) in update.announced(family).identified() {
                let (effective, refusal) = match imported {
                    Some((effective, refusal)) => {
                        self.attributes.retain(effective);
                        (effective, refusal)
                    }
                    None => self.import(id, prefix, received, told_in),
                };
                if refusal == Refusal::NoLongLife {
                    self.withdraw(PathKey { neighbor: id, identifier }, family, prefix, rib);
                    continue;
                }
                let key = PathKey { neighbor: id, identifier };
                if let Some(limit) = self.limit_reached(key, family, prefix, !effective.is_none(), rib) {
                    self.attributes.release(effective, rib);
                    self.withdraw(key, family, prefix, rib); // it may be there, not accepted
                    excess.push((identifier, prefix));
                    self.note_excess(id, family, prefix, limit);
                    continue;
                }
                let route = Judged { received, effective, refusal, generation };
                self.announce(key, family, prefix, route, rib);
            }
            self.tell_dropped(id, family, &excess);
            if let Some((effective, _)) = imported {
                self.attributes.release(effective, rib);
            }
            self.attributes.release(received, rib);
        }
    }

    fn announce(&mut self, key: PathKey, family: Family, prefix: IpNet, route: Judged, rib: &mut Rib) {
        let Judged { received, effective, refusal, generation } = route;
        let Some(neighbor) = self.get(key.neighbor) else { return };
        let generation = generation.unwrap_or(neighbor.generation);
        let prefix_id = rib.prefixes_mut(family).intern(prefix);
        let fresh = self.tables[family.index()].is_empty(prefix_id);
        self.attributes.retain(received);
        let before = self.tables[family.index()].insert(prefix_id, key, generation, refusal, received, effective);
        if !fresh {
            rib.prefixes_mut(family).release(prefix_id); // all paths of a prefix count as one user
        }
        self.account(key, family, prefix, received, effective);
        if let Some(neighbor) = self.get_mut(key.neighbor).filter(|neighbor| neighbor.generation == generation) {
            neighbor.note_told(family, prefix_id, key.identifier);
        }
        if let Some(before) = before {
            self.unaccount(key, family, prefix, &before, rib);
            if before.effective == effective {
                return; // nothing that anybody can see has changed
            }
        }
        self.decide(family, prefix_id, rib);
    }

    fn withdraw(&mut self, key: PathKey, family: Family, prefix: IpNet, rib: &mut Rib) {
        if let Some(prefix_id) = rib.prefixes(family).get(prefix) {
            self.remove_path(key, family, prefix_id, rib);
        }
    }

    /// Takes one path out and decides anew.
    pub(super) fn remove_path(&mut self, key: PathKey, family: Family, prefix_id: PrefixId, rib: &mut Rib) {
        let Some(path) = self.tables[family.index()].remove(prefix_id, key) else { return };
        if let Some(neighbor) = self.get_mut(key.neighbor) {
            neighbor.note_gone(family, prefix_id, key.identifier);
        }
        let prefix = rib.prefixes(family).prefix(prefix_id);
        self.decide(family, prefix_id, rib);
        self.unaccount(key, family, prefix, &path, rib);
        if self.tables[family.index()].is_empty(prefix_id) {
            rib.prefixes_mut(family).release(prefix_id);
        }
    }

    fn account(&mut self, key: PathKey, family: Family, prefix: IpNet, received: AttributeId, effective: AttributeId) {
        let hash = self.attributes.get(received).map_or(0, |set| set.path_hash(&prefix, key.identifier));
        if let Some(neighbor) = self.get_mut(key.neighbor) {
            let state = &mut neighbor.families[family.index()];
            state.received.add(hash);
            state.accepted += u64::from(!effective.is_none());
        }
    }

    fn unaccount(&mut self, key: PathKey, family: Family, prefix: IpNet, path: &Path, rib: &mut Rib) {
        let hash = self.attributes.get(path.received).map_or(0, |set| set.path_hash(&prefix, key.identifier));
        if let Some(neighbor) = self.get_mut(key.neighbor) {
            let state = &mut neighbor.families[family.index()];
            state.received.remove(hash);
            state.accepted -= u64::from(!path.effective.is_none());
        }
        self.attributes.release(path.received, rib);
        self.attributes.release(path.effective, rib);
    }

    /// What import makes of all prefixes of an UPDATE, if it does not depend on them. One use of the result is counted for the
    /// caller.
    fn import_all(
        &mut self,
        id: NeighborId,
        first: IpNet,
        received: AttributeId,
        generation: u8,
    ) -> Option<(AttributeId, Refusal)> {
        let depends = self.get(id)?.import.depends_on_prefix();
        (!depends).then(|| self.import(id, first, received, generation))
    }

    /// What import makes of received attributes: checks that RFC 4271 §9.1.2 and RFC 4456 §8 demand, then policy.
    /// `generation`: the session in which they came. One use of the result is counted for the caller.
    pub(super) fn import(
        &mut self,
        id: NeighborId,
        prefix: IpNet,
        received: AttributeId,
        generation: u8,
    ) -> (AttributeId, Refusal) {
        let (router_id, router_as) = (self.router_id, self.local_as);
        let Some(neighbor) = self.neighbors.get_mut(id.0 as usize).and_then(Option::as_mut) else {
            return (AttributeId::NONE, Refusal::Policy);
        };
        let Some(set) = self.attributes.get(received) else { return (AttributeId::NONE, Refusal::Policy) };
        let rules = ImportRules::of(&neighbor.config, router_as);
        if let Some(refusal) = rules.refusal(set.block()) {
            return (AttributeId::NONE, refusal);
        }
        if wire::was_reflected_by(set.block(), router_id, &self.clusters) {
            return (AttributeId::NONE, Refusal::ReflectionLoop);
        }
        let mark = match rules.arrival(set.block()) {
            Arrival::Leak => return (AttributeId::NONE, Refusal::Leak),
            Arrival::Marked(asn) => Some(asn),
            Arrival::AsItIs => None,
        };
        let next_hop = set.next_hop();
        let long_lived = neighbor.is_long_lived(Family::of(&prefix), generation);
        let before = BeforePolicy { rules, as_is: rules.leave_as_is(set.block()), mark, long_lived };
        if neighbor.import.is_empty() && before.leaves_as_is() {
            self.attributes.retain(received);
            return (received, Refusal::None);
        }
        // The same set may be told for routes of both families, which an address as next hop treats differently.
        let of_one_family = Family::of_address(&next_hop.address()) == Family::of(&prefix);
        let memorable = !neighbor.import.depends_on_prefix() && !long_lived && of_one_family;
        let note = if memorable { neighbor.import_memo.get(&received).copied() } else { None };
        if note == Some(Remembered::REFUSED) {
            return (AttributeId::NONE, Refusal::Policy);
        }
        if let Some(known) = note.and_then(|note| self.attributes.recall(note)) {
            return (known, Refusal::None);
        }
        let (effective, refusal) = self.judge(id, prefix, received, &before);
        if memorable {
            self.remember_import(id, received, effective, refusal);
        }
        (effective, refusal)
    }

    /// What policy makes of received attributes. One use of the result is counted for the caller.
    fn judge(
        &mut self,
        id: NeighborId,
        prefix: IpNet,
        received: AttributeId,
        before: &BeforePolicy,
    ) -> (AttributeId, Refusal) {
        let refused = |refusal| (AttributeId::NONE, refusal);
        let Some(next_hop) = self.attributes.get(received).map(AttributeSet::next_hop) else {
            return refused(Refusal::Policy);
        };
        let Some(mut attributes) = self.attributes.decoded(received) else { return refused(Refusal::Policy) };
        if let Some(preference) = before.rules.preference_before_policy(&attributes) {
            Arc::make_mut(&mut attributes).local_pref = Some(preference);
        }
        if before.long_lived && attributes.communities.contains(&NO_LLGR) {
            return refused(Refusal::NoLongLife);
        }
        let Some(neighbor) = self.get(id) else { return refused(Refusal::Policy) };
        let route = PolicyRoute {
            prefix,
            protocol: Protocol::Bgp,
            neighbor: Some(neighbor.address),
            target: Some(neighbor.address),
            external: Some(!neighbor.config.internal),
            next_hop,
            local: LocalPart::default(),
            attributes: &attributes,
        };
        let mut changes = Changes::default();
        if neighbor.import.evaluate(&route, Disposition::Accept, &mut changes) != Disposition::Accept {
            return refused(Refusal::Policy);
        }
        if changes.is_empty() && before.leaves_as_is() {
            self.attributes.retain(received);
            return (received, Refusal::None);
        }
        let (attributes, next_hop, local) = imported(&route, before, &changes);
        if before.long_lived && attributes.communities.contains(&NO_LLGR) {
            return refused(Refusal::NoLongLife); // RFC 9494 §4.2: "or as the result of a configured policy"
        }
        let effective = self.attributes.intern_local(&attributes, next_hop, local);
        if effective.is_none() { refused(Refusal::TooLong) } else { (effective, Refusal::None) }
    }

    /// Notes what policy has made of a set, where that holds for all routes with it.
    fn remember_import(&mut self, id: NeighborId, received: AttributeId, effective: AttributeId, refusal: Refusal) {
        let note = match refusal {
            Refusal::None => self.attributes.remember(effective),
            Refusal::Policy => Remembered::REFUSED,
            _ => return,
        };
        if let Some(neighbor) = self.get_mut(id) {
            neighbor.import_memo.insert(received, note);
        }
    }
}

fn imported(route: &PolicyRoute<'_>, before: &BeforePolicy, changes: &Changes) -> (PathAttributes, NextHop, LocalPart) {
    let mut attributes = route.attributes.clone();
    let forwarding = before.rules.prepare(&mut attributes);
    expand_path(&mut attributes.as_path, changes);
    apply_changes(&mut attributes, changes);
    attributes.only_to_customer = attributes.only_to_customer.or(before.mark);
    if before.long_lived {
        long_lived::mark(&mut attributes);
    }
    let family = Family::of(&route.prefix);
    let asked = match changes.next_hop {
        Some(NextHopAction::PeerAddress) => route.neighbor.map(NextHopAction::Address),
        other => other,
    };
    let mut local = LocalPart::of(changes);
    let next_hop = match asked {
        Some(NextHopAction::Address(IpAddr::V4(address))) if family == Family::Ipv4Unicast => NextHop::V4(address),
        Some(NextHopAction::Address(IpAddr::V6(global))) if family == Family::Ipv6Unicast => {
            // A neighbour's own address may be one that means something on its link alone.
            NextHop::V6 { global, link_local: Some(global).filter(Ipv6Addr::is_unicast_link_local) }
        }
        _ if forwarding == Forwarding::NextHop => route.next_hop,
        _ => {
            // Who hears of it has to send packets to us, who drop them.
            local.forwarding = if local.forwarding == Forwarding::NextHop { forwarding } else { local.forwarding };
            ourselves(family)
        }
    };
    (attributes, next_hop, local)
}
