//! Routes.

use holdfast_proto::v1::{Route, RoutePage, RouteSummary, UnknownAttribute};

use super::table::Table;

/// Column where a route's text begins behind its prefix.
const PREFIX_WIDTH: usize = 19;

/// `show route`, page by page: remembers the table and the prefix that the last page ended with.
#[derive(Debug)]
pub struct Routes {
    detail: bool,
    table: String,
    prefix: String,
}

impl Routes {
    /// Begins; `detail` shows everything known of a route.
    pub fn new(detail: bool) -> Self {
        Self { detail, table: String::new(), prefix: String::new() }
    }

    /// One page.
    pub fn page(&mut self, page: &RoutePage) -> String {
        page.routes.iter().map(|route| self.route(route)).collect()
    }

    fn route(&mut self, route: &Route) -> String {
        let mut out = String::new();
        if route.table != self.table {
            let gap = if self.table.is_empty() { "" } else { "\n" };
            out.push_str(&format!("{gap}{}:\n* = Active Route\n\n", route.table));
            self.table.clone_from(&route.table);
            self.prefix.clear();
        }
        let prefix = if route.prefix == self.prefix { "" } else { route.prefix.as_str() };
        out.push_str(&format!("{prefix:<PREFIX_WIDTH$}{}", if prefix.len() >= PREFIX_WIDTH { " " } else { "" }));
        self.prefix.clone_from(&route.prefix);
        let star = if route.active { '*' } else { ' ' };
        out.push_str(&format!("{star}[{}/{}]{}\n", protocol(&route.protocol), route.preference, attributes(route)));
        let mut line = |text: String| out.push_str(&format!("{:w$}{text}\n", "", w = PREFIX_WIDTH + 3));
        if route.protocol == "bgp" {
            line(format!(
                "AS path: {}",
                [route.as_path.as_str(), origin(&route.origin)]
                    .into_iter()
                    .filter(|part| !part.is_empty())
                    .collect::<Vec<_>>()
                    .join(" ")
            ));
        }
        for (index, next_hop) in route.next_hops.iter().enumerate() {
            let mark = if index == 0 { '>' } else { ' ' };
            let to = if next_hop.gateway.is_empty() { String::new() } else { format!("to {} ", next_hop.gateway) };
            let weight = if next_hop.weight > 1 { format!(", weight {}", next_hop.weight) } else { String::new() };
            let backup = if next_hop.backup { ", backup" } else { "" };
            let silent = if next_hop.silent { ", does not answer" } else { "" };
            line(format!("{mark} {to}via {}{weight}{backup}{silent}", next_hop.interface));
        }
        if route.next_hops.is_empty() && matches!(route.kind.as_str(), "discard" | "reject") {
            line(route.kind[..1].to_uppercase() + &route.kind[1..]);
        }
        // A route on its way in or out leads nowhere yet: its next hop is what it says.
        if (self.detail || route.next_hops.is_empty() && route.kind == "unicast") && !route.bgp_next_hop.is_empty() {
            line(format!("BGP next hop: {}", route.bgp_next_hop));
        }
        if self.detail {
            for (title, value) in [
                ("Communities", &route.communities.join(" ")),
                ("Originator", &route.originator_id),
                ("Cluster list", &route.cluster_list.join(" ")),
                ("Only to customer", &route.only_to_customer.map(|asn| asn.to_string()).unwrap_or_default()),
                ("Aggregator", &route.aggregator),
                ("Atomic aggregate", &if route.atomic_aggregate { "yes" } else { "" }.to_owned()),
                ("Tag", &if route.tag == 0 { String::new() } else { route.tag.to_string() }),
                ("Best", &route.best_reason),
                ("Inactive reason", &route.inactive_reason),
                ("Too long for a message to", &route.too_long_for.join(" ")),
            ] {
                if !value.is_empty() {
                    line(format!("{title}: {value}"));
                }
            }
            route.unknown_attributes.iter().for_each(|attribute| line(unknown(attribute)));
        } else if !route.active && !route.inactive_reason.is_empty() {
            line(format!("Inactive reason: {}", route.inactive_reason));
        }
        out
    }
}

fn protocol(name: &str) -> String {
    match name {
        "bgp" => "BGP".to_owned(),
        "static" => "Static".to_owned(),
        "direct" => "Direct".to_owned(),
        "aggregate" => "Aggregate".to_owned(),
        other => other.to_owned(),
    }
}

fn origin(origin: &str) -> &str {
    match origin.to_ascii_lowercase().as_str() {
        "igp" | "i" => "I",
        "egp" | "e" => "E",
        "incomplete" | "?" => "?",
        _ => origin,
    }
}

/// An attribute of a type that this version does not know; flags by their names (RFC 4271 section 4.3).
fn unknown(attribute: &UnknownAttribute) -> String {
    let flags = [(0x80, " optional"), (0x40, " transitive"), (0x20, " partial")];
    let flags: String = flags.iter().filter(|(bit, _)| attribute.flags & bit != 0).map(|(_, name)| *name).collect();
    let more = if attribute.octets.len() < 2 * attribute.length as usize { "..." } else { "" };
    let UnknownAttribute { r#type, length, octets, .. } = attribute;
    format!("Unknown attribute {type}:{flags}, {length} octets: {octets}{more}")
}

fn attributes(route: &Route) -> String {
    let mut out = String::new();
    if let Some(med) = route.med {
        out.push_str(&format!(", MED {med}"));
    }
    if let Some(preference) = route.local_preference {
        out.push_str(&format!(", localpref {preference}"));
    }
    if !route.learned_from.is_empty() {
        out.push_str(&format!(", from {}", route.learned_from));
    }
    if route.path_id != 0 {
        out.push_str(&format!(", path id {}", route.path_id));
    }
    if route.stale {
        out.push_str(", stale");
    }
    out
}

/// `show route summary`
pub fn route_summary(summary: &RouteSummary) -> String {
    let mut out =
        format!("Autonomous system number: {}\nRouter ID: {}\n", summary.autonomous_system, summary.router_id);
    for table in &summary.tables {
        out.push_str(&format!(
            "\n{}: {} destinations, {} routes ({} active, {} hidden)\n",
            table.table, table.destinations, table.routes, table.active, table.hidden
        ));
        let mut protocols = Table::new(&["  Protocol", ">Routes", ">Active"]);
        for count in &table.protocols {
            protocols.row(vec![
                format!("  {}", protocol(&count.protocol)),
                count.routes.to_string(),
                count.active.to_string(),
            ]);
        }
        out.push_str(&protocols.print());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_shown_as_it_came() {
        let attribute = UnknownAttribute { r#type: 99, flags: 0xe0, length: 2, octets: "0a0b".into() };
        assert_eq!(unknown(&attribute), "Unknown attribute 99: optional transitive partial, 2 octets: 0a0b");
        let attribute = UnknownAttribute { flags: 0xc0, length: 3, ..attribute };
        assert_eq!(unknown(&attribute), "Unknown attribute 99: optional transitive, 3 octets: 0a0b...");
        let route = Route {
            protocol: "bgp".into(),
            aggregator: "65001 192.0.2.1".into(),
            atomic_aggregate: true,
            unknown_attributes: vec![attribute],
            too_long_for: vec!["10.0.0.2".into(), "10.0.0.3".into()],
            ..Route::default()
        };
        let page = RoutePage { routes: vec![route] };
        let text = Routes::new(true).page(&page);
        let too_long = "Too long for a message to: 10.0.0.2 10.0.0.3";
        for line in ["Aggregator: 65001 192.0.2.1", "Atomic aggregate: yes", "Unknown attribute 99", too_long] {
            assert!(text.contains(line), "{text}");
        }
        assert!(!Routes::new(false).page(&page).contains("ggrega"), "in detail only");
    }
}
