use super::*;
use crate::Discard;
use crate::wire::{Authentication, ControlPacket, Diagnostic, Key, State};
use std::time::Duration;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(super) fn config() -> SessionConfig {
    SessionConfig {
        minimum_transmit_us: 50_000,
        minimum_receive_us: 50_000,
        multiplier: 3,
        authentication: None,
        minimum_ttl: 0,
        admin_down: false,
    }
}

/// What the neighbour says in this state, with 3 x 50 ms.
fn says(state: State) -> ControlPacket {
    ControlPacket {
        diagnostic: Diagnostic::NONE,
        state,
        poll: false,
        is_final: false,
        control_plane_independent: false,
        demand: false,
        detect_multiplier: 3,
        my_discriminator: 9,
        your_discriminator: 7,
        desired_min_tx_us: 50_000,
        required_min_rx_us: 50_000,
        required_min_echo_rx_us: 0,
        authentication: None,
    }
}

/// A session with its time and what came out of it.
struct Bench {
    session: Session,
    now: Duration,
    sent: Vec<(Duration, ControlPacket)>,
    changes: Vec<(State, State)>,
}

impl Bench {
    fn new(config: SessionConfig) -> Bench {
        let now = ms(1_000);
        let session = Session::new(config, 7, 42, now);
        let mut bench = Bench { session, now, sent: Vec::new(), changes: Vec::new() };
        bench.settle();
        bench
    }

    fn settle(&mut self) {
        while let Some(output) = self.session.poll(self.now) {
            match output {
                Output::Send { datagram, due } => {
                    assert!(due.is_none_or(|due| due <= self.now));
                    self.sent.push((self.now, ControlPacket::decode(datagram.octets()).unwrap()));
                }
                Output::Changed(change) => self.changes.push((change.from, change.to)),
                Output::Left => panic!("a session alone does not leave"),
            }
        }
        assert!(self.session.next_deadline().is_none_or(|deadline| deadline > self.now));
    }

    fn hear(&mut self, packet: ControlPacket) {
        self.session.receive(&packet, packet.encode(None).octets(), self.now).unwrap();
        self.settle();
    }

    /// Time passes and nothing is heard.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(deadline) = self.session.next_deadline().filter(|deadline| *deadline <= end) {
            self.now = self.now.max(deadline);
            self.settle();
        }
        self.now = end;
    }

    /// Time passes while the neighbour says this every 50 ms.
    fn pass_hearing(&mut self, packet: ControlPacket, times: u32) {
        for _ in 0..times {
            self.pass(ms(50));
            self.hear(packet);
        }
    }

    fn up(config: SessionConfig) -> Bench {
        let mut bench = Bench::new(config);
        bench.hear(ControlPacket { your_discriminator: 0, ..says(State::Down) });
        bench.hear(says(State::Init));
        assert_eq!(bench.session.state(), State::Up);
        bench.hear(ControlPacket { is_final: true, ..says(State::Up) });
        assert!(!bench.session.is_polling());
        (bench.sent, bench.changes) = (Vec::new(), Vec::new());
        bench
    }

    fn last(&self) -> &ControlPacket {
        &self.sent.last().expect("something was sent").1
    }
}

#[test]
fn comes_up_by_a_handshake_that_waits_for_no_timer() {
    let mut bench = Bench::new(config());
    assert_eq!((bench.last().state, bench.last().your_discriminator), (State::Down, 0));
    assert_eq!(bench.last().desired_min_tx_us, 1_000_000, "slow as long as it is not Up (RFC 5880 6.8.3)");
    bench.hear(ControlPacket { your_discriminator: 0, ..says(State::Down) });
    assert_eq!((bench.last().state, bench.last().your_discriminator), (State::Init, 9));
    bench.hear(says(State::Init));
    assert_eq!(bench.changes, [(State::Down, State::Init), (State::Init, State::Up)]);
    let last = bench.last();
    assert!(last.poll && last.control_plane_independent && !last.is_final);
    assert_eq!((last.state, last.desired_min_tx_us, last.diagnostic), (State::Up, 50_000, Diagnostic::NONE));
    assert_eq!(bench.now, ms(1_000));
}

#[test]
fn sends_at_jittered_intervals_and_slowly_before() {
    let mut bench = Bench::new(config());
    bench.sent.clear();
    bench.pass(ms(10_000));
    assert!((10..=14).contains(&bench.sent.len()), "{}", bench.sent.len());
    let mut bench = Bench::up(config());
    bench.pass_hearing(says(State::Up), 200);
    let gaps: Vec<Duration> = bench.sent.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    assert!(gaps.iter().all(|gap| (ms(37)..=ms(50)).contains(gap)), "{gaps:?}");
    assert!(gaps.iter().any(|gap| *gap < ms(41)) && gaps.iter().any(|gap| *gap > ms(46)));
}

#[test]
fn with_a_multiplier_of_one_no_interval_is_the_whole_one() {
    let mut bench = Bench::up(SessionConfig { multiplier: 1, ..config() });
    bench.pass_hearing(says(State::Up), 100);
    assert!(bench.sent.windows(2).all(|pair| pair[1].0 - pair[0].0 <= ms(45)));
}

#[test]
fn a_silent_neighbor_is_lost_at_the_detection_time_and_not_before() {
    let mut bench = Bench::up(config());
    bench.pass(Duration::from_micros(149_999));
    assert_eq!(bench.session.state(), State::Up);
    bench.pass(Duration::from_micros(1));
    assert_eq!(bench.changes, [(State::Up, State::Down)]);
    assert_eq!(bench.session.failed_since(), Some(bench.now));
    assert_eq!(bench.last().diagnostic, Diagnostic::DETECTION_TIME_EXPIRED);
    assert_eq!((bench.last().your_discriminator, bench.last().desired_min_tx_us), (0, 1_000_000));
    bench.hear(ControlPacket { your_discriminator: 0, ..says(State::Down) });
    bench.hear(says(State::Up));
    assert_eq!((bench.session.state(), bench.session.failed_since()), (State::Up, None));
}

#[test]
fn the_slower_of_both_sides_counts_in_each_direction() {
    let mut bench = Bench::up(config());
    let slow = ControlPacket {
        desired_min_tx_us: 200_000,
        required_min_rx_us: 300_000,
        detect_multiplier: 5,
        ..says(State::Up)
    };
    bench.hear(slow);
    assert_eq!(bench.session.detection_time(), Some(ms(1000)));
    assert_eq!(bench.session.transmit_interval(), Some(ms(300)));
    bench.hear(ControlPacket { desired_min_tx_us: 10_000, required_min_rx_us: 10_000, ..slow });
    assert_eq!(bench.session.detection_time(), Some(ms(250)), "we want to be sent to every 50 ms at most");
    assert_eq!(bench.session.transmit_interval(), Some(ms(50)));
    bench.hear(ControlPacket { required_min_rx_us: 0, ..slow });
    let before = bench.sent.len();
    bench.pass(ms(900));
    assert_eq!((bench.session.transmit_interval(), bench.sent.len()), (None, before), "it wants nothing");
    bench.hear(ControlPacket { poll: true, required_min_rx_us: 0, ..slow });
    assert!(bench.last().is_final, "but an answer");
}

#[test]
fn a_neighbor_in_demand_mode_is_sent_nothing_but_polls() {
    let mut bench = Bench::up(config());
    bench.hear(ControlPacket { demand: true, ..says(State::Up) });
    let before = bench.sent.len();
    bench.pass(ms(140));
    assert_eq!(bench.sent.len(), before);
    bench.session.configure(SessionConfig { minimum_receive_us: 100_000, ..config() }, bench.now);
    bench.settle();
    assert!(bench.last().poll && bench.sent.len() == before + 1);
}

#[test]
fn a_neighbor_that_signals_down_or_admin_down_is_believed() {
    let mut bench = Bench::up(config());
    bench.hear(says(State::Down));
    assert_eq!((bench.session.state(), bench.session.diagnostic()), (State::Down, Diagnostic::NEIGHBOR_SIGNALED_DOWN));
    assert!(bench.session.failed_since().is_some());
    let mut bench = Bench::up(config());
    bench.hear(says(State::AdminDown));
    assert_eq!((bench.session.state(), bench.session.failed_since()), (State::Down, None), "nothing has failed");
}

#[test]
fn held_down_by_the_operator_it_says_so_and_hears_nothing() {
    let mut bench = Bench::up(config());
    bench.session.configure(SessionConfig { admin_down: true, ..config() }, bench.now);
    bench.settle();
    assert_eq!((bench.last().state, bench.last().diagnostic), (State::AdminDown, Diagnostic::ADMINISTRATIVELY_DOWN));
    assert_eq!(bench.session.failed_since(), None);
    let packet = says(State::Down);
    assert_eq!(bench.session.receive(&packet, packet.encode(None).octets(), bench.now), Err(Discard::AdminDown));
    bench.settle();
    assert_eq!(bench.session.state(), State::AdminDown);
    bench.session.configure(config(), bench.now);
    bench.hear(says(State::Down));
    bench.hear(says(State::Init));
    assert_eq!(bench.session.state(), State::Up);
}

#[test]
fn a_poll_is_answered_at_once_and_once() {
    let mut bench = Bench::up(config());
    bench.hear(ControlPacket { poll: true, ..says(State::Up) });
    assert_eq!(bench.sent.len(), 1);
    assert!(bench.last().is_final && !bench.last().poll);
}

#[test]
fn a_slower_sender_waits_until_the_neighbor_knows() {
    let mut bench = Bench::up(config());
    bench.session.configure(SessionConfig { minimum_transmit_us: 500_000, ..config() }, bench.now);
    bench.settle();
    assert!(bench.last().poll && bench.last().desired_min_tx_us == 500_000);
    assert_eq!(bench.session.transmit_interval(), Some(ms(50)), "not before it has answered");
    bench.pass_hearing(says(State::Up), 10);
    assert!(bench.sent.len() >= 10 && bench.sent.iter().all(|(_, packet)| packet.poll), "asks until it is answered");
    bench.hear(ControlPacket { is_final: true, ..says(State::Up) });
    assert_eq!(bench.session.transmit_interval(), Some(ms(500)));
    assert!(bench.changes.is_empty());
}

#[test]
fn a_faster_sender_does_not_wait() {
    let mut bench = Bench::up(SessionConfig { minimum_transmit_us: 700_000, ..config() });
    bench.session.configure(config(), bench.now);
    bench.settle();
    assert_eq!(bench.session.transmit_interval(), Some(ms(50)));
    let before = bench.sent.len();
    bench.pass(ms(51));
    assert!(bench.sent.len() > before, "the next packet is not where the old interval had it");
}

#[test]
fn a_stricter_listener_waits_until_the_neighbor_knows() {
    let slow = SessionConfig { minimum_receive_us: 300_000, ..config() };
    let mut bench = Bench::up(slow);
    assert_eq!(bench.session.detection_time(), Some(ms(900)));
    bench.session.configure(config(), bench.now);
    bench.hear(says(State::Up));
    assert_eq!(bench.session.detection_time(), Some(ms(900)));
    bench.hear(ControlPacket { is_final: true, ..says(State::Up) });
    assert_eq!(bench.session.detection_time(), Some(ms(150)));
    bench.session.configure(slow, bench.now);
    assert_eq!(bench.session.detection_time(), Some(ms(900)), "more patience needs no consent");
}

#[test]
fn an_answer_to_an_older_announcement_puts_no_newer_one_in_force() {
    let mut bench = Bench::up(config());
    let wants = |us| SessionConfig { minimum_transmit_us: us, ..config() };
    bench.session.configure(wants(200_000), bench.now);
    bench.settle();
    bench.session.configure(wants(400_000), bench.now);
    bench.hear(ControlPacket { is_final: true, ..says(State::Up) });
    assert_eq!((bench.session.transmit_interval(), bench.session.is_polling()), (Some(ms(50)), true));
    bench.hear(ControlPacket { is_final: true, ..says(State::Up) });
    assert_eq!((bench.session.transmit_interval(), bench.session.is_polling()), (Some(ms(400)), false));
}

fn with_key(meticulous: bool) -> SessionConfig {
    let authentication = Authentication { meticulous, key_id: 1, key: Key::new(b"secret").unwrap() };
    SessionConfig { authentication: Some(authentication), ..config() }
}

fn hear_signed(session: &mut Session, key: &SessionConfig, sequence: u32, now: Duration) -> Result<(), Discard> {
    let authentication = key.authentication.as_ref().unwrap();
    let datagram = says(State::Up).encode(Some((authentication, sequence)));
    session.receive(&ControlPacket::decode(datagram.octets()).unwrap(), datagram.octets(), now)
}

#[test]
fn what_was_sent_before_is_not_believed_again() {
    for meticulous in [true, false] {
        let key = with_key(meticulous);
        let mut session = Session::new(key, 7, 1, ms(0));
        let now = ms(10);
        assert_eq!(hear_signed(&mut session, &key, u32::MAX, now), Ok(()), "any is the first");
        let again = hear_signed(&mut session, &key, u32::MAX, now);
        assert_eq!(again, if meticulous { Err(Discard::AuthenticationSequence) } else { Ok(()) });
        assert_eq!(hear_signed(&mut session, &key, 0, now), Ok(()), "numbers go round");
        assert_eq!(hear_signed(&mut session, &key, u32::MAX, now), Err(Discard::AuthenticationSequence));
        assert_eq!(hear_signed(&mut session, &key, 9, now), Ok(()), "some may be lost: 3 x the multiplier");
        assert_eq!(hear_signed(&mut session, &key, 19, now), Err(Discard::AuthenticationSequence));
        assert_eq!(
            hear_signed(&mut session, &key, 19, now + ms(310)),
            Ok(()),
            "after two detection times any is the first"
        );
        let plain = says(State::Up);
        let result = session.receive(&plain, plain.encode(None).octets(), now);
        assert_eq!(result, Err(Discard::AuthenticationMissing));
        assert_eq!(session.statistics().discarded, if meticulous { 4 } else { 3 });
    }
    let key = with_key(true);
    let mut session = Session::new(config(), 7, 1, ms(0));
    assert_eq!(hear_signed(&mut session, &key, 1, ms(1)), Err(Discard::AuthenticationUnexpected));
}

#[test]
fn a_successor_does_exactly_what_the_predecessor_would_have_done() {
    let mut bench = Bench::up(config());
    bench.session.configure(SessionConfig { minimum_transmit_us: 80_000, ..config() }, bench.now);
    bench.pass_hearing(says(State::Up), 3);
    let mut record = [0; SESSION_RECORD_LEN];
    bench.session.write(&mut record);
    let mut successor = Session::read(&record, Inheritance::HandedOver, bench.now).unwrap();
    assert_eq!(successor, bench.session);
    bench.now += ms(400); // also one that comes late
    for _ in 0..8 {
        assert_eq!(successor.poll(bench.now), bench.session.poll(bench.now));
    }
}

#[test]
fn after_a_crash_sequence_numbers_go_on_and_the_neighbor_gets_its_time() {
    let key = with_key(true);
    let mut session = Session::new(key, 7, 1, ms(0));
    hear_signed(&mut session, &key, 5, ms(10)).unwrap();
    let mut record = [0; SESSION_RECORD_LEN];
    session.write(&mut record);
    let sent_unnoted = session.sequences.next();
    let mut successor = Session::read(&record, Inheritance::Found, ms(500)).unwrap();
    assert!(successor.sequences.next() > sent_unnoted);
    assert_eq!(successor.timing.detection, Some(ms(650)));
    assert_eq!(hear_signed(&mut successor, &key, 5, ms(510)), Err(Discard::AuthenticationSequence), "still no replay");
}

#[test]
fn records_that_no_session_wrote_are_refused() {
    assert!(Session::read(&[0; SESSION_RECORD_LEN], Inheritance::Found, ms(0)).is_err());
    assert!(Session::read(&[0xff; SESSION_RECORD_LEN], Inheritance::Found, ms(0)).is_err());
    assert!(Session::read(&[], Inheritance::Found, ms(0)).is_err());
}
