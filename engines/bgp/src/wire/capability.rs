//! Capabilities (RFC 5492): what a speaker can do beyond RFC 4271, offered in its OPEN.

use super::role::Role;
use holdfast_rib::Family;
use std::fmt;

/// A pair of families for which a next hop of another family may be used (RFC 8950 §4).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ExtendedNextHopEntry {
    /// AFI of the prefixes.
    pub afi: u16,
    /// SAFI of the prefixes, two octets here.
    pub safi: u16,
    /// AFI of the next hop.
    pub next_hop_afi: u16,
}

impl ExtendedNextHopEntry {
    /// The one pair that Holdfast uses.
    pub const IPV4_BY_IPV6: ExtendedNextHopEntry = ExtendedNextHopEntry { afi: 1, safi: 1, next_hop_afi: 2 };
}

/// How long routes of a family may stay as stale when graceful restart is over (RFC 9494 §3.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LongLived {
    /// The family.
    pub family: Family,
    /// Forwarding state was kept over the last restart.
    pub forwarding_kept: bool,
    /// Long-lived Stale Time in seconds, 24 bits; 0: the speaker helps others only.
    pub time_s: u32,
}

/// One capability. What is not understood, or is malformed, is kept as it came and takes no effect.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Capability {
    /// Routes of this family (RFC 4760 §8).
    MultiProtocol(Family),
    /// Routes of a family that is not ours.
    UnknownMultiProtocol {
        /// Address Family Identifier.
        afi: u16,
        /// Subsequent Address Family Identifier.
        safi: u8,
    },
    /// ROUTE-REFRESH is understood (RFC 2918).
    RouteRefresh,
    /// ROUTE-REFRESH marks begin and end (RFC 7313).
    EnhancedRouteRefresh,
    /// AS numbers of four octets, and the speaker's own (RFC 6793).
    FourOctetAs(u32),
    /// Graceful restart (RFC 4724); without families: the speaker helps others and sends End-of-RIB.
    GracefulRestart {
        /// The speaker has restarted and wants our End-of-RIB first.
        restarting: bool,
        /// NOTIFICATION does not end graceful restart (RFC 8538).
        notification: bool,
        /// Seconds until the session should be back; 12 bits.
        time_s: u16,
        /// Families, each with "forwarding state was kept". Families that are not ours are left out.
        families: Vec<(Family, bool)>,
    },
    /// Long-lived graceful restart (RFC 9494 §3.1). Families that are not ours are left out.
    LongLivedGracefulRestart(Vec<LongLived>),
    /// Messages of up to 65,535 octets (RFC 8654).
    ExtendedMessage,
    /// What the speaker is to its neighbour (RFC 9234 §4.1): the number of a [`Role`].
    Role(u8),
    /// Several paths per prefix (RFC 7911): AFI, SAFI, send/receive.
    AddPath(Vec<(u16, u8, u8)>),
    /// IPv6 next hops for IPv4 prefixes and the like (RFC 8950).
    ExtendedNextHop(Vec<ExtendedNextHopEntry>),
    /// Anything else.
    Unknown {
        /// Capability code.
        code: u8,
        /// Its value.
        data: Vec<u8>,
    },
}

const MULTI_PROTOCOL: u8 = 1;
const ROUTE_REFRESH: u8 = 2;
const EXTENDED_NEXT_HOP: u8 = 5;
const EXTENDED_MESSAGE: u8 = 6;
const ROLE: u8 = 9;
const GRACEFUL_RESTART: u8 = 64;
pub(crate) const FOUR_OCTET_AS: u8 = 65;
const ADD_PATH: u8 = 69;
const ENHANCED_ROUTE_REFRESH: u8 = 70;
const LONG_LIVED: u8 = 71;

/// [`Capability::AddPath`]: several paths are understood (RFC 7911 §4).
pub(crate) const ADD_PATH_RECEIVE: u8 = 1;
/// Several paths are told.
pub(crate) const ADD_PATH_SEND: u8 = 2;

const RESTART_STATE: u16 = 0x8000;
const RESTART_NOTIFICATION: u16 = 0x4000;
const RESTART_TIME_MASK: u16 = 0x0fff;
const FORWARDING_KEPT: u8 = 0x80;

impl Capability {
    /// Reads a value. Never fails: a value that does not fit its code becomes [`Capability::Unknown`].
    pub(crate) fn decode(code: u8, data: &[u8]) -> Capability {
        Self::decode_known(code, data).unwrap_or_else(|| Capability::Unknown { code, data: data.to_vec() })
    }

    fn decode_known(code: u8, data: &[u8]) -> Option<Capability> {
        Some(match (code, data) {
            (MULTI_PROTOCOL, &[a, b, _, safi]) => {
                let afi = u16::from_be_bytes([a, b]);
                match Family::from_afi_safi(afi, safi) {
                    Some(family) => Capability::MultiProtocol(family),
                    None => Capability::UnknownMultiProtocol { afi, safi },
                }
            }
            (ROUTE_REFRESH, []) => Capability::RouteRefresh,
            (ENHANCED_ROUTE_REFRESH, []) => Capability::EnhancedRouteRefresh,
            (EXTENDED_MESSAGE, []) => Capability::ExtendedMessage,
            (ROLE, &[role]) => Capability::Role(role),
            (FOUR_OCTET_AS, &[a, b, c, d]) => Capability::FourOctetAs(u32::from_be_bytes([a, b, c, d])),
            (GRACEFUL_RESTART, &[a, b, ref families @ ..]) if families.len() % 4 == 0 => {
                Self::graceful_restart(u16::from_be_bytes([a, b]), families)
            }
            (LONG_LIVED, entries) if entries.len() % 7 == 0 => {
                Capability::LongLivedGracefulRestart(entries.chunks_exact(7).filter_map(long_lived).collect())
            }
            (ADD_PATH, entries) if entries.len() % 4 == 0 => {
                let read = |e: &[u8]| (u16::from_be_bytes([e[0], e[1]]), e[2], e[3]);
                Capability::AddPath(entries.chunks_exact(4).map(read).collect())
            }
            (EXTENDED_NEXT_HOP, entries) if entries.len() % 6 == 0 => {
                let read = |e: &[u8]| ExtendedNextHopEntry {
                    afi: u16::from_be_bytes([e[0], e[1]]),
                    safi: u16::from_be_bytes([e[2], e[3]]),
                    next_hop_afi: u16::from_be_bytes([e[4], e[5]]),
                };
                Capability::ExtendedNextHop(entries.chunks_exact(6).map(read).collect())
            }
            _ => return None,
        })
    }

    fn graceful_restart(flags_and_time: u16, families: &[u8]) -> Capability {
        let known = |e: &[u8]| {
            let family = Family::from_afi_safi(u16::from_be_bytes([e[0], e[1]]), e[2])?;
            Some((family, e[3] & FORWARDING_KEPT != 0))
        };
        Capability::GracefulRestart {
            restarting: flags_and_time & RESTART_STATE != 0,
            notification: flags_and_time & RESTART_NOTIFICATION != 0,
            time_s: flags_and_time & RESTART_TIME_MASK,
            families: families.chunks_exact(4).filter_map(known).collect(),
        }
    }

    /// Appends code, length and value. A value is never longer than 255 octets: it was read from such a field or made here;
    /// lists that somebody made longer are cut.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[self.code(), 0]);
        self.encode_value(out);
        out.truncate(start + 2 + 255);
        out[start + 1] = (out.len() - start - 2) as u8;
    }

    fn code(&self) -> u8 {
        match self {
            Capability::MultiProtocol(_) | Capability::UnknownMultiProtocol { .. } => MULTI_PROTOCOL,
            Capability::RouteRefresh => ROUTE_REFRESH,
            Capability::EnhancedRouteRefresh => ENHANCED_ROUTE_REFRESH,
            Capability::FourOctetAs(_) => FOUR_OCTET_AS,
            Capability::GracefulRestart { .. } => GRACEFUL_RESTART,
            Capability::ExtendedMessage => EXTENDED_MESSAGE,
            Capability::Role(_) => ROLE,
            Capability::LongLivedGracefulRestart(_) => LONG_LIVED,
            Capability::AddPath(_) => ADD_PATH,
            Capability::ExtendedNextHop(_) => EXTENDED_NEXT_HOP,
            Capability::Unknown { code, .. } => *code,
        }
    }

    fn encode_value(&self, out: &mut Vec<u8>) {
        match self {
            Capability::MultiProtocol(family) => {
                out.extend_from_slice(&family.afi().to_be_bytes());
                out.extend_from_slice(&[0, family.safi()]);
            }
            Capability::UnknownMultiProtocol { afi, safi } => {
                out.extend_from_slice(&afi.to_be_bytes());
                out.extend_from_slice(&[0, *safi]);
            }
            Capability::FourOctetAs(asn) => out.extend_from_slice(&asn.to_be_bytes()),
            Capability::GracefulRestart { restarting, notification, time_s, families } => {
                let mut word = time_s & RESTART_TIME_MASK;
                word |= if *restarting { RESTART_STATE } else { 0 };
                word |= if *notification { RESTART_NOTIFICATION } else { 0 };
                out.extend_from_slice(&word.to_be_bytes());
                for (family, kept) in families {
                    out.extend_from_slice(&family.afi().to_be_bytes());
                    out.extend_from_slice(&[family.safi(), if *kept { FORWARDING_KEPT } else { 0 }]);
                }
            }
            Capability::LongLivedGracefulRestart(entries) => {
                for entry in entries {
                    out.extend_from_slice(&entry.family.afi().to_be_bytes());
                    let kept = if entry.forwarding_kept { FORWARDING_KEPT } else { 0 };
                    out.extend_from_slice(&[entry.family.safi(), kept]);
                    out.extend_from_slice(&entry.time_s.to_be_bytes()[1..]);
                }
            }
            Capability::AddPath(entries) => {
                for (afi, safi, mode) in entries {
                    out.extend_from_slice(&afi.to_be_bytes());
                    out.extend_from_slice(&[*safi, *mode]);
                }
            }
            Capability::ExtendedNextHop(entries) => {
                for field in entries.iter().flat_map(|e| [e.afi, e.safi, e.next_hop_afi]) {
                    out.extend_from_slice(&field.to_be_bytes());
                }
            }
            Capability::Role(role) => out.push(*role),
            Capability::Unknown { data, .. } => out.extend_from_slice(data),
            Capability::RouteRefresh | Capability::EnhancedRouteRefresh | Capability::ExtendedMessage => {}
        }
    }
}

/// One entry of the long-lived graceful restart capability; `None`: not a family of ours.
fn long_lived(entry: &[u8]) -> Option<LongLived> {
    let &[a, b, safi, flags, high, middle, low] = entry else { return None };
    Some(LongLived {
        family: Family::from_afi_safi(u16::from_be_bytes([a, b]), safi)?,
        forwarding_kept: flags & FORWARDING_KEPT != 0,
        time_s: u32::from_be_bytes([0, high, middle, low]),
    })
}

/// Capabilities of the IANA registry that neighbours are seen to send and that say nothing to us.
fn name_of_unused(code: u8) -> Option<&'static str> {
    Some(match code {
        3 => "outbound route filtering",
        8 => "multiple labels",
        67 => "dynamic capability",
        68 => "multisession",
        73 => "host name",
        75 => "software version",
        76 => "paths limit",
        128 => "route-refresh from before RFC 2918",
        129 | 130 => "outbound route filtering from before RFC 5291",
        131 => "multisession from before its standard",
        _ => return None,
    })
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Capability::MultiProtocol(family) => write!(f, "multiprotocol {}", family.name()),
            Capability::UnknownMultiProtocol { afi, safi } => {
                write!(f, "multiprotocol afi {afi} safi {safi}")
            }
            Capability::RouteRefresh => f.write_str("route-refresh"),
            Capability::EnhancedRouteRefresh => f.write_str("enhanced route-refresh"),
            Capability::FourOctetAs(asn) => write!(f, "4-octet AS {asn}"),
            Capability::GracefulRestart { restarting, notification, time_s, families } => {
                write!(f, "graceful-restart {time_s} s")?;
                if *restarting {
                    f.write_str(", restarting")?;
                }
                if *notification {
                    f.write_str(", survives NOTIFICATION")?;
                }
                if families.is_empty() {
                    f.write_str(", helper only")?;
                }
                for (family, kept) in families {
                    f.write_str(", ")?;
                    f.write_str(family.name())?;
                    f.write_str(if *kept { " (forwarding kept)" } else { "" })?;
                }
                Ok(())
            }
            Capability::LongLivedGracefulRestart(entries) => {
                f.write_str("long-lived graceful-restart")?;
                entries.iter().try_for_each(|entry| {
                    let kept = if entry.forwarding_kept { " (forwarding kept)" } else { "" };
                    write!(f, ", {} {} s{kept}", entry.family.name(), entry.time_s)
                })
            }
            Capability::ExtendedMessage => f.write_str("extended message"),
            Capability::Role(code) => match Role::from_code(*code) {
                Some(role) => write!(f, "role {role}"),
                None => write!(f, "role number {code}"),
            },
            Capability::AddPath(entries) => {
                f.write_str("add-path")?;
                entries.iter().try_for_each(|(afi, safi, mode)| {
                    let mode =
                        ["neither", "receive", "send", "send and receive"].get(usize::from(*mode)).unwrap_or(&"?");
                    match Family::from_afi_safi(*afi, *safi) {
                        Some(family) => write!(f, ", {} {mode}", family.name()),
                        None => write!(f, ", afi {afi} safi {safi} {mode}"),
                    }
                })
            }
            Capability::ExtendedNextHop(entries) => {
                f.write_str("extended next hop")?;
                entries.iter().try_for_each(|e| write!(f, ", afi {} safi {} by afi {}", e.afi, e.safi, e.next_hop_afi))
            }
            Capability::Unknown { code, data } => match name_of_unused(*code) {
                Some(name) => write!(f, "{name} (capability {code}, not used)"),
                None => write!(f, "capability {code} ({} octets)", data.len()),
            },
        }
    }
}
