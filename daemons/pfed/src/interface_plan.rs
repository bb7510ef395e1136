//! Configured interfaces against those that are there: the difference, as changes to the kernel.
//!
//! Only what is configured is touched. Addresses are ours when they carry our mark; one that is configured and was
//! there before us stays as it is, one with our mark that is not configured any more goes. Administrative state, MTU
//! and description are set once per commit (and when the interface appears): an operator's `ip link` in between stands.

use hashbrown::HashSet;
use holdfast_kernel::netlink::LinkChange;
use holdfast_proto::v1;
use ipnet::IpNet;

use crate::fib::{Memo, Planned};
use crate::links::Links;

/// One interface of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configured {
    name: String,
    disable: bool,
    mtu: u32,
    description: String,
    addresses: Vec<IpNet>,
}

/// Reads the configuration; the error is for the operator.
pub fn read(interfaces: &[v1::InterfaceConfig]) -> Result<Vec<Configured>, String> {
    let read_one = |interface: &v1::InterfaceConfig| {
        let parse = |text: &String| {
            let error = |_| format!("interface {}: {text:?} is not an address with its prefix length", interface.name);
            text.parse::<IpNet>().map_err(error)
        };
        Ok(Configured {
            name: interface.name.clone(),
            disable: interface.disable,
            mtu: interface.mtu,
            description: interface.description.clone(),
            addresses: interface.addresses.iter().map(parse).collect::<Result<_, String>>()?,
        })
    };
    interfaces.iter().map(read_one).collect()
}

/// Plans what differs. `settled` holds the interfaces whose administrative state, MTU and description are in force.
pub fn plan(configured: &[Configured], links: &Links, settled: &mut HashSet<u32>) -> Planned {
    let mut planned = Planned::default();
    let mut wanted: HashSet<(u32, IpNet)> = HashSet::new();
    for interface in configured {
        if let Some(link) = links.by_name(&interface.name) {
            wanted.extend(interface.addresses.iter().map(|address| (link.index, *address)));
        }
    }
    // Removals first: an address may move from one interface to another.
    for address in links.addresses().filter(|address| address.is_ours()) {
        if !wanted.contains(&(address.interface_index, address.address)) && !planned.batch.is_full() {
            planned.memos.push(Memo::Interface(format!(
                "removal of {} from {}",
                address.address,
                links.name(address.interface_index)
            )));
            planned.batch.remove_address(address.interface_index, &address.address);
        }
    }
    for interface in configured {
        plan_interface(interface, links, settled, &mut planned);
    }
    planned
}

fn plan_interface(interface: &Configured, links: &Links, settled: &mut HashSet<u32>, planned: &mut Planned) {
    let Some(link) = links.by_name(&interface.name) else { return };
    if settled.insert(link.index) {
        let mut changes = Vec::new();
        if interface.mtu != 0 && interface.mtu != link.mtu {
            changes.push(LinkChange::Mtu(interface.mtu));
        }
        if !interface.description.is_empty() && interface.description != link.description {
            changes.push(LinkChange::Description(interface.description.clone()));
        }
        if link.admin_up == interface.disable {
            changes.push(LinkChange::Admin(!interface.disable));
        }
        for change in changes {
            planned.memos.push(Memo::Interface(match &change {
                LinkChange::Admin(up) => format!("interface {} {}", interface.name, if *up { "up" } else { "down" }),
                LinkChange::Mtu(mtu) => format!("mtu {mtu} of interface {}", interface.name),
                LinkChange::Description(_) => format!("description of interface {}", interface.name),
            }));
            planned.batch.change_link(link.index, &change);
        }
    }
    let present: HashSet<IpNet> = links.addresses_of(link.index).collect();
    for address in interface.addresses.iter().filter(|address| !present.contains(*address)) {
        if planned.batch.is_full() {
            return; // the next pass goes on
        }
        planned.memos.push(Memo::Interface(format!("address {address} on interface {}", interface.name)));
        planned.batch.add_address(link.index, address);
    }
}

/// Configured interfaces that do not exist (yet).
pub fn missing(configured: &[Configured], links: &Links) -> Vec<String> {
    let absent = configured.iter().filter(|interface| links.by_name(&interface.name).is_none());
    absent.map(|interface| interface.name.clone()).collect()
}
