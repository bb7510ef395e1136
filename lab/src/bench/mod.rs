//! Benchmarks of BGP: routers side by side, each in turn between the same feeders and the same counting receiver.
//!
//! The idea: what a router is given is built beforehand ([`input`]), and what it says is counted, not understood
//! ([`count`]): one thread with one `poll` serves all sessions ([`world`]), so that the processor time of the lab stays far
//! below the router's; it is measured, too. A router ([`router`]) is a family of processes; its processor time and its memory
//! are the kernel's figures of all of them ([`usage`]).
//!
//! A [`case`] is data: how many feeders, which routes, what happens. [`measure`] runs it once: everything is set up
//! ([`setting`]), the clock starts with the event (the first byte of the table, the end of a session, a commit), and the case
//! has ended with the last UPDATE after which every session has what it must have and nothing more comes. [`compare`] takes
//! turns among the routers, so that a busy moment of the machine meets all of them, and [`report`] shows medians.
//!
//! [`fib`] measures the forwarding table alone, by the same means.
//!
//! What it must never do: measure a router that has not done all of the work; leave a namespace, process or file behind.

pub mod bfd;
pub mod case;
pub mod command;
pub mod compare;
pub mod count;
pub mod fib;
pub mod input;
pub mod limits;
pub mod measure;
pub mod prefix_set;
pub mod report;
pub mod router;
pub mod setting;
pub mod usage;
pub mod world;
