//! What the kernel dropped without a word to us, for sessions with a key or a distance that do not come up.
//!
//! The kernel counts it for the network namespace as a whole, not by neighbour. So each such session notes where the counters stood
//! when it began to try, and an operator is told what has come to them since.

use std::collections::HashMap;
use std::net::IpAddr;

use holdfast_bgp::speaker::limits::NEIGHBORS_MAX;
use holdfast_bgp::speaker::{NeighborId, Transport};

use super::Core;

/// Of the network namespace that this thread is in.
const COUNTERS: &str = "/proc/thread-self/net/netstat";

/// Segments that the kernel dropped, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops {
    /// They bore no signature where there is a key.
    unsigned: u64,
    /// They bore one where there is no key.
    unexpected: u64,
    /// They were signed with another key.
    wrong: u64,
    /// They came from too far away.
    far: u64,
}

impl Drops {
    /// As they stand; none where the kernel does not say.
    fn read() -> Self {
        std::fs::read_to_string(COUNTERS).map(|text| Self::parse(&text)).unwrap_or_default()
    }

    /// Names in one line, values in the next, both behind the name of their group.
    fn parse(text: &str) -> Self {
        let mut lines = text.lines().filter_map(|line| line.strip_prefix("TcpExt: "));
        let (Some(names), Some(values)) = (lines.next(), lines.next()) else { return Self::default() };
        let mut drops = Self::default();
        for (name, value) in names.split_ascii_whitespace().zip(values.split_ascii_whitespace()) {
            let counter = match name {
                "TCPMD5NotFound" => &mut drops.unsigned,
                "TCPMD5Unexpected" => &mut drops.unexpected,
                "TCPMD5Failure" => &mut drops.wrong,
                "TCPMinTTLDrop" => &mut drops.far,
                _ => continue,
            };
            *counter = value.parse().unwrap_or(0);
        }
        drops
    }

    fn since(self, before: Drops) -> Drops {
        Drops {
            unsigned: self.unsigned.saturating_sub(before.unsigned),
            unexpected: self.unexpected.saturating_sub(before.unexpected),
            wrong: self.wrong.saturating_sub(before.wrong),
            far: self.far.saturating_sub(before.far),
        }
    }

    /// What an operator is told who looks for the reason; nothing where nothing was dropped.
    fn in_words(self, transport: &Transport) -> String {
        let by_key = transport.key.is_some();
        let all = [
            (by_key, self.unsigned, "without a signature"),
            (by_key, self.wrong, "signed with another key"),
            (by_key, self.unexpected, "signed where no key is expected"),
            (transport.minimum_ttl > 0, self.far, "with too low a TTL"),
        ];
        let told = all.iter().filter(|(concerns, count, _)| *concerns && *count > 0);
        let told: Vec<String> = told.map(|(_, count, what)| format!("{count} {what}")).collect();
        if told.is_empty() {
            return String::new();
        }
        format!("; meanwhile the kernel has dropped segments in this network namespace: {}", told.join(", "))
    }
}

/// Where the counters stood when sessions with a key or a distance began to try.
#[derive(Default)]
pub struct DropWatch(HashMap<IpAddr, (Transport, Drops)>);

impl Core {
    /// A configuration is in force: who is new, or protected in another way, begins to try.
    pub(super) fn watch_drops(&mut self) {
        let mut watched = HashMap::new();
        for id in self.protocols.bgp.neighbor_ids() {
            let Some((address, transport)) = self.protected(id) else { continue };
            let known = self.drops.0.remove(&address).filter(|(before, _)| *before == transport);
            watched.insert(address, known.unwrap_or_else(|| (transport, Drops::read())));
        }
        self.drops.0 = watched;
    }

    /// A session has ended, so it begins to try.
    pub(super) fn watch_drops_of(&mut self, neighbor: NeighborId) {
        let Some((address, transport)) = self.protected(neighbor) else { return };
        // Neighbours that are allowed, not configured, come and go.
        if self.drops.0.len() >= NEIGHBORS_MAX {
            let bgp = &self.protocols.bgp;
            self.drops.0.retain(|address, _| bgp.find_neighbor(*address).is_some());
        }
        self.drops.0.insert(address, (transport, Drops::read()));
    }

    /// One more sentence on why a session is not established.
    pub(super) fn drops_in_words(&self, neighbor: NeighborId) -> String {
        let watched = self.protected(neighbor).and_then(|(address, _)| self.drops.0.get(&address));
        watched.map(|(transport, before)| Drops::read().since(*before).in_words(transport)).unwrap_or_default()
    }

    /// Address and protection of a neighbour whose segments the kernel may drop.
    fn protected(&self, neighbor: NeighborId) -> Option<(IpAddr, Transport)> {
        let transport = self.protocols.bgp.transport(neighbor)?;
        let protects = transport.key.is_some() || transport.minimum_ttl > 0;
        protects.then_some((self.protocols.bgp.neighbor_address(neighbor)?, transport))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transport(key: &str, minimum_ttl: u8) -> Transport {
        Transport { key: holdfast_bgp::speaker::AuthenticationKey::new(key), minimum_ttl, ttl: 255 }
    }

    #[test]
    fn counters_are_found_by_name() {
        let text = "TcpExt: SyncookiesSent TCPMD5NotFound TCPMD5Unexpected TCPMD5Failure TCPMinTTLDrop New\n\
                    TcpExt: 9 1 2 3 4 8\nIpExt: InNoRoutes\nIpExt: 7\n";
        assert_eq!(Drops::parse(text), Drops { unsigned: 1, unexpected: 2, wrong: 3, far: 4 });
        assert_eq!(Drops::parse("TcpExt: TCPMinTTLDrop\n"), Drops::default(), "cut short");
        assert_eq!(Drops::parse(""), Drops::default());
    }

    #[test]
    fn what_concerns_the_session_is_said() {
        let (before, after) =
            (Drops { wrong: 5, ..Drops::default() }, Drops { unsigned: 2, unexpected: 0, wrong: 8, far: 4 });
        let drops = after.since(before);
        let words = |drops: Drops, key, minimum| drops.in_words(&transport(key, minimum));
        let begin = "; meanwhile the kernel has dropped segments in this network namespace: ";
        assert_eq!(words(drops, "k", 0), format!("{begin}2 without a signature, 3 signed with another key"));
        assert_eq!(words(drops, "", 255), format!("{begin}4 with too low a TTL"));
        assert_eq!(words(Drops::default(), "k", 255), "");
        assert_eq!(words(before.since(after), "k", 255), "", "counters of another namespace");
    }
}
