//! The router's configuration in an interoperation scenario.

use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::{
    chapter::Chapter,
    features::Feature,
    peer::{PeerPlan, Session},
    place::link_session,
    scenario::Kind,
};
use crate::subject::CONFIGURATION_HEAD;

/// The router's AS number.
pub const AUTONOMOUS_SYSTEM: u32 = 65_000;
/// The router's identifier.
pub const ID: Ipv4Addr = Ipv4Addr::new(10, 113, 255, 1);

/// The text.
pub fn configuration(plans: &[PeerPlan], chapter: &dyn Chapter) -> String {
    let mut groups = String::new();
    for plan in plans {
        for session in &plan.sessions {
            let kind = if plan.is_internal() { "internal" } else { "external" };
            let family = session.family.pick("inet", "inet6");
            let _ = writeln!(groups, "        group {}-{family} {{", plan.maker.name());
            let _ = writeln!(groups, "            type {kind};");
            if !plan.is_internal() {
                let _ = writeln!(groups, "            peer-as {};", plan.autonomous_system);
            }
            if let Some(hops) = plan.multihop {
                let _ = writeln!(groups, "            local-address {};", session.router);
                let _ = writeln!(groups, "            multihop {{\n                ttl {hops};\n            }}");
            }
            let _ = writeln!(groups, "            {}", chapter.group(plan, session));
            let _ = writeln!(groups, "            hold-time {};", plan.hold_time_s);
            // RFC 8950.
            let by_inet6 = if family == "inet" && session.local.is_ipv6() { "extended-nexthop;" } else { "" };
            let _ = writeln!(
                groups,
                "            family {{\n                {family} {{\n                    unicast {{ {} {by_inet6} }}\n                }}\n            }}",
                chapter.family(plan)
            );
            let _ = writeln!(groups, "            {}\n        }}", neighbor(plan, session));
        }
    }
    let static_routes = static_routes(plans);
    let (options, policies, protocol) = (chapter.options(), chapter.policies(), chapter.protocol());
    format!(
        "{CONFIGURATION_HEAD}routing-options {{
    router-id {ID};
    autonomous-system {AUTONOMOUS_SYSTEM};
    nonstop-routing;
{static_routes}{options}}}
{policies}protocols {{
    bgp {{
{protocol}{groups}    }}
}}
"
    )
}

/// The statement that names a neighbour, unless whoever comes is one.
fn neighbor(plan: &PeerPlan, session: &Session) -> String {
    let Session { local, router, .. } = session;
    if plan.has(Feature::Allowed) {
        format!("allow {} limit 1;", network(*local))
    } else if session.is_link_local() {
        format!("local-address {router}; neighbor {local} {{ interface to-{}; }}", plan.maker.name())
    } else if plan.kind == Kind::Inet6 {
        format!("local-address {router}; neighbor {local};")
    } else {
        format!("neighbor {local};")
    }
}

/// The network of a link, by an address on it.
fn network(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            format!("{}/24", Ipv4Addr::new(a, b, c, 0))
        }
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{}/64", Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

/// To the loopbacks of neighbours that are not on a link.
fn static_routes(plans: &[PeerPlan]) -> String {
    let mut lines = [String::new(), String::new()];
    for plan in plans.iter().filter(|plan| plan.multihop.is_some()) {
        for session in &plan.sessions {
            let (line, length) = (&mut lines[session.family as usize], session.family.pick(32, 128));
            let over = link_session(session.family, plan.index).local;
            let _ = writeln!(line, "            route {}/{length} next-hop {over};", session.local);
        }
    }
    let [inet, inet6] = &lines;
    let mut out = String::new();
    if !inet.is_empty() {
        let _ = writeln!(out, "    static {{\n{inet}    }}");
    }
    if !inet6.is_empty() {
        let _ = writeln!(out, "    rib inet6.0 {{\n        static {{\n{inet6}        }}\n    }}");
    }
    out
}
