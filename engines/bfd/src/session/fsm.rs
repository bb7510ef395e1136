//! The state machine of RFC 5880 §6.2 as one table.
//!
//! ```text
//!                              +--+
//!                              |  | UP, ADMIN DOWN, TIMER
//!                              |  V
//!                      DOWN  +------+  INIT
//!               +------------|      |------------+
//!               |            | DOWN |            |
//!               |  +-------->|      |<--------+  |
//!               |  |         +------+         |  |
//!               |  |                          |  |
//!               |  |               ADMIN DOWN,|  |
//!               |  |ADMIN DOWN,          DOWN,|  |
//!               |  |TIMER                TIMER|  |
//!               V  |                          |  V
//!             +------+                      +------+
//!        +----|      |                      |      |----+
//!    DOWN|    | INIT |--------------------->|  UP  |    |INIT, UP
//!        +--->|      | INIT, UP             |      |<---+
//!             +------+                      +------+
//! ```
//!
//! AdminDown is entered by `Disable` from every state and left to Down by `Enable`; nothing that is received moves it.

use crate::wire::{Diagnostic, State};

/// What can happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Event {
    /// A packet was believed, whose sender is in this state.
    Received(State),
    /// Nothing was heard for the detection time.
    TimerExpired,
    /// The operator holds the session down.
    Disable,
    /// And no longer.
    Enable,
}

/// The table: the next state, and the diagnostic where it is another one then. What is not in it changes nothing.
pub(super) fn step(state: State, event: Event) -> (State, Option<Diagnostic>) {
    use Event::*;
    use State::*;
    match (state, event) {
        (Down | Init | Up, Disable) => (AdminDown, Some(Diagnostic::ADMINISTRATIVELY_DOWN)),
        (AdminDown, Enable) => (Down, None),

        (Down, Received(Down)) => (Init, None),
        (Down | Init, Received(Init)) | (Init, Received(Up)) => (Up, Some(Diagnostic::NONE)),
        (Init, Received(AdminDown)) | (Up, Received(AdminDown | Down)) => {
            (Down, Some(Diagnostic::NEIGHBOR_SIGNALED_DOWN))
        }
        (Init | Up, TimerExpired) => (Down, Some(Diagnostic::DETECTION_TIME_EXPIRED)),
        _ => (state, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> String {
        let received = State::ALL.map(Event::Received);
        let mut text = String::new();
        for state in State::ALL {
            for event in received.into_iter().chain([Event::TimerExpired, Event::Disable, Event::Enable]) {
                let (next, diagnostic) = step(state, event);
                if next != state {
                    let diagnostic = diagnostic.map_or("", Diagnostic::name);
                    let event = format!("{event:?}");
                    text += format!("{state:<9} {event:<19} -> {next:<9} {diagnostic}").trim_end();
                    text += "\n";
                }
            }
        }
        text
    }

    /// After a deliberate change: `HOLDFAST_BLESS=1 cargo test -p holdfast-bfd transitions`, then read the difference.
    #[test]
    fn transitions_are_those_of_the_golden_file() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/session/transitions.txt");
        if std::env::var_os("HOLDFAST_BLESS").is_some() {
            std::fs::write(path, table()).unwrap();
        }
        assert_eq!(table(), std::fs::read_to_string(path).unwrap());
    }
}
