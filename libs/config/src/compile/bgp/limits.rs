//! Prefix limits. As the families, those of the nearest level that states families count.

use holdfast_proto::v1::{self, bgp_neighbor_config::PrefixLimit};

use super::{Levels, UNICAST, states_families};
use crate::tree::View;

/// Junos warns from there on.
const WARN_PERCENT_DEFAULT: u32 = 75;

pub(super) fn prefix_limits(levels: Levels<'_>) -> Vec<PrefixLimit> {
    let Some(level) = states_families(levels) else { return Vec::new() };
    let mut limits = Vec::new();
    for (name, family) in UNICAST {
        let Some(unicast) = level.at(&["family", name, "unicast"]) else { continue };
        for (statement, accepted) in [("prefix-limit", false), ("accepted-prefix-limit", true)] {
            limits.extend(unicast.get(statement).and_then(|limit| prefix_limit(limit, family, accepted)));
        }
    }
    limits
}

fn prefix_limit(limit: View<'_>, family: v1::AddressFamily, accepted: bool) -> Option<PrefixLimit> {
    let teardown = limit.get("teardown");
    let minutes = |timeout: &str| if timeout == "forever" { Some(0) } else { timeout.parse().ok() };
    Some(PrefixLimit {
        family: family.into(),
        accepted,
        maximum: limit.number("maximum")?,
        warn_percent: teardown.and_then(|teardown| teardown.number("percent")).unwrap_or(WARN_PERCENT_DEFAULT),
        teardown: teardown.is_some(),
        idle_minutes: teardown.and_then(|teardown| teardown.text("idle-timeout")).and_then(minutes),
        drop_excess: limit.has("drop-excess"),
    })
}
