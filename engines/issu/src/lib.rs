//! The in-service software reboot as a state machine without I/O.
//!
//! **What it is for.** A run replaces the whole control plane (mgd, rpd, pfed) by a fresh copy while packets
//! flow and sessions stay up. This crate decides, step by step, what is asked of whom, how long an answer may
//! take, and what follows when it does not come. It performs nothing itself.
//!
//! **The idea.** Events and the time go in, actions come out:
//!
//! ```text
//!            handle(event, now)                    poll(now) -> Option<Action>
//!   chassisd -------------------> Issu (states, --------------------------------> chassisd
//!            abort, start         steps, dead-    Request / Log / Enter / End
//!                                 lines)
//! ```
//!
//! Entering a state lays down its *steps* (`plan`): lines to say, requests to make, barriers at which every
//! outstanding request must have been answered. When a request fails, is not answered in time, or the process
//! asked has died, `failure` says what follows: go on, thaw the old engine, have the new one give the roles back, or
//! restart one process. Because the machine is a plain value, the tests drive it with virtual time through every fault at every step.
//!
//! **The parts.**
//! - [`state`]: the states, their diagram, the table of transitions
//! - [`message`]: what goes in and out
//! - [`limits`]: every deadline, with its reason
//! - `machine`: the loop that issues steps, matches answers, expires deadlines
//! - `plan`: the steps of each state, in order
//! - `decide`: what the answers of a round mean (synchronized? ready? verified?)
//! - `run`: what belongs to the run under way
//! - `failure`: what a failure leads to
//! - `give_back`: the roles go back from a new engine that lives
//! - `soak`: a confirmation is waited for, with the way back open
//! - `wording`: the lines an operator reads
//!
//! **What it must never do.** Let two routing engines be primary: a slot is committed only when the other one's
//! processes are frozen and fenced, or dead, under an older epoch. Thaw an engine whose successor may still run.
//! Wait without a deadline. Call a run a success without evidence.

mod decide;
mod failure;
mod give_back;
pub mod limits;
mod machine;
pub mod message;
mod plan;
mod run;
mod soak;
pub mod state;
mod wording;

pub use machine::{AbortOutcome, ConfirmOutcome, Issu, Refusal, Start, Time};
pub use message::{Action, Answer, Check, Daemon, End, Event, Outcome, Request, RequestId, Side};
pub use state::{State, Trigger};
