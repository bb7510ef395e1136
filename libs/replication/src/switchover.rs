use std::time::Duration;

use holdfast_proto::v1::{Fact, SessionReadiness, TableDigest};

use crate::ReplicationError;

/// What a routing protocol offers so that its sessions live through a change of the routing engine. Every protocol
/// registers with rpd by this trait; rpd knows no other way to prepare, hand over or take over a protocol.
///
/// `Context` is what all protocols of the daemon share (rpd: the RIB); `now` is CLOCK_MONOTONIC.
pub trait Switchover<Context> {
    /// The protocol's name in facts, tables and views.
    fn name(&self) -> &'static str;

    /// A switchover is being prepared (true), or is not any more (false).
    fn notify(&mut self, preparing: bool);

    /// From now on the sessions belong to another engine: no timer runs, nothing is sent. [`Self::activate`] takes them back.
    fn stand_still(&mut self);

    /// How each session would live through a switchover now. "Not ready" holds up the run until its deadline.
    fn readiness(&self, now: Duration) -> Vec<SessionReadiness>;

    /// Facts that describe each session as it is, for a follower that has just joined. Slices follow.
    fn describe_sessions(&mut self, now: Duration) -> Vec<Fact>;

    /// The next part of the tables from `cursor` on, some `budget` entries at most, and where to go on; `None`: all was said.
    fn snapshot(&mut self, context: &Context, cursor: u64, budget: usize) -> (Vec<Fact>, Option<u64>);

    /// A follower takes over one fact.
    fn adopt(&mut self, context: &mut Context, fact: &Fact, now: Duration) -> Result<(), ReplicationError>;

    /// One digest per table.
    fn digests(&self, context: &Context) -> Vec<TableDigest>;

    /// From now on this engine speaks: sessions resume, timers run.
    fn activate(&mut self, context: &mut Context, now: Duration);
}
