//! What the TCP connections of a neighbour are protected by: how far its packets may have come, and a key.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use holdfast_proto::v1::BgpNeighborConfig;
use holdfast_rib::Rib;

use crate::wire::{Cease, NotificationMessage};

use super::Speaker;
use super::action::Rejection;
use super::limits::{TTL_DIRECT, TTL_MAX};
use super::neighbor::Neighbor;
use super::table::NeighborId;

/// A key of TCP MD5 (RFC 2385). It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthenticationKey(String);

impl AuthenticationKey {
    /// As configured; `None`: it is empty, nothing is signed.
    pub fn new(key: &str) -> Option<Self> {
        (!key.is_empty()).then(|| Self(key.to_owned()))
    }

    /// For the kernel.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for AuthenticationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(a key)")
    }
}

/// What a neighbour's connections are set up with. Both ends can be changed one after the other while a session is up: TCP repeats
/// what the other end does not take yet, and the session stays as long as that takes less than its hold time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transport {
    /// Time to live of our packets.
    pub ttl: u8,
    /// What arrives with a smaller one is dropped by the kernel (RFC 5082 §3); 0: nothing is.
    pub minimum_ttl: u8,
    /// Signs each segment.
    pub key: Option<AuthenticationKey>,
}

impl Transport {
    pub(super) fn of(config: &BgpNeighborConfig) -> Self {
        let hops = u8::try_from(config.ttl_security_hops).unwrap_or(TTL_MAX);
        Self {
            ttl: if hops > 0 { TTL_MAX } else { ttl(config) },
            minimum_ttl: if hops > 0 { TTL_MAX - hops + 1 } else { 0 },
            key: AuthenticationKey::new(&config.authentication_key),
        }
    }
}

/// Directly connected eBGP neighbours get 1, as RFC 4271 leaves to convention.
fn ttl(config: &BgpNeighborConfig) -> u8 {
    match config.multihop_ttl {
        0 if config.internal => TTL_MAX,
        0 => TTL_DIRECT,
        ttl => u8::try_from(ttl).unwrap_or(TTL_MAX),
    }
}

impl Speaker {
    /// What the neighbour's connections are to be set up with.
    pub fn transport(&self, id: NeighborId) -> Option<Transport> {
        self.get(id).map(|neighbor| Transport::of(&neighbor.config))
    }

    /// The link that a neighbour is configured on, by its present index.
    pub fn scope(&self, id: NeighborId) -> Option<u32> {
        self.get(id)?.scope
    }

    /// The neighbour's link is up; of one that need not be on a link of ours nothing is known, so it counts as up.
    pub fn link_is_up(&self, id: NeighborId, rib: &Rib) -> bool {
        self.get(id).is_some_and(|neighbor| {
            let config = &neighbor.config;
            let direct =
                if config.ttl_security_hops > 0 { config.ttl_security_hops == 1 } else { ttl(config) == TTL_DIRECT };
            (!direct && config.interface.is_empty()) || neighbor.link(rib).is_some()
        })
    }

    /// The link of a link-local neighbour by its present index: links come and go.
    pub(super) fn renew_scope(&mut self, id: NeighborId, rib: &Rib) {
        let Some(neighbor) = self.get_mut(id).filter(|neighbor| !neighbor.config.interface.is_empty()) else { return };
        let scope = rib.interface_index(&neighbor.config.interface);
        if std::mem::replace(&mut neighbor.scope, scope) != scope {
            self.decide_anew(id); // what it has told leads over another link now
        }
    }

    /// Whether a connection came from the neighbour's own link.
    pub fn refuses_link(&self, from: SocketAddr, rib: &Rib) -> Option<String> {
        let SocketAddr::V6(from) = from else { return None };
        let interface = &self.settings_of((*from.ip()).into())?.interface;
        let foreign = !interface.is_empty() && rib.interface_index(interface) != Some(from.scope_id());
        foreign.then(|| format!("it is another one with this address, not on interface {interface}"))
    }

    /// Whether a connection came to another address of ours than the neighbour's `local-address`. There it is not our end of its
    /// session: two configurations that name different addresses would take sessions from each other.
    pub fn refuses_own_end(&self, from: IpAddr, own: IpAddr) -> Option<Rejection> {
        let wanted = self.settings_of(from)?.local_address.parse::<IpAddr>().ok()?.to_canonical();
        (wanted != own.to_canonical()).then(|| Rejection {
            reason: format!(
                "it calls {own}, but local-address is {wanted}; have it call that, or change local-address"
            ),
            notification: Some(NotificationMessage::cease(Cease::ConnectionRejected)),
        })
    }

    /// Whether a connection from this address came from near enough: `ttl` is what its SYN arrived with. The kernel checks
    /// everything that comes after the connection was accepted.
    pub fn refuses_distance(&self, from: IpAddr, ttl: u8) -> Option<String> {
        let transport = Transport::of(self.settings_of(from)?);
        (ttl < transport.minimum_ttl).then(|| {
            format!(
                "its packets arrive with TTL {ttl}, ttl-security requires {}: the neighbor has to send 255 and to be no more \
                 than {} hops away",
                transport.minimum_ttl,
                TTL_MAX - transport.minimum_ttl + 1
            )
        })
    }
}

impl Neighbor {
    /// What an operator should know of a session that does not come about: the kernel drops what is not signed with our key, or
    /// comes from too far away, without a word to us.
    pub(super) fn silent_drops(&self) -> &'static str {
        match (self.config.authentication_key.is_empty(), self.config.ttl_security_hops) {
            (true, 0) => "",
            (false, 0) => {
                "; authentication-key is set: without the same key the neighbor's packets are dropped unheard"
            }
            (true, _) => "; ttl-security is set: packets of a neighbor that does not send TTL 255 are dropped unheard",
            (false, _) => {
                "; authentication-key and ttl-security are set: packets without the same key and TTL 255 are dropped unheard"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> BgpNeighborConfig {
        BgpNeighborConfig { peer_as: 65001, local_as: 65000, ..BgpNeighborConfig::default() }
    }

    #[test]
    fn ttl_follows_from_distance() {
        let of = |config: BgpNeighborConfig| {
            let transport = Transport::of(&config);
            (transport.ttl, transport.minimum_ttl)
        };
        assert_eq!(of(config()), (1, 0));
        assert_eq!(of(BgpNeighborConfig { multihop_ttl: 7, ..config() }), (7, 0));
        assert_eq!(of(BgpNeighborConfig { internal: true, multihop_ttl: 64, ..config() }), (64, 0));
        // RFC 5082 §3: all is sent with 255, and one hop takes nothing from it on the same link.
        assert_eq!(of(BgpNeighborConfig { ttl_security_hops: 1, ..config() }), (255, 255));
        assert_eq!(of(BgpNeighborConfig { ttl_security_hops: 3, ..config() }), (255, 253));
        assert_eq!(of(BgpNeighborConfig { ttl_security_hops: 254, ..config() }), (255, 2));
    }

    #[test]
    fn a_key_is_never_printed() {
        let transport = Transport::of(&BgpNeighborConfig { authentication_key: "s3cret".into(), ..config() });
        assert_eq!(transport.key.as_ref().map(AuthenticationKey::as_bytes), Some(b"s3cret".as_slice()));
        assert!(!format!("{transport:?}").contains("s3cret"));
        assert_eq!(Transport::of(&config()).key, None);
    }
}
