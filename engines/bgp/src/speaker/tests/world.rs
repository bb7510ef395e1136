//! One router among neighbours, and the daemon's part: connections, actions, facts in order.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use holdfast_proto::v1::{
    self, AddressFamily, BgpAddPath, BgpNeighborConfig, Fact, PolicyOptions, RouterConfig, StreamBytes, fact::Kind,
};
use holdfast_rib::{Family, NexthopSpec, Rib, StaticRouteSpec};

use super::peer::Peer;
use crate::session::ConnectionSide;
use crate::speaker::{Action, ConnectionEnds, Kept, NeighborId, Speaker};
use crate::wire::{Capability, frame};

pub const LOCAL_AS: u32 = 65000;
pub const LOCAL: &str = "10.0.0.254";
pub const LOCAL_V6: &str = "2001:db8::fe";
pub const LOCAL_LINK: &str = "fe80::fe";

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// Speaker and RIB of one process.
pub struct Engine {
    pub speaker: Speaker,
    pub rib: Rib,
}

/// The connection of one neighbour.
pub(super) struct Connection {
    pub(super) peer: usize,
    pub(super) neighbor: NeighborId,
    pub(super) side: ConnectionSide,
    pub(super) established: bool,
    pub(super) input: Vec<u8>,
    pub(super) out: Vec<u8>,
    pub(super) consumed: u64,
    pub(super) sent: u64,
}

pub struct World {
    pub now: Duration,
    pub random: Random,
    pub peers: Vec<Peer>,
    pub engines: Vec<Engine>,
    pub primary: usize,
    pub config: RouterConfig,
    statics: Vec<StaticRouteSpec>,
    /// Of the static routes set next.
    pub tag: u32,
    /// Interfaces as they are, for engines to come.
    links: Rib,
    pub(super) connections: Vec<Connection>,
    /// Facts on their way to the follower.
    pub(super) stream: VecDeque<Fact>,
    /// Where the snapshot goes on.
    pub(super) cursor: Option<u64>,
    pub follows: bool,
    /// Prefixes per slice of a snapshot.
    pub slice: usize,
    /// A follower compares in every turn what is to be told with what was, and not only once it has caught up, as the daemon does unless that takes
    /// too long.
    pub settles_always: bool,
    /// Changes that forwarding was given by whoever led.
    pub fib_changes: u64,
    /// What operators were told.
    pub warnings: Vec<String>,
    /// Reasons of sessions that ended, and whether routes were kept.
    pub downs: Vec<(IpAddr, String, bool)>,
    /// What the log was told of attempts.
    pub reports: Vec<(IpAddr, String)>,
}

/// A neighbour's configuration with everything on.
pub fn neighbor_config(peer: &Peer) -> BgpNeighborConfig {
    let peer_as = peer.open.autonomous_system;
    let link_local = matches!(peer.address, IpAddr::V6(address) if address.is_unicast_link_local());
    let families = [AddressFamily::Ipv4Unicast, AddressFamily::Ipv6Unicast];
    let several = peer.open.capabilities.iter().any(|capability| matches!(capability, Capability::AddPath(_)));
    let add_path = |family| BgpAddPath { family, receive: true, send_path_count: 3 };
    BgpNeighborConfig {
        address: peer.address.to_string(),
        interface: if link_local { "eth0" } else { "" }.into(),
        peer_as,
        local_as: LOCAL_AS,
        internal: peer_as == LOCAL_AS,
        hold_time_s: 90,
        families: families.map(Into::into).to_vec(),
        graceful_restart_helper: true,
        nonstop_routing: true,
        restart_time_s: 120,
        stale_routes_time_s: 300,
        add_path: if several { families.map(|family| add_path(family.into())).to_vec() } else { Vec::new() },
        ..BgpNeighborConfig::default()
    }
}

impl World {
    /// A router whose neighbours are all up.
    pub fn new(peers: Vec<Peer>) -> World {
        let mut world = World::cold(peers);
        world.establish();
        world
    }

    /// The same before any session is up.
    pub fn cold(peers: Vec<Peer>) -> World {
        let config = RouterConfig {
            bgp: Some(v1::BgpConfig { neighbors: peers.iter().map(neighbor_config).collect(), ..Default::default() }),
            routing: Some(v1::RoutingConfig {
                router_id: "192.0.2.254".into(),
                autonomous_system: LOCAL_AS,
                maximum_paths: 1,
                ..Default::default()
            }),
            policy: Some(PolicyOptions::default()),
            ..RouterConfig::default()
        };
        let mut world = World {
            now: Duration::from_secs(1000),
            random: Random(1),
            peers,
            engines: Vec::new(),
            primary: 0,
            config,
            statics: Vec::new(),
            tag: 0,
            links: Rib::new(),
            connections: Vec::new(),
            stream: VecDeque::new(),
            cursor: None,
            follows: false,
            slice: 7,
            settles_always: false,
            warnings: Vec::new(),
            downs: Vec::new(),
            reports: Vec::new(),
            fib_changes: 0,
        };
        world.interface(|rib| {
            rib.interface_update(1, "eth0", true);
            rib.address_added(1, format!("{LOCAL}/24").parse().unwrap());
            rib.address_added(1, format!("{LOCAL_V6}/64").parse().unwrap());
        });
        world.add_engine(false);
        world
    }

    pub(super) fn add_engine(&mut self, following: bool) {
        self.engines.push(Engine { speaker: Speaker::new(following, 7), rib: self.links.clone() });
        let last = self.engines.len() - 1;
        self.apply(last);
    }

    fn apply(&mut self, index: usize) {
        let engine = &mut self.engines[index];
        engine.speaker.configure(&self.config, &mut engine.rib, self.now).unwrap();
        engine.rib.set_static(self.statics.clone());
    }

    /// Changes the configuration; follower first, as a commit does.
    pub fn configure(&mut self, change: impl FnOnce(&mut RouterConfig)) {
        self.put_in_force(change);
        self.run();
    }

    /// The same; nothing of what follows from it happens yet.
    pub fn put_in_force(&mut self, change: impl FnOnce(&mut RouterConfig)) {
        change(&mut self.config);
        if self.engines.len() == 2 {
            self.apply(1 - self.primary);
        }
        self.apply(self.primary);
    }

    /// Changes one neighbour's configuration.
    pub fn configure_neighbor(&mut self, peer: usize, change: impl FnOnce(&mut BgpNeighborConfig)) {
        let address = self.peers[peer].address.to_string();
        self.configure(|config| {
            let neighbors = &mut config.bgp.as_mut().unwrap().neighbors;
            change(neighbors.iter_mut().find(|neighbor| neighbor.address == address).unwrap());
        });
    }

    pub fn set_static(&mut self, routes: &[(&str, NexthopSpec)]) {
        let spec = |(prefix, spec): &(&str, NexthopSpec)| StaticRouteSpec {
            prefix: prefix.parse().unwrap(),
            spec: spec.clone(),
            preference: 5,
            tag: self.tag,
        };
        self.statics = routes.iter().map(spec).collect();
        for engine in &mut self.engines {
            engine.rib.set_static(self.statics.clone());
        }
        self.run();
    }

    /// Something happens to an interface; all engines hear of it.
    pub fn interface(&mut self, change: impl Fn(&mut Rib)) {
        change(&mut self.links);
        for engine in &mut self.engines {
            change(&mut engine.rib);
        }
    }

    pub fn primary(&self) -> &Engine {
        &self.engines[self.primary]
    }

    pub fn id(&self, peer: usize) -> NeighborId {
        self.primary().speaker.find_neighbor(self.peers[peer].address).unwrap()
    }

    /// Lets time pass until everybody who is not away is up and has said what it has to say.
    pub fn establish(&mut self) {
        for _ in 0..4000 {
            self.run();
            let up = |peer: usize| self.connections.iter().any(|c| c.peer == peer && c.established);
            if (0..self.peers.len()).all(|peer| self.peers[peer].away || up(peer)) {
                return;
            }
            self.advance(Duration::from_millis(100));
        }
        panic!("sessions do not come up: {:?}", self.downs);
    }

    pub fn advance(&mut self, by: Duration) {
        let until = self.now + by;
        let mut steps = 0;
        while self.now < until {
            let due = self.engines[self.primary].speaker.next_deadline().unwrap_or(until);
            self.now = due.max(self.now + Duration::from_millis(1)).min(until);
            steps += 1;
            if steps % 8 == 0 || self.now == until {
                for peer in self.peers.iter_mut().filter(|peer| peer.is_up()) {
                    peer.keepalive();
                }
            }
            self.run();
        }
    }

    /// Lets everything happen that needs no time.
    pub fn run(&mut self) {
        for _ in 0..200_000 {
            if !self.turn(usize::MAX) {
                return;
            }
        }
        panic!("no rest");
    }

    /// A few steps, at random sizes: something stays on its way.
    pub fn stagger(&mut self) {
        for _ in 0..self.random.below(4) {
            let facts = self.random.below(6) as usize;
            self.turn(facts);
        }
    }

    /// One turn of the daemon's loop; false when nothing was left to do. `facts`: how many the follower takes.
    pub(super) fn turn(&mut self, facts: usize) -> bool {
        let mut busy = self.read();
        let now = self.now;
        let Engine { speaker, rib } = &mut self.engines[self.primary];
        speaker.tick(rib, now);
        busy |= self.act();
        busy |= self.write();
        busy |= self.act();
        busy |= self.rib_turn(self.primary);
        if self.follows {
            busy |= self.snapshot();
            busy |= self.take_facts(facts);
            busy |= self.rib_turn(1 - self.primary);
            if self.stream.is_empty() || self.settles_always {
                let Engine { speaker, rib } = &mut self.engines[1 - self.primary];
                busy |= speaker.settle(rib);
            }
        }
        busy
    }

    fn rib_turn(&mut self, index: usize) -> bool {
        let Engine { speaker, rib } = &mut self.engines[index];
        let moved = rib.take_changed_nexthops();
        let mut busy = !moved.is_empty();
        if busy {
            speaker.nexthops_moved(moved);
        }
        busy |= speaker.follow_links(rib);
        let changed = rib.take_changed(64);
        if !changed.is_empty() {
            speaker.redistribute(&changed, rib);
            busy = true;
        }
        if speaker.has_background() {
            speaker.background(rib);
            busy = true;
        }
        let changes = rib.take_fib_changes(1024).len();
        if index == self.primary {
            self.fib_changes += changes as u64;
        }
        busy | (changes > 0)
    }

    fn read(&mut self) -> bool {
        let mut busy = false;
        for peer in 0..self.peers.len() {
            let out = std::mem::take(&mut self.peers[peer].out);
            if let Some(connection) = self.connections.iter_mut().find(|connection| connection.peer == peer) {
                connection.input.extend(out);
            }
            while let Some(at) = self.connections.iter().position(|c| c.peer == peer && !c.input.is_empty()) {
                busy = true;
                let connection = &mut self.connections[at];
                let length = if connection.established {
                    connection.input.len()
                } else {
                    frame(&connection.input).ok().flatten().map_or(connection.input.len(), |(length, _)| length)
                };
                let bytes: Vec<u8> = connection.input.drain(..length).collect();
                let (neighbor, side, offset) = (connection.neighbor, connection.side, connection.consumed);
                connection.consumed += bytes.len() as u64;
                let data = StreamBytes { offset, data: bytes.clone(), ..StreamBytes::default() };
                if connection.established
                    && let Some(fact) = self.primary().speaker.received_fact(neighbor, data)
                {
                    self.replicate(fact);
                }
                let now = self.now;
                let Engine { speaker, rib } = &mut self.engines[self.primary];
                speaker.receive(neighbor, side, &bytes, rib, now);
                self.act();
            }
        }
        busy
    }

    fn replicate(&mut self, fact: Fact) {
        if self.follows {
            self.stream.push_back(fact);
        }
    }

    fn write(&mut self) -> bool {
        let mut busy = false;
        for at in 0..self.connections.len() {
            let now = self.now;
            let connection = &mut self.connections[at];
            if connection.out.is_empty() && connection.established {
                let Engine { speaker, rib } = &mut self.engines[self.primary];
                speaker.fill_output(connection.neighbor, rib, &mut connection.out, now);
                // Work of which nothing came is work: the rest waits behind it.
                busy |= speaker.has_output(connection.neighbor);
            }
            let bytes = std::mem::take(&mut connection.out);
            if bytes.is_empty() {
                continue;
            }
            busy = true;
            let offset = connection.sent;
            connection.sent += bytes.len() as u64;
            let (neighbor, peer, established) = (connection.neighbor, connection.peer, connection.established);
            let sent = StreamBytes { offset, data: bytes.clone(), ..StreamBytes::default() };
            if established && let Some(fact) = self.primary().speaker.sent_fact(neighbor, sent) {
                self.replicate(fact);
            }
            self.peers[peer].hear(&bytes);
        }
        busy
    }

    pub(super) fn act(&mut self) -> bool {
        let mut busy = false;
        while let Some(action) = self.engines[self.primary].speaker.poll() {
            busy = true;
            match action {
                Action::Connect { neighbor, spec } => self.connect(neighbor, spec.remote.ip()),
                Action::Close { neighbor, side } => self.close(neighbor, side),
                Action::Send { neighbor, side, message } => {
                    if let Some(connection) = self.find(neighbor, side) {
                        connection.out.extend(message);
                    }
                }
                Action::Established { neighbor, side } => self.established(neighbor, side),
                Action::Down { neighbor, reason, kept } => {
                    let speaker = &self.primary().speaker;
                    let address = speaker.neighbor_address(neighbor).expect("who went down has a name");
                    let fact = speaker.session_down_fact(neighbor, &reason, kept, self.now);
                    self.downs.push((address, reason, kept != Kept::Nothing));
                    self.replicate(fact.expect("a fact"));
                }
                Action::Warn { text } => self.warnings.push(text),
                Action::HasOutput => {}
                Action::Report { neighbor, text } => {
                    let address = self.primary().speaker.neighbor_address(neighbor).expect("it has a name");
                    self.reports.push((address, text));
                }
                Action::Replicate(fact) => self.replicate(*fact),
            }
        }
        busy
    }

    fn find(&mut self, neighbor: NeighborId, side: ConnectionSide) -> Option<&mut Connection> {
        self.connections.iter_mut().find(|c| c.neighbor == neighbor && c.side == side)
    }

    fn connect(&mut self, neighbor: NeighborId, address: IpAddr) {
        let peer = self.peers.iter().position(|peer| peer.address == address && !peer.away);
        let now = self.now;
        let Engine { speaker, rib } = &mut self.engines[self.primary];
        let Some(peer) = peer else {
            speaker.tcp_failed(neighbor, "nobody there", rib, now);
            return;
        };
        assert!(!self.connections.iter().any(|c| c.peer == peer), "a second connection to {address}");
        self.connections.push(Connection {
            peer,
            neighbor,
            side: ConnectionSide::Opened,
            established: false,
            input: Vec::new(),
            out: Vec::new(),
            consumed: 0,
            sent: 0,
        });
        speaker.tcp_connected(neighbor, rib, now);
        self.peers[peer].connected();
    }

    fn close(&mut self, neighbor: NeighborId, side: ConnectionSide) {
        let Some(at) = self.connections.iter().position(|c| c.neighbor == neighbor && c.side == side) else { return };
        let connection = self.connections.remove(at);
        let peer = &mut self.peers[connection.peer];
        peer.hear(&connection.out);
        peer.disconnected();
    }

    fn established(&mut self, neighbor: NeighborId, side: ConnectionSide) {
        let now = self.now;
        let Some(connection) = self.find(neighbor, side) else { return };
        connection.established = true;
        let (consumed, sent, peer) = (connection.consumed, connection.sent, connection.peer);
        let local = match self.peers[peer].address {
            IpAddr::V4(_) => LOCAL,
            IpAddr::V6(address) if address.is_unicast_link_local() => LOCAL_LINK,
            IpAddr::V6(_) => LOCAL_V6,
        };
        let local: IpAddr = local.parse().unwrap();
        let remote = SocketAddr::new(self.peers[peer].address, 179);
        let ends = ConnectionEnds { local: SocketAddr::new(local, 40000), remote };
        let Engine { speaker, rib } = &mut self.engines[self.primary];
        speaker.established(neighbor, side, ends, 1, now, rib);
        speaker.set_deposited(neighbor, true);
        let fact = speaker.session_up_fact(neighbor, false);
        if let Some(mut fact) = fact {
            if let Some(Kind::Up(up)) = &mut fact.kind {
                (up.consumed, up.sent) = (consumed, sent);
                up.descriptor = "in the vault".into();
            }
            self.replicate(fact);
        }
    }

    /// The neighbour opens a connection. `Err`: why it is not taken.
    pub fn call(&mut self, peer: usize) -> Result<(), String> {
        let (now, address) = (self.now, self.peers[peer].address);
        let Engine { speaker, rib } = &mut self.engines[self.primary];
        let (neighbor, _) = speaker.tcp_accepted(address, rib, now).map_err(|rejection| rejection.reason)?;
        self.connections.push(Connection {
            peer,
            neighbor,
            side: ConnectionSide::Accepted,
            established: false,
            input: Vec::new(),
            out: Vec::new(),
            consumed: 0,
            sent: 0,
        });
        self.peers[peer].connected();
        self.run();
        Ok(())
    }

    /// The connection breaks without a word. What the neighbour said before is still read.
    pub fn cut(&mut self, peer: usize) {
        self.read();
        self.peers[peer].disconnected();
        let Some(at) = self.connections.iter().position(|c| c.peer == peer) else { return };
        let connection = self.connections.remove(at);
        let now = self.now;
        let Engine { speaker, rib } = &mut self.engines[self.primary];
        speaker.tcp_closed(connection.neighbor, connection.side, "reset", rib, now);
        self.act();
    }

    /// What came over the neighbour's connection is no message.
    pub fn garbage(&mut self, peer: usize, error: crate::wire::NotificationMessage) {
        let Some(connection) = self.connections.iter().find(|c| c.peer == peer) else { return };
        let (neighbor, side) = (connection.neighbor, connection.side);
        let now = self.now;
        let Engine { speaker, rib } = &mut self.engines[self.primary];
        speaker.fail(neighbor, side, error, rib, now);
        self.act();
    }

    /// The process that leads dies and is started again, told whose sessions were up. Nobody follows.
    pub fn crash(&mut self, interrupted: &[usize]) {
        assert_eq!(self.engines.len(), 1, "a follower would take over");
        self.peers.iter_mut().for_each(Peer::disconnected);
        self.connections.clear();
        let mut engine = Engine { speaker: Speaker::new(false, 8), rib: self.links.clone() };
        engine.speaker.recover(interrupted.iter().map(|peer| self.peers[*peer].address), self.now);
        self.engines[0] = engine;
        self.apply(0);
        self.run();
    }

    /// The neighbour ends the session with a NOTIFICATION.
    pub fn cease(&mut self, peer: usize) {
        self.notify(peer, &crate::wire::NotificationMessage::cease(crate::wire::Cease::AdministrativeShutdown));
    }

    /// The same with any NOTIFICATION.
    pub fn notify(&mut self, peer: usize, notification: &crate::wire::NotificationMessage) {
        self.peers[peer].out.extend(notification.encode());
        self.read();
        self.cut(peer);
    }

    /// UPDATEs that neighbours have heard.
    pub fn updates(&self) -> u64 {
        self.peers.iter().map(|peer| peer.updates).sum()
    }

    /// Attribute sets and prefixes in use by the primary, without its own origin and direct routes.
    pub fn held(&self, index: usize) -> (usize, usize) {
        let Engine { speaker, rib } = &self.engines[index];
        (speaker.attributes.len() - 1, Family::ALL.iter().map(|family| rib.prefixes(*family).len()).sum::<usize>() - 2)
    }

    /// What came is read; nothing is answered.
    pub fn read_only(&mut self) {
        self.read();
        self.act();
    }

    /// One turn of the daemon after a while, and no more.
    pub fn advance_slowly(&mut self, by: Duration) {
        self.now += by;
        self.turn(usize::MAX);
    }
}

/// What a test asks of policies.
pub fn policy(name: &str, terms: Vec<v1::PolicyTerm>) -> v1::PolicyStatement {
    v1::PolicyStatement { name: name.into(), terms }
}

/// One term.
pub fn term(from: v1::PolicyMatch, then: v1::PolicyActions) -> v1::PolicyTerm {
    v1::PolicyTerm { name: "t".into(), r#match: Some(from), actions: Some(then), to: None }
}

pub fn accept() -> v1::PolicyActions {
    v1::PolicyActions { disposition: v1::policy_actions::Disposition::Accept.into(), ..Default::default() }
}

pub fn reject() -> v1::PolicyActions {
    v1::PolicyActions { disposition: v1::policy_actions::Disposition::Reject.into(), ..Default::default() }
}

/// An IPv4 address.
pub fn v4(text: &str) -> IpAddr {
    IpAddr::V4(text.parse::<Ipv4Addr>().unwrap())
}
