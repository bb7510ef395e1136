//! Interfaces and the kernel's forwarding table.

use holdfast_proto::v1::{
    ForwardingEntry, ForwardingNexthop, ForwardingPage, ForwardingSummary, Interface, Interfaces,
};

use super::{chassis::role, table::Table, time};

fn up(value: bool) -> &'static str {
    if value { "up" } else { "down" }
}

/// `show interfaces terse`
pub fn interfaces_terse(interfaces: &Interfaces) -> String {
    let mut table = Table::new(&["Interface", "Admin", "Link", "Proto", "Local"]);
    for interface in &interfaces.interfaces {
        let mut first = vec![interface.name.clone(), up(interface.admin_up).into(), up(interface.carrier).into()];
        for address in &interface.addresses {
            let family = if address.contains(':') { "inet6" } else { "inet" };
            let mut row = std::mem::replace(&mut first, vec![String::new(); 3]);
            row.extend([family.to_owned(), address.clone()]);
            table.row(row);
        }
        if interface.addresses.is_empty() {
            table.row(first);
        }
    }
    table.print() + &waiting(interfaces)
}

/// What is configured and not there.
fn waiting(interfaces: &Interfaces) -> String {
    interfaces.waiting.iter().map(|at| format!("Interface {}: {}\n", at.name, at.problem)).collect()
}

/// `show interfaces`
pub fn interfaces(interfaces: &Interfaces) -> String {
    let each = interfaces.interfaces.iter().map(interface).collect::<Vec<_>>().join("\n");
    let gap = if each.is_empty() || interfaces.waiting.is_empty() { "" } else { "\n" };
    format!("{each}{gap}{}", waiting(interfaces))
}

/// The line below the heading: what the link is and what it is doing.
fn nature(interface: &Interface) -> String {
    let mut parts = Vec::new();
    match interface.speed_mbps {
        0 => {}
        mbps if mbps.is_multiple_of(1000) => parts.push(format!("Speed: {} Gbit/s", mbps / 1000)),
        mbps => parts.push(format!("Speed: {mbps} Mbit/s")),
    }
    if !interface.oper_state.is_empty() {
        parts.push(format!("State: {}", interface.oper_state));
    }
    if interface.vlan_id > 0 {
        let made = if interface.made_by_us { " (made by configuration)" } else { "" };
        parts.push(format!("VLAN {} of {}{made}", interface.vlan_id, interface.parent));
    } else if !interface.kind.is_empty() {
        parts.push(format!("Kind: {}", interface.kind));
    }
    if parts.is_empty() { String::new() } else { format!("  {}\n", parts.join(", ")) }
}

fn interface(interface: &Interface) -> String {
    let enabled = if interface.admin_up { "Enabled" } else { "Disabled" };
    let mut out = format!(
        "Physical interface: {}, {enabled}, Physical link is {}\n  Interface index: {}",
        interface.name,
        if interface.carrier { "Up" } else { "Down" },
        interface.index,
    );
    let kind =
        if interface.loopback { ", Loopback".to_owned() } else { format!(", Hardware address: {}", interface.mac) };
    out.push_str(&format!(", MTU: {}{kind}\n", interface.mtu));
    out.push_str(&nature(interface));
    if !interface.description.is_empty() {
        out.push_str(&format!("  Description: {}\n", interface.description));
    }
    let flapped = interface.last_flapped_unix_ms;
    let flapped = if flapped == 0 { "not seen".to_owned() } else { time::clock(flapped) };
    out.push_str(&format!("  Carrier changes: {}, Last flapped: {flapped}\n", interface.carrier_changes));
    for problem in &interface.problems {
        out.push_str(&format!("  Problem: {problem}\n"));
    }
    for (title, bytes, packets, errors, dropped) in [
        ("Input ", interface.rx_bytes, interface.rx_packets, interface.rx_errors, interface.rx_dropped),
        ("Output", interface.tx_bytes, interface.tx_packets, interface.tx_errors, interface.tx_dropped),
    ] {
        out.push_str(&format!("  {title}: {packets} packets, {bytes} bytes, {errors} errors, {dropped} dropped\n"));
    }
    for address in &interface.addresses {
        out.push_str(&format!("  Address: {address}\n"));
    }
    out
}

/// First line of `show forwarding-table`.
pub fn forwarding_heading() -> String {
    format!("{:<44}{:<10}{:<12}{}\n", "Destination", "Type", "Object", "Next hops")
}

/// A page of `show forwarding-table`; columns are fixed because pages come one by one.
pub fn forwarding_page(page: &ForwardingPage) -> String {
    page.entries.iter().map(entry).collect()
}

fn entry(entry: &ForwardingEntry) -> String {
    let (object, hops) = (format!("{:#x}", entry.nexthop_object), hops(entry));
    let line = format!("{:<43} {:<9} {object:<11} {hops}", entry.prefix, entry.kind);
    format!("{}\n", line.trim_end())
}

/// Where it leads.
pub(super) fn hops(entry: &ForwardingEntry) -> String {
    ways(&entry.next_hops)
}

fn ways(next_hops: &[ForwardingNexthop]) -> String {
    let hops = next_hops.iter().map(|hop| {
        let gateway = if hop.gateway.is_empty() { String::new() } else { format!("{} ", hop.gateway) };
        let weight = if hop.weight > 1 { format!(" weight {}", hop.weight) } else { String::new() };
        let backup = if hop.backup { " (backup)" } else { "" };
        format!("{gateway}via {}{weight}{backup}", hop.interface)
    });
    hops.collect::<Vec<_>>().join(", ")
}

/// `show forwarding-table summary`
pub fn forwarding_summary(summary: &ForwardingSummary) -> String {
    let mut out = format!(
        "Role: {}    Epoch: {}\nRoutes: {} IPv4, {} IPv6    Nexthop objects: {}\n",
        role(summary.role()),
        summary.epoch,
        summary.routes_ipv4,
        summary.routes_ipv6,
        summary.nexthop_objects,
    );
    out.push_str(&format!(
        "Writes: {}    Needless: {}    Pending: {}    Errors: {}\nResynchronizations: {}    Repairs: {}\n",
        summary.writes,
        summary.writes_needless,
        summary.pending_writes,
        summary.errors,
        summary.resynchronizations,
        summary.repairs,
    ));
    if !summary.last_error.is_empty() {
        out.push_str(&format!("Last error: {}\n", summary.last_error));
    }
    if !summary.failed_gateways.is_empty() {
        out.push_str(&format!("Gateways that do not answer: {}\n", ways(&summary.failed_gateways)));
    }
    let mut table = Table::new(&["Table", ">Desired", ">In the kernel", "Equal"]);
    for desired in &summary.desired {
        let kernel = summary.kernel.iter().find(|kernel| kernel.table == desired.table);
        let equal = if kernel == Some(desired) { "yes" } else { "no" };
        let entries = kernel.map_or(0, |kernel| kernel.entries);
        table.row(vec![desired.table.clone(), desired.entries.to_string(), entries.to_string(), equal.into()]);
    }
    if !summary.desired.is_empty() {
        out.push_str(&table.print());
    }
    out
}
