//! A neighbour who speaks raw BGP: it says what a test tells it to and keeps a table of what it hears.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::wire::{
    AsPath, Capability, Family, Format, HEADER_LEN, LongLived, MessageType, Negotiated, NextHop, NotificationMessage,
    OpenMessage, PathAttributes, RefreshMark, RouteRefresh, Update, decode_route_refresh, encode_announce,
    encode_end_of_rib, encode_keepalive, encode_refresh_mark, encode_route_refresh, encode_withdraw, frame,
};

/// A route as it came over the wire: canonical attributes and next hop.
pub type Heard = (Vec<u8>, NextHop);

/// One neighbour.
pub struct Peer {
    pub address: IpAddr,
    pub v6: Ipv6Addr,
    pub open: OpenMessage,
    /// Nobody answers at this address.
    pub away: bool,
    /// What goes to the router.
    pub out: Vec<u8>,
    pub negotiated: Option<Negotiated>,
    /// What the router has told in this session, by prefix and path identifier; 0 where there are none.
    pub paths: BTreeMap<(IpNet, u32), Heard>,
    /// The same where there are none.
    pub table: BTreeMap<IpNet, Heard>,
    /// What this neighbour has told in this session.
    pub told: BTreeMap<IpNet, Heard>,
    pub ends_of_rib: [u32; 2],
    /// UPDATEs heard in all sessions, End-of-RIB not counted.
    pub updates: u64,
    /// Routes heard that were the same before.
    pub repeated: u64,
    /// Withdrawals of what was not there.
    pub idle_withdrawals: u64,
    pub notifications: Vec<NotificationMessage>,
    /// Requests and marks.
    pub refreshes: Vec<RouteRefresh>,
    pub sessions: u32,
    /// The router's last OPEN.
    pub heard_open: Option<OpenMessage>,
}

impl Peer {
    pub fn new(index: u8, asn: u32) -> Peer {
        Peer {
            address: IpAddr::V4(Ipv4Addr::new(10, 0, 0, index)),
            v6: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(index)),
            open: OpenMessage {
                autonomous_system: asn,
                hold_time_s: 90,
                router_id: Ipv4Addr::new(192, 0, 2, index),
                capabilities: vec![
                    Capability::MultiProtocol(Family::Ipv4Unicast),
                    Capability::MultiProtocol(Family::Ipv6Unicast),
                    Capability::RouteRefresh,
                    Capability::FourOctetAs(asn),
                ],
            },
            away: false,
            out: Vec::new(),
            negotiated: None,
            paths: BTreeMap::new(),
            table: BTreeMap::new(),
            told: BTreeMap::new(),
            ends_of_rib: [0; 2],
            updates: 0,
            repeated: 0,
            idle_withdrawals: 0,
            notifications: Vec::new(),
            refreshes: Vec::new(),
            sessions: 0,
            heard_open: None,
        }
    }

    /// Announces graceful restart for these families.
    pub fn with_graceful_restart(mut self, families: &[(Family, bool)], time_s: u16) -> Peer {
        self.set_graceful_restart(families, time_s);
        self
    }

    pub fn set_graceful_restart(&mut self, families: &[(Family, bool)], time_s: u16) {
        let families = families.to_vec();
        self.open.capabilities.retain(|c| !matches!(c, Capability::GracefulRestart { .. }));
        self.open.capabilities.push(Capability::GracefulRestart {
            restarting: false,
            notification: false,
            time_s,
            families,
        });
    }

    /// Keeps routes over a NOTIFICATION (RFC 8538).
    pub fn with_notification_restart(mut self) -> Peer {
        for capability in &mut self.open.capabilities {
            if let Capability::GracefulRestart { notification, .. } = capability {
                *notification = true;
            }
        }
        self
    }

    /// Keeps routes beyond graceful restart (RFC 9494), and asks for so long.
    pub fn with_long_life(mut self, time_s: [u32; 2]) -> Peer {
        let entry = |family: Family| LongLived { family, forwarding_kept: true, time_s: time_s[family.index()] };
        self.open.capabilities.push(Capability::LongLivedGracefulRestart(Family::ALL.map(entry).to_vec()));
        self
    }

    /// Marks begin and end of a refresh (RFC 7313).
    pub fn with_enhanced_refresh(mut self) -> Peer {
        self.open.capabilities.push(Capability::EnhancedRouteRefresh);
        self
    }

    /// Offers several paths (RFC 7911 §4): 1 to receive them, 2 to send, 3 both.
    pub fn with_add_path(mut self, mode: u8) -> Peer {
        self.open.capabilities.push(Capability::AddPath(vec![(1, 1, mode), (2, 1, mode)]));
        self
    }

    /// Knows AS numbers of two octets only.
    pub fn old(mut self) -> Peer {
        self.open.capabilities.retain(|capability| !matches!(capability, Capability::FourOctetAs(_)));
        self
    }

    pub fn is_up(&self) -> bool {
        self.negotiated.is_some()
    }

    /// A connection is there.
    pub fn connected(&mut self) {
        self.disconnected();
        self.sessions += 1;
        self.out = self.open.encode();
    }

    /// It is gone.
    pub fn disconnected(&mut self) {
        self.out.clear();
        self.negotiated = None;
        self.paths.clear();
        self.table.clear();
        self.told.clear();
        self.ends_of_rib = [0; 2];
    }

    /// Takes what the router wrote.
    pub fn hear(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (length, kind) = frame(rest).expect("the router writes BGP").expect("whole messages");
            let body = &rest[HEADER_LEN..length];
            match kind {
                MessageType::Open => {
                    let remote = OpenMessage::decode(body).expect("an OPEN");
                    self.negotiated = Some(Negotiated::from_opens(&self.open, &remote));
                    self.heard_open = Some(remote);
                    self.keepalive();
                }
                MessageType::Update => self.update(body),
                MessageType::RouteRefresh => self.refreshes.push(decode_route_refresh(body).expect("well-formed")),
                MessageType::Notification => self.notifications.push(NotificationMessage::decode(body)),
                _ => {}
            }
            rest = &rest[length..];
        }
    }

    fn update(&mut self, body: &[u8]) {
        let negotiated = self.negotiated.as_ref().expect("OPEN comes first");
        let update = Update::parse(body, negotiated).expect("a well-formed UPDATE");
        assert_eq!(update.treat_as_withdraw, None);
        assert!(update.discarded.is_empty(), "{:?}", update.discarded);
        if let Some(family) = update.end_of_rib() {
            self.ends_of_rib[family.index()] += 1;
            return;
        }
        self.updates += 1;
        for family in Family::ALL {
            for (identifier, prefix) in update.withdrawn(family).identified() {
                self.idle_withdrawals += u64::from(self.paths.remove(&(prefix, identifier)).is_none());
                self.table.remove(&prefix);
            }
            let (Some(block), Some(next_hop)) = (&update.attributes, update.next_hop(family)) else { continue };
            for (identifier, prefix) in update.announced(family).identified() {
                let heard = (block.to_vec(), next_hop);
                if identifier == 0 {
                    self.table.insert(prefix, heard.clone());
                }
                self.repeated += u64::from(self.paths.insert((prefix, identifier), heard.clone()) == Some(heard));
            }
        }
    }

    pub fn keepalive(&mut self) {
        encode_keepalive(&mut self.out);
    }

    /// Our AS alone, and what belongs on every route.
    pub fn attributes(&self, path: &[u32]) -> PathAttributes {
        let internal = self.negotiated.as_ref().is_some_and(|negotiated| negotiated.internal);
        PathAttributes {
            as_path: AsPath::sequence(path),
            local_pref: internal.then_some(100),
            ..PathAttributes::default()
        }
    }

    /// The next hop under which this neighbour announces.
    pub fn next_hop(&self, family: Family) -> NextHop {
        match (family, self.address) {
            (Family::Ipv4Unicast, IpAddr::V4(address)) => NextHop::V4(address),
            _ => NextHop::V6 { global: self.v6, link_local: None },
        }
    }

    /// Announces prefixes, all with the same attributes.
    pub fn announce(&mut self, prefixes: &[&str], attributes: &PathAttributes) {
        for prefix in prefixes {
            let prefix: IpNet = prefix.parse().unwrap();
            let next_hop = self.next_hop(Family::of(&prefix));
            self.announce_via(&[prefix], attributes, next_hop);
        }
    }

    /// The same with any next hop; one family at a time.
    pub fn announce_via(&mut self, prefixes: &[IpNet], attributes: &PathAttributes, next_hop: NextHop) {
        self.announce_path(1, prefixes, attributes, next_hop);
    }

    /// What a path is called in a message: nothing, if the router was not told to expect it.
    fn called(&self, identifier: u32, prefix: &IpNet) -> (Option<u32>, IpNet) {
        let sends = |negotiated: &Negotiated| negotiated.sends_paths[Family::of(prefix).index()];
        (self.negotiated.as_ref().is_some_and(sends).then_some(identifier), *prefix)
    }

    /// One of several paths to each prefix.
    pub fn announce_path(
        &mut self,
        identifier: u32,
        prefixes: &[IpNet],
        attributes: &PathAttributes,
        next_hop: NextHop,
    ) {
        let Some(negotiated) = &self.negotiated else { return };
        let block = attributes.encode();
        let routes: Vec<_> = prefixes.iter().map(|prefix| self.called(identifier, prefix)).collect();
        let mut rest = routes.as_slice();
        while !rest.is_empty() {
            let family = Family::of(&rest[0].1);
            let taken =
                encode_announce(&mut self.out, family, &block, next_hop, rest, negotiated.format()).expect("room");
            rest = &rest[taken..];
        }
        self.told.extend(prefixes.iter().map(|prefix| (*prefix, (block.to_vec(), next_hop))));
    }

    pub fn withdraw(&mut self, prefixes: &[&str]) {
        let nets: Vec<IpNet> = prefixes.iter().map(|prefix| prefix.parse().unwrap()).collect();
        for net in nets {
            self.withdraw_net(net);
        }
    }

    pub fn withdraw_net(&mut self, net: IpNet) {
        self.withdraw_path(1, net);
    }

    /// One of several paths to a prefix.
    pub fn withdraw_path(&mut self, identifier: u32, net: IpNet) {
        let route = self.called(identifier, &net);
        encode_withdraw(&mut self.out, Family::of(&net), &[route], Format::plain(true));
        self.told.remove(&net);
    }

    /// The AS paths of what the router told about one destination, with what it calls them.
    pub fn paths_to(&self, prefix: &str) -> Vec<(u32, String)> {
        let prefix: IpNet = prefix.parse().unwrap();
        let paths = self.paths.range((prefix, 0)..=(prefix, u32::MAX));
        let text = |block: &[u8]| PathAttributes::decode(block).unwrap().as_path.to_string();
        paths.map(|((_, identifier), (block, _))| (*identifier, text(block))).collect()
    }

    pub fn end_of_rib(&mut self, family: Family) {
        encode_end_of_rib(&mut self.out, family);
    }

    pub fn ask_refresh(&mut self, family: Family) {
        encode_route_refresh(&mut self.out, family);
    }

    /// Begins or ends to tell everything again.
    pub fn mark_refresh(&mut self, family: Family, mark: RefreshMark) {
        encode_refresh_mark(&mut self.out, family, mark);
    }

    /// What the router told about one destination.
    pub fn route(&self, prefix: &str) -> Option<(PathAttributes, IpAddr)> {
        let (block, next_hop) = self.table.get(&prefix.parse().unwrap())?;
        Some((PathAttributes::decode(block).unwrap(), next_hop.address()))
    }

    pub fn has(&self, prefix: &str) -> bool {
        self.route(prefix).is_some()
    }

    /// AS path of one destination, as text; empty: there is none.
    pub fn path(&self, prefix: &str) -> String {
        self.route(prefix).map(|(attributes, _)| attributes.as_path.to_string()).unwrap_or_default()
    }
}
