//! rtnetlink against the kernel itself, each test in a network namespace of its own.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use holdfast_kernel::netlink::*;
use holdfast_kernel::process;
use ipnet::{IpNet, Ipv4Net};

fn in_namespace(test: impl FnOnce() + Send + 'static) {
    let run = move || {
        process::unshare_network().unwrap();
        test();
    };
    if let Err(panic) = std::thread::spawn(run).join() {
        std::panic::resume_unwind(panic);
    }
}

fn sh(command: &str) -> String {
    let output = std::process::Command::new("sh").args(["-ec", command]).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Two links up, v0 with addresses; returns their indexes.
fn links() -> (u32, u32) {
    sh("ip link set lo up; ip link add v0 type veth peer name v1; ip link set v0 up; ip link set v1 up
        ip addr add 10.0.0.1/24 dev v0; ip addr add 2001:db8::1/64 dev v0 nodad");
    let links = Requester::open().unwrap().links().unwrap();
    let index = |name: &str| links.iter().find(|link| link.name == name).unwrap().index;
    (index("v0"), index("v1"))
}

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn single(gateway: &str, interface_index: u32) -> NexthopContent {
    NexthopContent::Single { gateway: Some(gateway.parse().unwrap()), interface_index }
}

fn routes(requester: &mut Requester) -> Vec<Route> {
    let mut found = Vec::new();
    for ipv6 in [false, true] {
        requester.dump_routes(ipv6, &mut |route| found.push(route)).unwrap();
    }
    found
}

/// Reads events until `done`, which sees all of them so far.
fn events_until(monitor: &mut Monitor, done: impl Fn(&[Event]) -> bool) -> Vec<Event> {
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut events = Vec::new();
    while !done(&events) {
        assert!(Instant::now() < deadline, "not within 10 s; so far {events:?}");
        if monitor.read(&mut events).is_err() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    events
}

#[test]
fn routes_by_nexthop_id_of_both_families_discard_and_reject() {
    in_namespace(|| {
        let (v0, _) = links();
        let mut requester = Requester::open().unwrap();
        let mut batch = Batch::new();
        batch.add_nexthop(0x4800_0000, false, &single("10.0.0.2", v0));
        batch.add_nexthop(0x4800_0001, true, &single("2001:db8::2", v0));
        batch.add_nexthop(0x4800_0002, false, &single("10.0.0.3", v0));
        let group = [0x4800_0000, 0x4800_0002].map(|id| NexthopMember { id, weight: id as u16 % 3 + 1 });
        batch.add_nexthop(0x4800_0003, false, &NexthopContent::Group(group.to_vec()));
        let wanted = [
            ("192.0.2.0/24", RouteTarget::Nexthop(0x4800_0000)),
            ("0.0.0.0/0", RouteTarget::Nexthop(0x4800_0003)),
            ("198.51.100.0/24", RouteTarget::Blackhole),
            ("203.0.113.0/24", RouteTarget::Unreachable),
            ("::/0", RouteTarget::Nexthop(0x4800_0001)),
            ("2001:db8:1::/48", RouteTarget::Blackhole),
            ("2001:db8:2::/48", RouteTarget::Unreachable),
        ];
        for (prefix, target) in wanted {
            batch.write_route(RouteWrite::Add, &net(prefix), target);
        }
        assert_eq!(requester.execute(&mut batch), BatchOutcome::default());
        let found = routes(&mut requester);
        assert_eq!(found.len(), wanted.len(), "{found:?}");
        for (prefix, target) in wanted {
            assert!(found.iter().any(|r| r.prefix == net(prefix) && r.target == target && r.is_ours()), "{prefix}");
        }
        let objects: Vec<_> = requester.nexthops().unwrap().into_iter().filter(NexthopObject::is_ours).collect();
        assert_eq!(objects.len(), 4);
        assert_eq!(objects[3].content, NexthopContent::Group(group.to_vec()));

        batch.clear();
        batch.write_route(RouteWrite::Replace, &net("192.0.2.0/24"), RouteTarget::Unreachable);
        batch.write_route(RouteWrite::Replace, &net("2001:db8:1::/48"), RouteTarget::Nexthop(0x4800_0001));
        batch.remove_route(&net("203.0.113.0/24"));
        batch.remove_route(&net("2001:db8:2::/48"));
        assert_eq!(requester.execute(&mut batch), BatchOutcome::default());
        let found = routes(&mut requester);
        assert_eq!(found.len(), wanted.len() - 2);
        assert!(found.iter().any(|r| r.prefix == net("192.0.2.0/24") && r.target == RouteTarget::Unreachable));
    });
}

#[test]
fn errors_are_accounted_by_message() {
    in_namespace(|| {
        let (v0, _) = links();
        let mut requester = Requester::open().unwrap();
        let mut batch = Batch::new();
        batch.add_nexthop(0x4800_0000, false, &single("10.0.0.2", v0));
        batch.add_nexthop(0x4800_0001, false, &single("172.16.0.1", v0)); // not on the link
        batch.write_route(RouteWrite::Add, &net("192.0.2.0/24"), RouteTarget::Nexthop(0x4800_0000));
        batch.write_route(RouteWrite::Add, &net("192.0.2.0/24"), RouteTarget::Nexthop(0x4800_0000));
        batch.remove_route(&net("203.0.113.0/24"));
        batch.write_route(RouteWrite::Add, &net("198.51.100.0/24"), RouteTarget::Nexthop(0x4800_0001));
        for _ in 0..2 {
            let outcome = requester.execute(&mut batch);
            assert!(!outcome.unknown);
            let failed: Vec<_> = outcome.failures.iter().map(|f| (f.index, f.errno)).collect();
            assert!(failed.contains(&(1, libc::ENETUNREACH)) && failed.contains(&(3, libc::EEXIST)), "{failed:?}");
            assert!(failed.contains(&(4, libc::ESRCH)) && failed.contains(&(5, libc::EINVAL)), "{failed:?}");
            assert!(outcome.failures.iter().any(|f| f.reason().contains("Nexthop")), "{:?}", outcome.failures);
        }
        // Every message of as many full batches as are executed at once refused: all of it is accounted, nothing lost.
        let mut batches: [Batch; BATCHES_AT_ONCE_MAX] = std::array::from_fn(|_| Batch::new());
        for batch in &mut batches {
            while !batch.is_full() {
                batch.remove_route(&net("203.0.113.0/24"));
            }
        }
        for outcome in requester.execute_all(&mut batches.each_mut()) {
            assert_eq!((outcome.failures.len(), outcome.unknown), (BATCH_MESSAGES_MAX, false));
            assert!(outcome.failures.iter().enumerate().all(|(index, failure)| failure.index == index));
        }
    });
}

#[test]
fn batches_executed_together_are_accounted_each_for_itself() {
    in_namespace(|| {
        let (v0, _) = links();
        let mut requester = Requester::open().unwrap();
        let mut batches: [Batch; 4] = std::array::from_fn(|_| Batch::new());
        batches[0].add_nexthop(0x4800_0000, false, &single("10.0.0.2", v0));
        batches[0].remove_route(&net("203.0.113.0/24"));
        batches[1].write_route(RouteWrite::Add, &net("192.0.2.0/24"), RouteTarget::Nexthop(0x4800_0000));
        batches[1].write_route(RouteWrite::Add, &net("198.51.100.0/24"), RouteTarget::Nexthop(0x4800_0000));
        batches[1].write_route(RouteWrite::Add, &net("192.0.2.0/24"), RouteTarget::Nexthop(0x4800_0000));
        // The third and the last are empty.
        for _ in 0..2 {
            let outcomes = requester.execute_all(&mut batches.each_mut());
            let failed =
                |outcome: &BatchOutcome| outcome.failures.iter().map(|f| (f.index, f.errno)).collect::<Vec<_>>();
            assert_eq!((outcomes.len(), outcomes.iter().any(|outcome| outcome.unknown)), (4, false));
            assert!(failed(&outcomes[0]).contains(&(1, libc::ESRCH)), "{outcomes:?}");
            assert!(failed(&outcomes[1]).contains(&(2, libc::EEXIST)), "{outcomes:?}");
            assert_eq!(outcomes[2..], [BatchOutcome::default(), BatchOutcome::default()]);
        }
        assert_eq!(routes(&mut requester).len(), 2);
        assert_eq!(requester.execute_all(&mut []), []);
        assert_eq!(requester.execute(&mut Batch::new()), BatchOutcome::default());
    });
}

#[test]
fn routes_of_others_are_neither_seen_nor_hit() {
    in_namespace(|| {
        let (v0, _) = links();
        sh("ip route add 192.0.2.0/24 via 10.0.0.9 metric 20; ip route add 198.51.100.0/24 via 10.0.0.9
            ip -6 route add 2001:db8:1::/48 via 2001:db8::9 metric 20; ip nexthop add id 7 via 10.0.0.9 dev v0");
        let before = sh("ip route; ip -6 route show proto boot; ip nexthop");
        let mut requester = Requester::open().unwrap();
        assert_eq!(routes(&mut requester), []);
        let mut batch = Batch::new();
        batch.add_nexthop(0x4800_0000, false, &single("10.0.0.2", v0));
        batch.add_nexthop(0x4800_0001, true, &single("2001:db8::2", v0));
        batch.write_route(RouteWrite::Add, &net("192.0.2.0/24"), RouteTarget::Nexthop(0x4800_0000));
        batch.write_route(RouteWrite::Add, &net("2001:db8:1::/48"), RouteTarget::Nexthop(0x4800_0001));
        batch.remove_route(&net("192.0.2.0/24"));
        batch.remove_route(&net("198.51.100.0/24"));
        batch.remove_route(&net("2001:db8:1::/48"));
        batch.remove_nexthop(0x4800_0000);
        batch.remove_nexthop(0x4800_0001);
        let failed: Vec<_> = requester.execute(&mut batch).failures.iter().map(|f| (f.index, f.errno)).collect();
        let expected = [(2, libc::EEXIST), (3, libc::EEXIST), (4, libc::ESRCH), (5, libc::ESRCH), (6, libc::ESRCH)];
        assert_eq!(failed, expected);
        assert_eq!(sh("ip route; ip -6 route show proto boot; ip nexthop"), before);
    });
}

#[test]
fn links_and_addresses_are_read_and_changed() {
    in_namespace(|| {
        let (v0, v1) = links();
        let mut requester = Requester::open().unwrap();
        let mut batch = Batch::new();
        batch.add_address(v1, &net("172.16.0.1/30"));
        batch.add_address(v1, &net("2001:db8:5::1/64"));
        batch.change_link(v1, &LinkChange::Mtu(1400));
        batch.change_link(v1, &LinkChange::Description("to Vienna".into()));
        assert_eq!(requester.execute(&mut batch), BatchOutcome::default());
        let links = requester.links().unwrap();
        let link = links.iter().find(|link| link.index == v1).unwrap();
        assert_eq!((link.mtu, link.description.as_str(), link.mac.len(), link.is_up()), (1400, "to Vienna", 6, true));
        assert!(links.iter().any(|link| link.loopback && link.name == "lo"));
        let ours: Vec<_> = requester.addresses().unwrap().into_iter().filter(Address::is_ours).collect();
        assert_eq!(ours.iter().map(|a| a.address).collect::<Vec<_>>(), [net("172.16.0.1/30"), net("2001:db8:5::1/64")]);
        assert!(!sh("ip -6 addr show dev v1").contains("tentative dadfailed"));
        assert!(sh("ip -6 addr show dev v1").contains("2001:db8:5::1/64 scope global nodad"));
        batch.clear();
        batch.remove_address(v1, &net("172.16.0.1/30"));
        batch.remove_address(v1, &net("2001:db8:5::1/64"));
        batch.change_link(v0, &LinkChange::Admin(false));
        batch.change_link(v1, &LinkChange::Description(String::new()));
        assert_eq!(requester.execute(&mut batch), BatchOutcome::default());
        let links = requester.links().unwrap();
        assert!(!links.iter().find(|link| link.index == v0).unwrap().admin_up);
        let other = links.iter().find(|link| link.index == v1).unwrap();
        assert!(other.admin_up && !other.carrier && other.description.is_empty(), "{other:?}");
        assert!(requester.addresses().unwrap().iter().all(|a| !a.is_ours()));
    });
}

#[test]
fn the_monitor_hears_others_and_not_ourselves() {
    in_namespace(|| {
        let (v0, _) = links();
        let mut own = Requester::open().unwrap();
        let mut other = Requester::open().unwrap();
        let mut monitor = Monitor::open(Some(own.port())).unwrap();
        let mut batch = Batch::new();
        batch.add_nexthop(0x4800_0000, false, &single("10.0.0.2", v0));
        batch.write_route(RouteWrite::Add, &net("192.0.2.0/24"), RouteTarget::Nexthop(0x4800_0000));
        batch.write_route(RouteWrite::Add, &net("2001:db8:1::/48"), RouteTarget::Blackhole);
        assert_eq!(own.execute(&mut batch), BatchOutcome::default());
        sh("ip route add 198.51.100.0/24 via 10.0.0.9 && ip route del 198.51.100.0/24");
        let mut batch = Batch::new();
        batch.remove_route(&net("192.0.2.0/24"));
        batch.remove_route(&net("2001:db8:1::/48"));
        batch.write_route(RouteWrite::Add, &net("192.0.2.0/25"), RouteTarget::Nexthop(0x4800_0000));
        batch.remove_nexthop(0x4800_0000);
        assert_eq!(other.execute(&mut batch), BatchOutcome::default());
        sh("ip link set v0 down");
        let events = events_until(&mut monitor, |events| {
            events.iter().any(|event| matches!(event, Event::Link(link) if link.index == v0 && !link.admin_up))
        });
        // Links and addresses have news of their own: the kernel reports an address once more when it is ready for use.
        let of_links = |event: &Event| {
            matches!(event, Event::Link(_) | Event::LinkRemoved(_) | Event::Address(_) | Event::AddressRemoved(_))
        };
        // What is gone may have had the place of a route of ours. (With the link its own routes go.)
        let is_gone = |event: &&Event| matches!(event, Event::RouteRemoved(route) if !route.is_ours());
        let gone = events.iter().find(is_gone);
        assert!(
            matches!(gone, Some(Event::RouteRemoved(route)) if route.prefix == net("198.51.100.0/24")),
            "{events:?}"
        );
        let fib: Vec<_> = events.iter().filter(|event| !of_links(event) && !is_gone(event)).collect();
        assert!(matches!(fib[0], Event::RouteRemoved(route) if route.prefix == net("192.0.2.0/24")), "{fib:?}");
        assert!(matches!(fib[1], Event::RouteRemoved(route) if route.prefix == net("2001:db8:1::/48")), "{fib:?}");
        assert!(matches!(fib[2], Event::Route(route) if route.prefix == net("192.0.2.0/25")), "{fib:?}");
        assert!(matches!(fib[3], Event::NexthopRemoved(object) if object.id == 0x4800_0000), "{fib:?}");
        assert_eq!(fib.len(), 4, "{fib:?}");
    });
}

/// What the kernel says of our objects, in the order of their numbers.
fn objects(requester: &mut Requester) -> Vec<(u32, NexthopContent)> {
    let all = requester.nexthops().unwrap().into_iter();
    all.filter(NexthopObject::is_ours).map(|object| (object.id, object.content)).collect()
}

fn way_to(destination: &str) -> String {
    sh(&format!("ip route get {destination}"))
}

#[test]
fn a_resilient_group_turns_to_its_second_member_when_the_link_of_the_first_is_lost() {
    in_namespace(|| {
        let (v0, _) = links();
        sh("ip link add w0 type veth peer name w1; ip link set w0 up; ip link set w1 up
            ip addr add 10.0.1.1/24 dev w0; ip addr add 2001:db8:1::1/64 dev w0 nodad");
        let w0 = Requester::open().unwrap().links().unwrap().iter().find(|link| link.name == "w0").unwrap().index;
        let mut requester = Requester::open().unwrap();
        let first = 0x4800_0000;
        let singles = [("10.0.0.2", v0), ("10.0.1.2", w0), ("2001:db8::2", v0), ("2001:db8:1::2", w0)];
        let group = |members: &[(u32, u16)]| {
            let members = members.iter().map(|(n, weight)| NexthopMember { id: first + n, weight: *weight }).collect();
            NexthopContent::Resilient { members, buckets: RESILIENT_BUCKETS }
        };
        let mut batch = Batch::new();
        for (n, (gateway, interface)) in (0..).zip(singles) {
            batch.add_nexthop(first + n, n > 1, &single(gateway, interface));
        }
        let protected = [group(&[(0, WEIGHT_ALL), (1, WEIGHT_NONE)]), group(&[(2, WEIGHT_ALL), (3, WEIGHT_NONE)])];
        batch.add_nexthop(first + 4, false, &protected[0]);
        batch.add_nexthop(first + 5, false, &protected[1]);
        batch.write_route(RouteWrite::Add, &net("192.0.2.0/24"), RouteTarget::Nexthop(first + 4));
        batch.write_route(RouteWrite::Add, &net("2001:db8:f::/48"), RouteTarget::Nexthop(first + 5));
        // The gateway of the other family serves as well.
        batch.write_route(RouteWrite::Add, &net("198.51.100.0/24"), RouteTarget::Nexthop(first + 5));
        assert_eq!(requester.execute(&mut batch), BatchOutcome::default());
        let there = objects(&mut requester);
        assert_eq!(there[4..], [(first + 4, protected[0].clone()), (first + 5, protected[1].clone())]);
        let destinations = ["192.0.2.1", "2001:db8:f::1", "198.51.100.1"];
        assert!(destinations.iter().all(|to| way_to(to).contains("dev v0")));
        // Once as asked for, once by the kernel.
        let alone = [group(&[(1, WEIGHT_NONE)]), group(&[(3, WEIGHT_NONE)])];
        batch.clear();
        batch.replace_nexthop(first + 4, false, &alone[0]);
        assert_eq!(requester.execute(&mut batch), BatchOutcome::default());
        assert!(way_to(destinations[0]).contains("dev w0") && way_to(destinations[1]).contains("dev v0"));
        batch.clear();
        batch.replace_nexthop(first + 4, false, &protected[0]);
        assert_eq!(requester.execute(&mut batch), BatchOutcome::default());
        assert!(way_to(destinations[0]).contains("dev v0"));
        let mut monitor = Monitor::open(None).unwrap();
        sh("ip link set v1 down");
        events_until(&mut monitor, |events| {
            events.iter().any(|event| matches!(event, Event::Link(link) if link.index == v0 && !link.is_up()))
        });
        assert!(destinations.iter().all(|to| way_to(to).contains("dev w0")));
        assert_eq!(objects(&mut requester)[2..], [(first + 4, alone[0].clone()), (first + 5, alone[1].clone())]);
        assert_eq!(routes(&mut requester).len(), 3);
        // What is not there is not replaced; an ordinary group is not made a resilient one.
        batch.clear();
        batch.replace_nexthop(first + 9, false, &alone[0]);
        batch.replace_nexthop(
            first + 4,
            false,
            &NexthopContent::Group(vec![NexthopMember { id: first + 1, weight: 1 }]),
        );
        let outcome = requester.execute(&mut batch);
        assert_eq!(outcome.failures.iter().map(|failure| failure.index).collect::<Vec<_>>(), [0, 1]);
    });
}

#[test]
fn a_full_queue_is_reported_as_overflow() {
    in_namespace(|| {
        let (v0, _) = links();
        let mut monitor = Monitor::open(None).unwrap();
        let mut requester = Requester::open().unwrap();
        let mut batch = Batch::new();
        batch.add_nexthop(0x4800_0000, false, &single("10.0.0.2", v0));
        assert_eq!(requester.execute(&mut batch), BatchOutcome::default());
        for round in 0..400 {
            batch.clear();
            for n in 0..256u32 {
                let prefix = Ipv4Net::new(Ipv4Addr::from(0x1400_0000 + (round * 256 + n) * 256), 24).unwrap().into();
                batch.write_route(RouteWrite::Add, &prefix, RouteTarget::Nexthop(0x4800_0000));
            }
            assert_eq!(requester.execute(&mut batch), BatchOutcome::default());
        }
        events_until(&mut monitor, |events| events.contains(&Event::Overflow));
    });
}

#[test]
fn a_hundred_thousand_routes_at_speed() {
    in_namespace(|| {
        let (v0, _) = links();
        let _ = std::fs::write("/proc/sys/net/ipv4/nexthop_compat_mode", "0");
        let mut requester = Requester::open().unwrap();
        let mut batch = Batch::new();
        batch.add_nexthop(0x4800_0000, false, &single("10.0.0.2", v0));
        let began = Instant::now();
        for n in 0..100_000u32 {
            let prefix = Ipv4Net::new(Ipv4Addr::from(0x1400_0000 + n * 256), 24).unwrap().into();
            batch.write_route(RouteWrite::Add, &prefix, RouteTarget::Nexthop(0x4800_0000));
            if batch.is_full() || n == 99_999 {
                assert_eq!(requester.execute(&mut batch), BatchOutcome::default());
                batch.clear();
            }
        }
        let written = began.elapsed();
        let began = Instant::now();
        let mut count = 0;
        requester.dump_routes(false, &mut |_| count += 1).unwrap();
        assert_eq!(count, 100_000);
        eprintln!("100,000 routes written in {written:?}, read in {:?}", began.elapsed());
        assert!(written < Duration::from_secs(10), "{written:?}");
    });
}
