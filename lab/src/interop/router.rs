//! The router's configuration in an interoperation scenario.

use std::fmt::Write as _;

use super::{peer::PeerPlan, place::link_session};
use crate::subject::CONFIGURATION_HEAD;

/// The router's AS number.
pub const AUTONOMOUS_SYSTEM: u32 = 65_000;
/// By policy: what every route learned gets.
pub const LOCAL_PREFERENCE: u32 = 250;
/// By policy: the community that every route learned gets, 65000:999.
pub const ADDED: u32 = AUTONOMOUS_SYSTEM << 16 | 999;
/// By policy: the MED that external neighbours are told.
pub const METRIC: u32 = 50;
/// By policy: numbers in front of the path that external neighbours are told, before the router's own.
pub const PREPENDED: [u32; 2] = [AUTONOMOUS_SYSTEM; 2];

const POLICIES: &str = "policy-options {
    community ADDED members 65000:999;
    policy-statement LEARNED { term all { then { local-preference 250; community add ADDED; accept; } } }
    policy-statement TOLD { term bgp { from { protocol bgp; } then { metric 50; as-path-prepend \"65000 65000\"; accept; } } }
}
";

/// The text.
pub fn configuration(plans: &[PeerPlan], policies: bool) -> String {
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
            if policies {
                groups.push_str("            import LEARNED;\n");
            }
            if policies && !plan.is_internal() {
                groups.push_str("            export TOLD;\n");
            }
            let _ = writeln!(groups, "            hold-time {};", plan.hold_time_s);
            let _ = writeln!(
                groups,
                "            family {{\n                {family} {{\n                    unicast;\n                }}\n            }}"
            );
            let _ = writeln!(groups, "            neighbor {};\n        }}", session.local);
        }
    }
    let static_routes = static_routes(plans);
    let policies = if policies { POLICIES } else { "" };
    format!(
        "{CONFIGURATION_HEAD}routing-options {{
    router-id 10.113.255.1;
    autonomous-system {AUTONOMOUS_SYSTEM};
    nonstop-routing;
{static_routes}}}
{policies}protocols {{
    bgp {{
{groups}    }}
}}
"
    )
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
