//! Answers as text in Junos' manner, one file per area. Pure: a message in, a string out.

mod bfd;
mod bgp;
mod chassis;
mod configuration;
mod differences;
mod elements;
mod forwarding;
mod neighbors;
mod policy;
mod readiness;
mod reboot;
mod report;
mod route;
mod system;
mod table;
mod time;

pub use bfd::{bfd_detail, bfd_sessions};
pub use bgp::{bgp_groups, bgp_neighbors, bgp_replication, bgp_summary, task_replication};
pub use chassis::{history, routing_engine, run};
pub use configuration::{commits, edited, moment, unconfirmed};
pub use differences::{differences, mended};
pub use elements::Elements;
pub use forwarding::{forwarding_heading, forwarding_page, forwarding_summary, interfaces, interfaces_terse};
pub use neighbors::neighbors;
pub use policy::{TestedRoutes, policies};
pub use readiness::{before_the_question, readiness};
pub use reboot::schedule;
pub use report::report;
pub use route::{Routes, route_summary};
pub use system::{alarms, processes, switchover, uptime, version};
pub use time::clock;
