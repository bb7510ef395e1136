//! The session's inside.

use super::config::SessionConfig;
use super::fsm::{Event, step};
use super::output::{Change, Output, Remote, Statistics};
use super::poll_sequence::PollSequence;
use super::sequence::Sequences;
use super::timing::{Random, Timing, jitter, slow};
use crate::Discard;
use crate::wire::{ControlPacket, Datagram, Diagnostic, State};
use std::time::Duration;

/// One session. It knows neither its neighbour's address nor how packets get there.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    pub(super) config: SessionConfig,
    pub(super) discriminator: u32,
    pub(super) random: Random,
    pub(super) state: State,
    pub(super) diagnostic: Diagnostic,
    pub(super) remote: Remote,
    pub(super) timing: Timing,
    pub(super) poll_sequence: PollSequence,
    pub(super) sequences: Sequences,
    /// A packet goes out at once: what it says is new.
    pub(super) prompt: bool,
    /// The neighbour has polled.
    pub(super) final_due: bool,
    pub(super) change: Option<Change>,
    pub(super) state_since: Duration,
    pub(super) failed_since: Option<Duration>,
    pub(super) statistics: Statistics,
}

impl Session {
    /// A session in Down. The discriminator is not zero and no other session's; the seed decides jitter and the first
    /// sequence number (RFC 5880 §6.8.1 wants a random one).
    pub fn new(config: SessionConfig, discriminator: u32, seed: u64, now: Duration) -> Session {
        let mut random = Random(seed);
        let transmit = random.next();
        let mut session = Session {
            config,
            discriminator,
            random,
            state: State::Down,
            diagnostic: Diagnostic::NONE,
            remote: Remote::UNKNOWN,
            timing: Timing {
                transmit_us: slow(config.minimum_transmit_us),
                receive_us: config.minimum_receive_us,
                next_transmit: None,
                detection: None,
                last_received: None,
                had_respite: false,
            },
            poll_sequence: PollSequence::Idle,
            sequences: Sequences { transmit, received: None },
            prompt: true,
            final_due: false,
            change: None,
            state_since: now,
            failed_since: None,
            statistics: Statistics::default(),
        };
        if config.admin_down {
            session.happen(Event::Disable, now);
            session.change = None;
        }
        session.schedule(now);
        session
    }

    /// What is wanted from now on. No change of intervals, multiplier or key is a reason to leave Up.
    pub fn configure(&mut self, config: SessionConfig, now: Duration) {
        let before = std::mem::replace(&mut self.config, config);
        if before.authentication != config.authentication {
            self.sequences.received = None;
        }
        match (before.admin_down, config.admin_down) {
            (false, true) => self.happen(Event::Disable, now),
            (true, false) => self.happen(Event::Enable, now),
            _ => {}
        }
        let announced = |config: &SessionConfig| (config.minimum_transmit_us, config.minimum_receive_us);
        if announced(&before) != announced(&config) {
            self.announce(now);
        }
        self.prompt |= before.multiplier != config.multiplier;
    }

    /// Other intervals are wanted (RFC 5880 §6.8.3). While Up, what the neighbour could take for a failure waits for its answer.
    fn announce(&mut self, now: Duration) {
        if self.state == State::Up {
            self.timing.transmit_us = self.timing.transmit_us.min(self.config.minimum_transmit_us);
            self.timing.receive_us = self.timing.receive_us.max(self.config.minimum_receive_us);
            self.poll_sequence = self.poll_sequence.begin();
            self.prompt = true;
        } else {
            self.put_in_force();
        }
        self.schedule(now);
    }

    fn put_in_force(&mut self) {
        self.timing.transmit_us = self.announced_transmit_us();
        self.timing.receive_us = self.config.minimum_receive_us;
    }

    fn announced_transmit_us(&self) -> u32 {
        let configured = self.config.minimum_transmit_us;
        if self.state == State::Up { configured } else { slow(configured) }
    }

    /// A packet for this session, and the octets it was decoded from (RFC 5880 §6.8.6, from the authentication on).
    pub fn receive(&mut self, packet: &ControlPacket, octets: &[u8], now: Duration) -> Result<(), Discard> {
        let result = self.believe(packet, octets, now);
        match result {
            Ok(()) => self.statistics.received += 1,
            Err(reason) => self.refuse(reason),
        }
        result
    }

    /// A packet for this session is not believed, for a reason of the table's or of its own.
    pub(crate) fn refuse(&mut self, reason: Discard) {
        self.statistics.discarded += 1;
        self.statistics.last_discard = Some(reason);
    }

    fn believe(&mut self, packet: &ControlPacket, octets: &[u8], now: Duration) -> Result<(), Discard> {
        self.forget_sequence(now);
        self.sequences.check(packet, octets, self.config.authentication.as_ref())?;
        self.note_silence(now);
        self.remote = Remote {
            discriminator: packet.my_discriminator,
            state: packet.state,
            diagnostic: packet.diagnostic,
            control_plane_independent: packet.control_plane_independent,
            demand: packet.demand,
            multiplier: packet.detect_multiplier,
            desired_min_tx_us: packet.desired_min_tx_us,
            required_min_rx_us: packet.required_min_rx_us,
        };
        if packet.is_final && self.poll_sequence.is_active() {
            self.poll_sequence = self.poll_sequence.answered();
            if !self.poll_sequence.is_active() {
                self.put_in_force();
            }
        }
        self.timing.last_received = Some(now);
        self.timing.had_respite = false;
        self.timing.detection = Some(now + self.timing.detection_time(&self.remote));
        if self.state == State::AdminDown {
            self.schedule(now);
            return Err(Discard::AdminDown);
        }
        self.happen(Event::Received(packet.state), now);
        if packet.state == State::AdminDown {
            // The neighbour's operator wants it so: nothing has failed (RFC 5882 §3.2).
            self.failed_since = None;
        }
        self.final_due |= packet.poll;
        self.timing.detection = Some(now + self.timing.detection_time(&self.remote));
        self.schedule(now);
        Ok(())
    }

    /// Twice the detection time without a packet: any sequence number will do (RFC 5880 §6.8.1, bfd.AuthSeqKnown).
    fn forget_sequence(&mut self, now: Duration) {
        let silent = |last: Duration| now.saturating_sub(last) >= 2 * self.timing.detection_time(&self.remote);
        if self.timing.last_received.is_none_or(silent) {
            self.sequences.received = None;
        }
    }

    fn note_silence(&mut self, now: Duration) {
        if let (State::Up, Some(last)) = (self.state, self.timing.last_received) {
            let silence = now.saturating_sub(last);
            self.statistics.longest_silence = self.statistics.longest_silence.max(silence);
        }
    }

    /// Runs the table and what follows from a change.
    fn happen(&mut self, event: Event, now: Duration) {
        let (next, diagnostic) = step(self.state, event);
        if next == self.state {
            return;
        }
        let before = std::mem::replace(&mut self.state, next);
        self.diagnostic = diagnostic.unwrap_or(self.diagnostic);
        self.state_since = now;
        let from = self.change.map_or(before, |change| change.from);
        self.change = Some(Change { from, to: next, diagnostic: self.diagnostic });
        self.prompt = true;
        if next == State::Up {
            self.statistics.ups = self.statistics.ups.saturating_add(1);
            self.failed_since = None;
            self.put_in_force();
            // The neighbour has heard of one second so far.
            self.poll_sequence = PollSequence::Polling;
        } else if before == State::Up {
            self.statistics.downs = self.statistics.downs.saturating_add(1);
            self.failed_since = (next == State::Down).then_some(now);
            self.poll_sequence = PollSequence::Idle;
            self.put_in_force();
        }
        if next == State::AdminDown {
            self.failed_since = None;
            self.final_due = false;
        }
        self.schedule(now);
    }

    /// Whether packets go out periodically (RFC 5880 §6.8.7).
    fn transmits(&self) -> bool {
        let demanded = self.remote.demand && self.state == State::Up && self.remote.state == State::Up;
        self.remote.required_min_rx_us != 0 && (!demanded || self.poll_sequence.is_active())
    }

    /// The periodic packet is due no later than the intervals say that are in force now.
    fn schedule(&mut self, now: Duration) {
        if !self.transmits() {
            self.timing.next_transmit = None;
            return;
        }
        let interval = self.timing.transmit_interval(&self.remote);
        if self.timing.next_transmit.is_none_or(|next| next > now + interval) {
            self.timing.next_transmit = Some(now + jitter(interval, self.config.multiplier, self.random.next()));
        }
    }

    /// What is to be done next. Call until `None` after every input, and when [`Session::next_deadline`] has come.
    ///
    /// Whoever was kept from running for a while feeds what has arrived meanwhile before it polls: a neighbour is not lost
    /// because nobody looked.
    pub fn poll(&mut self, now: Duration) -> Option<Output> {
        if self.timing.detection.is_some_and(|deadline| deadline <= now) {
            self.lose_neighbor(now);
        }
        if let Some(change) = self.change.take() {
            return Some(Output::Changed(change));
        }
        if std::mem::take(&mut self.final_due) {
            return Some(self.send(true, None));
        }
        if let Some(due) = self.timing.next_transmit.filter(|due| *due <= now) {
            let interval = self.timing.transmit_interval(&self.remote);
            self.timing.next_transmit = Some(now + jitter(interval, self.config.multiplier, self.random.next()));
            return Some(self.send(false, Some(due)));
        }
        let wanted = self.remote.required_min_rx_us != 0;
        (std::mem::take(&mut self.prompt) && wanted).then(|| self.send(false, None))
    }

    /// We ourselves have not run for a while. A neighbour whose detection time went by meanwhile is not lost yet: what it has sent may be on its way
    /// through the kernel, and where the whole machine stood still, so did a neighbour on it. It has as long as this, once in a silence.
    pub(crate) fn give_respite(&mut self, now: Duration, respite: Duration) {
        let is_over = self.timing.detection.is_some_and(|deadline| deadline <= now);
        if is_over && !self.timing.had_respite {
            self.timing.had_respite = true;
            self.timing.detection = Some(now + respite);
        }
    }

    /// The detection time is over: what was heard of the neighbour holds no longer (RFC 5880 §6.8.1, §6.8.4).
    fn lose_neighbor(&mut self, now: Duration) {
        // Multiplier and interval are kept: they say how long a sequence number is remembered. And whose fate the lost one shared.
        let Remote { multiplier, desired_min_tx_us, diagnostic, control_plane_independent, .. } = self.remote;
        self.remote =
            Remote { multiplier, desired_min_tx_us, diagnostic, control_plane_independent, ..Remote::UNKNOWN };
        self.timing.detection = None;
        self.happen(Event::TimerExpired, now);
        self.schedule(now);
    }

    fn send(&mut self, is_final: bool, due: Option<Duration>) -> Output {
        // An answer carries no poll of ours, which then follows it.
        self.prompt &= is_final && self.poll_sequence.is_active();
        self.statistics.sent += 1;
        Output::Send { datagram: self.datagram(is_final), due }
    }

    /// The packet as it stands (RFC 5880 §6.8.7).
    fn datagram(&mut self, is_final: bool) -> Datagram {
        let packet = ControlPacket {
            diagnostic: self.diagnostic,
            state: self.state,
            // Never both; the poll goes on with the next packet.
            poll: self.poll_sequence.is_active() && !is_final,
            is_final,
            // Whoever runs this is neither replaced nor lost with the routing protocols.
            control_plane_independent: true,
            demand: false,
            detect_multiplier: self.config.multiplier,
            my_discriminator: self.discriminator,
            your_discriminator: self.remote.discriminator,
            desired_min_tx_us: self.announced_transmit_us(),
            required_min_rx_us: self.config.minimum_receive_us,
            required_min_echo_rx_us: 0,
            authentication: None,
        };
        match &self.config.authentication {
            None => packet.encode(None),
            Some(authentication) => packet.encode(Some((authentication, self.sequences.next()))),
        }
    }

    /// When [`Session::poll`] is to be called at the latest; already past if something waits.
    pub fn next_deadline(&self) -> Option<Duration> {
        if self.change.is_some() || self.final_due || self.prompt {
            return Some(Duration::ZERO);
        }
        self.timing.next_transmit.into_iter().chain(self.timing.detection).min()
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// Why it last left Up.
    pub fn diagnostic(&self) -> Diagnostic {
        self.diagnostic
    }

    /// What the neighbour has said last.
    pub fn remote(&self) -> &Remote {
        &self.remote
    }

    /// What is configured.
    pub fn config(&self) -> &SessionConfig {
        &self.config
    }

    /// Names this session to the neighbour.
    pub fn discriminator(&self) -> u32 {
        self.discriminator
    }

    /// Since when it is in its state.
    pub fn state_since(&self) -> Duration {
        self.state_since
    }

    /// Since when the path to the neighbour is known to be broken: it was Up, and then silent or told us that it does not hear us. None
    /// also where it was never Up, and where either operator holds it down: then BFD knows nothing about the path (RFC 5882 §3.2, §4.1).
    pub fn failed_since(&self) -> Option<Duration> {
        self.failed_since
    }

    /// Counters.
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// Between two of our packets, before jitter; None: the neighbour wants none.
    pub fn transmit_interval(&self) -> Option<Duration> {
        self.transmits().then(|| self.timing.transmit_interval(&self.remote))
    }

    /// How long the neighbour may be silent; None: nothing was heard of it.
    pub fn detection_time(&self) -> Option<Duration> {
        (self.remote.discriminator != 0).then(|| self.timing.detection_time(&self.remote))
    }

    /// How long we may be silent, from what the neighbour has said.
    pub fn neighbors_detection_time(&self) -> Duration {
        self.timing.transmit_interval(&self.remote) * u32::from(self.config.multiplier)
    }

    /// Whether a poll sequence is under way.
    pub fn is_polling(&self) -> bool {
        self.poll_sequence.is_active()
    }
}
