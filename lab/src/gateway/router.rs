//! The router's configuration.

use std::fmt::Write as _;

use super::{
    place::Role,
    scenario::{GatewayLoss, MULTIPLIER, Paths},
};
use crate::{
    subject::CONFIGURATION_HEAD,
    topology::{HOLD_TIME_S, ROUTER_AS},
};

/// The text.
pub fn configuration(scenario: &GatewayLoss) -> String {
    let mut groups = String::new();
    for role in Role::ALL {
        let _ = write!(
            groups,
            "        group {} {{
            type external;
            peer-as {};
            hold-time {HOLD_TIME_S};
            bfd-liveness-detection {{ minimum-interval {}; multiplier {MULTIPLIER}; }}
            family {{ {} {{ unicast {{ }} }} }}
            neighbor {};
        }}
",
            role.name(),
            role.peer().autonomous_system,
            scenario.bfd_ms,
            scenario.family.pick("inet", "inet6"),
            role.addresses(scenario.family).gateway,
        );
    }
    let together = match scenario.paths {
        Paths::Best => "",
        Paths::Together => "        multipath { multiple-as; maximum-paths 2; }\n",
    };
    format!(
        "{CONFIGURATION_HEAD}routing-options {{
    router-id {};
    autonomous-system {ROUTER_AS};
    nonstop-routing;
}}
protocols {{
    bgp {{
{together}{groups}    }}
}}
",
        Role::Primary.router().address,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_gateways_are_watched_and_used_as_the_scenario_says() {
        for scenario in GatewayLoss::built_in() {
            let text = configuration(&scenario);
            let ipv4 = ["neighbor 10.111.1.2;", "neighbor 10.111.2.2;", "family { inet { unicast { } } }"];
            let ipv6 = ["neighbor 2001:db8:1::2;", "neighbor 2001:db8:2::2;", "family { inet6 { unicast { } } }"];
            for part in ["peer-as 65001;", "peer-as 65002;"].iter().chain(scenario.family.pick(&ipv4, &ipv6)) {
                assert!(text.contains(part), "{part} in\n{text}");
            }
            assert_eq!(text.matches("minimum-interval 50; multiplier 3;").count(), 2);
            assert_eq!(text.contains("multipath"), scenario.paths == Paths::Together);
            assert_eq!(text.matches('{').count(), text.matches('}').count());
        }
    }
}
