//! The tree as the daemons take it: defaults filled in, inheritance applied, nothing left to look up.

mod bfd;
mod bgp;
mod policy;
mod routing;

use holdfast_proto::v1;

pub(crate) use bgp::{Levels, ROLES};
pub(crate) use policy::{lengths, policy};

use crate::tree::View;

/// Seconds between two in-service reboots unless stated; the founding document recommends five minutes.
const MINIMUM_SPACING_DEFAULT_S: u32 = 300;

/// Compiles a valid tree; commit id and digest are the caller's.
pub(crate) fn compile(top: View<'_>) -> v1::RouterConfig {
    v1::RouterConfig {
        commit_id: 0,
        digest: Vec::new(),
        system: Some(system(top)),
        chassis: Some(chassis(top)),
        interfaces: top.get("interfaces").into_iter().flat_map(View::children).flat_map(interface).collect(),
        routing: Some(routing::routing(top)),
        bgp: Some(bgp::bgp(top)),
        policy: Some(policy::policy(top)),
    }
}

fn system(top: View<'_>) -> v1::SystemConfig {
    let reset = top.at(&["system", "internet-options", "no-tcp-reset"]);
    v1::SystemConfig {
        host_name: top.at(&["system", "host-name"]).map_or_else(String::new, |name| name.value().to_owned()),
        drop_all_tcp: reset.is_some_and(|reset| reset.value() == "drop-all-tcp"),
        no_tcp_reset: reset.is_some(),
    }
}

fn chassis(top: View<'_>) -> v1::ChassisConfig {
    let chassis = top.get("chassis");
    let number =
        |path: &[&str]| chassis.and_then(|chassis| chassis.at(path)).and_then(|view| view.value().parse().ok());
    let virtual_chassis = top.get("virtual-chassis");
    v1::ChassisConfig {
        graceful_switchover: top.at(&["chassis", "redundancy", "graceful-switchover"]).is_some(),
        // Not in the models of this version, so it is never set.
        hot_standby: false,
        member_id: number(&["member-id"]).unwrap_or(0),
        minimum_spacing_s: number(&["in-service", "minimum-spacing"]).unwrap_or(MINIMUM_SPACING_DEFAULT_S),
        confirm_minutes: number(&["in-service", "confirm"]).unwrap_or(0),
        mixed_mode: virtual_chassis.is_some_and(|chassis| chassis.has("mixed-mode")),
        virtual_chassis_members: virtual_chassis.map_or(0, |chassis| chassis.all("member").count() as u32),
    }
}

/// An interface, and behind it the sub-interfaces of its tagged units, which share its state and its MTU.
fn interface(interface: View<'_>) -> Vec<v1::InterfaceConfig> {
    let addresses = |unit: View<'_>| -> Vec<String> {
        let families = ["inet", "inet6"].into_iter().filter_map(|family| unit.at(&["family", family]));
        families.flat_map(|family| family.strings("address")).collect()
    };
    let common = v1::InterfaceConfig {
        name: interface.value().to_owned(),
        disable: interface.has("disable"),
        mtu: interface.number("mtu").unwrap_or(0),
        ..Default::default()
    };
    let (tagged, untagged): (Vec<_>, Vec<_>) = interface.all("unit").partition(|unit| unit.has("vlan-id"));
    let physical = v1::InterfaceConfig {
        description: interface.text("description").unwrap_or_default().to_owned(),
        addresses: untagged.into_iter().flat_map(addresses).collect(),
        ..common.clone()
    };
    let vlan = |unit: View<'_>| {
        let vlan_id = unit.number("vlan-id").unwrap_or(0);
        v1::InterfaceConfig {
            name: vlan_name(&common.name, vlan_id),
            addresses: addresses(unit),
            parent: common.name.clone(),
            vlan_id,
            ..common.clone()
        }
    };
    std::iter::once(physical).chain(tagged.into_iter().map(vlan)).collect()
}

/// What the sub-interface with that tag is called in the kernel.
pub(crate) fn vlan_name(parent: &str, vlan_id: u32) -> String {
    format!("{parent}.{vlan_id}")
}
