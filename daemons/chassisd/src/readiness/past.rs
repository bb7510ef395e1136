//! What a forecast is made from: the sizes of today's tables, and past runs of the journal.

use holdfast_proto::v1;

use crate::evidence::Tables;
use crate::forecast::{self, Past};
use crate::journal::Journal;

/// What past runs teach, newest first. A record that cannot be read teaches nothing.
pub fn read(journal: &Journal) -> Vec<Past> {
    let reports = journal.ids().into_iter().filter_map(|id| journal.read(id).ok()?.report);
    reports.filter_map(|report| Past::of(&report)).take(forecast::PAST_RUNS_MAX).collect()
}

/// Today's sizes; what nobody answered for counts nothing.
pub fn sizes(tables: &Tables) -> v1::TableSizes {
    let sessions = tables.sessions.as_deref().unwrap_or_default();
    let families = || sessions.iter().filter_map(|session| session.summary.as_ref()).flat_map(|s| &s.families);
    let fib = tables.forwarding.as_ref().map_or(0, |summary| summary.routes_ipv4 + summary.routes_ipv6);
    v1::TableSizes {
        sessions: sessions.iter().filter(|session| crate::evidence::is_established(session)).count() as u32,
        paths_received: families().map(|family| family.received).sum(),
        paths_sent: families().map(|family| family.advertised).sum(),
        fib_routes: fib,
    }
}
