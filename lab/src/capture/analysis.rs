//! What a capture says about one neighbour's session, between two times.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufReader, Read},
    net::{IpAddr, SocketAddr},
    path::Path,
};

use super::{
    pcap::{Reader, Segment, flags},
    stream::{Record, Stream, WireMessage},
    tcpdump::Capture,
};
use crate::{
    bgp::message,
    error::{Doing, Result},
    time::Window,
};

/// What was on the wire in a window of time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WireReport {
    /// Segments with SYN, either way.
    pub syns: u64,
    /// Segments with RST.
    pub resets: u64,
    /// Segments with FIN.
    pub fins: u64,
    /// OPEN messages.
    pub opens: u64,
    /// NOTIFICATION messages.
    pub notifications: u64,
    /// UPDATEs from the router equal to the one before.
    pub repeated_updates: u64,
    /// What the neighbour said, in all of its sessions.
    pub neighbor: Said,
    /// What the router said.
    pub router: Said,
    /// The longest time in which the router said nothing in one of the neighbour's sessions.
    pub longest_silence_ms: f64,
    /// Missing, altered or surplus bytes.
    pub faults: Vec<String>,
}

/// What one side said, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Said {
    /// UPDATEs.
    pub updates: u64,
    /// Requests for all routes again (RFC 2918).
    pub requests: u64,
    /// Marks of where all routes begin to come again (RFC 7313, BoRR).
    pub refresh_begins: u64,
    /// Marks of where they end (EoRR).
    pub refresh_ends: u64,
}

impl Said {
    fn count(&mut self, message: &WireMessage) {
        self.updates += u64::from(message.kind == message::UPDATE);
        if message.kind == message::ROUTE_REFRESH {
            match message.body.get(message::REFRESH_SUBTYPE_AT) {
                Some(&message::REFRESH_BEGINS) => self.refresh_begins += 1,
                Some(&message::REFRESH_ENDS) => self.refresh_ends += 1,
                _ => self.requests += 1,
            }
        }
    }
}

/// A whole capture in memory, ready to be asked about windows.
#[derive(Debug, Default)]
pub struct Wire {
    /// The router's addresses on the link, and when it spoke from each.
    spoken_ns: HashMap<IpAddr, Vec<u64>>,
    flagged: Vec<(u64, u8)>,
    streams: HashMap<(SocketAddr, SocketAddr), Vec<Stream>>,
    neighbor: Side,
    router: Side,
    recording: bool,
}

/// How one side's segments looked, from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Side {
    /// Segments with data and without a signature (RFC 2385).
    pub unsigned: u64,
    /// The least TTL of a segment with data, as it arrived; 255 where there was none.
    pub ttl_least: u8,
    /// Connections that it began.
    pub calls: u64,
}

impl Default for Side {
    fn default() -> Self {
        Self { unsigned: 0, ttl_least: u8::MAX, calls: 0 }
    }
}

impl Side {
    fn count(&mut self, segment: &Segment) {
        self.calls += u64::from(segment.flags & (flags::SYN | flags::ACK) == flags::SYN);
        if !segment.payload.is_empty() {
            self.unsigned += u64::from(!segment.signed);
            self.ttl_least = self.ttl_least.min(segment.ttl);
        }
    }
}

/// What one neighbour and the router said to each other in their only session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    /// The neighbour.
    pub neighbor: Record,
    /// The router.
    pub router: Record,
}

impl Wire {
    /// Ends a capture and reads it; if it missed something, says so. `routers` are the router's addresses in sessions over this
    /// link. `recording`: what was said is kept.
    pub fn stop_and_read(capture: Capture, routers: &[IpAddr], recording: bool) -> std::result::Result<Self, String> {
        match capture.stop() {
            (file, Some(0)) => Self::read_file(&file, routers, recording).map_err(|error| error.to_string()),
            (_, Some(count)) => Err(format!("tcpdump missed {count} packets")),
            (_, None) => Err("tcpdump did not say whether it missed packets".to_owned()),
        }
    }

    fn read_file(path: &Path, routers: &[IpAddr], recording: bool) -> Result<Self> {
        let file = File::open(path).doing(|| format!("open {}", path.display()))?;
        Self::read(BufReader::new(file), routers, recording)
    }

    fn read(input: impl Read, routers: &[IpAddr], recording: bool) -> Result<Self> {
        let mut reader = Reader::new(input)?;
        let spoken_ns = routers.iter().map(|address| (*address, Vec::new())).collect();
        let mut wire = Self { spoken_ns, recording, ..Self::default() };
        while let Some(segment) = reader.next_segment()? {
            wire.push(&segment);
        }
        wire.streams.values_mut().flatten().for_each(Stream::finish);
        Ok(wire)
    }

    fn push(&mut self, segment: &Segment) {
        let interesting = segment.flags & (flags::SYN | flags::RST | flags::FIN);
        if interesting != 0 {
            self.flagged.push((segment.at_ns, interesting));
        }
        if let Some(spoken) = self.spoken_ns.get_mut(&segment.from.ip()).filter(|_| !segment.payload.is_empty()) {
            spoken.push(segment.at_ns);
        }
        let is_router = self.is_router(&segment.from);
        if is_router { &mut self.router } else { &mut self.neighbor }.count(segment);
        let streams = self.streams.entry((segment.from, segment.to)).or_default();
        // The same pair of ports may be used again: a SYN begins another stream.
        if segment.flags & flags::SYN != 0 || streams.is_empty() {
            streams.push(if self.recording { Stream::recording() } else { Stream::default() });
        }
        if let Some(stream) = streams.last_mut() {
            stream.push(segment);
        }
    }

    /// The session's whole conversation. There must have been one session only, captured from its beginning.
    pub fn conversation(&self) -> std::result::Result<Conversation, String> {
        let side = |of_router: bool| {
            let spoken = |((from, _), streams): (&(SocketAddr, _), &Vec<Stream>)| {
                self.is_router(from) == of_router && streams.iter().any(is_session)
            };
            let mut found = self.streams.iter().filter(|entry| spoken(*entry)).flat_map(|(_, streams)| streams);
            match (found.next().and_then(Stream::record), found.next()) {
                (Some(record), None) => Ok(record.clone()),
                (None, _) => Err("no session was captured from its beginning".to_owned()),
                (_, Some(_)) => Err("more than one session was captured".to_owned()),
            }
        };
        Ok(Conversation { neighbor: side(false)?, router: side(true)? })
    }

    /// What was on the wire in a window.
    pub fn report(&self, window: Window) -> WireReport {
        let (from, to) = (window.from.real_ns, window.to.real_ns);
        let within = |at: u64| (from..=to).contains(&at);
        let flag = |wanted: u8| self.flagged.iter().filter(|(at, f)| within(*at) && f & wanted != 0).count() as u64;
        let (syns, resets, fins) = (flag(flags::SYN), flag(flags::RST), flag(flags::FIN));
        let mut report = WireReport {
            syns,
            resets,
            fins,
            longest_silence_ms: self.spoken_ns.values().map(|at| longest_silence_ms(at, from, to)).fold(0.0, f64::max),
            ..WireReport::default()
        };
        for ((sender, receiver), streams) in &self.streams {
            for stream in streams {
                let faults = stream.faults.iter().filter(|fault| within(fault.at_ns));
                report.faults.extend(faults.map(|fault| format!("{sender} to {receiver}: {}", fault.what)));
                for message in stream.messages.iter().filter(|m| within(m.at_ns)) {
                    report.opens += u64::from(message.kind == message::OPEN);
                    report.notifications += u64::from(message.kind == message::NOTIFICATION);
                    if self.is_router(sender) {
                        report.router.count(message);
                        report.repeated_updates += u64::from(message.repeats_update);
                    } else {
                        report.neighbor.count(message);
                    }
                }
            }
        }
        report.faults.sort();
        report.faults.dedup();
        report
    }

    /// How the router's, or the neighbour's, segments looked.
    pub fn side(&self, router: bool) -> Side {
        if router { self.router } else { self.neighbor }
    }

    /// What was said in every OPEN of a side, behind its header.
    pub fn opens(&self, router: bool) -> impl Iterator<Item = &[u8]> {
        self.messages(router).filter(|message| message.kind == message::OPEN).map(|message| &*message.body)
    }

    /// The length of a side's longest message.
    pub fn longest_bytes(&self, router: bool) -> u16 {
        self.messages(router).map(|message| message.bytes).max().unwrap_or(0)
    }

    fn messages(&self, router: bool) -> impl Iterator<Item = &WireMessage> {
        let of_side = self.streams.iter().filter(move |((from, _), _)| self.is_router(from) == router);
        of_side.flat_map(|(_, streams)| streams).flat_map(|stream| &stream.messages)
    }

    fn is_router(&self, end: &SocketAddr) -> bool {
        self.spoken_ns.contains_key(&end.ip())
    }
}

/// The longest pause of which a part at least lies in the window.
fn longest_silence_ms(spoken_ns: &[u64], from: u64, to: u64) -> f64 {
    let before = spoken_ns.iter().copied().filter(|&at| at < from).max().unwrap_or(from);
    let after = spoken_ns.iter().copied().find(|&at| at > to).unwrap_or(to);
    let mut times: Vec<u64> = vec![before];
    times.extend(spoken_ns.iter().copied().filter(|at| (from..=to).contains(at)));
    times.push(after);
    let longest = times.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).max().unwrap_or(0);
    (longest as f64 / 10_000.0).round() / 100.0
}

/// More than a connection that was given up in favour of another one (RFC 4271 §6.8).
fn is_session(stream: &Stream) -> bool {
    stream.record().is_some_and(|record| !record.open.is_empty())
        && stream.messages.iter().filter(|message| message.kind == message::KEEPALIVE).count() > 1
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::{capture::pcap::tests::capture, time::Moment};

    const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const ROUTER: IpAddr = IpAddr::V4(ADDRESS);

    fn segment(at_ms: u64, from_router: bool, sequence: u32, flags: u8, payload: Vec<u8>) -> Segment {
        let (router, peer) = ("10.0.0.1:179".parse().unwrap(), "10.0.0.2:4000".parse().unwrap());
        let (from, to) = if from_router { (router, peer) } else { (peer, router) };
        Segment {
            at_ns: at_ms * 1_000_000,
            from,
            to,
            ttl: 64,
            signed: false,
            sequence,
            flags,
            payload,
            truncated_bytes: 0,
        }
    }

    fn window(from_ms: u64, to_ms: u64) -> Window {
        let at = |ms: u64| Moment { mono_ns: 0, real_ns: ms * 1_000_000 };
        Window { from: at(from_ms), to: at(to_ms) }
    }

    #[test]
    fn opens_flags_and_silence_are_counted_in_the_window_only() {
        let mut open = Vec::new();
        message::open(&mut open, 65_000, 9, ADDRESS);
        let mut keepalive = Vec::new();
        message::frame(&mut keepalive, message::KEEPALIVE, &[]);
        let after_open = 1 + u32::try_from(open.len()).unwrap();
        let segments = [
            segment(0, false, 0, flags::SYN, vec![]),
            segment(1, true, 0, flags::SYN, vec![]),
            segment(2, true, 1, 0x18, open),
            segment(1000, true, after_open, 0x18, keepalive.clone()),
            segment(4000, true, after_open + 19, 0x18, keepalive.clone()),
            segment(4500, true, after_open + 38, 0x18, keepalive),
            segment(9000, true, after_open + 57, flags::RST, vec![]),
        ];
        let wire = Wire::read(&capture(&segments)[..], &[ROUTER], false).unwrap();
        let start = wire.report(window(0, 500));
        assert_eq!((start.syns, start.opens, start.resets, start.faults.len()), (2, 1, 0, 0));
        let run = wire.report(window(3000, 5000));
        assert_eq!((run.syns, run.opens, run.resets), (0, 0, 0));
        assert_eq!(run.longest_silence_ms, 3000.0, "from 1,000 to 4,000, though the window begins later");
        assert_eq!(wire.report(window(8000, 10_000)).resets, 1);
    }

    #[test]
    fn a_conversation_is_that_of_the_only_session() {
        let (mut open, mut keepalives, mut update) = (Vec::new(), Vec::new(), Vec::new());
        message::open(&mut open, 65_000, 9, ADDRESS);
        (0..2).for_each(|_| message::frame(&mut keepalives, message::KEEPALIVE, &[]));
        message::withdraw(&mut update, &[message::Prefix::new(0x0102_0300, 24)]);
        let said = [open.clone(), keepalives, update.clone()].concat();
        let session = [
            segment(0, false, 0, flags::SYN, vec![]),
            segment(0, true, 0, flags::SYN, vec![]),
            segment(1, false, 1, 0x18, said.clone()),
            segment(1, true, 1, 0x18, said),
        ];
        let read = |segments: &[Segment], recording| {
            Wire::read(&capture(segments)[..], &[ROUTER], recording).unwrap().conversation()
        };
        let record = Record { open, updates: update };
        assert_eq!(read(&session, true), Ok(Conversation { neighbor: record.clone(), router: record }));
        assert!(read(&session, false).is_err() && read(&session[..3], true).is_err());
        let twice = [session.clone(), session].concat();
        assert!(read(&twice, true).is_err());
    }
    #[test]
    fn requests_are_told_from_marks_and_sides_from_each_other() {
        let refresh = |subtype: u8| {
            let mut out = Vec::new();
            message::frame(&mut out, message::ROUTE_REFRESH, &[0, 1, subtype, 1]);
            out
        };
        let neighbor = [refresh(0), refresh(1), refresh(2)].concat();
        let segments = [segment(1, false, 1, 0x18, neighbor), segment(2, true, 1, 0x18, refresh(0))];
        let report = Wire::read(&capture(&segments)[..], &[ROUTER], false).unwrap().report(window(0, 5));
        assert_eq!(report.neighbor, Said { updates: 0, requests: 1, refresh_begins: 1, refresh_ends: 1 });
        assert_eq!(report.router, Said { requests: 1, ..Said::default() });
    }
}
