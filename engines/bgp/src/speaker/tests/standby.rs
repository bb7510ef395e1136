//! The second engine's part of the world: a snapshot in slices between live facts, comparison, handover.

use holdfast_proto::v1::TableDigest;
use holdfast_replication::{Switchover, compare_tables};
use holdfast_rib::Family;

use super::world::{Engine, World};
use crate::session::ConnectionSide;

impl World {
    /// A second engine begins to follow.
    pub fn join(&mut self) {
        assert!(!self.follows);
        if self.engines.len() == 2 {
            let primary = self.engines.swap_remove(self.primary);
            self.engines = vec![primary];
            self.primary = 0;
        }
        self.add_engine(true);
        self.follows = true;
        self.stream.clear();
        let now = self.now;
        let facts = self.engines[self.primary].speaker.describe_sessions(now);
        self.stream.extend(facts);
        self.cursor = Some(0);
    }

    pub(super) fn snapshot(&mut self) -> bool {
        let Some(cursor) = self.cursor else { return false };
        let Engine { speaker, rib } = &mut self.engines[self.primary];
        let (facts, next) = speaker.snapshot(rib, cursor, self.slice);
        self.stream.extend(facts);
        self.cursor = next;
        true
    }

    pub(super) fn take_facts(&mut self, max: usize) -> bool {
        let now = self.now;
        let Engine { speaker, rib } = &mut self.engines[1 - self.primary];
        let mut busy = false;
        for _ in 0..max {
            let Some(fact) = self.stream.pop_front() else { break };
            busy = true;
            if let Err(error) = speaker.adopt(rib, &fact, now) {
                panic!("{error}: {fact:?}");
            }
        }
        busy
    }

    /// Digests of all tables, as the daemon compares them.
    pub fn tables(&self, index: usize) -> Vec<TableDigest> {
        let Engine { speaker, rib } = &self.engines[index];
        let mut tables = speaker.digests(rib);
        for family in Family::ALL {
            for (kind, digest) in [("rib", rib.rib_digest(family)), ("fib", rib.fib_digest(family))] {
                let table = format!("{kind}/{}", family.table());
                tables.push(TableDigest { table, digest: digest.sum, entries: digest.entries });
            }
        }
        tables
    }

    /// Both engines know the same of what neighbours have been told.
    pub fn assert_told_alike(&self, context: &str) {
        let told = |index: usize| {
            let mut tables = self.engines[index].speaker.digests(&self.engines[index].rib);
            tables.retain(|table| table.table.ends_with("/sent"));
            tables
        };
        assert_eq!(told(self.primary), told(1 - self.primary), "{context}");
    }

    /// At rest both engines hold the same.
    pub fn assert_equal(&self, context: &str) {
        assert!(self.cursor.is_none() && self.stream.is_empty(), "{context}: not at rest");
        for table in compare_tables(&self.tables(self.primary), &self.tables(1 - self.primary)) {
            assert!(table.equal, "{context}: {table:?}");
        }
    }

    /// The planned handover: the primary stands still, the follower takes over what was on its way and goes on; the
    /// other follows it.
    pub fn hand_over(&mut self, context: &str) {
        self.hand_over_without(&[], context);
    }

    /// The same; the sessions of some neighbours cannot go over.
    pub fn hand_over_without(&mut self, interrupted: &[usize], context: &str) {
        while self.cursor.is_some() {
            self.turn(3);
        }
        let unfinished: Vec<_> = self.connections.iter().filter(|c| !c.established).map(|c| c.peer).collect();
        self.connections.retain(|connection| connection.established);
        unfinished.into_iter().for_each(|peer| self.peers[peer].disconnected());
        self.engines[self.primary].speaker.stand_still();
        self.take_facts(usize::MAX);
        // Work on whole tables is under way on either side for itself.
        let books = [0, 1].map(|index| self.tables(index).into_iter().filter(|t| t.table.ends_with("/sent")).collect());
        let [one, other]: [Vec<_>; 2] = books;
        compare_tables(&one, &other).iter().for_each(|table| assert!(table.equal, "{context}: {table:?}"));
        self.primary = 1 - self.primary;
        let now = self.now;
        for connection in &mut self.connections {
            connection.side = ConnectionSide::Opened;
            let found = self.engines[self.primary].speaker.find_neighbor(self.peers[connection.peer].address);
            connection.neighbor = found.unwrap();
        }
        self.connections.retain(|connection| !interrupted.contains(&connection.peer));
        let Engine { speaker, rib } = &mut self.engines[self.primary];
        for peer in interrupted {
            self.peers[*peer].disconnected();
            let id = speaker.find_neighbor(self.peers[*peer].address).unwrap();
            speaker.interrupt(id, "it cannot go over");
        }
        speaker.activate(rib, now);
        self.act();
    }

    /// The primary stands still and goes on, without anybody having taken over.
    pub fn freeze_and_thaw(&mut self) {
        self.connections.retain(|connection| connection.established);
        let now = self.now;
        let Engine { speaker, rib } = &mut self.engines[self.primary];
        speaker.stand_still();
        speaker.activate(rib, now);
        self.connections.iter_mut().for_each(|connection| connection.side = ConnectionSide::Opened);
        self.act();
    }

    /// The follower is lost; another one joins.
    pub fn join_anew(&mut self) {
        self.follows = false;
        self.join();
    }
}
