//! Each session before and after.

use std::collections::BTreeMap;

use holdfast_issu::{Daemon, Side};
use holdfast_proto::v1;

use super::{Baseline, address, is_session_of, state};
use crate::restarts;
use crate::run::CurrentRun;

/// Each session before and after, in the order of the baseline.
pub fn sessions(run: &CurrentRun, side: Side, after: &Baseline) -> Vec<v1::SessionReport> {
    let before = run.baseline.as_ref().and_then(|baseline| baseline.sessions.as_deref()).unwrap_or_default();
    let now: BTreeMap<&str, &v1::BgpNeighborDetail> =
        after.sessions.iter().flatten().map(|neighbor| (address(neighbor), neighbor)).collect();
    let position = |positions: Option<&Vec<v1::SessionPosition>>, neighbor: &str| {
        positions.into_iter().flatten().find(|position| position.neighbor == neighbor).cloned()
    };
    let rpd = Daemon::Rpd.index();
    let switched = side == Side::New;
    let record = run.log.lock();
    let mode = |neighbor: &str| {
        record.run.readiness.iter().find(|r| r.neighbor == neighbor).map_or(0, |readiness| readiness.mode)
    };
    before
        .iter()
        .map(|session| {
            let neighbor = address(session);
            let later = now.get(neighbor);
            let state_before = state(session);
            let state_after = later.map_or("unknown", |session| state(session)).to_string();
            let established_after_unix_ms = later.map_or(0, |session| session.established_unix_ms);
            let facts = run.frozen[rpd].as_ref().filter(|_| switched).map(|reply| &reply.sessions);
            let kernel = run.activated[rpd].as_ref().filter(|_| switched).map(|reply| &reply.sessions);
            let silence = after.silences.iter().find(|silence| is_session_of(&silence.name, neighbor));
            let mut report = v1::SessionReport {
                protocol: "bgp".into(),
                neighbor: neighbor.into(),
                state_before: state_before.into(),
                unbroken: state_after == state_before && established_after_unix_ms == session.established_unix_ms,
                state_after,
                established_before_unix_ms: session.established_unix_ms,
                established_after_unix_ms,
                facts: position(facts, neighbor),
                kernel: position(kernel, neighbor),
                longest_silence_ms: silence.map_or(0, |silence| silence.out_ms),
                mode: mode(neighbor),
                silence_out_ms: silence.map(|silence| silence.out_ms),
                silence_in_ms: silence.map(|silence| silence.in_ms),
                tolerated_silence_ms: u64::from(session.hold_time_s) * 1000,
                ..v1::SessionReport::default()
            };
            // Not the summary's last error: that may be what became of an attempt to connect since.
            let ended = later.map_or("", |session| &session.session_end);
            restarts::describe(&mut report, later.and_then(|session| session.graceful_restart.as_ref()), ended);
            report
        })
        .collect()
}

/// The longest silence of each protocol, and whose it was.
pub fn silences(sessions: &[v1::SessionReport]) -> Vec<v1::ProtocolSilence> {
    let mut longest: BTreeMap<&str, &v1::SessionReport> = BTreeMap::new();
    for session in sessions.iter().filter(|session| session.silence_out_ms.is_some()) {
        let known = longest.entry(&session.protocol).or_insert(session);
        if session.silence_out_ms > known.silence_out_ms {
            *known = session;
        }
    }
    let silence = |(protocol, session): (&str, &v1::SessionReport)| v1::ProtocolSilence {
        protocol: protocol.into(),
        neighbor: session.neighbor.clone(),
        longest_ms: session.silence_out_ms.unwrap_or_default(),
        tolerated_ms: session.tolerated_silence_ms,
    };
    longest.into_iter().map(silence).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_of_each_protocol_is_named() {
        let session = |neighbor: &str, silence_out_ms| v1::SessionReport {
            protocol: "bgp".into(),
            neighbor: neighbor.into(),
            silence_out_ms,
            tolerated_silence_ms: 9_000,
            ..Default::default()
        };
        let found = silences(&[session("a", Some(30)), session("b", Some(400)), session("c", None)]);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].neighbor.as_str(), found[0].longest_ms, found[0].tolerated_ms), ("b", 400, 9_000));
        assert!(silences(&[session("c", None)]).is_empty());
    }
}
