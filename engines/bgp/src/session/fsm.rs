//! The state machine of RFC 4271 §8.2.2 as one table.
//!
//! ```text
//!                 start                 connected                 OPEN              KEEPALIVE
//!        ┌──────┐ ────────> ┌─────────┐ ─────────> ┌──────────┐ ───────> ┌─────────────┐ ───────> ┌─────────────┐
//!        │ Idle │           │ Connect │            │ OpenSent │          │ OpenConfirm │          │ Established │
//!        └──────┘ ────┐     └─────────┘  ┌───────> └──────────┘          └─────────────┘          └─────────────┘
//!           ^  passive│   failed│ ^retry │connected     │                       │                        │
//!           │         v         v │      │              │                       │                        │
//!           │         └────> ┌────────┐ ─┘              │ lost, NOTIFICATION    │                        │
//!           │                │ Active │ <───────────────┴───────────────────────┴────────────────────────┤
//!           │                └────────┘                                                                  │
//!           └────────────────────────────────────────────────────────────────────────────────────────────┘
//!                              stop; an error that we found, a silent neighbor (with a rest)
//! ```
//!
//! The RFC's events by their numbers, and where they are here:
//!
//! ```text
//!  1, 3      ManualStart, AutomaticStart         Start        10     HoldTimer_Expires          HoldExpired
//!  4, 5      ... with PassiveTcpEstablishment    StartPassive 11     KeepaliveTimer_Expires     KeepaliveDue
//!  6, 7      ... with DampPeerOscillations       every Start: the rest in Idle grows
//!  2, 8      ManualStop, AutomaticStop           Stop         14..17 a TCP connection is there  Connected
//!  9         ConnectRetryTimer_Expires           RetryExpired 18     TcpConnectionFails         ConnectFailed, ConnectionLost
//! 12, 13, 20 DelayOpen, IdleHold                 not built    19     BGPOpen                    OpenReceived
//! 21, 22, 28 header, OPEN, UPDATE errors         ErrorFound   23     OpenCollisionDump          CollisionLost
//! 24, 25     NOTIFICATION                        NotificationReceived
//! 26         KeepAliveMsg                        KeepaliveReceived
//! 27         UpdateMsg                           UpdateReceived      RFC 9687: SendHoldTimer_Expires  SendHoldExpired
//! ```
//!
//! Deliberate differences to the RFC, all about what follows an end. A connection that was lost, could not be made or was ended by
//! the neighbour leads to Active, not Idle, from every state: we go on listening, since a neighbour that restarts comes back at
//! once, and dial again after a delay. A NOTIFICATION is answered by nothing in OpenSent too. Idle after an error is left by
//! itself, after a rest that grows (RFC 4271 §8.1.1, "DampPeerOscillations"). And where the OPENs agree on no hold time, the wait for
//! the KEEPALIVE in OpenConfirm is still bounded.

/// A state of RFC 4271 §8.2.2. Ordered by how far a session has come.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum State {
    /// Stopped, or resting after an error; connections are refused.
    Idle,
    /// Waiting for the neighbour to connect, or for the next attempt.
    Active,
    /// Our attempt to connect is under way.
    Connect,
    /// Connected; our OPEN is sent.
    OpenSent,
    /// The neighbour's OPEN is accepted; its KEEPALIVE is awaited.
    OpenConfirm,
    /// Routes are exchanged.
    Established,
}

impl State {
    /// The name that the RFC gives to it.
    pub const fn name(self) -> &'static str {
        match self {
            State::Idle => "Idle",
            State::Active => "Active",
            State::Connect => "Connect",
            State::OpenSent => "OpenSent",
            State::OpenConfirm => "OpenConfirm",
            State::Established => "Established",
        }
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// What can happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    /// The operator wants the session, or its rest is over.
    Start,
    /// The same, but the neighbour is to connect.
    StartPassive,
    /// The operator wants it no more.
    Stop,
    /// The operator wants it anew.
    Reset,
    /// A TCP connection is up, whoever opened it.
    Connected,
    /// Our attempt has failed.
    ConnectFailed,
    /// Time for the next attempt, or an attempt has taken too long.
    RetryExpired,
    /// The other connection is Established: no attempt is needed.
    Superseded,
    /// The other connection was kept (RFC 4271 §6.8).
    CollisionLost,
    /// The neighbour has opened a new connection, so it knows nothing of this one any more.
    Replaced,
    /// TCP has ended.
    ConnectionLost,
    /// Nothing was heard for the hold time.
    HoldExpired,
    /// The neighbour has read nothing of ours for the send hold time (RFC 9687 §3).
    SendHoldExpired,
    /// Time to say something.
    KeepaliveDue,
    /// An OPEN that was found valid.
    OpenReceived,
    /// A KEEPALIVE.
    KeepaliveReceived,
    /// An UPDATE, not yet parsed.
    UpdateReceived,
    /// A ROUTE-REFRESH.
    RefreshReceived,
    /// A NOTIFICATION.
    NotificationReceived,
    /// What came is wrong.
    ErrorFound,
}

/// What is to be done, in this order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Action {
    /// Ask for a TCP connection.
    Dial,
    /// Give up the attempt.
    AbandonDial,
    /// Set the time of the next attempt.
    ArmRetry,
    /// Rest in Idle.
    Rest,
    SendOpen,
    SendKeepalive,
    /// The error's, or Finite State Machine Error.
    SendNotification,
    Close,
    RestartHold,
    /// Tell the speaker that the session is up.
    Up,
    /// Tell the speaker that it is down.
    Down,
    /// Hand the message to the caller.
    Deliver,
}

/// The table. What is not in it changes nothing.
pub(crate) fn step(state: State, event: Event) -> (State, &'static [Action]) {
    use Action::*;
    use Event::*;
    use State::*;
    match (state, event) {
        (Idle, Start) => (Connect, &[Dial]),
        (Idle, StartPassive) => (Active, &[]),

        (Connect, Stop) => (Idle, &[AbandonDial]),
        (Connect, Connected) => (OpenSent, &[SendOpen]),
        (Connect, ConnectFailed) => (Active, &[ArmRetry]),
        (Connect, RetryExpired | Reset) => (Connect, &[AbandonDial, Dial]),
        (Connect, Superseded) => (Active, &[AbandonDial]),

        (Active, Stop) => (Idle, &[]),
        (Active, Connected) => (OpenSent, &[SendOpen]),
        (Active, RetryExpired) => (Connect, &[Dial]),

        (OpenSent, OpenReceived) => (OpenConfirm, &[RestartHold, SendKeepalive]),
        (OpenConfirm, KeepaliveReceived) => (Established, &[RestartHold, Up]),

        (OpenSent | OpenConfirm, Stop | CollisionLost) => (Idle, &[SendNotification, Close]),
        (OpenSent | OpenConfirm, Reset) => (Active, &[SendNotification, Close, ArmRetry]),
        (OpenSent | OpenConfirm, NotificationReceived) => (Active, &[Close, ArmRetry]),
        (OpenSent | OpenConfirm, ConnectionLost) => (Active, &[ArmRetry]),
        (OpenSent | OpenConfirm, Replaced) => (Active, &[]),
        (OpenSent | OpenConfirm, HoldExpired | SendHoldExpired | ErrorFound | UpdateReceived | RefreshReceived)
        | (OpenSent, KeepaliveReceived)
        | (OpenConfirm, OpenReceived) => (Idle, &[SendNotification, Close, Rest]),
        (OpenConfirm | Established, KeepaliveDue) => (state, &[SendKeepalive]),

        (Established, KeepaliveReceived) => (Established, &[RestartHold]),
        (Established, UpdateReceived | RefreshReceived) => (Established, &[RestartHold, Deliver]),
        (Established, Stop) => (Idle, &[SendNotification, Close, Down]),
        (Established, Reset) => (Active, &[SendNotification, Close, Down, ArmRetry]),
        (Established, NotificationReceived) => (Active, &[Close, Down, ArmRetry]),
        (Established, ConnectionLost) => (Active, &[Down, ArmRetry]),
        (Established, Replaced) => (Active, &[Down]),
        (Established, HoldExpired | SendHoldExpired | ErrorFound | OpenReceived) => {
            (Idle, &[SendNotification, Close, Down, Rest])
        }
        _ => (state, &[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [State; 6] =
        [State::Idle, State::Connect, State::Active, State::OpenSent, State::OpenConfirm, State::Established];
    const EVENTS: [Event; 20] = [
        Event::Start,
        Event::StartPassive,
        Event::Stop,
        Event::Reset,
        Event::Connected,
        Event::ConnectFailed,
        Event::RetryExpired,
        Event::Superseded,
        Event::CollisionLost,
        Event::Replaced,
        Event::ConnectionLost,
        Event::HoldExpired,
        Event::SendHoldExpired,
        Event::KeepaliveDue,
        Event::OpenReceived,
        Event::KeepaliveReceived,
        Event::UpdateReceived,
        Event::RefreshReceived,
        Event::NotificationReceived,
        Event::ErrorFound,
    ];

    fn table() -> String {
        let mut text = String::new();
        for state in STATES {
            for event in EVENTS {
                let (next, actions) = step(state, event);
                if next != state || !actions.is_empty() {
                    text += &format!("{state:<11} {:<20} -> {next:<11} {actions:?}\n", format!("{event:?}"));
                }
            }
        }
        text
    }

    /// After a deliberate change: `HOLDFAST_BLESS=1 cargo test -p holdfast-bgp transitions`, then read the difference.
    #[test]
    fn transitions_are_those_of_the_golden_file() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/session/transitions.txt");
        if std::env::var_os("HOLDFAST_BLESS").is_some() {
            std::fs::write(path, table()).unwrap();
        }
        assert_eq!(table(), std::fs::read_to_string(path).unwrap());
    }

    #[test]
    fn up_and_down_mark_exactly_the_border_of_established() {
        for state in STATES {
            for event in EVENTS {
                let (next, actions) = step(state, event);
                let enters = state != State::Established && next == State::Established;
                let leaves = state == State::Established && next != State::Established;
                assert_eq!(actions.contains(&Action::Up), enters, "{state} {event:?}");
                assert_eq!(actions.contains(&Action::Down), leaves, "{state} {event:?}");
                let closes = actions.contains(&Action::Close);
                assert!(!actions.contains(&Action::SendNotification) || closes, "{state} {event:?}");
            }
        }
    }
}
