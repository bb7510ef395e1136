use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hashbrown::HashMap;
use holdfast_policy::{Chain, Changes, Disposition, NextHopAction, Protocol};
use holdfast_rib::Family;
use ipnet::IpNet;

use crate::wire::{NextHop, PathAttributes, Role};

use super::attributes::{AttributeId, AttributeSet, AttributeTable, Remembered};
use super::communities::{NO_ADVERTISE, NO_EXPORT, NO_EXPORT_SUBCONFED, NO_PEER};
use super::export_rules::{ExportRules, Passage, Reflected, Teller};
use super::limits::REFLECTIONS_MAX;
use super::local::LocalPart;
use super::policy_view::{PolicyRoute, apply_changes, expand_path};
use super::told::{Slot, Told};
use super::too_long::without_discardable;
use super::{leak, long_lived};

/// Names an export group inside one speaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GroupId(pub u16);

/// What makes two neighbours see the same of us.
#[derive(Clone, PartialEq, Eq)]
pub struct GroupKey {
    /// Export policy.
    pub chain: Chain,
    /// What holds before it.
    pub rules: ExportRules,
    /// The only member, where the policy looks at whom it tells.
    pub target: Option<IpAddr>,
    /// Paths told to one destination, by [`Family::index`].
    pub path_counts: [u8; 2],
}

/// What the members of a group are to be told of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exported {
    /// Nothing: it is not for them.
    Nothing,
    /// It, with these attributes. One use of them is counted for the caller.
    As(AttributeId),
    /// Nothing: with so many octets of attributes it is longer than any message.
    TooLong(usize),
}

/// Stands for ourselves as next hop in attributes on their way out: our address is another one on each link, and all else is the
/// same. No route is received with it ([`NextHop::fault`]).
pub fn ourselves(family: Family) -> NextHop {
    match family {
        Family::Ipv4Unicast => NextHop::V4(Ipv4Addr::UNSPECIFIED),
        Family::Ipv6Unicast => NextHop::V6 { global: Ipv6Addr::UNSPECIFIED, link_local: None },
    }
}

/// Neighbours with equal export. What one distinct attribute set becomes on its way out is worked out once per group, and what they
/// have been told is noted once.
pub struct ExportGroup {
    /// What the members share.
    pub key: GroupKey,
    /// What each member has from us, by [`Family::index`], then by slot.
    told: [Vec<Told>; 2],
    /// By attribute set: what it becomes, refused where it is withheld. Only where the policy does not look at prefixes or neighbours.
    memo: Vec<Remembered>,
    /// By attribute set: how the route for which the memo holds came through, and of which family it is: a set may be told for routes of
    /// both, and an address as next hop is of one. Beside it, not in it, because of the padding.
    memo_way: Vec<Way>,
    /// Where the policy does look at them. By attribute set; then by family, because "next hop self" is another one in each, by
    /// the way it came, and by what the policy asks for.
    changed: HashMap<AttributeId, Vec<(Case, Remembered)>>,
    /// By [`Way`], from 1 on: what reflection writes.
    reflections: Vec<Reflected>,
    /// Something has become longer than any message on its way out.
    pub has_too_long: bool,
}

/// How a route comes through to which a result belongs: [`OPEN`], [`TRANSPARENT`], or the number of a reflection.
type Way = u16;
/// [`Passage::Open`].
const OPEN: Way = 0;
/// [`Passage::Transparent`].
const TRANSPARENT: Way = Way::MAX;
/// Set apart from the ways of IPv4 by this bit: those of IPv6. Reflections are fewer.
const OF_IPV6: Way = 1 << 14;
const _: () = assert!(REFLECTIONS_MAX < OF_IPV6 as usize);

/// What a result depends on beside the attribute set.
#[derive(PartialEq, Eq)]
struct Case {
    family: Family,
    way: Way,
    asked: Changes,
}

impl ExportGroup {
    /// A group that knows nothing yet.
    pub fn new(key: GroupKey) -> Self {
        let (memo, memo_way, changed, reflections) = Default::default();
        Self { key, told: Default::default(), memo, memo_way, changed, reflections, has_too_long: false }
    }

    /// What each member has from us in one slot; `None`: nobody has anything.
    pub fn told(&self, family: Family, slot: Slot) -> Option<&Told> {
        self.told[family.index()].get(slot.index())
    }

    /// The same, to note something.
    pub fn told_mut(&mut self, family: Family, slot: Slot) -> &mut Told {
        let told = &mut self.told[family.index()];
        if told.len() <= slot.index() {
            told.resize_with(slot.index() + 1, Told::default);
        }
        &mut told[slot.index()]
    }

    /// Slots in which a member may have something.
    pub fn slots(&self, family: Family) -> impl Iterator<Item = Slot> + use<> {
        Slot::all().take(self.told[family.index()].len())
    }

    /// What the members are to be told about a route with these attributes.
    pub fn export(
        &mut self,
        source: AttributeId,
        prefix: IpNet,
        protocol: Protocol,
        local: LocalPart,
        from: Option<Teller>,
        table: &mut AttributeTable,
    ) -> Exported {
        let way = match self.key.rules.passage(from.as_ref()) {
            Passage::Withheld => return Exported::Nothing,
            Passage::Open => OPEN,
            Passage::Transparent => TRANSPARENT,
            Passage::Reflected(reflected) => self.way(reflected),
        };
        let family = Family::of(&prefix);
        let noted_way = if family == Family::Ipv6Unicast { way ^ OF_IPV6 } else { way };
        let memorable =
            protocol == Protocol::Bgp && !self.key.chain.depends_on_prefix() && !self.key.chain.depends_on_neighbor();
        if memorable
            && self.memo_way.get(source.index()) == Some(&noted_way)
            && let Some(known) = Exported::recalled(self.memo[source.index()], table)
        {
            return known;
        }
        let Some(attributes) = table.decoded(source) else { return Exported::Nothing };
        let Some(next_hop) = table.get(source).map(AttributeSet::next_hop) else { return Exported::Nothing };
        let route = PolicyRoute {
            prefix,
            protocol,
            neighbor: from.map(|from| from.address),
            target: self.key.target,
            external: from.map(|from| from.external),
            next_hop,
            local,
            attributes: &attributes,
        };
        let mut asked = Changes::default();
        let accepted = self.accepts(&route, &mut asked);
        let case = Case { family, way, asked };
        let result = if !accepted {
            Exported::Nothing
        } else if memorable {
            self.transform(source, &case, table)
        } else {
            self.transform_known(source, case, table)
        };
        self.has_too_long |= matches!(result, Exported::TooLong(_));
        if memorable {
            if self.memo.len() <= source.index() {
                let capacity = table.capacity().max(source.index() + 1);
                self.memo.resize(capacity, Remembered::default());
                self.memo_way.resize(capacity, OPEN);
            }
            (self.memo[source.index()], self.memo_way[source.index()]) = (result.remembered(table), noted_way);
        }
        result
    }

    /// The number of a reflection.
    fn way(&mut self, reflected: Reflected) -> Way {
        let known = self.reflections.iter().position(|known| *known == reflected);
        let index = known.unwrap_or_else(|| {
            if self.reflections.len() >= REFLECTIONS_MAX {
                self.reflections.clear();
                self.memo.clear();
                self.memo_way.clear();
                self.changed.clear();
            }
            self.reflections.push(reflected);
            self.reflections.len() - 1
        });
        (index + 1) as Way
    }

    fn passage(&self, way: Way) -> Passage {
        match way {
            OPEN => Passage::Open,
            TRANSPARENT => Passage::Transparent,
            _ => self.reflections.get(usize::from(way) - 1).map_or(Passage::Open, |known| Passage::Reflected(*known)),
        }
    }

    fn accepts(&self, route: &PolicyRoute<'_>, changes: &mut Changes) -> bool {
        let has = |value| route.attributes.communities.contains(&value);
        if has(NO_ADVERTISE) || (!self.key.rules.internal && (has(NO_EXPORT) || has(NO_EXPORT_SUBCONFED))) {
            return false;
        }
        if has(NO_PEER) && self.key.rules.role == Some(Role::Peer) {
            return false;
        }
        let marked = route.attributes.only_to_customer.is_some();
        if self.key.rules.role.is_some_and(|role| !leak::may_depart(role, marked)) {
            return false;
        }
        if !long_lived::may_be_told(&self.key.rules, route.protocol, route.attributes) {
            return false;
        }
        // As in Junos: BGP routes are advertised unless a policy objects, all others only if one asks for it.
        let default = match route.protocol {
            Protocol::Bgp => Disposition::Accept,
            Protocol::Static | Protocol::Direct | Protocol::Aggregate => Disposition::Reject,
        };
        self.key.chain.evaluate(route, default, changes) == Disposition::Accept
    }

    /// The same change of the same set is worked out once. (Where it follows from the set alone, the memo knows it.)
    fn transform_known(&mut self, source: AttributeId, case: Case, table: &mut AttributeTable) -> Exported {
        let known = self.changed.get(&source).and_then(|results| results.iter().find(|(of, _)| *of == case));
        if let Some(known) = known.and_then(|(_, note)| Exported::recalled(*note, table)) {
            return known;
        }
        let result = self.transform(source, &case, table);
        if result != Exported::Nothing {
            let results = self.changed.entry(source).or_default();
            results.retain(|(of, _)| *of != case);
            results.push((case, result.remembered(table)));
        }
        result
    }

    fn transform(&self, source: AttributeId, case: &Case, table: &mut AttributeTable) -> Exported {
        let Some(received) = table.get(source).map(AttributeSet::next_hop) else { return Exported::Nothing };
        let passage = self.passage(case.way);
        let Some(next_hop) = self.next_hop(received, case.family, passage, &case.asked) else {
            return Exported::Nothing;
        };
        let Some(attributes) = table.decoded(source) else { return Exported::Nothing };
        let mut attributes = PathAttributes::clone(&attributes);
        expand_path(&mut attributes.as_path, &case.asked);
        self.key.rules.prepare(&mut attributes, passage);
        apply_changes(&mut attributes, &case.asked);
        self.key.rules.finish(&mut attributes);
        let mut result = table.intern_values(&attributes, next_hop);
        if result.is_none()
            && let Some(shorter) = without_discardable(&attributes)
        {
            result = table.intern_values(&shorter, next_hop);
        }
        if result.is_none() { Exported::TooLong(attributes.encode().len()) } else { Exported::As(result) }
    }

    /// `None`: there is none that the neighbour could use, so the route is not told.
    fn next_hop(&self, received: NextHop, family: Family, passage: Passage, changes: &Changes) -> Option<NextHop> {
        let own = ourselves(family);
        let next_hop = match changes.next_hop {
            Some(NextHopAction::SelfAddress) => return Some(own),
            Some(NextHopAction::Address(IpAddr::V4(address))) if family == Family::Ipv4Unicast => NextHop::V4(address),
            Some(NextHopAction::Address(IpAddr::V6(global))) if family == Family::Ipv6Unicast => {
                NextHop::V6 { global, link_local: None }
            }
            // RFC 7947 §2.2.1: all are on one link, and we are not on the packets' way.
            _ if passage == Passage::Transparent && is_portable(&received) => received,
            // §5.1.3: ourselves to other ASes and for routes of our own, else as received.
            _ if !self.key.rules.internal || !is_portable(&received) => return Some(own),
            _ => match received {
                // A link-local address means nothing beyond its link.
                NextHop::V6 { global, .. } => NextHop::V6 { global, link_local: None },
                NextHop::V4(_) => received,
            },
        };
        next_hop.fault().is_none().then_some(next_hop)
    }

    /// Forgets numbers that lost their meaning.
    pub fn forget(&mut self, freed: &[AttributeId]) {
        for id in freed {
            if let Some(memo) = self.memo.get_mut(id.index()) {
                *memo = Remembered::default();
            }
            self.changed.remove(id);
        }
    }
}

impl Exported {
    /// As a note.
    fn remembered(self, table: &AttributeTable) -> Remembered {
        match self {
            Exported::Nothing => Remembered::REFUSED,
            Exported::As(attributes) => table.remember(attributes),
            Exported::TooLong(octets) => Remembered::too_long(octets),
        }
    }

    /// The inverse; none: what is noted is not there any more.
    fn recalled(note: Remembered, table: &mut AttributeTable) -> Option<Exported> {
        if note == Remembered::REFUSED {
            return Some(Exported::Nothing);
        }
        let too_long = note.octets_too_long().map(Exported::TooLong);
        too_long.or_else(|| table.recall(note).map(Exported::As))
    }
}

/// Whether a next hop means something beyond the link on which it was told.
fn is_portable(next_hop: &NextHop) -> bool {
    match next_hop {
        NextHop::V4(address) => !address.is_unspecified(),
        NextHop::V6 { global, .. } => !global.is_unspecified() && !global.is_unicast_link_local(),
    }
}
