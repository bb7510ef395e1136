//! Two sessions over a network that loses, delays and repeats, with processes that are stopped for a while, handed over and
//! killed, and operators that change intervals; from one seed.
//!
//! In the first part anything happens: the two may be wrong about each other, but never for longer than a detection time says. In the
//! second part only what must not be noticed happens (delays below the detection time, hand-overs, kills, other intervals): both must
//! come Up and stay so.

use super::machine_tests::config;
use super::*;
use crate::wire::{Authentication, ControlPacket, Key, State};
use std::collections::BTreeMap;
use std::time::Duration;

const CHAOS_END: Duration = Duration::from_secs(60);
const SETTLED: Duration = Duration::from_secs(70);
const END: Duration = Duration::from_secs(120);

struct Dice(super::timing::Random);

impl Dice {
    fn below(&mut self, n: u32) -> u32 {
        self.0.next() % n
    }

    fn one_in(&mut self, n: u32) -> bool {
        self.below(n) == 0
    }
}

struct Node {
    session: Session,
    /// Not scheduled until then; what arrives waits.
    stopped_until: Duration,
    waiting: Vec<Vec<u8>>,
    changes: Vec<(Duration, Change)>,
}

struct World {
    now: Duration,
    dice: Dice,
    nodes: [Node; 2],
    on_the_way: BTreeMap<(Duration, u64), (usize, Vec<u8>)>,
    serial: u64,
}

fn config_of(dice: &mut Dice, signed: bool) -> SessionConfig {
    let authentication = Authentication { meticulous: true, key_id: 3, key: Key::new(b"simulated").unwrap() };
    SessionConfig {
        minimum_transmit_us: [50_000, 100_000, 200_000, 400_000][dice.below(4) as usize],
        minimum_receive_us: [50_000, 100_000, 200_000, 400_000][dice.below(4) as usize],
        multiplier: 3 + dice.below(3) as u8,
        authentication: signed.then_some(authentication),
        ..config()
    }
}

impl World {
    fn new(seed: u64) -> World {
        let mut dice = Dice(super::timing::Random(seed));
        let signed = dice.one_in(2);
        let nodes = [0, 1].map(|index| {
            let session =
                Session::new(config_of(&mut dice, signed), 100 + index, seed + u64::from(index), Duration::ZERO);
            Node { session, stopped_until: Duration::ZERO, waiting: Vec::new(), changes: Vec::new() }
        });
        World { now: Duration::ZERO, dice, nodes, on_the_way: BTreeMap::new(), serial: 0 }
    }

    fn chaos(&self) -> bool {
        self.now < CHAOS_END
    }

    fn send(&mut self, from: usize, octets: &[u8]) {
        if self.chaos() && self.dice.one_in(4) {
            return;
        }
        let copies = if self.chaos() && self.dice.one_in(20) { 2 } else { 1 };
        for _ in 0..copies {
            let delay =
                if self.chaos() && self.dice.one_in(10) { self.dice.below(600) } else { 1 + self.dice.below(4) };
            self.serial += 1;
            let at = self.now + Duration::from_millis(u64::from(delay));
            self.on_the_way.insert((at, self.serial), (1 - from, octets.to_vec()));
        }
    }

    /// What a daemon does: what has arrived first, then what is due.
    fn act(&mut self, index: usize) {
        if self.now < self.nodes[index].stopped_until {
            return;
        }
        for octets in std::mem::take(&mut self.nodes[index].waiting) {
            let packet = ControlPacket::decode(&octets).unwrap();
            let _ = self.nodes[index].session.receive(&packet, &octets, self.now);
            self.poll(index);
        }
        self.poll(index);
    }

    fn poll(&mut self, index: usize) {
        for count in 0.. {
            assert!(count < 8, "no end of outputs");
            match self.nodes[index].session.poll(self.now) {
                None => break,
                Some(Output::Send { datagram, .. }) => self.send(index, datagram.octets()),
                Some(Output::Changed(change)) => self.nodes[index].changes.push((self.now, change)),
                Some(Output::Left) => panic!("a session alone does not leave"),
            }
        }
    }

    fn disturb(&mut self) {
        let index = self.dice.below(2) as usize;
        let chaos = self.chaos();
        match self.dice.below(4) {
            0 => {
                // Stopped: for so short a time that nobody may notice, or for long.
                let most = if chaos { 2_000 } else { 90 };
                let pause = Duration::from_millis(u64::from(self.dice.below(most)));
                self.nodes[index].stopped_until = self.now + pause;
            }
            1 => {
                let signed = self.nodes[index].session.config().authentication.is_some();
                let config = config_of(&mut self.dice, signed);
                self.nodes[index].session.configure(config, self.now);
            }
            kind => {
                let mut record = [0; SESSION_RECORD_LEN];
                self.nodes[index].session.write(&mut record);
                let inheritance = if kind == 2 { Inheritance::HandedOver } else { Inheritance::Found };
                if inheritance == Inheritance::Found {
                    // Sent and not noted; the sockets are gone with what was in them.
                    self.act(index);
                    self.nodes[index].waiting.clear();
                    self.nodes[index].stopped_until = self.now + Duration::from_millis(u64::from(self.dice.below(40)));
                }
                let resumed = self.now.max(self.nodes[index].stopped_until);
                let successor = Session::read(&record, inheritance, resumed).unwrap();
                self.nodes[index].session = successor;
            }
        }
    }

    fn run_until(&mut self, end: Duration) {
        let mut disturbance = self.now;
        while self.now < end {
            if disturbance <= self.now {
                self.disturb();
                disturbance = self.now + Duration::from_millis(u64::from(500 + self.dice.below(3_000)));
            }
            for index in [0, 1] {
                self.act(index);
            }
            let wake = |node: &Node| node.session.next_deadline().map(|deadline| deadline.max(node.stopped_until));
            let arrival = self.on_the_way.first_key_value().map(|((at, _), _)| *at);
            let pending =
                self.nodes.iter().filter(|node| !node.waiting.is_empty()).map(|node| node.stopped_until).min();
            let timers = self.nodes.iter().filter_map(wake).chain(arrival).chain(pending).chain([disturbance, end]);
            let soonest = timers.min().unwrap_or(end);
            self.now = self.now.max(soonest);
            while let Some(entry) = self.on_the_way.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let (to, octets) = entry.remove();
                self.nodes[to].waiting.push(octets);
            }
        }
    }
}

#[test]
fn two_sessions_find_each_other_and_nothing_that_is_done_to_us_is_noticed() {
    for seed in 0..150 {
        let mut world = World::new(seed);
        world.run_until(SETTLED);
        for node in &world.nodes {
            assert_eq!(node.session.state(), State::Up, "seed {seed}: {:?}", node.session);
        }
        world.nodes.iter_mut().for_each(|node| node.changes.clear());
        world.run_until(END);
        for node in &world.nodes {
            assert!(node.changes.is_empty(), "seed {seed}: {:?}", node.changes);
            assert!(node.session.statistics().longest_silence < Duration::from_secs(4));
        }
    }
}

/// The same world, when one of the two falls silent for good, finds out within a detection time.
#[test]
fn a_neighbor_that_dies_is_noticed_in_time() {
    for seed in 0..60 {
        let mut world = World::new(seed);
        world.run_until(SETTLED);
        let (died, detection) = (world.now, world.nodes[0].session.detection_time().unwrap());
        world.nodes[1].stopped_until = Duration::MAX;
        world.nodes[0].changes.clear();
        while world.nodes[0].changes.is_empty() {
            assert!(world.now < died + detection + Duration::from_millis(10), "seed {seed}");
            let end = world.now + Duration::from_millis(1);
            // No disturbance here: only time.
            while let Some(entry) = world.on_the_way.first_entry().filter(|entry| entry.key().0 <= end) {
                let (to, octets) = entry.remove();
                world.nodes[to].waiting.push(octets);
            }
            world.now = end;
            world.act(0);
        }
    }
}
