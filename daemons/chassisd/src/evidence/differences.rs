//! What was another thing before the run than after it: sessions, interfaces, routes, configuration.
//!
//! A router goes on working during a run, so counts may differ and prove nothing; they are told all the same. Only what
//! nobody but the run can have changed is a loss.

use std::collections::BTreeMap;

use holdfast_proto::v1;

use super::{Baseline, address, state};

/// Differences told of one kind of thing; more are counted.
const TOLD_MAX: usize = 64;

/// All differences, in the order sessions, interfaces, routes, configuration.
pub fn differences(before: &Baseline, after: &Baseline) -> Vec<v1::Difference> {
    let mut told = Vec::new();
    if let (Some(before), Some(after)) = (&before.sessions, &after.sessions) {
        compare(&mut told, "", facts_of_sessions(before), facts_of_sessions(after));
    }
    if let (Some(before), Some(after)) = (&before.interfaces, &after.interfaces) {
        compare(&mut told, "", facts_of_interfaces(before), facts_of_interfaces(after));
    }
    if let (Some(before), Some(after)) = (&before.routes, &after.routes) {
        compare(&mut told, "", facts_of_routes(before), facts_of_routes(after));
    }
    if let (Some(before), Some(after)) = (&before.configuration, &after.configuration) {
        let text = |reply: &v1::GetConfigurationReply| format!("commit {}, {}", reply.commit_id, hex(&reply.digest));
        if before.digest != after.digest {
            // Commits are refused while a run is in progress.
            let (what, before, after) = ("configuration".into(), text(before), text(after));
            told.push(v1::Difference { what, before, after, loss: true });
        }
    }
    told
}

fn hex(digest: &[u8]) -> String {
    digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

type Facts = BTreeMap<String, String>;

fn compare(told: &mut Vec<v1::Difference>, absent: &str, before: Facts, after: Facts) {
    let names = before.keys().chain(after.keys().filter(|name| !before.contains_key(*name)));
    let value = |facts: &Facts, name: &str| facts.get(name).cloned().unwrap_or_else(|| absent.to_string());
    let differing: Vec<v1::Difference> = names
        .map(|name| v1::Difference {
            what: name.clone(),
            before: value(&before, name),
            after: value(&after, name),
            loss: false,
        })
        .filter(|difference| difference.before != difference.after)
        .collect();
    let more = differing.len().saturating_sub(TOLD_MAX);
    told.extend(differing.into_iter().take(TOLD_MAX));
    if more > 0 {
        let what = format!("{more} more of this kind");
        told.push(v1::Difference { what, ..v1::Difference::default() });
    }
}

fn facts_of_sessions(sessions: &[v1::BgpNeighborDetail]) -> Facts {
    let mut facts = Facts::new();
    for session in sessions {
        let neighbor = address(session);
        let mut note = |what: &str, value: String| facts.insert(format!("bgp {neighbor} {what}"), value);
        note("state", state(session).into());
        note("established since", session.established_unix_ms.to_string());
        note("ports", format!("{} {}", session.local_port, session.remote_port));
        note("hold time", session.hold_time_s.to_string());
        note("capabilities", session.capabilities_received.join(", "));
        for family in session.summary.iter().flat_map(|summary| &summary.families) {
            let counts = format!(
                "received {} accepted {} active {} advertised {} stale {}",
                family.received, family.accepted, family.active, family.advertised, family.stale
            );
            note(&family.family, counts);
        }
    }
    facts
}

fn facts_of_interfaces(interfaces: &[v1::Interface]) -> Facts {
    let fact = |interface: &v1::Interface| {
        let carrier = match (interface.admin_up, interface.carrier) {
            (true, true) => "up",
            (true, false) => "no carrier",
            (false, _) => "disabled",
        };
        let value = format!("{carrier}, mtu {}, {}", interface.mtu, interface.addresses.join(" "));
        (format!("interface {}", interface.name), value)
    };
    interfaces.iter().map(fact).collect()
}

fn facts_of_routes(routes: &v1::RouteSummary) -> Facts {
    let fact = |table: &v1::TableSummary| {
        let value = format!(
            "{} destinations, {} routes, {} active, {} hidden",
            table.destinations, table.routes, table.active, table.hidden
        );
        (format!("routes {}", table.table), value)
    };
    routes.tables.iter().map(fact).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn baseline(received: u64, addresses: &[&str], digest: u8) -> Baseline {
        let families = vec![v1::FamilyCounters { family: "inet-unicast".into(), received, ..Default::default() }];
        let summary = v1::BgpNeighborSummary {
            address: "10.0.0.2".into(),
            state: "Established".into(),
            families,
            ..Default::default()
        };
        let interface = |name: &&str| v1::Interface { name: (*name).into(), ..Default::default() };
        Baseline {
            sessions: Some(vec![v1::BgpNeighborDetail { summary: Some(summary), ..Default::default() }]),
            interfaces: Some(addresses.iter().map(interface).collect()),
            routes: Some(v1::RouteSummary::default()),
            configuration: Some(v1::GetConfigurationReply { digest: vec![digest; 32], ..Default::default() }),
            ..Default::default()
        }
    }

    #[test]
    fn counts_are_told_and_only_the_configuration_is_a_loss() {
        assert!(differences(&baseline(5, &["eth0"], 1), &baseline(5, &["eth0"], 1)).is_empty());
        let told = differences(&baseline(5, &["eth0"], 1), &baseline(6, &["eth0", "eth1"], 2));
        let what: Vec<(&str, bool)> =
            told.iter().map(|difference| (difference.what.as_str(), difference.loss)).collect();
        assert_eq!(what, [("bgp 10.0.0.2 inet-unicast", false), ("interface eth1", false), ("configuration", true)]);
        assert!(told[0].before.contains("received 5") && told[0].after.contains("received 6"));
        assert_eq!(told[1].before, "");
        assert_eq!(told[2].after, "commit 0, 02020202");
    }

    #[test]
    fn of_very_many_only_the_number_is_told() {
        let names: Vec<String> = (0..200).map(|index| format!("eth{index}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let told = differences(&baseline(5, &[], 1), &baseline(5, &names, 1));
        assert_eq!(told.len(), TOLD_MAX + 1);
        assert_eq!(told[TOLD_MAX].what, "136 more of this kind");
    }
}
