//! The whole handoff in virtual time: every process killed or hung at every system call, every request late or lost.
//!
//! **What it is for.** The promise of an in-service reboot is about moments: what if rpd is killed *between* telling its follower and
//! taking the bytes from the kernel? Labs with real processes hit a moment by luck. Here all of them are visited, in an order that a
//! seed decides, and a failing seed replays exactly.
//!
//! **The idea.** The parts that decide are the real ones: the in-service machine (`holdfast_issu::Issu`), the books of the
//! byte streams (`holdfast_replication::ledger`) and the frames of the replication stream (`Outbound`, `Inbound`). Around
//! them everything that they touch is a model without a clock of its own:
//!
//! ```text
//!                     chassis: the real Issu, and who carries out its requests (spawn, SIGSTOP, SIGKILL, vault, epochs)
//!                      |  calls and answers: late, lost, refused
//!          +-----------+------------+
//!     re0: mgd rpd pfed        re1: mgd rpd pfed          each process: a coroutine, each await one system call
//!              |  |  \______________/ |   \               before which it may be killed, stopped, paused, overtaken
//!              |  |   replication     |    \
//!              |  |   stream (bounded, outlives its writer)
//!     =========|==|===================|=====|==========   kernel: sockets with queues and counters, forwarding table
//!              |  +-- forwarding table, which counts needless writes and refuses no one but tells
//!              |
//!         neighbours: numbered messages, checked to the last byte; a hold timer; one of them is slow
//! ```
//!
//! Messages between processes are late one by one (`delay`), and chassisd, with its vault, stands still before whatever it does.
//!
//! **The second level** (`bgp` in a scenario's line): the same loop with the real speaker and RIB (`holdfast_bgp`, `holdfast_rib`) behind rpd, and
//! neighbours that speak BGP. Sessions may be planned to restart gracefully instead of going over.
//!
//! **What must hold**, at every event: nobody touches a session or the forwarding table outside its term; every message arrives once,
//! whole and in order, in both directions; no entry is written needlessly or set back; every state ends within its deadline. At
//! the end: one slot is whole, the other gone, all that was said has arrived, a success lost nothing. In the second level
//! also: what neighbours know and what is forwarded is what a router without a reboot would have told and done; nothing is told twice; tables
//! whose digests are equal at a switch are equal; planned sessions restart once, the others never, and stale routes stay meanwhile.
//!
//! **The parts.** `world`: time and what is due. `process`: coroutines and where faults strike. `tcp`, `replication`, `fib`: the
//! kernel. `message`, `neighbor`: the other side. `chassis`: chassisd. `daemon` (with mgd), `rpd`, `pfed`: the daemons. `bgp`: the second
//! level. `delay`: late messages, owners. `fault`: what goes wrong, and mistakes planted to see that they are found. `run`, `check`: one run and its judgement.
//!
//! **What is not modelled.** The configuration; chassisd's own death; time that passes differently for
//! different processes.

mod bgp;
mod chassis;
mod check;
mod daemon;
mod delay;
mod fault;
mod fib;
mod message;
mod neighbor;
mod pfed;
mod process;
mod replication;
mod rpd;
mod run;
mod tcp;
mod world;

pub use delay::Channel;
pub use fault::{Bug, Fault, Strike, Trouble};
pub use run::{Outcome, Scenario, simulate};
