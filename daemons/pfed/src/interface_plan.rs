//! Configured interfaces against those that are there: the difference, as changes to the kernel.
//!
//! Only what is configured is touched. Addresses are ours when they carry our mark; one that is configured and was
//! there before us stays as it is, one with our mark that is not configured any more goes. So it is with VLAN sub-interfaces, whose
//! mark is their group. Administrative state, MTU and description are set once per commit (and when the interface appears): an
//! operator's `ip link` in between stands. A description that has left the configuration goes, unless somebody else has
//! written another one; MTU and state have no "before" to go back to and stay.

use hashbrown::HashSet;
use holdfast_kernel::netlink::{Link, LinkChange};
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
    vlan: Option<Vlan>,
}

/// What makes a VLAN sub-interface.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Vlan {
    parent: String,
    id: u16,
}

/// A description that is not configured any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormerDescription {
    name: String,
    text: String,
}

/// Changes, and the name of the interface that each one is about.
#[derive(Debug, Default)]
pub struct InterfacePlan {
    /// For the writer.
    pub planned: Planned,
    /// One for each change.
    pub names: Vec<String>,
}

impl InterfacePlan {
    fn note(&mut self, name: &str, what: String) {
        self.names.push(name.to_owned());
        self.planned.memos.push(Memo::Interface(what));
    }
}

/// Reads the configuration; the error is for the operator.
pub fn read(interfaces: &[v1::InterfaceConfig]) -> Result<Vec<Configured>, String> {
    interfaces.iter().map(read_one).collect()
}

fn read_one(interface: &v1::InterfaceConfig) -> Result<Configured, String> {
    let name = &interface.name;
    let parse = |text: &String| {
        let error = |_| format!("interface {name}: {text:?} is not an address with its prefix length");
        text.parse::<IpNet>().map_err(error)
    };
    let vlan = (!interface.parent.is_empty()).then(|| {
        let id = u16::try_from(interface.vlan_id).ok().filter(|id| (1..=4094).contains(id));
        let id = id.ok_or_else(|| format!("interface {name}: VLAN {} is not 1 to 4094", interface.vlan_id))?;
        Ok::<_, String>(Vlan { parent: interface.parent.clone(), id })
    });
    Ok(Configured {
        name: name.clone(),
        disable: interface.disable,
        mtu: interface.mtu,
        description: interface.description.clone(),
        addresses: interface.addresses.iter().map(parse).collect::<Result<_, String>>()?,
        vlan: vlan.transpose()?,
    })
}

/// Descriptions that a new configuration has no more.
pub fn former_descriptions(before: &[Configured], now: &[Configured]) -> Vec<FormerDescription> {
    let described = before.iter().filter(|interface| !interface.description.is_empty());
    let gone = described.filter(|old| !now.iter().any(|new| new.name == old.name && !new.description.is_empty()));
    gone.map(|old| FormerDescription { name: old.name.clone(), text: old.description.clone() }).collect()
}

/// Whether an interface is configured.
pub fn is_configured(configured: &[Configured], name: &str) -> bool {
    configured.iter().any(|interface| interface.name == name)
}

/// What there is of a configured interface.
enum Found<'a> {
    /// It is there.
    Link(&'a Link),
    /// Something else has its name.
    Another(&'a Link),
    /// A sub-interface that is to be made.
    ToMake { parent: &'a Link, id: u16 },
    /// It, or what is below it, is not there.
    Missing,
}

impl Configured {
    fn find<'a>(&self, links: &'a Links) -> Found<'a> {
        let link = links.by_name(&self.name);
        let Some(vlan) = &self.vlan else { return link.map_or(Found::Missing, Found::Link) };
        let parent = links.by_name(&vlan.parent);
        match (link, parent) {
            (Some(link), Some(parent)) if link.vlan_id == Some(vlan.id) && link.parent == parent.index => {
                Found::Link(link)
            }
            (Some(link), _) => Found::Another(link),
            (None, Some(parent)) => Found::ToMake { parent, id: vlan.id },
            (None, None) => Found::Missing,
        }
    }
}

/// Plans what differs. `settled` holds the interfaces whose administrative state, MTU and description are in force.
pub fn plan(
    configured: &[Configured],
    former: &[FormerDescription],
    links: &Links,
    settled: &mut HashSet<u32>,
) -> InterfacePlan {
    let mut plan = InterfacePlan::default();
    remove_what_is_not_configured(configured, links, &mut plan);
    for FormerDescription { name, text } in former {
        if let Some(link) = links.by_name(name).filter(|link| link.description == *text) {
            plan.note(name, format!("removal of the description of interface {name}"));
            plan.planned.batch.change_link(link.index, &LinkChange::Description(String::new()));
        }
    }
    for interface in configured {
        if plan.planned.batch.is_full() {
            break; // the next pass goes on
        }
        match interface.find(links) {
            Found::Link(link) => plan_interface(interface, link, links, settled, &mut plan),
            Found::ToMake { parent, id } => {
                plan.note(&interface.name, format!("VLAN {id} of {} as {}", parent.name, interface.name));
                plan.planned.batch.add_vlan(parent.index, &interface.name, id);
            }
            Found::Another(_) | Found::Missing => {}
        }
    }
    plan
}

/// Removals come first: an address may move from one interface to another.
fn remove_what_is_not_configured(configured: &[Configured], links: &Links, plan: &mut InterfacePlan) {
    let mut wanted: HashSet<(u32, IpNet)> = HashSet::new();
    let mut kept: HashSet<u32> = HashSet::new();
    for interface in configured {
        if let Found::Link(link) = interface.find(links) {
            kept.insert(link.index);
            wanted.extend(interface.addresses.iter().map(|address| (link.index, *address)));
        }
    }
    let goes = |link: &Link| link.is_our_vlan() && !kept.contains(&link.index);
    for link in links.iter().filter(|link| goes(link)) {
        plan.note(&link.name, format!("removal of VLAN sub-interface {}", link.name));
        plan.planned.batch.remove_link(link.index);
    }
    for address in links.addresses().filter(|address| address.is_ours()) {
        let with_its_link = links.by_index(address.interface_index).is_some_and(goes);
        let is_wanted = wanted.contains(&(address.interface_index, address.address));
        if !is_wanted && !with_its_link && !plan.planned.batch.is_full() {
            let name = links.name(address.interface_index);
            plan.note(&name, format!("removal of {} from {name}", address.address));
            plan.planned.batch.remove_address(address.interface_index, &address.address);
        }
    }
}

fn plan_interface(
    interface: &Configured,
    link: &Link,
    links: &Links,
    settled: &mut HashSet<u32>,
    plan: &mut InterfacePlan,
) {
    let name = &interface.name;
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
            let what = match &change {
                LinkChange::Admin(up) => format!("interface {name} {}", if *up { "up" } else { "down" }),
                LinkChange::Mtu(mtu) => format!("mtu {mtu} of interface {name}"),
                LinkChange::Description(_) => format!("description of interface {name}"),
            };
            plan.note(name, what);
            plan.planned.batch.change_link(link.index, &change);
        }
    }
    let present: HashSet<IpNet> = links.addresses_of(link.index).collect();
    for address in interface.addresses.iter().filter(|address| !present.contains(*address)) {
        if plan.planned.batch.is_full() {
            return;
        }
        plan.note(name, format!("address {address} on interface {name}"));
        plan.planned.batch.add_address(link.index, address);
    }
}

/// Configured interfaces that cannot be set, by name, with what is in the way and what ends that.
pub fn waiting(configured: &[Configured], links: &Links) -> Vec<v1::InterfaceProblem> {
    let problem = |interface: &Configured| {
        let problem = match (interface.find(links), &interface.vlan) {
            (Found::Link(_) | Found::ToMake { .. }, _) => return None,
            (Found::Another(link), Some(vlan)) => format!(
                "exists and is not VLAN {} of {}; made as soon as that is gone (ip link del {})",
                vlan.id, vlan.parent, link.name
            ),
            (_, Some(vlan)) if links.by_name(&vlan.parent).is_none() => {
                format!("made as soon as {} exists", vlan.parent)
            }
            _ => "does not exist (yet); set as soon as it does".to_owned(),
        };
        Some(v1::InterfaceProblem { name: interface.name.clone(), problem })
    };
    configured.iter().filter_map(problem).collect()
}
