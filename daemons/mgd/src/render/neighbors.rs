//! `show arp`, `show ipv6 neighbors`.

use holdfast_proto::v1::NeighborEntries;

use super::table::Table;

/// Both of them.
pub fn neighbors(entries: &NeighborEntries) -> String {
    let mut table = Table::new(&["Address", "MAC address", "Interface", "State", ">Age s"]);
    for entry in &entries.neighbors {
        let mac = if entry.mac.is_empty() { "-".to_owned() } else { entry.mac.clone() };
        let router = if entry.router { ", router" } else { "" };
        let state = format!("{}{router}", entry.state);
        table.row(vec![entry.address.clone(), mac, entry.interface.clone(), state, entry.age_s.to_string()]);
    }
    let total = entries.neighbors.len() as u64 + entries.left_out;
    let left_out =
        if entries.left_out > 0 { format!(", {} of them not listed", entries.left_out) } else { String::new() };
    format!("{}Total entries: {total}{left_out}\n", table.print())
}
