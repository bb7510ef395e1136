//! Direct and static candidates: the few routes that everything else is resolved through. Aggregates lie beside them, but nothing
//! is resolved through what only stands for longer routes.

use crate::nexthop::NexthopSetId;
use crate::prefix_table::{PrefixId, PrefixTable};
use crate::{Family, Protocol};
use ipnet::IpNet;
use std::net::IpAddr;

/// One candidate: its next hop and its preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LocalRoute {
    pub nexthop: NexthopSetId,
    pub preference: u8,
    pub tag: u32,
}

/// What this router itself says about one prefix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LocalCandidates {
    pub direct: Option<LocalRoute>,
    pub configured: Option<LocalRoute>,
    pub aggregate: Option<LocalRoute>,
}

impl LocalCandidates {
    pub fn is_empty(&self) -> bool {
        self.direct.is_none() && self.configured.is_none() && self.aggregate.is_none()
    }

    pub fn get(&self, protocol: Protocol) -> Option<LocalRoute> {
        match protocol {
            Protocol::Direct => self.direct,
            Protocol::Static => self.configured,
            Protocol::Aggregate => self.aggregate,
            Protocol::Bgp => None,
        }
    }

    /// Puts a candidate in place and returns the one before. BGP's do not live here.
    fn replace(&mut self, protocol: Protocol, route: Option<LocalRoute>) -> Option<LocalRoute> {
        match protocol {
            Protocol::Direct => std::mem::replace(&mut self.direct, route),
            Protocol::Static => std::mem::replace(&mut self.configured, route),
            Protocol::Aggregate => std::mem::replace(&mut self.aggregate, route),
            Protocol::Bgp => None,
        }
    }
}

/// The local candidates of one family, in a prefix table of their own, so that resolution never looks at BGP's prefixes.
#[derive(Clone, Debug)]
pub(crate) struct LocalRoutes {
    prefixes: PrefixTable,
    candidates: Vec<LocalCandidates>,
}

impl LocalRoutes {
    pub fn new(family: Family) -> LocalRoutes {
        LocalRoutes { prefixes: PrefixTable::new(family), candidates: Vec::new() }
    }

    /// Sets or clears one candidate; returns the one before.
    pub fn set(&mut self, prefix: IpNet, protocol: Protocol, route: Option<LocalRoute>) -> Option<LocalRoute> {
        let id = self.prefixes.intern(prefix);
        if id.index() >= self.candidates.len() {
            self.candidates.resize(id.index() + 1, LocalCandidates::default());
        }
        let candidates = &mut self.candidates[id.index()];
        let used_before = !candidates.is_empty();
        let before = candidates.replace(protocol, route);
        // The prefix is held once while there is any candidate; `intern` above has taken that hold or a second one.
        if used_before {
            self.prefixes.release(id);
        }
        if candidates.is_empty() {
            self.prefixes.release(id);
        }
        before
    }

    pub fn get(&self, prefix: IpNet) -> LocalCandidates {
        self.prefixes.get(prefix).map(|id| self.candidates[id.index()]).unwrap_or_default()
    }

    /// The prefixes that contain an address, longest first, each with its candidates.
    pub fn matches(&self, address: IpAddr) -> impl Iterator<Item = (PrefixId, LocalCandidates)> + '_ {
        self.prefixes.matches(address).map(|id| (id, self.candidates[id.index()]))
    }
}
