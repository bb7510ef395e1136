//! RIB, FIB and kernel side by side, on demand.
//!
//! # The idea
//!
//! A second table is made as a pfed that has just started would make it: what the RIB says in the column of what is desired, and a fresh dump
//! in the kernel's. Nothing of it comes from what the working table believes. Then both are walked through, and every destination has
//! three words to compare: the RIB's, the working table's, the kernel's.
//!
//! None of the three stands still meanwhile, so a difference of one look proves nothing. Who asks looks twice, and
//! believes what both looks show alike.

use std::collections::BTreeMap;

use hashbrown::{HashMap, HashSet};
use holdfast_kernel::netlink::{NexthopObject, ROUTE_METRIC, Route, TABLE_MAIN};
use holdfast_proto::v1;
use holdfast_rib::ForwardingNexthop;
use ipnet::IpNet;

use super::contents::ContentId;
use super::objects::ObjectIndex;
use super::table::{Cursor, Mark};
use super::{Entry, Fib};
use crate::limits::{DIFFERENCES_MAX, STRANGERS_MAX};

/// A route of somebody else's that ours has to reckon with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stranger {
    /// Who put it there (`rtm_protocol`).
    pub protocol: u8,
    /// Its metric, ours at most.
    pub metric: u32,
}

/// What is wrong with a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The kernel does not have it.
    Missing,
    /// The kernel has it with our mark, and nobody wants it.
    Unwanted,
    /// The kernel's leads elsewhere.
    Elsewhere,
    /// Its nexthop object was made by somebody else, or is none that this version writes.
    ObjectOfOthers {
        /// `nh_protocol`; none where the route uses no object, or one that is not there.
        protocol: Option<u8>,
    },
    /// Somebody's route has the destination and the metric of ours.
    InTheWay(Stranger),
    /// It waits for an interface.
    LinkDown(u32),
    /// A gateway of it cannot be had: what is left of its ways stands in.
    StandIn,
    /// The kernel has what was asked for, but the RIB says otherwise.
    NotTold,
    /// All is well but for a better route of somebody else's, which takes the packets.
    Hidden(Stranger),
}

impl Kind {
    /// Its name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Unwanted => "unwanted",
            Self::Elsewhere => "elsewhere",
            Self::ObjectOfOthers { .. } => "object-of-others",
            Self::InTheWay(_) => "in-the-way",
            Self::LinkDown(_) => "link-down",
            Self::StandIn => "stand-in",
            Self::NotTold => "not-told",
            Self::Hidden(_) => "hidden",
        }
    }
}

/// One destination with its three columns; one that is not there has no route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What is wrong.
    pub kind: Kind,
    /// What the RIB says.
    pub rib: Option<Entry>,
    /// What is desired.
    pub fib: Option<Entry>,
    /// What the kernel has.
    pub kernel: Option<Entry>,
    /// The working table knows that the kernel has it so.
    pub noticed: bool,
}

/// What both tables are walked through for.
#[derive(Debug, Clone, Copy)]
enum Walk {
    /// Every row of the working table.
    Own(Cursor),
    /// Rows of the second one that the first did not have.
    Rest(Cursor),
}

/// A comparison under way.
#[derive(Debug)]
pub struct Comparison {
    /// What the RIB says, and what the kernel really has.
    second: Fib,
    rib_known: bool,
    strangers: BTreeMap<IpNet, Stranger>,
    /// Who made which nexthop object.
    makers: HashMap<u32, u8>,
    walk: Walk,
    compared: [u64; 2],
    different: u64,
    hidden: u64,
    /// The lowest destinations that differ.
    found: BTreeMap<IpNet, Difference>,
    /// What was not understood of what the RIB says.
    pub note: String,
}

impl Default for Comparison {
    fn default() -> Self {
        Self {
            second: Fib::default(),
            rib_known: false,
            strangers: BTreeMap::new(),
            makers: HashMap::new(),
            walk: Walk::Own(Cursor::default()),
            compared: [0; 2],
            different: 0,
            hidden: 0,
            found: BTreeMap::new(),
            note: String::new(),
        }
    }
}

impl Comparison {
    /// A part of what the RIB says; that was all with `end_of_sync`.
    pub fn rib_says(&mut self, batch: &v1::FibBatch) {
        for definition in &batch.nexthops {
            let result = self.second.define_nexthop(definition);
            self.not_understood(result);
        }
        for route in &batch.routes {
            let result = self.second.want_route(route, None);
            self.not_understood(result);
        }
        for route in batch.packed() {
            let result = self.second.want_packed(route, None);
            self.not_understood(result);
        }
        self.rib_known |= batch.end_of_sync;
    }

    fn not_understood(&mut self, result: Result<(), String>) {
        if let (Err(why), true) = (result, self.note.is_empty()) {
            self.note = format!("not understood of what the RIB says: {why}");
        }
    }

    /// The kernel's nexthop objects (of everybody), before its routes.
    pub fn kernel_objects(&mut self, objects: &[NexthopObject], up: &HashSet<u32>) {
        self.makers = objects.iter().map(|object| (object.id, object.protocol)).collect();
        self.second.read_nexthops(objects, up);
        self.second.begin_reading_routes();
    }

    /// A route of the kernel's main table, of anybody.
    pub fn kernel_route(&mut self, route: &Route) {
        if route.is_ours() {
            self.second.read_route(&route.prefix, route.target);
        } else if route.table == TABLE_MAIN && route.metric <= ROUTE_METRIC && self.may_matter(&route.prefix) {
            let stranger = Stranger { protocol: route.protocol, metric: route.metric };
            let best = self.strangers.entry(route.prefix).or_insert(stranger);
            if stranger.metric < best.metric {
                *best = stranger;
            }
        }
    }

    fn may_matter(&self, prefix: &IpNet) -> bool {
        let wanted = self.second.tables[Fib::family_of(prefix)].find(prefix).is_some();
        (wanted || !self.rib_known) && self.strangers.len() < STRANGERS_MAX
    }

    /// That were all of them.
    pub fn kernel_read(&mut self) {
        self.second.end_reading_routes();
        self.second.begin_reading_routes(); // the mark says from here on what the walk has met
    }

    /// Goes on through the tables, by at most some `rows`. True at the end.
    pub fn walk(&mut self, own: &Fib, rows: u32) -> bool {
        let mut looked_at = 0u32;
        while looked_at < rows {
            let (tables, cursor, rest) = match &mut self.walk {
                Walk::Own(cursor) => (&own.tables, cursor, false),
                Walk::Rest(cursor) => (&self.second.tables, cursor, true),
            };
            let Cursor { family, bucket } = *cursor;
            if bucket >= tables[family].buckets() {
                match (family, rest) {
                    (0, _) => *cursor = Cursor { family: 1, bucket: 0 },
                    (_, false) => self.walk = Walk::Rest(Cursor::default()),
                    (_, true) => return true,
                }
                continue;
            }
            cursor.bucket += 1;
            let mark = rest.then_some(Mark::Seen);
            let prefixes = tables[family].select(bucket, mark, |_, seen| {
                looked_at = looked_at.saturating_add(1);
                !(rest && seen)
            });
            looked_at = looked_at.saturating_add(1);
            for prefix in prefixes {
                self.compare(own, &prefix);
            }
        }
        false
    }

    fn compare(&mut self, own: &Fib, prefix: &IpNet) {
        let family = Fib::family_of(prefix);
        let (desired, believed) = own.tables[family].row_of(prefix);
        let place = self.second.tables[family].find(prefix);
        let (said, present) = place.map_or((0, 0), |place| self.second.tables[family].row(place));
        if let Some(place) = place {
            self.second.tables[family].mark(place, Mark::Seen);
        }
        let rib = self.rib_known.then(|| self.second.contents.get(said)).flatten();
        let fib = own.contents.get(desired);
        let in_force = own.contents.in_force(desired);
        let kernel = content(&self.second, present);
        if (rib, fib, kernel) == (None, None, None) {
            return; // a row of a route that went with its object
        }
        self.compared[family] += 1;
        // While a gateway does not answer routes are to have less than is desired.
        let as_desired = kernel == own.contents.get(in_force).map(Some);
        let agree = as_desired && (!self.rib_known || rib == fib);
        let stranger = self.strangers.get(prefix).copied();
        if agree && stranger.is_none() {
            return;
        }
        let Some(kind) = self.judge(own, in_force, present, as_desired, agree, stranger) else { return };
        let entry =
            |nexthop: Option<&ForwardingNexthop>, object| Entry { prefix: *prefix, nexthop: nexthop.cloned(), object };
        let number = self.second.objects.get(present).map_or(0, |object| object.kernel_id);
        let difference = Difference {
            kind,
            rib: rib.map(|nexthop| entry(Some(nexthop), 0)),
            fib: fib.map(|nexthop| entry(Some(nexthop), 0)),
            kernel: kernel.map(|nexthop| entry(nexthop, number)),
            noticed: content(own, believed) == kernel,
        };
        self.keep(*prefix, difference);
    }

    fn judge(
        &self,
        own: &Fib,
        in_force: ContentId,
        present: ObjectIndex,
        as_desired: bool,
        agree: bool,
        stranger: Option<Stranger>,
    ) -> Option<Kind> {
        if as_desired {
            let hides = stranger.filter(|stranger| present != 0 && stranger.metric < ROUTE_METRIC);
            return if agree { hides.map(Kind::Hidden) } else { Some(Kind::NotTold) };
        }
        let in_the_way = stranger.filter(|stranger| stranger.metric == ROUTE_METRIC);
        Some(match (own.contents.get(in_force), content(&self.second, present)) {
            (None, _) => Kind::Unwanted,
            (Some(wanted), Some(Some(present))) if own.stand_in(wanted).as_ref() == Some(present) => Kind::StandIn,
            (_, Some(Some(_))) => Kind::Elsewhere,
            (_, Some(None)) => {
                let id = self.second.objects.get(present).map_or(0, |object| object.kernel_id);
                Kind::ObjectOfOthers { protocol: self.makers.get(&id).copied() }
            }
            (Some(_), None) => match (in_the_way, own.blocked_by_link(in_force)) {
                (Some(stranger), _) => Kind::InTheWay(stranger),
                (None, Some(index)) => Kind::LinkDown(index),
                (None, None) => Kind::Missing,
            },
        })
    }

    fn keep(&mut self, prefix: IpNet, difference: Difference) {
        let is_hidden = matches!(difference.kind, Kind::Hidden(_));
        let before = self.found.insert(prefix, difference);
        // A row that was moved while the walk went on is met twice.
        if before.is_none() {
            *(if is_hidden { &mut self.hidden } else { &mut self.different }) += 1;
        }
        if self.found.len() > DIFFERENCES_MAX {
            self.found.pop_last();
        }
    }

    /// Whether all that the RIB says was there.
    pub fn rib_known(&self) -> bool {
        self.rib_known
    }

    /// Destinations that one of the three has, by family.
    pub fn compared(&self) -> [u64; 2] {
        self.compared
    }

    /// Destinations that differ, and those that are hidden.
    pub fn counts(&self) -> (u64, u64) {
        (self.different, self.hidden)
    }

    /// The lowest of both, in order.
    pub fn found(&self) -> impl Iterator<Item = (&IpNet, &Difference)> {
        self.found.iter()
    }
}

/// Where a route with this object leads: no route, one that is not understood, or the next hop.
fn content(fib: &Fib, object: ObjectIndex) -> Option<Option<&ForwardingNexthop>> {
    fib.objects.living(object).map(|object| fib.contents.get(object.content))
}
