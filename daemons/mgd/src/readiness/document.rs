//! The nine pre-checks that the founding document prints, in its order and words.

use holdfast_proto::{
    check::Rule,
    v1::{Check, DaemonStatus, RouterConfig},
};

use super::observed::{Observed, Said};

/// The first eight; [`ready`] makes the ninth when the others are known.
pub fn checks(observed: &Observed) -> Vec<Check> {
    let mut checks = vec![pfe(&observed.pfed)];
    match &observed.config {
        Some(config) => {
            checks.extend(of_configuration(config));
            checks.insert(BFD_PLACE, bfd(observed));
        }
        None => {
            let rule = Rule::refuses("configuration", "Configuration present", "a committed configuration");
            checks.push(rule.remedy("start the router with --config FILE").found(false, "no configuration"));
        }
    }
    checks
}

/// `Ready for ISSR`: nothing refuses, of the document's checks or of ours.
pub fn ready(refusing: &[&Check]) -> Check {
    let join = |of: fn(&Check) -> &str, separator: &str| {
        let mut words: Vec<&str> = refusing.iter().map(|check| of(check)).filter(|word| !word.is_empty()).collect();
        words.dedup();
        words.join(separator)
    };
    let observed = match refusing {
        [] => "nothing refuses".to_owned(),
        _ => format!("failed: {}", join(|check| &check.id, ", ")),
    };
    let rule = Rule::refuses("ready", "Ready for ISSR", "every check that refuses has passed");
    let mut ready = rule.remedy(join(|check| &check.remedy, "; ")).found(refusing.is_empty(), observed);
    ready.remedy_disturbs_traffic = refusing.iter().any(|check| check.remedy_disturbs_traffic);
    ready
}

fn pfe(status: &Said<DaemonStatus>) -> Check {
    let observed = match status {
        Err(reason) => Err(reason.clone()),
        Ok(status) if !status.error.is_empty() => Err(status.error.clone()),
        Ok(status) if !status.ready => Err(format!("pfed is not ready: {}", status.detail)),
        Ok(_) => Ok("pfed is online".to_owned()),
    };
    let mut check =
        Rule::refuses("pfe-status", "PFE Status", "pfed is online").remedy("restart forwarding").observe(observed);
    check.value = if check.passed { "Online" } else { "Offline" }.to_owned();
    check
}

/// Those that follow from the configuration alone.
pub fn of_configuration(config: &RouterConfig) -> Vec<Check> {
    let chassis = config.chassis.unwrap_or_default();
    let routing = config.routing.clone().unwrap_or_default();
    let system = config.system.clone().unwrap_or_default();
    let configured = |on: bool| if on { "configured" } else { "not configured" };
    let members = match chassis.virtual_chassis_members {
        0 => "no virtual chassis".to_owned(),
        members => format!("{members} members"),
    };
    let mode = if chassis.mixed_mode { "mixed mode" } else { "neither mixed nor fabric mode" };
    vec![
        Rule::refuses("member-id-zero", "Member Id zero", "member id 0")
            .remedy("set chassis member-id 0")
            .found(chassis.member_id == 0, format!("member id {}", chassis.member_id)),
        Rule::refuses("vc-mode", "VC not in mixed or fabric mode", "neither mixed nor fabric mode")
            .remedy("delete virtual-chassis mixed-mode")
            .found(!chassis.mixed_mode, mode),
        Rule::refuses("vc-single-node", "Member is single node vc", "at most one member")
            .remedy("delete virtual-chassis member N, all but one")
            .found(chassis.virtual_chassis_members <= 1, members),
        Rule::refuses("gres-enabled", "GRES enabled", "chassis redundancy graceful-switchover")
            .remedy("set chassis redundancy graceful-switchover")
            .found(chassis.graceful_switchover, configured(chassis.graceful_switchover)),
        road(routing.nonstop_routing, routing.graceful_restart),
        Rule::refuses("drop-all-tcp", "drop-all-tcp not configured", "drop-all-tcp not configured")
            .remedy("delete system internet-options no-tcp-reset")
            .found(!system.drop_all_tcp, configured(system.drop_all_tcp)),
    ]
}

/// ppmd, which has the sessions, goes on through the whole run and is replaced when it has ended well, from one packet to the next. So
/// long the sessions may have to wait then, generously.
pub const PERIODIC_SILENCE_MS: u64 = 10;

/// Among the document's checks.
const BFD_PLACE: usize = 4;

/// Nothing can time out where nothing runs.
fn bfd(observed: &Observed) -> Check {
    let required = format!("every detection time longer than the predicted silence ({PERIODIC_SILENCE_MS} ms)");
    let rule = Rule::refuses("bfd-minimum-interval", "BFD minimum-interval check done", required);
    if !observed.bfd_configured {
        return rule.found(true, "no BFD session is configured");
    }
    let sessions = match &observed.bfd {
        Err(reason) => return rule.remedy("restart periodic-packets").found(false, reason.clone()),
        Ok(sessions) => sessions.iter().filter(|session| session.state == "Up"),
    };
    // How long we may be silent, in the neighbour's eyes.
    let Some(shortest) = sessions.clone().min_by_key(|session| session.remote_detection_time_us) else {
        return rule.found(true, "no BFD session is up");
    };
    let peer = shortest.key.as_ref().map(|key| key.peer.as_str()).unwrap_or_default();
    let milliseconds = shortest.remote_detection_time_us / 1000;
    let text =
        format!("{} sessions are up, the shortest detection time is {milliseconds} ms ({peer})", sessions.count());
    rule.remedy("set bfd-liveness-detection minimum-interval of that neighbor to more")
        .found(milliseconds > PERIODIC_SILENCE_MS, text)
}

fn road(nonstop_routing: bool, graceful_restart: bool) -> Check {
    let (title, observed) = match (nonstop_routing, graceful_restart) {
        (true, _) => ("NSR enabled", "nonstop-routing is configured"),
        (false, true) => ("GR enabled", "graceful-restart is configured: sessions restart, forwarding is kept"),
        (false, false) => ("NSR enabled", "neither nonstop-routing nor graceful-restart is configured"),
    };
    Rule::refuses("nsr-enabled", title, "routing-options nonstop-routing or graceful-restart")
        .remedy("set routing-options nonstop-routing")
        .found(nonstop_routing || graceful_restart, observed)
}
