//! What the rules of BGP, before any policy, make of a route on its way out: to whom it may go at all, and how its
//! attributes change (RFC 4271 §5.1, §9.2; RFC 4456 for route reflection).

use std::net::{IpAddr, Ipv4Addr};

use crate::wire::{PathAttributes, Role};

use super::as_path_rules::AsPathRules;
use super::communities;
use super::decision::LOCAL_PREFERENCE_DEFAULT;
use super::{leak, long_lived};

/// The rules that neighbours of one export group share.
#[derive(Clone, PartialEq, Eq)]
pub struct ExportRules {
    /// Within our AS.
    pub internal: bool,
    /// What becomes of AS paths.
    pub as_path: AsPathRules,
    /// They are clients of ours: the cluster.
    pub cluster: Option<Ipv4Addr>,
    /// What we are to them (RFC 9234).
    pub role: Option<Role>,
    /// The AS with which ONLY_TO_CUSTOMER marks what is told to them.
    pub local_as: u32,
    /// They know what long-lived stale routes are (RFC 9494).
    pub long_lived: bool,
    /// They do not, but are told all the same (§4.5).
    pub long_lived_partial: bool,
    /// Clients of one cluster tell each other; we need not (RFC 4456 §10).
    pub no_client_reflect: bool,
    /// Our sessions with them are about to go (RFC 8326).
    pub shutting_down: bool,
    /// They are clients of a route server (RFC 7947).
    pub route_server: bool,
    /// They are told the best BGP route where a route of another protocol is in force.
    pub advertise_inactive: bool,
}

/// Who told us a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Teller {
    /// Its address.
    pub address: IpAddr,
    /// It is of another AS.
    pub external: bool,
    /// Its BGP identifier.
    pub router_id: Ipv4Addr,
    /// It is a client of ours: the cluster.
    pub cluster: Option<Ipv4Addr>,
}

/// What reflection writes into a route (RFC 4456 §8). The same for all that one neighbour tells us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reflected {
    /// ORIGINATOR_ID, where none is there yet.
    originator: Ipv4Addr,
    /// The cluster it comes from.
    cluster: Option<Ipv4Addr>,
}

/// Whether a route may go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// It may not.
    Withheld,
    /// It may.
    Open,
    /// It may, reflected.
    Reflected(Reflected),
    /// It may, from one external neighbour to another as if we were not there (RFC 7947 §2.2).
    Transparent,
}

impl ExportRules {
    /// Whether what this neighbour told us (none: it is a route of our own) may go to the members.
    pub fn passage(&self, from: Option<&Teller>) -> Passage {
        let Some(from) = from else { return Passage::Open };
        if from.external || !self.internal {
            return if from.external && self.route_server { Passage::Transparent } else { Passage::Open };
        }
        match (from.cluster, self.cluster) {
            // RFC 4271 §9.2: what an internal neighbour told us is not told to another.
            (None, None) => Passage::Withheld,
            (Some(one), Some(other)) if one == other && self.no_client_reflect => Passage::Withheld,
            // RFC 4456 §6: from a client to everybody, from anybody else to clients.
            (cluster, _) => Passage::Reflected(Reflected { originator: from.router_id, cluster }),
        }
    }

    /// What changes before policy has its say.
    pub fn prepare(&self, attributes: &mut PathAttributes, passage: Passage) {
        if self.internal {
            // RFC 4271 §5.1.5: LOCAL_PREF is sent to internal neighbours, always.
            attributes.local_pref.get_or_insert(LOCAL_PREFERENCE_DEFAULT);
            if let Passage::Reflected(reflected) = passage {
                self.reflect(attributes, reflected);
            }
            return;
        }
        // RFC 4456 §8: reflection stays within the AS.
        attributes.originator_id = None;
        attributes.cluster_list.clear();
        if passage != Passage::Transparent {
            // §5.1.4: a MED received from one AS is not told to another.
            attributes.med = None;
            attributes.extended_communities.retain(communities::is_transitive);
            self.as_path.apply(&mut attributes.as_path);
        }
        if self.role.is_some_and(leak::marks) {
            attributes.only_to_customer.get_or_insert(self.local_as);
        }
    }

    /// RFC 4456 §8. A route that goes from one cluster of ours into another has passed both.
    fn reflect(&self, attributes: &mut PathAttributes, reflected: Reflected) {
        attributes.originator_id.get_or_insert(reflected.originator);
        let into = self.cluster.filter(|into| reflected.cluster != Some(*into));
        for cluster in reflected.cluster.into_iter().chain(into) {
            attributes.cluster_list.insert(0, cluster);
        }
    }

    /// What no policy changes.
    pub fn finish(&self, attributes: &mut PathAttributes) {
        long_lived::lower(self, attributes);
        if self.shutting_down {
            // RFC 8326 §4.2: whoever does not know the community goes by the preference, within the AS.
            communities::add(&mut attributes.communities, communities::GRACEFUL_SHUTDOWN);
            attributes.local_pref = Some(0);
        }
        if !self.internal {
            attributes.local_pref = None; // RFC 4271 §5.1.5
        }
    }
}
