//! Network-namespace labs: a router under test between other people's routers, with live traffic, judged from outside.
//!
//! The idea: a lab believes nobody. Packet loss is counted from sequence numbers at the receivers, session flaps from
//! the neighbours' own logs, connection set-ups and stream damage from a capture, kernel writes from the kernel's own
//! notifications, the delay of a route change from beacons that cross both neighbours and the router. The router's own
//! word is used for one figure only (the control-plane gap), and said to be that.
//!
//! How it flows: a [`scenario`] is data (shape, table, traffic, steps, bars). [`scenario::runner`] builds a [`lab`] from it
//! ([`topology`], [`host`], [`neighbor`], [`bgp::feeder`], [`subject`]), starts [`traffic`], beacons ([`bgp::beacon`]),
//! captures ([`capture`]) and the [`kernel_watch`], takes the steps, and turns the records into a [`result`], which
//! [`table_text`] shows to a person and `--json` to a program. [`command`] is `holdfast lab`.
//! [`gateway`] takes a gateway away, and times how long packets are lost. [`interop`] puts the router among routers of other makes, and asks each of them what it sees; [`mod@reference`] feeds a second router what
//! the first was fed, and compares. [`mod@bench`] measures: this router and others in turn, with the same hosts and codec but scenes of its own.
//!
//! What it must never do: leave a namespace, process or file behind, whatever ends it (see [`host::cleanup`]); touch
//! anything outside its own namespaces and folder; call a run good whose evidence is incomplete; drive the router by
//! anything but its published command.

pub mod bench;
pub mod bgp;
pub mod capture;
pub mod command;
pub mod error;
pub mod family;
pub mod fault_table;
pub mod gateway;
pub mod host;
pub mod interop;
pub mod keep;
pub mod kernel_tables;
pub mod kernel_watch;
pub mod lab;
pub mod limits;
pub mod neighbor;
pub mod progress;
pub mod reference;
pub mod result;
pub mod scenario;
pub mod subject;
pub mod table_text;
pub mod time;
pub mod topology;
pub mod traffic;

pub use error::{LabError, Result};
