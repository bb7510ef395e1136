//! Neighbours that do not answer, for whoever watches the interfaces. They have a socket of their own: a scan of a link's addresses must not
//! cost a notification of a route.

use std::time::Instant;

use holdfast_kernel::netlink::Event;

use super::Agent;
use crate::limits::NEIGHBORS_SPACING;

impl Agent {
    /// Handles notifications of neighbours in their order.
    pub(super) fn handle_neighbors(&mut self, events: &[Event]) {
        for event in events {
            let news = match event {
                Event::Neighbor(neighbor) => self.silent.note(neighbor),
                Event::NeighborRemoved(neighbor) => self.silent.removed(neighbor),
                Event::Overflow => {
                    // Not at once: who has filled the queue goes on.
                    self.neighbors_due.get_or_insert(Instant::now() + NEIGHBORS_SPACING);
                    None
                }
                _ => None,
            };
            self.tell_watchers(news);
        }
    }

    /// Reads the neighbours where that is due; who watches hears the difference.
    pub(super) fn read_neighbors(&mut self, now: Instant) {
        if self.neighbors_due.is_none_or(|at| now < at) {
            return;
        }
        self.neighbors_due = None;
        let read = self.probe.neighbors(false).and_then(|mut all| {
            all.extend(self.probe.neighbors(true)?);
            Ok(all)
        });
        match read {
            Ok(neighbors) => {
                let news = self.silent.replace(&neighbors);
                self.tell_watchers(news);
            }
            Err(error) => {
                tracing::warn!("{error}; the neighbors are read again in {} s", NEIGHBORS_SPACING.as_secs());
                self.neighbors_due = Some(now + NEIGHBORS_SPACING);
            }
        }
    }
}
