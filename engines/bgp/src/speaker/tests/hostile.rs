//! A neighbour that says anything: what is right, what is damaged, what is no BGP. It may lose its own session by that. It must
//! not take down the speaker, end or mislead another session, leave anything behind, or make a follower hold something else.

use super::peer::{Heard, Peer};
use super::selection::{prefix, random_attributes};
use super::world::{LOCAL_AS, Random, World};
use crate::wire::{
    Family, Format, HEADER_LEN, MAX_MESSAGE_LEN, NotificationMessage, encode_announce, encode_end_of_rib,
    encode_keepalive, encode_route_refresh, encode_withdraw, frame,
};

const SEEDS: u64 = 15;
const STEPS: usize = 60;
/// Who says anything; all others behave.
const HOSTILE: usize = 0;

/// The hostile one is external, internal, or knows AS numbers of two octets only.
fn peers(seed: u64) -> Vec<Peer> {
    let hostile = match seed % 3 {
        0 => Peer::new(1, 65001),
        1 => Peer::new(1, LOCAL_AS),
        _ => Peer::new(1, 65001).old(),
    };
    vec![hostile, Peer::new(2, 65002), Peer::new(3, 65003), Peer::new(4, LOCAL_AS)]
}

/// A router whose other neighbours have told each other something, and a second engine that follows.
fn world(seed: u64) -> World {
    let mut world = World::new(peers(seed));
    for peer in 1..world.peers.len() {
        let attributes = world.peers[peer].attributes(&[65001 + peer as u32]);
        let prefixes = [format!("203.0.{peer}.0/24"), format!("2001:db8:ff0{peer}::/48")];
        world.peers[peer].announce(&prefixes.each_ref().map(String::as_str), &attributes);
    }
    world.run();
    world.join();
    world.run();
    world
}

/// One message as it should be.
fn sound(random: &mut Random, peer: &Peer) -> Vec<u8> {
    let mut wire = Vec::new();
    let net = prefix(random.below(30)).parse().expect("a prefix");
    let family = Family::ALL[random.below(2) as usize];
    match random.below(20) {
        0..11 => {
            let attributes = random_attributes(random, peer).encode();
            let (family, format) = (Family::of(&net), Format::plain(peer.open.four_octet_as()));
            encode_announce(&mut wire, family, &attributes, peer.next_hop(family), &[net], format).expect("it fits");
        }
        11..14 => drop(encode_withdraw(&mut wire, Family::of(&net), &[net], Format::plain(true))),
        14 => encode_end_of_rib(&mut wire, family),
        15 => encode_route_refresh(&mut wire, family),
        16 => wire = peer.open.encode(),
        17 => wire = NotificationMessage::hold_timer_expired().encode(),
        _ => encode_keepalive(&mut wire),
    }
    wire
}

/// The same with something wrong in it; in most cases the header still counts its octets.
fn damaged(random: &mut Random, mut wire: Vec<u8>) -> Vec<u8> {
    for _ in 0..=random.below(3) {
        let at =
            HEADER_LEN.min(wire.len()) + random.below((wire.len() - HEADER_LEN.min(wire.len())) as u64 + 1) as usize;
        let octet = [0, 1, 0x40, 0x80, 0xff, random.next() as u8][random.below(6) as usize];
        match random.below(6) {
            0 => wire.truncate(at),
            1 => wire.insert(at, octet),
            2 => wire.extend((0..random.below(40)).map(|_| octet)),
            3 => {
                let again: Vec<u8> = wire[at..].iter().copied().take(24).collect();
                wire.splice(at..at, again);
            }
            _ if at < wire.len() => wire[at] = octet,
            _ => {}
        }
    }
    if random.below(12) > 0 {
        measure(&mut wire);
    } else if let Some(octet) = wire.get_mut(random.below(HEADER_LEN as u64) as usize) {
        *octet = random.next() as u8;
    }
    wire
}

/// A header, and anything behind it.
fn noise(random: &mut Random) -> Vec<u8> {
    let mut wire = vec![0xff; HEADER_LEN];
    wire[18] = random.below(7) as u8;
    wire.extend((0..random.below(90)).map(|_| random.next() as u8 >> random.below(8)));
    measure(&mut wire);
    wire
}

/// Writes the length into the header.
fn measure(wire: &mut Vec<u8>) {
    wire.resize(wire.len().clamp(HEADER_LEN, MAX_MESSAGE_LEN), 0);
    let length = wire.len() as u16;
    wire[16..18].copy_from_slice(&length.to_be_bytes());
}

/// Says one thing, as the daemon would pass it on: whole messages, or that what came is none.
fn say(world: &mut World, random: &mut Random) {
    let sound = sound(random, &world.peers[HOSTILE]);
    let wire = match random.below(10) {
        0..4 => sound,
        4..9 => damaged(random, sound),
        _ => noise(random),
    };
    match frame(&wire) {
        Ok(Some((length, _))) => world.peers[HOSTILE].out.extend_from_slice(&wire[..length]),
        Ok(None) => {} // the daemon waits for the rest
        Err(error) => world.garbage(HOSTILE, error),
    }
    world.run();
}

/// What the others heard of each other.
fn heard(world: &World) -> Vec<Vec<(String, Heard)>> {
    let of = |peer: &Peer| {
        let theirs = |net: &ipnet::IpNet| net.to_string().starts_with("203.0.") || net.to_string().contains(":ff0");
        peer.table.iter().filter(|(net, _)| theirs(net)).map(|(net, heard)| (net.to_string(), heard.clone())).collect()
    };
    world.peers[1..].iter().map(of).collect()
}

/// One life; how often the hostile neighbour lost its session, and the most that the others ever heard of it.
fn live(seed: u64) -> (usize, usize) {
    let mut random = Random(seed);
    let mut world = world(seed);
    let (before, held, sessions) = (heard(&world), world.held(world.primary), world.peers[1].sessions);
    let mut most = 0;
    for step in 0..STEPS {
        if !world.peers[HOSTILE].is_up() {
            world.establish();
        }
        say(&mut world, &mut random);
        let others_fell = world.downs.iter().find(|(address, ..)| *address != world.peers[HOSTILE].address);
        assert_eq!(others_fell, None, "seed {seed} step {step}");
        assert_eq!(heard(&world), before, "seed {seed} step {step}");
        most = most.max(world.peers[1].table.len());
        if step % 10 == 0 {
            world.assert_equal(&format!("seed {seed} step {step}"));
        }
    }
    world.peers[HOSTILE].away = true;
    world.cut(HOSTILE);
    world.run();
    assert_eq!(world.peers.iter().skip(1).map(|peer| peer.sessions).max(), Some(sessions), "seed {seed}");
    assert_eq!(heard(&world), before, "seed {seed} at the end");
    assert!(world.peers[1..].iter().all(|peer| peer.table.len() == before[1].len()), "seed {seed}: something stayed");
    assert_eq!(world.held(world.primary), held, "seed {seed}: something is held");
    world.assert_equal(&format!("seed {seed} at the end"));
    (world.downs.len(), most)
}

#[test]
fn a_neighbor_that_says_anything_harms_nobody_else() {
    let lives: Vec<(usize, usize)> = (0..SEEDS).map(live).collect();
    let ended: usize = lives.iter().map(|(ended, _)| ended).sum();
    let most = lives.iter().map(|(_, most)| *most).max().unwrap_or_default();
    let before = 2 * (peers(0).len() - 2); // what the others tell each other
    println!("seeds 0 to {SEEDS}: {ended} sessions ended, at most {most} routes heard at once");
    assert!(ended > SEEDS as usize && most > before, "it was harmless: {ended} sessions ended, {most} routes");
}
