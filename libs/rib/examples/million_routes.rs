//! Measures the table alone with a million BGP routes: time and memory per step. Run with `--release`.

use holdfast_rib::{BgpRoute, Family, NexthopSpec, PrefixId, Rib};
use ipnet::{IpNet, Ipv4Net};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

const ROUTES: u32 = 1_000_000;
const FAMILY: Family = Family::Ipv4Unicast;

fn step<T>(name: &str, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    let elapsed = start.elapsed();
    println!(
        "{name:<34} {:>8.1} ms {:>6.0} ns each",
        elapsed.as_secs_f64() * 1e3,
        elapsed.as_nanos() as f64 / f64::from(ROUTES)
    );
    result
}

fn resident_mib() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok()).unwrap_or(0.0) * 4096.0 / 1048576.0
}

/// Takes all changes as the one who tells them does, a batch in a turn.
fn take_all(rib: &mut Rib) {
    let (mut longest, mut turns, start) = (Duration::ZERO, 0, Instant::now());
    step("take_fib_changes", || {
        while rib.fib_changes_waiting() > 0 {
            let began = Instant::now();
            rib.put_fib_changes_in_order(start.elapsed());
            rib.take_fib_changes(1024);
            longest = longest.max(began.elapsed());
            turns += 1;
        }
    });
    println!("{:<34} {:>8.1} ms of {turns} turns", "    the longest", longest.as_secs_f64() * 1e3);
}

fn main() {
    let mut rib = Rib::new();
    rib.interface_update(1, "eth1", true);
    rib.address_added(1, "10.0.1.1/16".parse().expect("a prefix"));
    let nexthops: Vec<_> =
        (0..64u8).map(|host| rib.intern_nexthop(NexthopSpec::gateway(Ipv4Addr::new(10, 0, 2, host).into()))).collect();
    // An odd multiplier permutes the 24-bit numbers: distinct prefixes in no order.
    let nets: Vec<IpNet> = (0..ROUTES)
        .map(|number| number.wrapping_mul(0x9e37_79b1) & 0xff_ffff)
        .map(|bits| IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::from_bits(bits << 8), 24)))
        .collect();
    let empty_mib = resident_mib();
    let ids: Vec<PrefixId> = step("intern", || nets.iter().map(|net| rib.prefixes_mut(FAMILY).intern(*net)).collect());
    step("find again", || nets.iter().for_each(|net| assert!(rib.prefixes(FAMILY).get(*net).is_some())));
    let set = |rib: &mut Rib, shift: usize| {
        for (number, id) in ids.iter().enumerate() {
            let nexthop = nexthops[(number / 11 + shift) % nexthops.len()];
            rib.set_bgp(FAMILY, *id, Some(BgpRoute { nexthop, preference: 170, installed: true }));
        }
    };
    step("set_bgp, new", || set(&mut rib, 0));
    println!("{:<34} {:>8.1} MiB", "memory", resident_mib() - empty_mib);
    take_all(&mut rib);
    step("set_bgp, other next hop", || set(&mut rib, 1));
    take_all(&mut rib);
    step("link down", || rib.interface_update(1, "eth1", false));
    step("link up", || rib.interface_update(1, "eth1", true));
    step("fib_scan", || {
        let mut cursor = Some(0);
        while let Some(from) = cursor {
            cursor = rib.fib_scan(FAMILY, from, 1024).1;
        }
    });
    println!("{:<34} {:>8} bytes per prefix", "table", rib.memory_bytes(FAMILY) / ROUTES as usize);
}
