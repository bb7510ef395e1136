//! BGP.

use holdfast_proto::v1::{
    BgpNeighborDetail, BgpNeighborSummary, BgpNeighbors, BgpNotificationView, BgpSummary, FamilyCounters, Replication,
    Role, SwitchoverMode,
};

use super::{
    table::Table,
    time::{ago, clock, span},
};
use crate::commands::Group;

fn established(neighbor: &BgpNeighborSummary) -> bool {
    neighbor.state.eq_ignore_ascii_case("established")
}

/// `show bgp summary`
pub fn bgp_summary(summary: &BgpSummary) -> String {
    let up = summary.neighbors.iter().filter(|neighbor| established(neighbor)).count();
    let mut out = format!(
        "Router ID: {}  Local AS: {}\nPeers: {}  Established: {}  Down: {}  Paths: {}  Prefixes: {}\n",
        summary.router_id,
        summary.local_as,
        summary.neighbors.len(),
        up,
        summary.neighbors.len() - up,
        summary.paths,
        summary.prefixes,
    );
    let mut table = Table::new(&[
        "Peer",
        ">AS",
        ">InPkt",
        ">OutPkt",
        ">Flaps",
        ">Last Up/Dwn",
        "State|Active/Received/Accepted/Advertised",
    ]);
    for neighbor in &summary.neighbors {
        let families = neighbor.families.iter().map(|family| {
            format!(
                "{}: {}/{}/{}/{}",
                family.family, family.active, family.received, family.accepted, family.advertised
            )
        });
        let mark = if neighbor.allowed_by.is_empty() { "" } else { "*" };
        let state =
            if established(neighbor) { families.collect::<Vec<_>>().join("  ") } else { neighbor.state.clone() };
        table.row(vec![
            format!("{}{mark}", neighbor.address),
            neighbor.peer_as.to_string(),
            neighbor.messages_in.to_string(),
            neighbor.messages_out.to_string(),
            neighbor.flaps.to_string(),
            span(neighbor.established_ms),
            state,
        ]);
    }
    out.push_str(&table.print());
    if summary.neighbors.iter().any(|neighbor| !neighbor.allowed_by.is_empty()) {
        out.push_str("* not configured itself: its prefix is allowed\n");
    }
    out
}

/// `show bgp neighbor`
pub fn bgp_neighbors(neighbors: &BgpNeighbors) -> String {
    if neighbors.neighbors.is_empty() {
        return "No BGP neighbor is configured\n".to_owned();
    }
    neighbors.neighbors.iter().map(neighbor).collect::<Vec<_>>().join("\n")
}

fn neighbor(detail: &BgpNeighborDetail) -> String {
    let summary = detail.summary.clone().unwrap_or_default();
    let kind = if detail.internal { "Internal" } else { "External" };
    let mut out = format!(
        "Peer: {} AS {}    Local: {} AS {}\n",
        endpoint(&summary.address, detail.remote_port),
        summary.peer_as,
        endpoint(&detail.local_address, detail.local_port),
        detail.local_as,
    );
    let mut line = |text: String| out.push_str(&format!("  {text}\n"));
    if !summary.description.is_empty() {
        line(format!("Description: {}", summary.description));
    }
    line(format!("Group: {}    Type: {kind}    State: {}    Flaps: {}", summary.group, summary.state, summary.flaps));
    if !detail.interface.is_empty() {
        line(format!("Interface: {}", detail.interface));
    }
    if !summary.allowed_by.is_empty() {
        line(format!("Not configured itself: allow {}", summary.allowed_by));
    }
    if detail.shutdown {
        let told = if detail.shutdown_message.is_empty() { "without a message" } else { &detail.shutdown_message };
        line(format!("Shut down by the configuration: {told}"));
    }
    line(protection(detail));
    if established(&summary) {
        line(format!("Established: {}, at {}", ago(summary.established_ms), clock(detail.established_unix_ms)));
        line(format!(
            "Peer ID: {}    Hold time: {}    Keepalive: {}",
            detail.router_id,
            timer(detail.hold_time_s),
            timer(detail.keepalive_s)
        ));
        line(format!("Last read: {} ms ago    Last written: {} ms ago", detail.last_read_ms, detail.last_written_ms));
    } else if !detail.why_not_established.is_empty() {
        line(format!("Not established: {}", detail.why_not_established));
    }
    if !established(&summary) {
        let hold = if summary.state == "Idle" { "Idle hold" } else { "Next attempt" };
        if let Some(wait_ms) = detail.next_attempt_ms {
            let seconds = wait_ms as f64 / 1000.0;
            line(format!("{hold}: {seconds:.1} s    Failures in a row: {}", detail.failures));
        }
    }
    if !detail.bfd_state.is_empty() {
        line(bfd(detail));
    }
    if established(&summary) && !summary.last_error.is_empty() {
        line(format!("The session before ended: {}", summary.last_error));
    }
    for (what, notification) in
        [("received", &detail.last_notification_received), ("sent", &detail.last_notification_sent)]
    {
        if let Some(notification) = notification {
            line(format!("Last notification {what}: {}", self::notification(notification)));
        }
    }
    let vault = if detail.in_vault { "in the vault" } else { "not in the vault" };
    if !detail.switchover_mode.is_empty() {
        line(format!("Switchover: {} (descriptor {vault})", detail.switchover_mode));
    }
    for (title, values) in [
        ("Import", &detail.import_policies),
        ("Export", &detail.export_policies),
        ("Routes", &detail.route_rules),
        ("Capabilities sent", &detail.capabilities_sent),
        ("Capabilities received", &detail.capabilities_received),
        ("Capabilities agreed", &detail.capabilities_agreed),
    ] {
        if !values.is_empty() {
            line(format!("{title}: {}", values.join(", ")));
        }
    }
    line(format!(
        "Input messages: {} (updates {})    Octets of this session: {}",
        summary.messages_in, detail.updates_in, detail.bytes_in
    ));
    line(format!(
        "Output messages: {} (updates {})    Octets of this session: {}",
        summary.messages_out, detail.updates_out, detail.bytes_out
    ));
    if detail.treat_as_withdraw > 0 {
        line(format!("Malformed updates treated as withdrawals (RFC 7606): {}", detail.treat_as_withdraw));
    }
    if detail.attributes_discarded > 0 {
        line(format!("Attributes left out of others: {}", detail.attributes_discarded));
    }
    if !detail.last_malformed.is_empty() {
        line(format!("Last malformed update, {}: {}", ago(detail.last_malformed_ms), detail.last_malformed));
    }
    for family in &summary.families {
        let end = |seen: bool| if seen { "yes" } else { "no" };
        line(format!("Family {}:", family.family));
        line(format!(
            "  Active prefixes: {}    Received: {}    Accepted: {}    Advertised: {}    Stale: {}",
            family.active, family.received, family.accepted, family.advertised, family.stale
        ));
        if family.dropped > 0 {
            line(format!("  Dropped by a limit: {}", family.dropped));
        }
        if family.too_long > 0 {
            line(format!("  Not told, longer than a message to it may be: {}", family.too_long));
        }
        if family.unrefreshed > 0 {
            line(format!("  The neighbor tells its routes again; to come: {}", family.unrefreshed));
        }
        line(format!(
            "  End-of-RIB received: {}    sent: {}",
            end(family.end_of_rib_received),
            end(family.end_of_rib_sent)
        ));
        if family.stale > 0 {
            let kind = if family.long_lived { "Long-lived stale" } else { "Stale" };
            line(format!("  {kind} routes go in {} s at the latest", family.stale_left_ms.div_ceil(1000)));
        }
        if let Some(paths) = several_paths(family) {
            line(format!("  Several paths to one destination (RFC 7911): {paths}"));
        }
    }
    out
}

/// An end of a connection, as far as it is known.
fn endpoint(address: &str, port: u32) -> String {
    match (address, port) {
        ("", _) => "-".to_owned(),
        (address, 0) => address.to_owned(),
        (address, port) => format!("{address}+{port}"),
    }
}

/// A timer that both sides agreed on.
fn timer(seconds: u32) -> String {
    if seconds == 0 { "none".into() } else { format!("{seconds} s") }
}

fn notification(notification: &BgpNotificationView) -> String {
    let ago = ago(notification.ago_ms);
    match notification.message.as_str() {
        "" => format!("{}, {ago}", notification.name),
        message => format!("{}, {ago}: \"{message}\"", notification.name),
    }
}

/// What the connection is protected by.
fn protection(detail: &BgpNeighborDetail) -> String {
    let authentication = if detail.authentication.is_empty() { "none" } else { &detail.authentication };
    let distance = match detail.ttl_security_hops {
        0 => format!("TTL: {}", detail.ttl),
        hops => format!("TTL security: {hops} hops"),
    };
    format!("Authentication: {authentication}    {distance}")
}

/// The session that watches the way to the neighbour.
fn bfd(detail: &BgpNeighborDetail) -> String {
    let detection = match detail.bfd_detection_time_us {
        0 => "the neighbor is not heard".to_owned(),
        us => format!("detection time {} ms", us / 1000),
    };
    match detail.bfd_failed_ms {
        0 => format!("BFD: {}    {detection}", detail.bfd_state),
        ago => format!("BFD: {}    lost {} ago", detail.bfd_state, span(ago)),
    }
}

/// What was agreed on several paths; `None`: nothing.
fn several_paths(family: &FamilyCounters) -> Option<String> {
    let sent = format!("up to {} are sent", family.sends_paths);
    match (family.receives_paths, family.sends_paths) {
        (false, 0) => None,
        (true, 0) => Some("received".into()),
        (false, _) => Some(sent),
        (true, _) => Some(format!("received, {sent}")),
    }
}

/// `show bgp group`
pub fn bgp_groups(groups: &[Group]) -> String {
    let mut table = Table::new(&["Group", ">Peers", ">Established", "Neighbors", "Allowed"]);
    for group in groups {
        let allowed = group.allowed.iter().map(|a| format!("{}: {} of {}", a.prefix, a.neighbors, a.limit));
        let addresses: Vec<&str> = group.neighbors.iter().map(|neighbor| neighbor.address.as_str()).collect();
        table.row(vec![
            group.name.clone(),
            group.neighbors.len().to_string(),
            group.established.to_string(),
            addresses.join(" "),
            allowed.collect::<Vec<_>>().join("  "),
        ]);
    }
    table.print()
}

fn role(replication: &Replication) -> &'static str {
    match replication.role() {
        Role::Primary => "Primary",
        Role::Backup => "Backup",
        Role::Frozen => "Frozen",
        Role::Activated => "Activated",
        Role::Unspecified => "Unknown",
    }
}

/// A session's road through a switchover.
pub fn mode(mode: SwitchoverMode) -> &'static str {
    match mode {
        SwitchoverMode::Nsr => "NSR",
        SwitchoverMode::Gr => "GR",
        SwitchoverMode::Lost => "lost",
        SwitchoverMode::Down => "down",
        SwitchoverMode::Unspecified => "-",
    }
}

/// `show bgp replication`
pub fn bgp_replication(replication: &Replication) -> String {
    let peer = if replication.peer_connected { "connected" } else { "not connected" };
    let snapshot = if replication.snapshot_done { "done" } else { "not done" };
    let mut out = format!(
        "Replication role: {}  Epoch: {}  State: {}\nPeer: {peer}  Snapshot: {snapshot}  Facts sent: {}  received: {}  Lag: {} bytes\n",
        role(replication),
        replication.epoch,
        replication.state,
        replication.facts_sent,
        replication.facts_received,
        replication.lag_bytes,
    );
    if !replication.sessions.is_empty() {
        out.push_str(&sessions(&replication.sessions));
    }
    if !replication.tables.is_empty() {
        out.push_str(&tables(&replication.tables));
    }
    out
}

/// Sessions and the road each takes.
pub fn sessions(sessions: &[holdfast_proto::v1::SessionReadiness]) -> String {
    let mut table = Table::new(&["Protocol", "Neighbor", "Mode", "Ready", "Reason"]);
    for session in sessions {
        let ready = if session.ready { "yes" } else { "no" };
        table.row(vec![
            session.protocol.clone(),
            session.neighbor.clone(),
            mode(session.mode()).into(),
            ready.into(),
            session.reason.clone(),
        ]);
    }
    table.print()
}

/// Tables compared between two routing engines.
pub fn tables(tables: &[holdfast_proto::v1::TableComparison]) -> String {
    let digest = |side: &Option<holdfast_proto::v1::TableDigest>| {
        side.as_ref().map_or_else(|| "-".to_owned(), |digest| format!("{:016x}", digest.digest))
    };
    let mut table = Table::new(&["Table", ">Entries", "Primary", "Backup", "Equal"]);
    for comparison in tables {
        let entries = comparison.primary.as_ref().or(comparison.backup.as_ref()).map_or(0, |digest| digest.entries);
        let equal = if comparison.equal { "yes" } else { "no" };
        table.row(vec![
            comparison.table.clone(),
            entries.to_string(),
            digest(&comparison.primary),
            digest(&comparison.backup),
            equal.into(),
        ]);
    }
    table.print()
}

/// `show task replication`
pub fn task_replication(replication: &Replication, nonstop_routing: bool) -> String {
    let stateful = if nonstop_routing { "Enabled" } else { "Disabled" };
    let mut out = format!("        Stateful Replication: {stateful}\n        RE mode: {}\n\n", role(replication));
    let mut protocols: Vec<(&str, bool, String)> = Vec::new();
    for session in &replication.sessions {
        match protocols.iter_mut().find(|(protocol, ..)| *protocol == session.protocol) {
            Some((_, ready, reason)) => {
                if *ready && !session.ready {
                    *reason = session.reason.clone();
                }
                *ready &= session.ready;
            }
            None => protocols.push((&session.protocol, session.ready, session.reason.clone())),
        }
    }
    let mut table = Table::new(&["    Protocol", "Synchronization Status", "Reason"]);
    for (protocol, ready, reason) in protocols {
        let status = match (replication.peer_connected, ready) {
            (true, true) => "Complete",
            (true, false) => "InProgress",
            (false, _) => "NotStarted",
        };
        table.row(vec![format!("    {}", protocol.to_uppercase()), status.into(), reason]);
    }
    out.push_str(&table.print());
    out
}
