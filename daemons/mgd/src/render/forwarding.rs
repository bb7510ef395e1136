//! Interfaces and the kernel's forwarding table.

use holdfast_proto::v1::{ForwardingEntry, ForwardingPage, ForwardingSummary, Interface, Interfaces};

use super::{chassis::role, table::Table};

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
    table.print()
}

/// `show interfaces`
pub fn interfaces(interfaces: &Interfaces) -> String {
    interfaces.interfaces.iter().map(interface).collect::<Vec<_>>().join("\n")
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
    if !interface.description.is_empty() {
        out.push_str(&format!("  Description: {}\n", interface.description));
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
    let hops = entry.next_hops.iter().map(|hop| {
        let gateway = if hop.gateway.is_empty() { String::new() } else { format!("{} ", hop.gateway) };
        let weight = if hop.weight > 1 { format!(" weight {}", hop.weight) } else { String::new() };
        format!("{gateway}via {}{weight}", hop.interface)
    });
    let hops = hops.collect::<Vec<_>>().join(", ");
    let line = format!("{:<43} {:<9} {:<11} {hops}", entry.prefix, entry.kind, format!("{:#x}", entry.nexthop_object));
    format!("{}\n", line.trim_end())
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
