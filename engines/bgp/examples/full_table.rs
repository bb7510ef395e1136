//! What a full table costs in the engine alone, without sockets and processes: one neighbour tells routes, one hears them.
//! `cargo run --release -p holdfast-bgp --example full_table -- [ROUTES]`; under `valgrind --tool=callgrind` the count of
//! instructions is the same on a busy machine as on a quiet one.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use holdfast_bgp::session::ConnectionSide;
use holdfast_bgp::speaker::{Action, ConnectionEnds, NeighborId, Speaker};
use holdfast_bgp::wire::{
    AsPath, Capability, Family, Format, NextHop, OpenMessage, PathAttributes, encode_announce, encode_keepalive, frame,
};
use holdfast_proto::v1::{AddressFamily, BgpConfig, BgpNeighborConfig, PolicyOptions, RouterConfig, RoutingConfig};
use holdfast_rib::Rib;
use ipnet::{IpNet, Ipv4Net};

const LOCAL_AS: u32 = 65000;
/// Routes for each set of attributes.
const ROUTES_PER_SET: u32 = 11;
const READ_LEN: usize = 64 << 10;
const NOW: Duration = Duration::from_secs(1);

fn neighbor(number: u8) -> BgpNeighborConfig {
    BgpNeighborConfig {
        address: Ipv4Addr::new(10, 0, 0, number).to_string(),
        peer_as: LOCAL_AS + u32::from(number),
        local_as: LOCAL_AS,
        hold_time_s: 240,
        families: vec![AddressFamily::Ipv4Unicast.into()],
        nonstop_routing: true,
        passive: true,
        ..BgpNeighborConfig::default()
    }
}

struct Router {
    speaker: Speaker,
    rib: Rib,
}

impl Router {
    fn new() -> Router {
        let mut rib = Rib::new();
        rib.interface_update(1, "eth0", true);
        rib.address_added(1, "10.0.0.254/24".parse().expect("an address"));
        let config = RouterConfig {
            bgp: Some(BgpConfig { neighbors: vec![neighbor(1), neighbor(2)], ..BgpConfig::default() }),
            routing: Some(RoutingConfig {
                router_id: "192.0.2.254".into(),
                autonomous_system: LOCAL_AS,
                maximum_paths: 1,
                ..RoutingConfig::default()
            }),
            policy: Some(PolicyOptions::default()),
            ..RouterConfig::default()
        };
        let mut speaker = Speaker::new(false, 7);
        speaker.configure(&config, &mut rib, NOW).expect("a good configuration");
        Router { speaker, rib }
    }

    fn establish(&mut self, number: u8) -> NeighborId {
        let address = IpAddr::V4(Ipv4Addr::new(10, 0, 0, number));
        let asn = LOCAL_AS + u32::from(number);
        let open = OpenMessage {
            autonomous_system: asn,
            hold_time_s: 240,
            router_id: Ipv4Addr::new(192, 0, 2, number),
            capabilities: vec![Capability::MultiProtocol(Family::Ipv4Unicast), Capability::FourOctetAs(asn)],
        };
        let (id, _) = self.speaker.tcp_accepted(address, &mut self.rib, NOW).expect("welcome");
        let mut wire = open.encode();
        encode_keepalive(&mut wire);
        let mut rest = wire.as_slice();
        while let Ok(Some((length, _))) = frame(rest) {
            self.speaker.receive(id, ConnectionSide::Accepted, &rest[..length], &mut self.rib, NOW);
            rest = &rest[length..];
            self.act();
        }
        id
    }

    fn act(&mut self) {
        while let Some(action) = self.speaker.poll() {
            if let Action::Established { neighbor, side } = action {
                let end = |number| SocketAddr::new(Ipv4Addr::new(10, 0, 0, number).into(), 179);
                let ends = ConnectionEnds { local: end(254), remote: end(1) };
                self.speaker.established(neighbor, side, ends, 0, NOW, &mut self.rib);
            }
        }
    }
}

/// UPDATEs of four prefixes, in no order; some eleven routes share a set of attributes.
fn updates(routes: u32) -> Vec<u8> {
    let mut wire = Vec::new();
    let chunks = routes / 4;
    for chunk in 0..chunks {
        let chunk = (u64::from(chunk) * 2_654_435_761 % u64::from(chunks)) as u32;
        let set = chunk * 4 / ROUTES_PER_SET;
        let attributes = PathAttributes {
            as_path: AsPath::sequence(&[LOCAL_AS + 1, 3356 + set % 97, 100_000 + set % 1009, 200_000 + set]),
            communities: vec![set, set + 1, 7],
            ..PathAttributes::default()
        };
        let prefix = |number: u32| IpNet::V4(Ipv4Net::new((0x1000_0000 + (number << 8)).into(), 24).expect("a length"));
        let prefixes: Vec<IpNet> = (0..4).map(|i| prefix(chunk * 4 + i)).collect();
        let next_hop = NextHop::V4(Ipv4Addr::new(10, 0, 0, 1));
        let format = Format::plain(true);
        encode_announce(&mut wire, Family::Ipv4Unicast, &attributes.encode(), next_hop, &prefixes, format)
            .expect("it fits");
    }
    wire
}

/// All that is measured, by itself for profilers. Returns the octets that the receiver heard.
#[inline(never)]
fn exchange(router: &mut Router, feeder: NeighborId, receiver: NeighborId, wire: &[u8]) -> usize {
    let (mut out, mut heard) = (Vec::new(), 0);
    let mut rest = wire;
    while !rest.is_empty() {
        let mut length = 0;
        while length < READ_LEN
            && let Ok(Some((message, _))) = frame(&rest[length..])
        {
            length += message;
        }
        let Router { speaker, rib } = &mut *router;
        speaker.receive(feeder, ConnectionSide::Accepted, &rest[..length], rib, NOW);
        rest = &rest[length..];
        router.act();
        let Router { speaker, rib } = &mut *router;
        while speaker.has_output(receiver) {
            out.clear();
            speaker.fill_output(receiver, rib, &mut out, NOW);
            heard += out.len();
        }
        while rib.fib_changes_waiting() > 0 {
            rib.take_fib_changes(512);
        }
    }
    heard
}

fn main() {
    let routes = std::env::args().nth(1).map_or(1_000_000, |text| text.parse().expect("a number of routes"));
    let mut router = Router::new();
    let (feeder, receiver) = (router.establish(1), router.establish(2));
    let wire = updates(routes);
    let start = Instant::now();
    let heard = exchange(&mut router, feeder, receiver, &wire);
    println!("{routes} routes: {} octets in, {heard} out, {:?}", wire.len(), start.elapsed());
}
