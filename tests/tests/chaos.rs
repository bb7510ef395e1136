//! Neighbours that say anything: a live router is fed sound, damaged and senseless messages, from a seed, by many of them at
//! once. Its rpd goes on as the same process, the sessions of others do not notice, and their routes go on crossing it; and so
//! it is with the engine that has taken over in an in-service reboot.
//!
//! `CHAOS_SEED=7 CHAOS_NEIGHBORS=200 cargo test -p holdfast-tests --test chaos` says something else, for longer.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    ops::Range,
    time::{Duration, Instant},
};

use holdfast_lab::{
    bgp::message::{self, Attributes, HEADER_BYTES, Prefix},
    host::netns::{self, Namespace},
};
use holdfast_tests::{Place, wait_until};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use socket2::{Domain, Socket, Type};

const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const LENGTH: u8 = 16;
/// Two that behave.
const STEADY: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 0, 1, 1), Ipv4Addr::new(10, 0, 1, 2)];
const STEADY_AS: u32 = 65_001;
const CHAOTIC_AS: u32 = 65_002;
/// A change of theirs crosses the router in this time, whatever the others say; the machine is shared.
const CROSSES_WITHIN: Duration = Duration::from_secs(10);
const MESSAGES_PER_NEIGHBOR: usize = 200;
/// At once.
const TOGETHER: usize = 8;

fn from_environment(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn chaotic(number: usize) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 0, 2, 0)) + number as u32)
}

/// A speaker of a few lines.
struct Speaker {
    address: Ipv4Addr,
    autonomous_system: u32,
    stream: TcpStream,
    input: Vec<u8>,
    said: Instant,
}

impl Speaker {
    /// Connects, and says what begins a session.
    fn start(world: &Namespace, address: Ipv4Addr, autonomous_system: u32) -> Self {
        let connect = || {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
            socket.bind(&SocketAddr::from((address, 0)).into()).expect("its address");
            socket.connect_timeout(&SocketAddr::from((ROUTER, 179)).into(), Duration::from_secs(5))?;
            socket.set_read_timeout(Some(Duration::from_millis(20)))?;
            socket.set_write_timeout(Some(Duration::from_secs(5)))?;
            Ok::<TcpStream, std::io::Error>(socket.into())
        };
        let stream = world.inside(|| Ok(connect())).expect("the world").expect("the router listens");
        let mut speaker = Self { address, autonomous_system, stream, input: Vec::new(), said: Instant::now() };
        let mut out = Vec::new();
        message::open(&mut out, autonomous_system, 30, address);
        message::frame(&mut out, message::KEEPALIVE, &[]);
        assert!(speaker.say(&out), "{address}: closed at once");
        speaker
    }

    /// Whether the router still takes it.
    fn say(&mut self, bytes: &[u8]) -> bool {
        self.said = Instant::now();
        self.stream.write_all(bytes).is_ok()
    }

    /// Messages that have come; nothing when the router has ended the session.
    fn hear(&mut self) -> Option<Vec<Vec<u8>>> {
        let mut chunk = [0; 65_536];
        match self.stream.read(&mut chunk) {
            Ok(0) => return None,
            Ok(count) => self.input.extend_from_slice(&chunk[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return None,
        }
        let mut messages = Vec::new();
        while let Some(length) = message::message_length(&self.input).expect("the router speaks BGP") {
            if length > self.input.len() {
                break;
            }
            messages.push(self.input.drain(..length).collect());
        }
        Some(messages)
    }

    fn keep_alive(&mut self) {
        if self.said.elapsed() > Duration::from_secs(5) {
            let mut out = Vec::new();
            message::frame(&mut out, message::KEEPALIVE, &[]);
            assert!(self.say(&out), "{}: its session has ended", self.address);
        }
    }

    /// A route with a number that tells one change from the next.
    fn announce(&mut self, prefix: Prefix, number: u32) -> bool {
        let attributes =
            Attributes { path: vec![self.autonomous_system], communities: vec![number], ..Attributes::default() };
        let mut out = Vec::new();
        message::announce(&mut out, &message::attribute_block(&attributes, self.address), &[prefix]);
        self.say(&out)
    }

    /// Hears until a route with that number has come. Fails if the session ends.
    fn wait_for(&mut self, prefix: Prefix, number: u32) {
        let end = Instant::now() + CROSSES_WITHIN;
        let wanted = number.to_be_bytes();
        while Instant::now() < end {
            let messages = self.hear().unwrap_or_else(|| panic!("{}: the router has ended its session", self.address));
            for heard in messages {
                assert_ne!(heard[HEADER_BYTES - 1], message::NOTIFICATION, "{}: {heard:02x?}", self.address);
                if heard[HEADER_BYTES - 1] != message::UPDATE {
                    continue;
                }
                let [_, attributes, _] = message::sections(&heard[HEADER_BYTES..]).expect("an UPDATE");
                let update = message::parse_update(&heard[HEADER_BYTES..]).expect("an UPDATE");
                // COMMUNITIES (RFC 1997): flags, type 8, four octets.
                let carries = attributes.windows(7).any(|w| w[1..3] == [8, 4] && w[3..] == wanted);
                if carries && update.announced.contains(&prefix) {
                    return;
                }
            }
            self.keep_alive();
        }
        panic!("{}: change {number} of {prefix} has not come", self.address);
    }
}

/// Something to say: from sound to senseless.
fn anything(random: &mut SmallRng, from: Ipv4Addr) -> Vec<u8> {
    let mut out = Vec::new();
    match random.random_range(0..10) {
        0..=3 => sound_update(random, from, &mut out),
        4 | 5 => {
            // Damaged behind a header that is right: the judgement of RFC 7606.
            sound_update(random, from, &mut out);
            for _ in 0..random.random_range(1..4) {
                let at = random.random_range(HEADER_BYTES..out.len());
                out[at] = random.random();
            }
        }
        6 => {
            // An attribute of any type, flags and contents.
            let mut block =
                message::attribute_block(&Attributes { path: vec![CHAOTIC_AS], ..Attributes::default() }, from);
            let value: Vec<u8> = (0..random.random_range(0..40)).map(|_| random.random()).collect();
            block.extend_from_slice(&[random.random::<u8>() & 0xe0, random.random(), value.len() as u8]);
            block.extend_from_slice(&value);
            message::announce(&mut out, &block, &[prefix(random)]);
        }
        7 => message::frame(
            &mut out,
            message::ROUTE_REFRESH,
            &[0, random.random_range(0..3), random.random_range(0..4), 1],
        ),
        8 => {
            // Any body behind any type.
            let body: Vec<u8> = (0..random.random_range(0..200)).map(|_| random.random()).collect();
            message::frame(&mut out, random.random_range(1..=5), &body);
        }
        _ if random.random_bool(0.1) => {
            // No header at all.
            out.extend((0..random.random_range(1..300)).map(|_| random.random::<u8>()));
        }
        _ => message::frame(&mut out, message::KEEPALIVE, &[]),
    }
    out
}

fn prefix(random: &mut SmallRng) -> Prefix {
    Prefix::new(random.random_range(0x1400_0000..0x2400_0000), random.random_range(8..=32))
}

fn sound_update(random: &mut SmallRng, from: Ipv4Addr, out: &mut Vec<u8>) {
    let prefixes: Vec<Prefix> = (0..random.random_range(1..20)).map(|_| prefix(random)).collect();
    if random.random_bool(0.3) {
        return message::withdraw(out, &prefixes);
    }
    let attributes = Attributes {
        path: std::iter::once(CHAOTIC_AS).chain((0..random.random_range(0..6)).map(|_| random.random())).collect(),
        med: random.random_bool(0.5).then(|| random.random()),
        communities: (0..random.random_range(0..4)).map(|_| random.random()).collect(),
        large_communities: (0..random.random_range(0..3)).map(|_| random.random()).collect(),
        ..Attributes::default()
    };
    message::announce(out, &message::attribute_block(&attributes, from), &prefixes);
}

/// One neighbour's part: until the router has had enough of it, or it has nothing more to say. Whether its session was up.
fn misbehave(world: &Namespace, number: usize, seed: u64) -> bool {
    let mut random = SmallRng::seed_from_u64(seed.wrapping_add(number as u64));
    let mut speaker = Speaker::start(world, chaotic(number), CHAOTIC_AS);
    let mut up = false;
    let begun = Instant::now();
    while !up && begun.elapsed() < CROSSES_WITHIN {
        let Some(messages) = speaker.hear() else { return false };
        up = messages.iter().any(|heard| heard[HEADER_BYTES - 1] == message::KEEPALIVE);
    }
    for _ in 0..MESSAGES_PER_NEIGHBOR {
        let bytes = anything(&mut random, speaker.address);
        // Now and then it falls silent in the middle of a message.
        let end = if random.random_bool(0.005) { random.random_range(0..=bytes.len()) } else { bytes.len() };
        if !speaker.say(&bytes[..end]) || end < bytes.len() {
            break;
        }
        if random.random_bool(0.1) && speaker.hear().is_none() {
            break;
        }
    }
    up
}

fn configuration(neighbors: usize) -> String {
    let list = |addresses: &mut dyn Iterator<Item = Ipv4Addr>| {
        addresses.map(|address| format!("            neighbor {address};\n")).collect::<String>()
    };
    format!(
        "system {{ host-name chaos; }}
chassis {{ redundancy {{ graceful-switchover; }} in-service {{ minimum-spacing 0; }} }}
routing-options {{ router-id {ROUTER}; autonomous-system 65000; nonstop-routing; }}
protocols {{
    bgp {{
        group steady {{
            type external;
            peer-as {STEADY_AS};
            passive;
            export STEADY;
{}        }}
        group chaotic {{
            type external;
            peer-as {CHAOTIC_AS};
            passive;
{}        }}
    }}
}}
policy-options {{ policy-statement STEADY {{ term all {{ then accept; }} }} }}
",
        list(&mut STEADY.into_iter()),
        list(&mut (0..neighbors).map(chaotic)),
    )
}

fn world(place: &Place, neighbors: usize) -> Namespace {
    let world = Namespace::create(&place.id.namespace("world")).expect("a namespace for the neighbours");
    let with_length = |address: Ipv4Addr| format!("{address}/{LENGTH}");
    let (inside, outside) = (with_length(ROUTER), with_length(STEADY[0]));
    netns::link((&place.namespace, "world", &inside), (&world, "router", &outside)).expect("a link");
    let others = STEADY.into_iter().skip(1).chain((0..neighbors).map(chaotic));
    let lines: String = others.map(|a| format!("address add {} dev router\n", with_length(a))).collect();
    world.ip_batch(&lines).expect("addresses of the neighbours");
    world
}

fn rpd(place: &Place) -> Vec<u32> {
    place.processes().into_iter().filter(|(_, line)| line.contains("rpd ")).map(|(pid, _)| pid).collect()
}

/// Two that behave, and what they tell each other across the router.
struct Steady {
    teller: Speaker,
    listener: Speaker,
    beacon: Prefix,
    changes: u32,
    seed: u64,
}

impl Steady {
    fn start(world: &Namespace, seed: u64) -> Self {
        let [teller, listener] = STEADY.map(|address| Speaker::start(world, address, STEADY_AS));
        let beacon = Prefix::new(u32::from(Ipv4Addr::new(203, 0, 113, 0)), 24);
        Self { teller, listener, beacon, changes: 0, seed }
    }

    /// A change crosses the router.
    fn cross(&mut self) {
        self.changes += 1;
        let seed = self.seed;
        assert!(self.teller.announce(self.beacon, self.changes), "seed {seed}: the session of {} has ended", STEADY[0]);
        self.listener.wait_for(self.beacon, self.changes);
        self.teller.hear().unwrap_or_else(|| panic!("seed {seed}: the session of {} has ended", STEADY[0]));
    }
}

/// Some neighbours say anything, a few at once, while changes cross the router. Returns how many came to say something.
fn chaos(world: &Namespace, numbers: Range<usize>, steady: &mut Steady) -> usize {
    let (seed, mut were_up) = (steady.seed, 0);
    for first in numbers.clone().step_by(TOGETHER) {
        std::thread::scope(|scope| {
            let many: Vec<_> = (first..numbers.end.min(first + TOGETHER))
                .map(|number| scope.spawn(move || misbehave(world, number, seed)))
                .collect();
            (0..3).for_each(|_| steady.cross());
            were_up += many.into_iter().map(|thread| thread.join().expect("a neighbour")).filter(|up| *up).count();
        });
    }
    steady.cross();
    were_up
}

#[test]
fn neighbors_that_say_anything_harm_nobody_else() {
    let (seed, neighbors) = (from_environment("CHAOS_SEED", 1), from_environment("CHAOS_NEIGHBORS", 48) as usize);
    let place = Place::new();
    let world = world(&place, neighbors);
    let file = place.file("router.conf", &configuration(neighbors));
    place.start(&file).assert_succeeded();
    let mut steady = Steady::start(&world, seed);
    let mut were_up = 0;
    for numbers in [0..neighbors / 2, neighbors / 2..neighbors] {
        let before = rpd(&place);
        assert_eq!(before.len(), 1, "{:?}", place.processes());
        were_up += chaos(&world, numbers.clone(), &mut steady);
        assert_eq!(rpd(&place), before, "seed {seed}: another rpd, or none");
        if numbers.end < neighbors {
            std::thread::scope(|scope| {
                let reboot = scope.spawn(|| place.reboot_in_service());
                while !reboot.is_finished() {
                    steady.cross();
                }
                reboot.join().expect("an in-service reboot");
            });
            assert_ne!(rpd(&place), before, "seed {seed}: it has not rebooted");
        }
    }
    assert!(were_up * 2 > neighbors, "seed {seed}: only {were_up} of {neighbors} came to say anything");
    let summary = place.cli("show bgp summary");
    summary.assert_succeeded();
    // Not one flap of those that behave.
    for address in STEADY {
        let line = summary.text.lines().find(|line| line.starts_with(&format!("{address} "))).expect("its line");
        assert_eq!(line.split_whitespace().nth(4), Some("0"), "seed {seed}: {line}");
    }
    let quiet = wait_until(Duration::from_secs(10), || place.cli("show system alarms").text.contains("No alarms"));
    assert!(quiet, "seed {seed}: {}", place.cli("show system alarms").text);
}
