use super::neighbor::Neighbor;

impl Neighbor {
    /// What is done with its routes beside the ordinary, for operators.
    pub(super) fn route_rules(&self) -> Vec<String> {
        let mut rules = Vec::new();
        if let Some(cluster) = self.cluster() {
            let among_clients = if self.config.no_client_reflect { ", no reflection between clients" } else { "" };
            rules.push(format!("client of cluster {cluster}{among_clients}"));
        }
        rules
    }
}
