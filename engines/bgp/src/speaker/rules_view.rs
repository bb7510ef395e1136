use holdfast_proto::v1::bgp_neighbor_config::RemovePrivate;

use super::neighbor::Neighbor;

impl Neighbor {
    /// What is done with its routes beside the ordinary, for operators.
    pub(super) fn route_rules(&self) -> Vec<String> {
        let mut rules = Vec::new();
        if let Some(cluster) = self.cluster() {
            let among_clients = if self.config.no_client_reflect { ", no reflection between clients" } else { "" };
            rules.push(format!("client of cluster {cluster}{among_clients}"));
        }
        if self.config.accept_remote_nexthop && !self.config.internal {
            rules.push("remote next hops accepted".into());
        }
        self.as_path_rules_in_words(&mut rules);
        self.communities_in_words(&mut rules);
        self.limits_in_words(&mut rules);
        rules
    }

    fn communities_in_words(&self, rules: &mut Vec<String>) {
        let known = self.config.well_known.unwrap_or_default();
        if known.shutting_down {
            rules.push("graceful shutdown is announced".into());
        }
        match known.preference_at_shutdown {
            None if self.config.internal => {}
            None => rules.push("graceful shutdown of the neighbor is not looked at".into()),
            Some(0) => {}
            Some(preference) => rules.push(format!("local preference {preference} at its graceful shutdown")),
        }
        if self.config.route_server_client {
            rules.push("route server client".into());
        }
        if self.config.advertise_inactive {
            rules.push("inactive routes are told".into());
        }
        if self.config.out_delay_s > 0 {
            rules.push(format!("told after {} s", self.config.out_delay_s));
        }
        if known.blackhole {
            rules.push("blackhole".into());
        }
    }

    fn as_path_rules_in_words(&self, rules: &mut Vec<String>) {
        let config = &self.config;
        if config.shown_as != 0 {
            rules.push(format!("AS {} shown behind {}", config.shown_as, config.local_as));
        }
        if config.received_behind_as != 0 {
            rules.push(format!("received behind AS {}", config.received_behind_as));
        }
        if config.own_as_loops != 0 {
            rules.push(format!("own AS allowed {} times", config.own_as_loops));
        }
        if config.no_enforce_first_as {
            rules.push("first AS not checked".into());
        }
        let done = if config.replace_private { "replaced" } else { "removed" };
        match config.remove_private() {
            RemovePrivate::No => {}
            RemovePrivate::Leading => rules.push(format!("leading private AS numbers {done}")),
            RemovePrivate::All => rules.push(format!("private AS numbers {done}")),
        }
        if config.as_override {
            rules.push(format!("AS {} replaced by {}", config.peer_as, config.local_as));
        }
    }
}
