//! Is the neighbour the one that we expect (RFC 4271 §6.2)?

use super::config::{RoleConfig, SessionConfig};
use crate::wire::{Capability, NotificationMessage, OpenMessage, Role};

/// Why an OPEN is refused: for the neighbour and for the operator.
pub(crate) struct Refusal {
    pub notification: NotificationMessage,
    pub text: String,
}

/// Checks a well-formed OPEN against the configuration.
pub(crate) fn check_open(config: &SessionConfig, open: &OpenMessage) -> Result<(), Refusal> {
    let refuse = |notification, text| Err(Refusal { notification, text });
    // AS 0 is nobody's (RFC 7607 §2), also where the configuration should have asked for it.
    if open.autonomous_system != config.peer_as || open.autonomous_system == 0 {
        return refuse(
            NotificationMessage::bad_peer_as(),
            format!(
                "OPEN refused: the neighbor says it is AS {}, configured is peer-as {}; correct one of them",
                open.autonomous_system, config.peer_as
            ),
        );
    }
    // RFC 6286 §2.2: between different ASes equal identifiers are allowed.
    let own = config.internal && open.router_id == config.router_id;
    if open.router_id.is_unspecified() || own {
        return refuse(
            NotificationMessage::bad_bgp_identifier(),
            format!(
                "OPEN refused: the neighbor's router id is {}{}; set another one there or here",
                open.router_id,
                if own { ", which is ours" } else { "" }
            ),
        );
    }
    if matches!(open.hold_time_s, 1 | 2) {
        return refuse(
            NotificationMessage::unacceptable_hold_time(),
            format!(
                "OPEN refused: the neighbor proposes a hold time of {} s, required is 0 or at least 3 s",
                open.hold_time_s
            ),
        );
    }
    if let Some(ours) = config.role
        && let Some(text) = role_fault(ours, open)
    {
        return refuse(NotificationMessage::role_mismatch(), format!("OPEN refused: {text}"));
    }
    let theirs = open.families();
    if !config.offered().any(|family| theirs[family.index()]) {
        return refuse(no_common_family(config), no_common_family_text(config, open));
    }
    Ok(())
}

/// Why the neighbour's role does not fit ours, if so (RFC 9234 §4.2).
fn role_fault(ours: RoleConfig, open: &OpenMessage) -> Option<String> {
    let (own, wanted) = (ours.role, ours.role.counterpart());
    let Some(first) = open.roles().next() else {
        return ours.strict.then(|| {
            format!("the neighbor announces no role, required is {wanted}; set it there or delete role strict here")
        });
    };
    if open.roles().any(|role| role != first) {
        return Some("the neighbor announces several roles; required is one".to_owned());
    }
    let theirs = Role::from_code(first);
    let shown = theirs.map_or_else(|| format!("number {first}"), |role| role.to_string());
    (theirs != Some(wanted)).then(|| {
        format!("the neighbor's role is {shown}, ours is {own}, to which {wanted} belongs; correct one of them")
    })
}

/// RFC 5492 §5: the data lists the capabilities that are missed.
fn no_common_family(config: &SessionConfig) -> NotificationMessage {
    let mut wanted = Vec::new();
    config.offered().for_each(|family| Capability::MultiProtocol(family).encode(&mut wanted));
    NotificationMessage::unsupported_capability(&wanted)
}

fn no_common_family_text(config: &SessionConfig, open: &OpenMessage) -> String {
    let ours: Vec<_> = config.offered().map(|family| family.name()).collect();
    let theirs: Vec<_> = open.capabilities.iter().filter(|c| is_family(c)).map(Capability::to_string).collect();
    let theirs = if theirs.is_empty() { "ipv4-unicast by default".to_owned() } else { theirs.join(", ") };
    format!(
        "OPEN refused: no address family in common: configured are [{}], the neighbor offers {theirs}; configure one on both",
        ours.join(" ")
    )
}

fn is_family(capability: &Capability) -> bool {
    matches!(capability, Capability::MultiProtocol(_) | Capability::UnknownMultiProtocol { .. })
}
