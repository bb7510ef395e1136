//! Sessions: settled, each with a road, and each with a hold time that outlasts the switch and the way back from it.

use holdfast_proto::{
    check::Rule,
    v1::{BgpNeighborDetail, Check, NeighborForecast, SwitchoverMode},
};

use super::{
    neighbors::is_established,
    observed::{Observed, Said},
};

/// Neighbours named in one check; of more only the number is said.
const NAMED_MAX: usize = 8;

/// Checks on rpd's sessions.
pub fn checks(observed: &Observed, neighbors: &[NeighborForecast]) -> Vec<Check> {
    let details = observed.neighbors.as_ref().map(Vec::as_slice).map_err(Clone::clone);
    vec![
        // A handshake or a missing End-of-RIB holds a run up, it does not break it.
        Rule::asks("sessions-settled", "Sessions settled", "no session is in the middle of its handshake")
            .remedy("wait until it is up, or deactivate the neighbor")
            .observe(details.clone().and_then(settled)),
        Rule::asks("end-of-rib", "End-of-RIB received", "every neighbor that sends End-of-RIB has sent it")
            .remedy("wait until it has come")
            .observe(details.clone().and_then(end_of_rib)),
        Rule::asks("stale-routes", "No stale routes", "no route is kept of a neighbor that restarts")
            .remedy("wait until it is back")
            .observe(details.clone().and_then(stale)),
        Rule::asks("session-roads", "Sessions by NSR", "every established session goes by nonstop routing")
            .remedy("show chassis in-service-upgrade readiness says why of each")
            .observe(details.clone().and_then(|_| roads(neighbors))),
        lost(observed).observe(details.clone().and_then(|_| lost_sessions(neighbors))),
        Rule::refuses("hold-time", "Hold times", "every hold time is longer than the predicted silence")
            .remedy("set protocols bgp hold-time SECONDS")
            .disturbing()
            .observe(details.clone().and_then(|_| hold_times(neighbors, 0))),
        Rule::asks(
            "hold-time-margin",
            "Hold times, undone",
            "every hold time also outlasts a switch that is taken back",
        )
        .remedy("set protocols bgp hold-time 9 or more")
        .disturbing()
        .observe(details.and_then(|_| margins(observed, neighbors))),
    ]
}

fn name(detail: &BgpNeighborDetail) -> &str {
    detail.summary.as_ref().map_or("", |summary| &summary.address)
}

/// "3 of 5: a, b, c", or that there is nothing to say.
fn listed(found: Vec<String>, what: &str, otherwise: String) -> Said<String> {
    match found.len() {
        0 => Ok(otherwise),
        count if count <= NAMED_MAX => Err(format!("{what}: {}", found.join(", "))),
        count => Err(format!("{what}: {} and {} more", found[..NAMED_MAX].join(", "), count - NAMED_MAX)),
    }
}

fn settled(details: &[BgpNeighborDetail]) -> Said<String> {
    let state = |detail: &BgpNeighborDetail| detail.summary.as_ref().map_or(String::new(), |s| s.state.clone());
    let busy = details.iter().filter(|detail| {
        let state = state(detail);
        state.eq_ignore_ascii_case("opensent") || state.eq_ignore_ascii_case("openconfirm")
    });
    let busy = busy.map(|detail| format!("{} ({})", name(detail), state(detail))).collect();
    let up = details.iter().filter(|detail| is_established(detail)).count();
    listed(busy, "in the middle of the handshake", format!("{up} of {} established", details.len()))
}

/// RFC 4724 §2: who announces the capability sends End-of-RIB; of others it cannot be expected.
fn end_of_rib(details: &[BgpNeighborDetail]) -> Said<String> {
    let announces = |detail: &&BgpNeighborDetail| {
        is_established(detail) && detail.capabilities_received.iter().any(|c| c.to_lowercase().contains("graceful"))
    };
    let all: Vec<&BgpNeighborDetail> = details.iter().filter(announces).collect();
    let waits = all.iter().filter(|detail| {
        let families = detail.summary.iter().flat_map(|summary| &summary.families);
        families.into_iter().any(|family| !family.end_of_rib_received)
    });
    let waits = waits.map(|detail| name(detail).to_owned()).collect();
    listed(waits, "not yet from", format!("received from all {} that send it", all.len()))
}

fn stale(details: &[BgpNeighborDetail]) -> Said<String> {
    let mut holding = Vec::new();
    for detail in details {
        let routes: u64 = detail.summary.iter().flat_map(|s| &s.families).map(|family| family.stale).sum();
        if routes > 0 {
            holding.push(format!("{} of {}", routes, name(detail)));
        }
    }
    listed(holding, "stale routes", "none".to_owned())
}

/// A session that would flap is one too many, unless the operator says so.
fn lost(observed: &Observed) -> Rule {
    let kind = if observed.force { Rule::asks } else { Rule::refuses };
    let rule = kind("sessions-lost", "No session lost", "no established session would be interrupted");
    rule.remedy("set routing-options nonstop-routing, or graceful-restart on both sides, or ask with force")
}

fn lost_sessions(neighbors: &[NeighborForecast]) -> Said<String> {
    let lost = neighbors.iter().filter(|n| n.mode() == SwitchoverMode::Lost);
    listed(lost.map(|n| format!("{} ({})", n.neighbor, n.reason)).collect(), "would be lost", "none".to_owned())
}

fn roads(neighbors: &[NeighborForecast]) -> Said<String> {
    let others = neighbors.iter().filter(|n| matches!(n.mode(), SwitchoverMode::Gr | SwitchoverMode::Lost));
    let others = others.map(|n| format!("{} {} ({})", n.neighbor, n.road, n.reason)).collect();
    let by_nsr = neighbors.iter().filter(|n| n.mode() == SwitchoverMode::Nsr).count();
    listed(others, "not by nonstop routing", format!("{by_nsr} sessions by NSR"))
}

fn hold_times(neighbors: &[NeighborForecast], way_back_ms: u64) -> Said<String> {
    let by_nsr = || neighbors.iter().filter(|n| n.mode() == SwitchoverMode::Nsr && n.tolerated_silence_ms > 0);
    let short = by_nsr().filter(|n| n.margin_ms <= way_back_ms as i64).map(|n| {
        let predicted = n.predicted_silence_ms + way_back_ms;
        format!("{} tolerates {} ms of {predicted} ms", n.neighbor, n.tolerated_silence_ms)
    });
    let least = by_nsr().min_by_key(|n| n.margin_ms);
    let otherwise = least.map_or_else(
        || "no session with a hold time".to_owned(),
        |n| format!("least margin {} ms, of {}", n.margin_ms, n.neighbor),
    );
    listed(short.collect(), "too short", otherwise)
}

/// A switch that fails adds the time of its way back to the silence.
fn margins(observed: &Observed, neighbors: &[NeighborForecast]) -> Said<String> {
    let inspection = observed.inspection.as_ref().map_err(Clone::clone)?;
    let way_back_ms = inspection.forecast.as_ref().map_or(0, |forecast| forecast.way_back_max_ms);
    hold_times(neighbors, way_back_ms)
}
