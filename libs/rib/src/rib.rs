//! The table as its writers see it: interfaces, static routes and BGP's decisions go in, changes come out.

use crate::digest::Digest;
use crate::forwarding::{ForwardingNexthop, ForwardingNexthopId, ForwardingNexthops};
use crate::interfaces::{Interfaces, LinkAddress};
use crate::local::{LocalRoute, LocalRoutes};
use crate::nexthop::{NexthopSetId, NexthopSets, NexthopSpec, Resolution};
use crate::prefix_table::{PrefixId, PrefixTable};
use crate::resolve::Resolver;
use crate::table::{Context, Outcome, Table};
use crate::{Family, Protocol};
use hashbrown::HashMap;
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::time::Duration;

/// BGP's contribution for one prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BgpRoute {
    /// The best path's next hop, or the ECMP set of the best paths.
    pub nexthop: NexthopSetId,
    /// Preference against other protocols, lower wins.
    pub preference: u8,
    /// It gets a forwarding entry; without, it is active all the same.
    pub installed: bool,
}

/// The route that a prefix is routed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActiveRoute {
    /// Whose route it is.
    pub protocol: Protocol,
    /// Its preference, lower wins.
    pub preference: u8,
    /// Where it goes.
    pub nexthop: NexthopSetId,
    /// It gets a forwarding entry; direct routes do not, the kernel makes them itself.
    pub installed: bool,
    /// What an operator calls a static route by, for policy; 0: nothing.
    pub tag: u32,
}

/// One route that is offered for a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The route.
    pub route: ActiveRoute,
    /// Whether it is the one in use.
    pub active: bool,
    /// Whether its next hop resolves.
    pub reachable: bool,
}

/// One configured route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticRouteSpec {
    /// Destination; host bits are ignored.
    pub prefix: IpNet,
    /// Where it goes.
    pub spec: NexthopSpec,
    /// Preference against other protocols, lower wins.
    pub preference: u8,
    /// A number for policy; 0: none.
    pub tag: u32,
}

/// A forwarding entry that differs from what the reader was told last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FibChange {
    /// Destination.
    pub prefix: IpNet,
    /// Its entry now; none: remove it.
    pub next_hop: Option<ForwardingNexthopId>,
}

/// The routing tables of all families. See the crate's chapter.
#[derive(Clone, Debug)]
pub struct Rib {
    pub(crate) tables: [Table; 2],
    pub(crate) locals: [LocalRoutes; 2],
    pub(crate) sets: NexthopSets,
    pub(crate) forwarding: ForwardingNexthops,
    pub(crate) interfaces: Interfaces,
    direct: BTreeMap<IpNet, u32>,
    configured: BTreeMap<IpNet, Wanted>,
    link_changes: u64,
    /// The family whose changes are taken first next time, so that neither starves the other.
    turn: usize,
}

/// A direct or static route that is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    spec: NexthopSpec,
    preference: u8,
    tag: u32,
}

/// A change of local routes on its way: what the touched prefixes were before it.
#[derive(Default)]
struct LocalChange {
    before: HashMap<(Family, PrefixId), Outcome>,
    /// Next hops that lost a user; given back when nothing refers to them any more.
    released: Vec<NexthopSetId>,
}

impl Default for Rib {
    fn default() -> Rib {
        Rib::new()
    }
}

impl Rib {
    /// Empty tables, no interfaces.
    pub fn new() -> Rib {
        Rib {
            tables: Family::ALL.map(Table::new),
            locals: Family::ALL.map(LocalRoutes::new),
            sets: NexthopSets::default(),
            forwarding: ForwardingNexthops::default(),
            interfaces: Interfaces::default(),
            direct: BTreeMap::new(),
            configured: BTreeMap::new(),
            link_changes: 0,
            turn: 0,
        }
    }

    /// The prefixes of a family: those with routes here, and those that others hold.
    pub fn prefixes(&self, family: Family) -> &PrefixTable {
        &self.tables[family.index()].prefixes
    }

    /// The same, for BGP to intern and release prefixes of its own.
    pub fn prefixes_mut(&mut self, family: Family) -> &mut PrefixTable {
        &mut self.tables[family.index()].prefixes
    }

    /// The id of a next hop, **with one more user**: who calls this calls [`Rib::release_nexthop`] later. Gateways are
    /// sorted and duplicates dropped.
    pub fn intern_nexthop(&mut self, spec: NexthopSpec) -> NexthopSetId {
        let interned = self.sets.intern(spec);
        if interned.fresh {
            self.resolve_set(interned.id);
            if let Some(set) = self.sets.get_mut(interned.id) {
                set.applied = set.resolution.map(|resolution| resolution.forwarding);
                set.forget_change();
            }
        }
        interned.id
    }

    /// One user less; with the last the id is free to be given to another next hop.
    pub fn release_nexthop(&mut self, id: NexthopSetId) {
        if let Some(set) = self.sets.release(id)
            && let Some(next_hop) = set.applied
        {
            self.forwarding.release(next_hop);
        }
    }

    /// A link appeared or changed.
    pub fn interface_update(&mut self, index: u32, name: &str, up: bool) {
        if self.interfaces.update(index, name, up) {
            self.interfaces_changed();
        }
    }

    /// A link is gone, with its addresses.
    pub fn interface_removed(&mut self, index: u32) {
        if self.interfaces.remove(index) {
            self.interfaces_changed();
        }
    }

    /// An address with its length (host bits kept) was added to a link.
    pub fn address_added(&mut self, index: u32, address: IpNet) {
        self.link_address_added(index, address.into());
    }

    /// An address was removed from a link.
    pub fn address_removed(&mut self, index: u32, address: IpNet) {
        self.link_address_removed(index, address.into());
    }

    /// An address was added to a link, which may be a point-to-point one.
    pub fn link_address_added(&mut self, index: u32, address: LinkAddress) {
        if self.interfaces.add_address(index, address) {
            self.interfaces_changed();
        }
    }

    /// Such an address was removed from a link.
    pub fn link_address_removed(&mut self, index: u32, address: LinkAddress) {
        if self.interfaces.remove_address(index, address) {
            self.interfaces_changed();
        }
    }

    /// How often links and their addresses have changed: another address in the same subnet changes no route.
    pub fn link_changes(&self) -> u64 {
        self.link_changes
    }

    /// The whole set of static routes, applied by difference. Of several for one prefix the last counts.
    pub fn set_static(&mut self, routes: Vec<StaticRouteSpec>) {
        let wanted =
            |StaticRouteSpec { prefix, spec, preference, tag }| (prefix.trunc(), Wanted { spec, preference, tag });
        let wanted: BTreeMap<IpNet, Wanted> = routes.into_iter().map(wanted).collect();
        let current = std::mem::take(&mut self.configured);
        let mut change = LocalChange::default();
        for prefix in current.keys().filter(|prefix| !wanted.contains_key(*prefix)) {
            self.set_local(*prefix, Protocol::Static, None, &mut change);
        }
        for (prefix, route) in wanted.iter().filter(|(prefix, route)| current.get(*prefix) != Some(*route)) {
            self.set_local(*prefix, Protocol::Static, Some(route.clone()), &mut change);
        }
        self.configured = wanted;
        self.finish(change);
    }

    /// An aggregate, or none any more.
    pub fn set_aggregate(&mut self, prefix: IpNet, route: Option<(NexthopSpec, u8)>) {
        let prefix = prefix.trunc();
        let known = self.locals[Family::of(&prefix).index()].get(prefix).aggregate;
        let known = known.and_then(|known| Some((self.sets.get(known.nexthop)?.spec.clone(), known.preference)));
        if known != route {
            let mut change = LocalChange::default();
            let route = route.map(|(spec, preference)| Wanted { spec, preference, tag: 0 });
            self.set_local(prefix, Protocol::Aggregate, route, &mut change);
            self.finish(change);
        }
    }

    /// BGP's candidate for one prefix (an id that the caller holds), or none any more. True when BGP's route is the
    /// active one now. The next hop is held by the table as long as it is used here.
    pub fn set_bgp(&mut self, family: Family, prefix: PrefixId, route: Option<BgpRoute>) -> bool {
        let table = &mut self.tables[family.index()];
        let locals = &self.locals[family.index()];
        let old = table.bgp(prefix);
        if old != route {
            if let Some(new) = route {
                self.sets.retain(new.nexthop);
            }
            let context = Context { locals, sets: &self.sets, forwarding: &self.forwarding };
            let before = table.settled(prefix, &context);
            table.set_bgp(prefix, route);
            table.settle(prefix, before, &context);
            if let Some(old) = old {
                self.release_nexthop(old.nexthop);
            }
        }
        self.active(family, prefix).is_some_and(|active| active.protocol == Protocol::Bgp)
    }

    /// Next hops whose reachability or metric changed since the last call: BGP decides anew for the paths that use them.
    pub fn take_changed_nexthops(&mut self) -> Vec<NexthopSetId> {
        self.sets.take_changed()
    }

    /// Prefixes whose active route changed where a direct or static route is or was involved, each once until taken: what
    /// redistribution into BGP has to look at. (Changes from one BGP route to another are BGP's own doing.) The ids stay
    /// valid until the next call, also when the prefix has no route any more.
    pub fn take_changed(&mut self, max: usize) -> Vec<(Family, PrefixId)> {
        let mut changed = Vec::new();
        for table in &mut self.tables {
            table.forget_taken();
            table.take_changed(max, &mut changed);
        }
        changed
    }

    /// Goes on to put forwarding entries that changed in the order in which they are to be told, for a millisecond or two, while others are told that have
    /// been put in order before. For once in a turn of who tells them. `now`: of any clock that does not go back.
    pub fn put_fib_changes_in_order(&mut self, now: Duration) {
        for table in &mut self.tables {
            // Those that are held go on whenever somebody wants to take some.
            if table.fib_changes_gather() || !table.fib_changes_are_held() {
                table.put_fib_changes_in_order(Some(now));
            }
        }
    }

    /// Whether some of them have to be put in order before any is taken.
    pub fn fib_changes_are_held(&self) -> bool {
        self.tables.iter().any(Table::fib_changes_are_held)
    }

    /// Up to `max` forwarding entries that changed, each once until taken, as they are now. None as well where they have to be put in order first: this goes on
    /// with it then, so that who takes until none wait has them all in the end.
    pub fn take_fib_changes(&mut self, max: usize) -> Vec<FibChange> {
        let mut changes = Vec::with_capacity(max.min(self.fib_changes_waiting()));
        self.turn = 1 - self.turn;
        for index in [self.turn, 1 - self.turn] {
            let context = Context { locals: &self.locals[index], sets: &self.sets, forwarding: &self.forwarding };
            let table = &mut self.tables[index];
            if table.fib_changes_are_held() {
                table.put_fib_changes_in_order(None);
            }
            while changes.len() < max
                && let Some((prefix, next_hop)) = table.take_fib_change(&context)
            {
                changes.push(FibChange { prefix, next_hop });
            }
        }
        changes
    }

    /// Forwarding next hops that no entry uses any more and whose last uses were taken as changes: the reader may forget
    /// them, and their ids will be given to others. Empty while changes wait.
    pub fn take_released_nexthops(&mut self) -> Vec<ForwardingNexthopId> {
        if self.fib_changes_waiting() > 0 {
            return Vec::new();
        }
        self.forwarding.take_released()
    }

    /// The meaning of a forwarding next hop's id; ids are dense, from 1.
    pub fn forwarding_nexthop(&self, id: ForwardingNexthopId) -> &ForwardingNexthop {
        self.forwarding.get(id)
    }

    /// Digest of the forwarding table: everything but direct routes, as it should be now (taken or not).
    pub fn fib_digest(&self, family: Family) -> Digest {
        self.tables[family.index()].fib_digest
    }

    /// Digest of the active routes.
    pub fn rib_digest(&self, family: Family) -> Digest {
        self.tables[family.index()].rib_digest
    }

    /// Subnets of links that are up.
    pub(crate) fn direct_routes(&self) -> impl Iterator<Item = (&IpNet, u32)> {
        self.direct.iter().map(|(prefix, index)| (prefix, *index))
    }

    /// Configured routes.
    pub(crate) fn configured_routes(&self) -> impl Iterator<Item = (&IpNet, &NexthopSpec, u8)> {
        self.configured.iter().map(|(prefix, route)| (prefix, &route.spec, route.preference))
    }

    fn interfaces_changed(&mut self) {
        self.link_changes += 1;
        let wanted = self.interfaces.direct_routes();
        let current = std::mem::take(&mut self.direct);
        let mut change = LocalChange::default();
        for prefix in current.keys().filter(|prefix| !wanted.contains_key(*prefix)) {
            self.set_local(*prefix, Protocol::Direct, None, &mut change);
        }
        for (prefix, index) in wanted.iter().filter(|(prefix, index)| current.get(*prefix) != Some(*index)) {
            let spec = NexthopSpec::Interface(*index);
            let route = Wanted { spec, preference: Protocol::Direct.default_preference(), tag: 0 };
            self.set_local(*prefix, Protocol::Direct, Some(route), &mut change);
        }
        self.direct = wanted;
        self.finish(change);
    }

    /// Changes one local candidate; `finish` carries the consequences.
    fn set_local(&mut self, prefix: IpNet, protocol: Protocol, route: Option<Wanted>, change: &mut LocalChange) {
        let family = Family::of(&prefix);
        let id = self.tables[family.index()].prefixes.intern(prefix);
        let key = (family, id);
        if change.before.contains_key(&key) {
            self.tables[family.index()].prefixes.release(id);
        } else {
            let outcome = self.tables[family.index()].settled(id, &self.context(family));
            change.before.insert(key, outcome);
        }
        let route = route.map(|Wanted { spec, preference, tag }| LocalRoute {
            nexthop: self.sets.intern(spec).id,
            preference,
            tag,
        });
        let table = &mut self.tables[family.index()];
        let locals = &mut self.locals[family.index()];
        let before = locals.set(prefix, protocol, route);
        table.set_local(id, !locals.get(prefix).is_empty());
        let count = &mut table.routes[protocol.index()];
        *count = *count + u64::from(route.is_some()) - u64::from(before.is_some());
        change.released.extend(before.map(|route| route.nexthop));
    }

    /// Resolves every next hop anew and settles the prefixes that this or the change itself affects.
    fn finish(&mut self, change: LocalChange) {
        let mut moved = vec![false; self.sets.capacity()];
        let mut any_moved = false;
        for id in self.sets.ids() {
            moved[id.0 as usize] = self.resolve_set(id);
            any_moved |= moved[id.0 as usize];
        }
        for family in Family::ALL.into_iter().filter(|_| any_moved) {
            for id in self.tables[family.index()].users(|set| moved[set.0 as usize]) {
                if !change.before.contains_key(&(family, id)) {
                    let before = self.tables[family.index()].settled(id, &self.context(family));
                    self.settle(family, id, before);
                }
            }
        }
        for ((family, id), before) in &change.before {
            self.settle(*family, *id, *before);
            self.tables[family.index()].prefixes.release(*id);
        }
        self.apply_resolutions();
        change.released.into_iter().for_each(|id| self.release_nexthop(id));
    }

    fn settle(&mut self, family: Family, id: PrefixId, before: Outcome) {
        let locals = &self.locals[family.index()];
        let context = Context { locals, sets: &self.sets, forwarding: &self.forwarding };
        self.tables[family.index()].settle(id, before, &context);
    }

    pub(crate) fn context(&self, family: Family) -> Context<'_> {
        Context { locals: &self.locals[family.index()], sets: &self.sets, forwarding: &self.forwarding }
    }

    /// Resolves one next hop. True when the forwarding next hop is another one: prefixes have to be settled.
    fn resolve_set(&mut self, id: NexthopSetId) -> bool {
        let Some(set) = self.sets.get(id) else { return false };
        let old = set.resolution;
        let on_link = self.interfaces.shares_subnet(&set.spec);
        let new = Resolver::new(&self.interfaces, &self.locals, &self.sets).resolve(&set.spec);
        let same = match (&old, &new) {
            (Some(old), Some((_, next_hop))) => self.forwarding.get(old.forwarding) == next_hop,
            (None, None) => true,
            _ => false,
        };
        let resolution = match (old, new) {
            (Some(old), Some((metric, _))) if same => Some(Resolution { metric, on_link, ..old }),
            (_, new) => new.map(|(metric, next_hop)| {
                let forwarding = self.forwarding.intern(next_hop);
                Resolution { metric, on_link, forwarding }
            }),
        };
        self.sets.set_resolution(id, resolution);
        !same
    }

    /// Every prefix is settled with the resolutions of now: what was before is let go.
    fn apply_resolutions(&mut self) {
        for id in self.sets.ids() {
            let Some(set) = self.sets.get_mut(id) else { continue };
            let new = set.resolution.map(|resolution| resolution.forwarding);
            let old = std::mem::replace(&mut set.applied, new);
            if let Some(old) = old.filter(|_| old != new) {
                self.forwarding.release(old);
            }
        }
    }
}
