//! What goes wrong, where; and the bugs that the simulation must be able to see.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use holdfast_issu::{Daemon, Side};

use crate::delay::Channel;

/// What strikes a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strike {
    /// SIGKILL.
    Kill,
    /// SIGSTOP that nobody takes back (who fences and unfences the process does).
    Stop,
    /// SIGSTOP, and SIGCONT after so many milliseconds.
    Pause(u64),
}

/// What goes wrong with a request of the in-service machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Performed so many milliseconds late.
    Late(u64),
    /// Performed, and answered so many milliseconds late.
    AnswerLate(u64),
    /// Never performed, never answered.
    Lost,
    /// Performed, never answered.
    AnswerLost,
    /// Not performed, an error is answered.
    Error,
    /// The operator says `abort` right then.
    Abort,
}

/// One fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A process is struck before its `action`th system call; `incarnation` 0 is the first process of that place.
    Process {
        /// Slot.
        side: Side,
        /// Which.
        daemon: Daemon,
        /// How many processes of this place were before it.
        incarnation: u32,
        /// Counted from 1.
        action: u64,
        /// How.
        strike: Strike,
    },
    /// Something is wrong with the `request`th request of the run.
    Request {
        /// Counted from 0.
        request: usize,
        /// What.
        trouble: Trouble,
    },
    /// One message between two processes is late.
    Message {
        /// Where it goes.
        channel: Channel,
        /// Which, counted from 0 since the run began.
        number: u64,
        /// By how many milliseconds.
        late_ms: u64,
    },
    /// chassisd stands still, with its vault.
    Chassis {
        /// Before which of the things that it does in the run, counted from 0.
        step: u64,
        /// For how many milliseconds.
        pause_ms: u64,
    },
    /// A neighbour's link carries nothing for a while.
    Link {
        /// Which neighbour.
        neighbor: usize,
        /// From when on, in milliseconds since the run began.
        at_ms: u64,
        /// For how long.
        for_ms: u64,
    },
}

/// A mistake planted into the models of the daemons and of chassisd, to see that it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// rpd takes bytes from the kernel before the follower was told.
    ConsumeBeforeTelling,
    /// rpd writes bytes before the follower was told.
    WriteBeforeTelling,
    /// A successor does not write what was made and not taken by the kernel.
    ForgetTail,
    /// A successor does not discard what is known already.
    ForgetDiscard,
    /// chassisd neither stops the old slot nor kills what did not freeze.
    NoFence,
    /// The vault takes requests of any term.
    AnyEpoch,
    /// An engine that thaws trusts its own books and not the kernel's counters.
    ThawWithoutCounters,
    /// A frozen pfed goes on writing.
    PfedWritesOn,
    /// pfed writes without looking at what is there.
    BlindWrites,
    /// A pfed that becomes primary writes what it was told so far, whatever of rpd's word is still under way.
    PfedDoesNotWait,
    /// A follower does not take over all that was received, and digests do not show it.
    DigestsLie,
    /// A session that could go over begins anew.
    RestartsAnother,
    /// The routes of a session that begins anew are given up at once.
    ForgetStale,
    /// chassisd does not look whether processes answer.
    NobodyWatches,
}

fn place(side: Side, daemon: Daemon) -> String {
    format!("{}/{daemon}", if side == Side::Old { "re0" } else { "re1" })
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Fault::Process { side, daemon, incarnation, action, strike } => {
                let place = place(side, daemon);
                match strike {
                    Strike::Kill => write!(f, "kill:{place}.{incarnation}@{action}"),
                    Strike::Stop => write!(f, "stop:{place}.{incarnation}@{action}"),
                    Strike::Pause(ms) => write!(f, "pause-{ms}:{place}.{incarnation}@{action}"),
                }
            }
            Fault::Request { request, trouble } => match trouble {
                Trouble::Late(ms) => write!(f, "late-{ms}:request@{request}"),
                Trouble::AnswerLate(ms) => write!(f, "answer-late-{ms}:request@{request}"),
                Trouble::Lost => write!(f, "lost:request@{request}"),
                Trouble::AnswerLost => write!(f, "answer-lost:request@{request}"),
                Trouble::Error => write!(f, "error:request@{request}"),
                Trouble::Abort => write!(f, "abort:request@{request}"),
            },
            Fault::Message { channel, number, late_ms } => write!(f, "late-{late_ms}:{channel}@{number}"),
            Fault::Chassis { step, pause_ms } => write!(f, "pause-{pause_ms}:chassis@{step}"),
            Fault::Link { neighbor, at_ms, for_ms } => write!(f, "link-{for_ms}:{neighbor}@{at_ms}"),
        }
    }
}

impl FromStr for Fault {
    type Err = String;

    /// The inverse of `Display`, for replaying.
    fn from_str(text: &str) -> Result<Self, String> {
        let malformed = || format!("'{text}' is no fault; one looks like kill:re0/rpd.0@57 or late-3000:request@12");
        let number = |text: &str| text.parse::<u64>().map_err(|_| malformed());
        let (what, where_) = text.split_once(':').ok_or_else(malformed)?;
        let (target, at) = where_.split_once('@').ok_or_else(malformed)?;
        let at = number(at)?;
        let (name, ms) = match what.rsplit_once('-') {
            Some((name, ms)) if ms.bytes().all(|byte| byte.is_ascii_digit()) => (name, number(ms)?),
            _ => (what, 0),
        };
        if name == "link" {
            return Ok(Fault::Link { neighbor: number(target)? as usize, at_ms: at, for_ms: ms });
        }
        if let (Ok(channel), "late") = (target.parse::<Channel>(), name) {
            return Ok(Fault::Message { channel, number: at, late_ms: ms });
        }
        if let ("chassis", "pause") = (target, name) {
            return Ok(Fault::Chassis { step: at, pause_ms: ms });
        }
        if target == "request" {
            let trouble = match name {
                "late" => Trouble::Late(ms),
                "answer-late" => Trouble::AnswerLate(ms),
                "lost" => Trouble::Lost,
                "answer-lost" => Trouble::AnswerLost,
                "error" => Trouble::Error,
                "abort" => Trouble::Abort,
                _ => return Err(malformed()),
            };
            return Ok(Fault::Request { request: at as usize, trouble });
        }
        let strike = match name {
            "kill" => Strike::Kill,
            "stop" => Strike::Stop,
            "pause" => Strike::Pause(ms),
            _ => return Err(malformed()),
        };
        let (slot, rest) = target.split_once('/').ok_or_else(malformed)?;
        let (daemon, incarnation) = rest.split_once('.').ok_or_else(malformed)?;
        let side = match slot {
            "re0" => Side::Old,
            "re1" => Side::New,
            _ => return Err(malformed()),
        };
        let daemon = Daemon::from_name(daemon).ok_or_else(malformed)?;
        let incarnation = number(incarnation)? as u32;
        Ok(Fault::Process { side, daemon, incarnation, action: at, strike })
    }
}

impl Strike {
    /// How long a pause lasts.
    pub(crate) fn pause(self) -> Option<Duration> {
        match self {
            Strike::Pause(ms) => Some(Duration::from_millis(ms)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_as_they_are_printed() {
        let process =
            |strike| Fault::Process { side: Side::New, daemon: Daemon::Rpd, incarnation: 1, action: 57, strike };
        let request = |trouble| Fault::Request { request: 12, trouble };
        let faults = [
            process(Strike::Kill),
            process(Strike::Stop),
            process(Strike::Pause(250)),
            request(Trouble::Late(3000)),
            request(Trouble::AnswerLate(3000)),
            request(Trouble::Lost),
            request(Trouble::AnswerLost),
            request(Trouble::Error),
            request(Trouble::Abort),
            Fault::Message { channel: Channel::Batches, number: 3, late_ms: 800 },
            Fault::Message { channel: Channel::Deaths, number: 0, late_ms: 800 },
            Fault::Chassis { step: 17, pause_ms: 2500 },
            Fault::Link { neighbor: 2, at_ms: 100, for_ms: 900 },
        ];
        for fault in faults {
            assert_eq!(fault.to_string().parse(), Ok(fault));
        }
        for malformed in
            ["", "kill", "kill:re2/rpd.0@1", "kill:re0/rpd@1", "kill:re0/rpd.0@x", "burn:request@1", "kill:chassis@1"]
        {
            assert!(malformed.parse::<Fault>().is_err(), "{malformed}");
        }
    }
}
