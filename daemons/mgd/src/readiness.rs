//! The nine pre-checks of the in-service reboot that the founding document prints, in its order and words.
//!
//! They are made from the configuration and from what pfed says of itself; nothing is changed. Each tells what was
//! observed, what is required, and the command that mends it.

use holdfast_proto::v1::{Check, CheckReadinessReply, RouterConfig, StatusRequest};

use crate::{
    clients::{AskError, ask},
    limits,
    state::State,
};

/// Makes all checks. `Ready for ISSR` is the conjunction of the others.
pub async fn check(state: &State) -> CheckReadinessReply {
    let pfe = pfe_check(pfe_status(state).await);
    let Some(committed) = state.configuration() else {
        let missing = Outcome {
            passed: false,
            observed: "no configuration".into(),
            remedy: "start the router with --config FILE".into(),
        };
        let check = missing.check("configuration", "Configuration present", "a committed configuration");
        return CheckReadinessReply { checks: vec![pfe, check], ..Default::default() };
    };
    of_configuration(&committed.configuration.compile(committed.commit_id), pfe)
}

/// The checks that `candidate` would fail and `in_force` does not: what a commit has to warn of.
pub fn newly_failing(in_force: &RouterConfig, candidate: &RouterConfig) -> Vec<Check> {
    let checks = |config| of_configuration(config, pfe_check(Ok(()))).checks;
    let before = checks(in_force);
    let is_new = |check: &Check| !before.iter().any(|known| known.id == check.id && !known.passed);
    checks(candidate).into_iter().filter(|check| !check.passed && check.id != "ready" && is_new(check)).collect()
}

async fn pfe_status(state: &State) -> Result<(), String> {
    let mut client = state.clients.pfed_daemon();
    let who = state.clients.pfed_name();
    let status = ask(&who, limits::CHECK_DEADLINE, client.status(StatusRequest {})).await;
    match status {
        Ok(status) if !status.error.is_empty() => Err(status.error),
        Ok(status) if !status.ready => Err(format!("{who} is not ready: {}", status.detail)),
        Ok(_) => Ok(()),
        Err(AskError::Refused(reason)) => Err(reason),
        Err(error) => Err(error.to_string()),
    }
}

struct Outcome {
    passed: bool,
    observed: String,
    remedy: String,
}

impl Outcome {
    fn check(self, id: &str, title: &str, required: &str) -> Check {
        Check {
            id: id.to_owned(),
            title: title.to_owned(),
            value: if self.passed { "Valid" } else { "Invalid" }.to_owned(),
            passed: self.passed,
            observed: self.observed,
            required: required.to_owned(),
            remedy: if self.passed { String::new() } else { self.remedy },
            ..Default::default()
        }
    }
}

fn pfe_check(status: Result<(), String>) -> Check {
    let passed = status.is_ok();
    let observed = status.err().unwrap_or_else(|| "pfed is online".to_owned());
    let mut check = Outcome { passed, observed, remedy: "restart forwarding".into() }.check(
        "pfe-status",
        "PFE Status",
        "pfed is online",
    );
    check.value = if passed { "Online" } else { "Offline" }.to_owned();
    check
}

/// All nine from a configuration and the first of them.
fn of_configuration(config: &RouterConfig, pfe: Check) -> CheckReadinessReply {
    let chassis = config.chassis.unwrap_or_default();
    let routing = config.routing.clone().unwrap_or_default();
    let system = config.system.clone().unwrap_or_default();
    let mut checks = vec![pfe];
    let mut add = |passed: bool, observed: String, remedy: &str, id: &str, title: &str, required: &str| {
        checks.push(Outcome { passed, observed, remedy: remedy.to_owned() }.check(id, title, required));
    };
    let member = format!("member id {}", chassis.member_id);
    add(chassis.member_id == 0, member, "set chassis member-id 0", "member-id-zero", "Member Id zero", "member id 0");
    let mode = if chassis.mixed_mode { "mixed mode" } else { "neither mixed nor fabric mode" };
    add(
        !chassis.mixed_mode,
        mode.into(),
        "delete virtual-chassis mixed-mode",
        "vc-mode",
        "VC not in mixed or fabric mode",
        "neither mixed nor fabric mode",
    );
    let members = chassis.virtual_chassis_members;
    let observed = if members == 0 { "no virtual chassis".into() } else { format!("{members} members") };
    add(
        members <= 1,
        observed,
        "delete virtual-chassis member N, all but one",
        "vc-single-node",
        "Member is single node vc",
        "at most one member",
    );
    // Nothing can time out where nothing runs; with BFD this compares each detection time with the predicted silence.
    add(
        true,
        "no BFD session is configured".into(),
        "",
        "bfd-minimum-interval",
        "BFD minimum-interval check done",
        "every detection time longer than the predicted silence",
    );
    let gres = if chassis.graceful_switchover { "configured" } else { "not configured" };
    add(
        chassis.graceful_switchover,
        gres.into(),
        "set chassis redundancy graceful-switchover",
        "gres-enabled",
        "GRES enabled",
        "chassis redundancy graceful-switchover",
    );
    let (title, observed) = match (routing.nonstop_routing, routing.graceful_restart) {
        (true, _) => ("NSR enabled", "nonstop-routing is configured"),
        (false, true) => ("GR enabled", "graceful-restart is configured: sessions restart, forwarding is kept"),
        (false, false) => ("NSR enabled", "neither nonstop-routing nor graceful-restart is configured"),
    };
    add(
        routing.nonstop_routing || routing.graceful_restart,
        observed.into(),
        "set routing-options nonstop-routing",
        "nsr-enabled",
        title,
        "routing-options nonstop-routing or graceful-restart",
    );
    let drop_all = if system.drop_all_tcp { "configured" } else { "not configured" };
    add(
        !system.drop_all_tcp,
        drop_all.into(),
        "delete system internet-options no-tcp-reset",
        "drop-all-tcp",
        "drop-all-tcp not configured",
        "drop-all-tcp not configured",
    );
    let failed: Vec<&str> = checks.iter().filter(|check| !check.passed).map(|check| check.id.as_str()).collect();
    let observed =
        if failed.is_empty() { "all checks passed".into() } else { format!("failed: {}", failed.join(", ")) };
    let remedies: Vec<&str> = checks.iter().filter(|check| !check.passed).map(|check| check.remedy.as_str()).collect();
    let ready = Outcome { passed: failed.is_empty(), observed, remedy: remedies.join("; ") };
    checks.push(ready.check("ready", "Ready for ISSR", "all checks above"));
    CheckReadinessReply {
        checks,
        minimum_spacing_s: chassis.minimum_spacing_s,
        nonstop_routing: routing.nonstop_routing,
        graceful_restart: routing.graceful_restart,
    }
}

#[cfg(test)]
mod tests {
    use holdfast_config::{Configuration, Schema};

    use super::*;

    fn of(text: &str, pfe: Result<(), String>) -> CheckReadinessReply {
        let configuration = Configuration::parse("t", text, &Schema::load().unwrap()).unwrap();
        of_configuration(&configuration.compile(1), pfe_check(pfe))
    }

    fn failing(reply: &CheckReadinessReply) -> Vec<(&str, &str)> {
        reply
            .checks
            .iter()
            .filter(|check| !check.passed)
            .map(|check| (check.title.as_str(), check.remedy.as_str()))
            .collect()
    }

    const READY: &str = "chassis redundancy graceful-switchover; routing-options { nonstop-routing; }";

    #[test]
    fn the_documents_nine_in_its_order() {
        let reply = of(READY, Ok(()));
        let printed: Vec<String> =
            reply.checks.iter().map(|check| format!("{} : {}", check.title, check.value)).collect();
        assert_eq!(
            printed,
            [
                "PFE Status : Online",
                "Member Id zero : Valid",
                "VC not in mixed or fabric mode : Valid",
                "Member is single node vc : Valid",
                "BFD minimum-interval check done : Valid",
                "GRES enabled : Valid",
                "NSR enabled : Valid",
                "drop-all-tcp not configured : Valid",
                "Ready for ISSR : Valid",
            ]
        );
        assert_eq!(reply.minimum_spacing_s, 300);
    }

    #[test]
    fn every_failure_names_its_remedy() {
        let everything = "chassis member-id 3; virtual-chassis { mixed-mode; member 0; member 1; } system internet-options no-tcp-reset drop-all-tcp;";
        let reply = of(everything, Err("pfed of re0 did not answer".into()));
        let failing = failing(&reply);
        assert_eq!(failing.len(), 8, "{failing:?}");
        assert_eq!(failing[1].1, "set chassis member-id 0");
        assert_eq!(failing[4], ("GRES enabled", "set chassis redundancy graceful-switchover"));
        assert_eq!(failing[5], ("NSR enabled", "set routing-options nonstop-routing"));
        assert!(failing[7].1.contains("set routing-options nonstop-routing"));
    }

    #[test]
    fn graceful_restart_alone_is_a_road() {
        let reply = of("chassis redundancy graceful-switchover; routing-options { graceful-restart; }", Ok(()));
        assert!(reply.checks.iter().any(|check| check.title == "GR enabled" && check.passed), "{:?}", reply.checks);
        assert!(reply.graceful_restart && !reply.nonstop_routing);
        let reply = of("chassis redundancy graceful-switchover; routing-options graceful-restart disable;", Ok(()));
        assert_eq!(failing(&reply)[0], ("NSR enabled", "set routing-options nonstop-routing"));
    }
}
