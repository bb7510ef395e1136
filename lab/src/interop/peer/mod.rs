//! Routers of other makes, each told the same in its own language and asked by its own tools.
//!
//! Another make is another file here: a type that implements [`Peer`], and a line in [`Maker`].

mod bird;
mod exabgp;
mod frr;
mod gobgp;

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    str::FromStr,
};

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use super::{
    features::{Feature, Role},
    offer::{Family, Offer},
    scenario::Kind,
    seen::{Seen, Table},
};
use crate::{
    error::{Doing, LabError, Result},
    host::{
        netns::Namespace,
        process::{self, Guarded},
        programs,
    },
};

/// Who made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Maker {
    /// FRRouting's bgpd.
    Frr,
    /// BIRD 2.
    Bird,
    /// GoBGP.
    Gobgp,
    /// ExaBGP.
    Exabgp,
}

impl Maker {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Frr, Self::Bird, Self::Gobgp, Self::Exabgp];

    /// Its name on the command line and in names of nodes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Frr => "frr",
            Self::Bird => "bird",
            Self::Gobgp => "gobgp",
            Self::Exabgp => "exabgp",
        }
    }

    /// As its makers write it.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Frr => "FRR",
            Self::Bird => "BIRD",
            Self::Gobgp => "GoBGP",
            Self::Exabgp => "ExaBGP",
        }
    }

    /// Fails if its programs are missing.
    pub fn check_installed(self) -> Result<()> {
        let programs: &[programs::Program] = match self {
            Self::Frr => &[programs::BGPD, programs::VTYSH],
            Self::Bird => &[programs::BIRD, programs::BIRDC],
            Self::Gobgp => &[programs::GOBGPD, programs::GOBGP],
            Self::Exabgp => &[programs::EXABGP],
        };
        programs.iter().try_for_each(|program| program.find().map(drop))
    }

    /// Why an offer cannot be made by it, if so.
    pub fn cannot_offer(self, offer: &Offer) -> Option<&'static str> {
        match self {
            Self::Frr if !offer.set.is_empty() => Some("FRR's route maps put no AS_SET into a path"),
            Self::Bird if !offer.set.is_empty() => Some("BIRD's filters put no AS_SET into a path"),
            Self::Frr | Self::Bird | Self::Gobgp if offer.originator.is_some() || !offer.clusters.is_empty() => {
                Some("it sets ORIGINATOR_ID and CLUSTER_LIST of what it reflects only")
            }
            _ => None,
        }
    }

    /// Why it cannot be made to ask for everything again, if so.
    pub fn cannot_ask(self) -> Option<&'static str> {
        match self {
            Self::Gobgp => Some("GoBGP's soft reset judges anew what it has heard, and asks for nothing"),
            _ => None,
        }
    }

    /// Why it must not be asked for everything again, if so.
    pub fn cannot_answer(self) -> Option<&'static str> {
        match self {
            Self::Exabgp => Some("ExaBGP 4.2 closes the connection without a word when it is to send its routes again"),
            _ => None,
        }
    }

    /// It shows routes in whose path its own number stands, too.
    pub const fn shows_loops(self) -> bool {
        // ExaBGP judges nothing: it tells what it hears. GoBGP is asked for what it has heard.
        matches!(self, Self::Gobgp | Self::Exabgp)
    }

    /// The MED that it sends where none is set.
    pub const fn med_unset(self) -> Option<u32> {
        match self {
            // Of a network statement it is the metric of the way there.
            Self::Frr => Some(0),
            Self::Bird | Self::Gobgp | Self::Exabgp => None,
        }
    }

    /// Starts one.
    pub fn start(self, plan: PeerPlan) -> Result<Box<dyn Peer>> {
        std::fs::create_dir_all(&plan.folder).doing(|| format!("create {}", plan.folder.display()))?;
        Ok(match self {
            Self::Frr => Box::new(frr::Frr::start(plan)?),
            Self::Bird => Box::new(bird::Bird::start(plan)?),
            Self::Gobgp => Box::new(gobgp::Gobgp::start(plan)?),
            Self::Exabgp => Box::new(exabgp::Exabgp::start(plan)?),
        })
    }
}

impl FromStr for Maker {
    type Err = LabError;

    fn from_str(text: &str) -> Result<Self> {
        let known = || Self::ALL.map(Self::name).join(", ");
        Self::ALL
            .into_iter()
            .find(|maker| maker.name() == text)
            .ok_or_else(|| LabError::Usage(format!("neighbor {text:?} is not known here; known are: {}", known())))
    }
}

/// One of its sessions with the router, which carries the routes of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// Of the routes, and of the transport.
    pub family: Family,
    /// Its address.
    pub local: IpAddr,
    /// The router's.
    pub router: IpAddr,
}

/// What a neighbour is told.
#[derive(Debug, Clone)]
pub struct PeerPlan {
    /// Who made it.
    pub maker: Maker,
    /// What stands between it and the router.
    pub kind: Kind,
    /// Which one it is: part of its addresses and prefixes.
    pub index: u8,
    /// Where it lives.
    pub namespace: Namespace,
    /// Its files.
    pub folder: PathBuf,
    /// Its AS number.
    pub autonomous_system: u32,
    /// The router's.
    pub router_as: u32,
    /// Its sessions.
    pub sessions: Vec<Session>,
    /// The router is this many hops away; nothing: on the same link.
    pub multihop: Option<u8>,
    /// Towards the router; the keepalive time is a third. 0: none is counted, none are sent.
    pub hold_time_s: u16,
    /// What else it is to do.
    pub wishes: Wishes,
    /// What its sessions have.
    pub features: Vec<Feature>,
    /// What it is to the router, if they agree on that.
    pub role: Option<Role>,
    /// Where sessions are signed.
    pub key: &'static str,
}

impl Session {
    /// Between link-local addresses.
    pub fn is_link_local(&self) -> bool {
        matches!(self.router, IpAddr::V6(address) if address.is_unicast_link_local())
    }
}

/// What neighbours are configured with beyond plain sessions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Several paths to one destination, both ways (RFC 7911).
    pub add_paths: bool,
    /// It restarts gracefully, and helps others; nothing: neither.
    pub graceful: Option<Graceful>,
}

/// How it restarts (RFC 4724).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Graceful {
    /// It is back within this time, s.
    pub restart_time_s: u16,
    /// Beyond that its routes stay for so long (RFC 9494), s.
    pub stale_time_s: Option<u32>,
}

impl PeerPlan {
    /// Of the router's own AS.
    pub fn is_internal(&self) -> bool {
        self.kind.is_internal()
    }

    /// What identifies it (RFC 4271 §4.2).
    pub fn router_id(&self) -> std::net::Ipv4Addr {
        std::net::Ipv4Addr::new(10, 113, self.index, 2)
    }
}

/// A running neighbour. It ends with the value.
pub trait Peer: Send {
    /// Its version, as it says itself.
    fn version(&self) -> &str;
    /// The state of a session, as its own tools show it; `Established` when it is up.
    fn state(&self, session: &Session) -> Result<String>;
    /// How often its own log says that a session went down.
    fn times_down(&self) -> Result<u64>;
    /// Announces these, and withdraws what was announced and is not among them.
    fn offer(&mut self, offers: &[Offer]) -> Result<()>;
    /// What it has from the router.
    fn table(&self, session: &Session) -> Result<Table>;
    /// Asks the router for everything again (RFC 2918).
    fn ask_again(&self) -> Result<()>;
    /// Fails if it has ended.
    fn check_running(&mut self) -> Result<()>;
    /// How often its own log says that a session was ended with Cease / Maximum Number of Prefixes Reached.
    fn times_limited(&self) -> Result<u64>;
    /// Dies without a word.
    fn die(&mut self);
    /// Starts again, restarting gracefully where it can, and announces these.
    fn come_back(&mut self, offers: &[Offer]) -> Result<()>;
    /// All that its tools say of a session.
    fn view(&self, session: &Session) -> Result<String>;
    /// Signs with another key from now on.
    fn set_key(&mut self, key: &'static str) -> Result<()>;
    /// All that it has logged.
    fn log(&self) -> Result<String>;
    /// Ends a session for good, with words for the router's operator (RFC 9003) if it has any; and lets it come back.
    fn shut_down(&mut self, session: &Session, words: &str) -> Result<()>;
    /// Lets a session come back.
    fn open_again(&mut self, session: &Session) -> Result<()>;
}

/// Ends a process without a word.
pub(super) fn kill(child: &mut Guarded) {
    process::signal(child.pid(), Signal::SIGKILL);
    child.wait_for_end();
}

/// What a session is called when it is up (FRR and BIRD call it so themselves).
pub const ESTABLISHED: &str = "Established";

/// From what is announced to what is to be: what goes, and what is new or other than it was.
pub(super) fn changes<'a>(old: &'a [Offer], new: &'a [Offer]) -> (Vec<&'a Offer>, Vec<&'a Offer>) {
    let gone = old.iter().filter(|old| new.iter().all(|new| !new.is_of(old)));
    (gone.collect(), new.iter().filter(|new| !old.contains(new)).collect())
}

/// A log as a whole.
pub(super) fn read_log(file: &Path) -> Result<String> {
    let bytes = std::fs::read(file).doing(|| format!("read {}", file.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A list, written with something between its members.
pub(super) fn join<T: ToString>(list: &[T], between: &str) -> String {
    list.iter().map(T::to_string).collect::<Vec<_>>().join(between)
}

/// `65000:1`.
pub(super) fn community(value: u32) -> String {
    format!("{}:{}", value >> 16, value & 0xffff)
}

/// JSON that a tool has printed.
pub(super) fn json(text: &str) -> Result<serde_json::Value> {
    serde_json::from_str(text).map_err(|error| LabError::Protocol(format!("no JSON ({error}): {text}")))
}

/// A list of strings in JSON.
pub(super) fn strings(value: Option<&serde_json::Value>) -> Vec<&str> {
    value.and_then(serde_json::Value::as_array).into_iter().flatten().filter_map(serde_json::Value::as_str).collect()
}

/// The table of routes, each with what tells it from others to the same destination: an identifier, or when it came.
pub(super) fn keyed(paths: impl Iterator<Item = (String, String, Seen)>) -> Table {
    paths.map(|(prefix, mark, seen)| (format!("{prefix} #{mark} {}", seen.path), seen)).collect()
}
