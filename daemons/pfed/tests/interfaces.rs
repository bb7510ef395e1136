//! Interfaces: what rpd hears, what the configuration does, what stays untouched.

mod common;

use common::*;
use holdfast_proto::v1::{self, interface_event::Event};

fn configured(name: &str, addresses: &[&str]) -> v1::InterfaceConfig {
    let addresses = addresses.iter().map(|address| (*address).to_owned()).collect();
    v1::InterfaceConfig { name: name.into(), addresses, ..Default::default() }
}

/// What is set on the interfaces, without what changes by itself (link-local addresses become usable, counters count).
fn settings() -> String {
    sh("ip -4 addr; ip -6 addr show scope global; ip -d link")
}

async fn apply(world: &World, commit_id: u64, interfaces: Vec<v1::InterfaceConfig>) -> v1::ReportAppliedRequest {
    world.configuration.send_replace(v1::RouterConfig { commit_id, interfaces, ..Default::default() });
    until("the configuration is answered", || async {
        world.last_report().is_some_and(|report| report.commit_id == commit_id)
    })
    .await;
    world.last_report().unwrap()
}

#[test]
fn a_configuration_is_applied_by_difference() {
    in_namespace(|| async {
        let world = World::new().await;
        let pfed = world.start("re0", "primary", 1).await;
        let untouched = settings();
        let report = apply(&world, 2, Vec::new()).await;
        assert!(report.ok && report.daemon == "pfed" && report.message.is_empty(), "{report:?}");
        assert_eq!(settings(), untouched);

        let mut v0 = configured("v0", &["10.0.0.1/24", "10.9.0.1/24", "2001:db8:9::1/64"]);
        (v0.mtu, v0.description) = (1400, "to Vienna".into());
        let report = apply(&world, 3, vec![v0.clone(), configured("nix", &["10.8.0.1/24"])]).await;
        assert!(report.ok && report.message.contains("nix"), "{report:?}");
        let shown = sh("ip -d addr show dev v0");
        assert!(shown.contains("mtu 1400") && shown.contains("to Vienna"), "{shown}");
        assert!(shown.contains("inet 10.9.0.1/24") && shown.contains("2001:db8:9::1/64 scope global nodad"), "{shown}");
        // The same again, and after a restart: nothing is different, nothing is done.
        let monitored = settings();
        assert!(apply(&world, 4, vec![v0.clone(), configured("nix", &["10.8.0.1/24"])]).await.ok);
        assert_eq!(settings(), monitored);
        // An interface that appears later gets what is configured for it.
        sh("ip link add nix type veth peer name xin");
        until("address on the new interface", || async { sh("ip addr show dev nix").contains("10.8.0.1/24") }).await;
        assert!(sh("ip link show dev nix").contains(",UP"));
        // Ours goes when it is not configured any more; what was there before us stays.
        v0.addresses.clear();
        v0.disable = true;
        assert!(apply(&world, 5, vec![v0.clone()]).await.ok);
        let shown = sh("ip addr show dev v0");
        assert!(
            shown.contains("10.0.0.1/24") && !shown.contains("10.9.0.1") && !shown.contains("2001:db8:9::1"),
            "{shown}"
        );
        assert!(shown.contains("state DOWN"), "{shown}");
        assert!(!sh("ip addr show dev nix").contains("10.8.0.1"));
        v0.addresses = vec!["10.0.0.300/24".into()];
        let report = apply(&world, 6, vec![v0]).await;
        assert!(!report.ok && report.message.contains("10.0.0.300/24") && report.message.contains("v0"), "{report:?}");
        drop(pfed);
    });
}

#[test]
fn configured_addresses_that_vanish_come_back() {
    in_namespace(|| async {
        let world = World::new().await;
        let _pfed = world.start("re0", "primary", 1).await;
        let v1 = configured("v1", &["10.9.0.1/24", "2001:db8:9::1/64"]);
        assert!(apply(&world, 2, vec![v1]).await.ok);
        let both = || {
            sh("ip addr show dev v1").matches("proto 0x48").count() == 2 || {
                let shown = sh("ip addr show dev v1");
                shown.contains("10.9.0.1/24") && shown.contains("2001:db8:9::1/64")
            }
        };
        assert!(both());
        sh("ip addr del 10.9.0.1/24 dev v1");
        until("the address is back", || async { both() }).await;
        // The kernel forgets IPv6 addresses when a link is taken down.
        sh("ip link set v1 down; ip link set v1 up");
        until("the IPv6 address is back", || async { both() }).await;
    });
}

#[test]
fn a_backup_applies_nothing() {
    in_namespace(|| async {
        let world = World::new().await;
        let _pfed = world.start("re1", "backup", 1).await;
        let before = settings();
        assert!(apply(&world, 2, vec![configured("v0", &["10.9.0.1/24"])]).await.ok);
        assert_eq!(settings(), before);
    });
}

#[test]
fn watchers_get_a_snapshot_and_then_every_change() {
    in_namespace(|| async {
        let world = World::new().await;
        let pfed = world.start("re0", "backup", 1).await;
        let mut events = pfed.forwarding().watch_interfaces(v1::WatchInterfacesRequest {}).await.unwrap().into_inner();
        let (mut names, mut addresses) = (Vec::new(), Vec::new());
        loop {
            match events.message().await.unwrap().unwrap().event.unwrap() {
                Event::Link(link) => names.push(link.name),
                Event::Address(address) => addresses.push(format!("{} {}", address.interface, address.address)),
                Event::SnapshotDone(_) => break,
                other => panic!("{other:?}"),
            }
        }
        for name in ["lo", "v0", "v1", "p0", "p1"] {
            assert!(names.contains(&name.to_owned()), "{names:?}");
        }
        assert!(addresses.contains(&"v0 10.0.0.1/24".into()) && addresses.contains(&"v0 2001:db8::1/64".into()));
        let all = sh(
            "ip addr add 10.7.0.1/24 dev v0; ip addr del 10.7.0.1/24 dev v0; ip link set v0 down; ip link del v1; echo done",
        );
        assert_eq!(all, "done\n");
        let (mut added, mut removed, mut down, mut link_removed) = (false, false, false, false);
        while !(added && removed && down && link_removed) {
            let next = tokio::time::timeout(std::time::Duration::from_secs(10), events.message()).await;
            match next.expect("in time").unwrap().unwrap().event.unwrap() {
                Event::Address(address) => added |= address.address == "10.7.0.1/24",
                Event::AddressRemoved(address) => removed |= added && address.address == "10.7.0.1/24",
                Event::Link(link) => down |= link.name == "v0" && !link.admin_up,
                Event::LinkRemoved(name) => link_removed |= name == "v1",
                Event::SnapshotDone(_) => panic!("a second snapshot"),
            }
        }
    });
}
