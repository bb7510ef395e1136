//! A backup does not go along with a rush of changes: it stays away from it, and reads the table afterwards.
//!
//! Whoever writes a route pays for everybody who listens: its system call returns once the notification lies in each listener's queue, and
//! the listener has been woken; and as long as a queue is more than half full, the kernel has the writer give its processor away after each route. So
//! a backup that hears of a whole table would take a tenth and more of the primary's time while the table is written. It hears of the first
//! [`RUSH_ROUTES`], leaves the kernel's groups for routes, looks after a while whether things have calmed down, and reads the
//! table once. Of links, addresses and nexthop objects it hears all the time. A primary listens always: what somebody else changes is for it to mend.

use std::time::Instant;

use holdfast_kernel::netlink::Event;
use holdfast_proto::v1::Role;

use super::Agent;
use super::load::Load;
use crate::error::PfedError;
use crate::limits::{LULL, RUSH_ROUTES, RUSH_WINDOW};

/// Counts what is heard of routes.
#[derive(Debug, Default)]
pub struct Rush {
    since: Option<Instant>,
    heard: usize,
}

impl Rush {
    /// Whether these are too many, with those that were heard shortly before.
    fn hears(&mut self, routes: usize, now: Instant) -> bool {
        if self.since.is_none_or(|since| now >= since + RUSH_WINDOW) {
            *self = Self { since: Some(now), heard: 0 };
        }
        self.heard += routes;
        self.heard >= RUSH_ROUTES
    }
}

impl Agent {
    /// A backup that hears too much listens no longer.
    pub(super) fn mind_rush(&mut self, events: &[Event]) {
        if self.role != Role::Backup || !self.loaded || matches!(self.load, Load::Away) {
            return;
        }
        let routes = |event: &Event| match event {
            Event::Route(_) | Event::RouteRemoved(_) => 1,
            Event::Overflow => RUSH_ROUTES, // more than the queue holds
            _ => 0,
        };
        let (routes, now) = (events.iter().map(routes).sum(), Instant::now());
        if !self.rush.hears(routes, now) {
            return;
        }
        if let Err(error) = self.monitor.hear_routes(false) {
            tracing::warn!("{error}; each change of a route is followed, which costs the primary time");
            self.rush = Rush::default();
            return;
        }
        self.away.schedule(now);
        match &mut self.load {
            Load::Reading { again, .. } => *again = true,
            load => *load = Load::Away,
        }
        tracing::info!(
            "very many routes change: they are not followed one by one, the kernel's table is read when that is over"
        );
    }

    /// Listens again when it is time to, and has the table read when it is quiet.
    pub(super) fn stay_away_no_longer(&mut self, now: Instant) -> Result<(), PfedError> {
        match self.load {
            Load::Away if self.away.take(now) => {
                self.listen_again()?;
                self.load = Load::Listening { until: now + LULL };
            }
            Load::Listening { until } if now >= until => self.load = Load::Wanted { first: false },
            _ => {}
        }
        Ok(())
    }

    fn listen_again(&mut self) -> Result<(), PfedError> {
        self.rush = Rush::default();
        self.monitor.hear_routes(true)?;
        Ok(())
    }

    /// This process is to be primary, rush or not: a table that is not known is read at once, before anything is written.
    pub(super) fn come_back(&mut self) -> Result<(), PfedError> {
        if self.away.due.take().is_some() {
            self.listen_again()?;
        }
        if let Load::Away | Load::Listening { .. } | Load::Wanted { first: false } = self.load {
            self.load = Load::Wanted { first: false };
            self.last_load = None;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_comes_slowly_is_no_rush() {
        let (mut rush, began) = (Rush::default(), Instant::now());
        let at = |milliseconds| began + Duration::from_millis(milliseconds);
        assert!((0..1000).all(|window| !rush.hears(RUSH_ROUTES - 1, at(window * 250))));
        assert!(rush.hears(1, at(999 * 250 + 249)));
        assert!(!rush.hears(RUSH_ROUTES - 1, at(1000 * 250)), "each window counts for itself");
        assert!(rush.hears(RUSH_ROUTES, at(1001 * 250)));
    }
}
