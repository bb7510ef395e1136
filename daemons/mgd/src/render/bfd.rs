//! `show bfd session`.

use holdfast_proto::v1::{BfdSession, PeriodicStatus};

use super::table::Table;
use super::time::{clock, span};
use crate::commands::BfdView;

/// Microseconds as seconds, as Junos shows intervals.
fn seconds(us: u64) -> String {
    format!("{:.3}", us as f64 / 1_000_000.0)
}

fn peer(session: &BfdSession) -> String {
    session.key.as_ref().map(|key| key.peer.clone()).unwrap_or_default()
}

fn age(session: &BfdSession) -> String {
    span(holdfast_ipc::unix_ms().saturating_sub(session.state_since_unix_ms))
}

/// One line for each.
pub fn bfd_sessions(view: &BfdView) -> String {
    let mut table =
        Table::new(&["Address", "State", ">Since", ">Detect time", ">Transmit interval", ">Multiplier", "Client"]);
    for session in &view.sessions {
        table.row(vec![
            peer(session),
            session.state.clone(),
            age(session),
            seconds(session.detection_time_us),
            seconds(session.transmit_interval_us),
            session.multiplier.to_string(),
            session.clients.join(" "),
        ]);
    }
    format!("{}\n{}", table.print(), count(&view.periodic))
}

fn count(periodic: &PeriodicStatus) -> String {
    format!("{} sessions, {} up\n", periodic.sessions, periodic.sessions_up)
}

/// Everything that is known of each, and of the process that has them.
pub fn bfd_detail(view: &BfdView) -> String {
    let sessions: Vec<String> = view.sessions.iter().map(one).collect();
    format!("{}{}{}", sessions.join("\n"), if sessions.is_empty() { "" } else { "\n" }, process(&view.periodic))
}

fn one(session: &BfdSession) -> String {
    let multihop = session.key.as_ref().is_some_and(|key| key.multihop);
    let hops = if multihop { "several hops" } else { "single hop" };
    let clients = if session.clients.is_empty() { "nobody yet".to_owned() } else { session.clients.join(", ") };
    let mut out = format!("Address: {}    {hops}    Client: {clients}\n", peer(session));
    let mut line = |text: String| out.push_str(&format!("  {text}\n"));
    line(format!("State: {}    since {} ({})", session.state, clock(session.state_since_unix_ms), age(session)));
    line(format!("Local diagnostic: {}    Remote diagnostic: {}", session.diagnostic, session.remote_diagnostic));
    line(format!(
        "Remote state: {}    control plane independent: {}",
        session.remote_state,
        if session.remote_control_plane_independent { "yes" } else { "no" }
    ));
    line(format!(
        "Local discriminator: {:#010x}    Remote discriminator: {:#010x}    Source port: {}",
        session.local_discriminator, session.remote_discriminator, session.source_port
    ));
    line(format!(
        "Local: transmit {}, receive {}, multiplier {}",
        seconds(session.minimum_transmit_us.into()),
        seconds(session.minimum_receive_us.into()),
        session.multiplier
    ));
    line(format!(
        "Remote: transmit {}, receive {}, multiplier {}",
        seconds(session.remote_minimum_transmit_us.into()),
        seconds(session.remote_minimum_receive_us.into()),
        session.remote_multiplier
    ));
    line(format!(
        "In force: transmit interval {}, detection time {}, remote's detection time {}{}",
        seconds(session.transmit_interval_us),
        seconds(session.detection_time_us),
        seconds(session.remote_detection_time_us),
        if session.polling { ", poll sequence under way" } else { "" }
    ));
    line(format!(
        "Packets: {} sent, {} received, {} discarded    Up {} times, lost {} times    Longest silence: {}",
        session.sent,
        session.received,
        session.discarded,
        session.ups,
        session.downs,
        seconds(session.longest_silence_us)
    ));
    if !session.last_discard.is_empty() {
        line(format!("Last discard: {}", session.last_discard));
    }
    if session.minimum_ttl > 0 {
        line(format!("Minimum TTL: {}", session.minimum_ttl));
    }
    if !session.authentication.is_empty() {
        line(format!("Authentication: {}", session.authentication));
    }
    if session.leaving {
        line("Nobody wants it any more: it says farewell".into());
    }
    out
}

fn process(periodic: &PeriodicStatus) -> String {
    let yes = |so: bool| if so { "yes" } else { "no" };
    let mut out = count(periodic);
    if periodic.pid == 0 {
        return out; // nobody has wanted it
    }
    let mut line = |text: String| out.push_str(&format!("  {text}\n"));
    line(format!(
        "Process {}: {}    real-time: {}    memory locked: {}",
        periodic.pid,
        periodic.origin,
        yes(periodic.realtime),
        yes(periodic.memory_locked)
    ));
    if periodic.takeover_us > 0 {
        line(format!("Taken over from its predecessor in {} us", periodic.takeover_us));
    }
    line(format!("Packets: {} sent, {} received", periodic.sent, periodic.received));
    line(format!("Memory asked for while packets were served: {} times (when sessions change)", periodic.allocations));
    line(format!(
        "Sent late by: {} us in half of all cases, {} us in 99 of 100, {} us in 999 of 1000, {} us at most",
        periodic.lateness_p50_us, periodic.lateness_p99_us, periodic.lateness_p999_us, periodic.lateness_max_us
    ));
    if periodic.stood_in > 0 {
        line(format!(
            "Kept on time by the second thread: {} times (the kernel held the first one's processor)",
            periodic.stood_in
        ));
    }
    if periodic.send_errors > 0 {
        line(format!("Not sent: {} (last: {})", periodic.send_errors, periodic.last_send_error));
    }
    for discard in &periodic.discards {
        line(format!("Discarded: {} ({})", discard.packets, discard.reason));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_proto::v1::BfdSessionKey;

    #[test]
    fn a_session_is_shown_in_one_line_and_in_full() {
        let session = BfdSession {
            key: Some(BfdSessionKey { peer: "10.0.0.2".into(), ..Default::default() }),
            state: "Up".into(),
            state_since_unix_ms: holdfast_ipc::unix_ms() - 65_000,
            detection_time_us: 150_000,
            transmit_interval_us: 50_000,
            multiplier: 3,
            clients: vec!["bgp".into(), "static".into()],
            last_discard: "TTL is not 255".into(),
            ..Default::default()
        };
        let periodic = PeriodicStatus {
            pid: 7,
            sessions: 1,
            sessions_up: 1,
            lateness_p99_us: 34,
            stood_in: 5,
            ..Default::default()
        };
        let view = BfdView { sessions: vec![session], periodic };
        let text = bfd_sessions(&view);
        for word in ["10.0.0.2", "Up", "1:05", "0.150", "0.050", "bgp static", "1 sessions, 1 up"] {
            assert!(text.contains(word), "{word}: {text}");
        }
        let text = bfd_detail(&view);
        for word in [
            "single hop",
            "detection time 0.150",
            "Last discard: TTL is not 255",
            "34 us in 99 of 100",
            "second thread: 5 times",
        ] {
            assert!(text.contains(word), "{word}: {text}");
        }
        assert!(bfd_detail(&BfdView::default()).starts_with("0 sessions, 0 up"));
    }
}
