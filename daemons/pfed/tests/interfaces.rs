//! Interfaces: what rpd hears, what the configuration does, what stays untouched.

mod common;

use std::future::Future;

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

/// As udev does with every new interface: it is there, down, under another name first.
#[test]
fn an_interface_that_gets_a_configured_name_gets_what_is_configured() {
    in_namespace(|| async {
        let world = World::new().await;
        let _pfed = world.start("re0", "primary", 1).await;
        let mut wan = configured("wan0", &["10.8.0.1/24"]);
        wan.description = "uplink".into();
        assert!(apply(&world, 2, vec![wan]).await.ok);
        sh("ip link add tmp0 type veth peer name pmt0");
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        sh("ip link set tmp0 name wan0");
        until("it is configured", || async {
            let shown = sh("ip -d addr show dev wan0");
            shown.contains(",UP") && shown.contains("10.8.0.1/24") && shown.contains("uplink")
        })
        .await;
        sh("ip link set wan0 down; ip link set wan0 name other0");
        until("it is not any more", || async { !sh("ip addr show dev other0").contains("10.8.0.1/24") }).await;
    });
}

#[test]
fn watchers_are_told_what_is_on_a_point_to_point_link() {
    in_namespace(|| async {
        let world = World::new().await;
        let pfed = world.start("re0", "backup", 1).await;
        sh("ip addr add 10.7.0.1 peer 10.7.0.2/32 dev v0; ip addr add 10.7.0.1 peer 10.7.0.3/32 dev v0");
        sh("ip addr add 2001:db8:7::1 peer 2001:db8:7::2/127 dev v0");
        let told = || async {
            let shown = shown(&pfed, "v0").await.interfaces.remove(0).addresses;
            ["10.7.0.1 --> 10.7.0.2/32", "10.7.0.1 --> 10.7.0.3/32", "2001:db8:7::1 --> 2001:db8:7::2/127"]
                .iter()
                .all(|address| shown.contains(&(*address).to_owned()))
        };
        until("they are known", told).await;
        sh("ip addr del 10.7.0.1 peer 10.7.0.2/32 dev v0");
        let mut peers = Vec::new();
        let mut events = pfed.forwarding().watch_interfaces(v1::WatchInterfacesRequest {}).await.unwrap().into_inner();
        while !peers.contains(&"removed".to_owned()) {
            match events.message().await.unwrap().unwrap().event.unwrap() {
                Event::Address(address) if !address.peer.is_empty() => peers.push(address.peer),
                Event::AddressRemoved(address) if address.peer == "10.7.0.2/32" => peers.push("removed".into()),
                Event::SnapshotDone(_) if !peers.contains(&"10.7.0.2/32".to_owned()) => peers.push("removed".into()),
                _ => {}
            }
        }
        assert!(
            peers.contains(&"10.7.0.3/32".to_owned()) && peers.contains(&"2001:db8:7::2/127".to_owned()),
            "{peers:?}"
        );
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
                other => panic!("{other:?}"),
            }
        }
    });
}

#[test]
fn watchers_hear_of_neighbors_that_do_not_answer_and_of_no_others() {
    in_namespace(|| async {
        let world = World::new().await;
        sh(
            "ip neigh replace 10.0.0.2 dev v0 lladdr 02:00:00:00:00:02 nud stale; ip neigh replace 10.0.0.3 dev v0 nud failed",
        );
        let pfed = world.start("re0", "backup", 1).await;
        let mut events = pfed.forwarding().watch_interfaces(v1::WatchInterfacesRequest {}).await.unwrap().into_inner();
        let mut next = async || {
            let next = tokio::time::timeout(std::time::Duration::from_secs(10), events.message()).await;
            next.expect("in time").unwrap().unwrap().event.unwrap()
        };
        let neighbor = |address: &str| v1::LinkNeighbor { index: index("v0"), address: address.into() };
        let mut silent = Vec::new();
        loop {
            match next().await {
                Event::Silent(neighbor) => silent.push(neighbor),
                Event::SnapshotDone(_) => break,
                _ => {}
            }
        }
        assert_eq!(silent, [neighbor("10.0.0.3")]);
        sh("ip neigh replace 10.0.0.2 dev v0 lladdr 02:00:00:00:00:02 nud reachable
            ip neigh replace 2001:db8::3 dev v0 lladdr 02:00:00:00:00:03 nud stale; ip neigh replace 2001:db8::3 dev v0 nud failed; ip neigh replace 10.0.0.3 dev v0 lladdr 02:00:00:00:00:03 nud stale
            ip neigh del 2001:db8::3 dev v0");
        assert_eq!(next().await, Event::Silent(neighbor("2001:db8::3")));
        assert_eq!(next().await, Event::NotSilent(neighbor("10.0.0.3")));
        assert_eq!(next().await, Event::NotSilent(neighbor("2001:db8::3")));
        let shown = pfed.forwarding().show_neighbors(v1::ShowNeighborsRequest::default()).await.unwrap().into_inner();
        let line = |at: &v1::NeighborEntry| format!("{} {} {} {}", at.address, at.interface, at.mac, at.state);
        let lines: Vec<String> = shown.neighbors.iter().map(line).collect();
        assert_eq!(lines, ["10.0.0.2 v0 02:00:00:00:00:02 reachable", "10.0.0.3 v0 02:00:00:00:00:03 stale"]);
    });
}

fn vlan(parent: &str, vlan_id: u32, addresses: &[&str]) -> v1::InterfaceConfig {
    v1::InterfaceConfig { parent: parent.into(), vlan_id, ..configured(&format!("{parent}.{vlan_id}"), addresses) }
}

async fn shown(pfed: &Pfed, name: &str) -> v1::Interfaces {
    pfed.forwarding().show_interfaces(v1::ShowInterfacesRequest { name: name.into() }).await.unwrap().into_inner()
}

/// A kernel may be built without `CONFIG_VLAN_8021Q`.
fn kernel_knows_vlans() -> bool {
    let add = "ip link add link p0 name p0.9 type vlan id 9 && ip link del p0.9";
    std::process::Command::new("sh").args(["-c", add]).output().unwrap().status.success()
}

/// `ip monitor` while something goes on; what it has said.
async fn monitored<F: Future<Output = ()>>(what: F) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut monitor = std::process::Command::new("ip")
        .args(["monitor", "link", "address"])
        .stdout(file.reopen().unwrap())
        .spawn()
        .unwrap();
    // What is done to lo is a mark before and behind what is watched.
    let mark = |text: &'static str| {
        let path = file.path().to_owned();
        until("ip monitor hears", move || {
            sh(&format!("ip addr add {text}/32 dev lo; ip addr del {text}/32 dev lo"));
            let heard = std::fs::read_to_string(&path).unwrap().contains(text);
            async move { heard }
        })
    };
    mark("127.1.1.1").await;
    what.await;
    mark("127.1.1.2").await;
    monitor.kill().unwrap();
    monitor.wait().unwrap();
    let heard = std::fs::read_to_string(file.path()).unwrap();
    heard
        .lines()
        .filter(|line| !line.contains("127.1.1.") && !line.contains("valid_lft"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn a_vlan_is_made_kept_and_taken_away() {
    in_namespace(|| async {
        let world = World::new().await;
        let pfed = world.start("re0", "primary", 1).await;
        if !kernel_knows_vlans() {
            // Whoever configures one is told what the kernel lacks, and sees it until it is mended.
            let report = apply(&world, 2, vec![vlan("v0", 100, &[])]).await;
            assert!(!report.ok && report.message.starts_with("VLAN 100 of v0 as v0.100: "), "{report:?}");
            assert_eq!(shown(&pfed, "v0.100").await.waiting[0].problem, report.message);
            assert!(apply(&world, 3, Vec::new()).await.ok);
            return assert!(shown(&pfed, "").await.waiting.is_empty());
        }
        // Of somebody else: configured, so it is used, but it is not taken away.
        sh("ip link add link v0 name v0.5 type vlan id 5; ip link add link v0 name v0.6 type vlan id 6");
        let all = || {
            vec![
                configured("v0", &[]),
                vlan("v0", 100, &["10.100.0.1/24", "2001:db8:100::1/64"]),
                vlan("v0", 5, &["10.5.0.1/24"]),
            ]
        };
        let report = apply(&world, 2, all()).await;
        assert!(report.ok && report.message.is_empty(), "{report:?}");
        let text = sh("ip -d addr show dev v0.100");
        assert!(text.contains("v0.100@v0") && text.contains("vlan protocol 802.1Q id 100"), "{text}");
        assert!(
            text.contains(",UP") && text.contains("10.100.0.1/24") && text.contains("2001:db8:100::1/64"),
            "{text}"
        );
        assert!(sh("ip addr show dev v0.5").contains("10.5.0.1/24"));
        let view = shown(&pfed, "v0.100").await.interfaces.remove(0);
        assert!(view.made_by_us && view.configured && view.parent == "v0" && view.vlan_id == 100, "{view:?}");
        assert_eq!((view.kind.as_str(), view.oper_state.as_str()), ("vlan", "up"));
        assert!(!shown(&pfed, "v0.5").await.interfaces[0].made_by_us);
        assert!(!shown(&pfed, "v0.6").await.interfaces[0].configured);

        sh("ip link del v0.100");
        until("the VLAN is there again", || async {
            sh("ip addr").contains("10.100.0.1/24") && sh("ip addr").contains("2001:db8:100::1/64")
        })
        .await;
        // Its parent goes and comes.
        sh("ip link del v0");
        until("the VLAN is waited for", || async { shown(&pfed, "v0.100").await.waiting.len() == 1 }).await;
        assert_eq!(shown(&pfed, "v0.100").await.waiting[0].problem, "made as soon as v0 exists");
        sh("ip link add v0 type veth peer name p0; ip link set p0 up");
        until("the VLAN has come with its parent", || async { sh("ip addr").contains("10.100.0.1/24") }).await;
        sh("ip link add link v0 name v0.6 type vlan id 6");

        // Ours goes with the configuration; 5 was made anew by us, 6 is not.
        assert!(apply(&world, 5, vec![configured("v0", &[])]).await.ok);
        let text = sh("ip link");
        assert!(!text.contains("v0.100") && !text.contains("v0.5") && text.contains("v0.6"), "{text}");
    });
}

#[test]
fn a_restart_and_the_same_commit_tell_the_kernel_nothing() {
    in_namespace(|| async {
        let world = World::new().await;
        let pfed = world.start("re0", "primary", 1).await;
        let mut v0 = configured("v0", &["10.0.0.1/24", "10.9.0.1/24", "2001:db8:9::1/64"]);
        (v0.mtu, v0.description) = (1400, "to Vienna".into());
        assert!(apply(&world, 2, vec![v0.clone()]).await.ok);
        let heard = monitored(async {
            assert!(apply(&world, 3, vec![v0.clone()]).await.ok);
            drop(pfed);
            let _again = world.start("re0", "primary", 2).await;
            assert!(apply(&world, 4, vec![v0.clone()]).await.ok);
        })
        .await;
        assert_eq!(heard, "");
    });
}

#[test]
fn what_the_kernel_refuses_is_shown_until_it_is_mended() {
    in_namespace(|| async {
        let world = World::new().await;
        let pfed = world.start("re0", "primary", 1).await;
        sh("ip link add v1.7 type veth peer name q7");
        let (mut v0, mut v1) = (configured("v0", &[]), configured("v1", &[]));
        (v0.mtu, v1.description) = (60, "to Graz".into());
        let report = apply(&world, 2, vec![v0.clone(), v1.clone(), vlan("v1", 7, &[])]).await;
        let refusal = "mtu 60 of interface v0: ";
        assert!(!report.ok && report.message.starts_with(refusal), "{report:?}");
        assert!(shown(&pfed, "v0").await.interfaces[0].problems[0].starts_with(refusal));
        let waiting = shown(&pfed, "v1.7").await.waiting;
        assert!(waiting[0].problem.starts_with("exists and is not VLAN 7 of v1; made as soon as that is gone"));
        assert!(sh("ip link show dev v1").contains("to Graz"));
        // A description goes with the configuration, but not one that somebody else has written.
        v0.mtu = 1500;
        v1.description.clear();
        assert!(apply(&world, 3, vec![v0.clone(), v1.clone()]).await.ok);
        assert!(shown(&pfed, "").await.interfaces.iter().all(|interface| interface.problems.is_empty()));
        assert!(shown(&pfed, "").await.waiting.is_empty() && !sh("ip link show dev v1").contains("to Graz"));
        v1.description = "to Linz".into();
        assert!(apply(&world, 4, vec![v1]).await.ok);
        sh("ip link set v1 alias mine");
        assert!(apply(&world, 5, vec![v0]).await.ok);
        assert!(sh("ip link show dev v1; ip link show dev v1.7").contains("mine"));
    });
}

#[test]
fn a_backup_knows_what_the_primary_has_seen_flap() {
    in_namespace(|| async {
        let world = World::new().await;
        let primary = world.start("re0", "primary", 1).await;
        let before = shown(&primary, "v0").await.interfaces.remove(0);
        assert_eq!((before.last_flapped_unix_ms, before.speed_mbps), (0, 10_000));
        sh("ip link set p0 down; ip link set p0 up");
        let flapped = || async { shown(&primary, "v0").await.interfaces.remove(0).last_flapped_unix_ms };
        until("it was seen", || async { flapped().await > 0 }).await;
        until("both changes were seen", || async {
            shown(&primary, "v0").await.interfaces[0].carrier_changes >= before.carrier_changes + 2
        })
        .await;
        let backup = world.start("re1", "backup", 1).await;
        until("the backup knows", || async {
            let known = shown(&backup, "v0").await.interfaces.remove(0).last_flapped_unix_ms;
            known > 0 && known == flapped().await
        })
        .await;
    });
}
