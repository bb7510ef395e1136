//! Sessions and counters as messages.

use std::net::IpAddr;
use std::time::Duration;

use holdfast_bfd::Discard;
use holdfast_bfd::session::SessionConfig;
use holdfast_bfd::sessions::SessionKey;
use holdfast_bfd::wire::{Authentication, Key};
use holdfast_bfd::{MINIMUM_INTERVAL_US, wire::Diagnostic};
use holdfast_ipc::{mono_ns, unix_ms};
use holdfast_proto::v1;
use tonic::Status;

use crate::request::{Origin, Seen, Totals, Wanted};

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Whose session it is.
pub fn key(key: &SessionKey) -> v1::BfdSessionKey {
    v1::BfdSessionKey { peer: key.peer.to_string(), interface_index: key.interface, multihop: key.multihop }
}

/// Everything that can be seen of a session.
pub fn session(seen: &Seen) -> v1::BfdSession {
    let session = &seen.session;
    let (config, remote, statistics) = (session.config(), session.remote(), session.statistics());
    let since_ns = nanos(session.state_since());
    let told = |diagnostic: Diagnostic| diagnostic.name().to_owned();
    v1::BfdSession {
        key: Some(key(&seen.key)),
        local_address: seen.source.0.map(|local| local.to_string()).unwrap_or_default(),
        state: session.state().name().into(),
        diagnostic: told(session.diagnostic()),
        remote_state: remote.state.name().into(),
        remote_diagnostic: told(remote.diagnostic),
        state_since_mono_ns: since_ns,
        failed_since_mono_ns: session.failed_since().map_or(0, nanos),
        local_discriminator: session.discriminator(),
        remote_discriminator: remote.discriminator,
        minimum_transmit_us: config.minimum_transmit_us,
        minimum_receive_us: config.minimum_receive_us,
        multiplier: config.multiplier.into(),
        remote_minimum_transmit_us: remote.desired_min_tx_us,
        remote_minimum_receive_us: remote.required_min_rx_us,
        remote_multiplier: remote.multiplier.into(),
        transmit_interval_us: session.transmit_interval().map_or(0, micros),
        detection_time_us: session.detection_time().map_or(0, micros),
        remote_detection_time_us: micros(session.neighbors_detection_time()),
        remote_control_plane_independent: remote.control_plane_independent,
        polling: session.is_polling(),
        sent: statistics.sent,
        received: statistics.received,
        discarded: statistics.discarded,
        last_discard: statistics.last_discard.map(|reason| reason.to_string()).unwrap_or_default(),
        ups: statistics.ups,
        downs: statistics.downs,
        longest_silence_us: micros(statistics.longest_silence),
        source_port: seen.source.1.into(),
        authentication: match &config.authentication {
            None => String::new(),
            Some(Authentication { meticulous: false, .. }) => "keyed-sha-1".into(),
            Some(Authentication { meticulous: true, .. }) => "meticulous-keyed-sha-1".into(),
        },
        leaving: seen.leaving,
        minimum_ttl: config.minimum_ttl.into(),
        // Known to whoever was asked for the session.
        clients: Vec::new(),
        state_since_unix_ms: unix_ms().saturating_sub(mono_ns().saturating_sub(since_ns) / 1_000_000),
    }
}

/// Counters.
pub fn totals(totals: &Totals) -> v1::PeriodicStatus {
    let discards = Discard::ALL.into_iter().map(|reason| (reason, totals.discards[reason.index()]));
    let last = Some(totals.last_send_error).filter(|error| *error != 0).map(std::io::Error::from_raw_os_error);
    v1::PeriodicStatus {
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").into(),
        sessions: totals.sessions,
        sessions_up: totals.up,
        origin: match totals.origin {
            Origin::Started => "started",
            Origin::TookOver => "took over",
            Origin::Found => "found",
        }
        .into(),
        takeover_us: micros(totals.takeover),
        realtime: totals.realtime,
        sent: totals.sent,
        received: totals.received,
        stood_in: totals.stood_in,
        allocations: totals.allocations,
        send_errors: totals.send_errors,
        last_send_error: last.map(|error| error.to_string()).unwrap_or_default(),
        discards: discards
            .filter(|(_, packets)| *packets > 0)
            .map(|(reason, packets)| v1::PeriodicDiscard { reason: reason.to_string(), packets })
            .collect(),
        lateness_p50_us: totals.lateness.per_mille_us(500),
        lateness_p99_us: totals.lateness.per_mille_us(990),
        lateness_p999_us: totals.lateness.per_mille_us(999),
        lateness_max_us: totals.lateness.max_us(),
        ..v1::PeriodicStatus::default()
    }
}

/// A session that is asked for.
pub fn wanted(message: v1::BfdWanted) -> Result<Wanted, Status> {
    let key = message.key.ok_or_else(|| Status::invalid_argument("a session without a neighbor"))?;
    let peer = address(&key.peer)?;
    let local = Some(message.local_address).filter(|local| !local.is_empty());
    let local = local.map(|local| address(&local)).transpose()?;
    let invalid = |what: &str| Status::invalid_argument(format!("session with {peer}: {what}"));
    if local.is_some_and(|local| local.is_ipv4() != peer.is_ipv4()) {
        return Err(invalid("our address is of another family"));
    }
    let shortest = message.minimum_transmit_us.min(message.minimum_receive_us);
    if shortest < MINIMUM_INTERVAL_US {
        return Err(invalid(&format!("intervals are at least {MINIMUM_INTERVAL_US} us, {shortest} us is wanted")));
    }
    let multiplier = u8::try_from(message.multiplier).ok().filter(|multiplier| *multiplier > 0);
    let authentication = message.authentication.map(|wanted| {
        let key = Key::new(&wanted.key).map_err(|error| invalid(&error.to_string()))?;
        let key_id = u8::try_from(wanted.key_id).map_err(|_| invalid("a key-id is one octet"))?;
        Ok::<_, Status>(Authentication { meticulous: wanted.meticulous, key_id, key })
    });
    Ok(Wanted {
        key: SessionKey { peer, interface: key.interface_index, multihop: key.multihop },
        local,
        config: SessionConfig {
            minimum_transmit_us: message.minimum_transmit_us,
            minimum_receive_us: message.minimum_receive_us,
            multiplier: multiplier.ok_or_else(|| invalid("a multiplier is 1 to 255"))?,
            authentication: authentication.transpose()?,
            minimum_ttl: u8::try_from(message.minimum_ttl).map_err(|_| invalid("a minimum TTL is 1 to 254"))?,
            admin_down: false,
        },
    })
}

fn address(text: &str) -> Result<IpAddr, Status> {
    text.parse().map_err(|_| Status::invalid_argument(format!("\"{text}\" is not an address")))
}
