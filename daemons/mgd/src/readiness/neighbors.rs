//! What a run would mean for each neighbour: the road its session takes, and the silence it has to tolerate.
//!
//! A neighbour's hold timer runs from our last byte. At worst that was sent a keepalive interval before the freeze; the
//! first byte after it is the KEEPALIVE that the new engine sends at its commit, a gap later (RFC 4271 §4.4, §6.5).

use holdfast_proto::v1::{
    BgpNeighborConfig, BgpNeighborDetail, BgpNeighborSummary, Forecast, NeighborForecast, SwitchoverMode,
};

use super::observed::Observed;

/// One line per configured neighbour, in rpd's order; none while rpd does not answer.
pub fn forecast(observed: &Observed) -> Vec<NeighborForecast> {
    let forecast = observed.inspection.as_ref().ok().and_then(|inspection| inspection.forecast.clone());
    let forecast = forecast.unwrap_or_default();
    observed.neighbors.iter().flatten().map(|detail| one(observed, detail, &forecast)).collect()
}

/// Whether a neighbour's session is up.
pub fn is_established(detail: &BgpNeighborDetail) -> bool {
    detail.summary.as_ref().is_some_and(|summary| summary.state.eq_ignore_ascii_case("established"))
}

fn one(observed: &Observed, detail: &BgpNeighborDetail, forecast: &Forecast) -> NeighborForecast {
    let summary = detail.summary.clone().unwrap_or_default();
    let said = observed.replication.iter().flat_map(|replication| &replication.sessions);
    let said = said.into_iter().find(|session| session.neighbor == summary.address);
    let (mode, reason) = match said {
        _ if !is_established(detail) => (SwitchoverMode::Down, detail.why_not_established.clone()),
        Some(session) => (session.mode(), session.reason.clone()),
        None => (SwitchoverMode::Lost, "rpd says nothing of its road".to_owned()),
    };
    let config = configured(observed, &summary);
    let (tolerated, predicted) = match mode {
        SwitchoverMode::Nsr => {
            let gap = forecast.control_plane_gap_max_ms.ceil() as u64;
            (u64::from(detail.hold_time_s) * 1000, u64::from(detail.keepalive_s) * 1000 + gap)
        }
        // The neighbour keeps our routes for the restart time that we announced; the session is back within the switch.
        SwitchoverMode::Gr => {
            let switch = ["switching", "verifying"];
            let phases = forecast.phases.iter().filter(|phase| switch.contains(&phase.name.as_str()));
            let restart = config.map_or(0, |config| u64::from(config.restart_time_s) * 1000);
            (restart, phases.map(|phase| phase.duration_ms).sum())
        }
        SwitchoverMode::Lost | SwitchoverMode::Down | SwitchoverMode::Unspecified => (0, 0),
    };
    NeighborForecast {
        protocol: "bgp".to_owned(),
        neighbor: summary.address,
        state: summary.state,
        mode: mode.into(),
        road: match mode {
            SwitchoverMode::Nsr => "NSR",
            SwitchoverMode::Gr => "GR",
            SwitchoverMode::Lost => "lost",
            SwitchoverMode::Down | SwitchoverMode::Unspecified => "-",
        }
        .to_owned(),
        tolerated_silence_ms: tolerated,
        predicted_silence_ms: predicted,
        margin_ms: if tolerated == 0 { 0 } else { tolerated as i64 - predicted as i64 },
        reason,
    }
}

/// What it is configured with, or the prefix that it has come from.
fn configured<'a>(observed: &'a Observed, summary: &BgpNeighborSummary) -> Option<&'a BgpNeighborConfig> {
    let bgp = observed.config.as_ref().and_then(|config| config.bgp.as_ref())?;
    let allowed = || bgp.allowed.iter().find(|allowed| allowed.prefix == summary.allowed_by);
    let configured = bgp.neighbors.iter().find(|neighbor| neighbor.address == summary.address);
    configured.or_else(|| allowed()?.template.as_ref())
}
