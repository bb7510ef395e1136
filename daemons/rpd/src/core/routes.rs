//! `show route`, in pages: a bounded number of destinations is looked at per page, so that sessions are served in between.

use holdfast_bgp::speaker::NeighborId;
use holdfast_proto::v1;
use holdfast_proto::v1::show_routes_request::Match;
use holdfast_rib::{Family, PrefixId, Protocol};
use ipnet::IpNet;

use super::Core;
use crate::destinations::Walk;

/// A request, parsed.
struct Selection {
    families: [bool; 2],
    prefix: Option<(IpNet, Match)>,
    protocol: String,
    received_from: Option<NeighborId>,
    advertised_to: Option<NeighborId>,
}

impl Core {
    /// One page, and where the next one begins.
    pub(super) fn route_page(
        &self,
        request: &v1::ShowRoutesRequest,
        walk: Walk,
    ) -> Result<(v1::RoutePage, Option<Walk>), String> {
        let selection = self.selection(request)?;
        if let Some((prefix, kind)) = &selection.prefix
            && *kind != Match::Longer
        {
            return Ok((self.one_destination(&selection, *prefix, *kind), None));
        }
        let cover = selection.prefix.map(|(cover, _)| cover);
        let select = |family, id| self.select(&selection, family, id);
        let (routes, next) = walk.page(&self.rib, selection.families, cover, select);
        Ok((v1::RoutePage { routes }, next))
    }

    fn selection(&self, request: &v1::ShowRoutesRequest) -> Result<Selection, String> {
        let prefix = match request.prefix.as_str() {
            "" => None,
            text => Some((parse_prefix(text)?, request.r#match())),
        };
        let mut families = Family::ALL.map(|family| request.table.is_empty() || request.table == family.table());
        if families == [false; 2] {
            return Err(format!("there is no table {:?}; the tables are inet.0 and inet6.0", request.table));
        }
        if let Some((prefix, _)) = &prefix {
            families = Family::ALL.map(|family| families[family.index()] && family == Family::of(prefix));
        }
        Ok(Selection {
            families,
            prefix,
            protocol: request.protocol.to_ascii_lowercase(),
            received_from: self.neighbor_named(&request.received_from)?,
            advertised_to: self.neighbor_named(&request.advertised_to)?,
        })
    }

    /// A neighbour by its address; none for no address.
    pub(super) fn neighbor_named(&self, address: &str) -> Result<Option<NeighborId>, String> {
        if address.is_empty() {
            return Ok(None);
        }
        let parsed = address.parse().map_err(|_| format!("{address:?} is not an IP address"))?;
        let found = self.protocols.bgp.find_neighbor(parsed);
        found.map(Some).ok_or_else(|| format!("{address} is not a configured neighbor"))
    }

    fn one_destination(&self, selection: &Selection, prefix: IpNet, kind: Match) -> v1::RoutePage {
        let family = Family::of(&prefix);
        let table = self.rib.prefixes(family);
        let exact = table.get(prefix.trunc());
        let found = match kind {
            Match::Exact => exact,
            // The best match for an address (or for a whole prefix) is the longest one that has routes to show.
            _ => table
                .matches(prefix.addr())
                .filter(|id| table.try_prefix(*id).is_some_and(|cover| cover.prefix_len() <= prefix.prefix_len()))
                .find(|id| !self.select(selection, family, *id).is_empty()),
        };
        let routes = match found {
            Some(id) if selection.families[family.index()] => self.select(selection, family, id),
            _ => Vec::new(),
        };
        v1::RoutePage { routes }
    }

    fn select(&self, selection: &Selection, family: Family, id: PrefixId) -> Vec<v1::Route> {
        let mut routes = match (selection.received_from, selection.advertised_to) {
            (Some(neighbor), _) => self.protocols.bgp.received_routes(&self.rib, neighbor, family, id),
            (_, Some(neighbor)) => self.protocols.bgp.advertised_routes(&self.rib, neighbor, family, id),
            _ => self.protocols.bgp.routes(&self.rib, family, id),
        };
        self.mark_silent(&mut routes);
        if !selection.protocol.is_empty() {
            routes.retain(|route| route.protocol.eq_ignore_ascii_case(&selection.protocol));
        }
        routes
    }

    pub(super) fn route_summary(&self) -> v1::RouteSummary {
        let tables = Family::ALL.map(|family| {
            let counts = self.rib.counts(family);
            let protocols: Vec<v1::ProtocolCount> = Protocol::ALL
                .into_iter()
                .map(|protocol| {
                    let count = counts.protocols[protocol.index()];
                    let bgp = protocol == Protocol::Bgp;
                    v1::ProtocolCount {
                        protocol: protocol.name().into(),
                        routes: if bgp { self.protocols.bgp.paths(family) } else { count.routes },
                        active: count.active,
                    }
                })
                .collect();
            v1::TableSummary {
                table: family.table().into(),
                destinations: counts.destinations,
                routes: protocols.iter().map(|protocol| protocol.routes).sum(),
                active: protocols.iter().map(|protocol| protocol.active).sum(),
                hidden: self.protocols.bgp.hidden(family),
                protocols,
            }
        });
        v1::RouteSummary {
            router_id: self.protocols.bgp.router_id().to_string(),
            autonomous_system: self.configuration.routing.autonomous_system,
            tables: tables.into(),
        }
    }
}

pub(super) fn parse_prefix(text: &str) -> Result<IpNet, String> {
    let refused = |_| format!("{text:?} is neither an address nor a prefix");
    if text.contains('/') {
        text.parse().map_err(refused)
    } else {
        text.parse::<std::net::IpAddr>()
            .map(IpNet::from)
            .map_err(|_| format!("{text:?} is neither an address nor a prefix"))
    }
}
