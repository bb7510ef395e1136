use std::net::IpAddr;
use std::time::Duration;

use holdfast_proto::v1::{
    BgpEvent, BgpFamilyState, BgpSessionState, Fact, SessionDown, SessionReadiness, SessionUp, StreamBytes,
    TableDigest, bgp_event, fact,
};
use holdfast_replication::{ReplicationError, Switchover};
use holdfast_rib::{Digest, Family, PrefixId, Rib};
use ipnet::IpNet;
use prost::Message;

use crate::session::ConnectionSide;
use crate::wire::{self, MessageType, Negotiated, OpenMessage, Update};

use super::action::Kept;
use super::attributes::AttributeId;
use super::limits::OUTPUT_BATCH;
use super::neighbor::{Neighbor, Up};
use super::refresh::Unrefreshed;
use super::restart::{Stale, StaleCause};
use super::table::NeighborId;
use super::told::Slot;
use super::{Speaker, prefix_limit};

/// The protocol's name in facts.
pub const PROTOCOL: &str = "bgp";

/// A fact of one neighbour.
pub(super) fn fact_of(neighbor: IpAddr, kind: fact::Kind) -> Fact {
    Fact { protocol: PROTOCOL.into(), neighbor: neighbor.to_string(), kind: Some(kind) }
}

/// A decision of the primary that follows from no message.
pub(super) fn event(neighbor: IpAddr, event: &BgpEvent) -> Fact {
    fact_of(neighbor, fact::Kind::Event(event.encode_to_vec()))
}

/// Whole messages in a buffer that holds nothing else, and how many of them are UPDATEs.
pub(super) fn count_messages(mut bytes: &[u8]) -> (u64, u64) {
    let (mut messages, mut updates) = (0, 0);
    while let Ok(Some((length, kind))) = wire::frame(bytes) {
        bytes = &bytes[length..];
        messages += 1;
        updates += u64::from(kind == MessageType::Update);
    }
    (messages, updates)
}

fn contradiction(neighbor: &str, reason: impl Into<String>) -> ReplicationError {
    ReplicationError::Contradiction { protocol: PROTOCOL, neighbor: neighbor.to_owned(), reason: reason.into() }
}

impl Speaker {
    /// The fact that a session is up. Offsets, counters' bases and the descriptor's name are the daemon's to fill in.
    pub fn session_up_fact(&self, id: NeighborId, snapshot: bool) -> Option<Fact> {
        let neighbor = self.get(id)?;
        let up = neighbor.up.as_ref()?;
        let state = BgpSessionState {
            families: Family::ALL.into_iter().map(|family| family_state(neighbor, family)).collect(),
            last_error: neighbor.last_error.clone(),
        };
        let counters = neighbor.counters;
        let session = SessionUp {
            local_open: up.local_open.clone(),
            remote_open: up.remote_open.clone(),
            established_unix_ms: up.established_unix_ms,
            established_mono_ns: up.established_at.as_nanos() as u64,
            flaps: counters.flaps,
            messages_in: counters.messages_in,
            messages_out: counters.messages_out,
            updates_in: counters.updates_in,
            updates_out: counters.updates_out,
            snapshot,
            state: state.encode_to_vec(),
            local_address: up.local.to_string(),
            remote_address: up.remote.to_string(),
            ..SessionUp::default()
        };
        Some(fact_of(neighbor.address, fact::Kind::Up(session)))
    }

    /// The fact that a session is over.
    pub fn session_down_fact(&self, id: NeighborId, reason: &str, kept: Kept, now: Duration) -> Option<Fact> {
        let down = SessionDown {
            reason: reason.into(),
            routes_kept_stale: kept == Kept::WhileItRestarts,
            mono_ns: now.as_nanos() as u64,
            we_restart: kept == Kept::WhileWeRestart,
        };
        Some(fact_of(self.neighbor_address(id)?, fact::Kind::Down(down)))
    }

    /// The fact that these bytes were received.
    pub fn received_fact(&self, id: NeighborId, bytes: StreamBytes) -> Option<Fact> {
        Some(fact_of(self.get(id)?.address, fact::Kind::Received(bytes)))
    }

    /// The fact that these bytes are about to be written.
    pub fn sent_fact(&self, id: NeighborId, bytes: StreamBytes) -> Option<Fact> {
        Some(fact_of(self.get(id)?.address, fact::Kind::Sent(bytes)))
    }

    fn adopt_up(&mut self, id: NeighborId, session: &SessionUp, rib: &mut Rib) -> Result<(), String> {
        let open = |bytes: &[u8]| match wire::frame(bytes) {
            // Nothing behind it: the session takes it over octet by octet.
            Ok(Some((length, MessageType::Open))) if length == bytes.len() => {
                OpenMessage::decode(&bytes[wire::HEADER_LEN..]).map_err(|error| error.to_string())
            }
            _ => Err("the fact's OPEN message is not one".to_owned()),
        };
        let local_open = open(&session.local_open)?;
        let negotiated = Negotiated::from_opens(&local_open, &open(&session.remote_open)?);
        self.adopt_router_id(local_open.router_id);
        let address = |text: &str| text.parse().map_err(|_| format!("{text:?} is not a socket address"));
        let up = Up {
            negotiated,
            // A session lives on one connection only; which side opened it no longer matters.
            side: ConnectionSide::Opened,
            local_open: session.local_open.clone(),
            remote_open: session.remote_open.clone(),
            local: address(&session.local_address)?,
            remote: address(&session.remote_address)?,
            established_unix_ms: session.established_unix_ms,
            established_at: Duration::from_nanos(session.established_mono_ns),
        };
        let at = up.established_at;
        self.session_up(id, up, rib, at);
        let state = BgpSessionState::decode(session.state.as_slice()).unwrap_or_default();
        let Some(neighbor) = self.get_mut(id) else { return Ok(()) };
        neighbor.deposited = !session.descriptor.is_empty();
        neighbor.counters.flaps = session.flaps;
        neighbor.counters.messages_in = session.messages_in;
        neighbor.counters.messages_out = session.messages_out;
        neighbor.counters.updates_in = session.updates_in;
        neighbor.counters.updates_out = session.updates_out;
        for told in &state.families {
            let Some(family) = Family::ALL.into_iter().find(|family| family.name() == told.family) else { continue };
            let state = &mut neighbor.families[family.index()];
            state.end_of_rib_received = told.end_of_rib_received;
            state.end_of_rib_sent = told.end_of_rib_sent;
            state.limit.dropped = told.excess_dropped;
            let until = told.refresh_until_mono_ns;
            let until = (until > 0).then(|| Duration::from_nanos(until));
            state.unrefreshed = told.refreshing.then(|| Unrefreshed::new(until));
            if told.end_of_rib_sent {
                state.initial = None;
            }
            state.refresh = told.refresh_pending.then_some(0);
            neighbor.adopt_told_under(family, told.own_next_hop.as_deref());
        }
        Ok(())
    }

    fn adopt_received(&mut self, id: NeighborId, bytes: &[u8], rib: &mut Rib, now: Duration) -> Result<(), String> {
        for_each_message(bytes, |kind, body| {
            if let Some(neighbor) = self.get_mut(id) {
                neighbor.counters.messages_in += 1;
                neighbor.counters.updates_in += u64::from(kind == MessageType::Update);
                neighbor.last_read = now;
                neighbor.note_growth(now);
            }
            match kind {
                // A message that the primary answers with a reset is followed by its SessionDown.
                MessageType::Update => drop(self.update(id, body, rib, now)),
                MessageType::RouteRefresh => {
                    let up = self.get(id).and_then(|neighbor| neighbor.up.as_ref());
                    let due = wire::decode_route_refresh(body)
                        .ok()
                        .filter(|message| up.is_some_and(|up| up.negotiated.expects(*message)));
                    if let Some(message) = due {
                        self.refresh_heard(id, message, now);
                    }
                }
                _ => {}
            }
            Ok(())
        })
    }

    fn adopt_sent(&mut self, id: NeighborId, bytes: &[u8], rib: &mut Rib, now: Duration) -> Result<(), String> {
        let Some(parameters) = self.get(id).and_then(|neighbor| Some(neighbor.up.as_ref()?.negotiated.as_sent()))
        else {
            return Err("routes were sent in a session that is not up".into());
        };
        for_each_message(bytes, |kind, body| {
            if let Some(neighbor) = self.get_mut(id) {
                neighbor.counters.messages_out += 1;
                neighbor.counters.updates_out += u64::from(kind == MessageType::Update);
                neighbor.last_written = now;
            }
            if kind == MessageType::Update { self.note_sent_update(id, body, &parameters, rib) } else { Ok(()) }
        })
    }

    pub(super) fn note_sent_update(
        &mut self,
        id: NeighborId,
        body: &[u8],
        parameters: &Negotiated,
        rib: &mut Rib,
    ) -> Result<(), String> {
        let update = Update::parse(body, parameters).map_err(|error| error.to_string())?;
        if let Some(family) = update.end_of_rib() {
            if let Some(neighbor) = self.get_mut(id) {
                let state = &mut neighbor.families[family.index()];
                state.end_of_rib_sent = true;
                state.initial = None;
            }
            return Ok(());
        }
        if let Some(reason) = &update.treat_as_withdraw {
            return Err(format!("an UPDATE that was sent is not well-formed: {reason}"));
        }
        for family in Family::ALL {
            let identified = parameters.receives_paths[family.index()];
            for (identifier, prefix) in update.withdrawn(family).identified() {
                let slot = slot_of(identified, identifier)?;
                if let Some(prefix_id) = rib.prefixes(family).get(prefix) {
                    self.adopt_advertised(id, family, (prefix_id, prefix), slot, AttributeId::NONE, rib);
                }
            }
            let (Some(block), Some(next_hop)) = (&update.attributes, update.next_hop(family)) else { continue };
            let noted = self.get(id).map_or(next_hop, |neighbor| neighbor.noted(family, next_hop));
            let Some(attributes) = self.attributes.intern(block, noted) else { continue };
            let noted: Result<(), String> =
                update.announced(family).identified().try_for_each(|(identifier, prefix)| {
                    let slot = slot_of(identified, identifier)?;
                    let prefix_id = rib.prefixes_mut(family).intern(prefix);
                    self.adopt_advertised(id, family, (prefix_id, prefix), slot, attributes, rib);
                    rib.prefixes_mut(family).release(prefix_id);
                    Ok(())
                });
            self.attributes.release(attributes, rib);
            noted?;
        }
        Ok(())
    }

    /// Notes what the primary has told. It may have been overtaken by what others told meanwhile: octets that wait for a slow neighbour are
    /// told to followers when they are written. So it is compared again with what the neighbour should have.
    fn adopt_advertised(
        &mut self,
        id: NeighborId,
        family: Family,
        (prefix_id, prefix): (PrefixId, IpNet),
        slot: Slot,
        has: AttributeId,
        rib: &mut Rib,
    ) {
        if self.set_advertised(id, family, (prefix_id, prefix), slot, has, rib)
            && let Some(neighbor) = self.get_mut(id)
        {
            neighbor.mark_dirty(family, prefix_id, true, rib);
        }
    }

    fn adopt_event(&mut self, id: NeighborId, bytes: &[u8], rib: &mut Rib, now: Duration) -> Result<(), String> {
        let event = BgpEvent::decode(bytes).map_err(|error| error.to_string())?;
        let named = |name: &str| Family::ALL.into_iter().find(|family| family.name() == name);
        match event.event {
            Some(bgp_event::Event::IdleUntilMonoNs(until)) => {
                if let Some(neighbor) = self.get_mut(id) {
                    neighbor.idle_until = prefix_limit::idle_until(until);
                }
            }
            Some(bgp_event::Event::RefreshExpired(name)) => {
                if let Some(family) = named(&name) {
                    self.refresh_ended(id, family);
                }
            }
            Some(bgp_event::Event::ExcessDropped(updates)) => self.adopt_dropped(id, &updates, rib)?,
            Some(bgp_event::Event::StaleSwept(name)) => {
                if let Some(family) = named(&name) {
                    self.begin_sweep(id, family);
                }
                if self.get(id).is_none_or(|neighbor| neighbor.families.iter().all(|f| f.long_lived.is_none())) {
                    self.nothing_waits(id);
                }
            }
            Some(bgp_event::Event::RefreshDone(name)) => {
                if let (Some(family), Some(neighbor)) = (named(&name), self.get_mut(id)) {
                    neighbor.families[family.index()].refresh = None;
                }
            }
            Some(bgp_event::Event::RouterId(router_id)) => {
                if let Some(neighbor) = self.get_mut(id) {
                    neighbor.router_id = router_id.into();
                }
            }
            Some(bgp_event::Event::StaleUntilMonoNs(until)) => {
                if let Some(neighbor) = self.get_mut(id) {
                    // What BFD had lost before, the primary has judged.
                    let since = neighbor.stale.map_or(now, |stale| stale.since);
                    neighbor.stale = Some(Stale { since, ..Stale::of_neighbor(Duration::from_nanos(until)) });
                }
            }
            Some(bgp_event::Event::WeRestarted(_)) => {
                if let Some(stale) = self.get_mut(id).and_then(|neighbor| neighbor.stale.as_mut()) {
                    stale.cause = StaleCause::WeRestart;
                }
            }
            Some(bgp_event::Event::LongLived(told)) => self.adopt_long_lived(id, &told),
            Some(bgp_event::Event::OwnNextHop(told)) => {
                if let Some(family) = named(&told.family) {
                    self.adopt_own_next_hop(id, family, &told);
                }
            }
            Some(bgp_event::Event::History(history)) => {
                if let Some(neighbor) = self.get_mut(id) {
                    neighbor.adopt_history(&history);
                }
            }
            Some(bgp_event::Event::Forgotten(_)) | None => {} // dealt with by `adopt`; of a newer version
        }
        Ok(())
    }

    /// Whether a fact needs no neighbour to be made first: it has one, or is about the end of one that never got here.
    fn knows(&self, address: IpAddr, kind: &Option<fact::Kind>) -> bool {
        let end = matches!(kind, Some(fact::Kind::Event(bytes)) if is_end(bytes));
        end || self.find_neighbor(address).is_some()
    }

    /// Why sessions ended; until when sessions rest; until when stale routes wait, and under which name: neighbours that are away
    /// have no session to describe, but operators and the decision need it.
    fn describe_waiting(&self) -> Vec<Fact> {
        let mut facts = Vec::new();
        for neighbor in self.neighbors.iter().flatten() {
            if neighbor.idle_until.is_some() {
                facts.push(event(neighbor.address, &prefix_limit::idle_event(neighbor.idle_until)));
            }
            if neighbor.has_history() {
                facts.push(neighbor.history());
            }
            facts.extend(neighbor.waiting().iter().map(|told| event(neighbor.address, told)));
        }
        facts
    }

    /// A follower forgets marks for what the neighbour has been told by now, a batch for each neighbour, so that little is left to compare
    /// at a switchover. False: none of these was to be forgotten.
    pub fn settle(&mut self, rib: &mut Rib) -> bool {
        let mut progress = false;
        for id in self.neighbor_ids() {
            if let Some(neighbor) = self.get_mut(id) {
                neighbor.end_delay(rib);
            }
            for family in Family::ALL {
                let Some(neighbor) = self.get_mut(id) else { continue };
                let state = &mut neighbor.families[family.index()];
                let batch: Vec<PrefixId> =
                    std::iter::from_fn(|| state.dirty.pop().map(PrefixId)).take(OUTPUT_BATCH).collect();
                for prefix in batch {
                    let mut differs = false;
                    for (slot, wanted) in self.wanted(id, family, prefix, rib) {
                        let has = self.get(id).map(|neighbor| self.advertised_in(neighbor, family, prefix, slot));
                        differs |= has != Some(wanted);
                        self.attributes.release(wanted, rib);
                    }
                    let waits =
                        differs && self.get_mut(id).is_some_and(|n| n.families[family.index()].dirty.insert(prefix.0));
                    if !waits {
                        rib.prefixes_mut(family).release(prefix);
                        progress = true;
                    }
                }
            }
        }
        self.forget_freed();
        progress
    }
}

/// Where a path that was sent is noted.
fn slot_of(identified: bool, identifier: u32) -> Result<Slot, String> {
    if !identified {
        return Ok(Slot::ONLY);
    }
    Slot::of_identifier(identifier).ok_or_else(|| format!("path {identifier} was sent, which is no identifier of ours"))
}

/// The event that a neighbour which was allowed, not configured, is over.
fn is_end(event: &[u8]) -> bool {
    let event = BgpEvent::decode(event).ok().and_then(|event| event.event);
    matches!(event, Some(bgp_event::Event::Forgotten(true)))
}

fn family_state(neighbor: &Neighbor, family: Family) -> BgpFamilyState {
    let state = &neighbor.families[family.index()];
    let until = state.unrefreshed.as_ref().and_then(Unrefreshed::until);
    BgpFamilyState {
        family: family.name().into(),
        end_of_rib_received: state.end_of_rib_received,
        end_of_rib_sent: state.end_of_rib_sent,
        refresh_pending: state.refresh.is_some(),
        excess_dropped: state.limit.dropped,
        refreshing: state.unrefreshed.is_some(),
        refresh_until_mono_ns: until.map_or(0, |until| u64::try_from(until.as_nanos()).unwrap_or(u64::MAX)),
        own_next_hop: Some(neighbor.told_under_fact(family)),
    }
}

pub(super) fn for_each_message(
    mut bytes: &[u8],
    mut each: impl FnMut(MessageType, &[u8]) -> Result<(), String>,
) -> Result<(), String> {
    while !bytes.is_empty() {
        match wire::frame(bytes) {
            Ok(Some((length, kind))) => {
                each(kind, &bytes[wire::HEADER_LEN..length])?;
                bytes = &bytes[length..];
            }
            Ok(None) => return Err("a fact ends within a message".into()),
            // The primary has answered it with a reset, which comes as a fact of its own.
            Err(_) => return Ok(()),
        }
    }
    Ok(())
}

fn table_digest(table: String, digest: Digest) -> TableDigest {
    TableDigest { table, digest: digest.sum, entries: digest.entries }
}

impl Switchover<Rib> for Speaker {
    fn name(&self) -> &'static str {
        PROTOCOL
    }

    fn notify(&mut self, preparing: bool) {
        self.preparing = preparing;
    }

    fn stand_still(&mut self) {
        self.following = true;
        self.recovery = None;
        self.actions.clear();
        self.departed.clear();
    }

    fn readiness(&self, now: Duration) -> Vec<SessionReadiness> {
        self.neighbors.iter().flatten().map(|neighbor| self.session_readiness(neighbor, now)).collect()
    }

    fn describe_sessions(&mut self, _now: Duration) -> Vec<Fact> {
        self.neighbor_ids().into_iter().filter_map(|id| self.session_up_fact(id, true)).collect()
    }

    fn snapshot(&mut self, rib: &Rib, cursor: u64, budget: usize) -> (Vec<Fact>, Option<u64>) {
        let (index, from) = ((cursor >> 32) as usize, cursor as u32);
        let Some(family) = Family::ALL.get(index).copied() else { return (Vec::new(), None) };
        let capacity = rib.prefixes(family).capacity();
        let to = self.slice_end(family, from, capacity.min(from.saturating_add(budget as u32)));
        let mut facts: Vec<Fact> = if cursor == 0 { self.describe_waiting() } else { Vec::new() };
        facts.extend(self.slices(rib, family, from..to));
        let next = if to < capacity { cursor - u64::from(from) + u64::from(to) } else { (index as u64 + 1) << 32 };
        (facts, ((next >> 32) < Family::ALL.len() as u64).then_some(next))
    }

    fn adopt(&mut self, rib: &mut Rib, fact: &Fact, now: Duration) -> Result<(), ReplicationError> {
        let address: IpAddr =
            fact.neighbor.parse().map_err(|_| contradiction(&fact.neighbor, "its name is not an address"))?;
        if !self.knows(address, &fact.kind) {
            self.add_allowed(address, rib, now);
        }
        let Some(id) = self.find_neighbor(address) else {
            if self.unfollowed.contains(&address) || self.knows(address, &fact.kind) {
                return Ok(()); // the primary will hear of the new configuration too
            }
            return Err(contradiction(&fact.neighbor, "it is not configured here"));
        };
        let result = match &fact.kind {
            Some(fact::Kind::Up(session)) => self.adopt_up(id, session, rib),
            Some(fact::Kind::Down(down)) => {
                if let Some(neighbor) = self.get_mut(id)
                    && let Some(up) = neighbor.up.take()
                {
                    neighbor.counters.flaps += 1;
                    neighbor.note_session_end(&down.reason);
                    let at = Duration::from_nanos(down.mono_ns);
                    neighbor.down_since = at;
                    let kept = if down.we_restart {
                        neighbor.forget_failures_before(&up, at);
                        neighbor.wait_for_return(true, at);
                        up.negotiated.local_graceful_restart
                    } else {
                        neighbor.went_away(down.routes_kept_stale, &up, at);
                        if down.routes_kept_stale { neighbor.retains(&up) } else { [false; 2] }
                    };
                    self.take_down(id, kept, rib);
                    if !down.we_restart {
                        self.keep_beyond_restart(id, &up, kept, at);
                    }
                }
                Ok(())
            }
            Some(fact::Kind::Received(bytes)) => self.adopt_received(id, &bytes.data, rib, now),
            Some(fact::Kind::Sent(bytes)) => self.adopt_sent(id, &bytes.data, rib, now),
            Some(fact::Kind::Slice(slice)) => self.adopt_slice(id, slice, rib),
            Some(fact::Kind::Event(bytes)) if is_end(bytes) => {
                self.remove_neighbor(id, rib, now);
                self.retire_groups();
                Ok(())
            }
            Some(fact::Kind::Event(bytes)) => self.adopt_event(id, bytes, rib, now),
            None => Ok(()), // of a newer version
        };
        self.forget_freed();
        result.map_err(|reason| contradiction(&fact.neighbor, reason))
    }

    fn digests(&self, _rib: &Rib) -> Vec<TableDigest> {
        let mut digests = Vec::new();
        for neighbor in self.neighbors.iter().flatten() {
            for family in Family::ALL {
                let state = &neighbor.families[family.index()];
                let name = |direction| format!("{PROTOCOL}/{}/{}/{direction}", neighbor.address, family.name());
                digests.push(table_digest(name("received"), state.received));
                digests.push(table_digest(name("sent"), state.sent));
            }
        }
        digests
    }

    fn activate(&mut self, rib: &mut Rib, now: Duration) {
        self.following = false;
        self.unfollowed.clear();
        let seed = self.seed;
        for id in self.neighbor_ids() {
            self.assign_group(id, rib);
            let Some(neighbor) = self.get_mut(id) else { continue };
            neighbor.forwarded = true; // by the engine that led before
            neighbor.end_delay(rib);
            if let Some(stale) = neighbor.stale.as_mut().filter(|stale| stale.until == Duration::MAX) {
                stale.until = now + Duration::from_secs(u64::from(neighbor.config.stale_routes_time_s));
            }
            match (&neighbor.up, neighbor.interrupted.take()) {
                (Some(up), None) => {
                    let counters = neighbor.session_counters();
                    let adopted = neighbor.session.adopt_established_wire(
                        &up.local_open,
                        &up.remote_open,
                        up.established_at,
                        counters,
                        now,
                    );
                    // Both OPENs were read when the session's fact was taken over, so they are readable now.
                    debug_assert!(adopted.is_ok());
                    neighbor.session.remember_failures(neighbor.rest);
                    if let Some(up) = &mut neighbor.up {
                        up.side = ConnectionSide::Opened;
                    }
                }
                (Some(_), Some(reason)) => self.begin_restart(id, reason, rib, now),
                // What an earlier term of this engine left in it is over.
                (None, _) => self.begin_session(id, seed ^ (u64::from(id.0) + 1) << 32, now),
            }
            self.look_for_long_routes(id);
            self.collect(id, rib, now);
        }
    }
}
