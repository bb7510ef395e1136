use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use hashbrown::{HashMap, HashSet};
use holdfast_policy::Chain;
use holdfast_proto::v1::{AddressFamily, BgpNeighborConfig, BgpRole};
use holdfast_rib::{Digest, DirtySet, Family, PrefixId, Rib};

use crate::session::{self, ConnectionSide, Notifications, Rest, Session};
use crate::wire::{Cease, Negotiated, NextHop, NotificationMessage, OpenMessage, Role};

use super::advertised::{Leaving, Place};
use super::as_path_rules::AsPathRules;
use super::attributes::{AttributeId, Remembered};
use super::export_rules::{ExportRules, Teller};
use super::limits;
use super::malformed::Malformed;
use super::out_delay::Delayed;
use super::own_addresses::OwnAddresses;
use super::prefix_limit::LimitState;
use super::refresh::Unrefreshed;
use super::restart::{Restart, Stale};
use super::table::NeighborId;

/// Where the walk stands that judges a neighbour's paths anew.
///
/// It goes through the table once for every so-manyth of the attribute sets received. What a policy makes of a set has no more use when
/// all of the set's paths have been judged, so there are only so many sets twice, by the old policy and by the new, and not all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reimport {
    /// Which part of the sets; beyond [`limits::REIMPORT_ROUNDS`] once more, of paths that were not accepted before.
    pub round: usize,
    /// The next prefix.
    pub from: u32,
}

/// What one neighbour has of one family, in both directions.
#[derive(Default)]
pub struct FamilyState {
    /// Digest of the routes received, before import policy.
    pub received: Digest,
    /// Of these, accepted by import policy.
    pub accepted: u64,
    /// Destinations whose best path is this neighbour's.
    pub best: u64,
    /// Digest of the routes sent.
    pub sent: Digest,
    /// Prefixes whose advertisement has to be looked at again.
    pub dirty: DirtySet,
    /// The first advertisement of the whole table goes on from here; `None`: it is through.
    pub initial: Option<u32>,
    /// A repetition of the whole table that the neighbour asked for (RFC 2918) goes on from here.
    pub refresh: Option<u32>,
    /// The neighbour has said End-of-RIB in this session.
    pub end_of_rib_received: bool,
    /// We have.
    pub end_of_rib_sent: bool,
    /// Paths of earlier sessions are kept beyond graceful restart, until then (RFC 9494).
    pub long_lived: Option<Duration>,
    /// Of so many sessions before the present one paths stay: they are stale, and may come back. More than of one only where a long life
    /// goes on over several.
    pub sessions_kept: u8,
    /// Paths of sessions before these are being taken out, from this destination on.
    pub sweep: Option<u32>,
    /// Paths are being judged by a new import policy.
    pub reimport: Option<Reimport>,
    /// Destinations with a path of this neighbour are being decided anew, from this one on.
    pub redecide: Option<u32>,
    /// The neighbour tells its routes again (RFC 7313).
    pub unrefreshed: Option<Unrefreshed>,
    /// What prefix limits have done.
    pub limit: LimitState,
    /// Destinations that it is not told of because their attributes leave no room in a message to it.
    pub too_long: HashSet<PrefixId>,
}

impl FamilyState {
    /// The neighbour's table is being worked through.
    pub fn has_background(&self) -> bool {
        let left_behind = self.unrefreshed.as_ref().is_some_and(|unrefreshed| unrefreshed.until().is_none());
        self.sweep.is_some() || self.reimport.is_some() || self.redecide.is_some() || left_behind
    }
}

/// An established session: what was negotiated, and what a successor needs to be told of it.
#[derive(Clone)]
pub struct Up {
    /// Everything that follows from the two OPENs.
    pub negotiated: Negotiated,
    /// Which of the two possible connections carries it.
    pub side: ConnectionSide,
    /// Our OPEN as on the wire.
    pub local_open: Vec<u8>,
    /// The neighbour's OPEN as on the wire.
    pub remote_open: Vec<u8>,
    /// Our end of the connection.
    pub local: SocketAddr,
    /// The neighbour's end.
    pub remote: SocketAddr,
    /// Wall clock at establishment, for people.
    pub established_unix_ms: u64,
    /// CLOCK_MONOTONIC at establishment.
    pub established_at: Duration,
}

impl Up {
    /// Families whose routes may be kept while the neighbour restarts (RFC 4724 §4.2), by [`Family::index`].
    pub fn restartable(&self) -> [bool; 2] {
        let restart = self.negotiated.peer_graceful_restart.as_ref();
        Family::ALL.map(|family| restart.is_some_and(|r| r.families.iter().any(|(known, _)| *known == family)))
    }

    /// How long they are kept until it is back.
    pub fn restart_time(&self) -> Duration {
        if self.restartable() == [false; 2] {
            return Duration::ZERO;
        }
        let restart = self.negotiated.peer_graceful_restart.as_ref();
        Duration::from_secs(restart.map_or(0, |restart| u64::from(restart.time_s)))
    }
}

/// Counters that go on through a switchover.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counters {
    /// Messages read.
    pub messages_in: u64,
    /// Messages written.
    pub messages_out: u64,
    /// UPDATEs read.
    pub updates_in: u64,
    /// UPDATEs written.
    pub updates_out: u64,
    /// Established sessions that ended.
    pub flaps: u32,
}

/// Everything known of one configured neighbour.
pub struct Neighbor {
    /// Its number inside the speaker.
    pub id: NeighborId,
    /// Its address, which is its name.
    pub address: IpAddr,
    /// It is not configured itself but has come from an allowed prefix.
    pub allowed: bool,
    /// Its configuration, defaults resolved.
    pub config: BgpNeighborConfig,
    /// The session's state machine. On a backup it stands still.
    pub session: Session,
    /// The session while it is established, on primary and backup alike.
    pub up: Option<Up>,
    /// BGP identifier of the neighbour, for the decision process; while stale routes wait, that of the last session.
    pub router_id: Ipv4Addr,
    /// Names the present session among this neighbour's paths.
    pub generation: u8,
    /// Paths of the last session are kept as stale (RFC 4724 §4).
    pub stale: Option<Stale>,
    /// Our own last restart towards this neighbour, since this engine leads.
    pub restart: Option<Restart>,
    /// A session with it was up in this router's present life, so what it may still have of us is forwarded: the Forwarding
    /// State bits of our OPENs (RFC 4724 §3). A router that has just been switched on must not claim them.
    pub forwarded: bool,
    /// The routing process died: until then our OPENs say that we have restarted.
    pub claims_restart_until: Option<Duration>,
    /// The established session's descriptor lies where a successor finds it.
    pub deposited: bool,
    /// The session cannot be carried over: why it is to begin anew when this engine begins to lead.
    pub interrupted: Option<String>,
    /// Import policy.
    pub import: Chain,
    /// Export policy.
    pub export: Chain,
    /// Where what it has from us is noted: neighbours with the same export share a group.
    pub place: Place,
    /// Where that is still noted while it moves to another group.
    pub leaving: Option<Leaving>,
    /// Our addresses as next hops, while its session is up.
    pub own: OwnAddresses,
    /// By family: the next hop that stands behind what is noted as ourselves; none: there was none yet in its session. A follower has
    /// it from the primary.
    pub told_under: [Option<NextHop>; 2],
    /// Import results by received attribute set, as long as they do not depend on the prefix. A map: of all sets a neighbour has told but
    /// its part, and neighbours may be many.
    pub import_memo: HashMap<AttributeId, Remembered>,
    /// Per family, by [`Family::index`].
    pub families: [FamilyState; 2],
    /// What it is not told yet.
    pub delayed: Delayed,
    /// After too many prefixes the session rests until then.
    pub idle_until: Option<Duration>,
    /// Counters for operators.
    pub counters: Counters,
    /// Interface of a link-local neighbour.
    pub scope: Option<u32>,
    /// Why the last session ended, or what another engine said last of attempts since, for operators.
    pub last_error: String,
    /// Why the last session that was established ended.
    pub session_end: String,
    /// Since when there is none; without one before, since the neighbour is there.
    pub down_since: Duration,
    /// The last NOTIFICATION in each direction.
    pub notifications: Notifications,
    /// How its session rests after failures, as far as it is known here: a follower has it from the primary.
    pub rest: Rest,
    /// What the log was told of attempts last.
    pub reported: String,
    /// The last session of this engine's own ended for a reason that no engine answers for.
    pub ended_blameless: bool,
    /// UPDATEs that could not be taken as they were.
    pub malformed: Malformed,
    /// Routes received when the table was last seen growing.
    pub grown_to: u64,
    /// When that was.
    pub growing_until: Duration,
    /// Last message read.
    pub last_read: Duration,
    /// Last message written.
    pub last_written: Duration,
}

impl Neighbor {
    /// Whether its routes of this family get forwarding entries.
    pub fn installs(&self, family: Family) -> bool {
        !self.config.not_installed().any(|not| family_of(not) == Some(family))
    }

    /// The cluster whose client it is (RFC 4456 §6).
    pub fn cluster(&self) -> Option<Ipv4Addr> {
        (self.config.internal && self.config.cluster != 0).then(|| self.config.cluster.into())
    }

    /// As the origin of a route that goes out to others.
    pub fn as_teller(&self) -> Teller {
        let external = !self.config.internal;
        Teller { address: self.address, external, router_id: self.router_id, cluster: self.cluster() }
    }

    /// What holds for routes on their way to it.
    pub fn export_rules(&self) -> ExportRules {
        ExportRules {
            internal: self.config.internal,
            as_path: AsPathRules::of(&self.config),
            cluster: self.cluster(),
            no_client_reflect: self.config.no_client_reflect,
            role: self.role(),
            local_as: self.config.local_as,
            long_lived: self.up.as_ref().is_some_and(|up| up.negotiated.peer_knows_long_lived),
            long_lived_partial: self.config.internal && self.config.long_lived_partial,
            route_server: self.config.route_server_client,
            advertise_inactive: self.config.advertise_inactive,
            shutting_down: self.config.well_known.as_ref().is_some_and(|known| known.shutting_down),
        }
    }

    /// What we are to it (RFC 9234 §4: on external sessions only).
    pub fn role(&self) -> Option<Role> {
        role_of(&self.config)
    }

    /// What the neighbour hears when the configuration shuts its session down.
    pub fn shutdown_notification(&self) -> NotificationMessage {
        NotificationMessage::cease_with_text(Cease::AdministrativeShutdown, &self.config.shutdown_message)
    }

    /// Whether routes of this family are exchanged in the present session.
    pub fn exchanges(&self, family: Family) -> bool {
        self.up.as_ref().is_some_and(|up| up.negotiated.families[family.index()])
    }

    /// Whether what we tell it of this family has path identifiers.
    pub fn sends_paths(&self, family: Family) -> bool {
        self.up.as_ref().is_some_and(|up| up.negotiated.sends_paths[family.index()])
    }

    /// Whether what it tells of this family has path identifiers.
    pub fn receives_paths(&self, family: Family) -> bool {
        self.up.as_ref().is_some_and(|up| up.negotiated.receives_paths[family.index()])
    }

    /// How many paths to one destination it is told.
    pub fn path_count(&self, family: Family) -> u8 {
        let sends = self.sends_paths(family);
        let configured = self.config.add_path.iter().find(|add_path| family_of(add_path.family()) == Some(family));
        let count = configured.filter(|_| sends).map_or(1, |add_path| add_path.send_path_count);
        u8::try_from(count).map_or(limits::PATHS_MAX, |count| count.clamp(1, limits::PATHS_MAX))
    }

    /// Whether a path of this session's number is stale: its session is over, and it may come back.
    pub fn is_stale(&self, family: Family, generation: u8) -> bool {
        let before = self.generation.wrapping_sub(generation);
        self.stale.is_some() && (1..=self.families[family.index()].sessions_kept).contains(&before)
    }

    /// The session's parameters as the snapshot's messages are written: always with 4-octet AS numbers, and with path identifiers
    /// where the slice says so.
    pub fn snapshot_parameters(&self, identified: bool) -> Negotiated {
        let mut parameters = match &self.up {
            Some(up) => up.negotiated.clone(),
            None => self.assumed_parameters(),
        };
        parameters.four_octet_as = true;
        parameters.extended_next_hop = true;
        parameters.families = [true; 2];
        parameters.receives_paths = [identified; 2];
        parameters
    }

    /// What would be negotiated with a neighbour that speaks as we do.
    fn assumed_parameters(&self) -> Negotiated {
        let ours = OpenMessage {
            autonomous_system: self.config.local_as,
            hold_time_s: 0,
            router_id: Ipv4Addr::UNSPECIFIED,
            capabilities: Vec::new(),
        };
        let theirs = OpenMessage { autonomous_system: self.config.peer_as, ..ours.clone() };
        Negotiated { internal: self.config.internal, ..Negotiated::from_opens(&ours, &theirs) }
    }

    /// The counters as the session keeps them.
    pub fn session_counters(&self) -> session::Counters {
        session::Counters {
            messages_in: self.counters.messages_in,
            messages_out: self.counters.messages_out,
            updates_in: self.counters.updates_in,
            updates_out: self.counters.updates_out,
            flaps: self.counters.flaps,
            ..session::Counters::default()
        }
    }

    /// Looks whether the neighbour's table still grows: by more than what comes and goes every day.
    pub fn note_growth(&mut self, now: Duration) {
        let entries: u64 = self.families.iter().map(|state| state.received.entries).sum();
        if entries > self.grown_to + self.grown_to / 1000 + limits::GROWTH_NOISE || entries < self.grown_to / 2 {
            self.grown_to = entries;
            self.growing_until = now;
        }
    }

    /// The session is up and the neighbour has said everything it has.
    ///
    /// It has when it said End-of-RIB, where it says one, and its table has not grown for [`limits::QUIET_MIN`] (changes may go
    /// on for ever). Neither is enough alone: a neighbour without the graceful restart capability says no End-of-RIB, and FRR
    /// says it as soon as it has nothing to send for a moment, which on a busy machine is in the middle of its table.
    ///
    /// One that has restarted as well waits for our End-of-RIB before it says its own (RFC 4724 §4.1): for it standing still
    /// for [`limits::RESTARTING_QUIET_MIN`] is enough, or both would wait for each other.
    pub fn has_told_everything(&self, now: Duration) -> bool {
        self.has_told_everything_at().is_some_and(|at| now >= at)
    }

    /// From when on that counts, if nothing more comes; `None`: not before something does.
    pub fn has_told_everything_at(&self) -> Option<Duration> {
        let up = self.up.as_ref()?;
        let said = |family: Family| {
            !up.negotiated.peer_sends_end_of_rib
                || !self.exchanges(family)
                || self.families[family.index()].end_of_rib_received
        };
        let restarts = up.negotiated.peer_graceful_restart.as_ref().is_some_and(|restart| restart.restarting);
        let quiet = match Family::ALL.into_iter().all(said) {
            true => limits::QUIET_MIN,
            false if restarts => limits::RESTARTING_QUIET_MIN,
            false => return None,
        };
        Some(up.established_at.max(self.growing_until) + quiet)
    }

    /// Something waits to be sent.
    pub fn has_output(&self) -> bool {
        self.up.is_some()
            && self
                .families
                .iter()
                .any(|family| !family.dirty.is_empty() || family.initial.is_some() || family.refresh.is_some())
    }

    /// The link that is shared with it, if there is one and it is up.
    pub fn link(&self, rib: &Rib) -> Option<u32> {
        match self.scope {
            Some(index) => rib.interface_is_up(index).then_some(index),
            None => rib.interface_for(self.address),
        }
    }
}

/// A family as configurations name it.
pub fn family_of(named: AddressFamily) -> Option<Family> {
    match named {
        AddressFamily::Unspecified => None,
        AddressFamily::Ipv4Unicast => Some(Family::Ipv4Unicast),
        AddressFamily::Ipv6Unicast => Some(Family::Ipv6Unicast),
    }
}

/// The role that a configuration states for ourselves.
pub fn role_of(config: &BgpNeighborConfig) -> Option<Role> {
    let role = match config.role() {
        BgpRole::Unspecified => return None,
        BgpRole::Provider => Role::Provider,
        BgpRole::RouteServer => Role::RouteServer,
        BgpRole::RouteServerClient => Role::RouteServerClient,
        BgpRole::Customer => Role::Customer,
        BgpRole::Peer => Role::Peer,
    };
    (!config.internal).then_some(role)
}
