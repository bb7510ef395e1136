//! A speaker with its RIB and two sessions that are up: one neighbour says anything, the other must not suffer; and a second
//! engine that is told anything of it. An octet says how both are configured (see `router`).

use holdfast_bgp::session::ConnectionSide;
use holdfast_bgp::speaker::{Action, ConnectionEnds, NeighborId, Speaker};
use holdfast_bgp::wire::{
    Capability, HEADER_LEN, MessageType, Negotiated, OpenMessage, Role, Update, encode_keepalive, frame,
};
use holdfast_proto::v1::replication_frame::Body;
use holdfast_proto::v1::{
    AddressFamily, BgpAddPath, BgpConfig, BgpNeighborConfig, BgpRole, Fact, PolicyOptions, RouterConfig, RoutingConfig,
    StreamBytes, bgp_neighbor_config as neighbor_config,
};
use holdfast_replication::{Inbound, Switchover};
use holdfast_rib::Rib;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

const LOCAL_AS: u32 = 65001;
const PEER_AS: u32 = 65002;
const NOW: Duration = Duration::from_secs(1000);
const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 254));
/// Who says anything, and who listens to what comes of it.
const NEIGHBORS: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2))];
/// Slices of work after one input: a bound, so that "no end" is found.
const TURNS_MAX: usize = 10_000;

/// A speaker and its RIB.
pub struct Engine {
    speaker: Speaker,
    rib: Rib,
    internal: bool,
    /// What each neighbour and we have said in OPENs.
    opens: Vec<(OpenMessage, OpenMessage)>,
    /// Neighbours whose sessions ended.
    downs: Vec<NeighborId>,
    /// The OPEN sent last.
    said: Option<OpenMessage>,
}

/// What one bit of the octet turns on.
fn neighbor(address: &IpAddr, options: u8) -> BgpNeighborConfig {
    let is = |bit: u8| options & 1 << bit != 0;
    let internal = is(0);
    let families: Vec<i32> = vec![AddressFamily::Ipv4Unicast.into(), AddressFamily::Ipv6Unicast.into()];
    let add_path = |family: &i32| BgpAddPath { family: *family, receive: true, send_path_count: 3 };
    let limit = |family: &i32| neighbor_config::PrefixLimit {
        family: *family,
        accepted: address.to_string().ends_with('2'),
        maximum: 2,
        warn_percent: 50,
        drop_excess: true,
        ..Default::default()
    };
    BgpNeighborConfig {
        address: address.to_string(),
        internal,
        peer_as: if internal { LOCAL_AS } else { PEER_AS },
        local_as: LOCAL_AS,
        hold_time_s: 9,
        passive: true,
        add_path: if is(1) { families.iter().map(add_path).collect() } else { Vec::new() },
        prefix_limits: if is(2) { families.iter().map(limit).collect() } else { Vec::new() },
        families,
        extended_nexthop: is(3),
        graceful_restart: is(4),
        long_lived: is(4),
        long_lived_inet_s: if is(4) { 3600 } else { 0 },
        cluster: if is(5) && internal { 7 } else { 0 },
        route_server_client: is(5) && !internal,
        role: if is(6) && !internal { BgpRole::Provider.into() } else { 0 },
        well_known: is(6).then(|| neighbor_config::WellKnown {
            preference_at_shutdown: Some(0),
            blackhole: true,
            ..Default::default()
        }),
        multipath: is(7),
        remove_private: if is(7) && !internal { neighbor_config::RemovePrivate::All.into() } else { 0 },
        graceful_restart_helper: true,
        nonstop_routing: true,
        restart_time_s: 120,
        stale_routes_time_s: 300,
        ..BgpNeighborConfig::default()
    }
}

fn router(options: u8) -> RouterConfig {
    let neighbors = NEIGHBORS.iter().map(|address| neighbor(address, options)).collect();
    RouterConfig {
        bgp: Some(BgpConfig { neighbors, ..BgpConfig::default() }),
        routing: Some(RoutingConfig {
            router_id: "192.0.2.1".into(),
            autonomous_system: LOCAL_AS,
            maximum_paths: 4,
            ..RoutingConfig::default()
        }),
        policy: Some(PolicyOptions::default()),
        ..RouterConfig::default()
    }
}

/// A neighbour's OPEN: it can whatever we can. Roles (RFC 9234 §4.2) and directions of several paths are turned around.
fn answer_to(ours: &OpenMessage, neighbor: usize, internal: bool) -> OpenMessage {
    let asn = if internal { LOCAL_AS } else { PEER_AS };
    let theirs = |capability: &Capability| match capability {
        Capability::FourOctetAs(_) => Capability::FourOctetAs(asn),
        Capability::Role(_) => Capability::Role(Role::Customer as u8),
        other => other.clone(),
    };
    OpenMessage {
        autonomous_system: asn,
        router_id: Ipv4Addr::new(192, 0, 2, 10 + neighbor as u8),
        capabilities: ours.capabilities.iter().map(theirs).collect(),
        ..*ours
    }
}

impl Engine {
    fn new(following: bool, options: u8) -> Engine {
        let (mut speaker, mut rib) = (Speaker::new(following, 7), Rib::new());
        rib.interface_update(1, "eth0", true);
        rib.address_added(1, "10.0.0.254/24".parse().expect("an address"));
        rib.address_added(1, "2001:db8::fe/64".parse().expect("an address"));
        speaker.configure(&router(options), &mut rib, NOW).expect("a configuration that holds");
        Engine { speaker, rib, internal: options & 1 != 0, opens: Vec::new(), downs: Vec::new(), said: None }
    }

    /// With both sessions up.
    fn established(options: u8) -> Engine {
        let mut engine = Engine::new(false, options);
        for (neighbor, address) in NEIGHBORS.iter().enumerate() {
            engine.speaker.tcp_accepted(*address, &mut engine.rib, NOW).expect("it may connect");
            engine.act();
            // What is configured cannot be guessed from here: the neighbour hears it, and can the same.
            let ours = engine.said.take().expect("an OPEN of ours");
            let theirs = answer_to(&ours, neighbor, engine.internal);
            engine.receive(neighbor, &theirs.encode());
            engine.opens.push((theirs, ours));
            let mut keepalive = Vec::new();
            encode_keepalive(&mut keepalive);
            engine.receive(neighbor, &keepalive);
            assert!(engine.is_up(neighbor));
        }
        engine.work();
        engine
    }

    fn id(&self, neighbor: usize) -> NeighborId {
        self.speaker.find_neighbor(NEIGHBORS[neighbor]).expect("it is configured")
    }

    fn is_up(&self, neighbor: usize) -> bool {
        self.speaker.is_established(self.id(neighbor), ConnectionSide::Accepted)
    }

    fn receive(&mut self, neighbor: usize, bytes: &[u8]) {
        let id = self.id(neighbor);
        self.speaker.receive(id, ConnectionSide::Accepted, bytes, &mut self.rib, NOW);
        self.act();
    }

    fn act(&mut self) {
        while let Some(action) = self.speaker.poll() {
            match action {
                Action::Established { neighbor, side } => {
                    let ends = ConnectionEnds {
                        local: SocketAddr::new(LOCAL, 179),
                        remote: SocketAddr::new(self.speaker.neighbor_address(neighbor).expect("it has one"), 40_000),
                    };
                    self.speaker.established(neighbor, side, ends, 1, NOW, &mut self.rib);
                }
                Action::Down { neighbor, .. } => self.downs.push(neighbor),
                Action::Send { message, .. } => {
                    let (_, kind) = frame(&message).expect("a message").expect("a whole one");
                    if kind == MessageType::Open {
                        self.said = Some(OpenMessage::decode(&message[HEADER_LEN..]).expect("an OPEN"));
                    }
                }
                Action::Connect { .. } | Action::Close { .. } | Action::Replicate(_) => {}
                Action::HasOutput | Action::Warn { .. } | Action::Report { .. } => {}
            }
        }
    }

    /// All the work that is there.
    fn work(&mut self) {
        for turn in 0.. {
            assert!(turn < TURNS_MAX, "no end of work");
            let moved = self.rib.take_changed_nexthops();
            let changed = self.rib.take_changed(64);
            let idle = moved.is_empty() && changed.is_empty() && !self.speaker.has_background();
            self.speaker.nexthops_moved(moved);
            self.speaker.follow_links(&mut self.rib);
            self.speaker.redistribute(&changed, &mut self.rib);
            if self.speaker.has_background() {
                self.speaker.background(&mut self.rib);
            }
            self.rib.take_fib_changes(1024);
            if idle {
                return;
            }
        }
    }

    /// What a neighbour is told: well-formed, all of it.
    fn tell(&mut self, neighbor: usize) {
        let (id, (theirs, ours)) = (self.id(neighbor), &self.opens[neighbor]);
        let session = Negotiated::from_opens(theirs, ours);
        for turn in 0.. {
            assert!(turn < TURNS_MAX, "no end of output");
            let mut wire = Vec::new();
            self.speaker.fill_output(id, &mut self.rib, &mut wire, NOW);
            if wire.is_empty() && !self.speaker.has_output(id) {
                return;
            }
            let mut rest = wire.as_slice();
            while let Some((length, kind)) = frame(rest).expect("BGP") {
                if kind == MessageType::Update {
                    let update = Update::parse(&rest[HEADER_LEN..length], &session).expect("an UPDATE");
                    assert_eq!((update.treat_as_withdraw.as_ref(), update.discarded.len()), (None, 0));
                }
                rest = &rest[length..];
            }
            assert!(rest.is_empty(), "half a message");
        }
    }
}

/// How the router is configured, then bytes of one of two neighbours. It may lose its own session.
pub fn check_speaker(input: &[u8]) {
    let Some((options, bytes)) = input.split_first() else { return };
    let mut engine = Engine::established(*options);
    engine.receive(0, bytes);
    engine.work();
    engine.tell(1);
    assert!(engine.is_up(1) && !engine.downs.contains(&engine.id(1)));
    if engine.is_up(0) {
        engine.tell(0);
    }
}

/// How the router is configured, then a replication stream, as a follower reads it; then it leads.
pub fn check_facts(input: &[u8]) {
    let Some((options, stream)) = input.split_first() else { return };
    let mut engine = Engine::new(true, *options);
    let mut inbound = Inbound::default();
    inbound.extend(stream);
    while let Ok(Some(body)) = inbound.next_frame() {
        if let Body::Fact(fact) = body {
            // A fact that contradicts what is known ends the follower's following, not the process.
            let _ = engine.speaker.adopt(&mut engine.rib, &fact, NOW);
        }
    }
    engine.speaker.settle(&mut engine.rib);
    engine.work();
    assert!(!engine.speaker.digests(&engine.rib).is_empty());
    engine.speaker.activate(&mut engine.rib, NOW);
    engine.act();
    engine.speaker.tick(&mut engine.rib, NOW + Duration::from_secs(3600));
    engine.act();
    engine.work();
}

/// Facts of a small life, for a follower's seeds: both sessions, what one neighbour said, what the other was told, an end.
pub(crate) fn facts_of_a_life(options: u8, said: &[u8]) -> Vec<Fact> {
    let mut engine = Engine::established(options);
    let ids = [engine.id(0), engine.id(1)];
    let mut facts = engine.speaker.describe_sessions(NOW);
    let bytes = |data: &[u8]| StreamBytes { data: data.to_vec(), ..StreamBytes::default() };
    facts.extend(engine.speaker.received_fact(ids[0], bytes(said)));
    engine.receive(0, said);
    engine.work();
    let mut told = Vec::new();
    engine.speaker.fill_output(ids[1], &mut engine.rib, &mut told, NOW);
    facts.extend(engine.speaker.sent_fact(ids[1], bytes(&told)));
    let mut cursor = Some(0);
    while let Some(at) = cursor {
        let (slices, next) = engine.speaker.snapshot(&engine.rib, at, 16);
        facts.extend(slices);
        cursor = next;
    }
    let kept = holdfast_bgp::speaker::Kept::WhileItRestarts;
    facts.extend(engine.speaker.session_down_fact(ids[0], "the end", kept, NOW));
    facts
}
